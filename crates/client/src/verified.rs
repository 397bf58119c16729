//! A whole index, of which only what is signed can be had: pages, files, metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use attest::{PROVENANCE_BYTES_MAX, Provenance};
use bytes::Bytes;
use packaging::hash::Sha256;
use packaging::name::NormalizedName;
use tokio::sync::mpsc;
use tuf::json::Value;
use tuf::layout::{Target, target_file};
use tuf::{Limits, Time};
use url::Url;

use crate::cache::Cache;
use crate::download::{Download, Piece};
use crate::fetch::{FetchError, Fetcher};
use crate::guard::{OnRegression, Seen};
use crate::log::{self, Bound, Place, Tiles};
use crate::page::Page;
use crate::publishers::{Attestations, Pins, Uploaded};
use crate::refusal::{Kind, Refusal};
use crate::session::{ClientError, Session, Source, UPDATES_MAX, below, busy, folder};
use crate::state::State;
use crate::store::Store;
use crate::witnesses::{Sighting, Witnesses};

/// The length of a page, in bytes, whatever was signed: 15,000 files take 10 MB.
pub const PAGE_BYTES_MAX: u64 = 64 << 20;

/// The length of core metadata, in bytes.
pub const METADATA_BYTES_MAX: u64 = 8 << 20;

/// How far ahead of this machine's clock a word may be dated, in seconds: clocks differ.
pub const AHEAD_MAX_S: i64 = 600;

/// The length of what is remembered of a page, in bytes. A file takes less there than on the page; those that are gone stay.
const SEEN_BYTES_MAX: usize = PAGE_BYTES_MAX as usize;

/// How many pages stay in memory.
const PAGES_MAX: usize = 256;

/// How many refusals, absent names and warnings are remembered, of each.
const NOTICES_MAX: usize = 100;

/// Where the clock is.
pub type Now = Arc<dyn Fn() -> Time + Send + Sync>;

/// How old a state may be, and whether a newer one is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// From this age of the timestamp on a warning is given, in seconds.
    pub warn_age_s: i64,
    /// From this age on nothing is served, in seconds.
    pub refuse_age_s: i64,
    /// How long a session serves before the index is asked for news, in milliseconds.
    pub refresh_ms: u64,
    /// Only what is stored is used.
    pub is_offline: bool,
    /// What is done about a page that offers much less than it did.
    pub on_regression: OnRegression,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            warn_age_s: 3_600,
            refuse_age_s: 86_400,
            refresh_ms: 5_000,
            is_offline: false,
            on_regression: OnRegression::default(),
        }
    }
}

/// What to open.
pub struct Options {
    /// The index, such as `https://packages.example.org/`: any host that answers for it.
    pub index: Url,
    /// The root to trust; without one, the first that is seen.
    pub root: Option<Vec<u8>>,
    /// The folder of what is kept between runs.
    pub state: PathBuf,
    /// How old a state may be.
    pub policy: Policy,
    /// What is asked of attestations.
    pub attestations: Attestations,
    /// Which witnesses must have seen the log.
    pub witnesses: Witnesses,
    /// What fetches.
    pub fetcher: Fetcher,
    /// The clock.
    pub now: Now,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("index", &self.index).finish_non_exhaustive()
    }
}

/// A session, and the log that its timestamp names.
#[derive(Clone)]
struct Snapshot {
    session: Arc<Session>,
    log: Option<Bound>,
}

struct Current {
    snapshot: Snapshot,
    since: Instant,
}

#[derive(Default)]
struct Sessions {
    current: Option<Current>,
    /// When the last update failed, and why: who waited for it need not fail again.
    failed: Option<(Instant, Refusal)>,
}

/// What was not served, by what was asked for.
#[derive(Default)]
struct Notices {
    absent: BTreeMap<String, Refusal>,
    refused: BTreeMap<String, Refusal>,
    /// Refusals for which there was no room: that there was one must not be forgotten.
    unnamed: usize,
}

