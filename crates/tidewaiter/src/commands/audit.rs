//! `tuf audit`: the walk over everything that is signed, with a progress bar; and over what a mirror serves.
//!
//! What is asked of the installation comes in parts, so that a running server goes on serving and the bar moves. The
//! mirror is walked here, as a client would who trusts the ledger's roots.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use client::verified::base;
use client::{FetchError, Fetcher, Patience};
use index::clock::Clock;
use index::ops::audit::{Outline, Part};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tuf::hash::{hex, sha256};
use tuf::layout::{role_file, target_file};
use tuf::write::BINS;
use tuf::{Limits, TargetFile, Time, Top, TrustedSet};
use url::Url;

use super::Door;
use crate::cli::Place;
use crate::control::{Answer, Request, TufAsk};

/// Bins that are looked at in one part.
const BINS_AT_ONCE: u32 = 64;
/// Targets that are fetched side by side.
const FETCHES_MAX: usize = 8;

/// What is wrong, told as it is found.
struct Findings {
    bar: ProgressBar,
    count: usize,
}

impl Findings {
    fn tell(&mut self, wrong: impl IntoIterator<Item = String>) -> Result<()> {
        for line in wrong {
            self.count += 1;
            self.bar.suspend(|| super::print(&format!("{line}\n")).map(drop))?;
        }
        Ok(())
    }
}

pub(super) async fn run(
    place: &Place,
    index: &str,
    mirror: Option<&str>,
    certificates: Option<&std::path::Path>,
) -> Result<ExitCode> {
    let door = Door::open(place, false, false).await?;
    let ended = walk(&door, index, mirror, certificates).await;
    // Neither before nor after it is anything repaired: what is told is what is there.
    door.leave().await?;
    ended
}

async fn ask<T: serde::de::DeserializeOwned>(door: &Door, ask: TufAsk) -> Result<T> {
    let Answer { output, error, .. } = door.ask(Request::Tuf(ask), &mut |_| {}).await?;
    match error {
        Some(error) => bail!(error),
        None => serde_json::from_str(&output).context("the server answered something else than a part of an audit"),
    }
}

async fn outline(door: &Door, index: &str) -> Result<Outline> {
    ask(door, TufAsk::AuditOutline { index: index.to_owned() }).await
}

async fn walk(
    door: &Door,
    index: &str,
    mirror: Option<&str>,
    certificates: Option<&std::path::Path>,
) -> Result<ExitCode> {
    let begun = outline(door, index).await?;
    let bins = u64::from(begun.bins);
    let bar = ProgressBar::new(bins * if mirror.is_some() { 2 } else { 1 } + begun.projects.unsigned_abs());
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos} of {len} bins and projects, {eta} left  {msg}")?);
    let mut found = Findings { bar, count: 0 };
    found.tell(begun.wrong.iter().cloned())?;
    for from in (0..begun.bins).step_by(BINS_AT_ONCE as usize) {
        let to = from.saturating_add(BINS_AT_ONCE).min(begun.bins);
        let wrong: Vec<String> = ask(door, TufAsk::AuditBins { index: index.to_owned(), from, to }).await?;
        found.tell(wrong)?;
        found.bar.inc(u64::from(to - from));
    }
    let (mut after, mut projects) = (Some(String::new()), 0);
    while let Some(last) = after {
        let part: Part = ask(door, TufAsk::AuditProjects { index: index.to_owned(), after: last }).await?;
        let Part { count, next, wrong } = part;
        found.tell(wrong)?;
        found.bar.inc(count as u64);
        projects += count;
        after = next;
    }
    let mut text = format!("{index}: {bins} bins, {projects} projects");
    if let Some(mirror) = mirror {
        let fetcher = Arc::new(Fetcher::new(certificates, Patience::default())?);
        let base = base(mirror).with_context(|| format!("--mirror {mirror} is no URL"))?;
        let files = Mirror { fetcher, tuf: base.join("tuf/")? }.walk(door, index, &mut found).await?;
        text.push_str(&format!(", {files} files at the mirror"));
    }
    found.bar.finish_and_clear();
    super::print(&format!("{text}, {} wrong\n", found.count))?;
    Ok(ExitCode::from(u8::from(found.count > 0)))
}

/// A place that serves the index. Nothing that comes from it is believed.
struct Mirror {
    fetcher: Arc<Fetcher>,
    tuf: Url,
}

