//! What people do to a project: yank, remove, status, roles. Each is one transaction with its audit row and a
//! publish job; the publisher makes it visible.

use attest::Publisher;
use packaging::{NormalizedName, ProjectStatus, Version};
use serde_json::json;

use super::catalogue;
use crate::model::lifecycle::step;
use crate::model::{Actor, FileInput, FileState, IndexName, ProjectRole, SiteRole};
use crate::policy::authz::{ProjectAct, may};
use crate::store::attestations::{self, Bound, Waiting};
use crate::store::files::FileRow;
use crate::store::indexes::IndexRow;
use crate::store::jobs::JobKind;
use crate::store::projects::ProjectRow;
use crate::store::{Tx, accounts, audit, files, indexes, jobs, projects};
use crate::{Error, Installation, News, Result};

/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 512;

/// Most publishers of a project.
pub const PUBLISHERS_MAX: usize = 20;

/// Most publishers that an account may bind to names that are no projects yet.
pub const PENDING_MAX: i64 = 100;

/// Which files of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All.
    Project,
    /// One release's.
    Release(Version),
    /// One.
    File(String),
}

struct Open {
    tx: Tx,
    now_us: i64,
    index: IndexRow,
    project: ProjectRow,
    actor: String,
    account_id: Option<i64>,
}

/// Loads the project and asks, in one place, whether the actor may.
async fn open(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    actor: &Actor,
    act: impl Fn(ProjectStatus) -> ProjectAct,
) -> Result<Open> {
    let mut tx = installation.store.write().await?;
    let index = indexes::named(&mut tx, index).await?;
    let project = projects::named(&mut tx, index.id, project).await?;
    let (name, account_id) = match actor {
        Actor::Operator => ("operator".to_owned(), None),
        Actor::Token(token) => {
            let account = accounts::by_id(&mut tx, token.account_id)
                .await?
                .ok_or_else(|| Error::Forbidden("Invalid or non-existent authentication information.".into()))?;
            let role = projects::role(&mut tx, project.id, token.account_id).await?;
            let site: Option<SiteRole> = account.site_role.as_ref().and_then(|role| role.parse().ok());
            if !token.covers(&project.name()) {
                return Err(Error::Forbidden(format!("The token is not good for project '{}'.", project.name())));
            }
            let act = act(project.status());
            // What a leaked upload token could give away would outlive its revocation.
            if matches!(act, ProjectAct::Roles | ProjectAct::Publishers) && token.projects.is_some() {
                return Err(Error::Forbidden(
                    "A token that is restricted to projects cannot give or take roles, nor bind publishers.".into(),
                ));
            }
            if !may(act, role, site) {
                return Err(Error::Forbidden(format!(
                    "The user '{}' may not do this to project '{}'.",
                    account.name,
                    project.name()
                )));
            }
            (account.name, Some(account.id))
        }
    };
    Ok(Open { tx, now_us: installation.clock.now_us(), index, project, actor: name, account_id })
}

impl Open {
    /// Audit, change counter, publish job, commit.
    async fn finish(
        mut self,
        installation: &Installation,
        action: &str,
        subject: &str,
        detail: serde_json::Value,
    ) -> Result<()> {
        let tx = &mut self.tx;
        audit::note(tx, Some(self.index.id), self.now_us, &self.actor, action, subject, detail);
        projects::touch(tx, self.project.id, self.account_id);
        let job = jobs::enqueue_named(tx, JobKind::Publish, self.index.id, self.project.id, None, self.now_us).await?;
        let published = installation.news.subscribe();
        self.tx.commit().await?;
        installation.wake_publishers();
        wait_for(installation, published, self.project.id, job).await;
        Ok(())
    }
}

