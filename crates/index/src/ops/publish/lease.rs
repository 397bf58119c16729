//! The lease under which one node publishes an index. It stands for half a minute, and what is signed may take longer: every
//! bin at a rotation, by a token or another process. Whoever works for long keeps it meanwhile, or two nodes would take it
//! from each other for ever.

use std::sync::Arc;
use std::time::Duration;

use crate::store::{Tx, publishing};
use crate::{Error, Installation, Result};

/// How long a lease stands, in microseconds, and how much of it must be left to write.
pub(super) const LEASE_US: i64 = 30_000_000;
pub(super) const LEASE_LEFT_US: i64 = 10_000_000;
/// How often it is looked after while something else is done.
const KEEP_EVERY: Duration = if cfg!(test) { Duration::from_millis(5) } else { Duration::from_secs(4) };

/// A lease that is held, for work that ends in a transaction of its own.
pub(in crate::ops) struct Lease {
    pub(super) installation: Arc<Installation>,
    pub(super) index_id: i64,
    pub(super) fence: i64,
    pub(super) until_us: i64,
    /// Whether the one writing transaction is open meanwhile: nobody can take it, and nobody can extend it but that one.
    pub(super) is_locked: bool,
}

impl Lease {
    /// For tests that sign without a publisher.
    #[cfg(test)]
    pub(in crate::ops) fn of_nobody(installation: &Arc<Installation>) -> Self {
        Self { installation: Arc::clone(installation), index_id: 0, fence: 0, until_us: 0, is_locked: true }
    }

    /// In a transaction: it must still be held, and stands anew.
    pub(in crate::ops) fn extend(&mut self, tx: &mut Tx) {
        self.until_us = self.installation.clock.now_us() + LEASE_US;
        publishing::must_extend_lease(tx, self.index_id, self.fence, self.until_us);
    }

    /// Extends it when little of it is left.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another node has taken it.
    pub(in crate::ops) async fn keep(&mut self) -> Result<()> {
        let now = self.installation.clock.now_us();
        if self.is_locked || now + LEASE_LEFT_US < self.until_us {
            return Ok(());
        }
        let mut tx = self.installation.store.write().await?;
        if !publishing::extend_lease(&mut tx, self.index_id, self.fence, now + LEASE_US).await? {
            return Err(Error::Unavailable("another node publishes this index now".into()));
        }
        tx.commit().await?;
        self.until_us = now + LEASE_US;
        Ok(())
    }

    /// Does this off the async threads, however long it takes, and keeps the lease meanwhile. Where that fails, the work goes on
    /// and its outcome is dropped: nothing names what it wrote.
    ///
    /// # Errors
    /// As [`Self::keep`], and those of `work`.
    pub(in crate::ops) async fn kept_while<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut done = tokio::task::spawn_blocking(work);
        loop {
            self.keep().await?;
            if let Ok(done) = tokio::time::timeout(KEEP_EVERY, &mut done).await {
                return done.map_err(|e| Error::Internal(e.to_string()))?;
            }
        }
    }
}
