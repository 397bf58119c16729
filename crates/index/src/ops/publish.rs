//! The publisher: from wanted state to the site.
//!
//! One per index, by a lease whose fence rises with every holder. It takes everything that is ready as one set
//! of changes.
//!
//! 1. One snapshot of the ledger, without the write lock; render with the next serial, and sign ([`Signing::sign`]).
//! 2. **Commit 2**: fence, serial and the change counter of every rendered project are checked; published state
//!    and the redo record are stored. If a project moved meanwhile: again from 1.
//! 3. Write the site ([`write_pages`], [`write_head`]): bytes into the site; write-once objects and roles; pages; the timestamp; the
//!    head, last; then bytes that nobody may see any more leave the site.
//! 4. A checkpoint syncs the site, beside later sets, and moves `written_serial`; redo records up to there are no longer
//!    needed.
//!
//! A crash before 2 leaves nothing: the jobs are still there. A crash after 2 leaves a redo record after
//! `written_serial`: [`Publisher::recover`] renders the same pages from published state and writes them by the same code.
//! Each of its steps may be repeated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use packaging::ProjectStatus;
use packaging::simple::{self, ListEntry};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::log::{self, Appended, Book};
use super::signing::{InForce, Roles, SignedSet, Signing};
use super::site::{Move, Writing, put_all, write_head, write_pages};
use crate::blobs::layout;
use crate::failpoint;
use crate::model::IndexName;
use crate::render::{self, Object, ProjectView, RENDER_VERSION};
use crate::store::jobs::JobKind;
use crate::store::projects::ProjectRow;
use crate::store::publishing;
use crate::store::{Tx, files, indexes, jobs, projects};
use crate::{Error, Installation, News, Publication, Result};

mod again;
mod beside;
mod change;
mod lease;
mod pieces;
mod roles;

use again::Walk;
pub(super) use again::{Behind, Left, left};
use beside::beside;
use change::{ProjectChange, changes_of};
pub(in crate::ops) use lease::Lease;
use lease::{LEASE_LEFT_US, LEASE_US};
pub(super) use pieces::Pieces;

/// Most projects in one set of changes.
const SET_PROJECTS_MAX: usize = 256;
/// Most publish jobs looked at for one set.
const SET_JOBS_MAX: i64 = 10_000;
/// After this many sets that were overtaken, the next is rendered under the write lock.
const OVERTAKEN_MAX: u32 = 3;
/// How many recent serials the head names.
pub(super) const HEAD_SERIALS: usize = 32;
/// Longest that a written set waits for its checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// The list of projects is written at most this often; with many projects, seldom.
const LIST_EVERY: Duration = Duration::from_millis(250);
const LIST_EVERY_LARGE: Duration = Duration::from_secs(5);
const LARGE_LIST: usize = 10_000;

/// What commit 2 decided, as far as published state alone cannot tell it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    /// Files that change zones.
    moves: Vec<Move>,
    /// Rendered projects and the releases whose pages are among them.
    projects: Vec<Rendered>,
    /// Site paths to be written, for the head.
    paths: Vec<String>,
    /// Bins that were signed.
    #[serde(default)]
    bins: Vec<u32>,
    /// Entries of the log before this commit, where it appended some.
    #[serde(default)]
    log_from: Option<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rendered {
    project: i64,
    releases: BTreeSet<String>,
}

/// One index's publisher.
pub(super) struct Publisher {
    installation: Arc<Installation>,
    index_id: i64,
    index: IndexName,
    fence: i64,
    lease_until_us: i64,
    recent: VecDeque<(i64, Vec<String>)>,
    list: Option<BTreeMap<String, ListEntry>>,
    list_dirty: bool,
    list_written: Option<Instant>,
    unsynced: Option<(i64, Instant)>,
    /// A sync of everything up to a serial, which goes on beside later sets: it waits for whatever else the machine writes.
    syncing: Option<(i64, oneshot::Receiver<std::io::Result<()>>)>,
    signing: Option<Signing>,
    log: Option<Book>,
    /// Whether [`Self::found_missing`] has nothing to do under this lease.
    founded: bool,
    swept: Option<Instant>,
    walk: Walk,
    /// Projects that another version of this program committed and did not come to write: every set has them, until one
    /// is written.
    owed: BTreeSet<i64>,
}

