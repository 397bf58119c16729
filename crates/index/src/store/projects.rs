//! Projects, their roles and their releases.

use packaging::{NormalizedName, ProjectStatus};

use super::db::{Tx, args, statements};
use crate::model::ProjectRole;
use crate::{Error, Result};

statements! {
    BY_NAME = "SELECT id, index_id, name, display_name, status, status_reason, changes, files_bytes, published, \
               published_name, published_status, published_reason, published_roles, published_publishers, serial, acted_by, render_version \
               FROM projects WHERE index_id = $1 AND name = $2";
    BY_ID = "SELECT id, index_id, name, display_name, status, status_reason, changes, files_bytes, published, \
             published_name, published_status, published_reason, published_roles, published_publishers, serial, acted_by, render_version \
             FROM projects WHERE id = $1";
    INSERT = "INSERT INTO projects (index_id, name, folded, display_name, created_us, status, changes, files_bytes, \
              published, published_name, published_status, published_roles, serial) \
              VALUES ($1, $2, $3, $4, $5, 'active', 0, 0, FALSE, $4, 'active', '[]', 0)";
    UPLOADED = "UPDATE projects SET changes = changes + CASE WHEN display_name <> $2 THEN 1 ELSE 0 END, \
                display_name = $2, files_bytes = files_bytes + $3 WHERE id = $1";
    TOUCH = "UPDATE projects SET changes = changes + 1, acted_by = CASE WHEN acted_by IS NULL OR acted_by = $2 \
             THEN $2 ELSE 0 END WHERE id = $1";
    SET_STATUS = "UPDATE projects SET status = $2, status_reason = $3 WHERE id = $1";
    PUBLISHED = "SELECT id, name, published_name, serial FROM projects WHERE index_id = $1 AND published ORDER BY name";
    PUBLISHED_AFTER = "SELECT id, name, published_name, serial FROM projects WHERE index_id = $1 AND published \
                       AND name > $2 ORDER BY name LIMIT $3";
    LISTED = "SELECT id, name, published_name, serial FROM projects WHERE index_id = $1 AND published \
              AND published_status <> 'quarantined' ORDER BY name";
    CHANGED = "SELECT name, published, published_status FROM projects WHERE index_id = $1 AND serial > $2";
    COUNTS = "SELECT shown_projects, shown_files FROM indexes WHERE id = $1";
    COUNTED = "SELECT (SELECT COUNT(*) FROM projects WHERE index_id = $1 AND published), \
               (SELECT COUNT(*) FROM files WHERE index_id = $1 AND published)";
    SHOWN = "UPDATE indexes SET shown_projects = shown_projects + $2, shown_files = shown_files + $3 WHERE id = $1";
    ROLE = "SELECT role FROM roles WHERE project_id = $1 AND account_id = $2";
    ROLES = "SELECT r.role, a.name FROM roles r JOIN accounts a ON a.id = r.account_id WHERE r.project_id = $1 \
             ORDER BY CASE WHEN r.role = 'owner' THEN 0 ELSE 1 END, a.name";
    SET_ROLE = "INSERT INTO roles (project_id, account_id, index_id, role) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (project_id, account_id) DO UPDATE SET role = excluded.role";
    DROP_ROLE = "DELETE FROM roles WHERE project_id = $1 AND account_id = $2";
    RELEASE = "SELECT id, version, created_us, yanked FROM releases WHERE project_id = $1 AND canonical = $2";
    INSERT_RELEASE = "INSERT INTO releases (index_id, project_id, version, canonical, created_us, serial) \
                      SELECT $1, id, $3, $4, $5, 0 FROM projects WHERE index_id = $1 AND name = $2 RETURNING project_id, id";
    YANK_RELEASE = "UPDATE releases SET yanked = $2 WHERE id = $1";
}

/// One project.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ProjectRow {
    /// Row id.
    pub id: i64,
    /// Its index.
    pub index_id: i64,
    name: String,
    /// The spelling of the latest upload.
    pub display_name: String,
    status: String,
    /// Wanted reason of the status.
    pub status_reason: Option<String>,
    /// Raised by every change to what is rendered; commit 2 compares it.
    pub changes: i64,
    /// Bytes of all files that were not removed.
    pub files_bytes: i64,
    /// Whether it is on the list of projects.
    pub published: bool,
    /// Published spelling.
    pub published_name: String,
    published_status: String,
    /// Published reason.
    pub published_reason: Option<String>,
    /// Published roles, as JSON.
    pub published_roles: String,
    /// Published publishers, as JSON: see [`super::attestations::publishers_json`].
    pub published_publishers: String,
    /// The serial under which it last changed.
    pub serial: i64,
    acted_by: Option<i64>,
    /// The version of the renderer that made its pages.
    pub render_version: i64,
}

impl ProjectRow {
    /// The one account whose acts wait to be published; nothing where others had a part in it.
    pub fn acted_by(&self) -> Option<i64> {
        self.acted_by.filter(|account| *account != 0)
    }

    /// Normal name.
    pub fn name(&self) -> NormalizedName {
        self.name.parse().expect("the ledger holds only normal names")
    }

    /// Whether the list of projects and a search name it.
    pub fn is_listed(&self) -> bool {
        self.published && is_shown_in_lists(&self.published_status)
    }

    /// Wanted status.
    pub fn status(&self) -> ProjectStatus {
        self.status.parse().expect("the ledger holds only known statuses")
    }

    /// Published status.
    pub fn published_status(&self) -> ProjectStatus {
        self.published_status.parse().expect("the ledger holds only known statuses")
    }
}

