//! Files, the registry of their names, and their metadata.

use packaging::{NormalizedName, Sha256};

use super::attestations::{self, NewProvenance};
use super::db::{Tx, args, statements};
use crate::Result;
use crate::model::{FileKind, FileState};

statements! {
    REGISTER = "INSERT INTO filenames (index_id, meaning, filename, sha256, claimed_us) VALUES ($1, $2, $3, $4, $5)";
    BY_NAME = "SELECT f.id, f.project_id, f.release_id, f.filename, f.kind, f.python_tag, f.comment, f.size_bytes, f.sha256, f.blake2, \
               f.md5, f.requires_python, f.metadata_sha256, f.provenance_sha256, f.uploaded_us, f.uploaded_by, f.state, COALESCE(f.yanked, r.yanked) AS yanked, \
               f.published, f.published_yanked, r.version FROM files f JOIN releases r ON r.id = f.release_id \
               WHERE f.index_id = $1 AND f.filename = $2";
    BY_ID = "SELECT f.id, f.project_id, f.release_id, f.filename, f.kind, f.python_tag, f.comment, f.size_bytes, f.sha256, f.blake2, \
             f.md5, f.requires_python, f.metadata_sha256, f.provenance_sha256, f.uploaded_us, f.uploaded_by, f.state, COALESCE(f.yanked, r.yanked) AS yanked, \
             f.published, f.published_yanked, r.version FROM files f JOIN releases r ON r.id = f.release_id \
             WHERE f.id = $1";
    OF_PROJECT = "SELECT f.id, f.project_id, f.release_id, f.filename, f.kind, f.python_tag, f.comment, f.size_bytes, f.sha256, f.blake2, \
                  f.md5, f.requires_python, f.metadata_sha256, f.provenance_sha256, f.uploaded_us, f.uploaded_by, f.state, COALESCE(f.yanked, r.yanked) AS yanked, \
                  f.published, f.published_yanked, r.version FROM files f JOIN releases r ON r.id = f.release_id \
                  WHERE f.project_id = $1 ORDER BY f.id";
    OF_INDEX = "SELECT f.id, f.project_id, f.release_id, f.filename, f.kind, f.python_tag, f.comment, f.size_bytes, f.sha256, f.blake2, \
                f.md5, f.requires_python, f.metadata_sha256, f.provenance_sha256, f.uploaded_us, f.uploaded_by, f.state, COALESCE(f.yanked, r.yanked) AS yanked, \
                f.published, f.published_yanked, r.version FROM files f JOIN releases r ON r.id = f.release_id \
                WHERE f.index_id = $1 AND f.id > $2 ORDER BY f.id LIMIT $3";
    CHANGED = "SELECT f.id, f.project_id, f.release_id, f.filename, f.kind, f.python_tag, f.comment, f.size_bytes, f.sha256, f.blake2, \
               f.md5, f.requires_python, f.metadata_sha256, f.provenance_sha256, f.uploaded_us, f.uploaded_by, f.state, COALESCE(f.yanked, r.yanked) AS yanked, \
               f.published, f.published_yanked, r.version FROM files f JOIN releases r ON r.id = f.release_id WHERE f.project_id = $1 \
               AND (f.published <> (f.state = 'visible' AND $2) \
               OR (f.published AND COALESCE(f.yanked, r.yanked) IS DISTINCT FROM f.published_yanked) \
               OR (f.published AND f.provenance_sha256 IS NOT NULL AND f.published_root IS DISTINCT FROM $3) \
               OR (f.published AND $4))";
    INSERT = "INSERT INTO files (index_id, project_id, release_id, filename, kind, python_tag, comment, size_bytes, sha256, blake2, \
              md5, requires_python, metadata_sha256, origin, uploaded_us, uploaded_by, provenance_sha256, state, published) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'uploaded', $14, $15, $16, 'staged', FALSE) \
              RETURNING id";
    INSERT_METADATA = "INSERT INTO file_metadata (file_id, body) VALUES ($1, $2)";
    METADATA = "SELECT body FROM file_metadata WHERE file_id = $1";
    SET_STATE = "UPDATE files SET state = $2 WHERE id = $1";
    YANK = "UPDATE files SET yanked = $2 WHERE id = $1";
    YANK_OF_RELEASE = "UPDATE files SET yanked = NULL WHERE release_id = $1";
    FIRSTS = "SELECT (SELECT MIN(id) FROM files WHERE project_id = $1) AS project, \
              (SELECT MIN(id) FROM files WHERE release_id = $2) AS release";
    STORED = "SELECT COUNT(*) FROM files WHERE index_id = $1 AND sha256 = $2 AND filename = $3";
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FileRow {
    /// Row id.
    pub id: i64,
    /// Its project.
    pub project_id: i64,
    /// Its release.
    pub release_id: i64,
    /// Its name.
    pub filename: String,
    kind: String,
    /// `pyversion` of the upload form.
    pub python_tag: String,
    /// The uploader's comment.
    pub comment: String,
    /// Its size.
    pub size_bytes: i64,
    sha256: String,
    /// BLAKE2b-256, hex.
    pub blake2: String,
    /// MD5, hex; only ever shown, never compared alone.
    pub md5: String,
    /// Requires-Python of its metadata.
    pub requires_python: Option<String>,
    metadata_sha256: Option<String>,
    provenance_sha256: Option<String>,
    /// When it was accepted.
    pub uploaded_us: i64,
    /// By which account; absent for what nobody uploaded.
    pub uploaded_by: Option<i64>,
    state: String,
    /// Wanted yank, its own or its release's.
    pub yanked: Option<String>,
    /// Whether the site shows it.
    pub published: bool,
    /// The yank that the site shows.
    pub published_yanked: Option<String>,
    /// Its release's version.
    pub version: String,
}

impl FileRow {
    /// sdist or wheel.
    pub fn kind(&self) -> FileKind {
        self.kind.parse().expect("the ledger holds only known kinds")
    }

    /// Content.
    pub fn sha256(&self) -> Sha256 {
        self.sha256.parse().expect("the ledger holds only valid digests")
    }

    /// Digest of its `.metadata`; absent for sdists.
    pub fn metadata_sha256(&self) -> Option<Sha256> {
        self.metadata_sha256.as_ref().map(|text| text.parse().expect("the ledger holds only valid digests"))
    }

    /// Digest of its provenance object, where its attestations were verified.
    pub fn provenance_sha256(&self) -> Option<Sha256> {
        self.provenance_sha256.as_ref().map(|text| text.parse().expect("the ledger holds only valid digests"))
    }

    /// Wanted state.
    pub fn state(&self) -> FileState {
        self.state.parse().expect("the ledger holds only known states")
    }
}

/// What is known of a file when it is accepted.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Its index.
    pub index_id: i64,
    /// Its project.
    pub project_id: i64,
    /// Its release.
    pub release_id: i64,
    /// Its name.
    pub filename: String,
    /// What the name means (`DistFilename::meaning`), for the registry.
    pub meaning: String,
    /// sdist or wheel.
    pub kind: FileKind,
    /// `pyversion`.
    pub python_tag: String,
    /// Comment.
    pub comment: String,
    /// Size.
    pub size_bytes: i64,
    /// Content.
    pub sha256: Sha256,
    /// BLAKE2b-256, hex.
    pub blake2: String,
    /// MD5, hex.
    pub md5: String,
    /// Requires-Python.
    pub requires_python: Option<String>,
    /// Digest of the metadata that will be served beside it.
    pub metadata_sha256: Option<Sha256>,
    /// The METADATA or PKG-INFO text, deflated.
    pub metadata_body: Vec<u8>,
    /// When.
    pub uploaded_us: i64,
    /// By whom.
    pub uploaded_by: Option<i64>,
    /// What was verified of it.
    pub provenance: Option<NewProvenance>,
}

