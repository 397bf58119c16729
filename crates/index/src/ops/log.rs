//! The transparency log of an index: what a publication does becomes entries in the same commit, and the timestamp role
//! names the tree that they make (`x-log`).
//!
//! The ledger keeps the entries and the signed checkpoint; tiles and bundles follow from them (`walk`), so replay,
//! rebuild and scrub need no key. The publisher keeps the tree's right edge (`Book`). `tlog` knows the formats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tlog::note::{KeyKind, KeyName};
use tlog::tree::APPEND_ENTRIES_MAX;
use tlog::{Hash, Log, Origin, ReadTile, TileId, TreeHead, VerifierKey};
use tuf::json::{Object, Value};
use tuf::{PublicKey, Signer};

use super::publish::Lease;
use crate::blobs::{Blobs, Key, layout};
use crate::model::IndexName;
use crate::store::Tx;
use crate::store::log::{self as rows, LogRow};
use crate::{Error, Installation, Result, keys};

mod events;
mod founding;
mod names;
#[cfg(test)]
mod tests;
pub mod witness;

pub(super) use events::{Change, drafts, of_file, of_project};
pub(super) use founding::{begin, new_key, sign_first, under};
pub use names::{Mapping, Whom, erase, mapping};

/// Entries read from the ledger at once.
const WALK_ENTRIES: i64 = 16 << 10;
/// The name of the log's key among an index's keys.
const KEY: &str = "log";

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("the log: {error}"))
}

/// Whether a key, which no role need trust, signs all the same: the log's, and the witness's by its file's name.
pub(super) fn signs(row: Option<&LogRow>, name: &str, keyid: &str) -> bool {
    name == witness::KEY || name.starts_with("witness-") || row.and_then(LogRow::keyid).is_some_and(|own| own == keyid)
}

impl LogRow {
    /// The id of the key that signs it, as key files have it.
    pub(super) fn keyid(&self) -> Option<String> {
        VerifierKey::parse(&self.verifier).ok().map(|key| PublicKey::ed25519(key.public()).keyid())
    }

    fn origin(&self) -> Result<Origin> {
        Origin::new(&self.origin).map_err(broken)
    }

    fn head(&self) -> Result<TreeHead> {
        let root = Hash::from_hex(&self.root).ok_or_else(|| broken("the ledger's root cannot be read"))?;
        Ok(TreeHead { size: self.size.cast_unsigned(), root })
    }

    /// What the timestamp role says of the log: whose it is, its key, its size and its root.
    pub(super) fn extra(&self) -> BTreeMap<String, Value> {
        let line = [
            ("key", Value::from(self.verifier.as_str())),
            ("origin", Value::from(self.origin.as_str())),
            ("root", Value::from(self.root.as_str())),
            ("size", Value::from(self.size.cast_unsigned())),
        ];
        let line: Object = line.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Object::from([("x-log".to_owned(), Value::Object(line))])
    }

    /// The signed checkpoint as an object of the site.
    pub(super) fn checkpoint(&self, index: &IndexName) -> Option<(Key, Vec<u8>)> {
        Some((layout::log_checkpoint(index), self.note.clone()?.into_bytes()))
    }

    /// The last checkpoint that witnesses cosigned, as an object of the site.
    pub(super) fn cosigned(&self, index: &IndexName) -> Option<(Key, Vec<u8>)> {
        Some((layout::log_witnessed(index), self.witnessed.clone()?.into_bytes()))
    }
}

/// The id under which a key folder has the key of a log or of a witness.
fn keyid(verifier: &VerifierKey) -> String {
    keys::public_key("ed25519".into(), "ed25519".into(), tuf::hash::hex(verifier.public())).keyid()
}

/// Opens the key that is known by its verifier; nothing where it is not in the folder.
async fn held(installation: &Installation, index: &IndexName, verifier: &str) -> Result<Option<Arc<dyn Signer>>> {
    let (of, keyid) = (index.clone(), keyid(&VerifierKey::parse(verifier).map_err(broken)?));
    installation.signing_keys.blocking(move |folder| folder.find(&of, &keyid)).await
}

/// The key of this name; made when there is none yet.
async fn make(installation: &Installation, index: &IndexName, name: &'static str) -> Result<Arc<dyn Signer>> {
    let (of, entropy) = (index.clone(), installation.entropy.clone());
    installation.signing_keys.blocking(move |folder| folder.make(&of, name, &entropy)).await
}

