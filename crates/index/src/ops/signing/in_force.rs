//! What the ledger says is in force: every role file can be made of it again, without a key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tuf::Time;
use tuf::event::Before;
use tuf::json::Value;
use tuf::role::{RoleKeys, Top};
use tuf::write::{BINS, Line, Offline, Record, Repository, Standing, body};

use super::super::log;
use super::files::{Roles, put};
use super::targets::{Listed, targets_of};
use super::{Profile, write_error};
use crate::blobs::{Blobs, Key, layout};
use crate::model::IndexName;
use crate::store::Tx;
use crate::store::log::LogRow;
use crate::store::signing as rows;
use crate::{Error, Result};

/// The files by which a client begins: every root, oldest first, and what the newest leads to.
pub(in super::super) struct Chain {
    pub(in super::super) roots: Vec<Vec<u8>>,
    pub(in super::super) timestamp: Vec<u8>,
    pub(in super::super) snapshot: Vec<u8>,
    pub(in super::super) targets: Vec<u8>,
    pub(in super::super) bins: Vec<u8>,
}

/// What the ledger says is in force: enough to make every role file again.
#[derive(Debug)]
pub(in super::super) struct InForce {
    pub(super) index_id: i64,
    pub(super) index: IndexName,
    pub(in super::super) profile: Profile,
    pub(in super::super) repository: Repository,
    pub(super) records: BTreeMap<String, Record>,
    pub(super) roots: Vec<(i64, Vec<u8>)>,
    pub(super) targets: Vec<u8>,
    pub(super) bins: Vec<u8>,
    /// Keys that the roles may still trust and that sign nothing here any more.
    pub(in super::super) retired: BTreeSet<String>,
    pub(super) log: Option<LogRow>,
}

impl InForce {
    /// Reads it; `None` for an index that was not founded yet.
    pub(in super::super) async fn read(tx: &mut Tx, index_id: i64, index: &IndexName) -> Result<Option<Self>> {
        let Some(row) = rows::repository(tx, index_id).await? else { return Ok(None) };
        let lost = |what: &str| Error::Internal(format!("the ledger has lost {what} of '{index}'"));
        let roots = rows::roots(tx, index_id).await?;
        let (_, root) = roots.last().ok_or_else(|| lost("the root"))?;
        let targets =
            rows::offline(tx, index_id, Top::Targets.name()).await?.ok_or_else(|| lost("the role targets"))?;
        let bins = rows::offline(tx, index_id, BINS).await?.ok_or_else(|| lost("the role bins"))?;
        let offline = Offline::read(root, &targets, &bins).map_err(write_error)?;
        let records: BTreeMap<_, _> =
            rows::online(tx, index_id).await?.into_iter().map(|record| (record.role.clone(), record)).collect();
        let lines = offline.bins().names().into_iter().map(|name| {
            let record = records.get(&name).ok_or_else(|| lost(&name))?;
            Ok(Line { version: record.version, expires: record.expires })
        });
        let version = |top: Top| records.get(top.name()).map(|record| record.version).ok_or_else(|| lost(top.name()));
        let standing = Standing {
            bins: lines.collect::<Result<_>>()?,
            snapshot: version(Top::Snapshot)?,
            timestamp: version(Top::Timestamp)?,
        };
        let repository = Repository::resume(offline, standing).map_err(write_error)?;
        let retired = row.retired()?;
        let profile = row.profile.parse().map_err(|why| Error::Internal(format!("'{index}': {why}")))?;
        let index = index.clone();
        let log = log::in_force(tx, index_id).await?;
        Ok(Some(Self { index_id, index, profile, repository, records, roots, targets, bins, retired, log }))
    }

    /// What a signing event goes on from: the signed files themselves.
    pub(in super::super) fn before(&self) -> Result<Before> {
        let roots = self.roots.iter().map(|(_, body)| body.as_slice());
        Before::read(roots, &self.targets, &self.bins).map_err(|error| Error::Internal(error.to_string()))
    }

    /// Its log, once that has begun.
    pub(in super::super) fn log(&self) -> Option<&LogRow> {
        self.log.as_ref()
    }

    /// Whose it is.
    pub(in super::super) fn index(&self) -> &IndexName {
        &self.index
    }

    /// What its timestamps say besides.
    pub(in super::super) fn extra(&self) -> BTreeMap<String, Value> {
        self.log.as_ref().map(LogRow::extra).unwrap_or_default()
    }

    pub(in super::super) fn record(&self, role: &str) -> Result<&Record> {
        self.records.get(role).ok_or_else(|| Error::Internal(format!("no record of {role}")))
    }

    /// Every root, the other offline roles, the snapshot and the timestamp.
    pub(in super::super) fn top(&self) -> Result<Roles> {
        let (index, offline) = (&self.index, self.repository.offline());
        let mut files: Vec<(Key, Vec<u8>)> = Vec::with_capacity(self.roots.len() + 3);
        let (targets, bins) = offline.versions();
        files.push((layout::role(index, Top::Targets.name(), targets), self.targets.clone()));
        files.push((layout::role(index, BINS, bins), self.bins.clone()));
        let snapshot = self.record(Top::Snapshot.name())?;
        let body = self.repository.snapshot_body(snapshot.version, snapshot.expires);
        let bytes = snapshot.rebuild(&body).map_err(write_error)?;
        files.push((layout::role(index, &snapshot.role, snapshot.version), bytes));
        // A new root may name new keys for the timestamp, so they follow one another closely.
        let root =
            |(version, body): &(i64, Vec<u8>)| (layout::role(index, "root", version.cast_unsigned()), body.clone());
        files.extend(self.roots.iter().map(root));
        let record = self.record(Top::Timestamp.name())?;
        let body = body::timestamp(record.version, record.issued, record.expires, snapshot, &self.extra());
        let bytes = record.rebuild(&body).map_err(write_error)?;
        let log =
            self.log.iter().flat_map(|row| row.cosigned(index).into_iter().chain(row.checkpoint(index))).collect();
        Ok(Roles { log, files, timestamp: Some((layout::role(index, &record.role, record.version), bytes)) })
    }

