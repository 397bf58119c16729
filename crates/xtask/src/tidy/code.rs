//! Rules about what may be named where. Each has its places; a place that is an exception says why.

use anyhow::Result;

use super::Found;
use super::source::Source;
use super::tree::{File, Tree};

/// Words of the product's code outside these places. Test code counts too, unless `tests` are free.
fn words_outside(tree: &Tree, places: &[&str], tests: bool, is: impl Fn(&Source, &str, usize) -> bool) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, source) in tree.product().filter(|(file, _)| !file.is_in(places)) {
        found.extend(words_in(file, source, tests, &is));
    }
    found
}

fn words_in(file: &File, source: &Source, tests: bool, is: impl Fn(&Source, &str, usize) -> bool) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for word in source.words() {
        if is(source, &word.text, word.at) && (tests || !source.is_test(word.line)) {
            let one = Found::new(&file.path, word.line, format!("`{}`", word.text));
            if found.last() != Some(&one) {
                found.push(one);
            }
        }
    }
    found
}

/// Product literals outside these places and outside test code.
fn literals_outside(tree: &Tree, places: &[&str], is: impl Fn(&str) -> bool) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, source) in tree.product().filter(|(file, _)| !file.is_in(places)) {
        for (line, text) in source.literals.iter().filter(|(line, text)| !source.is_test(*line) && is(text)) {
            let shown: String = text.chars().take(60).collect();
            found.push(Found::new(&file.path, *line, format!("\"{shown}\"")));
        }
    }
    found
}

const STORES: &[&str] = &["crates/index/src/store/", "crates/events/src/store/", "crates/events/src/store.rs"];

pub(super) fn sql_in_store(tree: &Tree) -> Result<Vec<Found>> {
    const SQL: [(&str, &str); 9] = [
        ("SELECT ", " "),
        ("INSERT INTO ", " "),
        ("INSERT OR ", " "),
        ("UPDATE ", " SET "),
        ("DELETE FROM ", ""),
        ("CREATE TABLE ", ""),
        ("CREATE INDEX ", ""),
        ("ALTER TABLE ", ""),
        ("PRAGMA ", ""),
    ];
    let is_sql = |text: &str| {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        SQL.iter().any(|(start, then)| text.strip_prefix(start).is_some_and(|rest| rest.contains(then)))
    };
    let mut found = words_outside(tree, STORES, true, |_, word, _| word == "sqlx" || word == "rusqlite");
    found.extend(literals_outside(tree, STORES, is_sql));
    Ok(found)
}

pub(super) fn http_in_web(tree: &Tree) -> Result<Vec<Found>> {
    const CRATES: [&str; 7] = ["axum", "hyper", "hyper_util", "http_body", "http_body_util", "tower", "multer"];
    Ok(words_outside(tree, &["crates/web/", "crates/client/"], true, |source, word, at| {
        CRATES.contains(&word) || word == "http" && source.reads(at + word.len(), "::")
    }))
}

/// Crates and files that are functions of their input alone.
/// The authority that signs attestations for tests, behind a feature that the program does not ask for: ECDSA signs with
/// randomness of its own.
const SIGNS_FOR_TESTS: &str = "crates/attest/src/testing.rs";

const PURE: &[&str] = &[
    "crates/packaging/src/",
    "crates/tuf/src/",
    "crates/attest/src/",
    "crates/tlog/src/",
    "crates/index/src/model/",
    "crates/index/src/policy/",
    "crates/index/src/render.rs",
    "crates/index/src/render/",
];

pub(super) fn pure(tree: &Tree) -> Result<Vec<Found>> {
    // Threads are no I/O: `render` compresses its largest pages side by side, and waits for all of them.
    const STD: [&str; 5] = ["fs", "net", "process", "env", "os"];
    const WORDS: [&str; 12] = [
        "async",
        "await",
        "tokio",
        "futures_util",
        "sqlx",
        "rand",
        "getrandom",
        "SystemTime",
        "Instant",
        "Entropy",
        "Clock",
        "File",
    ];
    let mut found = Vec::new();
    for (file, source) in tree.rust().filter(|(file, _)| file.is_in(PURE) && file.path != SIGNS_FOR_TESTS) {
        found.extend(words_in(file, source, false, |source, word, at| {
            let is_std = STD.contains(&word) && source.follows(at, "std::");
            is_std || WORDS.contains(&word) && !source.follows(at, "enum")
        }));
    }
    Ok(found)
}

pub(super) fn one_door(tree: &Tree) -> Result<Vec<Found>> {
    const WORDS: [&str; 6] = ["SystemTime", "UNIX_EPOCH", "getrandom", "rand", "thread_rng", "OsRng"];
    Ok(words_outside(tree, &["crates/index/src/clock.rs", SIGNS_FOR_TESTS], true, |_, word, _| WORDS.contains(&word)))
}

