//! The engine: which version of each role stands, and what the next commit signs.

use std::collections::{BTreeMap, BTreeSet};

use super::body::{self, Body, Record, Row, Written};
use super::offline::Offline;
use super::snapshot::SnapshotBody;
use super::{Bins, WriteError};
use crate::json::Value;
use crate::keys::Signer;
use crate::role::{RoleKeys, Top};
use crate::time::Time;

/// How long online roles are good for, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of a timestamp.
    pub timestamp: i64,
    /// Of a snapshot.
    pub snapshot: i64,
    /// Of a bin.
    pub bin: i64,
}

/// What a commit is told of the world.
#[derive(Debug, Clone, PartialEq)]
pub struct Issue {
    /// Now.
    pub now: Time,
    /// How long what it signs is good for.
    pub lifetimes: Lifetimes,
    /// What else the timestamp binds, such as the checkpoint of the log.
    pub extra: BTreeMap<String, Value>,
}

/// The online keys. One key may be all three.
#[derive(Clone, Copy)]
pub struct Online<'a> {
    /// For the timestamp.
    pub timestamp: &'a [&'a dyn Signer],
    /// For the snapshot.
    pub snapshot: &'a [&'a dyn Signer],
    /// For every bin.
    pub bins: &'a [&'a dyn Signer],
}

impl std::fmt::Debug for Online<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Online").finish_non_exhaustive()
    }
}

/// Version and expiry of a bin; version 0 is one that was never signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires: Time,
}

/// What a ledger knows of the online roles, to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Every bin in order.
    pub bins: Vec<Line>,
    /// Version of the snapshot.
    pub snapshot: u64,
    /// Version of the timestamp.
    pub timestamp: u64,
}

/// A bin that was signed but is in no snapshot yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBin {
    /// Its number.
    pub bin: u32,
    /// Record and file.
    pub written: Written,
}

/// Everything that one set of changes signs. It changes nothing until [`Repository::apply`]: a commit that the ledger
/// did not take is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The changed bins.
    pub bins: Vec<SignedBin>,
    /// The snapshot.
    pub snapshot: Written,
    /// The timestamp.
    pub timestamp: Written,
    lines: Vec<(u32, Line)>,
    body: SnapshotBody,
}

impl Commit {
    /// In the order in which files must be written: bins, snapshot, timestamp. Where offline roles changed too, `targets`
    /// and `bins` come first, and the root right before the timestamp, which then needs the new keys.
    pub fn written(&self) -> impl Iterator<Item = &Written> {
        self.bins.iter().map(|bin| &bin.written).chain([&self.snapshot, &self.timestamp])
    }
}

/// The state of one repository: small enough to be held for as long as a publisher lives (some 60 bytes a bin).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    offline: Offline,
    lines: Vec<Line>,
    /// Bins that must be signed before there can be a snapshot.
    unsigned: BTreeSet<u32>,
    snapshot: SnapshotBody,
    snapshot_version: u64,
    timestamp_version: u64,
}

const NEVER: Line = Line { version: 0, expires: Time::from_seconds(0) };

impl Repository {
    /// A new one: every bin must be part of its first commit.
    pub fn found(offline: Offline) -> Self {
        let bins = vec![NEVER; offline.bins.count() as usize];
        Self::standing(offline, Standing { bins, snapshot: 0, timestamp: 0 })
    }

    /// One that goes on from what the ledger knows.
    pub fn resume(offline: Offline, standing: Standing) -> Result<Self, WriteError> {
        if standing.bins.len() != offline.bins.count() as usize {
            return Err(WriteError::Order("another number of bins"));
        }
        Ok(Self::standing(offline, standing))
    }