/// A key of notes that the ledger knows and that is not in the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostKey {
    /// The log of this name cannot grow.
    Log(String),
    /// Nothing is cosigned under this name.
    Witness(String),
}

/// Which of them are not among these key ids.
pub(super) async fn lost(tx: &mut Tx, index_id: i64, here: &BTreeSet<String>) -> Result<Vec<LostKey>> {
    let mut lost = Vec::new();
    let log = rows::log(tx, index_id).await?.map(|row| row.verifier);
    for (verifier, which) in
        [(log, LostKey::Log as fn(String) -> LostKey), (rows::witness_key(tx, index_id).await?, LostKey::Witness)]
    {
        let Some(verifier) = verifier else { continue };
        let key = VerifierKey::parse(&verifier).map_err(broken)?;
        if !here.contains(&keyid(&key)) {
            lost.push(which(key.name().as_str().to_owned()));
        }
    }
    Ok(lost)
}

/// The checkpoint in force, if the log was founded.
pub(super) async fn in_force(tx: &mut Tx, index_id: i64) -> Result<Option<LogRow>> {
    Ok(rows::log(tx, index_id).await?.filter(|row| row.note.is_some()))
}

/// A key as `tlog` wants a signer. The name of a log's is the log's origin.
pub(crate) struct NoteSigner {
    key: VerifierKey,
    signer: Arc<dyn Signer>,
}

impl NoteSigner {
    fn new(name: &str, kind: KeyKind, signer: Arc<dyn Signer>) -> Result<Self> {
        let key = verifier(name, kind, &signer)?;
        Ok(Self { key, signer })
    }
}

fn verifier(name: &str, kind: KeyKind, signer: &Arc<dyn Signer>) -> Result<VerifierKey> {
    let public = signer.public_key();
    let bytes = tuf::hash::unhex(&public.public).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.filter(|_| public.scheme == "ed25519").ok_or_else(|| {
        Error::Invalid(
            "the keys of a log and of a witness must be Ed25519 keys: notes know no other (C2SP signed-note)".into(),
        )
    })?;
    Ok(VerifierKey::new(KeyName::new(name).map_err(broken)?, kind, bytes))
}

impl tlog::Signer for NoteSigner {
    fn key(&self) -> &VerifierKey {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<[u8; 64], String> {
        let signature = self.signer.sign(message).map_err(|error| error.to_string())?;
        signature.try_into().map_err(|_| "it gave no Ed25519 signature".to_owned())
    }
}

/// Tiles as the site has them.
struct SiteTiles<'a> {
    blobs: &'a Blobs,
    index: &'a IndexName,
}

impl ReadTile for SiteTiles<'_> {
    fn tile(&self, id: TileId) -> Option<Vec<u8>> {
        self.blobs.get(&layout::log_tile(self.index, id)).ok().flatten()
    }
}

/// Objects of the site, in the order in which they are written.
pub(super) type Files = Vec<(Key, Vec<u8>)>;

/// The publisher's memory of one log: the right edge of its tree.
pub(super) struct Book {
    index: IndexName,
    log: Log,
    row: LogRow,
    signer: Option<Arc<dyn Signer>>,
}

/// What commit 2 appends, ready to be stored and written.
pub(super) struct Appended {
    log: Log,
    row: LogRow,
    /// Entries before it.
    pub(super) from: i64,
    drafts: events::Drafts,
    /// Tiles and bundles, then the checkpoint.
    pub(super) files: Files,
    superseded: Vec<String>,
}

