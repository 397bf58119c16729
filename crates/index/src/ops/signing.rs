//! What the publisher signs: targets to bins, bins to a snapshot, a snapshot to a timestamp (PEP 458).
//!
//! A set of changes is one commit of roles. The publisher signs it before commit 2 ([`Signing::sign`]), commit 2 stores
//! the records ([`SignedSet::store`]), and the files follow ([`Roles`]). A replay, a rebuild and a scrub make the same
//! files from the ledger alone ([`InForce`]), without a key. `tuf::write` is the engine; nothing here knows the formats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tuf::Time;
use tuf::json::Value;
use tuf::role::Top;
use tuf::write::{Commit, Issue, Line, Record, Repository, SignedBin, Written};

use super::publish::Lease;
use crate::blobs::layout;
use crate::model::IndexName;
use crate::store::Tx;
use crate::store::signing as rows;
use crate::{Error, Installation, Result};

mod adopting;
mod at_hand;
mod expected;
mod files;
mod founding;
mod held;
mod in_force;
mod profile;
mod targets;
mod whole;

pub(super) use adopting::{Pending, adopt};
use at_hand::{KeysAtHand, with_online};
pub(super) use expected::{expected, expected_of};
pub(super) use files::Roles;
pub(super) use founding::found;
use held::{Held, Left, Rows};
pub(super) use in_force::InForce;
pub use profile::Profile;
use targets::{Listed, by_path, custom_of, targets_of};
pub(super) use targets::{TargetChange, targets_of_bin};
use whole::{Listing, Resigned, commit, sign_all};

/// Bytes of signed bins that a set holds until they are written. The work of one set may touch every bin: a project of 15,000 files
/// that is quarantined.
pub(super) const HELD_BYTES_MAX: usize = if cfg!(test) { 2 << 10 } else { 32 << 20 };
/// How often bins are looked at for those to be signed again, in seconds.
const WALK_EVERY: i64 = 3_600;
/// After this long without a change the timestamp is issued anew, alone, in seconds: the index's word that nothing
/// changed. Clients are uneasy after an hour, so two may fail.
pub(super) const STAMP_EVERY: i64 = 1_200;
/// How long people's signatures are good for, in days.
pub(super) const OFFLINE_DAYS: i64 = 365;
const DAY: i64 = 86_400;

/// The time of a clock's microseconds.
pub(super) fn time(now_us: i64) -> Time {
    Time::from_seconds(now_us.div_euclid(1_000_000))
}

pub(super) fn write_error(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("signing: {error}"))
}

/// What must be signed although nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// The word that nothing changed.
    Timestamp,
    /// These bins, and a snapshot of them.
    Bins(Vec<u32>),
}

/// What a set signed.
#[derive(Debug)]
enum Signed {
    Commit(Box<Commit>),
    Timestamp(Written),
}

/// One set, signed but not yet committed.
#[derive(Debug)]
pub(super) struct SignedSet {
    signed: Signed,
    changes: Vec<TargetChange>,
    /// Objects that nothing names after it.
    superseded: Vec<String>,
    /// The bins that it signed, for the redo record.
    pub(super) bins: Vec<u32>,
    /// Those of them whose bytes are not held: they are made again from the ledger once it has them ([`InForce::write_bins`]).
    pub(super) late: Vec<u32>,
    left: Left,
}

impl SignedSet {
    /// Commit 2's part.
    pub(super) fn store(&self, tx: &mut Tx, index_id: i64, now_us: i64) {
        self.changes.iter().for_each(|change| change.store(tx, index_id));
        match &self.signed {
            Signed::Commit(commit) => {
                commit.written().for_each(|written| rows::set_online(tx, index_id, &written.record));
            }
            Signed::Timestamp(written) => rows::set_online(tx, index_id, &written.record),
        }
        for path in &self.superseded {
            rows::supersede(tx, index_id, path, now_us);
        }
    }

    /// The files.
    pub(super) fn roles(&self, index: &IndexName) -> Roles {
        let file = |written: &Written| {
            (layout::role(index, &written.record.role, written.record.version), written.bytes.clone())
        };
        match &self.signed {
            Signed::Commit(commit) => {
                let bins = commit.bins.iter().filter(|bin| !bin.written.bytes.is_empty());
                let bins = bins.map(|bin| file(&bin.written));
                Roles {
                    log: Vec::new(),
                    files: bins.chain([file(&commit.snapshot)]).collect(),
                    timestamp: Some(file(&commit.timestamp)),
                }
            }
            Signed::Timestamp(written) => Roles { log: Vec::new(), files: Vec::new(), timestamp: Some(file(written)) },
        }
    }
}