impl Publisher {
    /// A publisher without a lease yet.
    pub(super) fn new(installation: Arc<Installation>, index_id: i64, index: IndexName) -> Self {
        Self {
            installation,
            index_id,
            index,
            fence: 0,
            lease_until_us: 0,
            recent: VecDeque::new(),
            list: None,
            list_dirty: true,
            list_written: None,
            unsynced: None,
            syncing: None,
            signing: None,
            log: None,
            founded: false,
            swept: None,
            walk: Walk::ended(),
            owed: BTreeSet::new(),
        }
    }

    /// Whose it is.
    pub(super) fn index(&self) -> &IndexName {
        &self.index
    }

    /// Publishes until there is nothing to do; true when this node holds the lease.
    pub(super) async fn run_ready(&mut self) -> Result<bool> {
        if !self.hold_lease().await? {
            return Ok(false);
        }
        if let Err(error) = self.adopt_if_pending().await {
            // What is in force stays in force; people see in `tuf status` that something waits.
            tracing::error!(%error, "the new offline roles are not taken over");
        }
        let mut overtaken = 0;
        loop {
            // Before a set, so that whoever hears that the first release of a new index is published finds its list.
            self.write_list_if_due().await?;
            match self.publish_set(overtaken >= OVERTAKEN_MAX, &[]).await? {
                Set::Nothing => break,
                Set::Published => overtaken = 0,
                Set::Overtaken => overtaken += 1,
            }
            self.checkpoint_if_due(false).await?;
        }
        self.checkpoint_if_due(false).await?;
        self.sweep_if_due().await?;
        Ok(true)
    }

    /// Finishes committed publications, if this node can have the lease. The worker that comes after takes the
    /// lease again: it is this node's.
    pub(super) async fn repair(&mut self) -> Result<()> {
        if self.take_up().await? {
            if !self.owed.is_empty() {
                self.publish_set(true, &[]).await?;
            }
            if !self.list_is_current().await? {
                self.write_list().await?;
            }
            if !self.is_to_be_founded() {
                // Before a founding nothing waits for a sync of everything; the worker that comes after sees to it.
                self.checkpoint_if_due(true).await?;
            }
        }
        Ok(())
    }

    /// Whether the list in the site carries the index's serial: then it need not be made again at a start.
    async fn list_is_current(&self) -> Result<bool> {
        let mut tx = self.installation.store.read().await?;
        let serial = indexes::by_id(&mut tx, self.index_id).await?.serial;
        let carried = |form| {
            let page = self.installation.blobs.get(&layout::list(&self.index, form))?;
            Ok::<_, std::io::Error>(page.and_then(|page| simple::last_serial(&page)))
        };
        let is_ours = publishing::list_version(&mut tx, self.index_id).await? == RENDER_VERSION;
        Ok(is_ours && carried("json")? == Some(serial) && carried("html")? == Some(serial))
    }

    /// After a failure: the next run takes the lease anew, and with it repairs what was left half-written.
    pub(super) fn forget_lease(&mut self) {
        self.fence = 0;
        self.unsynced = None;
        self.syncing = None;
        self.signing = None;
        self.log = None;
    }

    /// When something must be done although no job comes.
    pub(super) fn next_due(&self) -> Option<Duration> {
        if self.fence == 0 {
            // Another node publishes; what is owed is owed by it.
            return None;
        }
        // The end of a sync wakes by itself.
        let unsynced = self.unsynced.filter(|_| self.syncing.is_none());
        let checkpoint = unsynced.map(|(_, since)| CHECKPOINT_EVERY.saturating_sub(since.elapsed()));
        let list = self
            .list_dirty
            .then(|| self.list_written.map_or(Duration::ZERO, |at| self.list_every().saturating_sub(at.elapsed())));
        [checkpoint, list].into_iter().flatten().min()
    }

    /// Writes what is owed and gives the lease back: an orderly stop. A lease that was forgotten after a failure is taken
    /// once more for it; where another node publishes, what is owed is owed by it.
    pub(super) async fn stop(&mut self) -> Result<()> {
        if !self.hold_lease().await? {
            return Ok(());
        }
        if self.list_dirty {
            self.write_list().await?;
        }
        self.checkpoint_if_due(true).await?;
        let mut tx = self.installation.store.write().await?;
        publishing::release_lease(&mut tx, self.index_id, self.fence);
        tx.commit().await
    }

