//! The other side: a client that remembers the last checkpoint it saw, and a monitor that reads every entry.

use std::collections::BTreeSet;
use std::fmt;

use crate::checkpoint::{Checkpoint, Origin};
use crate::entry::{Entry, EntryError, Project};
use crate::hash::{Hash, decimal};
use crate::proof::{ProofError, TreeHead, verify_consistency};
use crate::tile::{TILE_WIDTH, TREE_LEAVES_MAX, TileError, TileId};
use crate::tree::{Peaks, TreeError};

/// Events that one reading keeps, which bounds its memory. A monitor of every project reads to nearer checkpoints.
pub const EVENTS_MAX: usize = 1 << 16;
/// Bytes of what a client or a monitor keeps between two runs: origin, size, 63 nodes.
pub const KEPT_BYTES_MAX: usize = 4096;

/// Why a checkpoint does not follow what was seen before. All but the first three say that the log misbehaved, or
/// that somebody stands between: keep the checkpoint, it is signed evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// What was kept is not readable; it was damaged. Starting anew forgets what was seen.
    #[error("what was kept of the log is not readable")]
    Kept,
    /// More events than [`EVENTS_MAX`].
    #[error("more than {EVENTS_MAX} events in one reading")]
    TooMany,
    /// Fewer entries were read than the checkpoint has.
    #[error("{read} entries were read of a log that has {size}")]
    Unfinished {
        /// Entries read, those of former readings included.
        read: u64,
        /// Entries of the checkpoint.
        size: u64,
    },
    /// Of another log.
    #[error("the checkpoint is of the log {found}, not of {expected}")]
    OtherLog {
        /// Whose it is.
        found: Origin,
        /// Whose was seen.
        expected: Origin,
    },
    /// The log is smaller than it was: an old checkpoint is served again, or entries were dropped.
    #[error("the log had {seen} entries and is shown with {shown}: it was rolled back")]
    RolledBack {
        /// Entries of the checkpoint seen before.
        seen: u64,
        /// Entries of this one.
        shown: u64,
    },
    /// Not the tree that was seen, grown.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The entries served do not have the root that the log signed.
    #[error("the entries served are not those of the checkpoint")]
    Entries,
}

fn same_log_grown(origin: &Origin, seen: u64, to: &Checkpoint) -> Result<(), FollowError> {
    if to.origin() != origin {
        return Err(FollowError::OtherLog { found: to.origin().clone(), expected: origin.clone() });
    }
    let shown = to.head().size;
    if shown < seen { Err(FollowError::RolledBack { seen, shown }) } else { Ok(()) }
}

/// The last checkpoint that a client saw. Displayed, it is what the client keeps, and [`Remembered::parse`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered(Checkpoint);

impl Remembered {
    /// The first checkpoint of a log ever seen, already opened under a policy: there is nothing to compare it with.
    pub fn first(checkpoint: Checkpoint) -> Self {
        Self(checkpoint)
    }

    /// What was kept, read back.
    pub fn parse(bytes: &[u8]) -> Result<Self, FollowError> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= KEPT_BYTES_MAX);
        text.and_then(|text| Checkpoint::parse(text).ok()).map(Self).ok_or(FollowError::Kept)
    }

    /// The log's head as it was seen: the size from which the next proof starts.
    pub fn head(&self) -> TreeHead {
        self.0.head
    }

    /// The next checkpoint (opened under a policy), if the log only grew in between. The proof is
    /// [`crate::proof::prove_consistency`] from [`Remembered::head`]'s size; empty if the size is the same.
    pub fn advance(&self, to: &Checkpoint, proof: &[Hash]) -> Result<Self, FollowError> {
        same_log_grown(&self.0.origin, self.0.head.size, to)?;
        verify_consistency(&self.0.head, &to.head, proof)?;
        Ok(Self(to.clone()))
    }
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Extensions prove nothing, and could be longer than what is read back.
        let Checkpoint { origin, head, extensions: _ } = &self.0;
        write!(f, "{}", Checkpoint { origin: origin.clone(), head: *head, extensions: Vec::new() })
    }
}

/// An entry that a monitor is to tell about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its index in the log, from 0.
    pub index: u64,
    /// What it says. An entry of a later version than this program is an event for everybody: it could be about any
    /// project.
    pub entry: Result<Entry, EntryError>,
}

