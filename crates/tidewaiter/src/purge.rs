//! Telling a CDN what changed: a program, or a URL, that is called after each head. Bounded in time, memory and tries;
//! publication never waits for it, and what it misses ends by itself (`s-maxage`).

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use client::post::Part;
use client::{Fetcher, Patience};
use index::Installation;
use index::blobs::layout;
use index::model::IndexName;
use packaging::DistFilename;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::mpsc;
use tuf::layout::Target;
use url::Url;

use crate::config::Values;

/// Publications that wait for a call; of more, only that there were some is known.
const WAITING_MAX: usize = 1_000;
/// Names and paths of one call; instead of more, the index's own name stands for all.
const NAMES_MAX: usize = 2_000;
/// How often a call is tried, and how long it waits after the first failure; twice as long after each further one.
const TRIES_MAX: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);
/// Length of an answer that is looked at, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    Nobody,
    Program(String),
    Place(Url),
}

/// What the operator set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purge {
    whom: Whom,
    timeout: Duration,
}

impl Purge {
    /// From the settings.
    pub(crate) fn from_values(values: &Values) -> Result<Self> {
        let whom = match (values.optional("purge.command"), values.optional("purge.url")) {
            (None, None) => Whom::Nobody,
            (Some(program), None) => Whom::Program(program),
            (None, Some(text)) => Whom::Place(text.parse().with_context(|| format!("'purge.url' = '{text}'"))?),
            (Some(_), Some(_)) => bail!("'purge.command' and 'purge.url': one of them"),
        };
        Ok(Self { whom, timeout: Duration::from_millis(values.time_ms("purge.timeout").max(100)) })
    }
}

/// What changed in an index since the last call.
#[derive(Debug, Default)]
struct Changed {
    serial: i64,
    paths: BTreeSet<String>,
    /// There was more than is named.
    is_all: bool,
}

impl Changed {
    fn add(&mut self, serial: i64, paths: Vec<String>) {
        self.serial = self.serial.max(serial);
        // A page is dropped together with its packed form; the name of an sdist ends in `.gz` by itself.
        let plain = |path: String| match path.strip_suffix(".gz") {
            Some(plain) if !path.starts_with("files/") => plain.to_owned(),
            _ => path,
        };
        self.paths.extend(paths.into_iter().map(plain));
        if self.paths.len() > NAMES_MAX {
            self.is_all = true;
            self.paths.clear();
        }
    }

    fn message(&self, index: &IndexName) -> String {
        let all = BTreeSet::from([index.to_string()]);
        let keys = self.paths.iter().map(|path| layout::surrogate_key(index, path)).collect();
        let keys: BTreeSet<String> = if self.is_all { all } else { keys };
        let paths: BTreeSet<String> = self.paths.iter().flat_map(|path| addresses(index, path)).collect();
        json!({ "index": index, "serial": self.serial, "keys": keys, "paths": paths }).to_string()
    }
}

/// Where a path of the site is asked for: pages and files also as targets, which is what verifying clients fetch.
fn addresses(index: &IndexName, path: &str) -> Vec<String> {
    let folder = path.strip_suffix("/index.json").or_else(|| path.strip_suffix("/index.html"));
    let parts: Vec<&str> = path.split('/').collect();
    let (plain, target) = match (folder.filter(|_| path.starts_with("simple")), &parts[..]) {
        (Some(folder), ["simple", project, _]) => (format!("{folder}/"), Some(Target::Page { project }.path())),
        (Some(folder), _) => (format!("{folder}/"), None),
        (None, ["files", _, sha256, filename]) => (path.to_owned(), file_target(sha256, filename)),
        (None, _) => (path.to_owned(), None),
    };
    let prefix = index.url_prefix();
    let target = target.map(|target| format!("{prefix}/tuf/targets/{target}"));
    [format!("{prefix}/{plain}")].into_iter().chain(target).collect()
}

/// A file's target, under its digest; nothing for what goes with a file, such as its metadata.
fn file_target(sha256: &str, filename: &str) -> Option<String> {
    let name: DistFilename = filename.parse().ok()?;
    let project = name.project().to_string();
    let path = Target::Distribution { project: &project, filename }.path();
    let (folder, filename) = path.rsplit_once('/')?;
    Some(format!("{folder}/{sha256}.{filename}"))
}