/// The file of this name.
pub async fn by_name(tx: &mut Tx, index_id: i64, filename: &str) -> Result<Option<FileRow>> {
    tx.maybe(BY_NAME, args![index_id, filename]).await
}

/// The file of this id.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<FileRow> {
    tx.one(BY_ID, args![id]).await
}

/// Every file of a project, oldest first.
pub async fn of_project(tx: &mut Tx, project_id: i64) -> Result<Vec<FileRow>> {
    tx.all(OF_PROJECT, args![project_id]).await
}

/// Files of a project whose wanted state differs from the published one. `open`: the project's status lets files be
/// seen. `public_url`: the address that pages name now. `again`: with every file that is shown, as its entries are made
/// anew.
pub async fn changed(
    tx: &mut Tx,
    project_id: i64,
    open: bool,
    public_url: Option<&str>,
    again: bool,
) -> Result<Vec<FileRow>> {
    tx.all(CHANGED, args![project_id, open, public_url, again]).await
}

/// Files of an index with an id above `after`, for walks over everything.
pub async fn of_index(tx: &mut Tx, index_id: i64, after: i64, most: i64) -> Result<Vec<FileRow>> {
    tx.all(OF_INDEX, args![index_id, after, most]).await
}

/// Stages a file: claims its name, keeps its metadata.
pub async fn insert(tx: &mut Tx, new: NewFile) -> Result<i64> {
    tx.later(REGISTER, args![new.index_id, new.meaning, &new.filename, &new.sha256, new.uploaded_us]);
    let (id,): (i64,) = tx
        .one(
            INSERT,
            args![
                new.index_id,
                new.project_id,
                new.release_id,
                new.filename,
                new.kind.as_str(),
                new.python_tag,
                new.comment,
                new.size_bytes,
                &new.sha256,
                new.blake2,
                new.md5,
                new.requires_python,
                new.metadata_sha256.map(|hash| hash.to_string()),
                new.uploaded_us,
                new.uploaded_by,
                new.provenance.as_ref().map(|provenance| provenance.sha256.to_string())
            ],
        )
        .await?;
    tx.later(INSERT_METADATA, args![id, new.metadata_body]);
    if let Some(provenance) = &new.provenance {
        attestations::insert(tx, id, provenance);
    }
    Ok(id)
}

