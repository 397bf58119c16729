//! The founding of an index's repository: keys, version 1 of every role, and every page and file that is published
//! already. Its own commit, before the first set of changes; no serial, as no page changes.
//!
//! Bins and pages are written before the commit: nothing names them until there is a timestamp. Root and timestamp
//! follow from the ledger after it, as after a crash.

use std::sync::Arc;

use serde_json::json;
use tuf::Signer;
use tuf::role::Top;
use tuf::write::{BINS, Bins, Bodies, Founding, Holders, Issue, Offline, Repository};

use super::super::log;
use super::super::publish::Lease;
use super::super::site::put_all;
use super::expected::expected_of;
use super::{KeysAtHand, Listing, OFFLINE_DAYS, Profile, Resigned, sign_all, time, write_error};
use crate::blobs::layout;
use crate::keys::Keys;
use crate::model::IndexName;
use crate::store::log::LogRow;
use crate::store::signing as rows;
use crate::store::{audit, projects};
use crate::{Error, Installation, Result, failpoint};

/// Projects that are listed in one step.
const PROJECTS_AT_ONCE: i64 = 50;

/// The three offline roles of a `dev` repository, signed.
struct Offlines {
    root: Vec<u8>,
    targets: Vec<u8>,
    bins: Vec<u8>,
    keys: KeysAtHand,
}

/// Founds the repository of an index with the `dev` profile: one key for the offline roles and one for the online ones,
/// both in the data folder. `lease` is put off in the founding's transaction: it must still be held.
pub(crate) async fn found(
    installation: &Arc<Installation>,
    index_id: i64,
    index: &IndexName,
    lease: &mut Lease,
) -> Result<()> {
    let now_us = installation.clock.now_us();
    let (of, name) = (Arc::clone(installation), index.clone());
    let made = tokio::task::spawn_blocking(move || dev(&of, &name, now_us));
    let offlines = made.await.map_err(|e| Error::Internal(e.to_string()))??;
    let offline = Offline::read(&offlines.root, &offlines.targets, &offlines.bins).map_err(write_error)?;
    let repository = Repository::found(offline);
    let (projects, targets) = list_published(installation, index_id, index, lease).await?;
    let Offlines { root, targets: top, bins: all, keys } = offlines;
    let mut tx = installation.store.read().await?;
    let logged = log::in_force(&mut tx, index_id).await?;
    let extra = logged.as_ref().map(LogRow::extra).unwrap_or_default();
    let issue = Issue { now: time(now_us), lifetimes: Profile::Dev.lifetimes(), extra };
    // No redo record: what the commit relies on is on disk before it.
    let held = Listing::Ledger(&mut tx, index_id);
    let Resigned { records, commit } =
        sign_all(installation, index, &Arc::new(repository), &Arc::new(keys), issue, held, lease).await?;
    drop(tx);
    failpoint::reach("found.signed");
    let mut tx = installation.store.write().await?;
    lease.extend(&mut tx);
    rows::found(&mut tx, index_id, Profile::Dev.as_str(), now_us);
    for (role, body) in [("root", &root), (Top::Targets.name(), &top), (BINS, &all)] {
        rows::insert_offline(&mut tx, index_id, role, 1, body);
    }
    for record in records.iter().chain(commit.written().map(|written| &written.record)) {
        rows::set_online(&mut tx, index_id, record);
    }
    let detail = json!({ "profile": Profile::Dev, "projects": projects, "targets": targets });
    audit::note(&mut tx, Some(index_id), now_us, "publisher", "tuf.found", index.as_str(), detail);
    tx.commit().await?;
    failpoint::reach("found.committed");
    tracing::info!(%index, projects, targets, "the index is signed from now on");
    Ok(())
}

/// Takes what is published into the table of targets, and writes pages under their content, where nothing names them yet.
/// In steps, each a transaction: what is broken off is begun anew and writes the same again, as nobody publishes before the
/// founding. Returns how many projects and targets there are.
async fn list_published(
    installation: &Arc<Installation>,
    index_id: i64,
    index: &IndexName,
    lease: &mut Lease,
) -> Result<(usize, usize)> {
    let (mut after, mut done, mut listed) = (String::new(), 0, 0);
    loop {
        let mut tx = installation.store.read().await?;
        let batch = projects::published_after(&mut tx, index_id, &after, PROJECTS_AT_ONCE).await?;
        let Some(last) = batch.last() else { return Ok((done, listed)) };
        let (mut targets, mut pages) = (Vec::new(), Vec::new());
        for one in &batch {
            let expected = expected_of(&mut tx, index, one.id).await?.of_this_version()?;
            let paths = layout::target_paths(index, &expected.name);
            targets.extend(expected.targets);
            pages.extend(expected.objects.into_iter().filter(|(key, _)| key.is_page_target() || *key == paths));
        }
        after.clone_from(&last.name);
        drop(tx);
        let of = Arc::clone(installation);
        let work = move || put_all(&of.blobs, &pages);
        tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))??;
        let mut tx = installation.store.write().await?;
        lease.extend(&mut tx);
        for target in &targets {
            rows::set_target(&mut tx, index_id, target);
        }
        tx.commit().await?;
        done += batch.len();
        listed += targets.len();
    }
}

fn dev(installation: &Installation, index: &IndexName, now_us: i64) -> Result<Offlines> {
    let folder = &installation.signing_keys;
    let offline = folder.make_new(index, "offline", &installation.entropy)?;
    let online = folder.make_new(index, "online", &installation.entropy)?;
    let one = |signer: &Arc<dyn Signer>| Holders { keys: vec![signer.public_key().clone()], threshold: 1 };
    let crate::Bins { shape, bits } = installation.settings.bins;
    let issued = time(now_us);
    let founding = Founding {
        root: one(&offline),
        targets: one(&offline),
        bins: one(&offline),
        snapshot: one(&online),
        timestamp: one(&online),
        bin: one(&online),
        shape: Bins::new(shape, bits, 1).map_err(|error| Error::Invalid(error.to_string()))?,
        issued,
        expires: issued.plus_days(OFFLINE_DAYS),
    };
    let Bodies { root, targets, bins } = founding.bodies();
    let sign = |body: &tuf::write::Body| body.sign(&[&*offline]).map(|written| written.bytes).map_err(write_error);
    let (root, targets, bins) = (sign(&root)?, sign(&targets)?, sign(&bins)?);
    let keys: Keys = [&offline, &online].map(|signer| (signer.keyid().to_owned(), Arc::clone(signer))).into();
    Ok(Offlines { root, targets, bins, keys: KeysAtHand(keys) })
}
