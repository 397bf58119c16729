//! What the publisher signs: targets to bins, bins to a snapshot, a snapshot to a timestamp (PEP 458).
//!
//! A set of changes is one commit of roles. The publisher signs it before commit 2 ([`Signing::sign`]), commit 2 stores
//! the records ([`SignedSet::store`]), and the files follow ([`Roles`]). A replay, a rebuild and a scrub make the same
//! files from the ledger alone ([`InForce`]), without a key. `tuf::write` is the engine; nothing here knows the formats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use packaging::{NormalizedName, Sha256};
use tuf::json::Value;
use tuf::layout::Target;
use tuf::role::{RoleKeys, Top};
use tuf::write::{
    BINS, Commit, Custom, Issue, Lifetimes, Line, Offline, Online, Record, Repository, Row, SignedBin, Standing,
    Written, body,
};
use tuf::{Signer, Time};

use super::log;
use crate::blobs::{Blobs, Key, layout};
use crate::keys::Keys;
use crate::model::IndexName;
use crate::render::{self, Object};
use crate::store::Tx;
use crate::store::log::LogRow;
use crate::store::signing::{self as rows, SLOT_BITS, TargetRow};
use crate::{Error, Installation, Result};

/// Role files over this many bytes have a gzip form.
const GZIP_OVER_BYTES: usize = 4 << 10;
/// Bytes of signed bins that a set holds until they are written. The work of one set may touch every bin: a project of 15,000 files
/// that is quarantined.
pub(super) const HELD_BYTES_MAX: usize = if cfg!(test) { 2 << 10 } else { 32 << 20 };
/// How often bins are looked at for those to be signed again, in seconds.
const WALK_EVERY: i64 = 3_600;
/// After this long without a change the timestamp is issued anew, alone, in seconds: the index's word that nothing
/// changed. Clients are uneasy after an hour, so two may fail.
pub(super) const STAMP_EVERY: i64 = 1_200;
const DAY: i64 = 86_400;

/// Who holds the keys of a repository, as `repositories.profile` has it.
pub(super) fn lifetimes(profile: &str) -> Lifetimes {
    let bin = if profile == "pep458" { DAY } else { 14 * DAY };
    Lifetimes { timestamp: DAY, snapshot: DAY, bin }
}

/// The time of a clock's microseconds.
pub(super) fn time(now_us: i64) -> Time {
    Time::from_seconds(now_us.div_euclid(1_000_000))
}

pub(super) fn write_error(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("signing: {error}"))
}

/// Role files, ready to be written.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// Tiles of the log and its checkpoint, which come before the timestamp that names their root.
    pub(super) log: Vec<(Key, Vec<u8>)>,
    /// Those whose names hold a version.
    pub(super) files: Vec<(Key, Vec<u8>)>,
    /// The one that names them.
    pub(super) timestamp: Option<(Key, Vec<u8>)>,
}

impl Roles {
    /// Writes the log's files, the checkpoint last.
    pub(super) fn write_log(&self, blobs: &Blobs) -> Result<()> {
        self.log.iter().try_for_each(|(key, bytes)| log::put(blobs, key, bytes))
    }

    /// Writes what is write-once.
    pub(super) fn write_files(&self, blobs: &Blobs) -> Result<()> {
        self.files.iter().try_for_each(|(key, bytes)| put(blobs, key, bytes))
    }

    /// Writes the timestamp, after everything that it leads to.
    pub(super) fn write_timestamp(&self, blobs: &Blobs) -> Result<()> {
        self.timestamp.iter().try_for_each(|(key, bytes)| put(blobs, key, bytes))
    }

    /// Everything as objects of the site, with gzip forms.
    pub(super) fn objects(self) -> impl Iterator<Item = Object> {
        let log = self.log.into_iter().flat_map(|(key, bytes)| {
            let gzip = log::compressed(&key, &bytes).map(|gzip| (key.gzip(), Some(gzip)));
            gzip.into_iter().chain([(key, Some(bytes))])
        });
        let roles = self.files.into_iter().chain(self.timestamp).flat_map(|(key, bytes)| {
            let gzip = compressed(&bytes).map(|gzip| (key.gzip(), Some(gzip)));
            gzip.into_iter().chain([(key, Some(bytes))])
        });
        log.chain(roles)
    }
}

fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    (bytes.len() > GZIP_OVER_BYTES).then(|| render::gzip(bytes))
}

fn put(blobs: &Blobs, key: &Key, bytes: &[u8]) -> Result<()> {
    if let Some(gzip) = compressed(bytes) {
        blobs.put(&key.gzip(), &gzip)?;
    }
    Ok(blobs.put(key, bytes)?)
}

/// The files by which a client begins: every root, oldest first, and what the newest leads to.
pub(super) struct Chain {
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) timestamp: Vec<u8>,
    pub(super) snapshot: Vec<u8>,
    pub(super) targets: Vec<u8>,
    pub(super) bins: Vec<u8>,
}

/// What the ledger says is in force: enough to make every role file again.
#[derive(Debug)]
pub(super) struct InForce {
    index_id: i64,
    index: IndexName,
    pub(super) profile: String,
    pub(super) repository: Repository,
    records: BTreeMap<String, Record>,
    roots: Vec<(i64, Vec<u8>)>,
    targets: Vec<u8>,
    bins: Vec<u8>,
    /// Keys that the roles may still trust and that sign nothing here any more.
    pub(super) retired: BTreeSet<String>,
    log: Option<LogRow>,
}

impl InForce {
    /// Reads it; `None` for an index that was not founded yet.
    pub(super) async fn read(tx: &mut Tx, index_id: i64, index: &IndexName) -> Result<Option<Self>> {
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
        let (index, profile) = (index.clone(), row.profile);
        let log = log::in_force(tx, index_id).await?;
        Ok(Some(Self { index_id, index, profile, repository, records, roots, targets, bins, retired, log }))
    }

    /// What its timestamps say besides.
    pub(super) fn extra(&self) -> BTreeMap<String, Value> {
        self.log.as_ref().map(LogRow::extra).unwrap_or_default()
    }

    pub(super) fn record(&self, role: &str) -> Result<&Record> {
        self.records.get(role).ok_or_else(|| Error::Internal(format!("no record of {role}")))
    }

