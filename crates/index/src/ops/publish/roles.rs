//! The publisher's work on roles beside its sets: founding, taking over what people signed, sweeping.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::signing::{self, InForce, Signing};
use super::super::site::sweep;
use super::{LEASE_US, Publisher, Record, site_path};
use crate::blobs::layout;
use crate::store::{self, Tx, indexes, publishing};
use crate::{Error, Publication, Result, failpoint};

/// How often superseded objects are looked for, and how many are taken away at once.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_MOST: i64 = 1_000;

impl Publisher {
    /// Founds the repository, and writes the roles by which clients begin.
    pub(super) async fn found(&mut self) -> Result<()> {
        let (index_id, fence) = (self.index_id, self.fence);
        let lease = move |tx: &mut Tx, now_us: i64| {
            publishing::must_extend_lease(tx, index_id, fence, now_us + LEASE_US);
        };
        signing::found(&self.installation, index_id, &self.index, lease).await?;
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

    /// Takes over offline roles that people signed: a commit of its own, before the next set.
    pub(super) async fn adopt_if_pending(&mut self) -> Result<()> {
        let mut tx = self.installation.store.read().await?;
        let Some(row) = store::signing::repository(&mut tx, self.index_id).await? else { return Ok(()) };
        let Some(pending) = Signing::pending(&row)? else { return Ok(()) };
        let Some(in_force) = InForce::read(&mut tx, self.index_id, &self.index).await? else { return Ok(()) };
        let serial = indexes::by_id(&mut tx, self.index_id).await?.serial + 1;
        let adopted = signing::adopt(&self.installation, &mut tx, &in_force, pending).await?;
        drop(tx);
        let now = self.installation.clock.now_us();
        let mut tx = self.installation.store.write().await?;
        publishing::must_extend_lease(&mut tx, self.index_id, self.fence, now + LEASE_US);
        publishing::next_serial(&mut tx, self.index_id, serial);
        adopted.store(&mut tx, self.index_id, now);
        let timestamp = site_path(&self.index, layout::role(&self.index, "timestamp", 0).as_str());
        let record = Record { moves: vec![], projects: vec![], paths: vec![timestamp], bins: vec![] };
        let text = serde_json::to_string(&record).map_err(|e| Error::Internal(e.to_string()))?;
        publishing::insert_commit(&mut tx, self.index_id, serial, now, &text);
        tx.commit().await?;
        failpoint::reach("adopt.committed");
        self.lease_until_us = now + LEASE_US;
        self.remember(serial, &[], record.paths.clone());
        let mut tx = self.installation.store.read().await?;
        let in_force = InForce::read(&mut tx, self.index_id, &self.index).await?;
        drop(tx);
        let roles = in_force.as_ref().map(InForce::top).transpose()?.unwrap_or_default();
        self.signing = in_force.map(Signing::new).transpose()?;
        let news = Publication { index: self.index.clone(), serial, paths: record.paths, files: vec![], jobs: vec![] };
        self.write(news, vec![], vec![], roles, true).await
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
