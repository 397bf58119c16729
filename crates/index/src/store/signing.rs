//! The signed repository of an index: roles, targets, and what they superseded. All but `pending` is published state,
//! written only in commit 2.

use std::collections::BTreeSet;

use tuf::write::Record;
use tuf::{Signature, Time};

use super::db::{Tx, args, statements};
use crate::{Error, Result};

statements! {
    REPOSITORY = "SELECT profile, founded_us, pending, retired FROM repositories WHERE index_id = $1";
    FOUND = "INSERT INTO repositories (index_id, profile, founded_us) VALUES ($1, $2, $3)";
    SET_PENDING = "UPDATE repositories SET pending = $2 WHERE index_id = $1 AND pending IS NULL";
    REPLACE_PENDING = "UPDATE repositories SET pending = $2 WHERE index_id = $1 AND pending = $3";
    TAKEN = "UPDATE repositories SET pending = NULL, profile = $2, retired = $3 WHERE index_id = $1 \
             AND pending IS NOT NULL";
    INSERT_OFFLINE = "INSERT INTO offline_roles (index_id, role, version, body) VALUES ($1, $2, $3, $4)";
    OFFLINE_VERSION = "SELECT body FROM offline_roles WHERE index_id = $1 AND role = $2 AND version = $3";
    OFFLINE = "SELECT body FROM offline_roles WHERE index_id = $1 AND role = $2 ORDER BY version DESC LIMIT 1";
    ROOTS = "SELECT version, body FROM offline_roles WHERE index_id = $1 AND role = 'root' ORDER BY version";
    ONLINE = "SELECT role, version, issued, expires, signatures, sha256, length FROM online_roles WHERE index_id = $1";
    ONE_ONLINE = "SELECT role, version, issued, expires, signatures, sha256, length FROM online_roles \
                  WHERE index_id = $1 AND role = $2";
    SET_ONLINE = "INSERT INTO online_roles (index_id, role, version, issued, expires, signatures, sha256, length) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (index_id, role) DO UPDATE SET \
                  version = excluded.version, issued = excluded.issued, expires = excluded.expires, \
                  signatures = excluded.signatures, sha256 = excluded.sha256, length = excluded.length \
                  WHERE online_roles.version < excluded.version";
    DROP_ONLINE = "DELETE FROM online_roles WHERE index_id = $1 AND role = $2";
    TARGETS = "SELECT path, length, sha256, custom FROM targets WHERE index_id = $1 AND slot >= $2 AND slot < $3";
    TARGET = "SELECT path, length, sha256, custom FROM targets WHERE index_id = $1 AND slot = $2 AND path = $3";
    COUNT_TARGETS = "SELECT COUNT(*) FROM targets WHERE index_id = $1";
    SET_TARGET = "INSERT INTO targets (index_id, slot, path, length, sha256, custom) VALUES ($1, $2, $3, $4, $5, $6) \
                  ON CONFLICT (index_id, slot, path) DO UPDATE SET length = excluded.length, sha256 = excluded.sha256, \
                  custom = excluded.custom";
    DROP_TARGET = "DELETE FROM targets WHERE index_id = $1 AND slot = $2 AND path = $3";
    PURGE_TARGET = "DELETE FROM targets WHERE index_id = $1 AND path = $2";
    SUPERSEDE = "INSERT INTO superseded (index_id, path, since_us) VALUES ($1, $2, $3) \
                 ON CONFLICT (index_id, path) DO UPDATE SET since_us = excluded.since_us";
    IN_FORCE_AGAIN = "DELETE FROM superseded WHERE index_id = $1 AND path = $2";
    SUPERSEDED = "SELECT path FROM superseded WHERE index_id = $1 AND since_us < $2 ORDER BY since_us LIMIT $3";
}

/// A repository that was founded.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RepositoryRow {
    /// Who holds its keys: `dev`, `team` or `pep458`.
    pub profile: String,
    /// Since when.
    pub founded_us: i64,
    /// Offline roles that the publisher has yet to take over, as JSON.
    pub pending: Option<String>,
    retired: String,
}

impl RepositoryRow {
    /// Key ids that sign nothing here any more, whatever the roles say.
    pub fn retired(&self) -> Result<BTreeSet<String>> {
        let broken = |_| Error::Internal("the ledger's list of retired keys cannot be read".to_owned());
        serde_json::from_str(&self.retired).map_err(broken)
    }
}

