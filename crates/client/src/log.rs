//! The index's transparency log as a client sees it: the timestamp role names its tree, the client remembers the last
//! one, and a tree that does not contain it is refused. Entries are looked for when a page has lost something.
//!
//! Nothing is fetched while the log stays as it is; when it grew, the few tiles that join the two trees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use packaging::name::NormalizedName;
use serde::{Deserialize, Serialize};
use tlog::entry::{LoggedFile, Project};
use tlog::follow::{Event, FollowError, Follower, Remembered};
use tlog::proof::{self, consistency_tiles, inclusion_tiles};
use tlog::tile::{TILE_WIDTH, TileId};
use tlog::{Act, Checkpoint, Entry, Hash, Origin, TreeHead, VerifierKey, hash};
use tokio::task::JoinSet;
use tuf::json::{Object, Value};
use tuf::{Time, TrustedSet};
use url::Url;

use crate::fetch::FetchError;
use crate::guard::{Change, Standing};
use crate::refusal::Refusal;
use crate::session::{ClientError, Session, Source, below};
use crate::store::{Held, Store};
use crate::witnesses::{WORD_AGE_MAX_S, Witnesses};

/// The length of a bundle, in bytes: 256 entries of ours.
const BUNDLE_BYTES_MAX: usize = 256 * (tlog::entry::ENTRY_BYTES_MAX + 2);
/// The length of a tile of hashes, in bytes.
const TILE_BYTES_MAX: usize = 256 * 32;
/// Bundles that are searched for why a release is gone, the newest first: 65,536 entries.
const SEARCH_BUNDLES_MAX: u64 = 256;
/// Entries of which a monitor is told at once.
const READ_ENTRIES: u64 = 32 << 10;
/// The length of what is remembered, in bytes.
const KEPT_BYTES_MAX: usize = 64 << 10;
/// The names of what is remembered.
const SEEN: &str = "seen";

/// Which log a timestamp names, and its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    checkpoint: Checkpoint,
    key: VerifierKey,
}

impl Bound {
    /// What the trusted timestamp says; nothing where the index has no log.
    ///
    /// # Errors
    /// When it says something that cannot be read.
    pub fn of(set: &TrustedSet) -> Result<Option<Self>, Refusal> {
        let Some(line) = set.timestamp().and_then(|role| role.extra.get("x-log")) else { return Ok(None) };
        let read = || match line {
            Value::Object(line) => Self::read(line),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::List(_) => None,
        };
        read().map(Some).ok_or_else(|| Refusal::log("refused: what the timestamp says of it cannot be read".to_owned()))
    }

    fn read(line: &Object) -> Option<Self> {
        let text = |name: &str| match line.get(name) {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let size = match line.get("size") {
            Some(Value::Int(size)) => u64::try_from(*size).ok()?,
            _ => return None,
        };
        let (origin, key) = (Origin::new(text("origin")?).ok()?, VerifierKey::parse(text("key")?).ok()?);
        let head = TreeHead { size, root: Hash::from_hex(text("root")?)? };
        Some(Self { checkpoint: Checkpoint::new(origin, head, Vec::new()).ok()?, key })
    }

    /// The tree.
    pub fn head(&self) -> TreeHead {
        self.checkpoint.head()
    }

    /// Which log.
    pub fn origin(&self) -> &Origin {
        self.checkpoint.origin()
    }

    /// The key that signs its checkpoints.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }
}

/// What is remembered of the log.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    key: String,
    checkpoint: String,
    /// The witnesses that were asked for and had seen it, by their keys.
    #[serde(default)]
    witnesses: Vec<String>,
    /// What the witnesses are still expected to see.
    #[serde(default)]
    ahead: Option<Ahead>,
    /// The keys of the timestamp role at that time. Where the holders of the root have taken one of them away, they speak
    /// for whatever came after: a thief's tree may be left behind.
    signers: Vec<String>,
}

/// The smallest tree that was shown here before the witnesses had seen it, and when that was, in seconds since 1970.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Ahead {
    size: u64,
    since: u64,
}

