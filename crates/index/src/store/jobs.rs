//! The queue of background work: a table, written in the transaction that causes the work.

use super::db::{Tx, args, statements};
use crate::Result;
use crate::model::words;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

words! {
    /// What there is to do in the background.
    JobKind {
        /// Inspect one staged file.
        Inspect = "inspect",
        /// Look again at the files of a project whose status changed.
        Status = "status",
        /// Publish one changed project; the publisher takes all that are ready as one set.
        Publish = "publish",
    }
}

statements! {
    ENQUEUE = "INSERT INTO jobs (index_id, kind, project_id, file_id, ready_us, leased_until_us, attempts, dead) \
               VALUES ($1, $2, $3, $4, $5, 0, 0, FALSE) RETURNING id";
    CLAIM = "UPDATE jobs SET leased_until_us = $3, attempts = attempts + 1 WHERE id IN \
             (SELECT id FROM jobs WHERE kind = $1 AND NOT dead AND ready_us <= $2 AND leased_until_us < $2 \
              ORDER BY id LIMIT $4) RETURNING id, index_id, project_id, file_id, attempts";
    CLAIMABLE = "SELECT id FROM jobs WHERE kind = $1 AND NOT dead AND ready_us <= $2 AND leased_until_us < $2 LIMIT 1";
    RELEASE = "UPDATE jobs SET leased_until_us = 0 WHERE kind = $1 AND leased_until_us > 0";
    READY = "SELECT id, index_id, project_id, file_id, attempts FROM jobs \
             WHERE kind = $1 AND index_id = $2 AND NOT dead AND ready_us <= $3 ORDER BY id LIMIT $4";
    DONE = "DELETE FROM jobs WHERE id = $1";
    DONE_UP_TO = "DELETE FROM jobs WHERE kind = $1 AND index_id = $2 AND project_id = $3 AND id <= $4";
    RETRY = "UPDATE jobs SET leased_until_us = 0, ready_us = $2, error = $3, dead = $4 WHERE id = $1";
    FORGET_ATTEMPT = "UPDATE jobs SET attempts = attempts - 1 WHERE id = $1 AND attempts > 0";
    WAITING = "SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE kind = $1 AND NOT dead LIMIT $2) AS few";
    OVERDUE = "SELECT j.id, j.index_id, j.project_id, j.file_id, j.attempts, \
               (j.attempts = 0 AND j.error IS NULL) AS untouched FROM jobs j JOIN files f ON f.id = j.file_id \
               WHERE j.kind = 'inspect' AND f.state = 'staged' AND f.uploaded_us < $1 ORDER BY j.id LIMIT $2";
    LIST = "SELECT j.id, j.kind, p.name AS project, f.filename, j.attempts, j.dead, j.leased_until_us, j.ready_us, j.error \
            FROM jobs j JOIN projects p ON p.id = j.project_id LEFT JOIN files f ON f.id = j.file_id \
            WHERE j.index_id = $1 ORDER BY j.dead DESC, j.id LIMIT $2";
    REVIVE = "UPDATE jobs SET dead = FALSE, attempts = 0, ready_us = $3, leased_until_us = 0 \
              WHERE index_id = $1 AND dead AND (id = $2 OR $2 = 0)";
    OF_FILE = "SELECT id, index_id, project_id, file_id, attempts FROM jobs WHERE kind = $1 AND file_id = $2 LIMIT 1";
    DEPTH = "SELECT kind, dead, running, COUNT(*) FROM \
             (SELECT kind, dead, (NOT dead AND leased_until_us > $1) AS running FROM jobs) AS each_job \
             GROUP BY kind, dead, running ORDER BY kind, dead, running";
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct JobRow {
    /// Row id.
    pub id: i64,
    /// Its index.
    pub index_id: i64,
    /// Its project.
    pub project_id: i64,
    /// Its file, for inspections.
    pub file_id: Option<i64>,
    /// How often it was begun.
    pub attempts: i64,
}

/// Adds work.
pub fn enqueue(tx: &mut Tx, kind: JobKind, index_id: i64, project_id: i64, file_id: Option<i64>, now_us: i64) {
    tx.later(ENQUEUE, args![index_id, kind.as_str(), project_id, file_id, now_us]);
}

/// Adds work that somebody will wait for; returns its id.
pub async fn enqueue_named(
    tx: &mut Tx,
    kind: JobKind,
    index_id: i64,
    project_id: i64,
    file_id: Option<i64>,
    now_us: i64,
) -> Result<i64> {
    let (id,): (i64,) = tx.one(ENQUEUE, args![index_id, kind.as_str(), project_id, file_id, now_us]).await?;
    Ok(id)
}

/// Takes up to `most` jobs until `until_us`; after that they are anybody's again.
pub async fn claim(tx: &mut Tx, kind: JobKind, now_us: i64, until_us: i64, most: i64) -> Result<Vec<JobRow>> {
    tx.all(CLAIM, args![kind.as_str(), now_us, until_us, most]).await
}

/// Whether [`claim`] would find anything: to be asked first, as it takes no turn at writing.
pub async fn is_claimable(tx: &mut Tx, kind: JobKind, now_us: i64) -> Result<bool> {
    let row: Option<(i64,)> = tx.maybe(CLAIMABLE, args![kind.as_str(), now_us]).await?;
    Ok(row.is_some())
}

/// Gives back what was taken by whoever ended without saying so.
pub fn release_all(tx: &mut Tx, kind: JobKind) {
    tx.later(RELEASE, args![kind.as_str()]);
}

/// What an index has to do, oldest first. For the publisher, whose lease is its own.
pub async fn ready(tx: &mut Tx, kind: JobKind, index_id: i64, now_us: i64, most: i64) -> Result<Vec<JobRow>> {
    tx.all(READY, args![kind.as_str(), index_id, now_us, most]).await
}

/// Removes finished work.
pub fn done(tx: &mut Tx, id: i64) {
    tx.later(DONE, args![id]);
}

/// Removes a project's work up to a job that a set of changes included.
pub fn done_up_to(tx: &mut Tx, kind: JobKind, index_id: i64, project_id: i64, id: i64) {
    tx.later(DONE_UP_TO, args![kind.as_str(), index_id, project_id, id]);
}

/// Gives work back, to be tried again at `ready_us`, or lays it aside as dead where people see it.
pub fn retry(tx: &mut Tx, id: i64, ready_us: i64, error: &str, dead: bool) {
    tx.later(RETRY, args![id, ready_us, error, dead]);
}

/// An attempt that failed for no fault of what was attempted does not count.
pub fn forget_attempt(tx: &mut Tx, id: i64) {
    tx.later(FORGET_ATTEMPT, args![id]);
}

/// Jobs of a kind that are not dead, counted up to `most`.
pub async fn waiting(tx: &mut Tx, kind: JobKind, most: i64) -> Result<i64> {
    let (count,): (i64,) = tx.one(WAITING, args![kind.as_str(), most]).await?;
    Ok(count)
}

/// An inspection whose file has waited too long.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OverdueRow {
    /// The job.
    #[sqlx(flatten)]
    pub job: JobRow,
    /// Whether nobody has even tried: it only stood in the queue.
    pub untouched: bool,
}

