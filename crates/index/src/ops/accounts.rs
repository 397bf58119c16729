//! Accounts and their tokens. An account made here is vouched for by the operator: its address counts as
//! verified, it may publish and create projects.

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use packaging::NormalizedName;
use serde_json::json;

use crate::model::{Actor, IndexName, SiteRole, TokenActor};
use crate::policy::authz::{SiteAct, may_site};
use crate::store::accounts::{self, TokenRow};
use crate::store::{Tx, audit, indexes};
use crate::{Error, Installation, Result, token};

/// Longest account name, in characters.
pub const ACCOUNT_NAME_CHARS_MAX: usize = 50;
/// Shortest and longest password, in bytes.
pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// Makes an account. A password is for the pages to come; uploads use tokens.
///
/// # Errors
/// [`Error::Invalid`] for a name, address or password that is none, [`Error::Conflict`] for a name in use.
pub async fn create(
    installation: &Installation,
    name: &str,
    email: &str,
    password: Option<&str>,
    role: Option<SiteRole>,
    actor: &str,
) -> Result<()> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !edge(name.chars().next())
        || !edge(name.chars().last())
        || !name.chars().all(inner)
        || name.len() > ACCOUNT_NAME_CHARS_MAX
    {
        return Err(Error::Invalid(format!(
            "An account name is 1 to {ACCOUNT_NAME_CHARS_MAX} ASCII letters, digits, '.', '_' or '-', and starts and \
             ends with a letter or digit; '{name}' is not."
        )));
    }
    let (local, host) = email.split_once('@').unwrap_or_default();
    if local.is_empty()
        || host.is_empty()
        || email.len() > 254
        || email.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        return Err(Error::Invalid(format!("'{email}' is no e-mail address.")));
    }
    let hash = match password {
        None => None,
        Some(password) if !PASSWORD_BYTES.contains(&password.len()) => {
            return Err(Error::Invalid(format!(
                "A password has {} to {} bytes.",
                PASSWORD_BYTES.start(),
                PASSWORD_BYTES.end()
            )));
        }
        Some(password) => {
            let salt = installation.entropy.bytes::<16>();
            let password = password.to_owned();
            let hash = tokio::task::spawn_blocking(move || {
                Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())
            });
            let hash = hash.await.map_err(|e| Error::Internal(e.to_string()))?;
            Some(hash.map_err(|e| Error::Internal(e.to_string()))?)
        }
    };
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let role_text = role.map(SiteRole::as_str);
    let id = accounts::insert(&mut tx, name, email, hash, role_text, now).await?;
    if id.is_none() {
        return Err(Error::Conflict(format!("There is an account '{name}' already.")));
    }
    audit::note(&mut tx, None, now, actor, "account.create", name, json!({ "role": role_text }));
    tx.commit().await
}

/// Whether nobody has an account yet.
pub async fn none_yet(installation: &Installation) -> Result<bool> {
    let mut tx = installation.store.read().await?;
    Ok(accounts::count(&mut tx).await? == 0)
}

/// Makes a token for one index. The text is returned once and stored nowhere.
///
/// # Errors
/// [`Error::NotFound`] for an unknown account or index.
pub async fn create_token(
    installation: &Installation,
    index: &IndexName,
    account: &str,
    projects: &[NormalizedName],
    expires_seconds: Option<i64>,
    actor: &str,
) -> Result<String> {
    let now = installation.clock.now_us();
    let id = packaging::hash::hex(&installation.entropy.bytes::<16>());
    let mut tx = installation.store.write().await?;
    let index_row = indexes::named(&mut tx, index).await?;
    let account_row = accounts::by_name(&mut tx, account)
        .await?
        .ok_or_else(|| Error::NotFound(format!("There is no account '{account}'.")))?;
    let expires_s = expires_seconds.map(|seconds| now / 1_000_000 + seconds);
    let names: Vec<String> = projects.iter().map(|name| name.as_str().to_owned()).collect();
    let scope = (!names.is_empty()).then(|| names.join(","));
    let expires_us = expires_s.map(|s| s * 1_000_000);
    accounts::insert_token(&mut tx, &id, index_row.id, account_row.id, scope.clone(), now, expires_us);
    let detail = json!({ "account": account, "projects": scope, "expires_us": expires_us });
    audit::note(&mut tx, Some(index_row.id), now, actor, "token.create", &id, detail);
    tx.commit().await?;
    let narrowed = (!names.is_empty()).then_some(names.as_slice());
    Ok(token::mint(&installation.secret, index, &id, account_row.id, narrowed, expires_s))
}

