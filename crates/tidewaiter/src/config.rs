//! Configuration as written: one TOML file and `TIDEWAITER_*` variables, by one table. Unknown keys are errors.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// A number of bytes: `100 MB` is 100 × 2^20.
    Bytes,
    /// A length of time: `500ms`, `5s`, `15m`, `12h`, `14d`.
    Time,
}

/// One setting.
pub(crate) struct Row {
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// As it would be written; empty for none.
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
    /// Least and most, as they would be written: of what is counted. Beyond them something would not work at all, or
    /// overflow; what is wise is the operator's to say.
    pub(crate) bounds: Option<(&'static str, &'static str)>,
}

const fn row(key: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Row {
    let bounds = match kind {
        Kind::Text | Kind::Flag => None,
        Kind::Number => Some(("1", "1000000000")),
        Kind::Bytes => Some(("0", "1024 TB")),
        Kind::Time => Some(("0s", "36500d")),
    };
    Row { key, kind, default, help, bounds }
}

impl Row {
    const fn within(self, least: &'static str, most: &'static str) -> Self {
        Self { bounds: Some((least, most)), ..self }
    }
}

/// Every setting.
pub(crate) const ROWS: &[Row] = &[
    row(
        "data",
        Kind::Text,
        "tidewaiter-data",
        "The data folder: ledger, files, secrets. Everything that a backup must hold is below it, but for a ledger on PostgreSQL.",
    ),
    row(
        "server.listen",
        Kind::Text,
        "127.0.0.1:8418",
        "Address and port. The default is reachable from this machine only.",
    ),
    row(
        "server.public_url",
        Kind::Text,
        "",
        "Where the world reaches this server, as `https://packages.example.org`. Used for what `serve` prints, for the commands on pages, and for the addresses of provenance on pages, which without it are left out; all other links in pages are relative. After a change the pages that name it are published again.",
    ),
    row(
        "server.tls_certificate",
        Kind::Text,
        "",
        "A certificate chain, PEM. With `server.tls_key` the server speaks HTTPS itself.",
    ),
    row("server.tls_key", Kind::Text, "", "The certificate's private key, PEM."),
    row(
        "server.page_shared_time",
        Kind::Time,
        "0s",
        "How long a shared cache (a CDN) may keep a page without asking again. 0: it always asks, and a new upload or a quarantine is seen at once.",
    ),
    row(
        "server.file_shared_time",
        Kind::Time,
        "1d",
        "How long a shared cache may keep a file or its metadata without asking again. It bounds how long a withdrawn file can be had from a cache that was not told (`purge.command`).",
    ),
    row("server.cache", Kind::Bytes, "64 MB", "Memory for pages and small files."),
    row("server.read_timeout", Kind::Time, "30s", "Longest pause in the body of a request that was refused.").within("1s", "1h"),
    row(
        "server.drain",
        Kind::Bytes,
        "1 GB",
        "Most bytes that are read and thrown away of a refused body, so that the client sees the reason instead of a broken pipe.",
    ),
    row(
        "ledger.url",
        Kind::Text,
        "",
        "A PostgreSQL URL, as `postgres://user@host/name`. Without it the ledger is SQLite in the data folder.",
    ),
    row(
        "tuf.bins",
        Kind::Number,
        "1024",
        "Among how many bins an index that is made from now on divides its signed targets: a power of two, 2 to 65536 (16384 where they are classic). `tidewaiter tuf rebin` changes it later.",
    )
    .within("2", "65536"),
    row(
        "tuf.shape",
        Kind::Text,
        "succinct",
        "`succinct`: less than a kilobyte says which bins there are (TAP 15). `classic`: for clients that know TUF 1.0 alone; 180 bytes a bin.",
    ),
    row(
        "tuf.superseded",
        Kind::Time,
        "1h",
        "How long superseded pages and roles stay in the site, for clients and mirrors at work with an older snapshot. Roots stay for ever.",
    ),
    row(
        "tuf.passphrase_file",
        Kind::Text,
        "",
        "A file with the passphrase that seals the private keys in `keys/`; best on another medium than they, such as a credential of the service manager. Keys that are made here are sealed with it; without it they lie in clear.",
    ),
    row(
        "purge.command",
        Kind::Text,
        "",
        "A program that tells a CDN what changed, called after each publication with one JSON object on its standard input: `{\"index\", \"serial\", \"keys\", \"paths\"}`. Exit 0: done; else it is tried again.",
    ),
    row(
        "purge.url",
        Kind::Text,
        "",
        "The same object is sent there with POST, where a program is too much; an answer of 2xx: done.",
    ),
    row("purge.timeout", Kind::Time, "10s", "How long one call may take.").within("100ms", "10m"),
    row(
        "attestations.trusted_root",
        Kind::Text,
        "public-good",
        "Whose attestations are believed: `public-good` (the Sigstore instance that the large build services use; its root comes with this version), the `trusted_root.json` of another instance, or `off`: uploads with attestations are refused (docs/attestations.md).",
    ),
    row(
        "witness.logs",
        Kind::Text,
        "",
        "The transparency logs of other servers that this one cosigns when they ask it (`/tlog/add-checkpoint`): their verifier keys, with commas between. `tidewaiter log keys` prints a server's own (docs/operating.md).",
    ),
    row(
        "witness.ask",
        Kind::Text,
        "",
        "Who cosigns this server's logs: a witness's verifier key, a space and the URL of its log, `KEY https://other.example.org/tlog`, with commas between. They are asked after each publication, and every 10 minutes.",
    ),
    row("upload.enabled", Kind::Flag, "true", "Whether uploads are taken."),
    row(
        "upload.wait",
        Kind::Time,
        "5s",
        "Longest that the answer to an upload waits for its publication. 0 answers at once; the file is published all the same.",
    )
    .within("0s", "10m"),
    row("upload.file_size", Kind::Bytes, "100 MB", "Largest file.").within("1 kB", "1 TB"),
    row("upload.project_size", Kind::Bytes, "10 GB", "Most bytes of all files of a project together.").within("1 kB", "1024 TB"),
    row("upload.release_open", Kind::Time, "14d", "How long a release takes new files after its first."),
    row(
        "inspection.gate",
        Kind::Text,
        "before",
        "`before`: a file is shown once its inspection has cleared it. `after`: it is shown at once and taken away again when its inspection holds it.",
    ),
    row(
        "inspection.budget",
        Kind::Time,
        "10m",
        "How long a file may wait for its inspection. After that it is held, says so, and is released when the inspection has cleared it. 0: it waits for ever.",
    ),
    row(
        "inspection.backlog",
        Kind::Text,
        "hold",
        "`hold`, or `publish`: what only stood in the queue for that long is published meanwhile, queued for a person, and inspected later. Never what crashed its inspection, ran out of time or broke a limit.",
    ),
    row(
        "inspection.queue",
        Kind::Number,
        "10000",
        "Inspections that may wait. While there are more, uploads are answered 503 with `Retry-After`.",
    ),
    row(
        "inspection.reinspect_every",
        Kind::Time,
        "0s",
        "How often all files are inspected again. 0: only by `tidewaiter verdicts reinspect`.",
    ),
    row(
        "inspection.policy",
        Kind::Text,
        "",
        "A file that says how findings become a verdict (docs/operating.md), instead of the built-in one.",
    ),
    row(
        "inspection.yara",
        Kind::Text,
        "",
        "A folder of YARA rules (`.yar`, `.yara`), each a check `yara/<file>/<rule>` that is tried out (`shadow`) until it is promoted (docs/checks.md). Read at the start.",
    ),
    row(
        "inspection.external",
        Kind::Text,
        "",
        "A file that names checks outside: HTTP services and commands that are told about each file and answer findings (docs/checks.md). Read at the start.",
    ),
    row("archive.members", Kind::Number, "50000", "Most members of an archive.").within("1", "10000000"),
    row("archive.unpacked", Kind::Bytes, "2 GB", "Most bytes of all members together, unpacked.").within("1 kB", "1 TB"),
    row(
        "archive.ratio",
        Kind::Number,
        "50",
        "Largest ratio of unpacked to packed bytes, for archives that unpack to over 64 MB.",
    )
    .within("1", "1000000"),
    row(
        "sandbox.allow_weak",
        Kind::Flag,
        "false",
        "Take uploads although this machine cannot keep the inspection of archives away from files and network. Say yes only for trials.",
    ),
    row("sandbox.memory", Kind::Bytes, "256 MB", "Memory of one inspection.").within("48 MB", "64 GB"),
    row(
        "sandbox.cpu_time",
        Kind::Time,
        "20s",
        "Processor time of one inspection, in whole seconds: the bound of its work, however busy the machine is.",
    )
    .within("1s", "1h"),
    row(
        "sandbox.wall_time",
        Kind::Time,
        "5m",
        "Longest that one inspection may take by the clock: an outer bound, as it waits for the processors too.",
    )
    .within("1s", "1d"),
    row("sandbox.parallel", Kind::Number, "2", "Inspections side by side.").within("1", "1024"),
    row("log.format", Kind::Text, "auto", "`text`, `json`, or `auto`: text on a terminal, JSON otherwise."),
    row(
        "log.level",
        Kind::Text,
        "info",
        "What is logged: `error`, `warn`, `info`, `debug`, or a filter as `info,index=debug`.",
    ),
];

/// Variables that are no settings.
const OTHER_VARIABLES: &[&str] = &["TIDEWAITER_FAILPOINT", "TIDEWAITER_PLANT"];

/// Values as text, by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// Reads the file, then the environment over it.
    pub(crate) fn read(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut values = Self::default();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let table: toml::Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
            values.take_table("", &table).with_context(|| format!("in {}", path.display()))?;
        }
        for (name, text) in variables.filter(|(name, _)| name.starts_with("TIDEWAITER_")) {
            if OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let row = ROWS.iter().find(|row| variable(row.key) == name);
            let row = row.ok_or_else(|| anyhow!("the variable {name} names no setting{}", hint(&name)))?;
            values.0.insert(row.key, text);
        }
        for row in ROWS {
            values.check(row)?;
        }
        Ok(values)
    }

    fn take_table(&mut self, prefix: &str, table: &toml::Table) -> Result<()> {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            if let toml::Value::Table(inner) = value {
                self.take_table(&key, inner)?;
                continue;
            }
            let row = ROWS.iter().find(|row| row.key == key);
            let row = row.ok_or_else(|| anyhow!("unknown key '{key}'{}", hint(&key)))?;
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                    bail!("'{key}' must be a text, a number or true/false")
                }
            };
            self.0.insert(row.key, text);
        }
        Ok(())
    }

    fn check(&self, row: &Row) -> Result<()> {
        let text = self.text(row.key);
        let fits = match row.kind {
            Kind::Text => true,
            Kind::Flag => matches!(text, "true" | "false"),
            Kind::Number | Kind::Bytes | Kind::Time => counted(row.kind, text).is_some(),
        };
        if !fits {
            bail!("'{}' = '{text}' is not {}", row.key, describe(row.kind));
        }
        match row.bounds {
            Some((least, most))
                if !(counted(row.kind, least)..=counted(row.kind, most)).contains(&counted(row.kind, text)) =>
            {
                bail!("'{}' = '{text}' is not between {least} and {most}", row.key)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A setting as text; its default when it was not set.
    pub(crate) fn text(&self, key: &str) -> &str {
        match self.0.get(key) {
            Some(text) => text,
            None => ROWS.iter().find(|row| row.key == key).map_or("", |row| row.default),
        }
    }

    /// A text that may be absent.
    pub(crate) fn optional(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.text(key) == "true"
    }

    pub(crate) fn number(&self, key: &str) -> u64 {
        counted(Kind::Number, self.text(key)).unwrap_or_default()
    }

    pub(crate) fn bytes(&self, key: &str) -> u64 {
        counted(Kind::Bytes, self.text(key)).unwrap_or_default()
    }

    pub(crate) fn time_ms(&self, key: &str) -> u64 {
        counted(Kind::Time, self.text(key)).unwrap_or_default()
    }

    /// A flag of the command line, which wins over everything.
    pub(crate) fn set(&mut self, key: &'static str, text: String) {
        self.0.insert(key, text);
    }
}

/// A value as what is compared: its number, bytes or milliseconds.
fn counted(kind: Kind, text: &str) -> Option<u64> {
    match kind {
        Kind::Text | Kind::Flag => None,
        Kind::Number => text.parse().ok(),
        Kind::Bytes => parse_bytes(text),
        Kind::Time => parse_time_ms(text),
    }
}

fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Flag => "'true' or 'false'",
        Kind::Number => "a whole number",
        Kind::Bytes => "a number of bytes such as '100 MB'",
        Kind::Time => "a length of time such as '5s', '15m' or '14d'",
    }
}

