//! Witnessing (C2SP tlog-witness), in both directions: this index cosigns the logs that it was told to watch, and gets its
//! own log cosigned by others. How requests travel is the caller's affair.
//!
//! What is cosigned is in the ledger first: a signature that outlives its record would let a log show two pasts.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use tlog::note::{KeyKind, Note};
pub use tlog::witness::{ANSWER_BYTES_MAX, REQUEST_BYTES_MAX, Refusal, Watched};
use tlog::witness::{AddCheckpoint, Consistent, consider, take_cosignatures};
use tlog::{Hash, Origin, TreeHead, VerifierKey, proof};
use tuf::Signer;

use super::{NoteSigner, SiteTiles, broken, held, in_force, keyid, put, rows};
use crate::blobs::layout;
use crate::model::IndexName;
use crate::store::{Tx, audit, indexes};
use crate::{Error, Installation, Result, failpoint};

/// The name of the witness's key among an index's keys. It signs nothing else.
pub(super) const KEY: &str = "witness";

/// The logs that are to be watched, by their verifier keys: a log is called as its key is.
///
/// # Errors
/// A sentence about the key that is none of a log.
pub fn watched(keys: &[VerifierKey]) -> std::result::Result<Vec<Watched>, String> {
    let one = |key: &VerifierKey| {
        if key.kind() != KeyKind::Ed25519 {
            return Err(format!("'{}' is the key of a witness, not of a log", key.name()));
        }
        let origin = Origin::new(key.name().as_str()).map_err(|error| error.to_string())?;
        Ok(Watched { origin, keys: vec![key.clone()] })
    };
    keys.iter().map(one).collect()
}

/// The key of the index's log, and the key by which it witnesses others, which is made at the first question.
///
/// # Errors
/// [`Error::NotFound`] before the log has begun.
pub async fn keys(installation: &Installation, index: &IndexName) -> Result<(VerifierKey, VerifierKey)> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    let log = in_force(&mut tx, row.id).await?.ok_or_else(|| Error::NotFound("The log has not begun yet.".into()))?;
    drop(tx);
    let log = VerifierKey::parse(&log.verifier).map_err(broken)?;
    Ok((log, kept_signer(installation, index).await?.key.clone()))
}

/// Makes another key to witness with, where the one of before is lost or in wrong hands: it is put aside, and cosigns nothing
/// any more. Whoever counts on this witness must be told the new one.
///
/// # Errors
/// [`Error::NotFound`] before the log has begun.
pub async fn replace(installation: &Installation, index: &IndexName, actor: &str) -> Result<()> {
    let mut kept = installation.witnesses.lock().await;
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    in_force(&mut tx, row.id).await?.ok_or_else(|| Error::NotFound("The log has not begun yet.".into()))?;
    let old = rows::witness_key(&mut tx, row.id).await?;
    drop(tx);
    kept.remove(index);
    // What an older version made is in no row.
    let key = match &old {
        Some(old) => VerifierKey::parse(old).map_err(broken)?,
        None => made(installation, index).await?.key,
    };
    // The file before the row: broken off in between, the old key is said to be lost, and never taken up again.
    let (of, keyid) = (index.clone(), keyid(&key));
    installation.signing_keys.blocking(move |folder| folder.retire(&of, &[keyid].into())).await?;
    // One that nobody had: a file that lies there already may be anybody's.
    let (of, entropy) = (index.clone(), installation.entropy.clone());
    let signer = installation.signing_keys.blocking(move |folder| folder.make_new(&of, KEY, &entropy)).await?;
    let (signer, now_us) = (named(index, signer)?, installation.clock.now_us());
    let new = signer.key.to_string();
    let mut tx = installation.store.write().await?;
    rows::set_witness_key(&mut tx, row.id, old.as_deref(), &new);
    let detail = serde_json::json!({ "old": old, "new": new });
    audit::note(&mut tx, Some(row.id), now_us, actor, "log.witness", index.as_str(), detail);
    tx.commit().await?;
    kept.insert(index.clone(), Arc::new(signer));
    Ok(())
}

/// Notes why a witness does not cosign the log of an index, or, without a reason, that it does.
pub fn said(installation: &Installation, index: &IndexName, witness: &str, why: Option<&str>) {
    let mut silent = installation.silent.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (index.clone(), witness.to_owned());
    match why {
        Some(why) => silent.insert(key, why.to_owned()),
        None => silent.remove(&key),
    };
}

