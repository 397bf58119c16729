//! What the rules of an upload ask of the ledger: one statement, as it is asked twice for every upload.

use packaging::{NormalizedName, Sha256};

use super::db::{Tx, args, statements};
use crate::Result;

statements! {
    FACTS = "SELECT a.name AS account, a.site_role, p.id AS project_id, p.status, p.files_bytes, ro.role, \
             re.id AS release_id, re.created_us AS release_us, n.filename AS registered_name, \
             n.sha256 AS registered_sha256, f.state AS registered_state, \
             (SELECT l.name FROM projects l WHERE l.index_id = $1 AND l.folded = $3 AND p.id IS NULL LIMIT 1) AS look_alike, \
             (SELECT s.filename FROM files s WHERE s.release_id = re.id AND s.kind = 'sdist' AND s.filename <> $7 LIMIT 1) \
             AS other_sdist, \
             (SELECT c.filename FROM files c WHERE c.index_id = $1 AND c.sha256 = $8 AND c.state <> 'removed' \
              AND c.filename <> $7 LIMIT 1) AS same_content \
             FROM (SELECT 1 AS one) it LEFT JOIN accounts a ON a.id = $4 \
             LEFT JOIN projects p ON p.index_id = $1 AND p.name = $2 \
             LEFT JOIN roles ro ON ro.project_id = p.id AND ro.account_id = $4 \
             LEFT JOIN releases re ON re.project_id = p.id AND re.canonical = $5 \
             LEFT JOIN filenames n ON n.index_id = $1 AND n.meaning = $6 \
             LEFT JOIN files f ON f.index_id = $1 AND f.filename = n.filename";
}

/// What an upload is known by; what is absent is not looked for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Whose upload it is.
    pub account_id: Option<i64>,
    /// The project.
    pub project: Option<&'a NormalizedName>,
    /// The version, in its canonical spelling.
    pub canonical: Option<String>,
    /// What the file name means (`DistFilename::meaning`).
    pub meaning: Option<String>,
    /// The file name.
    pub filename: &'a str,
    /// The content.
    pub sha256: Option<&'a Sha256>,
}

/// The answer. Every field is absent where there is no such thing.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FactsRow {
    /// The account's name.
    pub account: Option<String>,
    /// Its role in the installation.
    pub site_role: Option<String>,
    /// The project.
    pub project_id: Option<i64>,
    /// Its wanted status.
    pub status: Option<String>,
    /// Bytes of its files.
    pub files_bytes: Option<i64>,
    /// The account's role on it.
    pub role: Option<String>,
    /// The release.
    pub release_id: Option<i64>,
    /// When its first file came.
    pub release_us: Option<i64>,
    /// The spelling under which the file name was claimed.
    pub registered_name: Option<String>,
    /// The content for which it was claimed.
    pub registered_sha256: Option<String>,
    /// Wanted state of the file that claimed it.
    pub registered_state: Option<String>,
    /// Another project whose name folds to the same; only asked for a new project.
    pub look_alike: Option<String>,
    /// Another sdist of the release.
    pub other_sdist: Option<String>,
    /// Another file with the same content.
    pub same_content: Option<String>,
}

/// Everything that the rules ask.
pub async fn facts(tx: &mut Tx, index_id: i64, asked: &Asked<'_>) -> Result<FactsRow> {
    let Asked { account_id, project, canonical, meaning, filename, sha256 } = asked;
    let (name, folded) = (project.map(|name| name.as_str()), project.map(|name| name.folded()));
    let sha256 = sha256.map(ToString::to_string);
    tx.one(FACTS, args![index_id, name, folded, *account_id, canonical.clone(), meaning.clone(), *filename, sha256])
        .await
}
