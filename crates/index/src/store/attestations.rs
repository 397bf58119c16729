//! Who publishes a project (PEP 740), and the provenance of its files.

use attest::Publisher;
use packaging::Sha256;

use super::db::{Tx, args, statements};
use crate::{Error, Result};

statements! {
    BIND = "INSERT INTO project_publishers (project_id, publisher, index_id, created_us, created_by) \
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project_id, publisher) DO NOTHING";
    UNBIND = "DELETE FROM project_publishers WHERE project_id = $1 AND publisher = $2";
    PUBLISHERS = "SELECT publisher, created_us, created_by FROM project_publishers WHERE project_id = $1 \
                  ORDER BY created_us, publisher";
    INSERT = "INSERT INTO file_provenance (file_id, publisher, body) VALUES ($1, $2, $3)";
    BODY = "SELECT body FROM file_provenance WHERE file_id = $1";
    PUBLISHER = "SELECT publisher FROM file_provenance WHERE file_id = $1";
    BEFORE = "SELECT f.release_id, v.publisher FROM files f LEFT JOIN file_provenance v ON v.file_id = f.id \
              WHERE f.project_id = $1 AND f.id < $2 AND f.state = 'visible' ORDER BY f.id DESC LIMIT $3";
}

/// A publisher of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Who.
    pub publisher: Publisher,
    /// Since when.
    pub created_us: i64,
    /// By whom it was bound.
    pub created_by: String,
}

/// What was verified of a file when it was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProvenance {
    /// Whose attestations these are.
    pub publisher: Publisher,
    /// The provenance object's digest.
    pub sha256: Sha256,
    /// The object, deflated.
    pub body: Vec<u8>,
}

fn read(text: &str) -> Result<Publisher> {
    Publisher::from_json(text).ok_or_else(|| Error::Internal(format!("the ledger holds only publishers, not '{text}'")))
}

/// Binds a publisher to a project; false when it is bound already.
pub async fn bind(
    tx: &mut Tx,
    (index_id, project_id): (i64, i64),
    publisher: &Publisher,
    now_us: i64,
    actor: &str,
) -> Result<bool> {
    Ok(tx.execute(BIND, args![project_id, publisher.to_json(), index_id, now_us, actor]).await? == 1)
}

/// Takes a publisher from a project; false when it was not bound.
pub async fn unbind(tx: &mut Tx, project_id: i64, publisher: &Publisher) -> Result<bool> {
    Ok(tx.execute(UNBIND, args![project_id, publisher.to_json()]).await? == 1)
}

/// A project's publishers, oldest first.
pub async fn publishers(tx: &mut Tx, project_id: i64) -> Result<Vec<Bound>> {
    let rows: Vec<(String, i64, String)> = tx.all(PUBLISHERS, args![project_id]).await?;
    let bound = |(publisher, created_us, created_by): (String, i64, String)| {
        Ok(Bound { publisher: read(&publisher)?, created_us, created_by })
    };
    rows.into_iter().map(bound).collect()
}

/// Keeps a file's provenance.
pub fn insert(tx: &mut Tx, file_id: i64, new: &NewProvenance) {
    tx.later(INSERT, args![file_id, new.publisher.to_json(), new.body.clone()]);
}

/// A file's provenance object, deflated.
pub async fn body(tx: &mut Tx, file_id: i64) -> Result<Option<Vec<u8>>> {
    let row: Option<(Vec<u8>,)> = tx.maybe(BODY, args![file_id]).await?;
    Ok(row.map(|(body,)| body))
}

/// Who attested a file.
pub async fn publisher(tx: &mut Tx, file_id: i64) -> Result<Option<Publisher>> {
    let row: Option<(String,)> = tx.maybe(PUBLISHER, args![file_id]).await?;
    row.map(|(text,)| read(&text)).transpose()
}

/// The visible files of a project that came before this one, newest first: their release, and who attested them.
pub async fn before(tx: &mut Tx, project_id: i64, file_id: i64, most: i64) -> Result<Vec<(i64, Option<Publisher>)>> {
    let rows: Vec<(i64, Option<String>)> = tx.all(BEFORE, args![project_id, file_id, most]).await?;
    rows.into_iter().map(|(release, text)| Ok((release, text.map(|text| read(&text)).transpose()?))).collect()
}
