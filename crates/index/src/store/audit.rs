//! Who did what: append-only, in the transaction of the change itself, never with network data.

use super::db::{Tx, args, statements};

statements! {
    INSERT = "INSERT INTO audit (index_id, at_us, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)";
}

/// Writes a line.
pub fn note(
    tx: &mut Tx,
    index_id: Option<i64>,
    now_us: i64,
    actor: &str,
    action: &str,
    subject: &str,
    detail: serde_json::Value,
) {
    tx.later(INSERT, args![index_id, now_us, actor, action, subject, detail.to_string()]);
}
