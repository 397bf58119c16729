//! Making and listing indexes.

use packaging::Profile;
use serde_json::json;

use crate::model::IndexName;
use crate::render::RENDER_VERSION;
use crate::store::{audit, indexes};
use crate::{Error, Installation, Result};

/// Makes the index `main` when there is none.
pub(crate) async fn ensure_main(installation: &Installation) -> Result<()> {
    let main = IndexName::main();
    let known = {
        let mut tx = installation.store.read().await?;
        indexes::by_name(&mut tx, &main).await?.is_some()
    };
    if known { Ok(()) } else { create(installation, &main, Profile::Private, "operator").await }
}

/// Makes an index. It shares nothing with any other: no name, file, token right or serial.
///
/// # Errors
/// [`Error::Conflict`] when the name is taken.
pub async fn create(installation: &Installation, name: &IndexName, profile: Profile, actor: &str) -> Result<()> {
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    if indexes::by_name(&mut tx, name).await?.is_some() {
        return Err(Error::Conflict(format!("There is an index '{name}' already.")));
    }
    let id = indexes::insert(&mut tx, name, profile, RENDER_VERSION, now).await?;
    let detail = json!({ "profile": profile.as_str() });
    audit::note(&mut tx, Some(id), now, actor, "index.create", name.as_str(), detail);
    tx.commit().await?;
    installation.indexes_wake.notify_one();
    Ok(())
}

/// Every index.
pub async fn list(installation: &Installation) -> Result<Vec<indexes::IndexRow>> {
    let mut tx = installation.store.read().await?;
    indexes::all(&mut tx).await
}