impl Notices {
    fn add(&mut self, what: &str, refusal: &Refusal) {
        let (notices, is_refused) = match refusal.kind {
            Kind::Absent => (&mut self.absent, false),
            Kind::Refused | Kind::Unreachable => (&mut self.refused, true),
        };
        if notices.len() < NOTICES_MAX || notices.contains_key(what) {
            notices.insert(what.to_owned(), refusal.clone());
        } else if is_refused {
            self.unnamed += 1;
        }
    }

    fn all(&self) -> Vec<Refusal> {
        let more = (self.unnamed > 0).then(|| Refusal::unnamed_ones(self.unnamed));
        self.absent.values().chain(self.refused.values()).cloned().chain(more).collect()
    }
}

/// An index.
pub struct Index {
    base: Url,
    source: Arc<Source>,
    state: State,
    cache: Cache,
    policy: Policy,
    attestations: Attestations,
    witnesses: Witnesses,
    now: Now,
    sessions: tokio::sync::Mutex<Sessions>,
    pages: Mutex<BTreeMap<(String, Sha256), Arc<Page>>>,
    notices: Mutex<Notices>,
    warnings: Mutex<Vec<String>>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The base of an index, whether or not people wrote `/simple/` at its end as they do for installers.
pub fn base(index: &str) -> Result<Url, url::ParseError> {
    let trimmed = index.trim_end_matches('/');
    Url::from_str(trimmed.strip_suffix("/simple").unwrap_or(trimmed)).map(folder)
}

impl Index {
    /// Opens an index: the state on disk, and for the first time its first root.
    pub async fn open(options: Options) -> Result<Arc<Self>, Refusal> {
        let Options { index, root, state, policy, attestations, witnesses, fetcher, now } = options;
        let base = folder(index);
        let metadata = below(&base, "tuf/").map_err(|error| Refusal::new("index", &error))?;
        let source = Source::new(metadata, fetcher);
        let source = Arc::new(if policy.is_offline { source.offline() } else { source });
        let opened = State::open(&state, &base, root.as_deref(), &source, now(), Limits::default()).await;
        let cache = Cache::open(&state.join("files")).map_err(|error| Refusal::io("cache", &error))?;
        Ok(Arc::new(Self {
            base,
            source,
            state: opened.map_err(|error| Refusal::root(&error, root.is_some()))?,
            cache,
            policy,
            attestations,
            witnesses,
            now,
            sessions: tokio::sync::Mutex::default(),
            pages: Mutex::default(),
            notices: Mutex::default(),
            warnings: Mutex::default(),
        }))
    }

    /// What is kept between runs.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The cache of verified bytes.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What was refused and did not come right later, and what the user should know besides.
    pub fn notices(&self) -> (Vec<Refusal>, Vec<String>) {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        (notices.all(), warnings.clone())
    }

    /// Something of this name came of a request.
    pub(crate) fn note(&self, what: &str, refusal: Option<&Refusal>) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        match refusal {
            None => {
                notices.absent.remove(what);
                notices.refused.remove(what);
            }
            Some(refusal) => notices.add(what, refusal),
        }
    }

    fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < NOTICES_MAX && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// A session that is as new as the policy wants it. Of many who need one at once, one asks.
    async fn session(&self) -> Result<Snapshot, Refusal> {
        let asked = Instant::now();
        let mut sessions = self.sessions.lock().await;
        if let Some(current) = &sessions.current
            && current.since.elapsed() < Duration::from_millis(self.policy.refresh_ms)
        {
            return Ok(current.snapshot.clone());
        }
        if let Some((when, refusal)) = &sessions.failed
            && *when > asked
        {
            return Err(refusal.clone());
        }
        match self.update(sessions.current.take()).await {
            Ok(snapshot) => {
                sessions.current = Some(Current { snapshot: snapshot.clone(), since: Instant::now() });
                Ok(snapshot)
            }
            Err(refusal) => {
                sessions.failed = Some((Instant::now(), refusal.clone()));
                Err(refusal)
            }
        }
    }

