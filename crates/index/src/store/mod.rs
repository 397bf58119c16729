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
    /// Threads that nothing gives way to: those that opened the ledger.
    front: tokio::runtime::Handle,
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
        Ok(Self { db, front: tokio::runtime::Handle::current() })
    }

    /// A consistent snapshot.
    pub async fn read(&self) -> Result<Tx> {
        self.db.read().await
    }

    /// For one statement that reads, which is a consistent snapshot by itself.
    pub async fn glance(&self) -> Result<Tx> {
        self.db.glance().await
    }

    /// The one writing transaction of the moment.
    pub async fn write(&self) -> Result<Tx> {
        self.db.write().await
    }

    /// As [`Store::write`], but waits for its turn only with the first statement that is asked for its answer, or the
    /// commit. For what is written blindly.
    pub fn batch(&self) -> Tx {
        self.db.batch()
    }

    /// Runs what holds the turn at writing on the threads that opened the ledger. The background gives way to uploads, and
    /// with the turn in its hands it would have them wait until it is its own turn at the processor again.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] where it broke off.
    pub async fn in_front<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.front.spawn(work).await.map_err(|e| crate::Error::Internal(e.to_string()))?
    }

    /// Which engine this is, for people.
    pub fn engine(&self) -> &'static str {
        match self.db {
            Db::Postgres { .. } => "PostgreSQL",
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