/// Where a role's version stands below the site.
fn role_path(role: &str, version: u64) -> String {
    format!("tuf/{}", tuf::layout::role_file(role, Some(version)))
}

/// The publisher's memory of one repository: versions and expiries, and the targets of the bins that it signed last.
#[derive(Debug)]
pub(super) struct Signing {
    index_id: i64,
    index: IndexName,
    repository: Arc<Repository>,
    profile: Profile,
    /// The snapshot in force, which the next timestamp names where nothing changes.
    snapshot: Record,
    /// When the timestamp was issued.
    stamped: Time,
    retired: BTreeSet<String>,
    /// When bins were last looked at for those that are due.
    walked: Option<Time>,
    complained: Option<Time>,
    keys: Arc<KeysAtHand>,
    held: Held,
}

impl Signing {
    /// From what is in force.
    pub(super) fn new(in_force: InForce) -> Result<Self> {
        let stamped = in_force.record(Top::Timestamp.name())?.issued;
        let snapshot = in_force.record(Top::Snapshot.name())?.clone();
        let InForce { index_id, index, profile, repository, retired, .. } = in_force;
        let (repository, keys, walked, complained) = (Arc::new(repository), Arc::default(), None, None);
        let held = Held::default();
        Ok(Self { index_id, index, repository, profile, snapshot, stamped, retired, walked, complained, keys, held })
    }

    /// What is due although nothing changed. A snapshot is renewed when half of its life is over; bins when theirs is,
    /// spread evenly; a timestamp before any client could take the index for frozen.
    pub(super) fn due(&mut self, now_us: i64) -> Option<Due> {
        let (now, lifetimes) = (time(now_us), self.profile.lifetimes());
        let elapsed = self.walked.map(|at| now.seconds() - at.seconds());
        let bins = if elapsed.is_none_or(|elapsed| elapsed >= WALK_EVERY) {
            self.walked = Some(now);
            self.repository.due(now, lifetimes.bin, elapsed.unwrap_or(0))
        } else {
            Vec::new()
        };
        if !bins.is_empty() || self.snapshot.expires <= now.plus(lifetimes.snapshot / 2) {
            return Some(Due::Bins(bins));
        }
        (now.seconds() - self.stamped.seconds() >= STAMP_EVERY).then_some(Due::Timestamp)
    }

    /// Whether the keys that sign all day are at hand; looks for them where they are not. Without them nothing is
    /// renewed, which is said once an hour; a rebuild needs no key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where they are `needed`: which key is missing, and where it is looked for.
    pub(super) async fn has_keys(&mut self, installation: &Installation, needed: bool) -> Result<bool> {
        if self.missing_key().is_none() {
            return Ok(true);
        }
        self.keys = Arc::new(KeysAtHand::load(installation, &self.index, &self.retired).await?);
        let Some(role) = self.missing_key() else { return Ok(true) };
        let why = format!(
            "nothing can be published in '{}': the key that signs {role} is not in {}; bring it back from a backup",
            self.index,
            installation.signing_keys.of(&self.index).display()
        );
        if needed {
            return Err(Error::Unavailable(why));
        }
        let now = time(installation.clock.now_us());
        if self.complained.is_none_or(|at| now.seconds() - at.seconds() >= WALK_EVERY) {
            self.complained = Some(now);
            tracing::warn!(why);
        }
        Ok(false)
    }

