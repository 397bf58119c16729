//! Who did what: append-only, in the transaction of the change itself, never with network data.

use super::db::{Tx, args, statements};
use crate::Result;

statements! {
    INSERT = "INSERT INTO audit (index_id, at_us, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)";
    TAIL = "SELECT at_us, actor, action, subject, detail FROM audit ORDER BY id DESC LIMIT $1";
}

/// One line of the audit.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AuditRow {
    /// When.
    pub at_us: i64,
    /// Who: an account's name, `operator`, or `inspection`.
    pub actor: String,
    /// What: `file.stage`, `project.status`, …
    pub action: String,
    /// To what.
    pub subject: String,
    /// More, as JSON.
    pub detail: String,
}

/// Writes a line.
pub async fn note(
    tx: &mut Tx,
    index_id: Option<i64>,
    now_us: i64,
    actor: &str,
    action: &str,
    subject: &str,
    detail: serde_json::Value,
) -> Result<()> {
    tx.execute(INSERT, args![index_id, now_us, actor, action, subject, detail.to_string()]).await?;
    Ok(())
}

/// The newest lines, newest first.
pub async fn tail(tx: &mut Tx, count: i64) -> Result<Vec<AuditRow>> {
    tx.all(TAIL, args![count]).await
}
