//! The founding of a log: it begins with what is published at that moment. Entries come into the ledger in batches, each
//! a transaction, so that a founding that is broken off goes on; nothing is published meanwhile, as only the publisher
//! founds. Then the tiles, then the commit that signs the first checkpoint.

use std::sync::Arc;

use tlog::Hash;
use tlog::note::KeyKind;
use tuf::Signer;
use tuf::layout::Target;

use super::super::publish::Lease;
use super::events::{Change, drafts, standing};
use super::{KEY, held, not_held, put, resume, signed, verifier, walk, walk_entries};
use crate::blobs::layout;
use crate::model::IndexName;
use crate::store::log::{self as rows, LogRow};
use crate::store::{Tx, projects, signing};
use crate::{Error, Installation, Result, failpoint};

/// Projects of one batch.
const BATCH: i64 = 200;

/// Takes everything that is published into the ledger's entries, and writes their tiles. `lease` is put off in every
/// transaction: it must still be held.
pub(in crate::ops) async fn begin(
    installation: &Installation,
    index_id: i64,
    index: &IndexName,
    lease: &mut Lease,
) -> Result<()> {
    let mut tx = installation.store.read().await?;
    let row = match rows::log(&mut tx, index_id).await? {
        Some(row) => row,
        None => {
            drop(tx);
            let row = new_row(installation, index).await?;
            let mut tx = installation.store.write().await?;
            lease.extend(&mut tx);
            rows::begin(&mut tx, index_id, &row.origin, &row.verifier);
            tx.commit().await?;
            row
        }
    };
    let mut walked = row.walked;
    loop {
        let mut tx = installation.store.read().await?;
        let batch = rows::projects_after(&mut tx, index_id, walked, BATCH).await?;
        let Some(last) = batch.last() else { break };
        walked = *last;
        let mut changes = Vec::with_capacity(batch.len());
        for project_id in &batch {
            changes.push(standing_of(installation, &mut tx, index_id, index, *project_id).await?);
        }
        let now = installation.clock.now_us();
        let drafts = drafts(installation, &mut tx, &changes, now).await?;
        let from = rows::count(&mut tx, index_id).await?;
        drop(tx);
        let mut tx = installation.store.write().await?;
        lease.extend(&mut tx);
        for (seq, entry) in (from..).zip(&drafts.entries) {
            rows::append(&mut tx, index_id, seq, entry);
        }
        for (project_id, subject, name) in drafts.new_names() {
            rows::insert_name(&mut tx, index_id, project_id, subject, name, now);
        }
        rows::walked(&mut tx, index_id, walked);
        tx.commit().await?;
        failpoint::reach("log.batch");
    }
    Ok(())
}

/// The first checkpoint, signed, and its files in the site and on disk: no redo record leads to them. What is left is to
/// put it in force, with the timestamp that names it.
pub(in crate::ops) async fn sign_first(
    installation: &Installation,
    tx: &mut Tx,
    index_id: i64,
    index: &IndexName,
) -> Result<LogRow> {
    let row = rows::log(tx, index_id).await?.ok_or_else(|| Error::Internal("the log was not begun".into()))?;
    let size = rows::count(tx, index_id).await?;
    let blobs = &installation.blobs;
    let log = walk_entries(tx, index_id, index, &row, size, &mut |key, bytes| put(blobs, &key, &bytes)).await?;
    // Its key was made before the row: one that is gone since is brought back, not made again under the same name.
    let signer = held(installation, index, &row.verifier).await?.ok_or_else(|| not_held(installation, index))?;
    let row = signed(&row, &log, signer)?;
    if let Some((key, bytes)) = row.checkpoint(index) {
        put(blobs, &key, &bytes)?;
    }
    blobs.sync()?;
    Ok(row)
}

/// A log is called after its key, which no other installation has; its URL may change, its name never.
async fn new_row(installation: &Installation, index: &IndexName) -> Result<LogRow> {
    let signer = super::make(installation, index, KEY).await?;
    let (origin, verifier) = called_after(index, &signer)?;
    Ok(LogRow { origin, verifier, walked: 0, size: 0, root: String::new(), note: None, witnessed: None })
}

/// Name and verifier key of the log that this key signs.
fn called_after(index: &IndexName, signer: &Arc<dyn Signer>) -> Result<(String, String)> {
    let origin = format!("tidewaiter/{index}/{}", signer.keyid().get(..16).unwrap_or_default());
    let verifier = verifier(&origin, KeyKind::Ed25519, signer)?.to_string();
    Ok((origin, verifier))
}

/// A key for [`under`], which nobody had before. Returns its id.
pub(in crate::ops) fn new_key(installation: &Installation, index: &IndexName) -> Result<String> {
    Ok(installation.signing_keys.make_new(index, KEY, &installation.entropy)?.keyid().to_owned())
}

/// The same tree under another key, and so under another name: after a theft, of which nobody knows how far it went. What the
/// thief appends to the old one is then none of this log's. Clients go along, as the holders of the root have taken the online
/// key away that spoke for the old one; witnesses are told the new key by people.
pub(in crate::ops) async fn under(
    installation: &Installation,
    tx: &mut Tx,
    index_id: i64,
    index: &IndexName,
    row: &LogRow,
    signer: Arc<dyn Signer>,
) -> Result<LogRow> {
    let (origin, verifier) = called_after(index, &signer)?;
    let row = LogRow { origin, verifier, note: None, witnessed: None, ..row.clone() };
    let log = match resume(&installation.blobs, index, &row, row.size) {
        Ok(log) => log,
        Err(_) => walk(tx, index_id, index, &row, &mut |_, _| Ok(())).await?,
    };
    signed(&row, &log, signer)
}

async fn standing_of(
    installation: &Installation,
    tx: &mut Tx,
    index_id: i64,
    index: &IndexName,
    project_id: i64,
) -> Result<Change> {
    let row = projects::by_id(tx, project_id).await?;
    let project = row.name();
    let path = Target::Page { project: project.as_str() }.path();
    let page = match signing::target(tx, index_id, &path).await? {
        Some(target) => Hash::from_hex(&target.sha256),
        // Not signed yet either: the page as it is served.
        None => installation.blobs.get(&layout::page(index, &project, "json"))?.map(|page| tlog::hash::sha256(&page)),
    };
    Ok(Change { project_id, project, page, happened: standing(tx, &row).await? })
}