#[derive(Debug, Clone, sqlx::FromRow)]
struct OnlineRow {
    role: String,
    version: i64,
    issued: i64,
    expires: i64,
    signatures: String,
    sha256: String,
    length: i64,
}

impl OnlineRow {
    fn record(self) -> Result<Record> {
        let Self { role, version, issued, expires, signatures, sha256, length } = self;
        let broken = || Error::Internal(format!("the ledger's record of {role} cannot be read"));
        let pairs: Vec<(String, String)> = serde_json::from_str(&signatures).map_err(|_| broken())?;
        let signatures = pairs.into_iter().map(|(keyid, sig)| Signature { keyid, sig }).collect();
        Ok(Record {
            version: version.try_into().map_err(|_| broken())?,
            issued: Time::from_seconds(issued),
            expires: Time::from_seconds(expires),
            signatures,
            sha256: *sha256.parse::<packaging::Sha256>().map_err(|_| broken())?.as_bytes(),
            length: length.try_into().map_err(|_| broken())?,
            role,
        })
    }
}

/// A target as the bins list it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TargetRow {
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub length: i64,
    /// Its content, hex.
    pub sha256: String,
    /// What the application adds, as canonical JSON.
    pub custom: Option<String>,
}

impl TargetRow {
    /// Whether both name the same bytes; what the application adds is not compared.
    pub fn is_of(&self, other: &Self) -> bool {
        (&self.path, self.length, &self.sha256) == (&other.path, other.length, &other.sha256)
    }
}

/// Where a path stands among all: the bin that it would have if there were 2^16.
pub fn slot(path: &str) -> i64 {
    i64::from(tuf::delegation::bin_of(path, SLOT_BITS))
}

/// There are 2^16 slots, as many as there can be bins.
pub const SLOT_BITS: u32 = tuf::write::BITS_MAX;

/// The repository of an index, if it was founded.
pub async fn repository(tx: &mut Tx, index_id: i64) -> Result<Option<RepositoryRow>> {
    tx.maybe(REPOSITORY, args![index_id]).await
}

/// Founds the repository of an index.
pub fn found(tx: &mut Tx, index_id: i64, profile: &str, now_us: i64) {
    tx.later(FOUND, args![index_id, profile, now_us]);
}

/// Leaves signed offline roles for the publisher; [`crate::Error::Overtaken`] where others wait already.
pub fn set_pending(tx: &mut Tx, index_id: i64, pending: &str) {
    tx.later_one(SET_PENDING, args![index_id, pending]);
}

/// Leaves signed offline roles in the place of those that were put aside, or puts these aside;
/// [`crate::Error::Overtaken`] where it is not `old` that waits.
pub fn replace_pending(tx: &mut Tx, index_id: i64, pending: &str, old: &str) {
    tx.later_one(REPLACE_PENDING, args![index_id, pending, old]);
}

/// The publisher took over what was pending; `retired` are the keys that sign nothing from now on.
pub fn taken(tx: &mut Tx, index_id: i64, profile: &str, retired: &BTreeSet<String>) {
    tx.later_one(TAKEN, args![index_id, profile, serde_json::json!(retired).to_string()]);
}

/// Keeps a version of root, `targets` or `bins`; each is there once.
pub fn insert_offline(tx: &mut Tx, index_id: i64, role: &str, version: u64, body: &[u8]) {
    tx.later(INSERT_OFFLINE, args![index_id, role, version.cast_signed(), body.to_vec()]);
}

/// The newest version of root, `targets` or `bins`.
pub async fn offline(tx: &mut Tx, index_id: i64, role: &str) -> Result<Option<Vec<u8>>> {
    let row: Option<(Vec<u8>,)> = tx.maybe(OFFLINE, args![index_id, role]).await?;
    Ok(row.map(|(body,)| body))
}

/// One version of root, `targets` or `bins`.
pub async fn offline_version(tx: &mut Tx, index_id: i64, role: &str, version: u64) -> Result<Option<Vec<u8>>> {
    let row: Option<(Vec<u8>,)> = tx.maybe(OFFLINE_VERSION, args![index_id, role, version.cast_signed()]).await?;
    Ok(row.map(|(body,)| body))
}

/// Every root, oldest first.
pub async fn roots(tx: &mut Tx, index_id: i64) -> Result<Vec<(i64, Vec<u8>)>> {
    tx.all(ROOTS, args![index_id]).await
}

