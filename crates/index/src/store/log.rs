//! The transparency log: entries, the checkpoint in force, and whom entries speak of.

use super::db::{Tx, args, statements};
use crate::Result;

statements! {
    LOG = "SELECT origin, verifier, walked, size, root, note, witnessed FROM logs WHERE index_id = $1";
    BEGIN = "INSERT INTO logs (index_id, origin, verifier, walked, size, root) VALUES ($1, $2, $3, 0, 0, '')";
    WALKED = "UPDATE logs SET walked = $2 WHERE index_id = $1 AND note IS NULL";
    GROW = "UPDATE logs SET size = $3, root = $4, note = $5 WHERE index_id = $1 AND size = $2";
    APPEND = "INSERT INTO log_entries (index_id, seq, body) VALUES ($1, $2, $3)";
    COUNT = "SELECT COUNT(*) FROM log_entries WHERE index_id = $1";
    ENTRIES = "SELECT body FROM log_entries WHERE index_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq";
    NAME = "SELECT pseudonym, salt FROM log_names WHERE project_id = $1 AND subject = $2";
    INSERT_NAME = "INSERT INTO log_names (project_id, subject, index_id, pseudonym, salt, created_us) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
    DROP_NAME = "DELETE FROM log_names WHERE project_id = $1 AND subject = $2";
    RENAME = "UPDATE logs SET origin = $3, verifier = $4, note = $5, witnessed = NULL WHERE index_id = $1 AND size = $2";
    WITNESSED = "UPDATE logs SET witnessed = $3 WHERE index_id = $1 AND origin = $2";
    WITNESS_KEY = "SELECT witness_key FROM logs WHERE index_id = $1";
    SET_WITNESS_KEY = "UPDATE logs SET witness_key = $3 WHERE index_id = $1 AND COALESCE(witness_key, '') = $2";
    SEEN = "SELECT size, root FROM witnessed_logs WHERE origin = $1 ORDER BY size DESC LIMIT 1";
    SAW = "INSERT INTO witnessed_logs (index_id, origin, size, root, seen_us) VALUES ($1, $2, $3, $4, $5) \
           ON CONFLICT (index_id, origin) DO UPDATE SET size = excluded.size, root = excluded.root, \
           seen_us = excluded.seen_us";
    PROJECTS_AFTER = "SELECT id FROM projects WHERE index_id = $1 AND published AND id > $2 ORDER BY id LIMIT $3";
}

/// The log of an index.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LogRow {
    /// The first line of its checkpoints.
    pub origin: String,
    /// The key that verifies them, as `name+id+key`.
    pub verifier: String,
    /// The last project that the founding looked at.
    pub walked: i64,
    /// Entries that the checkpoint speaks of.
    pub size: i64,
    /// Its root, hex.
    pub root: String,
    /// The checkpoint in force, signed; absent until the founding is complete.
    pub note: Option<String>,
    /// The last checkpoint that witnesses cosigned, with their signatures.
    pub witnessed: Option<String>,
}

/// Whom the entries of a project mean by a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct NameRow {
    /// 32 hex digits.
    pub pseudonym: String,
    /// 64 hex digits: a secret.
    pub salt: String,
}

/// The log of an index, if its founding has begun.
pub async fn log(tx: &mut Tx, index_id: i64) -> Result<Option<LogRow>> {
    tx.maybe(LOG, args![index_id]).await
}

/// Begins the founding of a log.
pub fn begin(tx: &mut Tx, index_id: i64, origin: &str, verifier: &str) {
    tx.later(BEGIN, args![index_id, origin, verifier]);
}

/// Notes how far the founding came.
pub fn walked(tx: &mut Tx, index_id: i64, project_id: i64) {
    tx.later_one(WALKED, args![index_id, project_id]);
}

/// Puts another checkpoint in force; [`crate::Error::Overtaken`] when it does not follow on one of `old` entries.
pub fn grow(tx: &mut Tx, index_id: i64, old: i64, size: i64, root: &str, note: &str) {
    tx.later_one(GROW, args![index_id, old, size, root, note]);
}