    /// Holds the lease of an index that is founded.
    async fn hold_lease(&mut self) -> Result<bool> {
        let held = self.take_up().await?;
        if held {
            self.found_missing().await?;
        }
        Ok(held)
    }

    /// Whether this node publishes an index that nothing signs, or nothing logs, as far as it was looked at.
    pub(super) fn is_to_be_founded(&self) -> bool {
        self.fence != 0 && !self.founded
    }

    /// Founds what signs the index, and what logs it, once for each time that the lease was taken. Without the key that
    /// founds a log there is none yet.
    pub(super) async fn found_missing(&mut self) -> Result<()> {
        if !self.is_to_be_founded() {
            return Ok(());
        }
        self.found_log().await?;
        if self.signing.is_none() {
            self.found().await?;
        }
        self.founded = true;
        Ok(())
    }

    /// Takes the lease, or extends it, and finishes what the previous holder began.
    async fn take_up(&mut self) -> Result<bool> {
        let now = self.installation.clock.now_us();
        if self.fence != 0 && now + LEASE_LEFT_US < self.lease_until_us {
            return Ok(true);
        }
        let mut tx = self.installation.store.write().await?;
        if self.fence != 0 && publishing::extend_lease(&mut tx, self.index_id, self.fence, now + LEASE_US).await? {
            tx.commit().await?;
            self.lease_until_us = now + LEASE_US;
            return Ok(true);
        }
        let taken =
            publishing::take_lease(&mut tx, self.index_id, &self.installation.node, now, now + LEASE_US).await?;
        tx.commit().await?;
        let Some(fence) = taken else {
            self.fence = 0;
            return Ok(false);
        };
        self.fence = fence;
        self.lease_until_us = now + LEASE_US;
        self.walk = Walk::begin();
        self.founded = false;
        self.recover().await?;
        self.founded = self.log.is_some() && self.signing.is_some();
        Ok(true)
    }

    /// The lease that is held, to be kept by what takes long; `is_locked`: under the one writing transaction.
    pub(super) fn lease(&self, is_locked: bool) -> Lease {
        let Self { installation, index_id, fence, lease_until_us, .. } = self;
        let (index_id, fence, until_us) = (*index_id, *fence, *lease_until_us);
        Lease { installation: Arc::clone(installation), index_id, fence, until_us, is_locked }
    }

    /// Extends the lease when little of it is left.
    async fn keep_lease(&mut self) -> Result<()> {
        let mut lease = self.lease(false);
        lease.keep().await?;
        self.lease_until_us = lease.until_us;
        Ok(())
    }

    /// Finishes what the previous holder committed but may not have written.
    async fn recover(&mut self) -> Result<()> {
        self.list_dirty = !self.list_is_current().await?;
        let mut tx = self.installation.store.read().await?;
        let index = indexes::by_id(&mut tx, self.index_id).await?;
        let from = index.written_serial.min(index.serial - HEAD_SERIALS as i64);
        let records = publishing::commits_after(&mut tx, self.index_id, from.max(0)).await?;
        let owed = self.take_records(records, index.written_serial)?;
        let (mut moves, mut paths, mut bins) = (Vec::new(), Vec::new(), BTreeSet::new());
        let log_from = owed.iter().filter_map(|record| record.log_from).min();
        let mut rendered: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
        for record in owed {
            paths.extend(record.paths);
            moves.extend(record.moves);
            bins.extend(record.bins);
            for one in record.projects {
                rendered.entry(one.project).or_default().extend(one.releases);
            }
        }
        let (mut objects, mut later) = (Vec::new(), Vec::new());
        self.owed.clear();
        for (project_id, releases) in &rendered {
            let row = projects::by_id(&mut tx, *project_id).await?;
            if row.published && row.render_version != RENDER_VERSION {
                self.owed.insert(*project_id);
            } else if row.published {
                let view = published_view(&mut tx, &self.index, &row).await?;
                let (own, left) = Pieces::of(view, releases.iter().cloned()).begin(&mut tx).await?;
                objects.extend(own);
                later.extend(left);
            }
        }
        // Published state decides where bytes belong now, whichever record moved them first.
        let mut standing = Vec::new();
        for one in moves {
            let file = files::by_id(&mut tx, one.file).await?;
            objects.extend(beside(&mut tx, &self.index, &file, file.published).await?);
            standing.push(Move { into_site: file.published, ..one });
        }
        let mut roles = Roles::default();
        let in_force = InForce::read(&mut tx, self.index_id, &self.index).await?;
        if let Some(in_force) = &in_force {
            roles = in_force.top()?;
            // Bins that were divided anew since have been signed since.
            let bins = bins.into_iter().filter(|bin| *bin < in_force.count());
            in_force.write_bins(&mut tx, bins, &self.installation.blobs).await?;
        }
        self.signing = in_force.map(Signing::new).transpose()?;
        let book = Book::open(&self.installation, &mut tx, self.index_id, &self.index, log_from).await?;
        self.log = book.map(|(book, files)| {
            roles.log.splice(0..0, files);
            book
        });
        drop(tx);
        if !rendered.is_empty() {
            tracing::info!(index = %self.index, projects = rendered.len(), "finishing publications from before the restart");
        }
        // Rendering may have taken long; nobody else can have taken the lease meanwhile without raising the fence.
        self.keep_lease().await?;
        if !self.owed.is_empty() {
            return self.write_beneath(standing, (objects, later), roles).await;
        }
        let news = Publication { index: self.index.clone(), serial: index.serial, paths, files: vec![], jobs: vec![] };
        self.write(news, standing, (objects, later), roles, index.serial > index.written_serial).await
    }

