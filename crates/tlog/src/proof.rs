//! Proofs of RFC 6962 (2.1.1, 2.1.2): made from tiles, and checked without any.

use std::collections::BTreeSet;

use crate::hash::{Hash, node_hash};
use crate::tile::{ReadTile, TILE_WIDTH, TREE_LEAVES_MAX, TileError, TileId, full_root};

/// Hashes of a proof: one for each level of the largest tree (C2SP tlog-witness says the same).
pub const PROOF_HASHES_MAX: usize = 63;

/// A tree at one time: how many leaves, and the hash that binds them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// Leaves, at most [`TREE_LEAVES_MAX`].
    pub size: u64,
    /// The Merkle tree hash over them.
    pub root: Hash,
}

/// Why there is no proof, or why one proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf or the older tree lies outside the tree, or the tree is larger than any.
    #[error("{what} is outside a tree of {size} leaves")]
    Outside {
        /// The index of the leaf, or the size of the older tree.
        what: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// A tile that the proof needs is not there.
    #[error("the tile {0} is not there")]
    Missing(TileId),
    /// A tile is none.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// The proof has more or fewer hashes than this proof has.
    #[error("the proof has {found} hashes, not as many as the sizes ask for")]
    Length {
        /// What came.
        found: usize,
    },
    /// The leaf is not in the tree at this place, or the proof is of another leaf, place or tree.
    #[error("the proof does not lead to the root: the log does not hold this entry there")]
    NotIncluded,
    /// The larger tree does not begin with the smaller one: the log changed or dropped entries, or shows different
    /// people different trees. Or the proof is of other trees.
    #[error("the proof does not join the two trees: the log's past has been changed")]
    Inconsistent,
}

/// Leaves `from..to`, which are a node of the tree: full, or its ragged right edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: u64,
    to: u64,
}

/// The largest power of two below a number over 1: where RFC 6962 divides that many leaves.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The largest power of two that is no more than a number over 0.
fn power_in(leaves: u64) -> u64 {
    1 << leaves.ilog2()
}

/// The nodes of an inclusion proof, the deepest first.
fn inclusion_spans(index: u64, size: u64) -> Result<Vec<Span>, ProofError> {
    if index >= size || size > TREE_LEAVES_MAX {
        return Err(ProofError::Outside { what: index, size });
    }
    let (mut from, mut to, mut spans) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            spans.push(Span { from: middle, to });
            to = middle;
        } else {
            spans.push(Span { from, to: middle });
            from = middle;
        }
    }
    spans.reverse();
    Ok(spans)
}

/// The nodes of a consistency proof, the deepest first.
fn consistency_spans(old: u64, size: u64) -> Result<Vec<Span>, ProofError> {
    if old > size || size > TREE_LEAVES_MAX {
        return Err(ProofError::Outside { what: old, size });
    }
    let (mut from, mut to, mut spans) = (0, size, Vec::new());
    while old != to && old != 0 {
        let middle = from + split(to - from);
        if old <= middle {
            spans.push(Span { from: middle, to });
            to = middle;
        } else {
            spans.push(Span { from, to: middle });
            from = middle;
        }
    }
    // The node at which the search ended is the older tree itself as long as it went to the left only, and its root
    // is known to whoever asks.
    if from > 0 {
        spans.push(Span { from, to });
    }
    spans.reverse();
    Ok(spans)
}

/// A full node: the tile whose row holds it, and the hashes of that row below it.
struct Place {
    tile: TileId,
    from: usize,
    count: usize,
}

/// The full nodes of a span, from the left; each lies within one tile.
fn places(span: Span, size: u64) -> Result<Vec<Place>, ProofError> {
    let (mut from, mut places) = (span.from, Vec::new());
    while from < span.to {
        let leaves = power_in(span.to - from);
        let (level, within) = (leaves.ilog2() / 8, leaves.ilog2() % 8);
        let (row, first) = (size >> (8 * level), from >> (8 * level));
        let index = first / u64::from(TILE_WIDTH);
        let width = (row - index * u64::from(TILE_WIDTH)).min(TILE_WIDTH.into());
        let tile = TileId::hashes(level as u8, index, width as u16)?;
        places.push(Place { tile, from: (first % u64::from(TILE_WIDTH)) as usize, count: 1 << within });
        from += leaves;
    }
    Ok(places)
}

/// The hash over full nodes, from the left: RFC 6962 joins them from the right.
pub(crate) fn join(nodes: &[Hash]) -> Hash {
    let joined = nodes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
    joined.unwrap_or_else(Hash::of_nothing)
}