    async fn update(&self, current: Option<Current>) -> Result<Snapshot, Refusal> {
        let io = |error: std::io::Error| Refusal::io("update", &error);
        let refuse = |error: ClientError| Refusal::new("update", &error).offline(self.policy.is_offline);
        let store = self.state.log().map_err(io)?;
        for _ in 0..UPDATES_MAX {
            let head = Session::head(&self.source, &self.state.store, (self.now)(), Limits::default());
            let head = head.await.map_err(refuse)?;
            self.age(&head)?;
            // The witnesses are asked each time: they may have been shown something else meanwhile.
            if let Some(Current { snapshot, .. }) = &current
                && self.witnesses.is_off()
                && is_same(&snapshot.session, &head, (self.now)())
            {
                return Ok(snapshot.clone());
            }
            let (witnesses, now, is_offline) = (&self.witnesses, (self.now)(), self.policy.is_offline);
            let asked = log::Asked { witnesses, now, is_offline };
            let followed = log::follow(&head, &self.tiles()?, &store, &asked).await?;
            // Only now: whoever was shown another past goes on where it was. And nothing was fetched while others waited.
            let is_kept = {
                let held = self.state.store.hold().await.map_err(io)?;
                head.is_current(&held).map_err(io)?
                    && followed.keep(&store, &held).map_err(io)?
                    && head.keep(&held).map_err(io)?
            };
            if is_kept {
                followed.warning.into_iter().for_each(|warning| self.warn(warning));
                head.complete().await.map_err(refuse)?;
                return Ok(Snapshot { session: Arc::new(head), log: followed.bound });
            }
        }
        Err(io(busy()))
    }

    /// How long ago the timestamp was issued: what a mirror that hides news cannot make younger.
    fn age(&self, session: &Session) -> Result<(), Refusal> {
        let issued = match session.trusted().timestamp().and_then(|role| role.extra.get("x-issued").cloned()) {
            Some(Value::Text(text)) => text.parse::<Time>().ok(),
            _ => None,
        };
        let Some(issued) = issued else {
            // Another maker's repository: its expiry is all there is.
            return Ok(());
        };
        let age = (self.now)().seconds().saturating_sub(issued.seconds());
        if age < -AHEAD_MAX_S {
            // It would never grow old.
            let cause = format!("refused: the index's last word is of {issued}, {} ahead of this clock", spoken(-age));
            return Err(Refusal::stale(cause, false));
        }
        let Policy { warn_age_s, refuse_age_s, .. } = self.policy;
        if age > refuse_age_s {
            let cause = format!(
                "refused: the index's last word is of {issued}, {} ago; at most {} are allowed (--max-age)",
                spoken(age),
                spoken(refuse_age_s)
            );
            return Err(Refusal::stale(cause, self.policy.is_offline));
        }
        if age > warn_age_s {
            self.warn(format!("timestamp: the index's last word is of {issued}, {} min ago", age / 60));
        }
        Ok(())
    }

    async fn forget(&self) {
        self.sessions.lock().await.current = None;
    }

    fn tiles(&self) -> Result<Tiles, Refusal> {
        Tiles::new(&self.source, &self.base).map_err(|error| Refusal::new("log", &error))
    }

    /// What the log says of these projects, or of all, since it was last asked: each event once, verified. Returns how
    /// many there were.
    ///
    /// # Errors
    /// What is not to be believed, or did not come; events that were told before are not told again.
    pub async fn events(
        &self,
        projects: &BTreeSet<NormalizedName>,
        tell: &mut (dyn FnMut(&tlog::follow::Event) -> std::io::Result<()> + Send),
    ) -> Result<u64, Refusal> {
        let Snapshot { log, .. } = self.session().await?;
        let bound = log.ok_or_else(Refusal::no_log)?;
        let store = self.state.log().map_err(|error| Refusal::io("log", &error))?;
        Place::open(store, projects)?.read(&bound, &self.tiles()?, tell).await
    }