    /// The replay of what another version committed: pages that only it can make are left out, and with them the two that
    /// lead to them, timestamp and head. The next set renders these projects again, and leads to everything.
    async fn write_beneath(&mut self, moves: Vec<Move>, pages: Pages, mut roles: Roles) -> Result<()> {
        tracing::info!(index = %self.index, projects = self.owed.len(), "another version's last publications are rendered again");
        roles.timestamp = None;
        let moves = self.still_published(moves).await?;
        self.write_all(moves, pages, roles, None).await
    }

    /// Remembers what the head names of recent commits; returns those that may not have been written.
    fn take_records(&mut self, records: Vec<(i64, String)>, written_serial: i64) -> Result<Vec<Record>> {
        self.recent.clear();
        self.list = None;
        let mut owed = Vec::new();
        for (serial, text) in records {
            let record: Record = serde_json::from_str(&text).map_err(|e| Error::Internal(e.to_string()))?;
            self.recent.push_back((serial, record.paths.clone()));
            if serial > written_serial {
                owed.push(record);
            }
        }
        while self.recent.len() > HEAD_SERIALS {
            self.recent.pop_front();
        }
        Ok(owed)
    }

    /// One set of changes: what is ready, or, where there are any, these projects `again`.
    async fn publish_set(&mut self, under_lock: bool, again: &[i64]) -> Result<Set> {
        if !self.hold_lease().await? {
            return Ok(Set::Nothing);
        }
        let now = self.installation.clock.now_us();
        let store = &self.installation.store;
        let mut tx = if under_lock { store.write().await? } else { store.read().await? };
        let last_job = self.projects_of_set(&mut tx, now, again).await?;
        let due = self.signing.as_mut().and_then(|signing| signing.due(now));
        if last_job.is_empty() && due.is_none() {
            return Ok(Set::Nothing);
        }
        let mut lease = self.lease(under_lock);
        let signing = self.signing.as_mut().ok_or_else(|| Error::Internal("nothing was founded".into()))?;
        if !signing.has_keys(&self.installation, again.is_empty() && !last_job.is_empty()).await? {
            return Ok(Set::Nothing);
        }
        // Without the key that founds it there is no log yet, and nothing may be published past it.
        let book = self.log.as_mut().ok_or_else(|| Error::Unavailable("the log was not founded".into()))?;
        let serial = indexes::by_id(&mut tx, self.index_id).await?.serial + 1;
        let public_url = self.installation.settings.public_url.as_deref();
        let mut changes = changes_of(&mut tx, &self.index, last_job.keys(), serial, public_url).await?;
        failpoint::reach("publish.rendered");
        let logged: Vec<log::Change> = changes.iter_mut().filter_map(|change| change.logged.take()).collect();
        let drafts = log::drafts(&self.installation, &mut tx, &logged, now).await?;
        let appended = book.append(&self.installation, drafts, &mut lease).await?;
        let targets = changes.iter_mut().flat_map(|change| std::mem::take(&mut change.targets)).collect();
        let extra = book.extra(appended.as_ref());
        let signed = signing.sign(&mut tx, targets, due, now, extra, &mut lease).await?;
        failpoint::reach("publish.signed");
        let mut tx = self.writing(tx, under_lock);
        // Rendering may have taken long: the lease is extended from now.
        let now = self.installation.clock.now_us();
        publishing::must_extend_lease(&mut tx, self.index_id, self.fence, now + LEASE_US);
        let record = self.commit_2(&mut tx, serial, now, &changes, &signed, appended.as_ref())?;
        last_job.iter().for_each(|(id, job)| jobs::done_up_to(&mut tx, JobKind::Publish, self.index_id, *id, *job));
        match store.in_front(tx.commit()).await {
            Ok(()) => {}
            // The fence, the serial or a project moved. The lease is asked for anew, as it may have been the fence.
            Err(Error::Overtaken) => {
                self.lease_until_us = 0;
                return Ok(Set::Overtaken);
            }
            Err(other) => return Err(other),
        }
        self.lease_until_us = now + LEASE_US;
        failpoint::reach("publish.committed");
        self.owed.clear();
        self.remember(serial, &changes, record.paths.clone());
        self.write_late(&signed.late).await?;
        let mut roles = signed.roles(&self.index);
        if let (Some(book), Some(mut appended)) = (&mut self.log, appended) {
            roles.log = std::mem::take(&mut appended.files);
            book.apply(appended);
        }
        if let Some(signing) = &mut self.signing {
            signing.apply(signed)?;
        }
        let mut pages = Pages::default();
        for change in changes {
            pages.0.extend(change.objects);
            pages.1.extend(change.later);
        }
        let jobs = last_job.into_iter().collect();
        let news = Publication { index: self.index.clone(), serial, paths: record.paths, files: vec![], jobs };
        self.write(news, record.moves, pages, roles, true).await?;
        Ok(Set::Published)
    }