/// The deflated metadata text of a file.
pub async fn metadata(tx: &mut Tx, file_id: i64) -> Result<Option<Vec<u8>>> {
    let row: Option<(Vec<u8>,)> = tx.maybe(METADATA, args![file_id]).await?;
    Ok(row.map(|(body,)| body))
}

/// Wants a state that `lifecycle::step` gave.
pub fn set_state(tx: &mut Tx, id: i64, state: FileState) {
    tx.later(SET_STATE, args![id, state.as_str()]);
}

/// Wants a file yanked or not.
pub fn yank(tx: &mut Tx, id: i64, reason: Option<&str>) {
    tx.later(YANK, args![id, reason]);
}

/// Forgets the yanks of a release's single files; the release's own is apart.
pub fn unyank_all(tx: &mut Tx, release_id: i64) {
    tx.later(YANK_OF_RELEASE, args![release_id]);
}

/// Whether the ledger knows these bytes under this name.
pub async fn is_known(tx: &mut Tx, index_id: i64, sha256: &Sha256, filename: &str) -> Result<bool> {
    let (count,): (i64,) = tx.one(STORED, args![index_id, sha256, filename]).await?;
    Ok(count > 0)
}

/// Name of a project, for messages.
pub fn subject(project: &NormalizedName, filename: &str) -> String {
    format!("{project}/{filename}")
}

/// Whether a file is the first that was ever taken of its project, and of its release.
pub async fn is_first(tx: &mut Tx, file: &FileRow) -> Result<(bool, bool)> {
    let row: (Option<i64>, Option<i64>) = tx.one(FIRSTS, args![file.project_id, file.release_id]).await?;
    Ok((row.0 == Some(file.id), row.1 == Some(file.id)))
}