/// The witnesses of this process that do not cosign a log at the moment: index, witness, why.
pub fn silent(installation: &Installation) -> Vec<(IndexName, String, String)> {
    let silent = installation.silent.lock().unwrap_or_else(PoisonError::into_inner);
    silent.iter().map(|((index, witness), why)| (index.clone(), witness.clone(), why.clone())).collect()
}

/// The key of the file [`KEY`], made where there is none.
async fn made(installation: &Installation, index: &IndexName) -> Result<NoteSigner> {
    named(index, super::make(installation, index, KEY).await?)
}

fn named(index: &IndexName, signer: Arc<dyn Signer>) -> Result<NoteSigner> {
    let name = format!("tidewaiter-witness/{index}/{}", signer.keyid().get(..16).unwrap_or_default());
    // Another kind than a log's: what it signs can never be taken for a log's own word.
    NoteSigner::new(&name, KeyKind::Cosigner, signer)
}

/// Answers a request to `add-checkpoint`: the line to be sent, or why not. What anybody can repeat, as checkpoints are public, costs
/// no transaction that writes.
///
/// # Errors
/// When the ledger cannot be written, or the key is not at hand.
pub async fn add_checkpoint(
    installation: &Installation,
    index: &IndexName,
    request: &[u8],
) -> Result<std::result::Result<String, Refusal>> {
    let logs = &installation.settings.watched;
    let request = match AddCheckpoint::parse(request) {
        Ok(request) if !logs.is_empty() => request,
        Ok(_) => return Ok(Err(Refusal::UnknownLog)),
        Err(refusal) => return Ok(Err(refusal)),
    };
    // Strangers do not reach the ledger.
    if let Err(refusal @ (Refusal::UnknownLog | Refusal::NotTheLog | Refusal::Malformed)) =
        consider(&request, logs, |_| None)
    {
        return Ok(Err(refusal));
    }
    let mut tx = installation.store.read().await?;
    let index_id = indexes::named(&mut tx, index).await?.id;
    let seen = seen(&mut tx, logs).await?;
    drop(tx);
    let consistent = match consider(&request, logs, |origin| seen.get(origin).copied()) {
        Ok(consistent) if seen.get(consistent.origin()) == Some(&consistent.head()) => Ok(consistent),
        Ok(_) => remember(installation, index_id, &request).await?,
        Err(refusal) => Err(refusal),
    };
    let consistent = match consistent {
        Ok(consistent) => consistent,
        Err(refusal) => {
            if let Refusal::Conflict { forked: true, size } = refusal {
                tracing::error!(size, "a watched log shows two pasts: it was not cosigned; keep what it submitted");
            }
            return Ok(Err(refusal));
        }
    };
    let signer = kept_signer(installation, index).await?;
    let seconds = installation.clock.now_us().div_euclid(1_000_000).cast_unsigned();
    let line = consistent.cosign(seconds, &*signer).map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok(Ok(format!("{line}\n")))
}