/// Appends an entry. Each place is taken once.
pub fn append(tx: &mut Tx, index_id: i64, seq: i64, body: &str) {
    tx.later(APPEND, args![index_id, seq, body]);
}

/// How many entries there are, those of an unfinished founding among them.
pub async fn count(tx: &mut Tx, index_id: i64) -> Result<i64> {
    let (count,): (i64,) = tx.one(COUNT, args![index_id]).await?;
    Ok(count)
}

/// Entries `from` to `to`, the latter not included.
pub async fn entries(tx: &mut Tx, index_id: i64, from: i64, to: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = tx.all(ENTRIES, args![index_id, from, to]).await?;
    Ok(rows.into_iter().map(|(body,)| body).collect())
}

/// What a project's entries call somebody.
pub async fn name(tx: &mut Tx, project_id: i64, subject: &str) -> Result<Option<NameRow>> {
    tx.maybe(NAME, args![project_id, subject]).await
}

/// Keeps what a project's entries call somebody.
pub fn insert_name(tx: &mut Tx, index_id: i64, project_id: i64, subject: &str, row: &NameRow, now_us: i64) {
    let NameRow { pseudonym, salt } = row;
    tx.later(INSERT_NAME, args![project_id, subject, index_id, pseudonym, salt, now_us]);
}

/// Forgets whom a project's entries mean; false when it was not known.
pub async fn drop_name(tx: &mut Tx, project_id: i64, subject: &str) -> Result<bool> {
    Ok(tx.execute(DROP_NAME, args![project_id, subject]).await? == 1)
}

/// Puts the same tree in force under another key and name; [`crate::Error::Overtaken`] when it has grown since.
pub fn rename(tx: &mut Tx, index_id: i64, row: &LogRow) {
    let LogRow { origin, verifier, size, note, walked: _, root: _, witnessed: _ } = row;
    tx.later_one(RENAME, args![index_id, *size, origin, verifier, note.as_deref().unwrap_or_default()]);
}

/// Keeps a checkpoint of this log that witnesses cosigned; [`crate::Error::Overtaken`] when it has another name by now.
pub fn witnessed(tx: &mut Tx, index_id: i64, origin: &str, note: &str) {
    tx.later_one(WITNESSED, args![index_id, origin, note]);
}

/// The key by which the index witnesses the logs of others, as `name+id+key`, once it was made.
pub async fn witness_key(tx: &mut Tx, index_id: i64) -> Result<Option<String>> {
    let row: Option<(Option<String>,)> = tx.maybe(WITNESS_KEY, args![index_id]).await?;
    Ok(row.and_then(|(key,)| key))
}

/// Keeps another such key; [`crate::Error::Overtaken`] where `old` is not the one there is.
pub fn set_witness_key(tx: &mut Tx, index_id: i64, old: Option<&str>, new: &str) {
    tx.later_one(SET_WITNESS_KEY, args![index_id, old.unwrap_or_default(), new]);
}

/// The tree of another log that this index cosigned last: its size, and its root in hexadecimal.
pub async fn seen(tx: &mut Tx, origin: &str) -> Result<Option<(i64, String)>> {
    tx.maybe(SEEN, args![origin]).await
}

/// Keeps the tree of another log that is cosigned next. The caller holds the one writing transaction, and has compared it with
/// [`seen`] in it.
pub fn saw(tx: &mut Tx, index_id: i64, origin: &str, size: i64, root: &str, now_us: i64) {
    tx.later(SAW, args![index_id, origin, size, root, now_us]);
}

/// Published projects in the order in which the founding walks them.
pub async fn projects_after(tx: &mut Tx, index_id: i64, after: i64, most: i64) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = tx.all(PROJECTS_AFTER, args![index_id, after, most]).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Makes the ledger one of before there was a log, for tests.
#[cfg(test)]
pub(crate) async fn unbegun(tx: &mut Tx, index_id: i64) -> Result<()> {
    for sql in ["DELETE FROM logs WHERE index_id = $1", "DELETE FROM log_entries WHERE index_id = $1"] {
        tx.execute(sql, args![index_id]).await?;
    }
    Ok(())
}
