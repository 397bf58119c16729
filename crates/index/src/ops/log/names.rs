//! Whom entries speak of. A project's entries call an account by a random id of this project alone and commit to its
//! name under a salt; one row of the ledger says so, and deleting it is the erasure (see `tlog::entry`).

use packaging::NormalizedName;
use serde_json::json;
use tlog::entry::{Account, Salt, commit};

use super::broken;
use super::events::Drafts;
use crate::model::IndexName;
use crate::store::log::{self as rows, NameRow};
use crate::store::{Tx, accounts, audit, indexes, projects};
use crate::{Error, Installation, Result};

/// How a ledger row names an account. What publishes without one has `publisher/<id>`.
fn subject(account_id: i64) -> String {
    format!("account/{account_id}")
}

/// The account as this project's entries know it; made when they do not yet.
pub(super) async fn of_account(
    installation: &Installation,
    tx: &mut Tx,
    drafts: &mut Drafts,
    project_id: i64,
    account_id: i64,
) -> Result<Account> {
    let key = (project_id, subject(account_id));
    let row = match drafts.names.get(&key) {
        Some((row, _)) => row.clone(),
        None => {
            let known = rows::name(tx, project_id, &key.1).await?;
            let is_new = known.is_none();
            let row = known.unwrap_or_else(|| fresh(installation));
            drafts.names.insert(key, (row.clone(), is_new));
            row
        }
    };
    let name = accounts::by_id(tx, account_id).await?.ok_or_else(|| broken("an account is gone"))?.name;
    account(&row, &name)
}

fn fresh(installation: &Installation) -> NameRow {
    let entropy = &installation.entropy;
    NameRow {
        pseudonym: packaging::hash::hex(&entropy.bytes::<16>()),
        salt: packaging::hash::hex(&entropy.bytes::<32>()),
    }
}

fn account(row: &NameRow, name: &str) -> Result<Account> {
    let unreadable = || broken("a pseudonym cannot be read");
    let id = tuf::hash::unhex(&row.pseudonym).and_then(|id| id.try_into().ok()).ok_or_else(unreadable)?;
    let salt = tuf::hash::unhex(&row.salt).and_then(|salt| salt.try_into().ok()).ok_or_else(unreadable)?;
    Ok(Account { id, commitment: commit(&Salt(salt), name.as_bytes()) })
}

/// What shows that a project's entries speak of an account: to be given to that account's owner alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The id in the entries.
    pub pseudonym: String,
    /// The commitment beside it: SHA-256 of the salt's bytes and the account's name.
    pub commitment: String,
    /// The salt, hex.
    pub salt: String,
}

/// Whom an account is to a project's entries.
///
/// # Errors
/// [`Error::NotFound`] when they do not speak of it, or no more.
pub async fn mapping(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    user: &str,
) -> Result<Mapping> {
    let mut tx = installation.store.read().await?;
    let index = indexes::named(&mut tx, index).await?;
    let row = projects::named(&mut tx, index.id, project).await?;
    let known = match accounts::by_name(&mut tx, user).await? {
        Some(account) => rows::name(&mut tx, row.id, &subject(account.id)).await?,
        None => None,
    };
    let known = known.ok_or_else(|| nobody(project, user))?;
    let commitment = account(&known, user)?.commitment.0.to_hex();
    let NameRow { pseudonym, salt } = known;
    Ok(Mapping { pseudonym, commitment, salt })
}

fn nobody(project: &NormalizedName, user: &str) -> Error {
    Error::NotFound(format!("No entry of '{project}' is known to speak of '{user}'."))
}

/// Makes it unknowable whom a project's entries so far speak of. Later acts of the same account get another id.
///
/// # Errors
/// [`Error::NotFound`] when nothing is known.
pub async fn erase(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    user: &str,
    actor: &str,
) -> Result<()> {
    let mut tx = installation.store.write().await?;
    let index = indexes::named(&mut tx, index).await?;
    let row = projects::named(&mut tx, index.id, project).await?;
    let account = accounts::by_name(&mut tx, user).await?.ok_or_else(|| nobody(project, user))?;
    if !rows::drop_name(&mut tx, row.id, &subject(account.id)).await? {
        return Err(nobody(project, user));
    }
    let now = installation.clock.now_us();
    // The audit says that something was erased; what linked the two is in no row.
    audit::note(&mut tx, Some(index.id), now, actor, "log.erase", project.as_str(), json!({}));
    tx.commit().await
}
