use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{Site, grow, grown, naive_root, numbers, origin};
use crate::hash::{Hash, leaf_hash};
use crate::proof::{
    PROOF_HASHES_MAX, ProofError, TreeHead, consistency_tiles, inclusion_tiles, prove_consistency, prove_inclusion,
    root_of_tiles, verify_consistency, verify_inclusion,
};
use crate::tile::{TREE_LEAVES_MAX, TileId};
use crate::tree::{APPEND_ENTRIES_MAX, Log, Peaks, TreeError};

/// The leaves that Certificate Transparency's implementations test with, and the roots of their first 1 to 8.
const LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hashes(hex: &[&str]) -> Vec<Hash> {
    hex.iter().map(|hex| Hash::from_hex(hex).unwrap()).collect()
}

#[test]
fn roots_and_proofs_known_from_certificate_transparency() {
    let leaves: Vec<Vec<u8>> = LEAVES.iter().map(|leaf| leaf.to_vec()).collect();
    let head = |size: usize| TreeHead { size: size as u64, root: Hash::from_hex(ROOTS[size]).unwrap() };
    for size in 0..=8 {
        assert_eq!(grown(&leaves[..size]).0.head(), head(size));
    }
    let inclusion: [(u64, usize, &[&str]); 2] = [
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (0, 1, &[]),
    ];
    for (index, size, proof) in inclusion {
        let (proof, site) = (hashes(proof), grown(&leaves[..size]).1);
        assert_eq!(prove_inclusion(index, size as u64, &site), Ok(proof.clone()));
        assert_eq!(verify_inclusion(&leaf_hash(&leaves[index as usize]), index, &head(size), &proof), Ok(()));
    }
    let consistency: [(usize, usize, &[&str]); 3] = [
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (old, size, proof) in consistency {
        let (proof, site) = (hashes(proof), grown(&leaves[..size]).1);
        assert_eq!(prove_consistency(old as u64, size as u64, &site), Ok(proof.clone()));
        assert_eq!(verify_consistency(&head(old), &head(size), &proof), Ok(()));
    }
}

#[test]
fn the_specifications_tree_of_70_000() {
    // C2SP tlog-tiles: 273 full tiles and one of 112 at level 0; one full and one of 17 at level 1; one of 1 above.
    let entries = numbers(70_000);
    let (mut log, mut site) = (Log::new(origin()), Site::new());
    entries.chunks(APPEND_ENTRIES_MAX).for_each(|some| grow(&mut log, &mut site, some));
    let count = |level, full| site.keys().filter(|id| id.level() == Some(level) && id.is_full() == full).count();
    assert_eq!((count(0, true), count(1, true), count(2, true)), (273, 1, 0));
    // The first append ended on a boundary of level 0 and 1, and left one partial tile, at level 2.
    assert_eq!((count(0, false), count(1, false), count(2, false)), (1, 1, 1));
    let edge: Vec<String> = Log::edge(70_000).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(edge, ["tile/0/273.p/112", "tile/entries/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert!(edge.iter().all(|path| site.contains_key(&TileId::parse(path).unwrap())));
    assert_eq!(log.head().root, naive_root(&entries));
    assert_eq!(root_of_tiles(70_000, &site), Ok(log.head().root));
    for index in [0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999] {
        let proof = prove_inclusion(index, 70_000, &site).unwrap();
        let leaf = leaf_hash(&entries[index as usize]);
        assert_eq!(verify_inclusion(&leaf, index, &log.head(), &proof), Ok(()), "{index}");
        assert!(verify_inclusion(&leaf, index ^ 1, &log.head(), &proof).is_err(), "{index}");
    }
}

#[test]
fn limits_of_trees_and_appends() {
    let log = Log::new(origin());
    let many = vec![b""; APPEND_ENTRIES_MAX + 1];
    assert!(log.append(&many[1..]).is_ok());
    assert_eq!(log.append(&many), Err(TreeError::TooMany(APPEND_ENTRIES_MAX + 1)));
    assert!(log.append(&[vec![0; 65_535]]).is_ok());
    assert!(matches!(log.append(&[vec![0; 65_536]]), Err(TreeError::Tile(_))));
    let full = vec![Hash([0; 32]); PROOF_HASHES_MAX];
    let mut last = Peaks::new(TREE_LEAVES_MAX, full.clone()).unwrap();
    assert_eq!(last.push(b""), Err(TreeError::Full));
    assert_eq!(Peaks::new(TREE_LEAVES_MAX + 1, full[1..].to_vec()), Err(TreeError::Full));
    assert_eq!(Peaks::new(TREE_LEAVES_MAX - 1, full), Err(TreeError::Peaks { found: 63, size: TREE_LEAVES_MAX - 1 }));
    // The largest tree's proofs are no longer than a proof may be, and ask for tiles that have names.
    assert!(inclusion_tiles(0, TREE_LEAVES_MAX).unwrap().len() <= 8 * PROOF_HASHES_MAX);
    assert!(consistency_tiles(TREE_LEAVES_MAX / 3, TREE_LEAVES_MAX).is_ok());
    assert_eq!(Log::edge(TREE_LEAVES_MAX).unwrap().len(), 9);
    let (what, size) = (0, TREE_LEAVES_MAX + 1);
    assert_eq!(inclusion_tiles(what, size), Err(ProofError::Outside { what, size }));
    assert_eq!(consistency_tiles(what, size), Err(ProofError::Outside { what, size }));
    assert_eq!(inclusion_tiles(3, 3), Err(ProofError::Outside { what: 3, size: 3 }));
    assert_eq!(consistency_tiles(4, 3), Err(ProofError::Outside { what: 4, size: 3 }));
    assert_eq!(Log::edge(size), Err(TreeError::Full));
}

#[test]
fn every_proof_of_every_small_tree() {
    let entries = numbers(40);
    let trees: Vec<(Log, Site)> = (0..=40).map(|size| grown(&entries[..size])).collect();
    for (size, (log, site)) in trees.iter().enumerate() {
        let head = log.head();
        for index in 0..size {
            let proof = prove_inclusion(index as u64, size as u64, site).unwrap();
            for (claimed, entry) in entries.iter().enumerate() {
                let verdict = verify_inclusion(&leaf_hash(entry), index as u64, &head, &proof);
                assert_eq!(verdict.is_ok(), claimed == index, "{claimed} at {index} of {size}");
            }
        }
        for (old, (older, _)) in trees[..=size].iter().enumerate() {
            let proof = prove_consistency(old as u64, size as u64, site).unwrap();
            assert_eq!(verify_consistency(&older.head(), &head, &proof), Ok(()), "{old} to {size}");
            let other = TreeHead { root: Hash([1; 32]), ..older.head() };
            assert!(verify_consistency(&other, &head, &proof).is_err(), "another {old} to {size}");
            let longer = [proof.as_slice(), &[head.root]].concat();
            assert_eq!(
                verify_consistency(&older.head(), &head, &longer),
                Err(ProofError::Length { found: longer.len() })
            );
            if let [_, shorter @ ..] = proof.as_slice() {
                assert_eq!(
                    verify_consistency(&older.head(), &head, shorter),
                    Err(ProofError::Length { found: shorter.len() })
                );
            }
        }
    }
}

#[test]
fn a_stored_edge_is_checked_against_its_head() {
    let (log, site) = grown(&numbers(700));
    let load = |site: &Site| Log::load(origin(), &log.head(), site);
    assert_eq!(load(&site), Ok(log.clone()));
    assert_eq!(Log::load(origin(), &Log::new(origin()).head(), &Site::new()), Ok(Log::new(origin())));
    for id in Log::edge(700).unwrap() {
        let mut without = site.clone();
        let mut bytes = without.remove(&id).unwrap();
        assert_eq!(load(&without), Err(TreeError::Missing(id)));
        *bytes.last_mut().unwrap() ^= 1;
        without.insert(id, bytes);
        // Changed hashes miss the head's root, or already the entries; changed entries miss the hashes.
        assert!(matches!(load(&without), Err(TreeError::Root | TreeError::Bundle)), "{id}");
        without.insert(id, Vec::new());
        assert!(matches!(load(&without), Err(TreeError::Tile(_))), "{id}");
    }
    let other = TreeHead { size: 700, root: Hash([0; 32]) };
    assert_eq!(Log::load(origin(), &other, &site), Err(TreeError::Root));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn however_entries_are_divided_the_same_tree_stands(parts in vec(0_usize..400, 0..8), odd in vec(any::<u8>(), 0..40)) {
        let mut entries = numbers(parts.iter().sum::<usize>() as u32);
        entries.iter_mut().step_by(7).for_each(|entry| entry.extend_from_slice(&odd));
        let (mut log, mut site) = (Log::new(origin()), Site::new());
        let (mut peaks, mut rest) = (Peaks::default(), entries.as_slice());
        for part in parts {
            let (some, after) = rest.split_at(part);
            grow(&mut log, &mut site, some);
            some.iter().for_each(|entry| peaks.push(entry).unwrap());
            prop_assert_eq!(&Log::load(origin(), &log.head(), &site), &Ok(log.clone()));
            rest = after;
        }
        let (at_once, fresh) = grown(&entries);
        prop_assert_eq!(&at_once, &log);
        prop_assert_eq!(log.head().root, naive_root(&entries));
        prop_assert_eq!(peaks, log.peaks());
        prop_assert!(fresh.iter().all(|(id, bytes)| site.get(id) == Some(bytes)));
    }

    #[test]
    fn every_proof_verifies_and_no_flipped_bit_does(
        size in 1_u32..1500, leaf in any::<Index>(), old in any::<Index>(), bit in any::<Index>(),
    ) {
        let entries = numbers(size);
        let (log, site) = grown(&entries);
        let (head, index, old) = (log.head(), leaf.index(entries.len()), old.index(entries.len() + 1));
        let needed = |tiles: std::collections::BTreeSet<TileId>| -> Site {
            tiles.into_iter().map(|id| (id, site[&id].clone())).collect()
        };
        let leaf = leaf_hash(&entries[index]);
        let tiles = needed(inclusion_tiles(index as u64, head.size).unwrap());
        let proof = prove_inclusion(index as u64, head.size, &tiles).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf, index as u64, &head, &proof), Ok(()));
        if !proof.is_empty() {
            let wrong = flipped(&proof, bit);
            prop_assert_eq!(verify_inclusion(&leaf, index as u64, &head, &wrong), Err(ProofError::NotIncluded));
        }
        let older = grown(&entries[..old]).0.head();
        let tiles = needed(consistency_tiles(older.size, head.size).unwrap());
        let proof = prove_consistency(older.size, head.size, &tiles).unwrap();
        prop_assert_eq!(verify_consistency(&older, &head, &proof), Ok(()));
        if !proof.is_empty() {
            let wrong = flipped(&proof, bit);
            prop_assert_eq!(verify_consistency(&older, &head, &wrong), Err(ProofError::Inconsistent));
        }
    }

    #[test]
    fn a_tampered_tile_proves_nothing(size in 2_u32..700, leaf in any::<Index>(), tile in any::<Index>(), bit in any::<Index>()) {
        let entries = numbers(size);
        let (log, site) = grown(&entries);
        let index = leaf.index(entries.len());
        let ids: Vec<TileId> = inclusion_tiles(index as u64, size.into()).unwrap().into_iter().collect();
        let id = ids[tile.index(ids.len())];
        let (mut tampered, mut missing) = (site.clone(), site.clone());
        let bytes = tampered.get_mut(&id).unwrap();
        let at = bit.index(bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        let (honest, proof) = (prove_inclusion(index as u64, size.into(), &site), prove_inclusion(index as u64, size.into(), &tampered).unwrap());
        let verdict = verify_inclusion(&leaf_hash(&entries[index]), index as u64, &log.head(), &proof);
        // The flipped bit may be in a hash that this proof does not read: the leaf's own.
        prop_assert_eq!(verdict.is_ok(), honest == Ok(proof));
        missing.remove(&id);
        prop_assert_eq!(prove_inclusion(index as u64, size.into(), &missing), Err(ProofError::Missing(id)));
        missing.insert(id, vec![0; 31]);
        prop_assert!(matches!(prove_inclusion(index as u64, size.into(), &missing), Err(ProofError::Tile(_))));
    }

    #[test]
    fn any_proof_of_any_sizes_is_judged(old in any::<u64>(), size in any::<u64>(), hashes in vec(any::<[u8; 32]>(), 0..70)) {
        let proof: Vec<Hash> = hashes.into_iter().map(Hash).collect();
        let (older, newer) = (TreeHead { size: old, root: Hash([1; 32]) }, TreeHead { size, root: Hash([2; 32]) });
        prop_assert!(verify_consistency(&older, &newer, &proof).is_err());
        prop_assert!(verify_inclusion(&Hash([3; 32]), old, &newer, &proof).is_err());
    }
}

fn flipped(proof: &[Hash], bit: Index) -> Vec<Hash> {
    let (mut wrong, at) = (proof.to_vec(), bit.index(proof.len() * 256));
    wrong[at / 256].0[at % 256 / 8] ^= 1 << (at % 8);
    wrong
}
