//! Indexes: the unit of isolation.

use packaging::Profile;

use super::db::{Tx, args, statements};
use crate::model::IndexName;
use crate::{Error, Result};

statements! {
    INSERT = "INSERT INTO indexes (name, profile, created_us, serial, written_serial, render_version) \
              VALUES ($1, $2, $3, 0, 0, $4) RETURNING id";
    ALL_ROWS = "SELECT id, name, profile, created_us, serial, written_serial FROM indexes ORDER BY id";
    BY_NAME = "SELECT id, name, profile, created_us, serial, written_serial FROM indexes WHERE name = $1";
    BY_ID = "SELECT id, name, profile, created_us, serial, written_serial FROM indexes WHERE id = $1";
}

/// One index.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct IndexRow {
    /// Row id.
    pub id: i64,
    name: String,
    profile: String,
    /// When it was made.
    pub created_us: i64,
    /// The serial of the last commit 2.
    pub serial: i64,
    /// Every redo record up to this serial is on disk in the site.
    pub written_serial: i64,
}

impl IndexRow {
    /// Its name.
    pub fn name(&self) -> IndexName {
        self.name.parse().expect("the ledger holds only valid index names")
    }

    /// Its rules.
    pub fn profile(&self) -> Profile {
        self.profile.parse().expect("the ledger holds only known profiles")
    }
}

/// Makes an index.
pub async fn insert(tx: &mut Tx, name: &IndexName, profile: Profile, render_version: i64, now_us: i64) -> Result<i64> {
    let (id,): (i64,) = tx.one(INSERT, args![name.as_str(), profile.as_str(), now_us, render_version]).await?;
    Ok(id)
}

/// Every index, oldest first.
pub async fn all(tx: &mut Tx) -> Result<Vec<IndexRow>> {
    tx.all(ALL_ROWS, args![]).await
}

/// The index of this name, if there is one.
pub async fn by_name(tx: &mut Tx, name: &IndexName) -> Result<Option<IndexRow>> {
    tx.maybe(BY_NAME, args![name.as_str()]).await
}

/// The index of this name.
pub async fn named(tx: &mut Tx, name: &IndexName) -> Result<IndexRow> {
    by_name(tx, name).await?.ok_or_else(|| Error::NotFound(format!("There is no index '{name}'.")))
}

/// The index of this id.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<IndexRow> {
    tx.one(BY_ID, args![id]).await
}
