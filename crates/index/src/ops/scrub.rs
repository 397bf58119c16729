//! `scrub`: holds every byte against the ledger and names what is wrong. Changes nothing.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use packaging::Sha256;
use sha2::Digest;
use tuf::layout::Target;

use super::log;
use super::publish::{Pieces, published_view};
use super::rebuild::head_of;
use super::signing::{InForce, Roles};
use crate::blobs::{Blobs, Key, layout};
use crate::model::IndexName;
use crate::render::RENDER_VERSION;
use crate::store::files::FileRow;
use crate::store::indexes::IndexRow;
use crate::store::projects::ProjectRow;
use crate::store::{Tx, files, indexes, projects, signing};
use crate::{Error, Installation, Result};

const BATCH: i64 = 500;
/// How long to wait before a thing that looks wrong is looked at again, and how often in one run.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSES_MAX: u32 = 120;

/// How far a scrub of an index came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Files whose bytes were read.
    pub files: u64,
    /// Projects whose pages were rendered and compared, which come after all files.
    pub projects: u64,
}

/// Scrubs one index; returns one sentence for each thing that is wrong.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn scrub(
    installation: &Arc<Installation>,
    index: &IndexRow,
    progress: &mut (dyn FnMut(Scrubbed) + Send),
) -> Result<Vec<String>> {
    let name = index.name();
    let mut wrong = Vec::new();
    let (mut after, mut done) = (0, Scrubbed::default());
    let mut patience = Patience::new();
    loop {
        let batch = {
            let mut tx = installation.store.read().await?;
            files::of_index(&mut tx, index.id, after, BATCH).await?
        };
        let Some(last) = batch.last() else { break };
        after = last.id;
        for file in batch {
            let mut found = examine(installation, &name, &file).await?;
            while found.is_some() && patience.again(installation, index.id).await? {
                let file = files::by_id(&mut installation.store.read().await?, file.id).await?;
                found = examine(installation, &name, &file).await?;
            }
            wrong.extend(found);
            done.files += 1;
        }
        progress(done);
    }
    strays(installation, index, &mut wrong).await?;
    let mut projects = |projects| progress(Scrubbed { projects, ..done });
    pages(installation, index, &mut wrong, &mut patience, &mut projects).await?;
    Ok(wrong)
}

/// Files of the public zone that no upload brought: whoever has their URL is given them. A row is there before any byte, so
/// none of these is on its way.
async fn strays(installation: &Arc<Installation>, index: &IndexRow, wrong: &mut Vec<String>) -> Result<()> {
    let name = index.name();
    for shard in 0..=u8::MAX {
        let (blobs, folder) = (Arc::clone(&installation.blobs), layout::site_shard(&name, shard));
        let listed = tokio::task::spawn_blocking(move || blobs.list(&folder));
        let listed = listed.await.map_err(|e| Error::Internal(e.to_string()))??;
        let mut tx = installation.store.read().await?;
        for key in listed {
            let known = match layout::parse_site_file(&name, &key) {
                Some((sha256, filename)) => files::is_known(&mut tx, index.id, &sha256, &filename).await?,
                None => false,
            };
            if !known {
                wrong.push(format!("{key}: no upload brought it; stop, `rebuild` takes it away, start"));
            }
        }
    }
    Ok(())
}

/// What a running publisher is just writing looks wrong for a moment, so whatever looks wrong is looked at again
/// until the site is written up to the ledger's serial, and once more after that. Bounded over the whole run.
pub(super) struct Patience {
    pauses_left: u32,
    settled: Option<i64>,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { pauses_left: PAUSES_MAX, settled: None }
    }

    pub(super) async fn again(&mut self, installation: &Installation, index_id: i64) -> Result<bool> {
        let row = indexes::by_id(&mut installation.store.read().await?, index_id).await?;
        let settled = (row.written_serial >= row.serial).then_some(row.serial);
        if self.pauses_left == 0 || settled.is_some() && settled == self.settled {
            return Ok(false);
        }
        if settled.is_none() {
            self.pauses_left -= 1;
            tokio::time::sleep(PAUSE).await;
        }
        self.settled = settled;
        Ok(true)
    }
}

/// What is wrong with one file, if anything.
async fn examine(installation: &Arc<Installation>, name: &IndexName, file: &FileRow) -> Result<Option<String>> {
    let sha256 = file.sha256();
    let vault = layout::vault_file(name, &sha256, &file.filename);
    let site = layout::site_file(name, &sha256, &file.filename);
    let blobs = Arc::clone(&installation.blobs);
    let check = move || (digest(&blobs, &site), digest(&blobs, &vault));
    let (in_site, in_vault) = tokio::task::spawn_blocking(check).await.map_err(|e| Error::Internal(e.to_string()))?;
    let (right, other) = if file.published { (in_site?, in_vault?) } else { (in_vault?, in_site?) };
    let zone = if file.published { "site" } else { "vault" };
    if let Some(want) = file.metadata_sha256().filter(|_| file.published) {
        let key = layout::site_metadata(name, &sha256, &file.filename);
        if digest(&installation.blobs, &key)? != Some(want) {
            return Ok(Some(format!("{}: its metadata in the site is missing or has changed", file.filename)));
        }
    }
    let provenance = layout::provenance(name, &file.filename).zip(file.provenance_sha256());
    if let Some((key, want)) = provenance.filter(|_| file.published)
        && digest(&installation.blobs, &key)? != Some(want)
    {
        return Ok(Some(format!("{}: its provenance in the site is missing or has changed", file.filename)));
    }
    Ok(match right {
        None => Some(format!("{}: missing from the {zone}", file.filename)),
        Some(found) if found != sha256 => {
            Some(format!("{}: its bytes in the {zone} have changed: {found}, not {sha256}", file.filename))
        }
        Some(_) if other.is_some() => Some(format!("{}: stands in both zones", file.filename)),
        Some(_) => None,
    })
}