/// The setting's variable: `upload.wait` is `TIDEWAITER_UPLOAD_WAIT`.
fn variable(key: &str) -> String {
    format!("TIDEWAITER_{}", key.to_ascii_uppercase().replace('.', "_"))
}

/// The known key that shares the most with an unknown one.
fn hint(unknown: &str) -> String {
    let plain = |text: &str| text.to_ascii_lowercase().replace("tidewaiter_", "").replace(['_', '.', '-'], "");
    let wanted = plain(unknown);
    let near = ROWS.iter().map(|row| row.key).find(|key| {
        let key = plain(key);
        key.ends_with(&wanted) || wanted.ends_with(&key) || key.contains(&wanted)
    });
    near.map_or(String::new(), |key| format!(" (did you mean '{key}'?)"))
}

/// `100 MB`, `1GB`, `512`; units are powers of 1024.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..at].parse().ok()?;
    let factor: u64 = match text[at..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "kib" | "k" => 1 << 10,
        "mb" | "mib" | "m" => 1 << 20,
        "gb" | "gib" | "g" => 1 << 30,
        "tb" | "tib" | "t" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// `500ms`, `5s`, `15m`, `12h`, `14d`; a bare number is seconds.
pub(crate) fn parse_time_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..at].parse().ok()?;
    let factor: u64 = match text[at..].trim() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// `docs/config.md`.
