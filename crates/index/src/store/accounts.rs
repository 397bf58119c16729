//! Accounts and their API tokens. A token's key is not here: it is derived from a secret outside the database.

use super::db::{Tx, args, statements};
use crate::Result;

statements! {
    INSERT = "INSERT INTO accounts (name, email, password_hash, site_role, created_us) \
              VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING RETURNING id";
    BY_NAME = "SELECT id, name, email, site_role FROM accounts WHERE name = $1";
    BY_ID = "SELECT id, name, email, site_role FROM accounts WHERE id = $1";
    COUNT = "SELECT COUNT(*) FROM accounts";
    INSERT_TOKEN = "INSERT INTO tokens (id, index_id, account_id, projects, created_us, expires_us) \
                    VALUES ($1, $2, $3, $4, $5, $6)";
    TOKENS = "SELECT t.id, a.name AS account, t.projects, t.created_us, t.expires_us, t.revoked_us FROM tokens t \
              JOIN accounts a ON a.id = t.account_id WHERE t.index_id = $1 ORDER BY t.created_us, t.id";
    TOKEN = "SELECT t.id, a.name AS account, t.projects, t.created_us, t.expires_us, t.revoked_us FROM tokens t \
             JOIN accounts a ON a.id = t.account_id WHERE t.index_id = $1 AND t.id = $2";
    REVOKE = "UPDATE tokens SET revoked_us = $3 WHERE index_id = $1 AND id = $2 AND revoked_us IS NULL";
    REVOKED = "SELECT id FROM tokens WHERE revoked_us IS NOT NULL AND (expires_us IS NULL OR expires_us > $1)";
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AccountRow {
    /// Row id.
    pub id: i64,
    /// The name, unique.
    pub name: String,
    /// The address, vouched for by whoever made the account.
    pub email: String,
    /// A role in the installation.
    pub site_role: Option<String>,
}

/// One token, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TokenRow {
    /// The public id, which stands in the token.
    pub id: String,
    /// Its account's name.
    pub account: String,
    /// Normalised project names, comma-separated; absent for all projects.
    pub projects: Option<String>,
    /// When it was made.
    pub created_us: i64,
    /// When it ends.
    pub expires_us: Option<i64>,
    /// When it was revoked.
    pub revoked_us: Option<i64>,
}

/// Makes an account; `None` when the name is taken.
pub async fn insert(
    tx: &mut Tx,
    name: &str,
    email: &str,
    password_hash: Option<String>,
    site_role: Option<&str>,
    now_us: i64,
) -> Result<Option<i64>> {
    let row: Option<(i64,)> = tx.maybe(INSERT, args![name, email, password_hash, site_role, now_us]).await?;
    Ok(row.map(|(id,)| id))
}

/// The account of this name.
pub async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<AccountRow>> {
    tx.maybe(BY_NAME, args![name]).await
}

/// The account of this id.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<Option<AccountRow>> {
    tx.maybe(BY_ID, args![id]).await
}

/// How many accounts there are.
pub async fn count(tx: &mut Tx) -> Result<i64> {
    let (count,): (i64,) = tx.one(COUNT, args![]).await?;
    Ok(count)
}

/// Notes a token that was made.
pub fn insert_token(
    tx: &mut Tx,
    id: &str,
    index_id: i64,
    account_id: i64,
    projects: Option<String>,
    now_us: i64,
    expires_us: Option<i64>,
) {
    tx.later(INSERT_TOKEN, args![id, index_id, account_id, projects, now_us, expires_us]);
}

/// Every token of an index.
pub async fn tokens(tx: &mut Tx, index_id: i64) -> Result<Vec<TokenRow>> {
    tx.all(TOKENS, args![index_id]).await
}

/// One token of an index.
pub async fn token(tx: &mut Tx, index_id: i64, id: &str) -> Result<Option<TokenRow>> {
    tx.maybe(TOKEN, args![index_id, id]).await
}

/// Revokes a token; false when it does not exist or was revoked before.
pub async fn revoke(tx: &mut Tx, index_id: i64, id: &str, now_us: i64) -> Result<bool> {
    Ok(tx.execute(REVOKE, args![index_id, id, now_us]).await? == 1)
}

/// Ids of revoked tokens that have not expired: what every node holds in memory.
pub async fn revoked(tx: &mut Tx, now_us: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = tx.all(REVOKED, args![now_us]).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