/// Every page against its rendering.
async fn pages(
    installation: &Arc<Installation>,
    index: &IndexRow,
    wrong: &mut Vec<String>,
    patience: &mut Patience,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    let listed = {
        let mut tx = installation.store.read().await?;
        projects::published(&mut tx, index.id).await?
    };
    for (done, project) in (1..).zip(listed) {
        let mut found = differing(installation, &index.name(), project.id).await?;
        while !found.is_empty() && patience.again(installation, index.id).await? {
            found = differing(installation, &index.name(), project.id).await?;
        }
        wrong.extend(found.iter().map(|key| format!("{key}: differs from what the ledger says")));
        progress(done);
    }
    let mut head = differing_head(installation, index.id).await?;
    while head.is_some() && patience.again(installation, index.id).await? {
        head = differing_head(installation, index.id).await?;
    }
    wrong.extend(head.map(|key| format!("{key}: differs from what the ledger says")));
    let mut roles = differing_roles(installation, index).await?;
    while !roles.is_empty() && patience.again(installation, index.id).await? {
        roles = differing_roles(installation, index).await?;
    }
    wrong.extend(roles.iter().map(|key| format!("{key}: differs from what the ledger says")));
    Ok(())
}

/// The keys of role files, and of files of the log, that are not what the ledger's records and rows give.
async fn differing_roles(installation: &Arc<Installation>, index: &IndexRow) -> Result<Vec<Key>> {
    let mut tx = installation.store.read().await?;
    let Some(in_force) = InForce::read(&mut tx, index.id, &index.name()).await? else { return Ok(Vec::new()) };
    let mut differing = Vec::new();
    let mut look = |roles: Roles| -> Result<()> {
        for (key, body) in roles.objects() {
            if installation.blobs.get(&key)? != body {
                differing.push(key);
            }
        }
        Ok(())
    };
    look(in_force.top()?)?;
    for bin in 0..in_force.count() {
        look(Roles { files: vec![in_force.bin(&mut tx, bin).await?], ..Roles::default() })?;
    }
    if let Some(row) = log::in_force(&mut tx, index.id).await? {
        let mut take = |key, bytes| look(Roles { log: vec![(key, bytes)], ..Roles::default() });
        log::walk(&mut tx, index.id, &index.name(), &row, &mut take).await?;
    }
    Ok(differing)
}

/// The head, if it is not the one that the ledger's last commits give.
async fn differing_head(installation: &Arc<Installation>, index_id: i64) -> Result<Option<Key>> {
    let mut tx = installation.store.read().await?;
    let row = indexes::by_id(&mut tx, index_id).await?;
    let want = head_of(&mut tx, &row).await?;
    drop(tx);
    let key = layout::head(&row.name());
    Ok((installation.blobs.get(&key)? != Some(want)).then_some(key))
}

/// The keys of a project's pages that are not what the ledger renders.
async fn differing(installation: &Arc<Installation>, name: &IndexName, project_id: i64) -> Result<Vec<Key>> {
    let mut tx = installation.store.read().await?;
    let row = projects::by_id(&mut tx, project_id).await?;
    if row.render_version != RENDER_VERSION {
        return differing_page(installation, &mut tx, name, &row).await;
    }
    let view = published_view(&mut tx, name, &row).await?;
    let (mut pieces, mut differing) = (Pieces::all(view), Vec::new());
    while let Some(objects) = pieces.next(&mut tx).await? {
        for (key, body) in objects {
            if installation.blobs.get(&key)? != body {
                differing.push(key);
            }
        }
    }
    Ok(differing)
}

/// Of a project whose pages another version made, the one that is signed, if it is not as it was signed: the others
/// cannot be made here to be compared.
async fn differing_page(
    installation: &Arc<Installation>,
    tx: &mut Tx,
    name: &IndexName,
    row: &ProjectRow,
) -> Result<Vec<Key>> {
    let (project, key) = (row.name(), layout::page(name, &row.name(), "json"));
    let path = Target::Page { project: project.as_str() }.path();
    let signed = signing::target(tx, row.index_id, &path).await?;
    let found = digest(&installation.blobs, &key)?.map(|sha256| sha256.to_string());
    Ok(if signed.map(|target| target.sha256) == found { vec![] } else { vec![key] })
}

pub(super) fn digest(blobs: &Blobs, key: &Key) -> Result<Option<Sha256>> {
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
