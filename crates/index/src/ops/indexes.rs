//! Making and listing indexes.

use std::sync::Arc;

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
    // Its folders are made by its founding, which uploads wait for and readers do not.
    if known { Ok(()) } else { insert(installation, &main, Profile::Private, "operator").await }
}

/// Makes an index. It shares nothing with any other: no name, file, token right or serial.
///
/// # Errors
/// [`Error::Conflict`] when the name is taken.
pub async fn create(installation: &Installation, name: &IndexName, profile: Profile, actor: &str) -> Result<()> {
    prepare(installation, name).await?;
    insert(installation, name, profile, actor).await
}

/// Makes and syncs the folders of an index, so that no upload has to. Where they are there, nothing is done.
pub(super) async fn prepare(installation: &Installation, name: &IndexName) -> Result<()> {
    let (blobs, of) = (Arc::clone(&installation.blobs), name.clone());
    Ok(tokio::task::spawn_blocking(move || blobs.prepare(&of)).await.map_err(|e| Error::Internal(e.to_string()))??)
}

async fn insert(installation: &Installation, name: &IndexName, profile: Profile, actor: &str) -> Result<()> {
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