/// A project on the list.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ListedRow {
    /// Row id.
    pub id: i64,
    /// Normal name.
    pub name: String,
    /// Published spelling.
    pub published_name: String,
    /// Last serial.
    pub serial: i64,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ReleaseRow {
    /// Row id.
    pub id: i64,
    /// Normalised spelling of its first file.
    pub version: String,
    /// When its first file came.
    pub created_us: i64,
    /// Wanted yank of the whole release: absent, or its reason.
    pub yanked: Option<String>,
}

/// The project of this name, if there is one.
pub async fn by_name(tx: &mut Tx, index_id: i64, name: &NormalizedName) -> Result<Option<ProjectRow>> {
    tx.maybe(BY_NAME, args![index_id, name]).await
}

/// The project of this name.
pub async fn named(tx: &mut Tx, index_id: i64, name: &NormalizedName) -> Result<ProjectRow> {
    by_name(tx, index_id, name).await?.ok_or_else(|| Error::NotFound(format!("There is no project '{name}'.")))
}

/// The project of this id.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<ProjectRow> {
    tx.one(BY_ID, args![id]).await
}

/// Claims a name.
pub fn insert(tx: &mut Tx, index_id: i64, name: &NormalizedName, display: &str, now_us: i64) {
    tx.later(INSERT, args![index_id, name, name.folded(), display, now_us]);
}

/// Notes an accepted (or, with negative bytes, removed) file.
pub fn uploaded(tx: &mut Tx, id: i64, display: &str, bytes: i64) {
    tx.later(UPLOADED, args![id, display, bytes]);
}

/// Raises the change counter, and notes whose act it was: an account's, or nobody's for what an operator or a rule did.
pub fn touch(tx: &mut Tx, id: i64, account_id: Option<i64>) {
    tx.later(TOUCH, args![id, account_id.unwrap_or(0)]);
}

/// Wants a status.
pub fn set_status(tx: &mut Tx, id: i64, status: ProjectStatus, reason: Option<&str>) {
    tx.later(SET_STATUS, args![id, status.as_str(), reason]);
}

/// Every published project, by name.
pub async fn published(tx: &mut Tx, index_id: i64) -> Result<Vec<ListedRow>> {
    tx.all(PUBLISHED, args![index_id]).await
}

/// Published projects after a name, by name, for walks over everything.
pub async fn published_after(tx: &mut Tx, index_id: i64, after: &str, most: i64) -> Result<Vec<ListedRow>> {
    tx.all(PUBLISHED_AFTER, args![index_id, after, most]).await
}

/// Every project that the list and a search name ([`ProjectRow::is_listed`]), by name.
pub async fn listed(tx: &mut Tx, index_id: i64) -> Result<Vec<ListedRow>> {
    tx.all(LISTED, args![index_id]).await
}

/// Normal names of the projects that a publication after this serial changed, and whether they are listed now.
pub async fn changed(tx: &mut Tx, index_id: i64, serial: i64) -> Result<Vec<(String, bool)>> {
    let rows: Vec<(String, bool, String)> = tx.all(CHANGED, args![index_id, serial]).await?;
    Ok(rows.into_iter().map(|(name, published, status)| (name, published && is_shown_in_lists(&status))).collect())
}

/// Whoever knows the name of a project in quarantine is told so by its page; nobody is led to it.
fn is_shown_in_lists(status: &str) -> bool {
    status != ProjectStatus::Quarantined.as_str()
}

/// Notes that an index shows so many projects and files more, or less.
pub fn shown(tx: &mut Tx, index_id: i64, projects: i64, files: i64) {
    tx.later(SHOWN, args![index_id, projects, files]);
}

/// As [`counts`], counted: it looks at every row.
pub async fn counted(tx: &mut Tx, index_id: i64) -> Result<(i64, i64)> {
    tx.one(COUNTED, args![index_id]).await
}

/// Published projects and files, as far as each commit 2 kept count.
pub async fn counts(tx: &mut Tx, index_id: i64) -> Result<(i64, i64)> {
    tx.one(COUNTS, args![index_id]).await
}

/// What the account is to the project.
pub async fn role(tx: &mut Tx, id: i64, account_id: i64) -> Result<Option<ProjectRole>> {
    let row: Option<(String,)> = tx.maybe(ROLE, args![id, account_id]).await?;
    Ok(row.map(|(role,)| role.parse().expect("the ledger holds only known roles")))
}

/// Roles and account names, owners first.
pub async fn roles(tx: &mut Tx, id: i64) -> Result<Vec<(String, String)>> {
    tx.all(ROLES, args![id]).await
}

/// Gives or changes a role.
pub fn set_role(tx: &mut Tx, id: i64, account_id: i64, index_id: i64, role: ProjectRole) {
    tx.later(SET_ROLE, args![id, account_id, index_id, role.as_str()]);
}

/// Takes a role; false when there was none.
pub async fn drop_role(tx: &mut Tx, id: i64, account_id: i64) -> Result<bool> {
    Ok(tx.execute(DROP_ROLE, args![id, account_id]).await? == 1)
}

/// The release that this version means.
pub async fn release(tx: &mut Tx, id: i64, canonical: &str) -> Result<Option<ReleaseRow>> {
    tx.maybe(RELEASE, args![id, canonical]).await
}

/// Makes a release of the project of this name; the ids of project and release.
pub async fn insert_release(
    tx: &mut Tx,
    index_id: i64,
    project: &NormalizedName,
    version: &str,
    canonical: &str,
    now_us: i64,
) -> Result<(i64, i64)> {
    tx.one(INSERT_RELEASE, args![index_id, project, version, canonical, now_us]).await
}

/// Wants a whole release yanked or not.
pub fn yank_release(tx: &mut Tx, release_id: i64, reason: Option<&str>) {
    tx.later(YANK_RELEASE, args![release_id, reason]);
}
