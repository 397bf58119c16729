//! One session: one update of what is trusted, then any number of lookups and downloads in the same snapshot.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;
use tokio::sync::Semaphore;
use tuf::layout::{quote, role_file, target_file};
use tuf::trusted::{Limits, Rotation, Timestamped};
use tuf::{Lookup, Refused, Step, TargetFile, Time, Top, TrustedSet};
use url::Url;

use crate::fetch::{FetchError, Fetcher};
use crate::store::{Held, NEW, Store};

/// Why there is no answer that may be believed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What came is not to be trusted.
    #[error("refused: {0}")]
    Refused(Refused),
    /// What was asked for did not come.
    #[error("{url} {why}")]
    Fetch {
        /// Where it was asked for.
        url: Url,
        /// What happened.
        why: FetchError,
    },
    /// A downloaded file is not the one that was signed for.
    #[error("refused: {0} is not the file that was signed for: its length or digest differs")]
    Mismatch(String),
    /// No trusted root to start from.
    #[error("there is no trusted root: run `init` with the root.json that came with the index")]
    NoRoot,
    /// No URL can be made of it.
    #[error("`{0}` makes no URL below the repository")]
    Path(String),
    /// The folder of trusted roles or of downloads cannot be used.
    #[error("cannot read or write: {0}")]
    Io(io::Error),
}

// No sources besides: whoever prints the causes too would say them twice.
impl From<Refused> for ClientError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Where a repository is.
#[derive(Debug)]
pub struct Source {
    metadata: Url,
    fetcher: Fetcher,
    is_offline: bool,
}

/// A URL that names a folder, so that joining a name goes below it.
pub(crate) fn folder(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}

pub(crate) fn below(base: &Url, path: &str) -> Result<Url, ClientError> {
    // `./`, as a quoted name may still look like a scheme.
    match base.join(&format!("./{path}")) {
        Ok(url) if url.as_str().starts_with(base.as_str()) => Ok(url),
        _ => Err(ClientError::Path(path.to_owned())),
    }
}

impl Source {
    /// The repository whose role files are below this URL.
    pub fn new(metadata: Url, fetcher: Fetcher) -> Self {
        Self { metadata: folder(metadata), fetcher, is_offline: false }
    }

    /// The same, of which only what is stored is used.
    pub fn offline(self) -> Self {
        Self { is_offline: true, ..self }
    }

    /// What fetches.
    pub(crate) fn fetcher(&self) -> Result<&Fetcher, FetchError> {
        if self.is_offline { Err(FetchError::Offline) } else { Ok(&self.fetcher) }
    }

    /// A file below the repository's role files.
    pub(crate) async fn get(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ClientError> {
        let url = below(&self.metadata, path)?;
        let fetched = match self.fetcher() {
            Ok(fetcher) => fetcher.get(&url, bytes_max).await,
            Err(error) => Err(error),
        };
        fetched.map_err(|why| ClientError::Fetch { url, why })
    }

    async fn role(&self, role: &str, version: Option<u64>, bytes_max: usize) -> Result<Vec<u8>, ClientError> {
        self.get(&role_file(role, version), bytes_max).await
    }
}

/// How many roles of a session are fetched at once: each may be as long as its limit before it is found to be unsigned.
const ROLES_AT_ONCE_MAX: usize = 16;

/// What an update found stored and has to store. It fetches without keeping others waiting; so another process may have
/// gone on meanwhile, and then nothing is stored.
#[derive(Debug, Default)]
struct Progress {
    /// The trusted root.
    root: Vec<u8>,
    /// The timestamp that was stored.
    before: Option<Vec<u8>>,
    /// The one that is trusted now, if it is newer.
    newer: Option<Vec<u8>>,
}

/// How often an update begins anew because another process has stored something meanwhile.
pub(crate) const UPDATES_MAX: usize = 5;

/// Others were always faster.
pub(crate) fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "other processes keep changing the trusted roles")
}

/// An update that succeeded: what it trusts belongs together.
///
/// Many may look up paths in it at once; each role is fetched by one of them.
#[derive(Debug)]
pub struct Session {
    source: Arc<Source>,
    store: Store,
    set: Mutex<TrustedSet>,
    progress: Mutex<Progress>,
    /// Who fetches a role holds its lock.
    flights: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// How many more roles may be fetched at once.
    roles: Semaphore,
}

impl Session {
    /// Updates root, timestamp, snapshot and targets, in this order (TUF specification §5.3 to §5.6). Each is stored as
    /// soon as it is trusted.
    pub async fn start(source: &Arc<Source>, store: &Store, now: Time, limits: Limits) -> Result<Self, ClientError> {
        for _ in 0..UPDATES_MAX {
            let session = Self::head(source, store, now, limits).await?;
            let is_kept = session.keep(&store.hold().await?)?;
            if is_kept {
                session.complete().await?;
                return Ok(session);
            }
        }
        Err(busy().into())
    }

