//! Taking over offline roles that people signed: a rotation, other bins, a renewal. Its own commit under its own serial.
//!
//! Where the key or the division of the bins changed, every bin is signed anew; as at the founding, bins are written
//! before the commit, as nothing names them yet, and the rest follows from the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tuf::role::Top;
use tuf::write::{BINS, Issue, Record, Repository};

use super::super::log;
use super::super::publish::Lease;
use super::expected::expected;
use super::write_error;
use super::{
    InForce, KeysAtHand, Listing, Profile, Resigned, Signing, TargetChange, by_path, commit, role_path, sign_all,
    targets_of, time,
};
use crate::store::log::LogRow;
use crate::store::signing::{self as rows, TargetRow};
use crate::store::{self, Tx, audit};
use crate::{Error, Installation, Result, failpoint};

/// Offline roles that have all their signatures; those that are absent stay as they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// Who holds the keys from then on.
    pub(crate) profile: Profile,
    pub(crate) root: Option<String>,
    pub(crate) targets: Option<String>,
    pub(crate) bins: Option<String>,
    /// Key ids that sign nothing here from then on, although the roles still trust them.
    #[serde(default)]
    pub(crate) retired: BTreeSet<String>,
    /// The id of the key, in the data folder, that signs the log from then on; absent where it stays.
    #[serde(default)]
    pub(crate) log: Option<String>,
    /// Who brought it, for the audit.
    pub(crate) actor: String,
    /// Since when it waits; 0 in what an older version left.
    #[serde(default)]
    pub(crate) since_us: i64,
    /// Why it can never be taken over: it waits no longer, and the next change takes its place.
    #[serde(default)]
    pub(crate) refused: Option<String>,
}

/// How long it is tried again where what fails may be mended, such as a key that is not at hand.
const PATIENCE_US: i64 = 3_600_000_000;

impl Pending {
    /// A change that changes nothing yet.
    pub(crate) fn new(profile: Profile, actor: &str) -> Self {
        Self {
            profile,
            root: None,
            targets: None,
            bins: None,
            retired: BTreeSet::new(),
            log: None,
            actor: actor.to_owned(),
            since_us: 0,
            refused: None,
        }
    }

    /// The repository under these roles.
    ///
    /// # Errors
    /// [`Error::Conflict`] when they do not follow on what is in force.
    pub(crate) fn adopt(&self, in_force: &InForce) -> Result<Repository> {
        let or = |new: &Option<String>, old: &[u8]| new.as_ref().map_or_else(|| old.to_vec(), |new| new.clone().into());
        let root = in_force.roots.last().map(|(_, body)| body.as_slice()).unwrap_or_default();
        let (root, targets) = (or(&self.root, root), or(&self.targets, &in_force.targets));
        let adopted = in_force.repository.adopt(&root, &targets, &or(&self.bins, &in_force.bins));
        adopted.map_err(|error| Error::Conflict(format!("The signed roles do not follow on those in force: {error}.")))
    }

    /// Leaves out what is in force already: a version is kept once. Returns whether anything is left to take over.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub(crate) fn trim(&mut self, in_force: &InForce) -> Result<bool> {
        let (old, new) = (in_force.repository.offline(), self.adopt(in_force)?);
        let ((old_targets, old_bins), (targets, bins)) = (old.versions(), new.offline().versions());
        // Of the same version nothing else follows.
        self.root = self.root.take().filter(|_| new.offline().root() != old.root());
        self.targets = self.targets.take().filter(|_| targets != old_targets);
        self.bins = self.bins.take().filter(|_| bins != old_bins);
        let is_same = self.root.is_none() && self.targets.is_none() && self.bins.is_none();
        Ok(!is_same || !self.retired.is_subset(&in_force.retired) || self.profile != in_force.profile)
    }

    /// Whether it is the answer to a theft: people signed that versions are left out.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub(crate) fn is_recovery(&self, in_force: &InForce) -> Result<bool> {
        Ok(leaves_out(in_force, &self.adopt(in_force)?))
    }

    /// Whether a failure is for good, rather than of a ledger, a store or a key that is away.
    pub(crate) fn is_hopeless(&self, error: &Error, now_us: i64) -> bool {
        match error {
            Error::Ledger(failure) => store::is_broken_rule(failure),
            Error::Overtaken => false,
            Error::Unavailable(_) | Error::Blobs(_) => now_us - self.since_us > PATIENCE_US,
            Error::Rejected(_)
            | Error::NotFound(_)
            | Error::Forbidden(_)
            | Error::Conflict(_)
            | Error::Invalid(_)
            | Error::Internal(_) => true,
        }
    }
}