    /// The transaction that commits a set. Under the lock it is the snapshot's own, so nothing can have moved; else nobody waits
    /// for it but while it is run.
    fn writing(&self, snapshot: Tx, under_lock: bool) -> Tx {
        if under_lock {
            return snapshot;
        }
        drop(snapshot);
        self.installation.store.batch()
    }

    /// The projects of the next set, each with the last job that it does: 0 for none.
    async fn projects_of_set(&self, tx: &mut Tx, now: i64, again: &[i64]) -> Result<BTreeMap<i64, i64>> {
        let mut last_job: BTreeMap<i64, i64> = self.owed.iter().chain(again).map(|id| (*id, 0)).collect();
        if !again.is_empty() {
            return Ok(last_job);
        }
        for job in jobs::ready(tx, JobKind::Publish, self.index_id, now, SET_JOBS_MAX).await? {
            if last_job.len() < SET_PROJECTS_MAX || last_job.contains_key(&job.project_id) {
                last_job.insert(job.project_id, job.id);
            }
        }
        Ok(last_job)
    }

    /// Everything that one set changes in the ledger, and its redo record.
    fn commit_2(
        &self,
        tx: &mut Tx,
        serial: i64,
        now: i64,
        changes: &[ProjectChange],
        signed: &SignedSet,
        appended: Option<&Appended>,
    ) -> Result<Record> {
        publishing::next_serial(tx, self.index_id, serial);
        for change in changes {
            change.publish(tx, serial);
        }
        let shown = changes.iter().map(ProjectChange::shown);
        let (projects, files) = shown.fold((0, 0), |(projects, files), one| (projects + one.0, files + one.1));
        projects::shown(tx, self.index_id, projects, files);
        signed.store(tx, self.index_id, now);
        if let Some(appended) = appended {
            appended.store(tx, self.index_id, now);
        }
        let heads = self.head_paths(appended.is_some());
        let record = Record {
            moves: changes.iter().flat_map(|change| change.moves.clone()).collect(),
            projects: changes.iter().map(|change| change.rendered.clone()).collect(),
            paths: changes.iter().flat_map(|change| change.paths(&self.index)).chain(heads).collect(),
            bins: signed.bins.clone(),
            log_from: appended.map(|appended| appended.from),
        };
        let text = serde_json::to_string(&record).map_err(|e| Error::Internal(e.to_string()))?;
        publishing::insert_commit(tx, self.index_id, serial, now, &text);
        Ok(record)
    }

