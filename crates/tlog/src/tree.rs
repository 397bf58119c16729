//! A tree that grows: what its publisher keeps of it, and what somebody who only follows it keeps.

use crate::checkpoint::{Checkpoint, Origin};
use crate::hash::{Hash, leaf_hash, node_hash};
use crate::proof::{ProofError, TreeHead, join};
use crate::tile::{ReadTile, TILE_WIDTH, TREE_LEAVES_MAX, TileError, TileId, bundle_hashes, full_root, push_entry};

/// Entries of one append, which bounds the memory of what it writes. A larger import is several.
pub const APPEND_ENTRIES_MAX: usize = 1 << 16;

/// Why a tree does not grow, or is not what its head says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// No tree is larger than [`TREE_LEAVES_MAX`].
    #[error("the log is full")]
    Full,
    /// More entries than [`APPEND_ENTRIES_MAX`].
    #[error("{0} entries at once, more than {APPEND_ENTRIES_MAX}")]
    TooMany(usize),
    /// An entry, a tile or a bundle is none.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// A tile or bundle of the right edge is not there.
    #[error("{0} is not there")]
    Missing(TileId),
    /// The right edge does not have the root that the head names: it was changed, or is of another tree.
    #[error("the stored tiles do not have the root of the checkpoint")]
    Root,
    /// The last bundle does not hash to the last tile.
    #[error("the entries of the last bundle do not have the hashes of the last tile")]
    Bundle,
    /// As many full nodes as the size has ones in binary make a tree.
    #[error("{found} nodes are not those of a tree of {size} leaves")]
    Peaks {
        /// What came.
        found: usize,
        /// Leaves of the tree.
        size: u64,
    },
}

impl From<ProofError> for TreeError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Tile(error) => Self::Tile(error),
            ProofError::Missing(tile) => Self::Missing(tile),
            ProofError::Outside { .. } => Self::Full,
            ProofError::Length { .. } | ProofError::NotIncluded | ProofError::Inconsistent => Self::Root,
        }
    }
}

/// A tree as its full nodes from the left, at most 63: enough to add leaves and to name the root, 2 kB at most.
///
/// A monitor that reads every entry keeps this: the root it reaches by itself is the proof of both consistency and
/// content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peaks {
    size: u64,
    nodes: Vec<Hash>,
}

impl Peaks {
    /// From what was kept: the size, and its nodes from the left.
    pub fn new(size: u64, nodes: Vec<Hash>) -> Result<Self, TreeError> {
        if size > TREE_LEAVES_MAX {
            return Err(TreeError::Full);
        }
        if nodes.len() != size.count_ones() as usize {
            return Err(TreeError::Peaks { found: nodes.len(), size });
        }
        Ok(Self { size, nodes })
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The full nodes, from the left.
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Adds one entry.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), TreeError> {
        if self.size >= TREE_LEAVES_MAX {
            return Err(TreeError::Full);
        }
        let full = self.nodes.len().saturating_sub(self.size.trailing_ones() as usize);
        let node = self.nodes.drain(full..).rev().fold(leaf_hash(entry), |right, left| node_hash(&left, &right));
        self.nodes.push(node);
        self.size += 1;
        Ok(())
    }

    /// The tree's head.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: join(&self.nodes) }
    }
}

/// A log as its publisher keeps it: whose it is, and the right edge, at most 255 hashes a level and 255 entries.
///
/// It is a function of the entries before it: kept, or read back from the store with [`Log::load`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    origin: Origin,
    size: u64,
    /// By level, the hashes that do not fill a tile yet.
    rows: Vec<Vec<Hash>>,
    /// The entries that do not fill a bundle yet, as a bundle holds them.
    bundle: Vec<u8>,
}

/// What an append asks to be written, and what then is so.
///
/// Write order: bundles and tiles, in any order (write-once under their names), the checkpoint last. Whoever sees a
/// checkpoint finds everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The log afterwards.
    pub next: Log,
    /// Hashes, under their paths: every tile that the append filled, then the partial ones that it changed.
    pub tiles: Vec<(TileId, Vec<u8>)>,
    /// Entries, under their paths: every bundle that the append filled, then the partial one.
    pub bundles: Vec<(TileId, Vec<u8>)>,
    /// What is to be signed ([`Checkpoint::sign`]), and served as `checkpoint`.
    pub checkpoint: Checkpoint,
}

impl Log {
    /// A log without an entry.
    pub fn new(origin: Origin) -> Self {
        Self { origin, size: 0, rows: Vec::new(), bundle: Vec::new() }
    }

