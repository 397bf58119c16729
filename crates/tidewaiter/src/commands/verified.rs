//! `run`, `proxy`, `verify`: an index of which only what is signed can be had.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;

use ::index::clock::{Clock, Entropy};
use anyhow::{Context, Result, bail};
use client::verified::{Now, base};
use client::{Attestations, Fetcher, Index, Kind, OnRegression, Options, Patience, Policy, Proxy, Refusal};
use packaging::hash::Sha256;
use tokio::net::TcpListener;
use tuf::hash::{Hasher, hex};
use tuf::{Limits, Time};

use super::confine;
use crate::cli::{ProxyOptions, Regression, RunOptions, Trust, VerifyOptions};
use crate::config;

/// What the program says where the user switched verification off.
const UNSAFE: &str = "verification is switched off by --unsafely-disable-package-verification: nothing of what is \
    installed now is verified";

fn state_folder(given: &Option<PathBuf>) -> Result<PathBuf> {
    if let Some(folder) = given {
        return Ok(folder.clone());
    }
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = from("XDG_STATE_HOME").or_else(|| from("HOME").map(|home| home.join(".local").join("state")));
    Ok(folder.context("there is no home folder: say where to keep the trusted root, --state DIR")?.join("tidewaiter"))
}

pub(super) fn seconds(text: &str, option: &str) -> Result<i64> {
    let ms =
        config::parse_time_ms(text).with_context(|| format!("{option} {text}: write a time such as 24h or 30m"))?;
    Ok(i64::try_from(ms / 1_000).unwrap_or(i64::MAX))
}

/// The same text without what stands before an `@` in a URL: passwords are neither shown nor written down.
fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//") {
        let (before, after) = rest.split_at(at + 2);
        out.push_str(before);
        let end = after.find(|letter: char| "/?# \"'\\".contains(letter)).unwrap_or(after.len());
        rest = &after[after[..end].rfind('@').map_or(0, |at| at + 1)..];
    }
    out + rest
}

pub(super) async fn open(trust: &Trust) -> Result<Arc<Index>> {
    let limits = Limits::default();
    let root = match &trust.root {
        None => None,
        Some(path) => {
            let mut bytes = Vec::new();
            let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            file.take(limits.root_bytes_max as u64 + 1).read_to_end(&mut bytes)?;
            Some(bytes)
        }
    };
    let policy = Policy {
        warn_age_s: seconds(&trust.warn_age, "--warn-age")?,
        refuse_age_s: seconds(&trust.max_age, "--max-age")?,
        is_offline: trust.offline,
        on_regression: match trust.on_regression {
            Regression::Off => OnRegression::Off,
            Regression::Warn => OnRegression::Warn,
            Regression::Refuse => OnRegression::Refuse,
        },
        ..Policy::default()
    };
    let patience =
        Patience { idle_ms_max: trust.patience_ms(), slow_after_ms: trust.patience_ms(), ..Patience::default() };
    let state = state_folder(&trust.state)?;
    fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
    let clock = Clock::system();
    let now: Now = Arc::new(move || Time::from_seconds(clock.now_us().div_euclid(1_000_000)));
    let shown = without_passwords(&trust.index);
    let options = Options {
        // We have no password to give, and must not tell it.
        index: base(&shown).with_context(|| format!("--index {shown} is no URL"))?,
        root,
        state,
        policy,
        attestations: trust.attestations.clone(),
        witnesses: trust.witnesses.clone(),
        fetcher: Fetcher::new(trust.certificates.as_deref(), patience)?,
        now: Arc::clone(&now),
    };
    let index = Index::open(options).await?;
    if index.state().is_first_use {
        eprintln!(
            "tidewaiter: the root of {} is trusted from now on, on first use: SHA-256 {}; compare it with what its \
             operator tells you, or give --root root.json",
            shown,
            index.state().fingerprint
        );
    }
    if let Err(error) = index.cache().prune(trust.cache_mb.saturating_mul(1_000_000), now()) {
        eprintln!("tidewaiter: cannot make room in the cache: {error}");
    }
    Ok(index)
}

/// Says what was refused, each once and not again if it was `told`, and what was absent if that may be why something
/// failed. Returns whether anything was refused.
fn tell(index: &Index, has_failed: bool, told: &BTreeSet<String>) -> bool {
    let (refusals, warnings) = index.notices();
    for warning in warnings {
        eprintln!("tidewaiter: warning: {warning}");
    }
    let is_told = |refusal: &&Refusal| has_failed || refusal.kind != Kind::Absent;
    let lines: BTreeSet<String> = refusals.iter().filter(is_told).map(Refusal::to_string).collect();
    for line in lines.difference(told) {
        eprintln!("tidewaiter: {line}");
    }
    refusals.iter().any(|refusal| refusal.kind != Kind::Absent)
}