    /// What the known witnesses say of the log as it is now, verified, and how many entries it has.
    ///
    /// # Errors
    /// What is not to be believed, or did not come.
    pub async fn sightings(&self) -> Result<(u64, Vec<Sighting>), Refusal> {
        let Snapshot { log, .. } = self.session().await?;
        let bound = log.ok_or_else(Refusal::no_log)?;
        Ok((bound.head().size, self.witnesses.sightings(&self.tiles()?, &bound).await?))
    }

    /// What is signed for a path, and the state in which it is.
    async fn target(&self, what: &str, path: &str) -> Result<(Option<tuf::TargetFile>, Snapshot), Refusal> {
        let snapshot = self.session().await?;
        let missing = match snapshot.session.target(path).await {
            Ok(found) => return Ok((found, snapshot)),
            Err(error @ ClientError::Fetch { why: FetchError::Missing, .. }) => error,
            Err(error) => return Err(Refusal::new(what, &error)),
        };
        // A session that the index no longer keeps; a new one has other versions (PEP 458: try the newest snapshot).
        let again = {
            self.forget().await;
            self.session().await?
        };
        if Arc::ptr_eq(&snapshot.session, &again.session) {
            return Err(Refusal::new(what, &missing));
        }
        let found = again.session.target(path).await.map_err(|error| Refusal::new(what, &error))?;
        Ok((found, again))
    }

    /// The page of a project. [`Kind::Absent`] if it is proven that there is none.
    pub async fn page(&self, project: &NormalizedName) -> Result<Arc<Page>, Refusal> {
        let what = format!("page of {project}");
        let page = self.page_of(&what, project).await;
        self.note(&what, page.as_ref().err());
        page
    }

