//! Tiles and entry bundles: the static files of a log (C2SP tlog-tiles), their names, and what may stand in them.

use std::collections::BTreeMap;
use std::fmt;

use crate::hash::{HASH_BYTES, Hash, decimal, leaf_hash, node_hash};

/// Hashes of a full tile, entries of a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Leaves of a tree: what a signed 64-bit number holds, so that a proof has at most 63 hashes (C2SP tlog-witness).
pub const TREE_LEAVES_MAX: u64 = i64::MAX as u64;
/// The highest level at which a tree of [`TREE_LEAVES_MAX`] leaves has a hash: 256^7 leaves fit into it, 256^8 do not.
pub const TILE_LEVEL_MAX: u8 = 7;
/// Bytes of an entry of anybody's log, from the length before it in a bundle.
pub const BUNDLE_ENTRY_BYTES_MAX: usize = u16::MAX as usize;
/// Bytes of a name of a tile or bundle that is looked at.
pub const TILE_PATH_BYTES_MAX: usize = 64;

/// Why bytes are not a tile, a bundle, or the name of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A level, an index or a width that no tile has.
    #[error("no tile or bundle has this level, index or width")]
    NoSuchTile,
    /// Not the one name of a tile or bundle.
    #[error("this is not the path of a tile or bundle")]
    Path,
    /// A tile with more or fewer bytes than its width says.
    #[error("the tile {path} has {found} bytes, not {expected}")]
    Length {
        /// The tile.
        path: String,
        /// What came.
        found: usize,
        /// What its width asks for.
        expected: usize,
    },
    /// A bundle that ends inside an entry, or has more or fewer entries than its width says.
    #[error("the bundle has not exactly the {expected} entries that its name says")]
    Entries {
        /// What its width asks for.
        expected: u16,
    },
    /// An entry that no bundle can hold.
    #[error("an entry has {found} bytes, more than {BUNDLE_ENTRY_BYTES_MAX}")]
    EntryTooLong {
        /// Its bytes.
        found: usize,
    },
}

/// What a file of the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Row {
    /// Hashes at `256^level` leaves each.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// Which tile or bundle: what stands in it, its index from the left, and how many of its 256 places are filled.
///
/// Displayed, it is the path below the log's prefix: `tile/0/x001/x234/067`, `tile/1/000.p/17`, `tile/entries/003`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    row: Row,
    index: u64,
    width: u16,
}

impl TileId {
    /// The tile of hashes at a level, at most [`TILE_LEVEL_MAX`], 1 to 256 wide.
    pub fn hashes(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        Self::new(Row::Hashes(level), index, width)
    }

    /// The bundle of entries that the level-0 tile of the same index hashes.
    pub fn entries(index: u64, width: u16) -> Result<Self, TileError> {
        Self::new(Row::Entries, index, width)
    }

    fn new(row: Row, index: u64, width: u16) -> Result<Self, TileError> {
        let level = match row {
            Row::Hashes(level) => level,
            Row::Entries => 0,
        };
        let fits = level <= TILE_LEVEL_MAX
            && (1..=TILE_WIDTH).contains(&width)
            && u128::from(index) * 256 + u128::from(width) <= u128::from(TREE_LEAVES_MAX >> (8 * u32::from(level)));
        if fits { Ok(Self { row, index, width }) } else { Err(TileError::NoSuchTile) }
    }

    /// The level of a tile of hashes; nothing for a bundle.
    pub fn level(self) -> Option<u8> {
        match self.row {
            Row::Hashes(level) => Some(level),
            Row::Entries => None,
        }
    }

    /// The index within its row, from the left, from 0.
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many hashes or entries it has: 1 to 256.
    pub fn width(self) -> u16 {
        self.width
    }

    /// Whether it never changes its name again.
    pub fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The same tile once it is full: what a client asks for when a partial one was cleared away.
    pub fn full(self) -> Result<Self, TileError> {
        Self::new(self.row, self.index, TILE_WIDTH)
    }

