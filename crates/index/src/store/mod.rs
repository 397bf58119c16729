//! All SQL of the ledger. One file a noun, as in `model`; each function is one statement or a few, inside a
//! transaction that the verb in `ops` opened. No rule is decided here.

pub mod accounts;
pub mod attestations;
pub mod audit;
pub mod db;
pub mod files;
pub mod indexes;
pub mod jobs;
pub mod log;
mod migrations;
pub mod notices;
pub mod projects;
pub mod publishing;
pub mod signing;
pub mod uploads;
pub mod verdicts;
pub mod walks;

use std::path::Path;

use crate::Result;
pub use db::{Db, Tx};

/// Why the database did not do what it was told.
pub type Failure = sqlx::Error;

/// Whether the database refused what was to be written, by a rule of the schema: the same will be refused again.
pub fn is_broken_rule(failure: &Failure) -> bool {
    failure.as_database_error().is_some_and(|why| !matches!(why.kind(), sqlx::error::ErrorKind::Other))
}

/// The ledger.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
}

impl Store {
    /// Opens a SQLite ledger and brings its schema up to date.
    pub async fn open_sqlite(path: &Path, now_us: i64) -> Result<Self> {
        Self::migrated(Db::sqlite(path).await?, now_us).await
    }

    /// Connects to a PostgreSQL ledger and brings its schema up to date.
    pub async fn open_postgres(url: &str, now_us: i64) -> Result<Self> {
        Self::migrated(Db::postgres(url).await?, now_us).await
    }

    async fn migrated(db: Db, now_us: i64) -> Result<Self> {
        migrations::run(&db, now_us).await?;
        Ok(Self { db })
    }

    /// A consistent snapshot.
    pub async fn read(&self) -> Result<Tx> {
        self.db.read().await
    }

    /// The one writing transaction of the moment.
    pub async fn write(&self) -> Result<Tx> {
        self.db.write().await
    }

    /// Which engine this is, for people.
    pub fn engine(&self) -> &'static str {
        match self.db {
            Db::Postgres(_) => "PostgreSQL",
            Db::Sqlite { .. } => "SQLite",
        }
    }

    /// What could lose an acknowledged upload in a failover, if anything. SQLite syncs by itself; PostgreSQL with
    /// replicas loses nothing only with a synchronous standby.
    pub async fn durability_warning(&self) -> Result<Option<&'static str>> {
        self.db.durability_warning().await
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

#[cfg(test)]
mod tests;
