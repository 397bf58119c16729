//! Published state, redo records, and the publisher's lease. Written only in commit 2.

use super::db::{Tx, args, statements};
use crate::Result;

statements! {
    TAKE_LEASE = "INSERT INTO publishers (index_id, fence, holder, expires_us) VALUES ($1, 1, $2, $4) \
                  ON CONFLICT (index_id) DO UPDATE SET fence = publishers.fence + 1, holder = excluded.holder, \
                  expires_us = excluded.expires_us WHERE publishers.expires_us <= $3 \
                  OR publishers.holder = excluded.holder RETURNING fence";
    EXTEND_LEASE = "UPDATE publishers SET expires_us = $3 WHERE index_id = $1 AND fence = $2";
    RELEASE_LEASE = "UPDATE publishers SET expires_us = 0 WHERE index_id = $1 AND fence = $2";
    NEXT_SERIAL = "UPDATE indexes SET serial = $2 WHERE id = $1 AND serial = $2 - 1";
    SET_WRITTEN = "UPDATE indexes SET written_serial = $2 WHERE id = $1 AND written_serial < $2";
    UNCHANGED = "SELECT f.id, f.release_id, r.version, f.filename, f.size_bytes, f.sha256, f.provenance_sha256, f.entry, \
                 f.legacy_entry, f.published_yanked IS NOT NULL AS yanked, r.serial AS release_serial FROM files f \
                 JOIN releases r ON r.id = f.release_id WHERE f.project_id = $1 AND f.published";
    RELEASES = "SELECT r.id, r.version, COUNT(*) AS files, MIN(f.uploaded_us) AS first_us, MIN(f.id) AS first_file, \
                SUM(CASE WHEN f.published_yanked IS NULL THEN 1 ELSE 0 END) AS usable FROM files f \
                JOIN releases r ON r.id = f.release_id WHERE f.project_id = $1 AND f.published GROUP BY r.id, r.version";
    ENTRIES = "SELECT entry, uploaded_us FROM files WHERE release_id = $1 AND published ORDER BY filename";
    NEWEST = "SELECT r.version, f.uploaded_us, m.body AS metadata FROM files f JOIN releases r ON r.id = f.release_id \
              JOIN file_metadata m ON m.file_id = f.id WHERE f.project_id = $1 AND f.published ORDER BY f.id DESC LIMIT 1";
    PUBLISH_FILE = "UPDATE files SET published = $2, published_yanked = $3, entry = $4, legacy_entry = $5, \
                    published_root = $6 WHERE id = $1";
    PUBLISH_PROJECT = "UPDATE projects SET published = $3, published_name = $4, published_status = $5, published_reason = $6, \
                       published_roles = $7, published_publishers = $8, serial = $9, render_version = $10, acted_by = NULL WHERE id = $1 AND changes = $2";
    PUBLISH_RELEASE = "UPDATE releases SET serial = $3 WHERE project_id = $1 AND version = $2";
    PUBLISH_RELEASES = "UPDATE releases SET serial = $2 WHERE project_id = $1";
    INSERT_COMMIT = "INSERT INTO commits (index_id, serial, committed_us, record) VALUES ($1, $2, $3, $4)";
    COMMITS_AFTER = "SELECT serial, record FROM commits WHERE index_id = $1 AND serial > $2 ORDER BY serial";
    DROP_COMMITS = "DELETE FROM commits WHERE index_id = $1 AND serial <= $2";
    LIST_VERSION = "SELECT render_version FROM indexes WHERE id = $1";
    SET_LIST_VERSION = "UPDATE indexes SET render_version = $2 WHERE id = $1";
    OF_ANOTHER_VERSION = "SELECT p.id, (SELECT COUNT(*) FROM files f WHERE f.project_id = p.id AND f.published) AS files \
                          FROM projects p WHERE p.index_id = $1 AND p.published AND p.render_version <> $2 AND p.id > $3 \
                          ORDER BY p.id LIMIT $4";
    OF_ANOTHER_ADDRESS = "SELECT project_id, COUNT(*) AS files FROM files WHERE index_id = $1 AND published \
                          AND provenance_sha256 IS NOT NULL AND published_root IS DISTINCT FROM $2 AND project_id > $3 \
                          GROUP BY project_id ORDER BY project_id LIMIT $4";
    COUNT_BEHIND = "SELECT (SELECT COUNT(*) FROM projects WHERE index_id = $1 AND published AND render_version <> $2), \
                    (SELECT COUNT(DISTINCT project_id) FROM files WHERE index_id = $1 AND published \
                    AND provenance_sha256 IS NOT NULL AND published_root IS DISTINCT FROM $3)";
}