/// Every token of an index, without its secret.
pub async fn tokens(installation: &Installation, index: &IndexName) -> Result<Vec<TokenRow>> {
    let mut tx = installation.store.read().await?;
    let index_row = indexes::named(&mut tx, index).await?;
    accounts::tokens(&mut tx, index_row.id).await
}

/// Revokes a token by its id, as the operator. This node refuses it at once, others within a second.
///
/// # Errors
/// [`Error::NotFound`] when there is no such token in the index, [`Error::Conflict`] when it was revoked before.
pub async fn revoke_token(installation: &Installation, index: &IndexName, id: &str, actor: &str) -> Result<()> {
    revoke(installation, index, id, actor, None).await
}

/// Revokes a token on behalf of another token's holder: a token may always revoke itself; one without a
/// restriction to projects may revoke any of its account's, and an administrator's anybody's.
///
/// # Errors
/// As [`revoke_token`]; tokens of others are not found.
pub async fn revoke_token_as(
    installation: &Installation,
    index: &IndexName,
    id: &str,
    actor: &TokenActor,
) -> Result<()> {
    let account = {
        let mut tx = installation.store.read().await?;
        accounts::by_id(&mut tx, actor.account_id).await?
    };
    let account =
        account.ok_or_else(|| Error::Forbidden("Invalid or non-existent authentication information.".into()))?;
    if actor.projects.is_some() && actor.token_id != id {
        return Err(Error::Forbidden("A token that is restricted to projects can revoke only itself.".into()));
    }
    let is_admin = account.site_role.as_deref() == Some(SiteRole::Admin.as_str());
    let only_of = (!is_admin).then_some(account.name.as_str());
    revoke(installation, index, id, &account.name, only_of).await
}

async fn revoke(
    installation: &Installation,
    index: &IndexName,
    id: &str,
    actor: &str,
    only_of: Option<&str>,
) -> Result<()> {
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let index_row = indexes::named(&mut tx, index).await?;
    let row = accounts::token(&mut tx, index_row.id, id).await?;
    if row.is_none_or(|row| only_of.is_some_and(|account| account != row.account)) {
        return Err(Error::NotFound(format!("There is no token '{id}'.")));
    }
    if !accounts::revoke(&mut tx, index_row.id, id, now).await? {
        return Err(Error::Conflict(format!("The token '{id}' was revoked before.")));
    }
    audit::note(&mut tx, Some(index_row.id), now, actor, "token.revoke", id, json!({}));
    tx.commit().await?;
    installation.refresh_revocations().await
}

/// The name of somebody who may do this to the installation's inspection.
///
/// # Errors
/// [`Error::Forbidden`].
pub(super) async fn site_actor(tx: &mut Tx, actor: &Actor, act: SiteAct) -> Result<String> {
    let token = match actor {
        Actor::Operator => return Ok("operator".to_owned()),
        Actor::Token(token) => token,
    };
    let account = accounts::by_id(tx, token.account_id)
        .await?
        .ok_or_else(|| Error::Forbidden("Invalid or non-existent authentication information.".into()))?;
    // Such a token lies in build pipelines, and what it may do ends at its projects.
    if token.projects.is_some() {
        return Err(Error::Forbidden("A token that is restricted to projects cannot do this.".into()));
    }
    if !may_site(act, account.site_role.as_deref().and_then(|role| role.parse().ok())) {
        return Err(Error::Forbidden(format!("The user '{}' may not do this.", account.name)));
    }
    Ok(account.name)
}