impl InForce {
    /// Keys that signed what is in force, and that still may.
    pub(crate) fn signed_last(&self) -> BTreeSet<String> {
        let signed = self.records.values().flat_map(|record| &record.signatures).map(|signature| &signature.keyid);
        let offline = self.repository.offline();
        let is_trusted = |keyid: &&String| {
            let is_online = [Top::Timestamp, Top::Snapshot]
                .iter()
                .any(|top| offline.root().roles.get(top).is_some_and(|role| role.keyids.contains(keyid)));
            (is_online || offline.bin_keys().keyids.contains(keyid)) && !self.retired.contains(*keyid)
        };
        signed.filter(is_trusted).cloned().collect()
    }
}

/// What the commit of an adoption stores.
pub(crate) struct Adopted {
    pending: Pending,
    repository: Arc<Repository>,
    records: Vec<Record>,
    gone: Vec<String>,
    superseded: Vec<String>,
    /// Rows that did not say what published state says.
    corrections: Vec<TargetChange>,
    retired: BTreeSet<String>,
    /// The log under another key.
    log: Option<LogRow>,
}

fn leaves_out(in_force: &InForce, repository: &Repository) -> bool {
    let ((_, old), (_, new)) = (in_force.repository.offline().versions(), repository.offline().versions());
    new > old + 1
}

/// What every bin must list, and the rows that do not say so.
type Right = (BTreeMap<u32, BTreeMap<String, TargetRow>>, Vec<TargetChange>);

/// After a theft, rows are believed as little as signatures: what published state says is signed, and rows that differ are
/// corrected. Nothing where there was none.
async fn after_theft(tx: &mut Tx, in_force: &InForce, repository: &Repository) -> Result<Option<Right>> {
    if !leaves_out(in_force, repository) {
        return Ok(None);
    }
    let shape = repository.bins();
    let right = expected(tx, in_force.index_id, &in_force.index, shape).await?;
    let (mut corrections, none) = (Vec::new(), BTreeMap::new());
    for bin in repository.unsigned() {
        let held = by_path(targets_of(tx, in_force.index_id, shape.bits(), bin).await?);
        let right = right.get(&bin).unwrap_or(&none);
        let wrong = right.values().filter(|row| held.get(&row.path) != Some(*row));
        corrections.extend(wrong.map(|row| TargetChange::Put(row.clone())));
        let gone = held.keys().filter(|path| !right.contains_key(*path));
        corrections.extend(gone.map(|path| TargetChange::Drop(path.clone())));
    }
    Ok(Some((right, corrections)))
}

/// Signs everything anew that must be, under pending roles.
///
/// # Errors
/// [`Error::Unavailable`] when the new online keys are not at hand.
pub(crate) async fn adopt(
    installation: &Arc<Installation>,
    tx: &mut Tx,
    in_force: &InForce,
    mut pending: Pending,
    lease: &mut Lease,
) -> Result<Adopted> {
    // Two submitted it at once: the second is in force by now.
    pending.trim(in_force)?;
    let repository = pending.adopt(in_force)?;
    let retired = retired(in_force, &pending, &repository);
    let keys = KeysAtHand::load(installation, &in_force.index, &retired).await?;
    if let Some(role) = keys.missing(repository.offline()) {
        return Err(Error::Unavailable(format!(
            "the new key that signs {role} is not in {}",
            installation.signing_keys.of(&in_force.index).display()
        )));
    }
    let is_anew = repository.unsigned().next().is_some();
    let (right, corrections) = match after_theft(tx, in_force, &repository).await? {
        Some((right, corrections)) => (Some(right), corrections),
        None => (None, Vec::new()),
    };
    let log = match (&pending.log, in_force.log()) {
        (Some(keyid), Some(row)) => {
            let signer = keys.0.get(keyid).cloned().ok_or_else(|| {
                Error::Unavailable(format!(
                    "the new key that signs the log is not in {}",
                    installation.signing_keys.of(&in_force.index).display()
                ))
            })?;
            Some(log::under(installation, tx, in_force.index_id, &in_force.index, row, signer).await?)
        }
        _ => None,
    };
    let now = time(installation.clock.now_us());
    let extra = log.as_ref().or(in_force.log()).map(LogRow::extra).unwrap_or_default();
    let issue = Issue { now, lifetimes: pending.profile.lifetimes(), extra };
    let (repository, keys) = (Arc::new(repository), Arc::new(keys));
    let Resigned { mut records, commit } = if is_anew {
        let held = right.map_or(Listing::Ledger(tx, in_force.index_id), Listing::Here);
        sign_all(installation, &in_force.index, &repository, &keys, issue, held, lease).await?
    } else {
        let next = Arc::clone(&repository);
        let commit = lease.kept_while(move || commit(&next, &keys, &BTreeMap::new(), &issue)).await?;
        Resigned { records: Vec::new(), commit }
    };
    failpoint::reach("adopt.signed");
    records.extend(commit.written().map(|written| written.record.clone()));
    let names: BTreeSet<String> = records.iter().map(|record| record.role.clone()).collect();
    let old = &in_force.repository;
    let top = [Top::Snapshot.name(), Top::Timestamp.name()];
    let gone: Vec<String> = match is_anew {
        true => in_force.records.keys().filter(|role| !names.contains(*role)).cloned().collect(),
        false => Vec::new(),
    };
    let replaced = in_force.records.values().filter(|record| {
        let is_timestamp = record.role == top[1];
        !is_timestamp && (names.contains(&record.role) || gone.contains(&record.role))
    });
    let mut superseded: Vec<String> = replaced.map(|record| role_path(&record.role, record.version)).collect();
    let ((old_targets, old_bins), (new_targets, new_bins)) =
        (old.offline().versions(), repository.offline().versions());
    superseded.extend((old_targets != new_targets).then(|| role_path(Top::Targets.name(), old_targets)));
    superseded.extend((old_bins != new_bins).then(|| role_path(BINS, old_bins)));
    Ok(Adopted { pending, repository, records, gone, superseded, corrections, retired, log })
}

