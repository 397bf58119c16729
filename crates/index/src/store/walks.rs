//! Walks over all files of an index that go on where they stopped, whatever stopped them.

use super::db::{Tx, args, statements};
use crate::Result;

statements! {
    BEGIN = "INSERT INTO walks (index_id, name, position, goal, done, found, started_us) VALUES ($1, $2, 0, $3, 0, 0, $4) \
             ON CONFLICT (index_id, name) DO UPDATE SET position = 0, goal = excluded.goal, done = 0, found = 0, \
             started_us = excluded.started_us";
    GET = "SELECT index_id, position, goal, done, found, started_us FROM walks WHERE index_id = $1 AND name = $2";
    ALL_ROWS = "SELECT index_id, position, goal, done, found, started_us FROM walks WHERE name = $1 ORDER BY index_id";
    ADVANCE = "UPDATE walks SET position = $4, done = done + $5, found = found + $6 \
               WHERE index_id = $1 AND name = $2 AND position = $3";
    FINISH = "DELETE FROM walks WHERE index_id = $1 AND name = $2";
}

/// A walk and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct WalkRow {
    /// Over this index.
    pub index_id: i64,
    /// The last file that was seen to, by id.
    pub position: i64,
    /// What it is for.
    pub goal: String,
    /// Files seen to.
    pub done: i64,
    /// Of them, those where something came of it.
    pub found: i64,
    /// When it began.
    pub started_us: i64,
}

/// Begins a walk, or begins it anew.
pub fn begin(tx: &mut Tx, index_id: i64, name: &str, goal: &str, now_us: i64) {
    tx.later(BEGIN, args![index_id, name, goal, now_us]);
}

/// An index's walk of this name.
pub async fn get(tx: &mut Tx, index_id: i64, name: &str) -> Result<Option<WalkRow>> {
    tx.maybe(GET, args![index_id, name]).await
}

/// Every walk of this name.
pub async fn all(tx: &mut Tx, name: &str) -> Result<Vec<WalkRow>> {
    tx.all(ALL_ROWS, args![name]).await
}

/// A step from `walk.position` to `to`; false when somebody else took it.
pub async fn advance(tx: &mut Tx, walk: &WalkRow, name: &str, to: i64, done: i64, found: i64) -> Result<bool> {
    Ok(tx.execute(ADVANCE, args![walk.index_id, name, walk.position, to, done, found]).await? == 1)
}

/// The walk is at its end.
pub fn finish(tx: &mut Tx, index_id: i64, name: &str) {
    tx.later(FINISH, args![index_id, name]);
}