pub(crate) fn markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n<!-- Generated from the table in crates/tidewaiter/src/config.rs by `tidewaiter config-docs`; a test diffs it. -->\n\n\
         Everything has a default: `tidewaiter serve` needs no configuration. Settings come from one TOML file (`--config FILE`), \
         from variables, and from flags; variables win over the file, flags over both. An unknown key or variable is an error.\n\n\
         Sizes are written as `100 MB` (powers of 1024), times as `500ms`, `5s`, `15m`, `12h` or `14d`; a bare number is bytes or \
         seconds. What is out of bounds is an error.\n\n\
         ```toml\n[upload]\nwait = \"5s\"\nfile_size = \"100 MB\"\n```\n\n| setting | variable | kind | default | bounds | |\n|---|---|---|---|---|---|\n",
    );
    for Row { key, kind, default, help, bounds } in ROWS {
        let kind = match kind {
            Kind::Text => "text",
            Kind::Flag => "true/false",
            Kind::Number => "number",
            Kind::Bytes => "size",
            Kind::Time => "time",
        };
        let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
        let bounds = bounds.map(|(least, most)| format!("{least} to {most}")).unwrap_or_default();
        let _ = writeln!(out, "| `{key}` | `{}` | {kind} | {default} | {bounds} | {help} |", variable(key));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> impl Iterator<Item = (String, String)> {
        std::iter::empty()
    }

    #[test]
    fn defaults_are_values_of_their_kind() {
        let values = Values::read(None, none()).expect("the defaults hold");
        assert_eq!(values.time_ms("upload.wait"), 5_000);
        assert_eq!(values.bytes("upload.file_size"), 100 << 20);
    }

    #[test]
    fn variables_win_and_unknown_ones_are_errors() {
        let set = |name: &str, text: &str| Values::read(None, [(name.to_owned(), text.to_owned())].into_iter());
        assert_eq!(set("TIDEWAITER_UPLOAD_WAIT", "0").expect("known").time_ms("upload.wait"), 0);
        let error = set("TIDEWAITER_UPLOAD_WIAT", "0").expect_err("unknown").to_string();
        assert!(error.contains("TIDEWAITER_UPLOAD_WIAT"), "{error}");
        assert!(set("TIDEWAITER_UPLOAD_WAIT", "soon").is_err());
    }

    #[test]
    fn each_bound_holds_at_the_limit_and_one_past_it() {
        for row in ROWS {
            let Some((least, most)) = row.bounds else { continue };
            let set = |text: String| Values::read(None, [(variable(row.key), text)].into_iter()).map(|_| ());
            let unit = if row.kind == Kind::Time { "ms" } else { "" };
            let [least, most] = [least, most].map(|text| counted(row.kind, text).expect("a bound is a value"));
            assert!(least < most, "{}", row.key);
            assert!(set(format!("{least}{unit}")).is_ok() && set(format!("{most}{unit}")).is_ok(), "{}", row.key);
            let mut past = vec![most + 1];
            past.extend(least.checked_sub(1));
            for value in past {
                let error = set(format!("{value}{unit}")).expect_err(row.key).to_string();
                assert!(error.contains(row.key) && error.contains("is not between"), "{error}");
            }
        }
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!(parse_bytes("1 GB"), Some(1 << 30));
        assert_eq!(parse_bytes("10x"), None);
        assert_eq!(parse_time_ms("14d"), Some(14 * 86_400_000));
        assert_eq!(parse_time_ms("d"), None);
    }

    #[test]
    fn the_page_is_current() {
        let path =
            Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../docs/config.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == markdown(), "docs/config.md is not what the table says: run `cargo xtask docs`");
    }
}
