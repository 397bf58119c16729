//! Who publishes a project (PEP 740), and the provenance of its files.

use attest::Publisher;
use packaging::{NormalizedName, Sha256};

use super::db::{Tx, args, statements};
use crate::{Error, Result};

statements! {
    BIND = "INSERT INTO project_publishers (project_id, publisher, index_id, created_us, created_by) \
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project_id, publisher) DO NOTHING";
    UNBIND = "DELETE FROM project_publishers WHERE project_id = $1 AND publisher = $2";
    PUBLISHERS = "SELECT publisher, created_us, created_by FROM project_publishers WHERE project_id = $1 \
                  ORDER BY created_us, publisher";
    BIND_PENDING = "INSERT INTO pending_publishers (index_id, name, account_id, publisher, created_us, created_by) \
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (index_id, name, account_id, publisher) DO NOTHING";
    UNBIND_PENDING = "DELETE FROM pending_publishers WHERE index_id = $1 AND name = $2 AND publisher = $4 \
                      AND ($3 = 0 OR account_id = $3)";
    PENDING = "SELECT publisher, created_us, created_by FROM pending_publishers WHERE index_id = $1 AND name = $2 \
               AND account_id IN ($3, 0) ORDER BY created_us, publisher";
    ALL_PENDING = "SELECT publisher, created_us, created_by FROM pending_publishers WHERE index_id = $1 AND name = $2 \
                   ORDER BY created_us, publisher";
    COUNT_PENDING = "SELECT COUNT(*) FROM pending_publishers WHERE index_id = $1 AND account_id = $2";
    SETTLE = "INSERT INTO project_publishers (project_id, publisher, index_id, created_us, created_by) \
              SELECT CAST($4 AS BIGINT), publisher, index_id, created_us, created_by FROM pending_publishers \
              WHERE index_id = $1 AND name = $2 AND account_id IN ($3, 0) ON CONFLICT (project_id, publisher) DO NOTHING";
    DROP_PENDING = "DELETE FROM pending_publishers WHERE index_id = $1 AND name = $2";
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
    bound(tx.all(PUBLISHERS, args![project_id]).await?)
}

fn bound(rows: Vec<(String, i64, String)>) -> Result<Vec<Bound>> {
    let bound = |(publisher, created_us, created_by): (String, i64, String)| {
        Ok(Bound { publisher: read(&publisher)?, created_us, created_by })
    };
    rows.into_iter().map(bound).collect()
}

/// Who waits for a project that is not there yet.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// The index.
    pub index_id: i64,
    /// The project's name.
    pub name: &'a NormalizedName,
    /// Whose upload must make it; 0: whoever's does, as the operator said so.
    pub account_id: i64,
}

/// Binds a publisher to a name; false when it is bound already.
pub async fn bind_pending(
    tx: &mut Tx,
    of: Waiting<'_>,
    publisher: &Publisher,
    now_us: i64,
    actor: &str,
) -> Result<bool> {
    let Waiting { index_id, name, account_id } = of;
    let bound = tx.execute(BIND_PENDING, args![index_id, name, account_id, publisher.to_json(), now_us, actor]).await?;
    Ok(bound == 1)
}

/// Takes a publisher from a name, the operator whoever bound it; false when it was not bound.
pub async fn unbind_pending(tx: &mut Tx, of: Waiting<'_>, publisher: &Publisher) -> Result<bool> {
    let Waiting { index_id, name, account_id } = of;
    Ok(tx.execute(UNBIND_PENDING, args![index_id, name, account_id, publisher.to_json()]).await? > 0)
}

/// The publishers that a project would have if this account made it, oldest first.
pub async fn pending(tx: &mut Tx, of: Waiting<'_>) -> Result<Vec<Bound>> {
    let Waiting { index_id, name, account_id } = of;
    bound(tx.all(PENDING, args![index_id, name, account_id]).await?)
}

/// The publishers that anybody bound to a name, oldest first.
pub async fn all_pending(tx: &mut Tx, index_id: i64, name: &NormalizedName) -> Result<Vec<Bound>> {
    bound(tx.all(ALL_PENDING, args![index_id, name]).await?)
}

/// How many bindings of an account wait.
pub async fn count_pending(tx: &mut Tx, index_id: i64, account_id: i64) -> Result<i64> {
    let (count,): (i64,) = tx.one(COUNT_PENDING, args![index_id, account_id]).await?;
    Ok(count)
}

/// The project is there: what waited for this account's is bound to it, what others wanted is void.
pub fn settle_pending(tx: &mut Tx, of: Waiting<'_>, project_id: i64) {
    let Waiting { index_id, name, account_id } = of;
    tx.later(SETTLE, args![index_id, name, account_id, project_id]);
    tx.later(DROP_PENDING, args![index_id, name]);
}

/// A project's publishers as one text, in one order: JSON.
pub async fn publishers_json(tx: &mut Tx, project_id: i64) -> Result<String> {
    let mut bound: Vec<Publisher> = publishers(tx, project_id).await?.into_iter().map(|row| row.publisher).collect();
    bound.sort_unstable();
    serde_json::to_string(&bound).map_err(|error| Error::Internal(error.to_string()))
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