/// What came of following the log. It is remembered by [`Followed::keep`].
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) bound: Option<Bound>,
    /// What the user should know.
    pub(crate) warning: Option<String>,
    before: Option<Vec<u8>>,
    now: Option<Vec<u8>>,
}

impl Followed {
    /// Remembers it, unless another process has remembered something else since.
    pub(crate) fn keep(&self, store: &Store, _held: &Held) -> std::io::Result<bool> {
        if store.read(SEEN, KEPT_BYTES_MAX)? != self.before {
            return Ok(false);
        }
        match &self.now {
            now if *now == self.before => {}
            Some(bytes) => store.write(SEEN, bytes)?,
            None => store.delete(SEEN)?,
        }
        Ok(true)
    }
}

/// Where tiles are.
#[derive(Debug, Clone)]
pub(crate) struct Tiles {
    source: Arc<Source>,
    base: Url,
}

type Map = BTreeMap<TileId, Vec<u8>>;

impl Tiles {
    /// Of the index at `base`.
    pub(crate) fn new(source: &Arc<Source>, base: &Url) -> Result<Self, ClientError> {
        Ok(Self { source: Arc::clone(source), base: below(base, "tlog/")? })
    }

    async fn get(&self, id: TileId) -> Result<Vec<u8>, Refusal> {
        let bytes_max = if id.level().is_some() { TILE_BYTES_MAX } else { BUNDLE_BYTES_MAX };
        let (url, fetched) = self.fetch(&id.to_string(), bytes_max).await?;
        fetched.map_err(|why| Refusal::new("log", &ClientError::Fetch { url, why }))
    }

    /// A small object by its name; `None` where there is none.
    pub(crate) async fn small(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Refusal> {
        match self.fetch(name, bytes_max).await? {
            (_, Ok(bytes)) => Ok(Some(bytes)),
            (_, Err(FetchError::Missing)) => Ok(None),
            (url, Err(why)) => Err(Refusal::new("log", &ClientError::Fetch { url, why })),
        }
    }

    async fn fetch(&self, path: &str, bytes_max: usize) -> Result<(Url, Result<Vec<u8>, FetchError>), Refusal> {
        let url = below(&self.base, path).map_err(|error| Refusal::new("log", &error))?;
        let fetched = match self.source.fetcher() {
            Ok(fetcher) => fetcher.get(&url, bytes_max).await,
            Err(error) => Err(error),
        };
        Ok((url, fetched))
    }

    /// A tile or bundle. A partial one that was cleared away begins the full one.
    async fn tile(&self, id: TileId) -> Result<Vec<u8>, Refusal> {
        let gone = match self.get(id).await {
            Err(refusal) if !id.is_full() => refusal,
            other => return other,
        };
        let Ok(full) = id.full() else { return Err(gone) };
        let mut bytes = self.get(full).await.map_err(|_| gone)?;
        if id.level().is_some() {
            bytes.truncate(32 * usize::from(id.width()));
        }
        Ok(bytes)
    }

    /// A tile of hashes as it was in a smaller tree, from the tree of `size` leaves.
    async fn early(&self, id: TileId, size: u64) -> Result<Vec<u8>, Refusal> {
        let level = id.level().unwrap_or(0);
        let row = size >> (8 * u32::from(level));
        let width = row.saturating_sub(id.index() * u64::from(TILE_WIDTH)).min(TILE_WIDTH.into());
        let now = TileId::hashes(level, id.index(), width as u16).map_err(|error| bad(&error))?;
        let mut bytes = self.tile(now).await?;
        bytes.truncate(32 * usize::from(id.width()));
        Ok(bytes)
    }

    /// Several at once.
    async fn tiles(&self, wanted: BTreeSet<TileId>, into: &mut Map) -> Result<(), Refusal> {
        let mut fetching = JoinSet::new();
        for id in wanted.into_iter().filter(|id| !into.contains_key(id)) {
            let tiles = self.clone();
            fetching.spawn(async move { tiles.tile(id).await.map(|bytes| (id, bytes)) });
        }
        while let Some(done) = fetching.join_next().await {
            let (id, bytes) = done.map_err(|error| Refusal::io("log", &std::io::Error::other(error)))??;
            into.insert(id, bytes);
        }
        Ok(())
    }

    /// The proof that the larger tree begins with the smaller one; its verification is the caller's.
    pub(crate) async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Refusal> {
        let mut map = Map::new();
        self.tiles(consistency_tiles(old, new).map_err(|error| bad(&error))?, &mut map).await?;
        proof::prove_consistency(old, new, &map).map_err(|error| bad(&error))
    }
}

pub(crate) fn bad(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::log(format!("refused: {error}"))
}

/// What is asked of witnesses, and when.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) witnesses: &'a Witnesses,
    pub(crate) now: Time,
    /// Only what is stored is used.
    pub(crate) is_offline: bool,
}