    fn standing(offline: Offline, standing: Standing) -> Self {
        let Standing { bins: lines, snapshot: snapshot_version, timestamp: timestamp_version } = standing;
        let unsigned = (0..).zip(&lines).filter(|(_, line)| line.version == 0).map(|(bin, _)| bin).collect();
        let versions = lines.iter().map(|line| line.version);
        let snapshot = SnapshotBody::new(&offline.bins, offline.targets.version, offline.bins_role.version, versions);
        Self { offline, lines, unsigned, snapshot, snapshot_version, timestamp_version }
    }

    /// The offline roles in force.
    pub fn offline(&self) -> &Offline {
        &self.offline
    }

    /// The bins.
    pub fn bins(&self) -> &Bins {
        &self.offline.bins
    }

    /// Version and expiry of a bin.
    pub fn line(&self, bin: u32) -> Option<Line> {
        self.lines.get(bin as usize).copied()
    }

    /// The version of the snapshot; 0 before the first.
    pub fn snapshot_version(&self) -> u64 {
        self.snapshot_version
    }

    /// Bins that must be part of the next commit.
    pub fn unsigned(&self) -> impl Iterator<Item = u32> {
        self.unsigned.iter().copied()
    }

    /// The canonical body of a snapshot of this state, for a rebuild: with the version and expiry of its record.
    pub fn snapshot_body(&self, version: u64, expires: Time) -> Vec<u8> {
        self.snapshot.next(std::iter::empty(), version, expires).canonical().to_vec()
    }