    /// The file of one bin.
    pub(in super::super) async fn bin(&self, tx: &mut Tx, bin: u32) -> Result<(Key, Vec<u8>)> {
        let record = self.record(&self.repository.bins().name(bin))?;
        let held = targets_of(tx, self.index_id, self.repository.bins().bits(), bin).await?;
        let held = held.into_iter().map(|row| (row.path.clone(), row)).collect();
        let body = Listed::of(&held)?.body(record.version, record.expires)?;
        let bytes = record.rebuild(&body).map_err(write_error)?;
        Ok((layout::role(&self.index, &record.role, record.version), bytes))
    }

    /// Writes the files of these bins, one at a time. Nothing names them before the timestamp of their snapshot.
    pub(in super::super) async fn write_bins(
        &self,
        tx: &mut Tx,
        bins: impl IntoIterator<Item = u32>,
        blobs: &Arc<Blobs>,
    ) -> Result<()> {
        for bin in bins {
            let (key, bytes) = self.bin(tx, bin).await?;
            let blobs = Arc::clone(blobs);
            let work = move || put(&blobs, &key, &bytes);
            tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))??;
        }
        Ok(())
    }

    /// Every role with its version, expiry and keys, and whether people sign it; the bins as one, by the highest
    /// version and the first expiry.
    pub(in super::super) fn roles(&self) -> Vec<(String, u64, Time, RoleKeys, bool)> {
        let (offline, none) = (self.repository.offline(), RoleKeys::new(Vec::new(), 1));
        let root = offline.root();
        let of = |top: Top| root.roles.get(&top).unwrap_or(&none).clone();
        let (targets, bins) = offline.versions();
        let versions = [root.version, targets, bins];
        let keys = [of(Top::Root), of(Top::Targets), offline.holders_of_bins().unwrap_or(&none).clone()];
        let people = offline.expiries().into_iter().zip(versions).zip(keys);
        let mut roles: Vec<_> =
            people.map(|(((role, expires), version), keys)| (role.to_owned(), version, expires, keys, true)).collect();
        for top in [Top::Snapshot, Top::Timestamp] {
            if let Some(record) = self.records.get(top.name()) {
                roles.push((record.role.clone(), record.version, record.expires, of(top), false));
            }
        }
        let lines = (0..self.count()).filter_map(|bin| self.repository.line(bin));
        let bin = lines
            .reduce(|one, two| Line { version: one.version.max(two.version), expires: one.expires.min(two.expires) });
        roles.extend(bin.map(|line| ("bin".to_owned(), line.version, line.expires, offline.bin_keys().clone(), false)));
        roles
    }

    /// The files by which a client begins.
    pub(in super::super) fn chain(&self) -> Result<Chain> {
        let Roles { log: _, files, timestamp } = self.top()?;
        let snapshot = layout::role(&self.index, Top::Snapshot.name(), self.record(Top::Snapshot.name())?.version);
        let lost = || Error::Internal("a role in force has no file".to_owned());
        let (_, snapshot) = files.into_iter().find(|(key, _)| *key == snapshot).ok_or_else(lost)?;
        let (_, timestamp) = timestamp.ok_or_else(lost)?;
        let roots = self.roots.iter().map(|(_, body)| body.clone()).collect();
        Ok(Chain { roots, timestamp, snapshot, targets: self.targets.clone(), bins: self.bins.clone() })
    }

    /// Version, SHA-256 in hexadecimal and length of every role file in force but the roots.
    pub(in super::super) fn role_files(&self) -> BTreeMap<String, (u64, String, u64)> {
        let hex = tuf::hash::hex;
        let (targets, bins) = self.repository.offline().versions();
        let whole = [(Top::Targets.name(), targets, &self.targets), (BINS, bins, &self.bins)];
        let whole = whole.map(|(role, version, body)| {
            (role.to_owned(), (version, hex(&tuf::hash::sha256(body)), body.len() as u64))
        });
        let records = self.records.values();
        let online = records.map(|one| (one.role.clone(), (one.version, hex(&one.sha256), one.length)));
        online.chain(whole).collect()
    }

    /// Whether any root of the ledger has a key of this id, in any role.
    pub(in super::super) fn had(&self, keyid: &str) -> bool {
        self.roots().any(|root| {
            let root: serde_json::Value = serde_json::from_slice(root).unwrap_or_default();
            root["signed"]["keys"].get(keyid).is_some()
        })
    }

    /// The roots of the ledger, newest first.
    pub(in super::super) fn roots(&self) -> impl Iterator<Item = &[u8]> {
        self.roots.iter().rev().map(|(_, body)| body.as_slice())
    }

    /// The bins in force.
    pub(in super::super) fn bins(&self) -> &tuf::write::Bins {
        self.repository.bins()
    }

    /// The name of one bin.
    pub(in super::super) fn bin_name(&self, bin: u32) -> String {
        self.repository.bins().name(bin)
    }

    /// How many bins there are.
    pub(in super::super) fn count(&self) -> u32 {
        self.repository.bins().count()
    }
}