    /// Every root, the other offline roles, the snapshot and the timestamp.
    pub(super) fn top(&self) -> Result<Roles> {
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
    pub(super) async fn bin(&self, tx: &mut Tx, bin: u32) -> Result<(Key, Vec<u8>)> {
        let record = self.record(&self.repository.bins().name(bin))?;
        let held = targets_of(tx, self.index_id, self.repository.bins().bits(), bin).await?;
        let held = held.into_iter().map(|row| (row.path.clone(), row)).collect();
        let body = Listed::of(&held)?.body(record.version, record.expires)?;
        let bytes = record.rebuild(&body).map_err(write_error)?;
        Ok((layout::role(&self.index, &record.role, record.version), bytes))
    }

    /// Writes the files of these bins, one at a time. Nothing names them before the timestamp of their snapshot.
    pub(super) async fn write_bins(
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
    pub(super) fn roles(&self) -> Vec<(String, u64, Time, RoleKeys, bool)> {
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
    pub(super) fn chain(&self) -> Result<Chain> {
        let Roles { log: _, files, timestamp } = self.top()?;
        let snapshot = layout::role(&self.index, Top::Snapshot.name(), self.record(Top::Snapshot.name())?.version);
        let lost = || Error::Internal("a role in force has no file".to_owned());
        let (_, snapshot) = files.into_iter().find(|(key, _)| *key == snapshot).ok_or_else(lost)?;
        let (_, timestamp) = timestamp.ok_or_else(lost)?;
        let roots = self.roots.iter().map(|(_, body)| body.clone()).collect();
        Ok(Chain { roots, timestamp, snapshot, targets: self.targets.clone(), bins: self.bins.clone() })
    }

    /// Version, SHA-256 in hexadecimal and length of every role file in force but the roots.
    pub(super) fn role_files(&self) -> BTreeMap<String, (u64, String, u64)> {
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

    /// The roots of the ledger, newest first.
    pub(super) fn roots(&self) -> impl Iterator<Item = &[u8]> {
        self.roots.iter().rev().map(|(_, body)| body.as_slice())
    }

    /// The bins in force.
    pub(super) fn bins(&self) -> &tuf::write::Bins {
        self.repository.bins()
    }

    /// The name of one bin.
    pub(super) fn bin_name(&self, bin: u32) -> String {
        self.repository.bins().name(bin)
    }

    /// How many bins there are.
    pub(super) fn count(&self) -> u32 {
        self.repository.bins().count()
    }
}

async fn targets_of(tx: &mut Tx, index_id: i64, bits: u32, bin: u32) -> Result<Vec<TargetRow>> {
    let width = 1_i64 << (SLOT_BITS - bits);
    rows::targets(tx, index_id, i64::from(bin) * width, (i64::from(bin) + 1) * width).await
}

fn by_path(rows: Vec<TargetRow>) -> BTreeMap<String, TargetRow> {
    rows.into_iter().map(|row| (row.path.clone(), row)).collect()
}

/// The rows of one bin in force.
pub(super) async fn targets_of_bin(tx: &mut Tx, in_force: &InForce, bin: u32) -> Result<Vec<TargetRow>> {
    targets_of(tx, in_force.index_id, in_force.repository.bins().bits(), bin).await
}

/// Targets with what the engine wants to borrow.
struct Listed<'a>(Vec<(&'a TargetRow, tuf::hash::Sha256, Option<Custom>)>);

impl<'a> Listed<'a> {
    fn of(held: &'a BTreeMap<String, TargetRow>) -> Result<Self> {
        let broken = |row: &TargetRow| Error::Internal(format!("the ledger's target {} cannot be read", row.path));
        let listed = held.values().map(|row| {
            let sha256: Sha256 = row.sha256.parse().map_err(|_| broken(row))?;
            let custom = row.custom.as_deref().map(Custom::read).transpose().map_err(|_| broken(row))?;
            Ok((row, *sha256.as_bytes(), custom))
        });
        Ok(Self(listed.collect::<Result<_>>()?))
    }

    fn rows(&self) -> Vec<Row<'_>> {
        self.0
            .iter()
            .map(|(row, sha256, custom)| Row {
                path: &row.path,
                length: row.length.cast_unsigned(),
                sha256,
                custom: custom.as_ref(),
            })
            .collect()
    }

    fn body(&self, version: u64, expires: Time) -> Result<Vec<u8>> {
        body::bin(version, expires, &self.rows()).map_err(write_error)
    }
}

/// What becomes of one target.
#[derive(Debug, Clone)]
pub(super) enum TargetChange {
    /// It is published with this content.
    Put(TargetRow),
    /// It is withdrawn.
    Drop(String),
}

/// What is signed of a file besides its own digest.
fn custom_of(provenance_sha256: &impl std::fmt::Display) -> String {
    format!(r#"{{"provenance":{{"sha256":"{provenance_sha256}"}}}}"#)
}

impl TargetChange {
    /// A distribution file that enters the site or leaves it. Its provenance is signed with it, so that nobody between
    /// can swap it or leave it away.
    pub(super) fn file(
        project: &NormalizedName,
        filename: &str,
        content: Option<(&Sha256, i64)>,
        provenance: Option<Sha256>,
    ) -> Self {
        let path = Target::Distribution { project: project.as_str(), filename }.path();
        match content {
            Some((sha256, length)) => {
                let custom = provenance.map(|sha256| custom_of(&sha256));
                Self::Put(TargetRow { path, length, sha256: sha256.to_string(), custom })
            }
            None => Self::Drop(path),
        }
    }

    /// The page among a project's objects: exactly the bytes that are served.
    pub(super) fn page(index: &IndexName, project: &NormalizedName, objects: &[Object]) -> Option<Self> {
        let page = layout::page(index, project, "json");
        let path = Target::Page { project: project.as_str() }.path();
        let (_, body) = objects.iter().find(|(key, _)| *key == page)?;
        Some(match body {
            None => Self::Drop(path),
            Some(body) => {
                let sha256 = tuf::hash::hex(&tuf::hash::sha256(body));
                Self::Put(TargetRow { path, length: body.len() as i64, sha256, custom: None })
            }
        })
    }

    fn store(&self, tx: &mut Tx, index_id: i64) {
        match self {
            Self::Put(row) => rows::set_target(tx, index_id, row),
            Self::Drop(path) => rows::drop_target(tx, index_id, path),
        }
    }

    /// The digest of a page that is put.
    pub(super) fn page_hash(&self) -> Option<tlog::Hash> {
        match self {
            Self::Put(row) if row.path.starts_with("simple/") => tlog::Hash::from_hex(&row.sha256),
            Self::Put(_) | Self::Drop(_) => None,
        }
    }

    /// Changes a bin's rows. Returns the page that nothing names after it.
    fn apply(&self, bin: &mut BTreeMap<String, TargetRow>) -> Option<String> {
        let (old, new) = match self {
            Self::Put(row) => (bin.insert(row.path.clone(), row.clone()), Some(&row.sha256)),
            Self::Drop(path) => (bin.remove(path), None),
        };
        let gone = old.filter(|old| old.path.starts_with("simple/") && Some(&old.sha256) != new);
        gone.map(|old| layout::superseded_page(&old.path, &old.sha256))
    }

    fn path(&self) -> &str {
        match self {
            Self::Put(row) => &row.path,
            Self::Drop(path) => path,
        }
    }
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
    pub(super) profile: String,
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

/// Keys, and nothing that prints them.
#[derive(Default)]
struct KeysAtHand(Keys);

impl std::fmt::Debug for KeysAtHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl KeysAtHand {
    /// The keys in an index's folder that still sign.
    fn load(installation: &Installation, index: &IndexName, retired: &BTreeSet<String>) -> Result<Self> {
        let mut keys = installation.signing_keys.load(index)?;
        keys.retain(|keyid, _| !retired.contains(keyid));
        Ok(Self(keys))
    }

    fn of(&self, role: &RoleKeys) -> Vec<&dyn Signer> {
        let known = role.keyids.iter().filter_map(|keyid| self.0.get(keyid));
        known.take(role.threshold as usize).map(|signer| &**signer).collect()
    }

    /// An online role whose keys are not all at hand.
    fn missing(&self, offline: &Offline) -> Option<&'static str> {
        let lacks = |role: &RoleKeys| (self.of(role).len() as u64) < role.threshold;
        if lacks(offline.bin_keys()) {
            return Some("the bins");
        }
        let roles = &offline.root().roles;
        let top = [Top::Snapshot, Top::Timestamp].into_iter().find(|top| roles.get(top).is_none_or(lacks));
        top.map(Top::name)
    }
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
        let (now, lifetimes) = (time(now_us), lifetimes(&self.profile));
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
    pub(super) fn has_keys(&mut self, installation: &Installation, needed: bool) -> Result<bool> {
        if self.missing_key().is_none() {
            return Ok(true);
        }
        self.keys = Arc::new(KeysAtHand::load(installation, &self.index, &self.retired)?);
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

    /// Signs a set: these changes, and what is due besides. Nothing is changed by it.
    pub(super) async fn sign(
        &self,
        tx: &mut Tx,
        changes: Vec<TargetChange>,
        due: Option<Due>,
        now_us: i64,
        extra: BTreeMap<String, Value>,
    ) -> Result<SignedSet> {
        let lifetimes = lifetimes(&self.profile);
        let issue = Issue { now: time(now_us), lifetimes, extra };
        let renew = match due {
            Some(Due::Timestamp) if changes.is_empty() => return self.stamp(issue).await,
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
            let mut signed = self.sign_bin(bin, Arc::clone(&rows), &issue).await?;
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
        let mut commit = tokio::task::spawn_blocking(commit).await.map_err(|e| Error::Internal(e.to_string()))??;
        commit.bins = bins;
        Ok(SignedSet { signed: Signed::Commit(Box::new(commit)), changes, superseded, bins: numbers, late, left })
    }

    /// Signs one bin with these rows.
    async fn sign_bin(&self, bin: u32, rows: Arc<Rows>, issue: &Issue) -> Result<SignedBin> {
        let (repository, keys, issue) = (Arc::clone(&self.repository), Arc::clone(&self.keys), issue.clone());
        let work = move || {
            let listed = Listed::of(&rows)?;
            with_online(&repository, &keys, |online| repository.sign_bin(bin, &listed.rows(), &issue, online))
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))?
    }

    async fn stamp(&self, issue: Issue) -> Result<SignedSet> {
        let (repository, keys, snapshot) =
            (Arc::clone(&self.repository), Arc::clone(&self.keys), self.snapshot.clone());
        let stamp = move || with_online(&repository, &keys, |online| repository.restamp(&snapshot, &issue, online));
        let stamped = tokio::task::spawn_blocking(stamp).await.map_err(|e| Error::Internal(e.to_string()))??;
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

/// Signs bins, snapshot and timestamp.
fn commit(
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

fn with_online<T>(
    repository: &Repository,
    keys: &KeysAtHand,
    work: impl FnOnce(&Online<'_>) -> std::result::Result<T, tuf::write::WriteError>,
) -> Result<T> {
    let (offline, none) = (repository.offline(), RoleKeys::new(Vec::new(), 1));
    let of = |top: Top| keys.of(offline.root().roles.get(&top).unwrap_or(&none));
    let (timestamp, snapshot, bins) = (of(Top::Timestamp), of(Top::Snapshot), keys.of(offline.bin_keys()));
    work(&Online { timestamp: &timestamp, snapshot: &snapshot, bins: &bins }).map_err(write_error)
}

/// Every bin signed anew, its file written as soon as it is signed, so that only a few are in memory at a time. The files
/// are write-once and nothing names them before the commit.
struct Resigned {
    records: Vec<Record>,
    commit: Commit,
}

/// Bins that are signed in one go.
const BINS_AT_ONCE: u32 = 16;

/// Where the rows of bins are.
enum Listing<'a> {
    /// In the ledger, for an index.
    Ledger(&'a mut Tx, i64),
    /// Here, by bin.
    Here(BTreeMap<u32, BTreeMap<String, TargetRow>>),
}

impl Listing<'_> {
    async fn of(&mut self, bits: u32, bin: u32) -> Result<BTreeMap<String, TargetRow>> {
        Ok(match self {
            Self::Ledger(tx, index_id) => by_path(targets_of(tx, *index_id, bits, bin).await?),
            Self::Here(bins) => bins.remove(&bin).unwrap_or_default(),
        })
    }
}

/// Signs every bin. As everything that nothing names yet, the files are on disk when it ends.
async fn sign_all(
    installation: &Arc<Installation>,
    index: &IndexName,
    repository: &Arc<Repository>,
    keys: &Arc<KeysAtHand>,
    issue: Issue,
    mut held: Listing<'_>,
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
        for (bin, record) in tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))?? {
            lines.push((bin, Line { version: record.version, expires: record.expires }));
            records.push(record);
        }
    }
    let (of, repository, keys) = (Arc::clone(installation), Arc::clone(repository), Arc::clone(keys));
    let work = move || {
        of.blobs.sync()?;
        with_online(&repository, &keys, |online| repository.commit_signed(&lines, &issue, online))
    };
    let commit = tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))??;
    Ok(Resigned { records, commit })
}

mod adopting;
mod expected;
mod founding;
mod held;
pub(super) use adopting::{Pending, adopt};
pub(super) use expected::{expected, expected_of};
pub(super) use founding::found;
use held::{Held, Left, Rows};