/// Hangs the calls on the publisher's head.
pub(crate) fn start(installation: &Arc<Installation>, purge: Purge) -> Result<()> {
    if purge.whom == Whom::Nobody {
        return Ok(());
    }
    let patience = Patience { idle_ms_max: purge.timeout.as_millis() as u64, ..Patience::default() };
    let fetcher = Fetcher::new(None, patience)?;
    let (send, receive) = mpsc::channel(WAITING_MAX);
    installation.on_head(move |publication| {
        // Nobody waits: where there is no room, the caller finds a gap in the serials.
        let _ = send.try_send((publication.index.clone(), publication.serial, publication.paths.clone()));
    });
    tokio::spawn(work(receive, purge, fetcher));
    Ok(())
}

async fn work(mut news: mpsc::Receiver<(IndexName, i64, Vec<String>)>, purge: Purge, fetcher: Fetcher) {
    let mut told: BTreeMap<IndexName, i64> = BTreeMap::new();
    while let Some(first) = news.recv().await {
        // Everything that came while the last call was under way is one call.
        let mut waiting: BTreeMap<IndexName, Changed> = BTreeMap::new();
        let mut next = Some(first);
        while let Some((index, serial, paths)) = next {
            let changed = waiting.entry(index.clone()).or_default();
            let before = if changed.serial > 0 { Some(changed.serial) } else { told.get(&index).copied() };
            changed.is_all |= before.is_some_and(|before| serial > before + 1);
            changed.add(serial, paths);
            next = news.try_recv().ok();
        }
        for (index, changed) in waiting {
            told.insert(index.clone(), changed.serial);
            let message = changed.message(&index);
            if let Err(error) = persist(&purge, &fetcher, &message).await {
                tracing::error!(%index, serial = changed.serial, %error, "caches were not told what changed");
                // The next call says so for all.
                told.insert(index, 0);
            }
        }
    }
}

/// Calls until it succeeds, or was tried often enough.
async fn persist(purge: &Purge, fetcher: &Fetcher, message: &str) -> Result<()> {
    let mut pause = PAUSE;
    for attempt in 1.. {
        match tokio::time::timeout(purge.timeout, call(&purge.whom, fetcher, message)).await {
            Ok(Ok(())) => break,
            failed if attempt == TRIES_MAX => return failed.map_err(|_| anyhow!("it took too long"))?,
            Ok(Err(error)) => tracing::warn!(%error, attempt, "telling caches what changed failed; it is tried again"),
            Err(_) => tracing::warn!(attempt, "telling caches what changed took too long; it is tried again"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

async fn call(whom: &Whom, fetcher: &Fetcher, message: &str) -> Result<()> {
    match whom {
        Whom::Nobody => Ok(()),
        Whom::Place(url) => {
            let parts = vec![Part::Bytes(message.into())];
            fetcher.post(url, "application/json", parts, ANSWER_BYTES_MAX).await.with_context(|| url.to_string())?;
            Ok(())
        }
        Whom::Program(program) => {
            let mut child = Command::new(program)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .with_context(|| format!("cannot run {program}"))?;
            if let Some(mut stdin) = child.stdin.take() {
                // A program that does not read all is its own affair.
                let _ = stdin.write_all(message.as_bytes()).await;
            }
            let status = child.wait().await?;
            if status.success() { Ok(()) } else { bail!("{program} ended with {status}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_together_has_one_name_and_much_is_all() {
        let (main, team) = (IndexName::main(), "team".parse::<IndexName>().expect("a name"));
        let mut changed = Changed::default();
        let paths = [
            "simple/demo/index.json.gz",
            "simple/demo/index.html",
            "files/aa/aa00/demo-1.tar.gz",
            "tuf/timestamp.json",
        ];
        changed.add(7, paths.map(str::to_owned).to_vec());
        let said: serde_json::Value = serde_json::from_str(&changed.message(&team)).expect("JSON");
        assert_eq!(said["keys"], json!(["team/file/aa00", "team/head", "team/project/demo"]));
        assert_eq!(
            said["paths"],
            json!([
                "/i/team/files/aa/aa00/demo-1.tar.gz",
                "/i/team/simple/demo/",
                "/i/team/tuf/targets/p/2a/demo/aa00.demo-1.tar.gz",
                "/i/team/tuf/targets/simple/2a/demo/index.json",
                "/i/team/tuf/timestamp.json"
            ])
        );
        changed.add(8, (0..=NAMES_MAX).map(|n| format!("simple/p{n}/index.json")).collect());
        let said: serde_json::Value = serde_json::from_str(&changed.message(&main)).expect("JSON");
        assert_eq!((&said["keys"], &said["paths"], &said["serial"]), (&json!(["main"]), &json!([]), &json!(8)));
    }
}