/// Waits until the change is in the site, as long as an upload would: who has yanked or quarantined something finds it
/// so at the next look. What is done does not depend on it.
pub(super) async fn wait_for(
    installation: &Installation,
    mut published: tokio::sync::broadcast::Receiver<News>,
    project_id: i64,
    job: i64,
) {
    let within = std::time::Duration::from_millis(installation.settings.upload_wait_ms);
    let waiting = async {
        loop {
            match published.recv().await {
                Ok(News::Published(publication))
                    if publication.jobs.iter().any(|(of, last)| *of == project_id && *last >= job) =>
                {
                    return;
                }
                Ok(News::Published(_) | News::Judged(_)) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                }
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    };
    let _ = tokio::time::timeout(within, waiting).await;
}

pub(super) fn check_reason(reason: Option<&str>) -> Result<()> {
    match reason {
        Some(text) if text.chars().count() > REASON_CHARS_MAX || text.chars().any(|c| c.is_control()) => {
            Err(Error::Invalid(format!("A reason is one line of at most {REASON_CHARS_MAX} characters.")))
        }
        _ => Ok(()),
    }
}

/// Yanks (`Some`, with a reason that may be empty) or unyanks (PEP 592). A release's yank holds for files that
/// come later too.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`].
pub async fn yank(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    target: &Target,
    reason: Option<&str>,
    actor: &Actor,
) -> Result<()> {
    check_reason(reason)?;
    let mut open = open(installation, index, project, actor, |_| ProjectAct::Yank).await?;
    let tx = &mut open.tx;
    let subject = match target {
        Target::Project => return Err(Error::Invalid("Name the version, or the file, that is to be yanked.".into())),
        Target::Release(version) => {
            let release = projects::release(tx, open.project.id, &version.canonical())
                .await?
                .ok_or_else(|| Error::NotFound(format!("There is no release {version} of '{project}'.")))?;
            projects::yank_release(tx, release.id, reason);
            if reason.is_none() {
                files::unyank_all(tx, release.id);
            }
            format!("{project}/{}", release.version)
        }
        Target::File(filename) => {
            let file = file_of(tx, &open.index, &open.project, filename).await?;
            files::yank(tx, file.id, reason);
            if reason.is_none() && files::by_id(tx, file.id).await?.yanked.is_some() {
                return Err(Error::Conflict(format!(
                    "The whole release {} is yanked; unyank the release.",
                    file.version
                )));
            }
            files::subject(project, filename)
        }
    };
    let action = if reason.is_some() { "file.yank" } else { "file.unyank" };
    open.finish(installation, action, &subject, json!({ "reason": reason })).await
}

/// Takes files away for good: they leave every page and URL; names stay used, bytes go back to the vault until
/// somebody purges them.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Conflict`] when there is nothing left to remove.
pub async fn remove(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    target: &Target,
    reason: Option<&str>,
    actor: &Actor,
) -> Result<usize> {
    check_reason(reason)?;
    let mut open = open(installation, index, project, actor, |_| ProjectAct::Remove).await?;
    let tx = &mut open.tx;
    let all = match target {
        Target::File(filename) => vec![file_of(tx, &open.index, &open.project, filename).await?],
        Target::Project => files::of_project(tx, open.project.id).await?,
        Target::Release(version) => {
            let release = projects::release(tx, open.project.id, &version.canonical())
                .await?
                .ok_or_else(|| Error::NotFound(format!("There is no release {version} of '{project}'.")))?;
            let mut rows = files::of_project(tx, open.project.id).await?;
            rows.retain(|file| file.release_id == release.id);
            rows
        }
    };
    let left: Vec<FileRow> = all.into_iter().filter(|file| file.state() != FileState::Removed).collect();
    if left.is_empty() {
        return Err(Error::Conflict("There is nothing left to remove.".into()));
    }
    for file in &left {
        let next = step(file.state(), FileInput::Remove).map_err(|e| Error::Conflict(e.to_string()))?;
        files::set_state(tx, file.id, next);
        projects::uploaded(tx, open.project.id, &open.project.display_name, -file.size_bytes);
        let subject = files::subject(project, &file.filename);
        let detail = json!({ "reason": reason, "sha256": file.sha256() });
        audit::note(tx, Some(open.index.id), open.now_us, &open.actor, "file.remove", &subject, detail);
    }
    let count = left.len();
    open.finish(installation, "project.remove-files", project.as_str(), json!({ "files": count })).await?;
    Ok(count)
}

async fn file_of(tx: &mut Tx, index: &IndexRow, project: &ProjectRow, filename: &str) -> Result<FileRow> {
    files::by_name(tx, index.id, filename)
        .await?
        .filter(|file| file.project_id == project.id)
        .ok_or_else(|| Error::NotFound(format!("There is no file '{filename}' of '{}'.", project.name())))
}

/// Sets a project's status (PEP 792).
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`]; leaving or entering quarantine is a moderator's.
pub async fn set_status(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    status: ProjectStatus,
    reason: Option<&str>,
    actor: &Actor,
) -> Result<()> {
    check_reason(reason)?;
    let act = |current: ProjectStatus| {
        // Into quarantine and out of it is not the owner's to decide.
        if [status, current].contains(&ProjectStatus::Quarantined) {
            ProjectAct::Quarantine
        } else {
            ProjectAct::Status
        }
    };
    let mut open = open(installation, index, project, actor, act).await?;
    let before = open.project.status();
    projects::set_status(&mut open.tx, open.project.id, status, reason);
    let asked = status != before && catalogue::any_on(installation, inspect::Event::StatusChanged);
    if asked {
        jobs::enqueue(&mut open.tx, JobKind::Status, open.index.id, open.project.id, None, open.now_us);
    }
    let detail = json!({ "from": before.as_str(), "to": status.as_str(), "reason": reason });
    open.finish(installation, "project.status", project.as_str(), detail).await?;
    if asked {
        installation.again_wake.notify_one();
    }
    Ok(())
}

/// Somebody's bindings to a name that is no project yet.
struct Pending<'a> {
    tx: Tx,
    of: Waiting<'a>,
    actor: String,
}

impl<'a> Pending<'a> {
    /// `None` where the project is there. Whoever may make it may say who will publish it.
    async fn open(
        installation: &Installation,
        index: &IndexName,
        project: &'a NormalizedName,
        actor: &Actor,
    ) -> Result<Option<Self>> {
        let mut tx = installation.store.write().await?;
        let index = indexes::named(&mut tx, index).await?;
        if projects::by_name(&mut tx, index.id, project).await?.is_some() {
            return Ok(None);
        }
        let (actor, account_id) = match actor {
            Actor::Operator => ("operator".to_owned(), 0),
            Actor::Token(token) if token.projects.is_some() => {
                return Err(Error::Forbidden("A token that is restricted to projects cannot bind publishers.".into()));
            }
            Actor::Token(token) => {
                let account = accounts::by_id(&mut tx, token.account_id).await?;
                let account = account
                    .ok_or_else(|| Error::Forbidden("Invalid or non-existent authentication information.".into()))?;
                (account.name, account.id)
            }
        };
        Ok(Some(Self { tx, of: Waiting { index_id: index.id, name: project, account_id }, actor }))
    }

    async fn set(mut self, publisher: &Publisher, on: bool, now_us: i64) -> Result<()> {
        let (tx, of, actor, name) = (&mut self.tx, self.of, &self.actor, self.of.name);
        if on {
            let is_full = attestations::pending(tx, of).await?.len() >= PUBLISHERS_MAX
                || attestations::count_pending(tx, of.index_id, of.account_id).await? >= PENDING_MAX;
            if is_full {
                return Err(Error::Conflict(format!(
                    "{PUBLISHERS_MAX} publishers of one name, and {PENDING_MAX} of names that are no projects yet, are the most."
                )));
            }
            if !attestations::bind_pending(tx, of, publisher, now_us, actor).await? {
                return Ok(());
            }
        } else if !attestations::unbind_pending(tx, of, publisher).await? {
            return Err(Error::NotFound(format!("{publisher} is not bound to '{name}'.")));
        }
        let action = if on { "project.publisher.bind" } else { "project.publisher.unbind" };
        let detail = json!({ "publisher": publisher, "pending": true });
        audit::note(tx, Some(of.index_id), now_us, actor, action, name.as_str(), detail);
        self.tx.commit().await
    }
}

/// Binds a publisher to a project (`on`), or takes the binding back: whose attestations are taken from now on. Files that
/// were published keep their provenance. A name that is no project yet waits for the actor's first upload of it, the
/// operator's binding for anybody's; it does not keep others from making the project.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`], [`Error::Conflict`] when the project has [`PUBLISHERS_MAX`].
pub async fn set_publisher(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    publisher: Publisher,
    on: bool,
    actor: &Actor,
) -> Result<()> {
    let publisher = publisher.checked().map_err(Error::Invalid)?;
    if let Some(pending) = Pending::open(installation, index, project, actor).await? {
        return pending.set(&publisher, on, installation.clock.now_us()).await;
    }
    let mut open = open(installation, index, project, actor, |_| ProjectAct::Publishers).await?;
    let (tx, ids) = (&mut open.tx, (open.index.id, open.project.id));
    if on {
        if attestations::publishers(tx, open.project.id).await?.len() >= PUBLISHERS_MAX {
            return Err(Error::Conflict(format!("'{project}' has {PUBLISHERS_MAX} publishers, which is the most.")));
        }
        if !attestations::bind(tx, ids, &publisher, open.now_us, &open.actor).await? {
            // As it was asked for.
            return Ok(());
        }
    } else if !attestations::unbind(tx, open.project.id, &publisher).await? {
        return Err(Error::NotFound(format!("{publisher} is not bound to '{project}'.")));
    }
    let action = if on { "project.publisher.bind" } else { "project.publisher.unbind" };
    let detail = serde_json::json!({ "publisher": publisher });
    // Published for the log's sake.
    open.finish(installation, action, project.as_str(), detail).await
}