/// Inspections of files that are still staged and were uploaded before `before_us`.
pub async fn overdue(tx: &mut Tx, before_us: i64, most: i64) -> Result<Vec<OverdueRow>> {
    tx.all(OVERDUE, args![before_us, most]).await
}

/// A job, for people.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ShownRow {
    /// Row id.
    pub id: i64,
    /// What there is to do.
    pub kind: String,
    /// For which project.
    pub project: String,
    /// For which file.
    pub filename: Option<String>,
    /// How often it was begun.
    pub attempts: i64,
    /// Whether it was given up.
    pub dead: bool,
    /// Until when somebody works on it.
    pub leased_until_us: i64,
    /// From when on it may be begun.
    pub ready_us: i64,
    /// What went wrong last.
    pub error: Option<String>,
}

/// The jobs of an index; those that were given up first.
pub async fn list(tx: &mut Tx, index_id: i64, most: i64) -> Result<Vec<ShownRow>> {
    tx.all(LIST, args![index_id, most]).await
}

/// Has a job that was given up (0: all of them) tried again; how many there were.
pub async fn revive(tx: &mut Tx, index_id: i64, id: i64, now_us: i64) -> Result<u64> {
    tx.execute(REVIVE, args![index_id, id, now_us]).await
}

/// The job about a file.
pub async fn of_file(tx: &mut Tx, kind: JobKind, file_id: i64) -> Result<Option<JobRow>> {
    tx.maybe(OF_FILE, args![kind.as_str(), file_id]).await
}

/// Kind, dead or not, somebody's now or not, count.
pub async fn depth(tx: &mut Tx, now_us: i64) -> Result<Vec<(String, bool, bool, i64)>> {
    tx.all(DEPTH, args![now_us]).await
}
