//! The background: one inspection loop and one publisher for each index. Woken at once; a slow poll catches lost
//! wake-ups, expired leases and other nodes' work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::inspect::{self, GATHER, Inspector};
use super::publish::{self, Behind, Left, Publisher};
use super::verdicts;
use crate::Installation;
use crate::blobs::layout;
use crate::store::jobs::{self, JobKind};

/// How often a loop looks although nobody woke it.
const POLL: Duration = Duration::from_secs(1);
/// How long a stop waits for inspections that are under way.
const ENDING: Duration = Duration::from_secs(5);
/// Most projects that are rendered again in one set of changes.
const AGAIN_MOST: i64 = 64;
/// Longest that a job waits for others while uploads keep coming and nobody waits (ADR 0020).
const GATHER_MOST: Duration = Duration::from_millis(900);
/// Pause after a failure.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// Runs everything until `stop` turns true; then finishes what is owed.
pub async fn run(installation: Arc<Installation>, mut stop: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    let (of, ends) = (Arc::clone(&installation), stop.clone());
    tasks.spawn(kept_alive("inspection", stop.clone(), move || inspections(Arc::clone(&of), ends.clone())));
    let (of, ends) = (Arc::clone(&installation), stop.clone());
    tasks.spawn(kept_alive("re-inspection", stop.clone(), move || reinspections(Arc::clone(&of), ends.clone())));
    let (of, ends) = (Arc::clone(&installation), stop.clone());
    tasks.spawn(kept_alive("revocations", stop.clone(), move || revocations(Arc::clone(&of), ends.clone())));
    let mut running = BTreeSet::new();
    while !*stop.borrow() {
        match super::indexes::list(&installation).await {
            Ok(rows) => {
                for row in rows {
                    if running.insert(row.id) {
                        let (installation, stop) = (Arc::clone(&installation), stop.clone());
                        tasks.spawn(kept_alive("publisher", stop.clone(), move || {
                            let publisher = Publisher::new(Arc::clone(&installation), row.id, row.name());
                            publish(Arc::clone(&installation), publisher, stop.clone())
                        }));
                    }
                }
            }
            Err(error) => tracing::error!(%error, "cannot list the indexes"),
        }
        tokio::select! {
            () = installation.indexes_wake.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }
    tasks.join_all().await;
}

/// Brings the store in line with the ledger after a crash: as [`take_over`], and founds what is not founded.
///
/// # Errors
/// When ledger or blob store fail; nothing may be served then.
pub async fn recover(installation: &Arc<Installation>) -> crate::Result<()> {
    take_over(installation).await?.found().await
}

/// What [`take_over`] leaves: the publishers of every index, of which some may have nothing yet that signs.
pub struct TakenOver {
    installation: Arc<Installation>,
    publishers: Vec<Publisher>,
}

impl TakenOver {
    /// Founds signatures and log of each index that has none. Until it returns, [`Installation::until_founded`] waits.
    ///
    /// # Errors
    /// When ledger, blob store or the keys fail.
    pub async fn found(mut self) -> crate::Result<()> {
        for publisher in self.publishers.iter_mut().filter(|publisher| publisher.is_to_be_founded()) {
            super::indexes::prepare(&self.installation, publisher.index()).await?;
            publisher.found_missing().await?;
        }
        self.installation.founded.send_replace(true);
        Ok(())
    }
}

/// What must be done before anything is served: half-received uploads and bytes that no row knows are swept, committed
/// publications are written to their end. A new index has its empty list after this; its founding signs a thousand bins
/// and more, and readers need not wait for that.
///
/// # Errors
/// When ledger or blob store fail; nothing may be served then.
pub async fn take_over(installation: &Arc<Installation>) -> crate::Result<TakenOver> {
    let rows = super::indexes::list(installation).await?;
    let names: Vec<_> = rows.iter().map(crate::store::indexes::IndexRow::name).collect();
    let blobs = Arc::clone(&installation.blobs);
    let listed = tokio::task::spawn_blocking(move || -> std::io::Result<_> {
        blobs.sweep(&names)?;
        names
            .iter()
            .map(|name| Ok((name.clone(), blobs.list(&layout::vault(name))?)))
            .collect::<std::io::Result<Vec<_>>>()
    });
    let listed = listed.await.map_err(|e| crate::Error::Internal(e.to_string()))??;
    for (row, (name, keys)) in rows.iter().zip(listed) {
        let mut tx = installation.store.read().await?;
        for key in keys {
            let Some((sha256, filename)) = layout::parse_vault_file(&name, &key) else { continue };
            if !crate::store::files::is_known(&mut tx, row.id, &sha256, &filename).await? {
                tracing::info!(filename, "swept: its upload was never answered");
                installation.blobs.delete(&key)?;
            }
        }
    }
    // A killed inspection keeps its lease, and its file would wait for the lease's end. Where another node really is at
    // work on it, it is inspected twice: the second verdict finds it judged and changes nothing.
    let mut tx = installation.store.write().await?;
    jobs::release_all(&mut tx, JobKind::Inspect);
    jobs::release_all(&mut tx, JobKind::Status);
    tx.commit().await?;
    let mut publishers = Vec::with_capacity(rows.len());
    for row in rows {
        let mut publisher = Publisher::new(Arc::clone(installation), row.id, row.name());
        publisher.repair().await?;
        publishers.push(publisher);
    }
    if publishers.iter().any(Publisher::is_to_be_founded) {
        installation.founded.send_replace(false);
    }
    Ok(TakenOver { installation: Arc::clone(installation), publishers })
}

/// Writes committed publications to their end and publishes what is ready: before a rebuild.
///
/// # Errors
/// When ledger or blob store fail.
pub async fn drain_publications(installation: &Arc<Installation>) -> crate::Result<()> {
    for row in super::indexes::list(installation).await? {
        let mut publisher = Publisher::new(Arc::clone(installation), row.id, row.name());
        if publisher.run_ready().await? {
            publisher.stop().await?;
        }
    }
    Ok(())
}

/// Has all pages that another version of this program made rendered by this one: before a rebuild, which can make those
/// of its own version alone. Pages that name another address are made of what the ledger keeps, and stay as they are.
///
/// # Errors
/// When ledger or blob store fail.
pub async fn finish_rendering(installation: &Arc<Installation>) -> crate::Result<()> {
    for row in super::indexes::list(installation).await? {
        let mut publisher = Publisher::new(Arc::clone(installation), row.id, row.name());
        if publisher.run_ready().await? {
            while publisher.render_some_again(Behind::Version, AGAIN_MOST).await? {}
            publisher.stop().await?;
        }
    }
    Ok(())
}

/// What is yet to be rendered again, of each index where something is.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn behind(installation: &Installation) -> crate::Result<Vec<Left>> {
    let mut out = Vec::new();
    for row in super::indexes::list(installation).await? {
        out.push(publish::left(installation, row.id, row.name()).await?);
    }
    out.retain(|left| left.version > 0 || left.address > 0);
    Ok(out)
}