impl Book {
    /// The log of an index, if it was founded: read back from the site, or, where that fails, made again from the ledger.
    /// `from`: entries of which it is sure that their tiles are in the site; the tiles of the others are returned.
    pub(super) async fn open(
        installation: &Installation,
        tx: &mut Tx,
        index_id: i64,
        index: &IndexName,
        from: Option<i64>,
    ) -> Result<Option<(Self, Files)>> {
        let Some(row) = in_force(tx, index_id).await? else { return Ok(None) };
        let from = from.unwrap_or(row.size).min(row.size);
        let blobs = &installation.blobs;
        if row.witnessed.is_none() {
            // Of a log that was renamed since: also where a crash came between that commit and this.
            blobs.delete(&layout::log_witnessed(index))?;
        }
        let near = resume(blobs, index, &row, from).ok();
        let (mut log, mut files) = (None, Files::new());
        if let Some(start) = near {
            let entries = rows::entries(tx, index_id, from, row.size).await?;
            let (grown, tiles) = append(&start, &entries)?;
            if grown.head() == row.head()? {
                files = tiles.into_iter().map(|(id, bytes)| (layout::log_tile(index, id), bytes)).collect();
                log = Some(grown);
            }
        }
        let log = match log {
            Some(log) => log,
            None => {
                tracing::warn!(%index, "the log's tiles are made again from the ledger");
                walk(tx, index_id, index, &row, &mut |key, bytes| put(blobs, &key, &bytes)).await?
            }
        };
        Ok(Some((Self { index: index.clone(), log, row, signer: None }, files)))
    }

    /// What the next timestamp says of the log.
    pub(super) fn extra(&self, appended: Option<&Appended>) -> BTreeMap<String, Value> {
        appended.map_or(&self.row, |appended| &appended.row).extra()
    }

    /// Makes what appending these entries takes; nothing is changed by it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the log's key is not at hand.
    pub(super) async fn append(
        &mut self,
        installation: &Installation,
        drafts: events::Drafts,
        lease: &mut Lease,
    ) -> Result<Option<Appended>> {
        if drafts.entries.is_empty() {
            return Ok(None);
        }
        let signer = self.signer(installation).await?;
        let (old, row, index) = (self.log.clone(), self.row.clone(), self.index.clone());
        let work = move || -> Result<Appended> {
            let (log, tiles) = append(&old, &drafts.entries)?;
            let row = signed(&row, &log, signer)?;
            let gone = gone(old.size(), log.size())?;
            let mut files: Files = tiles.into_iter().map(|(id, bytes)| (layout::log_tile(&index, id), bytes)).collect();
            files.extend(row.checkpoint(&index));
            let from = old.size().cast_signed();
            Ok(Appended { log, row, from, drafts, files, superseded: gone })
        };
        lease.kept_while(work).await.map(Some)
    }

    async fn signer(&mut self, installation: &Installation) -> Result<Arc<dyn Signer>> {
        if let Some(signer) = &self.signer {
            return Ok(Arc::clone(signer));
        }
        let found = held(installation, &self.index, &self.row.verifier).await?;
        let signer = found.ok_or_else(|| not_held(installation, &self.index))?;
        self.signer = Some(Arc::clone(&signer));
        Ok(signer)
    }

    /// Goes on from what commit 2 took.
    pub(super) fn apply(&mut self, appended: Appended) {
        (self.log, self.row) = (appended.log, appended.row);
    }
}

impl Appended {
    /// Commit 2's part.
    pub(super) fn store(&self, tx: &mut Tx, index_id: i64, now_us: i64) {
        for (seq, entry) in (self.from..).zip(&self.drafts.entries) {
            rows::append(tx, index_id, seq, entry);
        }
        for (project_id, subject, name) in self.drafts.new_names() {
            rows::insert_name(tx, index_id, project_id, subject, name, now_us);
        }
        let LogRow { size, root, note, .. } = &self.row;
        rows::grow(tx, index_id, self.from, *size, root, note.as_deref().unwrap_or_default());
        for path in &self.superseded {
            crate::store::signing::supersede(tx, index_id, path, now_us);
        }
    }
}

/// The log's key is not in the folder.
fn not_held(installation: &Installation, index: &IndexName) -> Error {
    Error::Unavailable(format!(
        "nothing can be published in '{index}': the key that signs its log is not in {}; bring it back from a backup",
        installation.signing_keys.of(index).display()
    ))
}

/// The row with a signed checkpoint of this log.
fn signed(row: &LogRow, log: &Log, signer: Arc<dyn Signer>) -> Result<LogRow> {
    let signer = NoteSigner::new(&row.origin, KeyKind::Ed25519, signer)?;
    let note = log.checkpoint().sign(&[&signer]).map_err(|error| Error::Unavailable(error.to_string()))?;
    let head = log.head();
    Ok(LogRow { size: head.size.cast_signed(), root: head.root.to_hex(), note: Some(note.to_string()), ..row.clone() })
}