/// A monitor's place in a log: every entry before it was read. Displayed, it is what the monitor keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    origin: Origin,
    peaks: Peaks,
}

impl Follower {
    /// From the first entry on.
    pub fn new(origin: Origin) -> Self {
        Self { origin, peaks: Peaks::default() }
    }

    /// What was kept, read back.
    pub fn parse(bytes: &[u8]) -> Result<Self, FollowError> {
        let read = || {
            let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= KEPT_BYTES_MAX)?;
            let mut lines = text.strip_suffix('\n')?.split('\n');
            let (origin, size) = (Origin::new(lines.next()?).ok()?, decimal(lines.next()?)?);
            let nodes = lines.map(Hash::from_base64).collect::<Option<Vec<_>>>()?;
            Some(Self { origin, peaks: Peaks::new(size, nodes).ok()? })
        };
        read().ok_or(FollowError::Kept)
    }

    /// How many entries were read.
    pub fn size(&self) -> u64 {
        self.peaks.size()
    }

    /// Begins to read up to a checkpoint (opened under a policy), for events on these projects, or on all.
    pub fn read(&self, to: &Checkpoint, projects: Option<BTreeSet<Project>>) -> Result<Reading, FollowError> {
        same_log_grown(&self.origin, self.size(), to)?;
        Ok(Reading { follower: self.clone(), to: to.head, projects, events: Vec::new() })
    }
}

impl fmt::Display for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.origin, self.size())?;
        self.peaks.nodes().iter().try_for_each(|node| writeln!(f, "{}", node.to_base64()))
    }
}

/// Entries being read. Nothing of them is told before the root that they make is the one that the log signed.
#[derive(Debug, Clone)]
pub struct Reading {
    follower: Follower,
    to: TreeHead,
    projects: Option<BTreeSet<Project>>,
    events: Vec<Event>,
}

impl Reading {
    /// The bundle to fetch next, and how many of its first entries were read before; nothing once all are read.
    pub fn next_bundle(&self) -> Option<(TileId, usize)> {
        let read = self.follower.size();
        let (index, skip) = (read / u64::from(TILE_WIDTH), (read % u64::from(TILE_WIDTH)) as usize);
        let width = (self.to.size.min(TREE_LEAVES_MAX) - index * u64::from(TILE_WIDTH)).min(TILE_WIDTH.into()) as u16;
        let id = if read < self.to.size { TileId::entries(index, width).ok() } else { None };
        id.map(|id| (id, skip))
    }

    /// Takes the bundle that [`Reading::next_bundle`] named, as its bytes. The full bundle of the same index does as
    /// well, where the partial one was cleared away.
    pub fn bundle(&mut self, bytes: &[u8]) -> Result<(), FollowError> {
        let Some((id, skip)) = self.next_bundle() else { return Err(FollowError::Entries) };
        let named = |id: Result<TileId, TileError>| id.and_then(|id| id.read_entries(bytes));
        let entries = named(Ok(id)).or_else(|_| named(id.full())).map_err(|_| FollowError::Entries)?;
        entries.into_iter().take(id.width().into()).skip(skip).try_for_each(|entry| self.entry(entry))
    }

    fn entry(&mut self, bytes: &[u8]) -> Result<(), FollowError> {
        let index = self.follower.size();
        self.follower.peaks.push(bytes).map_err(|_: TreeError| FollowError::Entries)?;
        let entry = Entry::parse(bytes);
        let wanted = match (&entry, &self.projects) {
            (Ok(entry), Some(projects)) => projects.contains(&entry.project),
            (Ok(_), None) | (Err(_), _) => true,
        };
        if wanted && self.events.len() == EVENTS_MAX {
            return Err(FollowError::TooMany);
        }
        if wanted {
            self.events.push(Event { index, entry });
        }
        Ok(())
    }

    /// What there is to tell, and where to go on from, if the entries are those that the log signed.
    pub fn finish(self) -> Result<(Follower, Vec<Event>), FollowError> {
        let (read, size) = (self.follower.size(), self.to.size);
        if read < size {
            return Err(FollowError::Unfinished { read, size });
        }
        let right = self.follower.peaks.head() == self.to;
        if right { Ok((self.follower, self.events)) } else { Err(FollowError::Entries) }
    }
}