/// The publishers that are bound to a project, oldest first; of a name that is no project yet, the actor's and the operator's.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`].
pub async fn publishers(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    actor: &Actor,
) -> Result<Vec<Bound>> {
    if let Some(Pending { mut tx, of, .. }) = Pending::open(installation, index, project, actor).await? {
        let waiting = match actor {
            Actor::Operator => attestations::all_pending(&mut tx, of.index_id, project).await?,
            Actor::Token(_) => attestations::pending(&mut tx, of).await?,
        };
        let none = || Error::NotFound(format!("There is no project '{project}', and nothing is bound to its name."));
        return (!waiting.is_empty()).then_some(waiting).ok_or_else(none);
    }
    let mut open = open(installation, index, project, actor, |_| ProjectAct::Upload).await?;
    attestations::publishers(&mut open.tx, open.project.id).await
}

/// Gives (`Some`) or takes (`None`) a role on a project.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Conflict`] when the last owner would go.
pub async fn set_role(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    account: &str,
    role: Option<ProjectRole>,
    actor: &Actor,
) -> Result<()> {
    let mut open = open(installation, index, project, actor, |_| ProjectAct::Roles).await?;
    let tx = &mut open.tx;
    let row = accounts::by_name(tx, account)
        .await?
        .ok_or_else(|| Error::NotFound(format!("There is no account '{account}'.")))?;
    match role {
        Some(role) => projects::set_role(tx, open.project.id, row.id, open.index.id, role),
        None => {
            if !projects::drop_role(tx, open.project.id, row.id).await? {
                return Err(Error::NotFound(format!("'{account}' has no role on '{project}'.")));
            }
        }
    }
    if !projects::roles(tx, open.project.id).await?.iter().any(|(role, _)| role == ProjectRole::Owner.as_str()) {
        return Err(Error::Conflict(format!("'{project}' must keep an owner.")));
    }
    let detail = json!({ "account": account, "role": role.map(ProjectRole::as_str) });
    open.finish(installation, "project.role", project.as_str(), detail).await
}