fn hash_of(span: Span, size: u64, tiles: &impl ReadTile) -> Result<Hash, ProofError> {
    let mut nodes = Vec::new();
    for Place { tile, from, count } in places(span, size)? {
        let hashes = tile.read(&tiles.tile(tile).ok_or(ProofError::Missing(tile))?)?;
        let below = hashes.get(from..from + count).ok_or(ProofError::Tile(TileError::NoSuchTile))?;
        nodes.push(full_root(below));
    }
    Ok(join(&nodes))
}

fn hashes_of(spans: &[Span], size: u64, tiles: &impl ReadTile) -> Result<Vec<Hash>, ProofError> {
    spans.iter().map(|span| hash_of(*span, size, tiles)).collect()
}

fn tiles_of(spans: &[Span], size: u64) -> Result<BTreeSet<TileId>, ProofError> {
    let mut tiles = BTreeSet::new();
    for span in spans {
        tiles.extend(places(*span, size)?.into_iter().map(|place| place.tile));
    }
    Ok(tiles)
}

/// The tiles from which [`prove_inclusion`] makes its proof.
pub fn inclusion_tiles(index: u64, size: u64) -> Result<BTreeSet<TileId>, ProofError> {
    tiles_of(&inclusion_spans(index, size)?, size)
}

/// That a leaf stands at an index (from 0) of a tree, from its tiles. The tiles are believed: a proof made from
/// tampered ones does not verify.
pub fn prove_inclusion(index: u64, size: u64, tiles: &impl ReadTile) -> Result<Vec<Hash>, ProofError> {
    hashes_of(&inclusion_spans(index, size)?, size, tiles)
}

/// The tiles from which [`prove_consistency`] makes its proof.
pub fn consistency_tiles(old: u64, size: u64) -> Result<BTreeSet<TileId>, ProofError> {
    tiles_of(&consistency_spans(old, size)?, size)
}

/// That the tree of `size` leaves begins with the tree of `old` leaves, from the larger one's tiles. Empty where the
/// older tree is empty or the same. The tiles are believed, as for inclusion.
pub fn prove_consistency(old: u64, size: u64, tiles: &impl ReadTile) -> Result<Vec<Hash>, ProofError> {
    hashes_of(&consistency_spans(old, size)?, size, tiles)
}

/// The tiles from which [`root_of_tiles`] makes a root: the right edge.
pub fn edge_tiles(size: u64) -> Result<BTreeSet<TileId>, ProofError> {
    if size > TREE_LEAVES_MAX {
        return Err(ProofError::Outside { what: size, size });
    }
    tiles_of(&[Span { from: 0, to: size }], size)
}

/// The root of a tree, from its tiles.
pub fn root_of_tiles(size: u64, tiles: &impl ReadTile) -> Result<Hash, ProofError> {
    edge_tiles(size)?;
    hash_of(Span { from: 0, to: size }, size, tiles)
}

/// Whether the leaf with this hash stands at this index of the tree (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, head: &TreeHead, proof: &[Hash]) -> Result<(), ProofError> {
    let spans = inclusion_spans(index, head.size)?;
    if proof.len() != spans.len() {
        return Err(ProofError::Length { found: proof.len() });
    }
    let root = spans.iter().zip(proof).fold(*leaf, |below, (beside, hash)| {
        if beside.from > index { node_hash(&below, hash) } else { node_hash(hash, &below) }
    });
    if root == head.root { Ok(()) } else { Err(ProofError::NotIncluded) }
}

/// Whether the newer tree begins with the older one (RFC 9162, 2.1.4.2).
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> Result<(), ProofError> {
    let spans = consistency_spans(old.size, new.size)?;
    if proof.len() != spans.len() {
        return Err(ProofError::Length { found: proof.len() });
    }
    let empty = |head: &TreeHead| head.size > 0 || head.root == Hash::of_nothing();
    let known = if old.size == 0 || old.size == new.size {
        // Nothing to join: the same tree, or one that begins with nothing.
        empty(old) && empty(new) && (old.size == 0 && new.size > 0 || old.root == new.root)
    } else {
        let mut nodes = spans.iter().zip(proof);
        // Where the older tree is itself a node of the newer one, its root is where both begin.
        let start = if old.size.is_power_of_two() { Some(old.root) } else { nodes.next().map(|(_, hash)| *hash) };
        let Some(start) = start else { return Err(ProofError::Length { found: proof.len() }) };
        let (older, newer) = nodes.fold((start, start), |(older, newer), (beside, hash)| {
            if beside.from >= old.size {
                (older, node_hash(&newer, hash))
            } else {
                (node_hash(hash, &older), node_hash(hash, &newer))
            }
        });
        older == old.root && newer == new.root
    };
    if known { Ok(()) } else { Err(ProofError::Inconsistent) }
}
