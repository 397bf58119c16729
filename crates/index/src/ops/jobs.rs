//! What people see of the background's queue, and how they have it try again.

use packaging::simple::time_text;
use serde::Serialize;
use serde_json::json;

use super::accounts;
use crate::model::{Actor, IndexName};
use crate::policy::authz::SiteAct;
use crate::store::{audit, indexes, jobs};
use crate::{Error, Installation, Result};

/// Most jobs of one answer.
const LISTED_MAX: i64 = 1_000;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its id.
    pub id: i64,
    /// What there is to do.
    pub kind: String,
    /// For which project.
    pub project: String,
    /// For which file.
    pub file: Option<String>,
    /// `waiting`, `running` or `dead`.
    pub state: &'static str,
    /// How often it was begun.
    pub attempts: i64,
    /// From when on it may be begun, RFC 3339.
    pub ready: String,
    /// What went wrong last.
    pub error: Option<String>,
}

/// The jobs of an index; those that were given up first.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`] without such an index.
pub async fn list(installation: &Installation, index: &IndexName, actor: &Actor) -> Result<Vec<Shown>> {
    let now = installation.clock.now_us();
    let mut tx = installation.store.read().await?;
    accounts::site_actor(&mut tx, actor, SiteAct::ReadVerdicts).await?;
    let index = indexes::named(&mut tx, index).await?;
    let rows = jobs::list(&mut tx, index.id, LISTED_MAX).await?;
    Ok(rows
        .into_iter()
        .map(|row| Shown {
            id: row.id,
            kind: row.kind,
            project: row.project,
            file: row.filename,
            state: match (row.dead, row.leased_until_us > now) {
                (true, _) => "dead",
                (false, true) => "running",
                (false, false) => "waiting",
            },
            attempts: row.attempts,
            ready: time_text(row.ready_us),
            error: row.error,
        })
        .collect())
}

/// Has a job that was given up tried again, or, without an id, all of them; how many there were.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] when no such job was given up.
pub async fn retry(installation: &Installation, index: &IndexName, id: Option<i64>, actor: &Actor) -> Result<u64> {
    if id.is_some_and(|id| id < 1) {
        return Err(Error::NotFound("There is no such job.".into()));
    }
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let who = accounts::site_actor(&mut tx, actor, SiteAct::Checks).await?;
    let index = indexes::named(&mut tx, index).await?;
    let count = jobs::revive(&mut tx, index.id, id.unwrap_or(0), now).await?;
    if let Some(id) = id.filter(|_| count == 0) {
        return Err(Error::NotFound(format!("No job {id} was given up.")));
    }
    let subject = id.map_or("all".to_owned(), |id| id.to_string());
    audit::note(&mut tx, Some(index.id), now, &who, "job.retry", &subject, json!({ "jobs": count }));
    tx.commit().await?;
    installation.inspect_wake.notify_one();
    installation.wake_publishers();
    Ok(count)
}