/// A file as the site shows it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PublishedRow {
    /// Row id.
    pub id: i64,
    /// Its release.
    pub release_id: i64,
    /// Its version.
    pub version: String,
    /// Its name.
    pub filename: String,
    /// Its size.
    pub size_bytes: i64,
    /// Its content, hex.
    pub sha256: String,
    /// Its provenance object, hex; absent where it has no attestations.
    pub provenance_sha256: Option<String>,
    /// Its entry on the project page, as JSON.
    pub entry: String,
    /// Its entry in the older JSON API.
    pub legacy_entry: String,
    /// Whether it is shown as yanked.
    pub yanked: bool,
    /// The serial under which its release's own page last changed.
    pub release_serial: i64,
}

/// A release with at least one published file.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ReleaseSummaryRow {
    /// Row id.
    pub id: i64,
    /// Its version.
    pub version: String,
    /// How many published files it has.
    pub files: i64,
    /// When the first of them came.
    pub first_us: i64,
    /// The first of them: its metadata stands for the release.
    pub first_file: i64,
    /// How many of them are not yanked.
    pub usable: i64,
}

/// The published file of a project that came last.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct NewestRow {
    /// Its version.
    pub version: String,
    /// When it came.
    pub uploaded_us: i64,
    /// Its metadata text, deflated.
    pub metadata: Vec<u8>,
}

/// Every release of a project that the site shows, in no order.
pub async fn releases(tx: &mut Tx, project_id: i64) -> Result<Vec<ReleaseSummaryRow>> {
    tx.all(RELEASES, args![project_id]).await
}

/// The entries of a release's published files, as JSON, and when each came; by file name.
pub async fn entries(tx: &mut Tx, release_id: i64) -> Result<Vec<(String, i64)>> {
    tx.all(ENTRIES, args![release_id]).await
}

/// The published file that came last.
pub async fn newest(tx: &mut Tx, project_id: i64) -> Result<Option<NewestRow>> {
    tx.maybe(NEWEST, args![project_id]).await
}

/// Takes the lease when nobody holds it; the fence rises with every holder.
pub async fn take_lease(tx: &mut Tx, index_id: i64, holder: &str, now_us: i64, until_us: i64) -> Result<Option<i64>> {
    let row: Option<(i64,)> = tx.maybe(TAKE_LEASE, args![index_id, holder, now_us, until_us]).await?;
    Ok(row.map(|(fence,)| fence))
}

/// Extends a lease, also one whose time has passed while nobody took it; false when another took it.
pub async fn extend_lease(tx: &mut Tx, index_id: i64, fence: i64, until_us: i64) -> Result<bool> {
    Ok(tx.execute(EXTEND_LEASE, args![index_id, fence, until_us]).await? == 1)
}

/// As [`extend_lease`], inside commit 2: [`crate::Error::Overtaken`] when another took it.
pub fn must_extend_lease(tx: &mut Tx, index_id: i64, fence: i64, until_us: i64) {
    tx.later_one(EXTEND_LEASE, args![index_id, fence, until_us]);
}

/// Gives the lease back.
pub fn release_lease(tx: &mut Tx, index_id: i64, fence: i64) {
    tx.later(RELEASE_LEASE, args![index_id, fence]);
}

/// Gives out a serial; [`crate::Error::Overtaken`] when it is not the next.
pub fn next_serial(tx: &mut Tx, index_id: i64, serial: i64) {
    tx.later_one(NEXT_SERIAL, args![index_id, serial]);
}

/// Notes that the site is on disk up to a serial.
pub fn set_written(tx: &mut Tx, index_id: i64, serial: i64) {
    tx.later(SET_WRITTEN, args![index_id, serial]);
}

/// Every file of a project that the site shows.
pub async fn published(tx: &mut Tx, project_id: i64) -> Result<Vec<PublishedRow>> {
    tx.all(UNCHANGED, args![project_id]).await
}

/// Publishes a file's state. `root`: the address of this server that its entry names.
pub fn publish_file(
    tx: &mut Tx,
    id: i64,
    published: bool,
    yanked: Option<&str>,
    (entry, legacy_entry): (Option<&str>, Option<&str>),
    root: Option<&str>,
) {
    tx.later(PUBLISH_FILE, args![id, published, yanked, entry, legacy_entry, root]);
}

