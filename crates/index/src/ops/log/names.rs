//! Whom entries speak of. A project's entries call an account, or a publisher outside, by a random id of this project
//! alone and commit to who it is under a salt; one row of the ledger says so, and deleting it is the erasure (see
//! `tlog::entry`).

use attest::Publisher;
use packaging::NormalizedName;
use serde_json::json;
use tlog::entry::{Account, Salt, commit};

use super::broken;
use super::events::Drafts;
use crate::model::IndexName;
use crate::store::log::{self as rows, NameRow};
use crate::store::{Tx, accounts, audit, indexes, projects};
use crate::{Error, Installation, Result};

/// Somebody of whom entries speak.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// An account, by row id.
    Account(i64),
    /// What publishes from outside.
    Publisher(Publisher),
}

impl Who {
    /// How a ledger row names it.
    fn subject(&self) -> String {
        match self {
            Self::Account(id) => format!("account/{id}"),
            Self::Publisher(publisher) => format!("publisher/{}", publisher.to_json()),
        }
    }

    /// What is committed to.
    async fn identity(&self, tx: &mut Tx) -> Result<String> {
        Ok(match self {
            Self::Account(id) => accounts::by_id(tx, *id).await?.ok_or_else(|| broken("an account is gone"))?.name,
            Self::Publisher(publisher) => publisher.to_json(),
        })
    }
}

/// Somebody as this project's entries speak of them; made up when they do not yet.
pub(super) async fn said(
    installation: &Installation,
    tx: &mut Tx,
    drafts: &mut Drafts,
    project_id: i64,
    who: Option<Who>,
) -> Result<Option<Account>> {
    let Some(who) = who else { return Ok(None) };
    let key = (project_id, who.subject());
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
    let identity = who.identity(tx).await?;
    account(&row, &identity).map(Some)
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

/// Somebody whom an operator asks about.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Whom {
    /// An account, by its name.
    Account(String),
    /// What publishes from outside.
    Publisher(Publisher),
}

impl std::fmt::Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account(name) => f.write_str(name),
            Self::Publisher(publisher) => publisher.fmt(f),
        }
    }
}

impl Whom {
    async fn found(&self, tx: &mut Tx) -> Result<Option<Who>> {
        Ok(match self {
            Self::Account(name) => accounts::by_name(tx, name).await?.map(|account| Who::Account(account.id)),
            Self::Publisher(publisher) => Some(Who::Publisher(publisher.clone())),
        })
    }
}

/// What shows that a project's entries speak of somebody: to be given to that somebody alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The id in the entries.
    pub pseudonym: String,
    /// The commitment beside it: SHA-256 of the salt's bytes and `identity`.
    pub commitment: String,
    /// The salt, hex.
    pub salt: String,
    /// What is committed to: an account's name, a publisher as JSON.
    pub identity: String,
}

/// Who somebody is to a project's entries.
///
/// # Errors
/// [`Error::NotFound`] when they do not speak of it, or no more.
pub async fn mapping(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    whom: &Whom,
) -> Result<Mapping> {
    let mut tx = installation.store.read().await?;
    let index = indexes::named(&mut tx, index).await?;
    let row = projects::named(&mut tx, index.id, project).await?;
    let who = whom.found(&mut tx).await?.ok_or_else(|| nobody(project, whom))?;
    let known = rows::name(&mut tx, row.id, &who.subject()).await?.ok_or_else(|| nobody(project, whom))?;
    let identity = who.identity(&mut tx).await?;
    let commitment = account(&known, &identity)?.commitment.0.to_hex();
    let NameRow { pseudonym, salt } = known;
    Ok(Mapping { pseudonym, commitment, salt, identity })
}

fn nobody(project: &NormalizedName, whom: &Whom) -> Error {
    Error::NotFound(format!("No entry of '{project}' is known to speak of '{whom}'."))
}

/// Makes it unknowable whom a project's entries so far speak of. Later acts of the same account get another id.
///
/// # Errors
/// [`Error::NotFound`] when nothing is known.
pub async fn erase(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    whom: &Whom,
    actor: &str,
) -> Result<()> {
    let mut tx = installation.store.write().await?;
    let index = indexes::named(&mut tx, index).await?;
    let row = projects::named(&mut tx, index.id, project).await?;
    let who = whom.found(&mut tx).await?.ok_or_else(|| nobody(project, whom))?;
    if !rows::drop_name(&mut tx, row.id, &who.subject()).await? {
        return Err(nobody(project, whom));
    }
    let now = installation.clock.now_us();
    // The audit says that something was erased; what linked the two is in no row.
    audit::note(&mut tx, Some(index.id), now, actor, "log.erase", project.as_str(), json!({}));
    tx.commit().await
}