pub(super) async fn proxy(options: ProxyOptions) -> Result<ExitCode> {
    let ProxyOptions { trust, listen } = options;
    let index = open(&trust).await?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen at {listen}"))?;
    super::print(&format!("Tidewaiter verifies at http://{}/simple/\n", listener.local_addr()?))?;
    std::io::stdout().flush()?;
    tokio::select! {
        ended = Proxy::new(Arc::clone(&index)).serve(listener) => match ended? {},
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    tell(&index, false, &BTreeSet::new());
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run(options: RunOptions) -> Result<ExitCode> {
    let RunOptions { trust, allow_other_hosts, unsafely_disable_package_verification, command } = options;
    let [program, arguments @ ..] = &command[..] else { bail!("there is nothing to run") };
    let mut child = Command::new(program);
    child.args(arguments);
    if unsafely_disable_package_verification {
        log_unsafe(&trust, &command)?;
        let url = base(&trust.index)?.join("simple/")?;
        child.env("PIP_INDEX_URL", url.as_str()).env("UV_DEFAULT_INDEX", url.as_str());
        return Ok(code(wait(child).await?));
    }
    confine::stays(&command, allow_other_hosts)?;
    let index = open(&trust).await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on this machine")?;
    let place = format!("127.0.0.1:{}", listener.local_addr()?.port());
    // In the path and as a password: the root's fingerprint, so that an installer's own cache never takes one index for
    // another, and what others on this machine cannot guess.
    let word = format!("{}-{}", &index.state().fingerprint[..16], hex(&Entropy::system().bytes::<16>()));
    let (url, host) = (format!("http://{place}/{word}/simple/"), format!("http://run:{word}@{place}"));
    confine::environment(&mut child, &url, (!allow_other_hosts).then_some(&host));
    let serving = tokio::spawn(Proxy::new(Arc::clone(&index)).only_for(&word).serve(listener));
    let status = wait(child).await;
    serving.abort();
    let status = status.with_context(|| format!("cannot run {program}"))?;
    let was_refused = tell(&index, !status.success(), &BTreeSet::new());
    Ok(if status.success() && was_refused { ExitCode::FAILURE } else { code(status) })
}

fn log_unsafe(trust: &Trust, command: &[String]) -> Result<()> {
    eprintln!("tidewaiter: warning: {UNSAFE}");
    let folder = state_folder(&trust.state)?;
    fs::create_dir_all(&folder)?;
    // What people run is nobody else's affair.
    let mut log = File::options().create(true).append(true).mode(0o600).open(folder.join("unverified.log"))?;
    log.set_permissions(Permissions::from_mode(0o600))?;
    let now = Time::from_seconds(Clock::system().now_us().div_euclid(1_000_000));
    writeln!(log, "{now} {}", without_passwords(&format!("{} {command:?}", trust.index)))?;
    Ok(())
}

async fn wait(mut child: Command) -> Result<ExitStatus> {
    // The terminal sends an interrupt to both; the child decides, and what was refused is still told.
    tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    Ok(tokio::task::spawn_blocking(move || child.status()).await??)
}

fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

pub(super) async fn verify(options: VerifyOptions) -> Result<ExitCode> {
    let VerifyOptions { trust, files } = options;
    let index = open(&trust).await?;
    let mut told = BTreeSet::new();
    for path in &files {
        let name = path.file_name().and_then(|name| name.to_str()).context("a file without a name")?;
        let (sha256, length) = digest(path).with_context(|| format!("cannot read {}", path.display()))?;
        let verified = match index.verify(name, &sha256, length).await {
            Ok(()) if trust.attestations != Attestations::Off => match index.wanted(&sha256, name).await {
                Ok(file) => index.attested(&file).await,
                Err(refusal) => Err(refusal),
            },
            other => other,
        };
        match verified {
            Ok(()) => super::print(&format!("{}: signed\n", path.display())).map(drop)?,
            Err(refusal) => {
                let line = refusal.to_string();
                if !told.contains(&line) {
                    eprintln!("tidewaiter: {line}");
                    told.insert(line);
                }
            }
        }
    }
    tell(&index, false, &told);
    Ok(if told.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn digest(path: &Path) -> std::io::Result<(Sha256, u64)> {
    let (mut file, mut hasher, mut buffer, mut length) = (File::open(path)?, Hasher::new(false), vec![0; 64 << 10], 0);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((Sha256::new(hasher.finish().0), length));
        }
        length += count as u64;
        hasher.update(&buffer[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn passwords_are_left_out() {
        for (text, expected) in [
            ("https://bob:s3cret@x.example/i/team/", "https://x.example/i/team/"),
            ("http://a@b@x.example", "http://x.example"),
            ("https://x.example/@scope?to=a@b", "https://x.example/@scope?to=a@b"),
            ("[\"pip\", \"--proxy=http://me:1@p\", \"a@b\"]", "[\"pip\", \"--proxy=http://p\", \"a@b\"]"),
            ("ssh://git@x//y@z", "ssh://x//z"),
        ] {
            assert_eq!(without_passwords(text), expected);
        }
    }
}
