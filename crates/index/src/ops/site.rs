//! Writing the site, after commit 2.

use packaging::Sha256;
use serde::{Deserialize, Serialize};

use super::signing::Roles;
use crate::blobs::{Blobs, Key, layout};
use crate::model::IndexName;
use crate::render::Object;
use crate::{Result, failpoint};

/// A file that changes zones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Move {
    pub(super) file: i64,
    pub(super) sha256: Sha256,
    pub(super) filename: String,
    pub(super) into_site: bool,
}

/// Everything that one set writes.
pub(super) struct Writing {
    pub(super) moves: Vec<Move>,
    pub(super) objects: Vec<Object>,
    pub(super) roles: Roles,
    /// None where what it leads to is not complete yet.
    pub(super) head: Option<Vec<u8>>,
}

impl Writing {
    /// Frees what was written, but for what must still be taken away.
    pub(super) fn forget_pages(&mut self) {
        self.objects.retain(|(_, body)| body.is_none());
    }
}

/// Whether an object's name holds a hash or a version: such come before whatever names them.
fn is_write_once(key: &Key) -> bool {
    key.is_beside_file() || key.is_page_target()
}

/// Writes one set into the site, all but what leads to it. The order is the safety: a page never names bytes that are not
/// there, and ([`write_head`]) the timestamp names no role and no tree of the log, and the head no page, that is not. Every
/// step may be repeated after a crash.
pub(super) fn write_pages(blobs: &Blobs, index: &IndexName, writing: &Writing) -> Result<()> {
    let Writing { moves, objects, roles, head: _ } = writing;
    relocate(blobs, index, moves, true)?;
    failpoint::reach("publish.moved");
    for (key, body) in objects.iter().filter(|(key, _)| is_write_once(key)) {
        if let Some(body) = body {
            blobs.put(key, body)?;
        }
    }
    failpoint::reach("publish.write-once");
    roles.write_log(blobs)?;
    failpoint::reach("publish.log");
    roles.write_files(blobs)?;
    failpoint::reach("publish.roles");
    for (key, body) in objects.iter().filter(|(key, _)| !is_write_once(key)) {
        put_or_delete(blobs, key, body.as_deref())?;
    }
    Ok(())
}

/// The end of a set: timestamp, head, and then what nothing names any more.
pub(super) fn write_head(blobs: &Blobs, index: &IndexName, writing: &Writing) -> Result<()> {
    let Writing { moves, objects, roles, head } = writing;
    roles.write_timestamp(blobs)?;
    failpoint::reach("publish.timestamp");
    if let Some(head) = head {
        blobs.put(&layout::head(index), head)?;
    }
    failpoint::reach("publish.head");
    // An ordinary removal: nothing names the bytes any more.
    for (key, _) in objects.iter().filter(|(key, body)| is_write_once(key) && body.is_none()) {
        blobs.delete(key)?;
    }
    relocate(blobs, index, moves, false)?;
    failpoint::reach("publish.withdrawn");
    Ok(())
}

/// Moves the bytes of those that enter the site, or of those that leave it. Bytes that are in neither zone are lost
/// already: one lost file must not stop the publication of all others, so it is said and passed over; `scrub` names it
/// until it is restored.
fn relocate(blobs: &Blobs, index: &IndexName, moves: &[Move], into_site: bool) -> Result<()> {
    let zones = |one: &Move| {
        let vault = layout::vault_file(index, &one.sha256, &one.filename);
        let site = layout::site_file(index, &one.sha256, &one.filename);
        if into_site { (vault, site) } else { (site, vault) }
    };
    let moves: Vec<(Key, Key)> = moves.iter().filter(|one| one.into_site == into_site).map(zones).collect();
    for (from, to) in blobs.relocate(&moves)? {
        let (from, to) = (from.as_str(), to.as_str());
        tracing::error!(from, to, "the bytes of a file are gone: restore them from a backup");
    }
    Ok(())
}

pub(super) fn put_all(blobs: &Blobs, objects: &[Object]) -> Result<()> {
    for (key, body) in objects {
        put_or_delete(blobs, key, body.as_deref())?;
    }
    Ok(())
}

fn put_or_delete(blobs: &Blobs, key: &Key, body: Option<&[u8]>) -> Result<()> {
    match body {
        Some(body) => blobs.put(key, body)?,
        None => blobs.delete(key)?,
    }
    Ok(())
}

/// Takes away superseded objects and their gzip forms.
pub(super) fn sweep(blobs: &Blobs, index: &IndexName, paths: &[String]) -> Result<()> {
    for path in paths {
        let key = layout::site_object(index, path);
        blobs.delete(&key.gzip())?;
        blobs.delete(&key)?;
    }
    Ok(())
}