pub(super) fn addresses(tree: &Tree) -> Result<Vec<Found>> {
    const MAY: &[&str] = &[
        // Where *we* listen: read from the command line, kept, bound, printed.
        "crates/tidewaiter/src/cli.rs",
        "crates/tidewaiter/src/settings.rs",
        "crates/tidewaiter/src/serve.rs",
        // Where the address of who connected enters, and where it ends.
        "crates/web/src/client_ip.rs",
        "crates/events/src/source.rs",
    ];
    const WORDS: [&str; 9] = [
        "IpAddr",
        "Ipv4Addr",
        "Ipv6Addr",
        "SocketAddr",
        "SocketAddrV4",
        "SocketAddrV6",
        "ConnectInfo",
        "peer_addr",
        "IncomingStream",
    ];
    let mut found = words_outside(tree, MAY, false, |_, word, _| WORDS.contains(&word));
    let headers = ["x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip", "fastly-client-ip"];
    found.extend(literals_outside(tree, MAY, |text| headers.contains(&text.to_ascii_lowercase().as_str())));
    Ok(found)
}

pub(super) fn unsafe_code(tree: &Tree) -> Result<Vec<Found>> {
    // `r#unsafe` is the name of an option of the Markdown library.
    let is = |source: &Source, word: &str, at| word == "unsafe" && !source.follows(at, "r#");
    Ok(words_outside(tree, &["crates/inspect/src/sandbox/zygote.rs"], true, is))
}

pub(super) fn blob_keys(tree: &Tree) -> Result<Vec<Found>> {
    let mut found = literals_outside(tree, &["crates/index/src/blobs/layout.rs"], |text| {
        ["site", "vault"].iter().any(|zone| {
            text.contains(&format!("/{zone}/"))
                || text.starts_with(&format!("{zone}/"))
                || text.ends_with(&format!("}}/{zone}"))
        })
    });
    found.retain(|one| one.path.contains("/src/"));
    Ok(found)
}

pub(super) fn site_writers(tree: &Tree) -> Result<Vec<Found>> {
    const MAY: &[&str] = &[
        "crates/index/src/ops/publish.rs",
        "crates/index/src/ops/site.rs",
        "crates/index/src/ops/log.rs",
        "crates/index/src/ops/signing/files.rs",
        "crates/index/src/ops/signing/founding.rs",
        "crates/index/src/ops/rebuild.rs",
        // At start, an upload that was never answered leaves the vault; nothing in the site is touched.
        "crates/index/src/ops/workers.rs",
        // The store itself.
        "crates/index/src/blobs/",
    ];
    let calls = ["put", "relocate", "delete"];
    Ok(words_outside(tree, MAY, false, |source, word, at| {
        let is_call = calls.contains(&word) && source.reads(at + word.len(), "(");
        is_call && (source.follows(at, "blobs.") || word == "relocate" && source.follows(at, "."))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(path: &str, text: &str) -> Tree {
        Tree { files: vec![File::new(path, text)] }
    }

    #[test]
    fn each_rule_sees_what_it_forbids_and_only_there() {
        type Case = (fn(&Tree) -> Result<Vec<Found>>, &'static str, &'static str, usize);
        let cases: [Case; 15] = [
            (sql_in_store, "crates/web/src/a.rs", "fn f() { q(\"SELECT a\n FROM b\") }", 1),
            (sql_in_store, "crates/index/src/store/a.rs", "fn f() { q(\"SELECT a FROM b\") }", 0),
            (sql_in_store, "crates/web/src/a.rs", "// SELECT a FROM b\nconst A: &str = \"SELECT\";", 0),
            (http_in_web, "crates/index/src/a.rs", "use axum::Router; use http::Uri;", 2),
            (http_in_web, "crates/index/src/a.rs", "let http = 1;", 0),
            (pure, "crates/packaging/src/a.rs", "use std::fs; async fn f() { g().await }", 3),
            (pure, "crates/packaging/src/a.rs", "use std::io::Write; fn env() {}", 0),
            (one_door, "crates/index/src/a.rs", "SystemTime::now()", 1),
            (one_door, "crates/index/src/clock.rs", "SystemTime::now()", 0),
            (addresses, "crates/web/src/a.rs", "use std::net::SocketAddr; h(\"X-Forwarded-For\")", 2),
            (unsafe_code, "crates/web/src/a.rs", "unsafe { f() }", 1),
            (blob_keys, "crates/web/src/a.rs", "k.contains(\"/site/files/\")", 1),
            (blob_keys, "crates/web/src/a.rs", "#[cfg(test)]\nmod t {\n const A: &str = \"/vault/\";\n}", 0),
            (site_writers, "crates/index/src/ops/upload.rs", "self.blobs.put(k, b); blobs\n.relocate(a, b)", 2),
            (site_writers, "crates/index/src/ops/upload.rs", "blobs.store(k, b); cache.put(k)", 0),
        ];
        for (rule, path, text, count) in cases {
            let found = rule(&tree(path, text)).expect("rules over text do not fail");
            assert_eq!(found.len(), count, "{path}: {text}: {found:?}");
        }
    }
}
