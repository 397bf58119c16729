//! A mirror's copy of the transparency log: its tiles and bundles are those that the ledger's entries make, and its signed
//! heads speak of that tree.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use client::FetchError;
use client::log::Bound;
use index::ops::audit::{LogOutline, Outline};
use tlog::entry::ENTRY_BYTES_MAX;
use tlog::tile::TILE_WIDTH;
use tlog::{Log, Origin, Peaks, Policy, TileId, TreeHead, VerifierKey, Written};
use tuf::TrustedSet;

use super::Ledger;
use super::mirror::Mirror;

/// Entries that are asked of the ledger at once: four full bundles.
const ENTRIES_AT_ONCE: u64 = 1_024;
/// Length of a signed head, in bytes.
const NOTE_BYTES_MAX: usize = 64 << 10;
/// Length of a bundle of ours, in bytes.
const BUNDLE_BYTES_MAX: usize = TILE_WIDTH as usize * (ENTRY_BYTES_MAX + 2);
/// Differing files of the log that are told by name.
const TOLD_MAX: usize = 20;

/// What of a mirror's log is not as the ledger has it.
pub(super) async fn differences(
    mirror: &Mirror,
    ledger: &Ledger<'_>,
    ours: &Outline,
    set: &TrustedSet,
) -> Result<Vec<String>> {
    let wrong = |text: &str| Ok(vec![format!("mirror: log: {text}")]);
    let (ours, bound) = match (&ours.log, Bound::of(set)) {
        (None, Ok(None)) => return Ok(Vec::new()),
        (Some(ours), Ok(Some(bound))) => (ours, bound),
        (None, Ok(Some(_))) => return wrong("the timestamp names one, and the ledger has none"),
        (Some(_), Ok(None)) => return wrong("the timestamp names none"),
        (_, Err(refused)) => return wrong(&refused.cause),
    };
    let LogOutline { origin, key, size } = ours;
    if bound.origin().as_str() != origin || bound.key().to_string() != *key {
        return wrong("the timestamp names another log than the ledger's");
    }
    let head = bound.head();
    if head.size > *size {
        return wrong(&format!("the timestamp names {} entries, and the ledger has {size}", head.size));
    }
    let key = VerifierKey::parse(key).context("the ledger's key of the log")?;
    let policy = Policy { origin: Origin::new(origin)?, log: vec![key], witnesses: Vec::new(), quorum: 0 };
    let mut replay = Replay::new(mirror, policy.origin.clone());
    replay.heads.push(("the timestamp", head));
    for (name, is_needed) in [("tlog/checkpoint", true), ("tlog/witnessed", false)] {
        match get(mirror, name, NOTE_BYTES_MAX).await? {
            None if is_needed => replay.tell(&format!("{name} is not there")),
            None => {}
            Some(bytes) => match policy.open(&bytes).map(|opened| opened.checkpoint.head()) {
                Ok(shown) if shown.size > *size => {
                    replay.tell(&format!("{name} names {} entries, and the ledger has {size}", shown.size));
                }
                Ok(shown) if shown.size < head.size && is_needed => {
                    replay.tell(&format!("{name} names {} entries, and the timestamp {}", shown.size, head.size));
                }
                Ok(shown) => replay.heads.push((name, shown)),
                Err(error) => replay.tell(&format!("{name}: {error}")),
            },
        }
    }
    replay.run(ledger, head.size).await?;
    Ok(replay.wrong)
}

/// The ledger's entries once more, and the files that they make.
struct Replay<'a> {
    mirror: &'a Mirror,
    /// As a monitor reads them, for heads in between.
    peaks: Peaks,
    log: Log,
    /// Files that are not full yet, by row and index.
    edge: BTreeMap<(Option<u8>, u64), (TileId, Vec<u8>)>,
    /// What speaks of a tree, and of which.
    heads: Vec<(&'static str, TreeHead)>,
    wrong: Vec<String>,
}

impl<'a> Replay<'a> {
    fn new(mirror: &'a Mirror, origin: Origin) -> Self {
        let (peaks, log) = (Peaks::default(), Log::new(origin));
        Self { mirror, peaks, log, edge: BTreeMap::new(), heads: Vec::new(), wrong: Vec::new() }
    }

    fn tell(&mut self, what: &str) {
        if self.wrong.len() < TOLD_MAX {
            self.wrong.push(format!("mirror: log: {what}"));
        }
    }

    /// `size`: of the tree whose files a client may ask for. What is signed of a later one was not shown to it yet.
    async fn run(&mut self, ledger: &Ledger<'_>, size: u64) -> Result<()> {
        let last = self.heads.iter().map(|(_, head)| head.size).max().unwrap_or(0);
        self.hold();
        while self.peaks.size() < last {
            let from = self.peaks.size();
            let end = if from < size { size } else { last };
            let to = end.min(from + ENTRIES_AT_ONCE);
            let entries = ledger.entries(from, to).await?;
            if entries.len() as u64 != to - from {
                bail!("the ledger has lost entries of the log between {from} and {to}");
            }
            for entry in &entries {
                self.peaks.push(entry.as_bytes())?;
                self.hold();
            }
            if from < size {
                let Written { next, tiles, bundles, checkpoint: _ } = self.log.append(&entries)?;
                self.log = next;
                for (id, bytes) in bundles.into_iter().chain(tiles) {
                    let place = (id.level(), id.index());
                    if id.is_full() {
                        self.edge.remove(&place);
                        self.compare(id, &bytes).await?;
                    } else {
                        self.edge.insert(place, (id, bytes));
                    }
                }
            }
        }
        for (id, bytes) in std::mem::take(&mut self.edge).into_values() {
            self.compare(id, &bytes).await?;
        }
        Ok(())
    }

    /// Holds whoever speaks of a tree of this size against it.
    fn hold(&mut self) {
        let now = self.peaks.head();
        let others = self.heads.iter().filter(|(_, head)| head.size == now.size && *head != now);
        let names: Vec<&str> = others.map(|(name, _)| *name).collect();
        for name in names {
            self.tell(&format!("{name} names another tree of {} entries than the ledger's", now.size));
        }
    }

    async fn compare(&mut self, id: TileId, ours: &[u8]) -> Result<()> {
        let mut theirs = get(self.mirror, &format!("tlog/{id}"), BUNDLE_BYTES_MAX).await?;
        if theirs.is_none() && !id.is_full() {
            // A partial one that was cleared away begins the full one, as clients know.
            theirs = get(self.mirror, &format!("tlog/{}", id.full()?), BUNDLE_BYTES_MAX).await?;
            theirs = theirs.map(|bytes| bytes[..bytes.len().min(ours.len())].to_vec());
        }
        match theirs {
            Some(bytes) if bytes == ours => {}
            Some(_) => self.tell(&format!("{id} is not what the ledger's entries make")),
            None => self.tell(&format!("{id} is not there")),
        }
        Ok(())
    }
}

async fn get(mirror: &Mirror, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>> {
    let url = mirror.base.join(path)?;
    match mirror.fetcher.get(&url, bytes_max).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FetchError::Missing) => Ok(None),
        Err(FetchError::TooLong(_)) => Ok(Some(Vec::new())),
        Err(error) => bail!("{url} {error}"),
    }
}