    fn remember(&mut self, serial: i64, changes: &[ProjectChange], paths: Vec<String>) {
        self.recent.push_back((serial, paths));
        while self.recent.len() > HEAD_SERIALS {
            self.recent.pop_front();
        }
        self.list_dirty = true;
        if let Some(list) = &mut self.list {
            for change in changes.iter().filter(|change| change.project.published) {
                let entry = ListEntry {
                    name: change.project.name.clone(),
                    normalized: change.name.clone(),
                    last_serial: serial,
                };
                if change.project.status == ProjectStatus::Quarantined {
                    list.remove(change.name.as_str());
                } else {
                    list.insert(change.name.as_str().to_owned(), entry);
                }
            }
        }
    }

    /// The site, after commit 2; the same for a publication and for its replay.
    async fn write(
        &mut self,
        news: Publication,
        moves: Vec<Move>,
        pages: Pages,
        roles: Roles,
        announce: bool,
    ) -> Result<()> {
        let serial = news.serial;
        let files: Vec<i64> = moves.iter().map(|one| one.file).collect();
        // What commit 2 has just published nobody can have taken back.
        let moves = if announce { moves } else { self.still_published(moves).await? };
        let head = render::head_json(serial, self.recent.make_contiguous());
        self.write_all(moves, pages, roles, Some(head)).await?;
        self.unsynced = Some((serial, self.unsynced.map_or_else(Instant::now, |(_, since)| since)));
        if announce {
            announce_head(&self.installation, Publication { files, ..news });
        }
        Ok(())
    }

    async fn write_all(
        &mut self,
        moves: Vec<Move>,
        (objects, later): Pages,
        roles: Roles,
        head: Option<Vec<u8>>,
    ) -> Result<()> {
        let (blobs, index) = (Arc::clone(&self.installation.blobs), self.index.clone());
        let writing = Writing { moves, objects, roles, head };
        let work = move || write_pages(&blobs, &index, &writing).map(|()| writing);
        let mut writing = tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))??;
        writing.forget_pages();
        for mut pieces in later {
            let mut tx = self.installation.store.read().await?;
            while let Some(objects) = pieces.next(&mut tx).await? {
                let blobs = Arc::clone(&self.installation.blobs);
                let work = move || put_all(&blobs, &objects);
                tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))??;
                self.keep_lease().await?;
            }
        }
        failpoint::reach("publish.pages");
        let (blobs, index) = (Arc::clone(&self.installation.blobs), self.index.clone());
        let work = move || write_head(&blobs, &index, &writing);
        tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))?
    }

    /// Leaves out, in a replay, bytes that must not enter the site any more.
    async fn still_published(&self, moves: Vec<Move>) -> Result<Vec<Move>> {
        let mut tx = self.installation.store.read().await?;
        let mut out = Vec::with_capacity(moves.len());
        for one in moves {
            if !one.into_site || files::by_id(&mut tx, one.file).await?.published {
                out.push(one);
            }
        }
        Ok(out)
    }

    fn list_every(&self) -> Duration {
        if self.list.as_ref().is_some_and(|list| list.len() > LARGE_LIST) { LIST_EVERY_LARGE } else { LIST_EVERY }
    }

    async fn write_list_if_due(&mut self) -> Result<()> {
        let due = self.list_written.is_none_or(|at| at.elapsed() >= self.list_every());
        if self.list_dirty && due { self.write_list().await } else { Ok(()) }
    }

    /// The list of all projects: no part of a commit, as it grows with the index and installers do not read it.
    async fn write_list(&mut self) -> Result<()> {
        let mut tx = self.installation.store.read().await?;
        let serial = indexes::by_id(&mut tx, self.index_id).await?.serial;
        if self.list.is_none() {
            self.list = Some(published_list(&mut tx, self.index_id).await?);
        }
        drop(tx);
        let list = self.list.take().unwrap_or_default();
        let (blobs, index) = (Arc::clone(&self.installation.blobs), self.index.clone());
        let work = move || -> Result<_> {
            let objects = list_objects(&index, serial, &list);
            put_all(&blobs, &objects)?;
            Ok((list, objects.into_iter().map(|(key, _)| site_path(&index, key.as_str())).collect::<Vec<_>>()))
        };
        let (list, paths) = tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))??;
        let mut tx = self.installation.store.read().await?;
        if publishing::list_version(&mut tx, self.index_id).await? != RENDER_VERSION {
            let mut tx = self.installation.store.batch();
            publishing::set_list_version(&mut tx, self.index_id, RENDER_VERSION);
            self.installation.store.in_front(tx.commit()).await?;
        }
        self.list = Some(list);
        self.list_dirty = false;
        self.list_written = Some(Instant::now());
        failpoint::reach("list.written");
        announce_head(
            &self.installation,
            Publication { index: self.index.clone(), serial, paths, files: vec![], jobs: vec![] },
        );
        Ok(())
    }

    /// Makes everything written so far survive a power cut, then forgets its redo records. `now`: at once, and waits for it.
    async fn checkpoint_if_due(&mut self, now: bool) -> Result<()> {
        self.conclude_sync(now).await?;
        let due =
            self.unsynced.take_if(|(_, since)| self.syncing.is_none() && (now || since.elapsed() >= CHECKPOINT_EVERY));
        if let Some((serial, _)) = due {
            let of = Arc::clone(&self.installation);
            let (done, ended) = oneshot::channel();
            self.syncing = Some((serial, ended));
            tokio::task::spawn_blocking(move || {
                // Nobody is left to hear of it where the lease was forgotten.
                let _ = done.send(of.blobs.sync());
                of.wake_publishers();
            });
        }
        if now { self.conclude_sync(true).await } else { Ok(()) }
    }

    /// Notes the sync that ended, or whose end is to be waited for.
    async fn conclude_sync(&mut self, wait: bool) -> Result<()> {
        let Some((serial, mut ended)) = self.syncing.take() else { return Ok(()) };
        let broken_off = || Error::Internal("a sync of the store broke off".into());
        let synced = match ended.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) if !wait => {
                self.syncing = Some((serial, ended));
                return Ok(());
            }
            Err(oneshot::error::TryRecvError::Empty) => ended.await.map_err(|_| broken_off())?,
            Err(oneshot::error::TryRecvError::Closed) => return Err(broken_off()),
            Ok(synced) => synced,
        };
        synced?;
        let mut tx = self.installation.store.batch();
        publishing::set_written(&mut tx, self.index_id, serial);
        publishing::drop_commits(&mut tx, self.index_id, serial - HEAD_SERIALS as i64);
        self.installation.store.in_front(tx.commit()).await?;
        failpoint::reach("publish.checkpointed");
        Ok(())
    }
}