/// Holds the log that the session's timestamp names against the one remembered, and against what witnesses saw.
pub(crate) async fn follow(
    session: &Session,
    tiles: &Tiles,
    store: &Store,
    asked: &Asked<'_>,
) -> Result<Followed, Refusal> {
    let io = |error: std::io::Error| Refusal::io("log", &error);
    let bound = Bound::of(&session.trusted())?;
    let signers = session.signers();
    let before = store.read(SEEN, KEPT_BYTES_MAX).map_err(io)?;
    let mut warning = None;
    // A disk that lies costs what was remembered, and that is said.
    let mut seen: Option<Seen> = before.as_ref().and_then(|bytes| {
        let read = serde_json::from_slice(bytes).ok();
        if read.is_none() {
            warning = Some("log: what was remembered of it is damaged, so it is taken as it is now".to_owned());
        }
        read
    });
    // Before anything is remembered: a tree that nobody else saw must not become the one that all others are held against.
    let (witnesses, reached) = match &bound {
        _ if asked.witnesses.is_off() => (Vec::new(), None),
        None => {
            return Err(Refusal::unwitnessed("refused: this index has no log that a witness could see".to_owned()));
        }
        Some(_) if asked.is_offline => {
            let witnesses = seen.as_ref().map(|seen| seen.witnesses.clone()).unwrap_or_default();
            asked.witnesses.had_seen(&witnesses)?;
            (witnesses, None)
        }
        Some(bound) => {
            let (witnesses, reached) = asked.witnesses.have_seen(tiles, bound, asked.now).await?;
            (witnesses, Some(reached))
        }
    };
    if let Some(before) = &seen {
        match goes_on(before, bound.as_ref(), tiles).await {
            Ok(()) => {}
            Err(refusal) if refusal.is_refused() && before.signers.iter().any(|key| !signers.contains(key)) => {
                warning = Some(format!(
                    "{refusal}; the holders of the root have replaced the online key since, so the log is taken as it is \
                     now"
                ));
                seen = None;
            }
            Err(refusal) => return Err(refusal),
        }
    }
    let now = match &bound {
        None => None,
        Some(bound) => {
            let ahead = ahead(seen.and_then(|seen| seen.ahead), reached, bound, asked.now)?;
            let checkpoint = Remembered::first(bound.checkpoint.clone()).to_string();
            let seen = Seen { key: bound.key.to_string(), checkpoint, witnesses, ahead, signers };
            Some(serde_json::to_vec(&seen).map_err(|error| io(error.into()))?)
        }
    };
    Ok(Followed { bound, warning, before, now })
}

/// What the witnesses are expected to see from now on, `reached` being the size of the tree that they saw. Their word on an
/// older tree is no word on what came after it: that they must reach in time.
fn ahead(before: Option<Ahead>, reached: Option<u64>, bound: &Bound, now: Time) -> Result<Option<Ahead>, Refusal> {
    let (Some(reached), size) = (reached, bound.head().size) else { return Ok(before) };
    let now = u64::try_from(now.seconds()).unwrap_or(0);
    let ahead = before.filter(|ahead| ahead.size > reached).or((size > reached).then_some(Ahead { size, since: now }));
    match ahead {
        Some(Ahead { size, since }) if now.saturating_sub(since) > WORD_AGE_MAX_S => {
            Err(Refusal::unwitnessed(format!(
                "refused: the witnesses have seen {reached} entries of the log, and more than half an hour ago {size} were \
                 shown here"
            )))
        }
        ahead => Ok(ahead),
    }
}

