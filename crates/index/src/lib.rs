//! The domain: a ledger of decisions, and the machinery that turns it into a tree of static files.
//!
//! `model` and `policy` say what things are and what is allowed, without I/O. `store` holds all SQL, `blobs`
//! all bytes. `ops` holds the verbs, one file each: load, rule, one transaction, effects. `render` is the pure
//! function from published state to pages. Start at `ops::upload` and follow a file to `ops::publish`.

pub mod blobs;
pub mod clock;
mod error;
pub mod external;
pub mod failpoint;
pub mod keys;
pub mod model;
pub mod ops;
pub mod policy;
pub mod render;
pub mod store;
#[cfg(test)]
mod testing;
pub mod token;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use inspect::{Confinement, Limits, Request, Response, Sandbox};
use tokio::sync::{Notify, Semaphore, broadcast, watch};

use blobs::Blobs;
use clock::{Clock, Entropy};
pub use error::{Error, Result};
use model::IndexName;
use policy::verdict::Policy;
use store::Store;
use store::jobs::JobKind;
use token::TokenSecret;
pub use tuf::write::{BITS_MAX, CLASSIC_BITS_MAX, Shape};

/// When a file is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Once its inspection has found nothing that holds it.
    Before,
    /// At once; a verdict that holds it takes it away again.
    After,
}

/// What becomes of a file that nobody came to inspect within the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// It is held until it was inspected.
    Hold,
    /// It is published, queued for a person, and inspected later.
    Publish,
}

/// How a repository divides its targets at its founding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bins {
    /// How the bins are delegated to.
    pub shape: Shape,
    /// Of 2^bits bins.
    pub bits: u32,
}

/// What an operator can set that the verbs need to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest that an upload's answer waits for publication, in milliseconds.
    pub upload_wait_ms: u64,
    /// Largest file, in bytes.
    pub file_bytes_max: u64,
    /// Most bytes of all files of a project together.
    pub project_bytes_max: u64,
    /// How long a release takes new files after its first, in seconds.
    pub release_open_seconds: u64,
    /// When a file is shown: before or after its inspection.
    pub gate: Gate,
    /// How long a file may wait for its inspection, in milliseconds; 0: for ever.
    pub inspection_budget_ms: u64,
    /// What becomes of a file that only stood in the queue for that long.
    pub backlog: Backlog,
    /// Inspections that may wait; uploads are told to come back while there are more.
    pub inspections_waiting_max: u64,
    /// How often all files are inspected again, in seconds; 0: when somebody asks for it.
    pub reinspect_every_seconds: u64,
    /// How findings are weighed.
    pub policy: Arc<Policy>,
    /// Checks outside this program.
    pub external: Arc<[external::Outside]>,
    /// Bounds on archives.
    pub archive: Limits,
    /// Inspections that may run side by side, and as many passes of uploads beside them.
    pub passes_max: usize,
    /// Whether uploads are taken although the sandbox cannot deny network or files.
    pub allow_weak_sandbox: bool,
    /// Whether uploads are taken at all.
    pub uploads: bool,
    /// Where the world reaches this server, for absolute links; never taken from a request.
    pub public_url: Option<String>,
    /// Whose attestations are believed; `None`: none are taken.
    pub trust_root: Option<Arc<attest::TrustRoot>>,
    /// Logs of others that every index here cosigns.
    pub watched: Arc<[tlog::witness::Watched]>,
    /// How the repository of an index that is made from now on divides its targets.
    pub bins: Bins,
    /// How long superseded pages and roles stay for clients that work with an older snapshot, in seconds.
    pub superseded_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            upload_wait_ms: 5_000,
            file_bytes_max: 100 << 20,
            project_bytes_max: 10 << 30,
            release_open_seconds: 14 * 86_400,
            gate: Gate::Before,
            inspection_budget_ms: 600_000,
            backlog: Backlog::Hold,
            inspections_waiting_max: 10_000,
            reinspect_every_seconds: 0,
            policy: Arc::new(Policy::built_in()),
            external: Arc::new([]),
            archive: Limits::default(),
            passes_max: 2,
            allow_weak_sandbox: false,
            uploads: true,
            public_url: None,
            trust_root: Some(Arc::new(attest::TrustRoot::public_good())),
            watched: Arc::new([]),
            bins: Bins { shape: Shape::Succinct, bits: 10 },
            superseded_seconds: 3_600,
        }
    }
}

/// What became visible when a head was written.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Where.
    pub index: IndexName,
    /// Under which serial.
    pub serial: i64,
    /// Site paths whose content changed, relative to the site.
    pub paths: Vec<String>,
    /// Files whose state changed.
    pub files: Vec<i64>,
    /// Project and publish job up to which its changes are in the site now.
    pub jobs: Vec<(i64, i64)>,
}