    /// Renders and signs the next version of a bin. Touches nothing: bins may be signed side by side and streamed to
    /// where they are stored, and then [`Self::commit_signed`].
    pub fn sign_bin(
        &self,
        bin: u32,
        rows: &[Row<'_>],
        issue: &Issue,
        online: &Online<'_>,
    ) -> Result<SignedBin, WriteError> {
        let line = self.line(bin).ok_or(WriteError::Bins)?;
        let role = self.offline.bins.name(bin);
        may_sign(&self.offline.bin_keys, online.bins, &role)?;
        let (version, issued) = (line.version + 1, issue.now);
        let expires = issued.plus(issue.lifetimes.bin);
        let canonical = body::bin(version, expires, rows)?;
        let written = Body { role, version, issued, expires, canonical }.sign(online.bins)?;
        Ok(SignedBin { bin, written })
    }

    /// Signs the bins with these rows, a snapshot and a timestamp. Without any bin it renews the latter two.
    pub fn commit<'r>(
        &self,
        changes: impl IntoIterator<Item = (u32, &'r [Row<'r>])>,
        issue: &Issue,
        online: &Online<'_>,
    ) -> Result<Commit, WriteError> {
        let bins = changes
            .into_iter()
            .map(|(bin, rows)| self.sign_bin(bin, rows, issue, online))
            .collect::<Result<Vec<_>, _>>()?;
        let lines: Vec<(u32, Line)> = bins
            .iter()
            .map(|one| (one.bin, Line { version: one.written.record.version, expires: one.written.record.expires }))
            .collect();
        let commit = self.commit_signed(&lines, issue, online)?;
        Ok(Commit { bins, ..commit })
    }

    /// Signs a snapshot and a timestamp for bins that [`Self::sign_bin`] signed and the caller has stored.
    pub fn commit_signed(
        &self,
        lines: &[(u32, Line)],
        issue: &Issue,
        online: &Online<'_>,
    ) -> Result<Commit, WriteError> {
        let root = &self.offline.root;
        let keys = |top: Top| root.roles.get(&top).ok_or(WriteError::Bins);
        may_sign(keys(Top::Snapshot)?, online.snapshot, Top::Snapshot.name())?;
        may_sign(keys(Top::Timestamp)?, online.timestamp, Top::Timestamp.name())?;
        let mut seen = BTreeSet::new();
        for (bin, line) in lines {
            let old = self.line(*bin).ok_or(WriteError::Bins)?;
            if !seen.insert(*bin) || line.version != old.version + 1 {
                return Err(WriteError::Order("a bin is there twice, or of another version than the next"));
            }
        }
        let missing = self.unsigned.difference(&seen).count();
        if missing > 0 {
            return Err(WriteError::Unsigned(missing));
        }
        let (issued, version) = (issue.now, self.snapshot_version + 1);
        let expires = issued.plus(issue.lifetimes.snapshot);
        let body = self.snapshot.next(lines.iter().map(|(bin, line)| (*bin, line.version)), version, expires);
        let role = Top::Snapshot.name().to_owned();
        let signatures = crate::signed::sign(body.canonical(), online.snapshot)?;
        let snapshot = Body { role, version, issued, expires, canonical: body.canonical().to_vec() }.with(signatures);
        let timestamp = self.stamp(&snapshot.record, issue, online)?;
        Ok(Commit { bins: Vec::new(), snapshot, timestamp, lines: lines.to_vec(), body })
    }

    fn stamp(&self, snapshot: &Record, issue: &Issue, online: &Online<'_>) -> Result<Written, WriteError> {
        let (version, issued) = (self.timestamp_version + 1, issue.now);
        let expires = issued.plus(issue.lifetimes.timestamp);
        let canonical = body::timestamp(version, issued, expires, snapshot, &issue.extra);
        let role = Top::Timestamp.name().to_owned();
        Ok(Body { role, version, issued, expires, canonical }.sign(online.timestamp)?)
    }

    /// Signs a new timestamp for the snapshot that stands: the index's word that nothing changed. A client then reads
    /// half a kilobyte and no snapshot.
    pub fn restamp(&self, snapshot: &Record, issue: &Issue, online: &Online<'_>) -> Result<Written, WriteError> {
        let holders = self.offline.root.roles.get(&Top::Timestamp).ok_or(WriteError::Bins)?;
        may_sign(holders, online.timestamp, Top::Timestamp.name())?;
        if snapshot.role != Top::Snapshot.name() || snapshot.version != self.snapshot_version {
            return Err(WriteError::Order("another snapshot than the one that stands"));
        }
        if !self.unsigned.is_empty() {
            return Err(WriteError::Unsigned(self.unsigned.len()));
        }
        self.stamp(snapshot, issue, online)
    }

    /// Makes a timestamp of [`Self::restamp`] the state: after the ledger took it.
    pub fn apply_timestamp(&mut self, timestamp: &Written) -> Result<(), WriteError> {
        let Record { role, version, .. } = &timestamp.record;
        if role != Top::Timestamp.name() || *version != self.timestamp_version + 1 {
            return Err(WriteError::Order("a timestamp was made from another state"));
        }
        self.timestamp_version = *version;
        Ok(())
    }

    /// Makes a commit the state: after the ledger took it.
    pub fn apply(&mut self, commit: Commit) -> Result<(), WriteError> {
        let Commit { bins: _, snapshot, timestamp, lines, body } = commit;
        let follows = snapshot.record.version == self.snapshot_version + 1
            && timestamp.record.version == self.timestamp_version + 1
            && lines.iter().all(|(bin, line)| self.line(*bin).is_some_and(|old| line.version == old.version + 1));
        if !follows {
            return Err(WriteError::Order("a commit was made from another state"));
        }
        for (bin, line) in lines {
            self.lines[bin as usize] = line;
            self.unsigned.remove(&bin);
        }
        (self.snapshot_version, self.timestamp_version) = (body.version(), timestamp.record.version);
        self.snapshot = body;
        Ok(())
    }

    /// The state under other offline roles. Roots come one version after another, signed by the old and the new holders.
    /// Where the key or the division of the bins changed, every bin must be part of the next commit.
    ///
    /// Where `bins` left versions out, every bin, the snapshot and the timestamp leave out as many, beyond what an
    /// attacker who held the online key may have signed ([`super::Recovery::jump`]). So the holders sign the jump too.
    pub fn adopt(&self, root: &[u8], targets: &[u8], bins: &[u8]) -> Result<Self, WriteError> {
        let next = Offline::read(root, targets, bins)?;
        self.follows(&next, root)?;
        let jump = next.bins_role.version.saturating_sub(self.offline.bins_role.version).saturating_sub(1);
        let is_divided_anew = next.bins != self.offline.bins;
        // A key that comes on top, such as a standby, makes no signature bad.
        let (old, new) = (&self.offline.bin_keys, &next.bin_keys);
        let is_widened = new.threshold <= old.threshold && old.keyids.iter().all(|keyid| new.keyids.contains(keyid));
        let is_signed_anew = is_divided_anew || jump > 0 || !is_widened;
        let bins = if is_divided_anew { vec![NEVER; next.bins.count() as usize] } else { self.lines.clone() };
        let bins = bins.into_iter().map(|line| Line { version: line.version.saturating_add(jump), ..line }).collect();
        let snapshot = self.snapshot_version.saturating_add(jump);
        let timestamp = self.timestamp_version.saturating_add(jump);
        let mut adopted = Self::standing(next, Standing { bins, snapshot, timestamp });
        if is_signed_anew {
            adopted.unsigned = (0..adopted.bins().count()).collect();
        } else {
            // Two changes in a row: what the first one asked for is still to be done.
            adopted.unsigned.extend(&self.unsigned);
        }
        Ok(adopted)
    }

    fn follows(&self, next: &Offline, root: &[u8]) -> Result<(), WriteError> {
        let old = &self.offline;
        if next.root != old.root {
            if next.root.version != old.root.version + 1 {
                return Err(WriteError::Order("roots follow one another without a gap"));
            }
            let signed: crate::Signed<crate::Root> = crate::Signed::parse(root, root.len())
                .map_err(|why| WriteError::Format { role: "root".to_owned(), why })?;
            let holders = old.root.roles.get(&Top::Root).ok_or(WriteError::Bins)?;
            let verified = signed.verify(&old.root.keys, holders);
            verified.map_err(|why| WriteError::NotSigned { role: "root".to_owned(), why })?;
        }
        for (old, new) in [(&old.targets, &next.targets), (&old.bins_role, &next.bins_role)] {
            if new.version < old.version || new.version == old.version && new != old {
                return Err(WriteError::Order("an offline role changed without a new version"));
            }
        }
        Ok(())
    }

    /// The bins to be signed again now, soonest expiry first, where `elapsed` seconds passed since the last time.
    ///
    /// A bin is due when half of its lifetime is over, but no more are taken than an even walk over that half needs,
    /// so that bins that were signed together do not change together for ever. What has less than a tenth left is
    /// always taken.
    pub fn due(&self, now: Time, lifetime: i64, elapsed: i64) -> Vec<u32> {
        let half = (lifetime / 2).max(1);
        let share = i128::from(elapsed.clamp(0, half)) * self.lines.len() as i128;
        let even = usize::try_from((share + i128::from(half) - 1) / i128::from(half)).unwrap_or(usize::MAX);
        let mut due: Vec<(Time, u32)> = (0..)
            .zip(&self.lines)
            .filter(|(_, line)| line.version > 0 && line.expires <= now.plus(half))
            .map(|(bin, line)| (line.expires, bin))
            .collect();
        due.sort_unstable();
        let urgent = due.iter().take_while(|(expires, _)| *expires <= now.plus(lifetime / 10)).count();
        due.into_iter().take(even.max(urgent)).map(|(_, bin)| bin).collect()
    }
}

/// Whether these may sign for a role, and are enough: what they would sign else, every client refuses.
fn may_sign(keys: &RoleKeys, signers: &[&dyn Signer], role: &str) -> Result<(), WriteError> {
    let keyids: BTreeSet<&str> = signers.iter().map(|signer| signer.keyid()).collect();
    let may = keyids.iter().all(|keyid| keys.keyids.iter().any(|known| known == keyid));
    if !may || (keyids.len() as u64) < keys.threshold {
        return Err(WriteError::Signers { role: role.to_owned() });
    }
    Ok(())
}