/// Commits a tree that only grew, before it is cosigned. Nobody gets in between this look and that write.
async fn remember(
    installation: &Installation,
    index_id: i64,
    request: &AddCheckpoint,
) -> Result<std::result::Result<Consistent, Refusal>> {
    let logs = &installation.settings.watched;
    let mut tx = installation.store.write().await?;
    let seen = seen(&mut tx, logs).await?;
    let consistent = match consider(request, logs, |origin| seen.get(origin).copied()) {
        Ok(consistent) => consistent,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (head, origin) = (consistent.head(), consistent.origin().as_str());
    let now_us = installation.clock.now_us();
    rows::saw(&mut tx, index_id, origin, head.size.cast_signed(), &head.root.to_hex(), now_us);
    tx.commit().await?;
    failpoint::reach("log.witnessed");
    Ok(Ok(consistent))
}

/// The trees of the watched logs that were cosigned last, by whichever index: a server has one memory. If each of its
/// indexes had its own, a log could show one past to each, and have both cosigned here.
async fn seen(tx: &mut Tx, logs: &[Watched]) -> Result<BTreeMap<Origin, TreeHead>> {
    let mut seen = BTreeMap::new();
    for log in logs {
        if let Some((size, root)) = rows::seen(tx, log.origin.as_str()).await? {
            let root = Hash::from_hex(&root).ok_or_else(|| broken("a witnessed root cannot be read"))?;
            seen.insert(log.origin.clone(), TreeHead { size: size.cast_unsigned(), root });
        }
    }
    Ok(seen)
}

/// The key that others know this witness by; made at the first question, and never again by itself.
async fn signer(installation: &Installation, index: &IndexName) -> Result<NoteSigner> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    // Kept in the log's row.
    rows::log(&mut tx, row.id).await?.ok_or_else(|| Error::Unavailable("The log has not begun yet.".into()))?;
    let known = rows::witness_key(&mut tx, row.id).await?;
    drop(tx);
    if let Some(known) = known {
        let signer = held(installation, index, &known).await?.ok_or_else(|| {
            Error::Unavailable(format!(
                "the key by which '{index}' witnesses other logs is not in {}; bring it back from a backup, or make another \
                 one with `tidewaiter log keys --new-witness` and tell everybody who counts on it",
                installation.signing_keys.of(index).display()
            ))
        })?;
        return named(index, signer);
    }
    let signer = made(installation, index).await?;
    let mut tx = installation.store.write().await?;
    // Where another node was first, the next question finds its key.
    rows::set_witness_key(&mut tx, row.id, None, &signer.key.to_string());
    tx.commit().await?;
    Ok(signer)
}

/// The witness's key, opened once: a sealed one takes memory and time.
async fn kept_signer(installation: &Installation, index: &IndexName) -> Result<Arc<NoteSigner>> {
    let mut kept = installation.witnesses.lock().await;
    if let Some(signer) = kept.get(index) {
        return Ok(Arc::clone(signer));
    }
    let signer = Arc::new(signer(installation, index).await?);
    kept.insert(index.clone(), Arc::clone(&signer));
    Ok(signer)
}

/// The checkpoint in force of an index's log, to be shown to witnesses.
#[derive(Debug, Clone)]
pub struct Shown {
    origin: String,
    note: Note,
    size: u64,
}

impl Shown {
    /// Entries of its tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Puts a witness's answer below the checkpoint; false when nothing in it is that witness's signature of it.
    pub fn take(&mut self, answer: &[u8], witness: &VerifierKey) -> bool {
        match take_cosignatures(self.note.clone(), answer, std::slice::from_ref(witness)) {
            Ok(note) if note != self.note => {
                self.note = note;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

/// What there is to be cosigned; nothing before the log has begun.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn shown(installation: &Installation, index: &IndexName) -> Result<Option<Shown>> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    let Some(log) = in_force(&mut tx, row.id).await? else { return Ok(None) };
    let Some(note) = &log.note else { return Ok(None) };
    let note = Note::parse(note.as_bytes()).map_err(broken)?;
    Ok(Some(Shown { origin: log.origin, note, size: log.size.cast_unsigned() }))
}

/// The request to a witness that last saw a tree of `old` entries.
///
/// # Errors
/// When the tiles are not there: the log has grown since, or they are being written.
pub async fn request(installation: &Installation, index: &IndexName, shown: &Shown, old: u64) -> Result<String> {
    let (blobs, index, shown) = (Arc::clone(&installation.blobs), index.clone(), shown.clone());
    let work = move || -> Result<String> {
        let tiles = SiteTiles { blobs: &blobs, index: &index };
        let proof = match old {
            0 => Vec::new(),
            old => proof::prove_consistency(old, shown.size, &tiles).map_err(broken)?,
        };
        let request = AddCheckpoint::new(old, proof, shown.note).map_err(broken)?;
        Ok(request.to_string())
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(error.to_string()))?
}

/// Keeps and serves a checkpoint with the signatures that witnesses gave. The one object of the site that is not the
/// publisher's: nothing names it, and each signature in it was verified.
///
/// # Errors
/// When it cannot be written.
pub async fn keep(installation: &Installation, index: &IndexName, shown: &Shown) -> Result<()> {
    let mut tx = installation.store.write().await?;
    let row = indexes::named(&mut tx, index).await?;
    let note = shown.note.to_string();
    rows::witnessed(&mut tx, row.id, &shown.origin, &note);
    tx.commit().await?;
    failpoint::reach("log.cosigned");
    put(&installation.blobs, &layout::log_witnessed(index), note.as_bytes())
}