    /// The first half of [`Self::start`]: root and timestamp. The timestamp is stored by [`Self::keep`]: who has more to
    /// ask of it is not bound by one that does not answer. Where they are what another session has, that one is as
    /// good, and nothing more need be read.
    pub async fn head(source: &Arc<Source>, store: &Store, now: Time, limits: Limits) -> Result<Self, ClientError> {
        let root = store.read(Top::Root.name(), limits.root_bytes_max)?.ok_or(ClientError::NoRoot)?;
        let set = Mutex::new(TrustedSet::new(&root, now, limits)?);
        let (source, store) = (Arc::clone(source), store.clone());
        let progress = Mutex::new(Progress { root, ..Progress::default() });
        let (flights, roles) = (Mutex::default(), Semaphore::new(ROLES_AT_ONCE_MAX));
        let session = Self { source, store, set, progress, flights, roles };
        session.roots().await?;
        session.timestamp().await?;
        Ok(session)
    }

    /// The second half: snapshot and targets.
    pub async fn complete(&self) -> Result<(), ClientError> {
        self.snapshot().await?;
        self.targets(Top::Targets.name(), Top::Root.name()).await
    }

    /// What is trusted. To be let go of before anything is waited for.
    pub fn trusted(&self) -> MutexGuard<'_, TrustedSet> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of the timestamp role: whoever has enough of them signs what clients believe, until the holders of the root
    /// take them away.
    pub fn signers(&self) -> Vec<String> {
        let set = self.trusted();
        set.root().roles.get(&Top::Timestamp).map(|keys| keys.keyids.clone()).unwrap_or_default()
    }

    async fn roots(&self) -> Result<(), ClientError> {
        let Limits { root_bytes_max, root_rotations_max, .. } = *self.trusted().limits();
        for _ in 0..root_rotations_max {
            let next = self.trusted().root().version.saturating_add(1);
            let bytes = match self.source.role(Top::Root.name(), Some(next), root_bytes_max).await {
                Err(ClientError::Fetch { why: FetchError::Missing | FetchError::Offline, .. }) => break,
                other => other?,
            };
            let rotation = self.trusted().update_root(&bytes)?;
            let _held = self.store.hold().await?;
            // Where another process has stored this root or a later one, it has done all of this.
            let is_first = self.store.read(Top::Root.name(), root_bytes_max)?.as_ref() == Some(&self.progress().root);
            if is_first {
                self.store.write(Top::Root.name(), &bytes)?;
            }
            match rotation {
                Rotation::Online if is_first => {
                    self.store.delete(Top::Timestamp.name())?;
                    self.store.delete(Top::Snapshot.name())?;
                }
                Rotation::Online | Rotation::None => {}
            }
            self.progress().root = bytes;
        }
        Ok(self.trusted().finish_root()?)
    }