/// Refuses another log than the one remembered, grown or not.
async fn goes_on(seen: &Seen, now: Option<&Bound>, tiles: &Tiles) -> Result<(), Refusal> {
    let Some(now) = now else {
        return Err(Refusal::log("refused: the timestamp no longer names the log that was seen before".to_owned()));
    };
    if seen.key != now.key.to_string() {
        return Err(Refusal::log("refused: another key signs the log than before".to_owned()));
    }
    let before = Remembered::parse(seen.checkpoint.as_bytes()).map_err(|error| bad(&error))?;
    let (old, new) = (before.head(), now.head());
    let proof = if old.size > 0 && old.size < new.size { tiles.consistency(old.size, new.size).await? } else { vec![] };
    before.advance(&now.checkpoint, &proof).map_err(|error| bad(&error))?;
    Ok(())
}

/// Which of these changes the log does not account for by its entries from `from` on: the last one on a file must say how it
/// stands, and one of them that it was published where its page describes it otherwise. `None` where there are more entries than are
/// searched.
pub(crate) async fn unaccounted(
    tiles: &Tiles,
    bound: &Bound,
    from: u64,
    project: &NormalizedName,
    changes: Vec<Change>,
) -> Result<Option<Vec<Change>>, Refusal> {
    let head = bound.head();
    let wanted = changes.iter().map(|change| (change.filename.clone(), change.clone()));
    let (mut open, mut map): (BTreeMap<String, Change>, Map) = (wanted.collect(), Map::new());
    let mut denied = BTreeSet::new();
    let width = u64::from(TILE_WIDTH);
    let mut searched = 0;
    let mut end = head.size;
    while end > from && !open.is_empty() {
        if searched == SEARCH_BUNDLES_MAX {
            return Ok(None);
        }
        searched += 1;
        let index = (end - 1) / width;
        let id = TileId::entries(index, (head.size - index * width).min(width) as u16).map_err(|error| bad(&error))?;
        let bytes = tiles.tile(id).await?;
        let read = id.read_entries(&bytes).or_else(|_| id.full().and_then(|full| full.read_entries(&bytes)));
        let entries = read.map_err(|error| bad(&error))?;
        let first = index * width;
        let entries: Vec<_> = (first..).zip(entries).filter(|(at, _)| (from..head.size).contains(at)).collect();
        for (at, bytes) in entries.into_iter().rev() {
            let Some((file, standing, is_published)) = said_of(bytes, project) else { continue };
            let Some(change) = open.get_mut(file.name.as_str()).filter(|one| one.sha256 == file.sha256.to_hex()) else {
                continue;
            };
            // Found where nobody vouched for it yet.
            tiles.tiles(inclusion_tiles(at, head.size).map_err(|error| bad(&error))?, &mut map).await?;
            let path = proof::prove_inclusion(at, head.size, &map).map_err(|error| bad(&error))?;
            proof::verify_inclusion(&hash::leaf_hash(bytes), at, &head, &path).map_err(|error| bad(&error))?;
            let is_denied = change.standing.take().is_some_and(|wanted| wanted != standing);
            change.is_redescribed &= !is_published;
            if is_denied {
                denied.insert(change.filename.clone());
            }
            if is_denied || !change.is_redescribed {
                open.remove(file.name.as_str());
            }
        }
        end = first;
    }
    let is_open = |change: &Change| open.contains_key(&change.filename) || denied.contains(&change.filename);
    Ok(Some(changes.into_iter().filter(is_open).collect()))
}

/// How a file of this project stands after an entry, and whether that published it.
fn said_of(bytes: &[u8], project: &NormalizedName) -> Option<(LoggedFile, Standing, bool)> {
    let entry = Entry::parse(bytes).ok().filter(|entry| entry.project.as_str() == project.as_str())?;
    match entry.act {
        Act::Publish(file) => Some((file, Standing::Offered, true)),
        Act::Unyank(file) => Some((file, Standing::Offered, false)),
        Act::Yank(file) => Some((file, Standing::Yanked, false)),
        Act::Remove(file) => Some((file, Standing::Gone, false)),
        Act::Status(_) | Act::Owner(..) | Act::Publisher(..) => None,
    }
}