    /// The one spelling of a path, read back.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let read = || {
            let rest = path.strip_prefix("tile/")?;
            let (row, rest) = rest.split_once('/')?;
            let row = match row {
                "entries" => Row::Entries,
                level => Row::Hashes(decimal(level)?.try_into().ok()?),
            };
            let (index, width) = match rest.split_once(".p/") {
                Some((index, width)) => (index, decimal(width)?.try_into().ok()?),
                None => (rest, TILE_WIDTH),
            };
            let mut number = 0_u64;
            for part in index.split('/') {
                let digits: u16 = part.strip_prefix('x').unwrap_or(part).parse().ok()?;
                number = number.checked_mul(1000)?.checked_add(digits.into())?;
            }
            Self::new(row, number, width).ok()
        };
        let id = if path.len() <= TILE_PATH_BYTES_MAX { read() } else { None };
        // Whatever the parts let through, only what would be written is a name.
        id.filter(|id| id.to_string() == path).ok_or(TileError::Path)
    }

    /// The hashes of this tile, if the bytes are as many as its width says.
    pub fn read(self, bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
        let expected = HASH_BYTES * usize::from(self.width);
        if self.row == Row::Entries || bytes.len() != expected {
            return Err(TileError::Length { path: self.to_string(), found: bytes.len(), expected });
        }
        let (hashes, _) = bytes.as_chunks();
        Ok(hashes.iter().map(|hash| Hash(*hash)).collect())
    }

    /// The entries of this bundle, if it has as many as its width says and nothing else.
    pub fn read_entries(self, mut bytes: &[u8]) -> Result<Vec<&[u8]>, TileError> {
        let wrong = TileError::Entries { expected: self.width };
        if self.row != Row::Entries {
            return Err(wrong);
        }
        let mut entries = Vec::with_capacity(self.width.into());
        for _ in 0..self.width {
            let Some((length, rest)) = bytes.split_first_chunk() else { return Err(wrong) };
            let Some((entry, rest)) = rest.split_at_checked(u16::from_be_bytes(*length).into()) else {
                return Err(wrong);
            };
            entries.push(entry);
            bytes = rest;
        }
        if bytes.is_empty() { Ok(entries) } else { Err(wrong) }
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Row::Hashes(level) => write!(f, "tile/{level}/")?,
            Row::Entries => f.write_str("tile/entries/")?,
        }
        let mut divisor = 1_u64;
        while self.index / divisor >= 1000 {
            divisor *= 1000;
        }
        while divisor > 1 {
            write!(f, "x{:03}/", self.index / divisor % 1000)?;
            divisor /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// One entry as a bundle holds it, appended: its length in two big-endian bytes, and itself.
pub(crate) fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TileError> {
    let length = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong { found: entry.len() })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The leaf hashes of a bundle: the level-0 tile that stands beside it.
pub fn bundle_hashes(entries: &[&[u8]]) -> Vec<Hash> {
    entries.iter().map(|entry| leaf_hash(entry)).collect()
}

/// The root of the full tree over hashes, whose number is a power of two.
pub(crate) fn full_root(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    row.first().copied().unwrap_or_else(Hash::of_nothing)
}

/// Somebody who has the tiles: a store, a cache, what was fetched before.
///
/// Synchronous: who must wait for tiles asks a plan (such as [`crate::proof::inclusion_tiles`]) which ones, fetches
/// them side by side, and hands over a map.
pub trait ReadTile {
    /// The bytes of exactly this tile, or nothing if they are not there. They may be any bytes: whatever is made of
    /// them is checked against a root.
    fn tile(&self, id: TileId) -> Option<Vec<u8>>;
}

impl ReadTile for BTreeMap<TileId, Vec<u8>> {
    fn tile(&self, id: TileId) -> Option<Vec<u8>> {
        self.get(&id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_as_the_specification_writes_them() {
        let id = |level, index, width| TileId::hashes(level, index, width).unwrap();
        for (id, path) in [
            (id(0, 1_234_067, 256), "tile/0/x001/x234/067"),
            (id(1, 0, 17), "tile/1/000.p/17"),
            (id(0, 273, 112), "tile/0/273.p/112"),
            (id(0, 1000, 256), "tile/0/x001/000"),
            (TileId::entries(999, 1).unwrap(), "tile/entries/999.p/1"),
        ] {
            assert_eq!(id.to_string(), path);
            assert_eq!(TileId::parse(path), Ok(id));
        }
        for bad in [
            "",
            "tile/0/67",
            "tile/00/067",
            "tile/64/067",
            "tile/8/000",
            "tile/0/x000/067",
            "tile/0/001/067",
            "tile/0/x001/x067",
            "tile/0/067.p/0",
            "tile/0/067.p/256",
            "tile/0/067.p/017",
            "tile/0/067.p/1/",
            "tile/0/+67",
            "tile/data/067",
            "tile/0/067.p/",
            "/tile/0/067",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(TileId::parse(bad), Err(TileError::Path), "{bad}");
        }
    }

    #[test]
    fn no_tile_reaches_past_the_largest_tree() {
        let last = TREE_LEAVES_MAX / 256;
        assert!(TileId::hashes(0, last, 255).is_ok());
        assert_eq!(TileId::hashes(0, last, 256), Err(TileError::NoSuchTile));
        assert!(TileId::hashes(TILE_LEVEL_MAX, 0, 127).is_ok());
        assert_eq!(TileId::hashes(TILE_LEVEL_MAX, 0, 128), Err(TileError::NoSuchTile));
        assert_eq!(TileId::hashes(TILE_LEVEL_MAX + 1, 0, 1), Err(TileError::NoSuchTile));
        assert_eq!(TileId::entries(0, 0), Err(TileError::NoSuchTile));
        assert_eq!(TileId::entries(0, 257), Err(TileError::NoSuchTile));
    }

    #[test]
    fn contents_have_exactly_the_width_of_the_name() {
        let tile = TileId::hashes(0, 0, 2).unwrap();
        assert_eq!(tile.read(&[7; 64]).unwrap(), [Hash([7; 32]); 2]);
        for length in [0, 63, 65, 96] {
            assert!(matches!(tile.read(&vec![7; length]), Err(TileError::Length { .. })), "{length}");
        }
        let (bundle, mut bytes) = (TileId::entries(0, 2).unwrap(), Vec::new());
        push_entry(&mut bytes, b"one").unwrap();
        push_entry(&mut bytes, b"").unwrap();
        assert_eq!(bundle.read_entries(&bytes).unwrap(), [&b"one"[..], b""]);
        for length in 0..bytes.len() {
            assert!(bundle.read_entries(&bytes[..length]).is_err(), "{length}");
        }
        bytes.push(0);
        assert!(bundle.read_entries(&bytes).is_err());
        assert!(bundle.read(&bytes).is_err() && tile.read_entries(&bytes).is_err());
        assert!(push_entry(&mut bytes, &vec![0; BUNDLE_ENTRY_BYTES_MAX]).is_ok());
        let found = BUNDLE_ENTRY_BYTES_MAX + 1;
        assert_eq!(push_entry(&mut bytes, &vec![0; found]), Err(TileError::EntryTooLong { found }));
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_what_it_would_be_written_as(text in "tile/([0-9]|entries)/(x[0-9]{3}/){0,3}[0-9x]{1,4}(\\.p/[0-9]{0,4})?|.{0,80}") {
            if let Ok(id) = TileId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn any_tile_has_a_name(level in 0_u8..=7, index in any::<u64>(), width in 1_u16..=256) {
            if let Ok(id) = TileId::hashes(level, index.checked_shr(8 + 8 * u32::from(level)).unwrap_or(0), width) {
                prop_assert_eq!(TileId::parse(&id.to_string()), Ok(id));
            }
        }

        #[test]
        fn any_bytes_are_a_bundle_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600), width in 1_u16..=256) {
            let id = TileId::entries(0, width).unwrap();
            if let Ok(entries) = id.read_entries(&bytes) {
                let mut again = Vec::new();
                entries.iter().for_each(|entry| push_entry(&mut again, entry).unwrap());
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
