//! `scrub`: holds every byte against the ledger and names what is wrong. Changes nothing.

use std::io::Read;
use std::sync::Arc;

use packaging::Sha256;
use sha2::Digest;

use super::publish::{published_view, render_project};
use crate::blobs::{Blobs, Key, layout};
use crate::store::indexes::IndexRow;
use crate::store::{files, projects};
use crate::{Error, Installation, Result};

const BATCH: i64 = 500;

/// Scrubs one index; returns one sentence for each thing that is wrong.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn scrub(
    installation: &Arc<Installation>,
    index: &IndexRow,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Vec<String>> {
    let name = index.name();
    let mut wrong = Vec::new();
    let (mut after, mut done) = (0, 0);
    loop {
        let batch = {
            let mut tx = installation.store.read().await?;
            files::of_index(&mut tx, index.id, after, BATCH).await?
        };
        let Some(last) = batch.last() else { break };
        after = last.id;
        for file in batch {
            let sha256 = file.sha256();
            let vault = layout::vault_file(&name, &sha256, &file.filename);
            let site = layout::site_file(&name, &sha256, &file.filename);
            let blobs = Arc::clone(&installation.blobs);
            let check = move || (digest(&blobs, &site), digest(&blobs, &vault));
            let (in_site, in_vault) =
                tokio::task::spawn_blocking(check).await.map_err(|e| Error::Internal(e.to_string()))?;
            // A file on its way between the zones is looked at again: its row says where it arrived.
            let published = {
                let mut tx = installation.store.read().await?;
                files::by_id(&mut tx, file.id).await?.published
            };
            let (right, other) = if published { (in_site?, in_vault?) } else { (in_vault?, in_site?) };
            let zone = if published { "site" } else { "vault" };
            if published == file.published {
                match right {
                    None => wrong.push(format!("{}: missing from the {zone}", file.filename)),
                    Some(found) if found != sha256 => {
                        wrong.push(format!(
                            "{}: its bytes in the {zone} have changed: {found}, not {sha256}",
                            file.filename
                        ));
                    }
                    Some(_) if other.is_some() => wrong.push(format!("{}: stands in both zones", file.filename)),
                    Some(_) => {}
                }
            }
            done += 1;
        }
        progress(done);
    }
    pages(installation, index, &mut wrong).await?;
    Ok(wrong)
}

/// Every page against its rendering. A page that was published meanwhile is skipped: its serial moved.
async fn pages(installation: &Arc<Installation>, index: &IndexRow, wrong: &mut Vec<String>) -> Result<()> {
    let name = index.name();
    let listed = {
        let mut tx = installation.store.read().await?;
        projects::published(&mut tx, index.id).await?
    };
    for project in listed {
        let mut tx = installation.store.read().await?;
        let row = projects::by_id(&mut tx, project.id).await?;
        let view = published_view(&mut tx, &name, &row).await?;
        let releases = view.versions().map(str::to_owned).collect();
        let objects = render_project(&mut tx, &view, &releases).await?;
        drop(tx);
        let mut differing = Vec::new();
        for (key, body) in objects {
            if installation.blobs.get(&key)? != body {
                differing.push(key);
            }
        }
        if differing.is_empty() {
            continue;
        }
        let mut tx = installation.store.read().await?;
        if projects::by_id(&mut tx, project.id).await?.serial == row.serial {
            wrong.extend(differing.iter().map(|key| format!("{key}: differs from what the ledger says")));
        }
    }
    Ok(())
}

fn digest(blobs: &Blobs, key: &Key) -> Result<Option<Sha256>> {
    let Some((mut file, _)) = blobs.open_object(key)? else { return Ok(None) };
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(Some(Sha256::new(hasher.finalize().into())));
        }
        hasher.update(&buffer[..n]);
    }
}