    /// The partial tiles and the partial bundle from which [`Log::load`] reads a log of this size back.
    pub fn edge(size: u64) -> Result<Vec<TileId>, TreeError> {
        if size > TREE_LEAVES_MAX {
            return Err(TreeError::Full);
        }
        let mut edge = Vec::new();
        let (mut level, mut row) = (0, size);
        while row > 0 {
            let (index, width) = (row / 256, (row % 256) as u16);
            if width > 0 {
                edge.push(TileId::hashes(level, index, width)?);
                if level == 0 {
                    edge.push(TileId::entries(index, width)?);
                }
            }
            (level, row) = (level + 1, index);
        }
        Ok(edge)
    }

    /// A log read back from what was written: the tiles must have the head's root, the entries the tiles' hashes.
    pub fn load(origin: Origin, head: &TreeHead, store: &impl ReadTile) -> Result<Self, TreeError> {
        let mut log = Self { origin, size: head.size, rows: Vec::new(), bundle: Vec::new() };
        for id in Self::edge(head.size)? {
            let bytes = store.tile(id).ok_or(TreeError::Missing(id))?;
            let Some(level) = id.level() else {
                let hashes = bundle_hashes(&id.read_entries(&bytes)?);
                if log.rows.first() != Some(&hashes) {
                    return Err(TreeError::Bundle);
                }
                log.bundle = bytes;
                continue;
            };
            log.rows.resize(level.into(), Vec::new());
            log.rows.push(id.read(&bytes)?);
        }
        if log.head() == *head { Ok(log) } else { Err(TreeError::Root) }
    }

    /// Whose log this is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How many entries it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The full nodes of the tree, for whoever goes on by itself.
    pub fn peaks(&self) -> Peaks {
        let mut nodes = Vec::new();
        for row in self.rows.iter().rev() {
            let mut rest = row.as_slice();
            while !rest.is_empty() {
                let (full, after) = rest.split_at(1 << rest.len().ilog2());
                nodes.push(full_root(full));
                rest = after;
            }
        }
        Peaks { size: self.size, nodes }
    }

    /// The tree's head.
    pub fn head(&self) -> TreeHead {
        self.peaks().head()
    }

    /// What is to be signed of the log as it is.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { origin: self.origin.clone(), head: self.head(), extensions: Vec::new() }
    }

    /// Adds entries, as bytes ([`crate::Entry::print`]), all or none; the log itself stays as it is until the caller
    /// puts [`Written::next`] in its place. The same entries after the same log give the same bytes, so a crash is
    /// mended by doing it again. However entries are divided into appends, the same tree stands in the end.
    pub fn append<E: AsRef<[u8]>>(&self, entries: &[E]) -> Result<Written, TreeError> {
        if entries.len() > APPEND_ENTRIES_MAX {
            return Err(TreeError::TooMany(entries.len()));
        }
        if TREE_LEAVES_MAX - self.size < entries.len() as u64 {
            return Err(TreeError::Full);
        }
        let (mut next, mut tiles, mut bundles) = (self.clone(), Vec::new(), Vec::new());
        for entry in entries {
            next.push(entry.as_ref(), &mut tiles, &mut bundles)?;
        }
        for id in Self::edge(next.size)? {
            match id.level() {
                // A row of a higher level changes only where 256 leaves of the one below it came to an end.
                Some(level) if next.size >> (8 * level) != self.size >> (8 * level) => {
                    let row = next.rows.get(usize::from(level)).map(Vec::as_slice).unwrap_or_default();
                    tiles.push((id, tile_bytes(row)));
                }
                None if next.size != self.size => bundles.push((id, next.bundle.clone())),
                Some(_) | None => {}
            }
        }
        let checkpoint = next.checkpoint();
        Ok(Written { next, tiles, bundles, checkpoint })
    }

    /// One entry, and what it fills.
    fn push(
        &mut self,
        entry: &[u8],
        tiles: &mut Vec<(TileId, Vec<u8>)>,
        bundles: &mut Vec<(TileId, Vec<u8>)>,
    ) -> Result<(), TileError> {
        push_entry(&mut self.bundle, entry)?;
        self.size += 1;
        let (mut hash, mut row) = (leaf_hash(entry), self.size);
        if row.is_multiple_of(TILE_WIDTH.into()) {
            bundles.push((TileId::entries(row / 256 - 1, TILE_WIDTH)?, std::mem::take(&mut self.bundle)));
        }
        for level in 0_u8.. {
            let at = usize::from(level);
            self.rows.resize(self.rows.len().max(at + 1), Vec::new());
            let hashes = &mut self.rows[at];
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH.into() {
                break;
            }
            row /= 256;
            tiles.push((TileId::hashes(level, row - 1, TILE_WIDTH)?, tile_bytes(hashes)));
            hash = full_root(hashes);
            hashes.clear();
        }
        Ok(())
    }
}

fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}