/// A monitor's place in the log, between two runs.
#[derive(Debug)]
pub(crate) struct Place {
    store: Store,
    name: String,
    projects: Option<BTreeSet<Project>>,
    follower: Option<Follower>,
}

impl Place {
    /// What was kept for these projects.
    pub(crate) fn open(store: Store, projects: &BTreeSet<NormalizedName>) -> Result<Self, Refusal> {
        let io = |error: std::io::Error| Refusal::io("log", &error);
        let all: Vec<&str> = projects.iter().map(NormalizedName::as_str).collect();
        let name = format!("monitor-{}", &hash::sha256(all.join("\n").as_bytes()).to_hex()[..16]);
        let kept = store.read(&name, KEPT_BYTES_MAX).map_err(io)?;
        let follower = kept.map(|bytes| Follower::parse(&bytes)).transpose().map_err(|error| follow_error(&error))?;
        let named: Result<BTreeSet<Project>, _> = all.iter().map(|name| Project::new(name)).collect();
        let named = named.map_err(|error| bad(&error))?;
        Ok(Self { store, name, projects: (!named.is_empty()).then_some(named), follower })
    }

    /// Reads on, and remembers how far once `tell` has taken what there is to tell. Entries are told in batches, each
    /// verified: that its tree is part of the one that the timestamp names.
    pub(crate) async fn read(
        &mut self,
        bound: &Bound,
        tiles: &Tiles,
        tell: &mut (dyn FnMut(&Event) -> std::io::Result<()> + Send),
    ) -> Result<u64, Refusal> {
        let mut told = 0;
        loop {
            let follower = self.follower.clone().unwrap_or_else(|| Follower::new(bound.origin().clone()));
            let to = self.next(&follower, bound, tiles).await?;
            let is_last = to.head().size == bound.head().size;
            let mut reading = follower.read(&to, self.projects.clone()).map_err(|error| follow_error(&error))?;
            while let Some((id, _)) = reading.next_bundle() {
                reading.bundle(&tiles.tile(id).await?).map_err(|error| follow_error(&error))?;
            }
            let (follower, events) = reading.finish().map_err(|error| follow_error(&error))?;
            let io = |error: std::io::Error| Refusal::io("log", &error);
            for event in &events {
                tell(event).map_err(io)?;
            }
            told += events.len() as u64;
            self.store.write(&self.name, follower.to_string().as_bytes()).map_err(io)?;
            self.follower = Some(follower);
            if is_last {
                return Ok(told);
            }
        }
    }

    /// The tree to read to: the one that the timestamp names, or one on the way there that is proven to be part of it.
    async fn next(&self, follower: &Follower, bound: &Bound, tiles: &Tiles) -> Result<Checkpoint, Refusal> {
        let (read, head) = (follower.size(), bound.head());
        if head.size.saturating_sub(read) <= READ_ENTRIES {
            return Ok(bound.checkpoint.clone());
        }
        let size = (read / READ_ENTRIES + 1) * READ_ENTRIES;
        let mut map = Map::new();
        for id in proof::edge_tiles(size).map_err(|error| bad(&error))? {
            map.insert(id, tiles.early(id, head.size).await?);
        }
        let root = proof::root_of_tiles(size, &map).map_err(|error| bad(&error))?;
        let part = TreeHead { size, root };
        let proof = tiles.consistency(size, head.size).await?;
        proof::verify_consistency(&part, &head, &proof).map_err(|error| bad(&error))?;
        Checkpoint::new(bound.origin().clone(), part, Vec::new()).map_err(|error| bad(&error))
    }
}

fn follow_error(error: &FollowError) -> Refusal {
    bad(error)
}

impl Refusal {
    /// Whether nothing came, so that there is nothing to judge.
    pub fn is_unreachable(&self) -> bool {
        self.kind == crate::refusal::Kind::Unreachable
    }

    /// Whether what came is not to be believed.
    pub(crate) fn is_refused(&self) -> bool {
        self.kind == crate::refusal::Kind::Refused
    }
}