impl Mirror {
    /// A role's file; nothing if it is not there.
    async fn get(&self, role: &str, version: Option<u64>) -> Result<Option<Vec<u8>>> {
        let name = role_file(role, version);
        match self.fetcher.get(&self.tuf.join(&name)?, Limits::default().targets_bytes_max).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(FetchError::Missing) => Ok(None),
            Err(error) => bail!("{}{name} {error}", self.tuf),
        }
    }

    /// Follows the mirror's roles and compares each with the ledger's; then every file that they list. Returns how many
    /// those were.
    async fn walk(&self, door: &Door, index: &str, found: &mut Findings) -> Result<usize> {
        // What came meanwhile is in force there perhaps, and here surely.
        let stamp = self.get(Top::Timestamp.name(), None).await?;
        let ours = outline(door, index).await?;
        let set = match self.top(&ours, stamp).await? {
            Ok((set, wrong)) => {
                found.tell(wrong)?;
                set
            }
            Err(wrong) => {
                found.tell([format!("mirror: {wrong}")])?;
                return Ok(0);
            }
        };
        let listed = set.snapshot().map(|snapshot| snapshot.meta.clone()).unwrap_or_default();
        let mut count = 0;
        for (role, meta) in listed.iter().filter(|(role, _)| ![Top::Targets.name(), BINS].contains(&role.as_str())) {
            found.bar.inc(1);
            let Some(bytes) = self.get(role, Some(meta.version)).await? else {
                found.tell([format!("mirror: {role}: version {} is not there", meta.version)])?;
                continue;
            };
            found.tell(differs(&ours, role, meta.version, &bytes))?;
            let mut bin = set.clone();
            if let Err(refused) = bin.update_targets(role, BINS, &bytes) {
                found.tell([format!("mirror: a client refuses {refused}")])?;
                continue;
            }
            let targets = bin.targets(role).map(|targets| targets.targets.clone()).unwrap_or_default();
            count += targets.len();
            found.tell(self.files(targets).await?)?;
        }
        Ok(count)
    }

    /// The mirror's way from the first root to `bins`, and what of it is not the ledger's.
    async fn top(
        &self,
        ours: &Outline,
        stamp: Option<Vec<u8>>,
    ) -> Result<std::result::Result<(TrustedSet, Vec<String>), String>> {
        let mut roots = Vec::new();
        for (version, want) in (1_u64..).zip(&ours.roots) {
            match self.get(Top::Root.name(), Some(version)).await? {
                Some(bytes) if hex(&sha256(&bytes)) == *want => roots.push(bytes),
                Some(_) => return Ok(Err(format!("root version {version} is another one than the ledger's"))),
                None => return Ok(Err(format!("root version {version} is not there"))),
            }
        }
        if self.get(Top::Root.name(), Some(roots.len() as u64 + 1)).await?.is_some() {
            return Ok(Err(format!("there is a root version {} that the ledger does not know", roots.len() + 1)));
        }
        let Some(stamp) = stamp else { return Ok(Err("timestamp: is not there".to_owned())) };
        let now = Time::from_seconds(Clock::system().now_us().div_euclid(1_000_000));
        let mut set = match TrustedSet::new(&roots[0], now, Limits::default()) {
            Ok(set) => set,
            Err(refused) => return Ok(Err(refused.to_string())),
        };
        let begun = roots[1..].iter().try_for_each(|root| set.update_root(root).map(drop));
        if let Err(refused) =
            begun.and_then(|()| set.finish_root()).and_then(|()| set.update_timestamp(&stamp).map(drop))
        {
            return Ok(Err(format!("a client refuses {refused}")));
        }
        let version = set.timestamp().map_or(0, |timestamp| timestamp.version);
        let mut wrong = differs(ours, Top::Timestamp.name(), version, &stamp);
        let (snapshot, bins) = (Top::Snapshot.name(), BINS);
        for (role, delegator) in [(snapshot, ""), (Top::Targets.name(), Top::Root.name()), (bins, Top::Targets.name())]
        {
            let wanted = if role == snapshot { set.wanted_snapshot() } else { set.wanted_targets(role) };
            let version = match wanted {
                Ok((meta, _)) => meta.version,
                Err(refused) => return Ok(Err(refused.to_string())),
            };
            let Some(bytes) = self.get(role, Some(version)).await? else {
                return Ok(Err(format!("{role}: version {version} is not there")));
            };
            wrong.extend(differs(ours, role, version, &bytes));
            let taken = match role == snapshot {
                true => set.update_snapshot(&bytes),
                false => set.update_targets(role, delegator, &bytes),
            };
            if let Err(refused) = taken {
                return Ok(Err(format!("a client refuses {refused}")));
            }
        }
        Ok(Ok((set, wrong)))
    }

    /// Fetches files, and says which are not those that are signed.
    async fn files(&self, targets: std::collections::BTreeMap<String, TargetFile>) -> Result<Vec<String>> {
        let (places, mut tasks) = (Arc::new(Semaphore::new(FETCHES_MAX)), JoinSet::new());
        for (path, file) in targets {
            let place = Arc::clone(&places).acquire_owned().await.context("nobody closes it")?;
            let name = target_file(&path, file.hashes.prefix().as_deref());
            let Some(name) = name.and_then(|name| self.tuf.join(&format!("targets/{name}")).ok()) else {
                tasks.spawn(async move { Some(format!("mirror: {path}: makes no URL")) });
                continue;
            };
            let fetcher = Arc::clone(&self.fetcher);
            tasks.spawn(async move {
                let mut hasher = file.hashes.hasher();
                let fetched = fetcher
                    .get_into(&name, file.length, |piece| {
                        hasher.update(piece);
                        Ok(())
                    })
                    .await;
                drop(place);
                match fetched {
                    Ok(length) if length == file.length && file.hashes.matches(hasher) => None,
                    Ok(_) => Some(format!("mirror: {path}: is not the file that is signed")),
                    Err(error) => Some(format!("mirror: {path}: {error}")),
                }
            });
        }
        Ok(tasks.join_all().await.into_iter().flatten().collect())
    }
}

/// Whether a role's file is another than the ledger's of that version, or of a version that the ledger has not made. An
/// older one is a mirror that is behind: clients judge that by its age.
fn differs(ours: &Outline, role: &str, version: u64, bytes: &[u8]) -> Vec<String> {
    match ours.roles.get(role) {
        None => vec![format!("mirror: {role}: the ledger knows no such role")],
        Some((own, ..)) if version > *own => {
            vec![format!("mirror: {role}: version {version} was never made here: the ledger is at {own}")]
        }
        Some((own, want, _)) if version == *own && hex(&sha256(bytes)) != *want => {
            vec![format!("mirror: {role}: version {version} is another one than the ledger's")]
        }
        Some(_) => Vec::new(),
    }
}
