//! What people are told: the status ids of their uploads, and notices.

use super::db::{Tx, args, statements};
use crate::Result;

statements! {
    INSERT_UPLOAD = "INSERT INTO uploads (id, index_id, file_id, account_id, created_us) VALUES ($1, $2, $3, $4, $5)";
    UPLOAD = "SELECT id, file_id, account_id, created_us FROM uploads WHERE index_id = $1 AND id = $2";
    UPLOAD_OF = "SELECT id, file_id, account_id, created_us FROM uploads WHERE file_id = $1 AND account_id = $2 \
                 ORDER BY created_us LIMIT 1";
    INSERT_FOR_OWNERS = "INSERT INTO notices (index_id, account_id, kind, subject, body, created_us) \
                         SELECT $1, r.account_id, $3, $4, $5, $6 FROM roles r WHERE r.project_id = $2";
    LIST = "SELECT id, kind, subject, body, created_us, read_us FROM notices \
            WHERE index_id = $1 AND account_id = $2 AND id < $3 AND ($4 = FALSE OR read_us IS NULL) \
            ORDER BY id DESC LIMIT $5";
    READ = "UPDATE notices SET read_us = COALESCE(read_us, $4) WHERE index_id = $1 AND account_id = $2 AND id = $3";
}

/// An upload that was taken, as its status URL names it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UploadRow {
    /// Unguessable.
    pub id: String,
    /// The file.
    pub file_id: i64,
    /// Who uploaded it.
    pub account_id: i64,
    /// When.
    pub created_us: i64,
}

/// Keeps an upload's id.
pub fn insert_upload(tx: &mut Tx, id: &str, index_id: i64, file_id: i64, account_id: i64, now_us: i64) {
    tx.later(INSERT_UPLOAD, args![id, index_id, file_id, account_id, now_us]);
}

/// The upload of this id.
pub async fn upload(tx: &mut Tx, index_id: i64, id: &str) -> Result<Option<UploadRow>> {
    tx.maybe(UPLOAD, args![index_id, id]).await
}

/// The account's upload of a file.
pub async fn upload_of(tx: &mut Tx, file_id: i64, account_id: i64) -> Result<Option<UploadRow>> {
    tx.maybe(UPLOAD_OF, args![file_id, account_id]).await
}

/// Tells everybody who has a role on the project.
pub fn tell(tx: &mut Tx, index_id: i64, project_id: i64, kind: &str, subject: &str, body: &str, now_us: i64) {
    tx.later(INSERT_FOR_OWNERS, args![index_id, project_id, kind, subject, body, now_us]);
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct NoticeRow {
    /// Row id.
    pub id: i64,
    /// `file.held`, `file.cleared`, `file.refused`, `file.held-back`.
    pub kind: String,
    /// `project/filename`.
    pub subject: String,
    /// What happened, and why.
    pub body: String,
    /// When.
    pub created_us: i64,
    /// When it was marked as read.
    pub read_us: Option<i64>,
}

/// An account's notices, newest first, with an id below `below`.
pub async fn list(
    tx: &mut Tx,
    index_id: i64,
    account_id: i64,
    unread: bool,
    below: i64,
    most: i64,
) -> Result<Vec<NoticeRow>> {
    tx.all(LIST, args![index_id, account_id, below, unread, most]).await
}

/// Marks a notice as read; false when the account has none of this id.
pub async fn read(tx: &mut Tx, index_id: i64, account_id: i64, id: i64, now_us: i64) -> Result<bool> {
    Ok(tx.execute(READ, args![index_id, account_id, id, now_us]).await? == 1)
}