/// One lock for each key of the vault that an upload is about: two uploads of the same bytes under the same name take
/// turns from before the ledger is asked to commit 1, so that the loser can clean up without taking the winner's bytes.
#[derive(Debug, Default)]
struct KeyLocks(Mutex<std::collections::HashMap<String, std::sync::Weak<tokio::sync::Mutex<()>>>>);

impl KeyLocks {
    async fn lock(&self, key: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            let known = locks.get(key).and_then(std::sync::Weak::upgrade);
            known.unwrap_or_else(|| {
                let fresh = Arc::new(tokio::sync::Mutex::new(()));
                locks.insert(key.to_owned(), Arc::downgrade(&fresh));
                fresh
            })
        };
        lock.lock_owned().await
    }
}

/// What those who wait for an upload or a change are told.
#[derive(Debug, Clone)]
enum News {
    /// A head was written.
    Published(Arc<Publication>),
    /// The inspection of these files ended, and nobody is shown anything by it.
    Judged(Arc<[i64]>),
}

/// An answer that waits.
struct Waiting<'a>(&'a Installation);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

type HeadHook = Box<dyn Fn(&Publication) + Send + Sync>;

/// One running installation: the ledger, the bytes, and the doors to the world.
pub struct Installation {
    /// The ledger.
    pub store: Store,
    /// The bytes.
    pub blobs: Arc<Blobs>,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// What the operator set.
    pub settings: Settings,
    secret: TokenSecret,
    sandbox: Option<Arc<Sandbox>>,
    http: Option<external::Http>,
    outside: external::Places,
    confinement: Mutex<Option<Confinement>>,
    /// Where private keys are.
    pub signing_keys: keys::KeyFolder,
    /// Who this process is to other nodes; survives restarts on one data folder.
    node: String,
    passes: Arc<Semaphore>,
    /// Of the places above, those that inspections may take: as many are left, so that uploads never wait for them.
    checks: Arc<Semaphore>,
    revoked: RwLock<HashSet<String>>,
    inspect_wake: Notify,
    again_wake: Notify,
    /// When the inspection's queue was last looked at, and whether it was full.
    full: Mutex<Option<(tokio::time::Instant, bool)>>,
    publish_wake: watch::Sender<u64>,
    /// Uploads whose answer waits for their publication.
    waiting: AtomicUsize,
    indexes_wake: Notify,
    /// False from the recovery of an index that is not founded yet until it is: see [`Installation::until_founded`].
    founded: watch::Sender<bool>,
    news: broadcast::Sender<News>,
    head_hooks: RwLock<Vec<HeadHook>>,
    /// Turns at keys of the vault.
    turns: KeyLocks,
    /// Witnesses that do not cosign a log of ours, and what was said of each.
    silent: Mutex<BTreeMap<(IndexName, String), String>>,
    /// The names that each index shows, as of a serial, once they were searched.
    names: tokio::sync::Mutex<BTreeMap<i64, (i64, model::names::Names)>>,
    /// The keys by which indexes witness the logs of others, once they were asked for.
    witnesses: tokio::sync::Mutex<BTreeMap<IndexName, Arc<ops::log::NoteSigner>>>,
}

impl std::fmt::Debug for Installation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Installation")
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What [`Installation::new`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// The ledger.
    pub store: Store,
    /// The bytes.
    pub blobs: Blobs,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// What the operator set.
    pub settings: Settings,
    /// The secret of all tokens.
    pub secret: TokenSecret,
    /// Where archives are opened; without one, no upload is taken.
    pub sandbox: Option<Arc<Sandbox>>,
    /// Where private keys are.
    pub keys: keys::KeyFolder,
    /// This node's name.
    pub node: String,
    /// How services outside are asked; without one, those that need it give no answer.
    pub http: Option<external::Http>,
}

impl Installation {
    /// Puts the parts together and makes the index `main` when there is none.
    pub async fn new(parts: Parts) -> Result<Arc<Self>> {
        let Parts { store, blobs, clock, entropy, settings, secret, sandbox, keys, node, http } = parts;
        let outside = external::Places::new(&settings.external);
        let checks = Arc::new(Semaphore::new(settings.passes_max.max(1)));
        let passes = Arc::new(Semaphore::new(2 * settings.passes_max.max(1)));
        let installation = Arc::new(Self {
            store,
            blobs: Arc::new(blobs),
            clock,
            entropy,
            settings,
            secret,
            sandbox,
            http,
            outside,
            confinement: Mutex::new(None),
            signing_keys: keys,
            node,
            passes,
            checks,
            revoked: RwLock::default(),
            inspect_wake: Notify::new(),
            again_wake: Notify::new(),
            full: Mutex::new(None),
            publish_wake: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            indexes_wake: Notify::new(),
            founded: watch::Sender::new(true),
            news: broadcast::Sender::new(1024),
            head_hooks: RwLock::default(),
            turns: KeyLocks::default(),
            silent: Mutex::default(),
            names: tokio::sync::Mutex::default(),
            witnesses: tokio::sync::Mutex::default(),
        });
        ops::indexes::ensure_main(&installation).await?;
        installation.refresh_revocations().await?;
        Ok(installation)
    }