/// Keys that sign nothing any more and that a role still trusts; what no role trusts needs no mention.
fn retired(in_force: &InForce, pending: &Pending, next: &Repository) -> BTreeSet<String> {
    let trusted = |keyid: &&String| next.offline().root().keys.contains_key(*keyid) || is_bin_key(next, keyid);
    in_force.retired.union(&pending.retired).filter(trusted).cloned().collect()
}

fn is_bin_key(repository: &Repository, keyid: &String) -> bool {
    repository.offline().bin_keys().keyids.contains(keyid)
}

impl Adopted {
    /// Whether the log has another key from then on.
    pub(crate) fn renames_log(&self) -> bool {
        self.log.is_some()
    }

    /// The adoption's part of its transaction.
    pub(crate) fn store(&self, tx: &mut Tx, index_id: i64, now_us: i64) {
        let Self { pending, repository, records, gone, superseded, corrections, retired, log } = self;
        if let Some(row) = log {
            store::log::rename(tx, index_id, row);
        }
        // Whoever forged a row need not have put it where it belongs.
        let wrong = corrections.iter().filter_map(|change| match change {
            TargetChange::Drop(path) => Some(path),
            TargetChange::Put(_) => None,
        });
        wrong.for_each(|path| rows::purge_target(tx, index_id, path));
        let right = corrections.iter().filter(|change| matches!(change, TargetChange::Put(_)));
        right.for_each(|change| change.store(tx, index_id));
        let offline = repository.offline();
        let (targets, bins) = offline.versions();
        let parts = [
            ("root", offline.root().version, &pending.root),
            (Top::Targets.name(), targets, &pending.targets),
            (BINS, bins, &pending.bins),
        ];
        let mut versions = BTreeMap::new();
        for (role, version, body) in parts {
            if let Some(body) = body {
                rows::insert_offline(tx, index_id, role, version, body.as_bytes());
                versions.insert(role, version);
            }
        }
        for role in gone {
            rows::drop_online(tx, index_id, role);
        }
        for record in records {
            rows::set_online(tx, index_id, record);
        }
        for path in superseded {
            rows::supersede(tx, index_id, path, now_us);
        }
        rows::taken(tx, index_id, pending.profile.as_str(), retired);
        let corrected: Vec<&str> = corrections.iter().map(TargetChange::path).collect();
        let detail = json!({
            "profile": pending.profile,
            "roles": versions,
            "signed_anew": records.len(),
            "corrected": corrected,
            "retired": retired,
            "log": log.as_ref().map(|row| &row.verifier),
        });
        audit::note(tx, Some(index_id), now_us, &pending.actor, "tuf.adopt", "root", detail);
    }
}

impl Signing {
    /// The pending roles of an index, if there are any.
    pub(crate) fn pending(row: &rows::RepositoryRow) -> Result<Option<Pending>> {
        row.pending.as_deref().map(|text| serde_json::from_str(text).map_err(write_error)).transpose()
    }
}