/// Pages to be written, and those that are rendered one piece after the other while they are.
type Pages = (Vec<Object>, Vec<Pieces>);

enum Set {
    Nothing,
    Published,
    Overtaken,
}

/// A project as published state has it.
pub(super) async fn published_view(tx: &mut Tx, index: &IndexName, row: &ProjectRow) -> Result<ProjectView> {
    let mut shown = publishing::published(tx, row.id).await?;
    render::sort_files(&mut shown);
    Ok(ProjectView {
        index: index.clone(),
        name: row.name(),
        status: row.published_status(),
        reason: row.published_reason.clone(),
        roles: row.published_roles.clone(),
        serial: row.serial,
        files: shown,
    })
}

/// Every project as the list names it.
pub(super) async fn published_list(tx: &mut Tx, index_id: i64) -> Result<BTreeMap<String, ListEntry>> {
    let rows = projects::listed(tx, index_id).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let normalized = row.name.parse().expect("the ledger holds only normal names");
            (row.name, ListEntry { name: row.published_name, normalized, last_serial: row.serial })
        })
        .collect())
}

/// The list's pages.
pub(super) fn list_objects(index: &IndexName, serial: i64, list: &BTreeMap<String, ListEntry>) -> Vec<Object> {
    let mut objects = render::page_objects(layout::list(index, "json"), simple::list_json(serial, list.values()));
    objects.extend(render::page_objects(layout::list(index, "html"), simple::list_html(serial, list.values())));
    objects
}

/// Caches first, then those who wait for an upload: whoever hears of a publication finds it.
fn announce_head(installation: &Installation, publication: Publication) {
    let hooks = installation.head_hooks.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    for hook in hooks.iter() {
        hook(&publication);
    }
    drop(hooks);
    // Nobody waiting is no error.
    let _ = installation.news.send(News::Published(Arc::new(publication)));
}

/// A key as the site's readers name it.
pub(super) fn site_path(index: &IndexName, key: &str) -> String {
    key.strip_prefix(layout::site(index).as_str()).unwrap_or(key).trim_start_matches('/').to_owned()
}