    /// Waits while a start founds what signs and logs its indexes: nothing signed can be answered before.
    pub async fn until_founded(&self) {
        // The sender lives as long as this does.
        let _ = self.founded.subscribe().wait_for(|founded| *founded).await;
    }

    /// Registers something that must know of a new head before any uploader does (a cache).
    pub fn on_head(&self, hook: impl Fn(&Publication) + Send + Sync + 'static) {
        self.head_hooks.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// The rules of the operator that are in force; none without a sandbox.
    pub fn rules(&self) -> Option<&inspect::yara::Catalogue> {
        self.sandbox.as_ref().and_then(|sandbox| sandbox.rules())
    }

    /// What the probe of the sandbox found; nothing is denied as far as is known before there was one.
    pub fn confinement(&self) -> Confinement {
        self.confinement.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Has a child try what must be denied, unless that is known already. A probe that failed is repeated at the next
    /// call: it says nothing about the machine.
    pub async fn probe_confinement(&self) {
        let Some(sandbox) = self.sandbox.clone() else { return };
        if self.confinement.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        match tokio::task::spawn_blocking(move || sandbox.probe()).await {
            Ok(Ok(found)) => *self.confinement.lock().unwrap_or_else(PoisonError::into_inner) = Some(found),
            Ok(Err(failure)) => tracing::error!(%failure, "the sandbox could not be probed; uploads wait for a probe"),
            Err(error) => tracing::error!(%error, "the sandbox could not be probed; uploads wait for a probe"),
        }
    }

    /// Why uploads are refused, when they are.
    pub fn uploads_refused(&self) -> Option<&'static str> {
        if !self.settings.uploads {
            return Some("New uploads are temporarily disabled.");
        }
        if self.sandbox.is_none() || !self.confinement().is_strong() && !self.settings.allow_weak_sandbox {
            return Some("Uploads are disabled: the sandbox that opens archives cannot be confined on this machine.");
        }
        None
    }

    /// Refuses uploads while more inspections wait than are wanted. The ledger is asked twice a second at most.
    ///
    /// # Errors
    /// [`Error::Unavailable`], to be tried again.
    pub async fn room_for_inspection(&self) -> Result<()> {
        let known = *self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let full = match known {
            Some((at, full)) if at.elapsed() < std::time::Duration::from_millis(500) => full,
            Some(_) | None => {
                let most = i64::try_from(self.settings.inspections_waiting_max).unwrap_or(i64::MAX);
                let mut tx = self.store.read().await?;
                let full = store::jobs::waiting(&mut tx, JobKind::Inspect, most.max(1)).await? >= most.max(1);
                *self.full.lock().unwrap_or_else(PoisonError::into_inner) = Some((tokio::time::Instant::now(), full));
                full
            }
        };
        if full {
            return Err(Error::Unavailable("Too many uploads wait for their inspection. Try again later.".into()));
        }
        Ok(())
    }

    /// Whether the token was revoked, as far as this node knows: at most a second old.
    pub fn is_revoked(&self, token_id: &str) -> bool {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).contains(token_id)
    }

    /// Reads the revocations from the ledger.
    pub async fn refresh_revocations(&self) -> Result<()> {
        let mut tx = self.store.read().await?;
        let ids = store::accounts::revoked(&mut tx, self.clock.now_us()).await?;
        *self.revoked.write().unwrap_or_else(PoisonError::into_inner) = ids.into_iter().collect();
        Ok(())
    }

    /// Verifies a token without the ledger.
    ///
    /// # Errors
    /// Why it is not good.
    pub fn verify_token(&self, index: &IndexName, text: &str) -> Result<model::TokenActor, token::TokenError> {
        token::verify(&self.secret, index, text, self.clock.now_us() / 1_000_000, |id| self.is_revoked(id))
    }

    /// Runs one pass in the sandbox, waiting for a free place first.
    async fn pass(&self, path: &Path, request: Request) -> Result<Result<Response, inspect::Failure>> {
        let Some(sandbox) = self.sandbox.clone() else {
            return Ok(Err(inspect::Failure::Unavailable("no sandbox was started".into())));
        };
        let permit = Arc::clone(&self.passes)
            .acquire_owned()
            .await
            .map_err(|_| Error::Unavailable("the server is stopping".into()))?;
        let file = std::fs::File::open(path)?;
        let outcome = tokio::task::spawn_blocking(move || {
            let outcome = sandbox.run(&file, request);
            drop(permit);
            outcome
        })
        .await
        .map_err(|e| Error::Internal(e.to_string()))?;
        Ok(outcome)
    }

    /// To be held by whoever waits for what an upload leads to, from before it wakes the inspection.
    fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// Whether an answer of this process waits for a publication: then it is worth a commit of its own.
    fn somebody_waits(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn wake_publishers(&self) {
        self.publish_wake.send_modify(|n| *n = n.wrapping_add(1));
    }
}
