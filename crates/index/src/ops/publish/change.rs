//! What one project contributes to a set of changes.

use std::collections::{BTreeMap, BTreeSet};

use packaging::simple;
use packaging::{NormalizedName, ProjectStatus};
use serde_json::json;

use super::super::log;
use super::super::signing::TargetChange;
use super::super::site::Move;
use super::beside::beside;
use super::{Pieces, Rendered, site_path};
use crate::blobs::layout;
use crate::model::{IndexName, ProjectRole, is_visible};
use crate::render::{self, Object, ProjectView, RENDER_VERSION};
use crate::store::files::FileRow;
use crate::store::projects::ProjectRow;
use crate::store::publishing::{self, PublishedProject, PublishedRow};
use crate::store::{Tx, attestations, files, projects};
use crate::{Error, Result};

/// What one project contributes to a set.
pub(super) struct ProjectChange {
    pub(super) name: NormalizedName,
    pub(super) project: PublishedProject,
    files: Vec<FileChange>,
    /// Whether it is shown for the first time.
    is_new: bool,
    /// Whether all its releases' pages are rendered.
    is_whole: bool,
    pub(super) moves: Vec<Move>,
    pub(super) rendered: Rendered,
    pub(super) objects: Vec<Object>,
    /// Pages of releases that are rendered while they are written.
    pub(super) later: Option<Pieces>,
    pub(super) targets: Vec<TargetChange>,
    /// What the log says of it; nothing of a project that has no page.
    pub(super) logged: Option<log::Change>,
}

struct FileChange {
    id: i64,
    visible: bool,
    yanked: Option<String>,
    entry: String,
    legacy_entry: String,
    /// The address of this server that the entry names.
    root: Option<String>,
}

impl FileChange {
    /// What becomes of a file; `public_url` is where provenance says that this server is.
    fn of(index: &IndexName, file: &FileRow, visible: bool, public_url: Option<&str>) -> Self {
        let (entry, legacy_entry) = render::entries(index, file, public_url);
        let yanked = file.yanked.clone().filter(|_| visible);
        let root = file.provenance_sha256().and(public_url).filter(|_| visible).map(str::to_owned);
        Self { id: file.id, visible, yanked, entry, legacy_entry, root }
    }
}

impl ProjectChange {
    /// Turns wanted into published state; [`crate::Error::Overtaken`] at the commit when the project changed since it was read.
    pub(super) fn publish(&self, tx: &mut Tx, serial: i64) {
        publishing::publish_project(tx, &self.project, serial);
        for file in &self.files {
            let FileChange { id, visible, yanked, entry, legacy_entry, root } = file;
            let entries = (visible.then_some(entry.as_str()), visible.then_some(legacy_entry.as_str()));
            publishing::publish_file(tx, *id, *visible, yanked.as_deref(), entries, root.as_deref());
        }
        if self.is_whole {
            publishing::publish_releases(tx, self.project.id, serial);
        } else {
            let releases = self.rendered.releases.iter();
            releases.for_each(|version| publishing::publish_release(tx, self.project.id, version, serial));
        }
    }

    /// How many projects and files are shown more than before.
    pub(super) fn shown(&self) -> (i64, i64) {
        let files = self.moves.iter().map(|one| if one.into_site { 1 } else { -1 });
        (i64::from(self.is_new), files.sum())
    }

    pub(super) fn paths(&self, index: &IndexName) -> Vec<String> {
        // Nothing that is write-once changes under anybody's name for it.
        let pages = self.objects.iter().filter(|(key, _)| !key.is_page_target());
        let pages = pages.map(|(key, _)| site_path(index, key.as_str()));
        let later = self.later.iter().flat_map(|_| &self.rendered.releases);
        let later = later.map(|version| site_path(index, layout::legacy_release(index, &self.name, version).as_str()));
        let bytes = self.moves.iter().flat_map(|one| {
            let path = simple::file_path(&one.sha256, &one.filename);
            [format!("{path}.metadata"), path]
        });
        pages.chain(later).chain(bytes).collect()
    }
}

/// What becomes of each project of a set.
pub(super) async fn changes_of(
    tx: &mut Tx,
    index: &IndexName,
    projects: impl Iterator<Item = &i64>,
    serial: i64,
    public_url: Option<&str>,
) -> Result<Vec<ProjectChange>> {
    let mut changes = Vec::new();
    for id in projects {
        changes.push(change_of(tx, index, *id, serial, public_url).await?);
    }
    Ok(changes)
}