/// Partial tiles and bundles that a larger one replaces, below the site.
fn gone(old: u64, new: u64) -> Result<Vec<String>> {
    let new: BTreeSet<TileId> = Log::edge(new).map_err(broken)?.into_iter().collect();
    let old = Log::edge(old).map_err(broken)?.into_iter();
    Ok(old.filter(|id| !new.contains(id)).map(|id| format!("tlog/{id}")).collect())
}

/// The log of the first `size` entries, from the site's tiles.
fn resume(blobs: &Blobs, index: &IndexName, row: &LogRow, size: i64) -> Result<Log> {
    let (tiles, origin) = (SiteTiles { blobs, index }, row.origin()?);
    let head = match row.head()? {
        head if head.size == size.cast_unsigned() => head,
        // What is appended to it must then make the root that was signed.
        _ => {
            let size = size.cast_unsigned();
            TreeHead { size, root: tlog::proof::root_of_tiles(size, &tiles).map_err(broken)? }
        }
    };
    Log::load(origin, &head, &tiles).map_err(broken)
}

/// Appends entries, however many. Of the partial tiles only those are returned that stand in the end.
fn append(log: &Log, entries: &[String]) -> Result<(Log, BTreeMap<TileId, Vec<u8>>)> {
    let (mut log, mut files) = (log.clone(), BTreeMap::new());
    for chunk in entries.chunks(APPEND_ENTRIES_MAX) {
        let written = log.append(chunk).map_err(broken)?;
        files.extend(written.tiles.into_iter().chain(written.bundles));
        log = written.next;
    }
    let edge = Log::edge(log.size()).map_err(broken)?;
    files.retain(|id, _| id.is_full() || edge.contains(id));
    Ok((log, files))
}

/// Makes every tile and bundle of a log again from the ledger's entries, in order, and hands each to `visit`.
///
/// # Errors
/// [`Error::Internal`] when the entries do not have the root of the checkpoint.
pub(super) async fn walk(
    tx: &mut Tx,
    index_id: i64,
    index: &IndexName,
    row: &LogRow,
    visit: &mut (dyn FnMut(Key, Vec<u8>) -> Result<()> + Send),
) -> Result<Log> {
    let log = walk_entries(tx, index_id, index, row, row.size, visit).await?;
    if log.head() != row.head()? {
        return Err(broken("the ledger's entries are not those of the signed checkpoint"));
    }
    Ok(log)
}

async fn walk_entries(
    tx: &mut Tx,
    index_id: i64,
    index: &IndexName,
    row: &LogRow,
    size: i64,
    visit: &mut (dyn FnMut(Key, Vec<u8>) -> Result<()> + Send),
) -> Result<Log> {
    let (mut log, mut partial) = (Log::new(row.origin()?), BTreeMap::new());
    while log.size().cast_signed() < size {
        let from = log.size().cast_signed();
        let entries = rows::entries(tx, index_id, from, (from + WALK_ENTRIES).min(size)).await?;
        if entries.is_empty() {
            return Err(broken("the ledger has lost entries"));
        }
        let (grown, files) = append(&log, &entries)?;
        for (id, bytes) in files {
            if id.is_full() {
                visit(layout::log_tile(index, id), bytes)?;
            } else {
                partial.insert(id, bytes);
            }
        }
        log = grown;
    }
    for id in Log::edge(log.size()).map_err(broken)? {
        if let Some(bytes) = partial.remove(&id) {
            visit(layout::log_tile(index, id), bytes)?;
        }
    }
    Ok(log)
}

/// Writes an object of the log.
pub(super) fn put(blobs: &Blobs, key: &Key, bytes: &[u8]) -> Result<()> {
    if let Some(gzip) = compressed(key, bytes) {
        blobs.put(&key.gzip(), &gzip)?;
    }
    Ok(blobs.put(key, bytes)?)
}

/// The gzip form, of full bundles alone: hashes do not get smaller, and partial bundles are read once.
pub(super) fn compressed(key: &Key, bytes: &[u8]) -> Option<Vec<u8>> {
    let is_full_bundle = key.as_str().contains("/tlog/tile/entries/") && !key.as_str().contains(".p/");
    is_full_bundle.then(|| crate::render::gzip(bytes))
}
