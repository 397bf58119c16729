//! What uploaders learn: the status of an upload, and notices.

use packaging::simple::time_text;
use serde::Serialize;

use crate::model::{FileState, IndexName, TokenActor};
use crate::store::files::FileRow;
use crate::store::jobs::JobKind;
use crate::store::notices::UploadRow;
use crate::store::{Tx, files, indexes, jobs, notices, projects, verdicts};
use crate::{Error, Installation, Result};

/// Most notices of one answer.
pub const LISTED_MAX: i64 = 100;

/// Where an upload stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The upload's id.
    pub id: String,
    /// The file.
    pub filename: String,
    /// Its content.
    pub sha256: String,
    /// `staged`, `inspecting`, `published`, `held`, `refused` or `removed`.
    pub state: &'static str,
    /// In words.
    pub message: String,
    /// Why, where it is held or refused.
    pub reasons: Vec<String>,
    /// When it was accepted, RFC 3339.
    pub uploaded: String,
}

/// The status of an upload, for tokens of the account that made it.
///
/// # Errors
/// [`Error::NotFound`] for everybody else, and for tokens that do not reach the project.
pub async fn status(installation: &Installation, index: &IndexName, id: &str, actor: &TokenActor) -> Result<Status> {
    let none = || Error::NotFound("There is no such upload.".into());
    let mut tx = installation.store.read().await?;
    let index = indexes::named(&mut tx, index).await?;
    let upload = notices::upload(&mut tx, index.id, id).await?.ok_or_else(none)?;
    let file = files::by_id(&mut tx, upload.file_id).await?;
    let project = projects::by_id(&mut tx, file.project_id).await?.name();
    if upload.account_id != actor.account_id || !actor.covers(&project) {
        return Err(none());
    }
    shown(&mut tx, upload, file).await
}

/// The status of the account's own upload of the file of this name, when it made one.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn status_of(
    installation: &Installation,
    index_id: i64,
    filename: &str,
    actor: &TokenActor,
) -> Result<Option<Status>> {
    let mut tx = installation.store.read().await?;
    let Some(file) = files::by_name(&mut tx, index_id, filename).await? else { return Ok(None) };
    match notices::upload_of(&mut tx, file.id, actor.account_id).await? {
        None => Ok(None),
        Some(upload) => Ok(Some(shown(&mut tx, upload, file).await?)),
    }
}

async fn shown(tx: &mut Tx, upload: UploadRow, file: FileRow) -> Result<Status> {
    let (state, message, reasons) = stands(tx, &file).await?;
    Ok(Status {
        id: upload.id,
        sha256: file.sha256().to_string(),
        filename: file.filename,
        state,
        message,
        reasons,
        uploaded: time_text(upload.created_us),
    })
}

async fn stands(tx: &mut Tx, file: &FileRow) -> Result<(&'static str, String, Vec<String>)> {
    let name = &file.filename;
    Ok(match file.state() {
        FileState::Staged => {
            let job = jobs::of_file(tx, JobKind::Inspect, file.id).await?;
            match job {
                Some(job) if job.attempts > 0 => ("inspecting", format!("'{name}' is being inspected."), Vec::new()),
                Some(_) | None => ("staged", format!("'{name}' waits for its inspection."), Vec::new()),
            }
        }
        FileState::Visible if file.published => ("published", format!("'{name}' is published."), Vec::new()),
        FileState::Visible => {
            ("inspecting", format!("'{name}' passed its inspection and is being published."), Vec::new())
        }
        FileState::Held => {
            // Only the budget holds it: the inspection still comes, and asks a person where there is a reason to.
            let verdict = verdicts::of_file(tx, file.id).await?;
            let late = verdict.is_some_and(|row| row.cause == super::inspect::BUDGET)
                && verdicts::decisions(tx, file.id).await?.is_empty();
            let held = if late {
                format!("'{name}' is not published yet: its inspection takes longer than usual, and goes on.")
            } else {
                format!("'{name}' is held until a person has looked at it.")
            };
            ("held", held, why(tx, file).await?)
        }
        FileState::Refused => {
            ("refused", format!("'{name}' was looked at by a person and is refused."), why(tx, file).await?)
        }
        FileState::Removed => ("removed", format!("'{name}' was removed."), Vec::new()),
    })
}

/// A person's words before the machine's.
async fn why(tx: &mut Tx, file: &FileRow) -> Result<Vec<String>> {
    let decided = verdicts::decisions(tx, file.id).await?.into_iter().next();
    let mut out: Vec<String> = decided.map(|row| row.reason).filter(|text| !text.is_empty()).into_iter().collect();
    if let Some(row) = verdicts::of_file(tx, file.id).await? {
        out.extend(row.reasons().into_iter().map(|reason| reason.text));
    }
    Ok(out)
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Its id.
    pub id: i64,
    /// `file.held`, `file.cleared`, `file.refused`, `file.held-back`.
    pub kind: String,
    /// `project/filename`.
    pub subject: String,
    /// What happened, and why.
    pub text: String,
    /// When, RFC 3339.
    pub at: String,
    /// Whether it was marked as read.
    pub read: bool,
}

/// The account's notices, newest first; a token that is restricted to projects sees theirs alone.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn list(
    installation: &Installation,
    index: &IndexName,
    actor: &TokenActor,
    unread: bool,
    below: Option<i64>,
) -> Result<Vec<Notice>> {
    let mut tx = installation.store.read().await?;
    let index = indexes::named(&mut tx, index).await?;
    let below = below.unwrap_or(i64::MAX);
    let rows = notices::list(&mut tx, index.id, actor.account_id, unread, below, LISTED_MAX).await?;
    let covered = |subject: &str| {
        let project = subject.split('/').next().and_then(|name| name.parse().ok());
        project.is_none_or(|project| actor.covers(&project))
    };
    Ok(rows
        .into_iter()
        .filter(|row| covered(&row.subject))
        .map(|row| Notice {
            id: row.id,
            kind: row.kind,
            subject: row.subject,
            text: row.body,
            at: time_text(row.created_us),
            read: row.read_us.is_some(),
        })
        .collect())
}

/// Marks one of the account's notices as read.
///
/// # Errors
/// [`Error::NotFound`] when it has none of this id.
pub async fn read(installation: &Installation, index: &IndexName, actor: &TokenActor, id: i64) -> Result<()> {
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let index = indexes::named(&mut tx, index).await?;
    if !notices::read(&mut tx, index.id, actor.account_id, id, now).await? {
        return Err(Error::NotFound(format!("There is no notice {id}.")));
    }
    tx.commit().await
}