    fn missing_key(&self) -> Option<&'static str> {
        self.keys.missing(self.repository.offline())
    }

    /// Signs a set: these changes, and what is due besides. Nothing is changed by it but the lease, which is kept meanwhile.
    pub(super) async fn sign(
        &self,
        tx: &mut Tx,
        changes: Vec<TargetChange>,
        due: Option<Due>,
        now_us: i64,
        extra: BTreeMap<String, Value>,
        lease: &mut Lease,
    ) -> Result<SignedSet> {
        let issue = Issue { now: time(now_us), lifetimes: self.profile.lifetimes(), extra };
        let renew = match due {
            Some(Due::Timestamp) if changes.is_empty() => return self.stamp(issue, lease).await,
            Some(Due::Bins(bins)) => bins,
            Some(Due::Timestamp) | None => Vec::new(),
        };
        let shape = self.repository.bins();
        let mut by_bin: BTreeMap<u32, Vec<&TargetChange>> = renew.iter().map(|bin| (*bin, Vec::new())).collect();
        for change in &changes {
            by_bin.entry(shape.of(change.path())).or_default().push(change);
        }
        let numbers: Vec<u32> = by_bin.keys().copied().collect();
        let mut superseded = self.superseded(numbers.iter().copied());
        let (mut bins, mut lines, mut late, mut held_bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut left = Left::default();
        for (bin, changes) in by_bin {
            let mut rows = match self.held.get(bin) {
                Some(rows) => rows,
                None => {
                    let read = targets_of(tx, self.index_id, shape.bits(), bin).await?;
                    Arc::new(read.into_iter().map(|row| (row.path.clone(), row)).collect())
                }
            };
            if !changes.is_empty() {
                let rows = Arc::make_mut(&mut rows);
                superseded.extend(changes.iter().filter_map(|change| change.apply(rows)));
            }
            let mut signed = self.sign_bin(bin, Arc::clone(&rows), &issue, lease).await?;
            left.add(bin, rows);
            lines.push((bin, Line { version: signed.written.record.version, expires: signed.written.record.expires }));
            held_bytes += signed.written.bytes.len();
            if held_bytes > HELD_BYTES_MAX {
                signed.written.bytes = Vec::new();
                late.push(bin);
            }
            bins.push(signed);
        }
        let (repository, keys) = (Arc::clone(&self.repository), Arc::clone(&self.keys));
        let commit = move || with_online(&repository, &keys, |online| repository.commit_signed(&lines, &issue, online));
        let mut commit = lease.kept_while(commit).await?;
        commit.bins = bins;
        Ok(SignedSet { signed: Signed::Commit(Box::new(commit)), changes, superseded, bins: numbers, late, left })
    }

    /// Signs one bin with these rows.
    async fn sign_bin(&self, bin: u32, rows: Arc<Rows>, issue: &Issue, lease: &mut Lease) -> Result<SignedBin> {
        let (repository, keys, issue) = (Arc::clone(&self.repository), Arc::clone(&self.keys), issue.clone());
        let work = move || {
            let listed = Listed::of(&rows)?;
            with_online(&repository, &keys, |online| repository.sign_bin(bin, &listed.rows(), &issue, online))
        };
        lease.kept_while(work).await
    }

    async fn stamp(&self, issue: Issue, lease: &mut Lease) -> Result<SignedSet> {
        let (repository, keys, snapshot) =
            (Arc::clone(&self.repository), Arc::clone(&self.keys), self.snapshot.clone());
        let stamp = move || with_online(&repository, &keys, |online| repository.restamp(&snapshot, &issue, online));
        let stamped = lease.kept_while(stamp).await?;
        let signed = Signed::Timestamp(stamped);
        let (bins, late, left) = (Vec::new(), Vec::new(), Left::default());
        Ok(SignedSet { signed, changes: Vec::new(), superseded: Vec::new(), bins, late, left })
    }

    /// The files of these bins and of the snapshot, which a commit supersedes.
    fn superseded(&self, bins: impl Iterator<Item = u32>) -> Vec<String> {
        let repository = &self.repository;
        let old = bins.filter_map(|bin| Some((repository.bins().name(bin), repository.line(bin)?.version)));
        let all = old.chain([(Top::Snapshot.name().to_owned(), repository.snapshot_version())]);
        all.filter(|(_, version)| *version > 0).map(|(role, version)| role_path(&role, version)).collect()
    }

    /// Goes on from a set that commit 2 took.
    pub(super) fn apply(&mut self, set: SignedSet) -> Result<()> {
        let repository = Arc::make_mut(&mut self.repository);
        let (stamped, applied) = match set.signed {
            Signed::Commit(commit) => {
                self.snapshot = commit.snapshot.record.clone();
                (commit.timestamp.record.issued, repository.apply(*commit))
            }
            Signed::Timestamp(written) => (written.record.issued, repository.apply_timestamp(&written)),
        };
        self.stamped = stamped;
        set.left.settle(&mut self.held);
        applied.map_err(write_error)
    }
}