    async fn page_of(&self, what: &str, project: &NormalizedName) -> Result<Arc<Page>, Refusal> {
        let path = Target::Page { project: project.as_str() }.path();
        let (file, snapshot) = self.target(what, &path).await?;
        let Some(file) = file else {
            return Err(Refusal::absent(what, "there is no such project"));
        };
        let Some(sha256) = file.hashes.sha256.map(Sha256::new) else {
            return Err(Refusal::signed_so(what, "refused: it is signed without a SHA-256".to_owned()));
        };
        let key = (project.as_str().to_owned(), sha256);
        if let Some(page) = self.pages.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(page));
        }
        let url = self.target_url(what, &path, &sha256)?;
        let bytes = self.bytes(what, &url, &sha256, Some(file.length), PAGE_BYTES_MAX).await?;
        let page = Page::read(&bytes, project, &self.base);
        let page = Arc::new(page.map_err(|error| Refusal::signed_so(what, format!("refused: {error}")))?);
        self.guard(what, project, &page, &snapshot).await?;
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() >= PAGES_MAX {
            pages.clear();
        }
        pages.insert(key, Arc::clone(&page));
        Ok(page)
    }

    /// Holds a page against what was seen of it before. What is refused is not remembered: it is refused again.
    /// Other bytes under a known name, and what changes without an entry in the log, are refused whatever the policy says.
    async fn guard(
        &self,
        what: &str,
        project: &NormalizedName,
        page: &Page,
        snapshot: &Snapshot,
    ) -> Result<(), Refusal> {
        if self.policy.on_regression == OnRegression::Off {
            return Ok(());
        }
        let io = |error: std::io::Error| Refusal::io(what, &error);
        let store = self.state.pages().map_err(io)?;
        let log = snapshot.log.as_ref();
        let mut now = Seen::new(&page.files, log.map(|log| log.head().size), snapshot.session.signers());
        if let Some(before) = self.seen(what, &store, project)? {
            let grown = now.clone().after(&before);
            if grown == before {
                return Ok(());
            }
            let lost = grown.lost(&before);
            match self.goes_on(what, project, &before, &grown, log).await {
                Ok(()) => now = grown,
                // What was seen may be a thief's, so nothing of it is kept.
                Err(refusal) if refusal.is_refused() && now.has_other_signers(&before) => self.warn(format!(
                    "{refusal}; the holders of the root have replaced the online key since, so the page is taken as it is \
                     now"
                )),
                Err(refusal) => return Err(refusal),
            }
            match lost {
                Some(lost) if self.policy.on_regression == OnRegression::Refuse => {
                    return Err(Refusal::regression(what, format!("refused: {lost}")));
                }
                Some(lost) => self.warn(format!("{what}: {lost}")),
                None => {}
            }
        }
        let bytes = serde_json::to_vec(&now).map_err(|error| io(error.into()))?;
        if bytes.len() > SEEN_BYTES_MAX {
            let cause =
                format!("refused: what is to be remembered of its files takes more than {SEEN_BYTES_MAX} bytes");
            return Err(Refusal::signed_so(what, cause));
        }
        store.write(project.as_str(), &bytes).map_err(io)
    }

    /// What is remembered of a page. A disk that lies costs that, and it is said.
    fn seen(&self, what: &str, store: &Store, project: &NormalizedName) -> Result<Option<Seen>, Refusal> {
        let bytes = store.read(project.as_str(), SEEN_BYTES_MAX).map_err(|error| Refusal::io(what, &error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let seen = serde_json::from_slice(&bytes).ok();
        if seen.is_none() {
            self.warn(format!("{what}: what was remembered of it is damaged, so it is taken as it is now"));
        }
        Ok(seen)
    }

    /// Whether a page is the one that was seen, changed only as an honest index changes it.
    async fn goes_on(
        &self,
        what: &str,
        project: &NormalizedName,
        before: &Seen,
        now: &Seen,
        log: Option<&Bound>,
    ) -> Result<(), Refusal> {
        if let Some(filename) = now.replaced(before) {
            let cause = format!("refused: {filename} has other bytes or other metadata than it had before");
            return Err(Refusal::replaced(what, cause));
        }
        let changes = now.changes(before);
        let (Some(bound), Some(from), false) = (log, before.log_size, changes.is_empty()) else { return Ok(()) };
        match log::unaccounted(&self.tiles()?, bound, from, project, changes).await? {
            Some(open) => match open.first() {
                None => Ok(()),
                Some(first) => {
                    let count = open.len();
                    let cause = format!(
                        "refused: {count} files are not as they were (such as {first}), and the log says nothing of it"
                    );
                    Err(Refusal::unlogged(what, cause))
                }
            },
            None => {
                let cause = "files are not as they were, and too much was logged since to find out why";
                if self.policy.on_regression == OnRegression::Refuse {
                    return Err(Refusal::regression(what, format!("refused: {cause}")));
                }
                self.warn(format!("{what}: {cause}"));
                Ok(())
            }
        }
    }

    fn target_url(&self, what: &str, path: &str, sha256: &Sha256) -> Result<Url, Refusal> {
        let bad = || ClientError::Path(path.to_owned());
        let name = target_file(path, Some(&sha256.to_string())).ok_or_else(bad);
        let url = name.and_then(|name| below(&self.base, &format!("tuf/targets/{name}")));
        url.map_err(|error| Refusal::new(what, &error))
    }

    /// What has a digest, from the cache or from a URL, whole.
    async fn bytes(
        &self,
        what: &str,
        url: &Url,
        sha256: &Sha256,
        length: Option<u64>,
        bytes_max: u64,
    ) -> Result<Bytes, Refusal> {
        let io = |error: std::io::Error| Refusal::io(what, &error);
        if let Some(bytes) = self.cache.bytes(sha256, bytes_max).map_err(io)? {
            return Ok(bytes.into());
        }
        if length.is_some_and(|length| length > bytes_max) {
            let cause = format!("refused: it is signed with more than {bytes_max} bytes, which is more than is taken");
            return Err(Refusal::signed_so(what, cause));
        }
        let fetcher = self.source.fetcher().map_err(|why| Refusal::fetch(what, &why))?;
        let mut bytes = Vec::new();
        let sink = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        let fetched = fetcher.get_into(url, length.unwrap_or(bytes_max), sink).await;
        let count = fetched.map_err(|why| Refusal::of_target(what, &why, length.is_some()))?;
        if length.is_some_and(|length| length != count) || tuf::hash::sha256(&bytes) != *sha256.as_bytes() {
            return Err(Refusal::mismatch(what));
        }
        let mut gathered = self.cache.gather().map_err(io)?;
        gathered.write_all(&bytes).map_err(io)?;
        self.cache.keep(gathered, sha256).map_err(io)?;
        Ok(bytes.into())
    }

    /// The core metadata of a file on a verified page.
    pub async fn metadata(&self, file: &Wanted) -> Result<Bytes, Refusal> {
        let what = format!("{}.metadata", file.filename);
        let Some(core_metadata) = file.core_metadata else {
            return Err(Refusal::unnamed(&what));
        };
        let sha256 = file.sha256.to_string();
        let path = format!("files/{}/{sha256}/{what}", &sha256[..2]);
        let url = below(&self.base, &path).map_err(|error| Refusal::new(&what, &error))?;
        let bytes = self.bytes(&what, &url, &core_metadata, None, METADATA_BYTES_MAX).await;
        self.note(&what, bytes.as_ref().err());
        bytes
    }

    /// A file on the verified page of its project: by name and digest, as we told the installer.
    pub async fn wanted(&self, sha256: &Sha256, filename: &str) -> Result<Wanted, Refusal> {
        let gone = || Refusal::gone(filename);
        let name: packaging::filename::DistFilename = filename.parse().map_err(|_| gone())?;
        let project = name.project();
        let page = self.page(&project).await?;
        let file = page.files.get(filename).filter(|file| file.sha256 == *sha256);
        let Some(file) = file else {
            let refusal = gone();
            self.note(filename, Some(&refusal));
            return Err(refusal);
        };
        let path = Target::Distribution { project: project.as_str(), filename }.path();
        let url = self.target_url(filename, &path, sha256)?;
        let (size, core_metadata, provenance) = (file.size, file.core_metadata, file.provenance);
        let (filename, uploaded) = (filename.to_owned(), file.uploaded.clone());
        Ok(Wanted { filename, sha256: *sha256, size, core_metadata, provenance, uploaded, url })
    }

    /// Holds a file on a verified page against what is asked of attestations, before any of its bytes are given away.
    pub async fn attested(&self, file: &Wanted) -> Result<(), Refusal> {
        if self.attestations == Attestations::Off {
            return Ok(());
        }
        let held = self.hold_attested(file).await;
        self.note(&format!("provenance of {}", file.filename), held.as_ref().err());
        held
    }

    async fn hold_attested(&self, file: &Wanted) -> Result<(), Refusal> {
        let what = format!("provenance of {}", file.filename);
        let unnamed = || Refusal::signed_so(&what, "refused: the file's name is none".to_owned());
        let name: packaging::filename::DistFilename = file.filename.parse().map_err(|_| unnamed())?;
        let project = name.project();
        let publisher = match &file.provenance {
            None => None,
            Some(sha256) => {
                let path = format!("integrity/{project}/{}/{}/provenance", name.version(), file.filename);
                let url = below(&self.base, &path).map_err(|error| Refusal::new(&what, &error))?;
                let bytes = self.bytes(&what, &url, sha256, None, PROVENANCE_BYTES_MAX as u64).await?;
                let read = Provenance::publisher(&bytes);
                Some(read.map_err(|why| Refusal::signed_so(&what, format!("refused: it cannot be read: {why}")))?)
            }
        };
        let io = |error: std::io::Error| Refusal::io(&what, &error);
        let _held = self.state.store.hold().await.map_err(io)?;
        let mut pins = Pins::read(self.state.folder()).map_err(io)?;
        let uploaded = Uploaded { project: &project, at: &file.uploaded, publisher: publisher.as_ref() };
        let judged = pins.judge(&self.attestations, uploaded).map_err(io)?;
        let is_demanded = publisher.is_none() && self.attestations.demands(&project);
        judged.map_err(|cause| Refusal::publisher(&what, cause, is_demanded))
    }

    /// The bytes of a file, in pieces, of which the last ones come once all are verified. Ends early, with a refusal,
    /// if they are not what was signed for.
    pub fn download(self: &Arc<Self>, file: Wanted) -> mpsc::Receiver<Piece> {
        let (pipe, pieces) = mpsc::channel(Download::PIECES_AHEAD_MAX);
        let index = Arc::clone(self);
        tokio::spawn(async move {
            let what = file.filename.clone();
            let done = index.copy(file, &pipe).await;
            index.note(&what, done.as_ref().err());
            if let Err(refusal) = done {
                // Whoever went away needs no answer.
                let _ = pipe.send(Err(refusal)).await;
            }
        });
        pieces
    }

    async fn copy(&self, file: Wanted, pipe: &mpsc::Sender<Piece>) -> Result<(), Refusal> {
        let what = &file.filename;
        let io = |error: std::io::Error| Refusal::io(what, &error);
        let fetcher = self.source.fetcher().map_err(|why| Refusal::fetch(what, &why))?;
        let refuse = |why: FetchError| Refusal::of_target(what, &why, true);
        let mut answer = fetcher.stream(&file.url, file.size).await.map_err(refuse)?;
        let mut download = Download::new(file.size, self.cache.gather().map_err(io)?);
        while let Some(piece) = answer.piece().await.map_err(refuse)? {
            for piece in download.push(piece).map_err(io)? {
                if pipe.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
            }
        }
        let Some((gathered, tail)) = download.finish(&file.sha256) else {
            return Err(Refusal::mismatch(what));
        };
        self.cache.keep(gathered, &file.sha256).map_err(io)?;
        for piece in tail {
            if pipe.send(Ok(piece)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Whether these bytes are the ones that the index signs for under this file name.
    pub async fn verify(&self, filename: &str, sha256: &Sha256, length: u64) -> Result<(), Refusal> {
        let absent = || Refusal::absent(filename, "the index signs for no file of this name");
        let name: packaging::filename::DistFilename = filename.parse().map_err(|_| absent())?;
        let project = name.project();
        let path = Target::Distribution { project: project.as_str(), filename }.path();
        let (Some(file), _) = self.target(filename, &path).await? else { return Err(absent()) };
        if file.length != length || file.hashes.sha256 != Some(*sha256.as_bytes()) {
            let remedy = "do not install this file; fetch it again from the index";
            return Err(Refusal { remedy, ..Refusal::mismatch(filename) });
        }
        Ok(())
    }
}

/// A file to be downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub filename: String,
    /// Its digest, from the verified page.
    pub sha256: Sha256,
    /// Its length in bytes, from there too.
    pub size: u64,
    /// The digest of its core metadata.
    pub core_metadata: Option<Sha256>,
    provenance: Option<Sha256>,
    uploaded: String,
    url: Url,
}

/// A time as people say it: whole hours from two on, whole minutes from two on, seconds below.
fn spoken(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

/// Whether two sessions trust the same, and the first one's roles are still good.
fn is_same(old: &Session, new: &Session, now: Time) -> bool {
    let (old, new) = (old.trusted(), new.trusted());
    let is_fresh = old.snapshot().is_some_and(|snapshot| snapshot.expires > now);
    is_fresh && old.root() == new.root() && old.timestamp() == new.timestamp()
}

#[cfg(test)]
mod tests {
    use super::spoken;

    #[test]
    fn times_are_spoken_in_the_unit_that_tells_them_apart() {
        let said = [0, 119, 120, 1_800, 7_199, 7_200, 90_000].map(spoken);
        assert_eq!(said, ["0 s", "119 s", "2 min", "30 min", "119 min", "2 h", "25 h"]);
    }
}