/// Published state with the wanted changes on top, rendered under the next serial.
async fn change_of(
    tx: &mut Tx,
    index: &IndexName,
    project_id: i64,
    serial: i64,
    public_url: Option<&str>,
) -> Result<ProjectChange> {
    let row = projects::by_id(tx, project_id).await?;
    let status = row.status();
    let (roles, publishers) = people(tx, project_id).await?;
    let mut visible: BTreeMap<i64, PublishedRow> =
        publishing::published(tx, project_id).await?.into_iter().map(|file| (file.id, file)).collect();
    let changed = changed_files(tx, &row, public_url).await?;
    let (mut files, mut moves, mut objects, mut targets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut happened = log::of_project(tx, &row, &roles, &publishers).await?;
    let mut releases: BTreeSet<String> = changed.iter().map(|file| file.version.clone()).collect();
    for file in changed {
        let now_visible = is_visible(file.state(), status);
        happened.extend(log::of_file(&row, &file, now_visible));
        if now_visible != file.published {
            objects.extend(beside(tx, index, &file, now_visible).await?);
            let (sha256, filename) = (file.sha256(), file.filename.clone());
            let content = now_visible.then_some((&sha256, file.size_bytes));
            targets.push(TargetChange::file(&row.name(), &filename, content, file.provenance_sha256()));
            moves.push(Move { file: file.id, sha256, filename, into_site: now_visible });
        }
        let change = FileChange::of(index, &file, now_visible, public_url);
        visible.remove(&file.id);
        visible.extend(now_visible.then(|| (file.id, shown(&file, &change.entry, &change.legacy_entry, serial))));
        files.push(change);
    }
    let is_whole = is_changed_whole(&row, &roles);
    let mut view = view_of(index, &row, &roles, serial, visible);
    changed_releases(&mut view, &mut releases, is_whole, serial);
    // On the list, and on any page, from its first visible file on; also when the last one goes.
    let published = row.published || !view.files.is_empty();
    let mut later = None;
    if published {
        let (own, left) = Pieces::of(view, releases.iter().cloned()).begin(tx).await?;
        objects.extend(own);
        later = left;
    }
    targets.extend(TargetChange::page(index, &row.name(), &objects));
    let page = targets.last().and_then(TargetChange::page_hash);
    let logged = published.then(|| log::Change { project_id, project: row.name(), page, happened });
    Ok(ProjectChange {
        name: row.name(),
        project: PublishedProject {
            id: project_id,
            changes: row.changes,
            published,
            name: row.display_name.clone(),
            status,
            reason: row.status_reason.clone(),
            roles,
            publishers,
            render_version: RENDER_VERSION,
        },
        files,
        is_new: published && !row.published,
        is_whole,
        moves,
        rendered: Rendered { project: project_id, releases },
        objects,
        later,
        targets,
        logged,
    })
}

/// Files whose published state is not what is wanted, in an order that does not depend on the engine: the log has them so.
async fn changed_files(tx: &mut Tx, row: &ProjectRow, public_url: Option<&str>) -> Result<Vec<FileRow>> {
    let (open, again) = (row.status() != ProjectStatus::Quarantined, row.render_version != RENDER_VERSION);
    let mut changed = files::changed(tx, row.id, open, public_url, again).await?;
    changed.sort_unstable_by(|one, two| one.filename.cmp(&two.filename));
    Ok(changed)
}

/// Marks the releases that change in a view: all of them where the project changes as a whole.
fn changed_releases(view: &mut ProjectView, releases: &mut BTreeSet<String>, is_whole: bool, serial: i64) {
    if is_whole {
        releases.extend(view.versions().map(str::to_owned));
    }
    for file in view.files.iter_mut().filter(|file| releases.contains(&file.version)) {
        file.release_serial = serial;
    }
}

/// The project as it will be published.
fn view_of(
    index: &IndexName,
    row: &ProjectRow,
    roles: &str,
    serial: i64,
    visible: BTreeMap<i64, PublishedRow>,
) -> ProjectView {
    let mut files: Vec<PublishedRow> = visible.into_values().collect();
    render::sort_files(&mut files);
    let (name, reason) = (row.name(), row.status_reason.clone());
    ProjectView { index: index.clone(), name, status: row.status(), reason, roles: roles.to_owned(), serial, files }
}

/// Whether every page of the project changes, not only those of some releases.
fn is_changed_whole(row: &ProjectRow, roles: &str) -> bool {
    !row.published
        || row.render_version != RENDER_VERSION
        || row.status() != row.published_status()
        || row.status_reason != row.published_reason
        || row.display_name != row.published_name
        || roles != row.published_roles
}

/// Who has which role, and who publishes from outside, as the ledger keeps them published.
async fn people(tx: &mut Tx, project_id: i64) -> Result<(String, String)> {
    Ok((roles_json(tx, project_id).await?, attestations::publishers_json(tx, project_id).await?))
}

/// Roles as the older JSON API shows them.
async fn roles_json(tx: &mut Tx, project_id: i64) -> Result<String> {
    let mut shown = Vec::new();
    for (role, user) in projects::roles(tx, project_id).await? {
        let role: ProjectRole = role.parse().map_err(Error::Internal)?;
        shown.push(json!({ "role": role.shown(), "user": user }));
    }
    Ok(json!(shown).to_string())
}

/// A file as it will be published.
fn shown(file: &FileRow, entry: &str, legacy_entry: &str, serial: i64) -> PublishedRow {
    PublishedRow {
        id: file.id,
        release_id: file.release_id,
        version: file.version.clone(),
        filename: file.filename.clone(),
        size_bytes: file.size_bytes,
        sha256: file.sha256().to_string(),
        provenance_sha256: file.provenance_sha256().map(|sha256| sha256.to_string()),
        entry: entry.to_owned(),
        legacy_entry: legacy_entry.to_owned(),
        yanked: file.yanked.is_some(),
        release_serial: serial,
    }
}