/// The records of every online role in force.
pub async fn online(tx: &mut Tx, index_id: i64) -> Result<Vec<Record>> {
    let rows: Vec<OnlineRow> = tx.all(ONLINE, args![index_id]).await?;
    rows.into_iter().map(OnlineRow::record).collect()
}

/// The record in force of one online role.
pub async fn online_role(tx: &mut Tx, index_id: i64, role: &str) -> Result<Option<Record>> {
    let row: Option<OnlineRow> = tx.maybe(ONE_ONLINE, args![index_id, role]).await?;
    row.map(OnlineRow::record).transpose()
}

/// Puts a role in force; [`crate::Error::Overtaken`] unless its version is higher than the last.
pub fn set_online(tx: &mut Tx, index_id: i64, record: &Record) {
    let Record { role, version, issued, expires, signatures, sha256, length } = record;
    let pairs: Vec<(&str, &str)> = signatures.iter().map(|one| (one.keyid.as_str(), one.sig.as_str())).collect();
    let signatures = serde_json::json!(pairs).to_string();
    let (version, length) = (version.cast_signed(), length.cast_signed());
    let sha256 = tuf::hash::hex(sha256);
    let args = args![index_id, role, version, issued.seconds(), expires.seconds(), signatures, sha256, length];
    tx.later_one(SET_ONLINE, args);
}

/// Forgets a bin that is no more, after the bins were divided anew.
pub fn drop_online(tx: &mut Tx, index_id: i64, role: &str) {
    tx.later(DROP_ONLINE, args![index_id, role]);
}

/// The targets of slots `from` to `to`, the latter not included, by the bytes of their paths.
pub async fn targets(tx: &mut Tx, index_id: i64, from: i64, to: i64) -> Result<Vec<TargetRow>> {
    let mut rows: Vec<TargetRow> = tx.all(TARGETS, args![index_id, from, to]).await?;
    // Not in SQL: PostgreSQL would sort as people of its locale do.
    rows.sort_unstable_by(|one, two| one.path.cmp(&two.path));
    Ok(rows)
}

/// The target of this path.
pub async fn target(tx: &mut Tx, index_id: i64, path: &str) -> Result<Option<TargetRow>> {
    tx.maybe(TARGET, args![index_id, slot(path), path]).await
}

/// How many targets an index has.
pub async fn count_targets(tx: &mut Tx, index_id: i64) -> Result<i64> {
    let (count,): (i64,) = tx.one(COUNT_TARGETS, args![index_id]).await?;
    Ok(count)
}

/// Publishes a target.
pub fn set_target(tx: &mut Tx, index_id: i64, target: &TargetRow) {
    let TargetRow { path, length, sha256, custom } = target;
    tx.later(SET_TARGET, args![index_id, slot(path), path, *length, sha256, custom.as_deref()]);
}

/// Withdraws a target.
pub fn drop_target(tx: &mut Tx, index_id: i64, path: &str) {
    tx.later(DROP_TARGET, args![index_id, slot(path), path]);
}

/// Removes every row of a path, wherever it stands: after a theft. It walks the index's rows.
pub fn purge_target(tx: &mut Tx, index_id: i64, path: &str) {
    tx.later(PURGE_TARGET, args![index_id, path]);
}

/// Notes that nothing in force names an object of the site any more.
pub fn supersede(tx: &mut Tx, index_id: i64, path: &str, now_us: i64) {
    tx.later(SUPERSEDE, args![index_id, path, now_us]);
}

/// The object of this path has gone, or is named again.
pub fn forget_superseded(tx: &mut Tx, index_id: i64, path: &str) {
    tx.later(IN_FORCE_AGAIN, args![index_id, path]);
}

/// Objects that were superseded before a time, the oldest first.
pub async fn superseded(tx: &mut Tx, index_id: i64, before_us: i64, most: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = tx.all(SUPERSEDED, args![index_id, before_us, most]).await?;
    Ok(rows.into_iter().map(|(path,)| path).collect())
}

/// Makes the ledger one of before there were signatures, for tests.
#[cfg(test)]
pub(crate) async fn unfound(tx: &mut Tx, index_id: i64) -> Result<()> {
    for sql in [
        "DELETE FROM repositories WHERE index_id = $1",
        "DELETE FROM offline_roles WHERE index_id = $1",
        "DELETE FROM online_roles WHERE index_id = $1",
        "DELETE FROM targets WHERE index_id = $1",
        "DELETE FROM superseded WHERE index_id = $1",
    ] {
        tx.execute(sql, args![index_id]).await?;
    }
    Ok(())
}
