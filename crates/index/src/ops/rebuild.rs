//! `rebuild`: makes the site again from the ledger, byte for byte, and brings every file into the zone that its
//! state says. Only when nobody serves.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::log;
use super::publish::{HEAD_SERIALS, Left, Pieces, left, list_objects, published_list, published_view, site_path};
use super::scrub::digest;
use super::signing::{InForce, Roles};
use crate::blobs::{Blobs, Key, layout};
use crate::model::IndexName;
use crate::render::{self, Object};
use crate::store::files::FileRow;
use crate::store::indexes::IndexRow;
use crate::store::{self, Tx, attestations, files, projects, publishing};
use crate::{Error, Installation, Result};

/// Files walked at once.
const BATCH: i64 = 1_000;

/// What a rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Objects that were right already.
    pub unchanged: u64,
    /// Objects that were missing or differed.
    pub written: u64,
    /// Objects that nothing in the ledger accounts for.
    pub removed: u64,
    /// Files brought into their zone.
    pub moved: u64,
    /// Files whose bytes are in neither zone, or have changed: restore them from a backup.
    pub missing: Vec<String>,
}

/// Rebuilds one index. `progress` is told how many projects and files were done.
///
/// # Errors
/// [`Error::Unavailable`] while pages of another version of the renderer are left: see `workers::finish_rendering`.
/// When ledger or blob store fail; what was done so far stays, and the next run goes on.
pub async fn rebuild(
    installation: &Arc<Installation>,
    index: &IndexRow,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Rebuilt> {
    let name = index.name();
    refuse_if_behind(installation, index).await?;
    let blobs = &installation.blobs;
    let mut report = Rebuilt::default();
    let mut expected: BTreeSet<Key> = BTreeSet::new();
    let mut done = 0;
    let mut tx = installation.store.read().await?;
    let mut after = 0;
    loop {
        let batch = files::of_index(&mut tx, index.id, after, BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = last.id;
        for file in batch {
            if file.published {
                expected.insert(layout::site_file(&name, &file.sha256(), &file.filename));
            }
            place(blobs, &name, &file, &mut report)?;
            if let Some(want) = file.metadata_sha256().filter(|_| file.published) {
                let body = files::metadata(&mut tx, file.id).await?.map(|body| render::unpack_metadata(&body));
                let body = body.ok_or_else(|| Error::Internal(format!("no metadata {want} of {}", file.filename)))?;
                let key = layout::site_metadata(&name, &file.sha256(), &file.filename);
                compare(blobs, &(key, Some(body)), &mut report, &mut expected)?;
            }
            let key = layout::provenance(&name, &file.filename);
            if let Some(key) = key.filter(|_| file.published && file.provenance_sha256().is_some()) {
                let body = attestations::body(&mut tx, file.id).await?.map(|body| render::unpack_metadata(&body));
                let body = body.ok_or_else(|| Error::Internal(format!("no provenance of {}", file.filename)))?;
                compare(blobs, &(key, Some(body)), &mut report, &mut expected)?;
            }
            done += 1;
        }
        progress(done);
    }
    for listed in projects::published(&mut tx, index.id).await? {
        let row = projects::by_id(&mut tx, listed.id).await?;
        let view = published_view(&mut tx, &name, &row).await?;
        let mut pieces = Pieces::all(view);
        while let Some(objects) = pieces.next(&mut tx).await? {
            objects.iter().try_for_each(|object| compare(blobs, object, &mut report, &mut expected))?;
        }
        done += 1;
        progress(done);
    }
    let list = published_list(&mut tx, index.id).await?;
    for object in list_objects(&name, index.serial, &list) {
        compare(blobs, &object, &mut report, &mut expected)?;
    }
    roles(&mut tx, installation, index, &mut report, &mut expected).await?;
    let head = (layout::head(&name), Some(head_of(&mut tx, index).await?));
    compare(blobs, &head, &mut report, &mut expected)?;
    for key in blobs.list(&layout::site(&name))? {
        if !expected.contains(&key) {
            tracing::info!(path = site_path(&name, key.as_str()), "removed from the site: the ledger does not know it");
            blobs.delete(&key)?;
            report.removed += 1;
        }
    }
    blobs.sync()?;
    Ok(report)
}

/// Pages of another version can be made by that version alone.
async fn refuse_if_behind(installation: &Installation, index: &IndexRow) -> Result<()> {
    match left(installation, index.id, index.name()).await? {
        Left { version: 0, .. } => Ok(()),
        Left { index, version, .. } => Err(Error::Unavailable(format!(
            "the pages of {version} projects of '{index}' were made by another version of this program and were not rendered \
             again yet, so they cannot be made once more: let `serve` go on with it until `doctor` names none"
        ))),
    }
}

/// Every role file, and every file of the log, from records and rows: no key is needed. What was superseded and not yet swept stays, as clients
/// may be at work with it; it is not made again.
async fn roles(
    tx: &mut Tx,
    installation: &Installation,
    index: &IndexRow,
    report: &mut Rebuilt,
    expected: &mut BTreeSet<Key>,
) -> Result<()> {
    let (name, blobs) = (index.name(), &installation.blobs);
    let Some(in_force) = InForce::read(tx, index.id, &name).await? else { return Ok(()) };
    for bin in 0..in_force.count() {
        let one = Roles { files: vec![in_force.bin(tx, bin).await?], ..Roles::default() };
        for object in one.objects() {
            compare(blobs, &object, report, expected)?;
        }
    }
    for object in in_force.top()?.objects() {
        compare(blobs, &object, report, expected)?;
    }
    if let Some(row) = log::in_force(tx, index.id).await? {
        let mut take = |key, bytes| {
            let file = Roles { log: vec![(key, bytes)], ..Roles::default() };
            file.objects().try_for_each(|object| compare(blobs, &object, report, expected))
        };
        log::walk(tx, index.id, &name, &row, &mut take).await?;
    }
    for path in store::signing::superseded(tx, index.id, i64::MAX, i64::MAX).await? {
        let key = layout::site_object(&name, &path);
        expected.insert(key.gzip());
        expected.insert(key);
    }
    Ok(())
}

/// Brings a file's bytes into the zone that its state says. Both zones may hold them after a power cut in a move: the
/// sound copy stays, where it belongs.
fn place(blobs: &Blobs, index: &IndexName, file: &FileRow, report: &mut Rebuilt) -> Result<()> {
    let vault = layout::vault_file(index, &file.sha256(), &file.filename);
    let site = layout::site_file(index, &file.sha256(), &file.filename);
    let (right, wrong) = if file.published { (site, vault) } else { (vault, site) };
    match (blobs.exists(&right), blobs.exists(&wrong)) {
        (true, false) if digest(blobs, &right)? == Some(file.sha256()) => return Ok(()),
        (true, false) => {
            report.missing.push(format!("{} (its bytes have changed)", file.filename));
            return Ok(());
        }
        (false, false) => {
            report.missing.push(file.filename.clone());
            return Ok(());
        }
        (true, true) if digest(blobs, &right)? == Some(file.sha256()) => blobs.delete(&wrong)?,
        // The copy where it belongs is missing or damaged: the other one replaces it.
        (_, true) => {
            blobs.delete(&right)?;
            blobs.relocate(&[(wrong, right)])?;
        }
    }
    report.moved += 1;
    Ok(())
}

/// The head as the publisher wrote it.
pub(super) async fn head_of(tx: &mut Tx, index: &IndexRow) -> Result<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Paths {
        paths: Vec<String>,
    }
    let mut recent = Vec::new();
    for (serial, text) in publishing::commits_after(tx, index.id, (index.serial - HEAD_SERIALS as i64).max(0)).await? {
        let record: Paths = serde_json::from_str(&text).map_err(|e| Error::Internal(e.to_string()))?;
        recent.push((serial, record.paths));
    }
    Ok(render::head_json(index.serial, &recent))
}

fn compare(blobs: &Blobs, object: &Object, report: &mut Rebuilt, expected: &mut BTreeSet<Key>) -> Result<()> {
    let (key, Some(body)) = object else { return Ok(()) };
    expected.insert(key.clone());
    if blobs.get(key)?.as_ref() == Some(body) {
        report.unchanged += 1;
    } else {
        tracing::info!(key = key.as_str(), "written");
        blobs.put(key, body)?;
        report.written += 1;
    }
    Ok(())
}
