//! The publisher's work on roles beside its sets: founding, taking over what people signed, sweeping.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::log;
use super::super::signing::{self, InForce, Pending, Signing};
use super::super::site::sweep;
use super::{LEASE_US, Publisher, Record, site_path};
use crate::blobs::layout;
use crate::store::{self, audit, indexes, publishing};
use crate::{Error, Publication, Result, failpoint};

/// How often superseded objects are looked for, and how many are taken away at once.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_MOST: i64 = 1_000;

impl Publisher {
    /// Founds the repository, and writes the roles by which clients begin.
    pub(super) async fn found(&mut self) -> Result<()> {
        let (index_id, mut lease) = (self.index_id, self.lease(false));
        signing::found(&self.installation, index_id, &self.index, &mut lease).await?;
        self.lease_until_us = lease.until_us;
        let mut tx = self.installation.store.read().await?;
        let in_force = InForce::read(&mut tx, index_id, &self.index).await?;
        drop(tx);
        if let Some(in_force) = in_force {
            let (blobs, roles) = (Arc::clone(&self.installation.blobs), in_force.top()?);
            let work = move || roles.write_files(&blobs).and_then(|()| roles.write_timestamp(&blobs));
            tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))??;
            self.signing = Some(Signing::new(in_force)?);
        }
        Ok(())
    }

    /// Writes the bins of the last commit that were too many to be held: as a replay would.
    pub(super) async fn write_late(&self, bins: &[u32]) -> Result<()> {
        if bins.is_empty() {
            return Ok(());
        }
        let mut tx = self.installation.store.read().await?;
        let in_force = InForce::read(&mut tx, self.index_id, &self.index).await?;
        let in_force = in_force.ok_or_else(|| Error::Internal("nothing was founded".into()))?;
        in_force.write_bins(&mut tx, bins.iter().copied(), &self.installation.blobs).await
    }

    /// Founds the log, if there is none yet. Where the repository was founded before, the first checkpoint and the timestamp
    /// that names it are a commit of their own.
    pub(super) async fn found_log(&mut self) -> Result<()> {
        if self.log.is_some() {
            return Ok(());
        }
        if let Some(signing) = &mut self.signing
            && !signing.has_keys(&self.installation, false).await?
        {
            return Ok(());
        }
        let (index_id, mut lease) = (self.index_id, self.lease(false));
        log::begin(&self.installation, index_id, &self.index, &mut lease).await?;
        let mut tx = self.installation.store.read().await?;
        let row = log::sign_first(&self.installation, &mut tx, index_id, &self.index).await?;
        failpoint::reach("log.signed");
        let now = self.installation.clock.now_us();
        let signed = match &self.signing {
            None => None,
            Some(signing) => Some(signing.sign(&mut tx, vec![], None, now, row.extra(), &mut lease).await?),
        };
        let serial = indexes::by_id(&mut tx, index_id).await?.serial + 1;
        drop(tx);
        let mut tx = self.installation.store.write().await?;
        lease.extend(&mut tx);
        store::log::grow(&mut tx, index_id, 0, row.size, &row.root, row.note.as_deref().unwrap_or_default());
        let detail = serde_json::json!({ "entries": row.size, "origin": row.origin });
        audit::note(&mut tx, Some(index_id), now, "publisher", "log.found", self.index.as_str(), detail);
        let paths = self.head_paths(true);
        if let Some(signed) = &signed {
            publishing::next_serial(&mut tx, index_id, serial);
            signed.store(&mut tx, index_id, now);
            let record = Record { moves: vec![], projects: vec![], paths: paths.clone(), bins: vec![], log_from: None };
            let text = serde_json::to_string(&record).map_err(|e| Error::Internal(e.to_string()))?;
            publishing::insert_commit(&mut tx, index_id, serial, now, &text);
        }
        tx.commit().await?;
        self.lease_until_us = lease.until_us;
        failpoint::reach("log.founded");
        tracing::info!(index = %self.index, entries = row.size, "what is done to the index is logged from now on");
        let mut tx = self.installation.store.read().await?;
        let book = log::Book::open(&self.installation, &mut tx, index_id, &self.index, None).await?;
        drop(tx);
        self.log = book.map(|(book, _)| book);
        let (Some(signed), Some(signing)) = (signed, &mut self.signing) else { return Ok(()) };
        let roles = signed.roles(&self.index);
        signing.apply(signed)?;
        self.remember(serial, &[], paths.clone());
        let news = Publication { index: self.index.clone(), serial, paths, files: vec![], jobs: vec![] };
        self.write(news, vec![], Default::default(), roles, true).await
    }

    /// What changes under its name with every set: the timestamp, and the log's checkpoint where it grew.
    pub(super) fn head_paths(&self, is_logged: bool) -> Vec<String> {
        let timestamp = layout::role(&self.index, "timestamp", 0);
        let keys = [Some(timestamp), is_logged.then(|| layout::log_checkpoint(&self.index))];
        keys.iter().flatten().map(|key| site_path(&self.index, key.as_str())).collect()
    }

    /// Takes over offline roles that people signed. What can never be is put aside with its reason, so that the next
    /// change can go on.
    pub(super) async fn adopt_if_pending(&mut self) -> Result<()> {
        let mut tx = self.installation.store.read().await?;
        let Some(row) = store::signing::repository(&mut tx, self.index_id).await? else { return Ok(()) };
        let Some(pending) = Signing::pending(&row)?.filter(|pending| pending.refused.is_none()) else { return Ok(()) };
        drop(tx);
        let Err(error) = self.adopt(pending.clone()).await else { return Ok(()) };
        let now = self.installation.clock.now_us();
        let Some(old) = row.pending.filter(|_| pending.is_hopeless(&error, now)) else { return Err(error) };
        let (reason, actor) = (error.to_string(), pending.actor.clone());
        let refused = Pending { refused: Some(reason.clone()), ..pending };
        let text = serde_json::to_string(&refused).map_err(|e| Error::Internal(e.to_string()))?;
        let mut tx = self.installation.store.write().await?;
        publishing::must_extend_lease(&mut tx, self.index_id, self.fence, now + LEASE_US);
        store::signing::replace_pending(&mut tx, self.index_id, &text, &old);
        let detail = serde_json::json!({ "reason": reason });
        audit::note(&mut tx, Some(self.index_id), now, &actor, "tuf.put_aside", self.index.as_str(), detail);
        tx.commit().await?;
        self.lease_until_us = now + LEASE_US;
        Err(error)
    }

    /// A commit of its own, before the next set.
    async fn adopt(&mut self, pending: Pending) -> Result<()> {
        let mut tx = self.installation.store.read().await?;
        let Some(in_force) = InForce::read(&mut tx, self.index_id, &self.index).await? else { return Ok(()) };
        let serial = indexes::by_id(&mut tx, self.index_id).await?.serial + 1;
        let mut lease = self.lease(false);
        let adopted = signing::adopt(&self.installation, &mut tx, &in_force, pending, &mut lease).await?;
        drop(tx);
        let now = self.installation.clock.now_us();
        let mut tx = self.installation.store.write().await?;
        lease.extend(&mut tx);
        publishing::next_serial(&mut tx, self.index_id, serial);
        adopted.store(&mut tx, self.index_id, now);
        let paths = self.head_paths(adopted.renames_log());
        let record = Record { moves: vec![], projects: vec![], paths, bins: vec![], log_from: None };
        let text = serde_json::to_string(&record).map_err(|e| Error::Internal(e.to_string()))?;
        publishing::insert_commit(&mut tx, self.index_id, serial, now, &text);
        tx.commit().await?;
        failpoint::reach("adopt.committed");
        self.lease_until_us = lease.until_us;
        self.remember(serial, &[], record.paths.clone());
        let mut tx = self.installation.store.read().await?;
        let in_force = InForce::read(&mut tx, self.index_id, &self.index).await?;
        if adopted.renames_log() {
            let book = log::Book::open(&self.installation, &mut tx, self.index_id, &self.index, None).await?;
            self.log = book.map(|(book, _)| book);
        }
        drop(tx);
        let roles = in_force.as_ref().map(InForce::top).transpose()?.unwrap_or_default();
        self.signing = in_force.map(Signing::new).transpose()?;
        let news = Publication { index: self.index.clone(), serial, paths: record.paths, files: vec![], jobs: vec![] };
        self.write(news, vec![], Default::default(), roles, true).await
    }

    /// Takes away what was superseded long enough ago.
    pub(super) async fn sweep_if_due(&mut self) -> Result<()> {
        if self.swept.is_some_and(|at| at.elapsed() < SWEEP_EVERY) {
            return Ok(());
        }
        let settings = &self.installation.settings;
        let kept_us = i64::try_from(settings.superseded_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let before = self.installation.clock.now_us().saturating_sub(kept_us);
        loop {
            let mut tx = self.installation.store.read().await?;
            let old = store::signing::superseded(&mut tx, self.index_id, before, SWEEP_MOST).await?;
            drop(tx);
            if old.is_empty() {
                break;
            }
            let (blobs, index, paths) = (Arc::clone(&self.installation.blobs), self.index.clone(), old.clone());
            let work = move || sweep(&blobs, &index, &paths);
            tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))??;
            let mut tx = self.installation.store.write().await?;
            for path in &old {
                store::signing::forget_superseded(&mut tx, self.index_id, path);
            }
            tx.commit().await?;
        }
        self.swept = Some(Instant::now());
        Ok(())
    }
}