/// What is published of a project.
#[derive(Debug, Clone)]
pub struct PublishedProject {
    /// Row id.
    pub id: i64,
    /// The change counter that was read with the snapshot.
    pub changes: i64,
    /// Whether it is on the list.
    pub published: bool,
    /// Spelling.
    pub name: String,
    /// Status.
    pub status: packaging::ProjectStatus,
    /// Its reason.
    pub reason: Option<String>,
    /// Roles, as JSON.
    pub roles: String,
    /// Publishers, as JSON.
    pub publishers: String,
    /// The version of the renderer that makes its pages.
    pub render_version: i64,
}

/// Publishes a project's state; [`crate::Error::Overtaken`] when the project changed since it was read.
pub fn publish_project(tx: &mut Tx, project: &PublishedProject, serial: i64) {
    let PublishedProject { id, changes, published, name, status, reason, roles, publishers, render_version } = project;
    tx.later_one(
        PUBLISH_PROJECT,
        args![
            *id,
            *changes,
            *published,
            name,
            status.as_str(),
            reason.as_deref(),
            roles,
            publishers,
            serial,
            *render_version
        ],
    );
}

/// Notes that a release's own page is written under this serial.
pub fn publish_release(tx: &mut Tx, project_id: i64, version: &str, serial: i64) {
    tx.later(PUBLISH_RELEASE, args![project_id, version, serial]);
}

/// Notes that the pages of all of a project's releases are: one statement, whatever their number.
pub fn publish_releases(tx: &mut Tx, project_id: i64, serial: i64) {
    tx.later(PUBLISH_RELEASES, args![project_id, serial]);
}

/// Keeps a redo record.
pub fn insert_commit(tx: &mut Tx, index_id: i64, serial: i64, now_us: i64, record: &str) {
    tx.later(INSERT_COMMIT, args![index_id, serial, now_us, record]);
}

/// Redo records after a serial, oldest first.
pub async fn commits_after(tx: &mut Tx, index_id: i64, serial: i64) -> Result<Vec<(i64, String)>> {
    tx.all(COMMITS_AFTER, args![index_id, serial]).await
}

/// Forgets redo records up to a serial.
pub fn drop_commits(tx: &mut Tx, index_id: i64, serial: i64) {
    tx.later(DROP_COMMITS, args![index_id, serial]);
}

/// The version of the renderer that wrote the list of projects.
pub async fn list_version(tx: &mut Tx, index_id: i64) -> Result<i64> {
    let (version,): (i64,) = tx.one(LIST_VERSION, args![index_id]).await?;
    Ok(version)
}

/// Notes which version of the renderer wrote the list.
pub fn set_list_version(tx: &mut Tx, index_id: i64, version: i64) {
    tx.later(SET_LIST_VERSION, args![index_id, version]);
}

/// Published projects after an id whose pages another version of the renderer made, by id, each with how many files it
/// shows.
pub async fn of_another_version(
    tx: &mut Tx,
    index_id: i64,
    version: i64,
    after: i64,
    most: i64,
) -> Result<Vec<(i64, i64)>> {
    tx.all(OF_ANOTHER_VERSION, args![index_id, version, after, most]).await
}

/// Projects after an id that have pages which name another address of this server, by id, each with how many of its files
/// are named so.
pub async fn of_another_address(
    tx: &mut Tx,
    index_id: i64,
    address: Option<&str>,
    after: i64,
    most: i64,
) -> Result<Vec<(i64, i64)>> {
    tx.all(OF_ANOTHER_ADDRESS, args![index_id, address, after, most]).await
}

/// How many projects [`of_another_version`] and [`of_another_address`] have left.
pub async fn behind(tx: &mut Tx, index_id: i64, version: i64, address: Option<&str>) -> Result<(i64, i64)> {
    tx.one(COUNT_BEHIND, args![index_id, version, address]).await
}

/// Makes the pages of an index those of another version of the renderer, for tests.
#[cfg(test)]
pub(crate) async fn made_by(tx: &mut Tx, index_id: i64, version: i64) -> Result<()> {
    tx.execute("UPDATE projects SET render_version = $2 WHERE index_id = $1", args![index_id, version]).await?;
    tx.execute("UPDATE indexes SET render_version = $2 WHERE id = $1", args![index_id, version]).await?;
    Ok(())
}
