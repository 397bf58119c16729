//! A whole repository signed at once: at its founding, and where keys or the division of the bins changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tuf::write::{Commit, Issue, Line, Online, Record, Repository, Row};

use super::super::publish::Lease;
use super::at_hand::{KeysAtHand, with_online};
use super::files::put;
use super::targets::{Listed, by_path, targets_of};
use crate::blobs::layout;
use crate::model::IndexName;
use crate::store::Tx;
use crate::store::signing::TargetRow;
use crate::{Installation, Result};

/// Every bin signed anew, its file written as soon as it is signed, so that only a few are in memory at a time. The files
/// are write-once and nothing names them before the commit.
pub(super) struct Resigned {
    pub(super) records: Vec<Record>,
    pub(super) commit: Commit,
}

/// Bins that are signed in one go.
pub(super) const BINS_AT_ONCE: u32 = 16;

/// Where the rows of bins are.
pub(super) enum Listing<'a> {
    /// In the ledger, for an index.
    Ledger(&'a mut Tx, i64),
    /// Here, by bin.
    Here(BTreeMap<u32, BTreeMap<String, TargetRow>>),
}

impl Listing<'_> {
    pub(super) async fn of(&mut self, bits: u32, bin: u32) -> Result<BTreeMap<String, TargetRow>> {
        Ok(match self {
            Self::Ledger(tx, index_id) => by_path(targets_of(tx, *index_id, bits, bin).await?),
            Self::Here(bins) => bins.remove(&bin).unwrap_or_default(),
        })
    }
}

/// Signs every bin, and keeps the lease meanwhile. As everything that nothing names yet, the files are on disk when it ends.
pub(super) async fn sign_all(
    installation: &Arc<Installation>,
    index: &IndexName,
    repository: &Arc<Repository>,
    keys: &Arc<KeysAtHand>,
    issue: Issue,
    mut held: Listing<'_>,
    lease: &mut Lease,
) -> Result<Resigned> {
    let (mut records, mut lines) = (Vec::new(), Vec::new());
    let (issue, count) = (Arc::new(issue), repository.bins().count());
    for first in (0..count).step_by(BINS_AT_ONCE as usize) {
        let mut some = Vec::new();
        for bin in first..count.min(first + BINS_AT_ONCE) {
            some.push((bin, held.of(repository.bins().bits(), bin).await?));
        }
        let (of, index, issue) = (Arc::clone(installation), index.clone(), Arc::clone(&issue));
        let (repository, keys) = (Arc::clone(repository), Arc::clone(keys));
        let work = move || -> Result<Vec<(u32, Record)>> {
            let sign = |(bin, held): &(u32, BTreeMap<String, TargetRow>)| {
                let listed = Listed::of(held)?;
                let sign = |online: &Online<'_>| repository.sign_bin(*bin, &listed.rows(), &issue, online);
                let signed = with_online(&repository, &keys, sign)?.written;
                put(&of.blobs, &layout::role(&index, &signed.record.role, signed.record.version), &signed.bytes)?;
                Ok((*bin, signed.record))
            };
            some.iter().map(sign).collect()
        };
        for (bin, record) in lease.kept_while(work).await? {
            lines.push((bin, Line { version: record.version, expires: record.expires }));
            records.push(record);
        }
    }
    let (of, repository, keys) = (Arc::clone(installation), Arc::clone(repository), Arc::clone(keys));
    let work = move || {
        of.blobs.sync()?;
        with_online(&repository, &keys, |online| repository.commit_signed(&lines, &issue, online))
    };
    let commit = lease.kept_while(work).await?;
    Ok(Resigned { records, commit })
}

/// Signs bins, snapshot and timestamp.
pub(super) fn commit(
    repository: &Repository,
    keys: &KeysAtHand,
    bins: &BTreeMap<u32, BTreeMap<String, TargetRow>>,
    issue: &Issue,
) -> Result<Commit> {
    let listed = bins.iter().map(|(bin, held)| Ok((*bin, Listed::of(held)?))).collect::<Result<Vec<_>>>()?;
    let listed: Vec<(u32, Vec<Row<'_>>)> = listed.iter().map(|(bin, listed)| (*bin, listed.rows())).collect();
    with_online(repository, keys, |online| {
        repository.commit(listed.iter().map(|(bin, rows)| (*bin, &rows[..])), issue, online)
    })
}
