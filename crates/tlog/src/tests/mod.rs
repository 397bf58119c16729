//! The log from outside: known vectors, an independent recomputation, and everybody who means harm.

use std::collections::BTreeMap;

use crate::entry::{Act, Commitment, Entry, FileName, LoggedFile, Project};
use crate::hash::{Hash, node_hash, sha256};
use crate::note::{KeyKind, KeyName, MemorySigner};
use crate::tile::TileId;
use crate::tree::Written;
use crate::{Account, Log, Origin};

mod entries;
mod follow;
mod notes;
mod trees;
mod witness;

pub(super) type Site = BTreeMap<TileId, Vec<u8>>;

pub(super) fn origin() -> Origin {
    Origin::new("index.example/main").unwrap()
}

pub(super) fn signer(name: &str, kind: KeyKind, seed: u8) -> MemorySigner {
    MemorySigner::from_seed(KeyName::new(name).unwrap(), kind, &[seed; 32]).unwrap()
}

/// The tree hash as RFC 6962, 2.1 defines it, word by word, from the leaves each time.
pub(super) fn naive_root(entries: &[Vec<u8>]) -> Hash {
    match entries {
        [] => sha256(b""),
        [one] => sha256(&[&[0], one.as_slice()].concat()),
        many => {
            let mut middle = 1;
            while middle * 2 < many.len() {
                middle *= 2;
            }
            let (left, right) = many.split_at(middle);
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// Appends, and writes what is asked for; nothing that stands is ever written over with something else.
pub(super) fn grow(log: &mut Log, site: &mut Site, entries: &[Vec<u8>]) {
    let Written { next, tiles, bundles, checkpoint } = log.append(entries).unwrap();
    for (id, bytes) in tiles.into_iter().chain(bundles) {
        let before = site.insert(id, bytes.clone());
        assert!(before.is_none_or(|before| before == bytes), "{id} is written once");
    }
    assert_eq!(checkpoint.head(), next.head());
    *log = next;
}

pub(super) fn grown(entries: &[Vec<u8>]) -> (Log, Site) {
    let (mut log, mut site) = (Log::new(origin()), Site::new());
    grow(&mut log, &mut site, entries);
    (log, site)
}

/// That many different entries, in no format.
pub(super) fn numbers(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_be_bytes().to_vec()).collect()
}

pub(super) fn account(byte: u8) -> Account {
    Account { id: [byte; 16], commitment: Commitment(Hash([byte; 32])) }
}

pub(super) fn published(project: &str, version: u32) -> Entry {
    let name = FileName::new(&format!("{project}-{version}.tar.gz")).unwrap();
    let file = LoggedFile { name, sha256: Hash([3; 32]) };
    let (project, page, by) = (Project::new(project).unwrap(), Some(Hash([4; 32])), Some(account(5)));
    Entry { time: u64::from(version), project, act: Act::Publish(file), page, by }
}