    async fn timestamp(&self) -> Result<(), ClientError> {
        let (name, bytes_max) = (Top::Timestamp.name(), self.trusted().limits().timestamp_bytes_max);
        let stored = self.store.read(name, bytes_max)?;
        if let Some(stored) = &stored {
            // What does not verify (any more) guards nothing.
            let _ = self.trusted().load_timestamp(stored);
        }
        self.progress().before.clone_from(&stored);
        let bytes = match (self.source.role(name, None, bytes_max).await, stored) {
            (Err(ClientError::Fetch { why: FetchError::Offline, .. }), Some(stored)) => stored,
            (other, _) => other?,
        };
        let came = self.trusted().update_timestamp(&bytes)?;
        match came {
            Timestamped::Newer => self.progress().newer = Some(bytes),
            Timestamped::Same => {}
        }
        Ok(())
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is stored is still what this update began with and has come to.
    pub fn is_current(&self, _held: &Held) -> io::Result<bool> {
        let Limits { root_bytes_max, timestamp_bytes_max, .. } = *self.trusted().limits();
        let progress = self.progress();
        let root = self.store.read(Top::Root.name(), root_bytes_max)?;
        Ok(root.as_ref() == Some(&progress.root)
            && self.store.read(Top::Timestamp.name(), timestamp_bytes_max)? == progress.before)
    }

    /// Stores the timestamp: from now on nothing older is taken. Not, and false, if another process has stored something
    /// since this update began: then it is to begin anew.
    pub fn keep(&self, held: &Held) -> io::Result<bool> {
        if !self.is_current(held)? {
            return Ok(false);
        }
        let newer = self.progress().newer.take();
        newer.map_or(Ok(()), |bytes| self.store.write(Top::Timestamp.name(), &bytes))?;
        Ok(true)
    }

    async fn snapshot(&self) -> Result<(), ClientError> {
        let (name, limit) = (Top::Snapshot.name(), self.trusted().limits().snapshot_bytes_max);
        if let Some(stored) = self.store.read(name, limit)?
            && self.trusted().load_snapshot(&stored).unwrap_or(false)
        {
            return Ok(());
        }
        let (version, bytes_max) = {
            let set = self.trusted();
            let (meta, bytes_max) = set.wanted_snapshot()?;
            (versioned(&set, meta.version), bytes_max)
        };
        let bytes = self.source.role(name, version, bytes_max).await?;
        self.trusted().update_snapshot(&bytes)?;
        Ok(self.store.write(name, &bytes)?)
    }

    async fn targets(&self, role: &str, delegator: &str) -> Result<(), ClientError> {
        let (version, bytes_max) = {
            let set = self.trusted();
            let (meta, bytes_max) = set.wanted_targets(role)?;
            (versioned(&set, meta.version), bytes_max)
        };
        if let Some(stored) = self.store.read(role, bytes_max)?
            && self.trusted().update_targets(role, delegator, &stored).is_ok()
        {
            return Ok(());
        }
        let bytes = self.source.role(role, version, bytes_max).await?;
        self.trusted().update_targets(role, delegator, &bytes)?;
        Ok(self.store.write(role, &bytes)?)
    }

    fn flight(&self, role: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(flights.entry(role.to_owned()).or_default())
    }

    /// What is signed for a path. None if it is proven that the repository has no such target.
    pub async fn target(&self, path: &str) -> Result<Option<TargetFile>, ClientError> {
        let mut lookup = Lookup::new(path);
        loop {
            let step = lookup.step(&mut self.trusted())?;
            match step {
                Step::Found(file) => return Ok(Some(file)),
                Step::Absent => return Ok(None),
                Step::Need { role, delegator } => {
                    let flight = self.flight(&role);
                    let _ours = flight.lock().await;
                    let _place = self.roles.acquire().await.map_err(io::Error::other)?;
                    // Somebody else may have fetched it while this one waited.
                    let again = lookup.step(&mut self.trusted())?;
                    match again {
                        Step::Need { role: now, .. } if now == role => self.targets(&role, &delegator).await?,
                        Step::Need { .. } => {}
                        Step::Found(file) => return Ok(Some(file)),
                        Step::Absent => return Ok(None),
                    }
                }
            }
        }
    }

    /// Fetches a target below `base` into `folder`, unless it is there already. It bears its final name only once its
    /// digest matches. Returns where it is.
    pub async fn download(
        &self,
        path: &str,
        file: &TargetFile,
        base: &Url,
        folder: &Path,
    ) -> Result<PathBuf, ClientError> {
        let place = folder.join(local_name(path));
        if is_there(&place, file)? {
            return Ok(place);
        }
        let digest = if self.trusted().root().consistent_snapshot { file.hashes.prefix() } else { None };
        let name = target_file(path, digest.as_deref()).ok_or_else(|| ClientError::Path(path.to_owned()))?;
        let url = below(&self::folder(base.clone()), &name)?;
        let mut hasher = file.hashes.hasher();
        let mut temporary = NamedTempFile::with_prefix_in(NEW, folder)?;
        let sink = |piece: &[u8]| {
            hasher.update(piece);
            temporary.write_all(piece)
        };
        let fetched = match self.source.fetcher() {
            Ok(fetcher) => fetcher.get_into(&url, file.length, sink).await,
            Err(error) => Err(error),
        };
        let length = fetched.map_err(|why| ClientError::Fetch { url, why })?;
        if length != file.length || !file.hashes.matches(hasher) {
            return Err(ClientError::Mismatch(path.to_owned()));
        }
        temporary.persist(&place).map_err(|error| error.error)?;
        Ok(place)
    }
}

/// The version in a file's name, where this repository has them there.
fn versioned(set: &TrustedSet, version: u64) -> Option<u64> {
    set.root().consistent_snapshot.then_some(version)
}

/// One name in a folder for a whole path; a digest where it would be longer than file systems allow.
fn local_name(path: &str) -> String {
    const NAME_BYTES_MAX: usize = 200;
    let name = quote(path);
    if name.len() <= NAME_BYTES_MAX && !name.starts_with('.') {
        return name;
    }
    tuf::hash::hex(&tuf::hash::sha256(path.as_bytes()))
}

fn is_there(place: &Path, file: &TargetFile) -> io::Result<bool> {
    let mut there = match std::fs::File::open(place) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let (mut hasher, mut buffer, mut length) = (file.hashes.hasher(), vec![0; 64 << 10], 0);
    loop {
        let count = there.read(&mut buffer)?;
        if count == 0 {
            return Ok(length == file.length && file.hashes.matches(hasher));
        }
        length += count as u64;
        if length > file.length {
            return Ok(false);
        }
        hasher.update(&buffer[..count]);
    }
}