/// Does everything that is ready, once, without loops: for commands that work on a ledger that nobody serves. What
/// waits for an inspection goes on waiting: there is no sandbox here.
///
/// # Errors
/// What the publisher or an inspection could not do; it stays in the ledger as jobs.
pub async fn drain(installation: &Arc<Installation>) -> crate::Result<()> {
    recover(installation).await?;
    drain_publications(installation).await
}

/// Runs a loop, and begins it anew when it panics: a bug that one file brings out must not silently stop the
/// publication of all others. What it was doing is still in the ledger.
async fn kept_alive<F: Future<Output = ()> + Send + 'static>(
    what: &'static str,
    stop: watch::Receiver<bool>,
    begin: impl Fn() -> F + Send + 'static,
) {
    while let Err(error) = tokio::spawn(begin()).await {
        tracing::error!(what, %error, "a background loop broke off; it is begun anew");
        if *stop.borrow() {
            return;
        }
        tokio::time::sleep(AFTER_ERROR).await;
    }
}

async fn inspections(installation: Arc<Installation>, mut stop: watch::Receiver<bool>) {
    let mut inspector = Inspector::new(Arc::clone(&installation));
    let mut slow = tokio::time::interval(POLL);
    slow.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // When jobs are taken next, and since when the first of those that are gathered waits.
    let mut fill_at = Some(Instant::now());
    let mut gathered_since: Option<Instant> = None;
    while !*stop.borrow() {
        let step = async {
            if fill_at.is_some_and(|at| at <= Instant::now() || installation.somebody_waits()) {
                (fill_at, gathered_since) = (None, None);
                inspector.fill().await?;
            }
            let due = async { tokio::time::sleep_until(fill_at.unwrap_or_else(Instant::now)).await };
            tokio::select! {
                Some(ready) = inspector.next() => {
                    inspector.conclude(ready).await?;
                    if inspector.left_some() {
                        fill_at = Some(Instant::now());
                    }
                }
                () = installation.inspect_wake.notified() => {
                    let now = Instant::now();
                    let most = *gathered_since.get_or_insert(now) + GATHER_MOST;
                    if fill_at.is_none_or(|at| at > now) {
                        fill_at = Some((now + GATHER).min(most));
                    }
                }
                () = due, if fill_at.is_some() => {}
                _ = slow.tick() => {
                    inspect::overdue(&installation).await?;
                    if gathered_since.is_none() {
                        fill_at = Some(Instant::now());
                    }
                }
                _ = stop.changed() => {}
            }
            Ok::<(), crate::Error>(())
        };
        if let Err(error) = step.await {
            tracing::error!(%error, "inspection failed");
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
    // What is under way may end; what takes longer is begun again by the next start.
    let ending = async {
        while let Some(ready) = inspector.next().await {
            if let Err(error) = inspector.conclude(ready).await {
                tracing::error!(%error, "inspection failed");
            }
        }
    };
    let _ = tokio::time::timeout(ENDING, ending).await;
}

async fn reinspections(installation: Arc<Installation>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let step = async {
            verdicts::reinspect_when_due(&installation).await?;
            let changed = verdicts::reinspect_changed(&installation).await?;
            Ok::<_, crate::Error>(changed + verdicts::reinspect_some(&installation).await?)
        };
        match step.await {
            Ok(0) => tokio::select! {
                () = installation.again_wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                _ = stop.changed() => {}
            },
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "a second inspection failed");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Renders a few projects again that are behind; false when there are none.
async fn render_some_again(publisher: &mut Publisher) -> crate::Result<bool> {
    Ok(publisher.render_some_again(Behind::Version, AGAIN_MOST).await?
        || publisher.render_some_again(Behind::Address, AGAIN_MOST).await?)
}

async fn publish(installation: Arc<Installation>, mut publisher: Publisher, mut stop: watch::Receiver<bool>) {
    let mut wake = installation.publish_wake.subscribe();
    while !*stop.borrow() {
        wake.mark_unchanged();
        let step = async {
            let publishes = publisher.run_ready().await?;
            // Only when nobody's change waits.
            Ok::<_, crate::Error>(publishes && render_some_again(&mut publisher).await?)
        };
        match step.await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "publishing failed; it will be repeated");
                publisher.forget_lease();
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            }
        }
        let pause = publisher.next_due().unwrap_or(POLL).min(POLL);
        tokio::select! {
            _ = wake.changed() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => {}
        }
    }
    if let Err(error) = publisher.stop().await {
        tracing::error!(%error, "the publisher did not stop in order; the next start repairs it");
    }
}

async fn revocations(installation: Arc<Installation>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = installation.refresh_revocations().await {
            tracing::error!(%error, "cannot read the revocations");
        }
        installation.probe_confinement().await;
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// What there is to do in the background: kind, `waiting`, `running` or `dead`, count.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn queue(installation: &Installation) -> crate::Result<Vec<(String, &'static str, i64)>> {
    let mut tx = installation.store.read().await?;
    let rows = jobs::depth(&mut tx, installation.clock.now_us()).await?;
    let state = |dead: bool, running: bool| match (dead, running) {
        (true, _) => "dead",
        (false, true) => "running",
        (false, false) => "waiting",
    };
    Ok(rows.into_iter().map(|(kind, dead, running, count)| (kind, state(dead, running), count)).collect())
}
