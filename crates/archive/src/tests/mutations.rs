//! Random damage: nothing panics, and what is still accepted reads the same to independent readers.
//!
//! `PROPTEST_CASES=200000 cargo test --release -p archive mutations` looks longer. The other readers are the `zip` and `tar` crates, which know nothing of ours: the one goes by the
//! central directory, the other through the stream.

use std::io::Read;

use proptest::prelude::*;

use super::build::{
    End64, TarHead, Wheel, ZipEnd, ZipMember, file, gzip, pax, sdist_entries, tar, tar_entry, tar_file, zip, zip_with,
};
use crate::contents::Wanted;
use crate::input::Input;
use crate::limits::Budget;
use crate::{Limits, Report, Subject, examine, kind};

/// Path, whether it is a folder, size: what a listing shows.
type Listing = Vec<(String, bool, u64)>;

/// Our reading; nothing unless the archive is accepted.
fn ours(bytes: &[u8]) -> Option<(kind::Kind, Listing)> {
    let (file, limits, wanted) = (file(bytes), Limits::default(), Wanted::default());
    let mut input = Input::new(&file).ok()?;
    let mut budget = Budget::new(&limits, input.bytes());
    let mut report = Report::default();
    let found = kind::of(&mut input).ok()?;
    let contents = match found {
        kind::Kind::Zip => {
            crate::zip::Zip::open(&file, input, &mut budget).ok()?.read(&wanted, &mut budget, &mut report).ok()?
        }
        kind::Kind::TarGz => crate::tar::read(input, true, &wanted, &mut budget, &mut report).ok()?,
        kind::Kind::Tar => crate::tar::read(input, false, &wanted, &mut budget, &mut report).ok()?,
    };
    let list = |member: &crate::contents::Member| (member.path.to_string(), member.folder, member.bytes);
    let mut listing: Listing = contents.members().iter().map(list).collect();
    listing.sort();
    report.rejections.is_empty().then_some((found, listing))
}

/// The central reading.
fn zip_crate(bytes: &[u8]) -> Listing {
    let mut archive = ::zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("an accepted ZIP opens");
    let mut listing: Listing = (0..archive.len())
        .map(|index| {
            let mut member = archive.by_index(index).expect("an accepted member opens");
            let mut data = vec![];
            member.read_to_end(&mut data).expect("an accepted member inflates");
            let name = member.name().expect("an accepted name is read").trim_end_matches('/').to_owned();
            (name, member.is_dir(), data.len() as u64)
        })
        .collect();
    listing.sort();
    listing
}

fn tar_crate(reader: impl Read) -> Listing {
    let mut archive = ::tar::Archive::new(reader);
    let mut listing: Listing = archive
        .entries()
        .expect("an accepted tar opens")
        .filter_map(|entry| {
            let mut entry = entry.expect("an accepted member is read");
            if entry.header().entry_type().is_pax_global_extensions() {
                return None;
            }
            let path = String::from_utf8(entry.path_bytes().into_owned()).expect("an accepted name is UTF-8");
            let mut data = vec![];
            entry.read_to_end(&mut data).expect("an accepted member is whole");
            Some((path.trim_end_matches('/').to_owned(), entry.header().entry_type().is_dir(), data.len() as u64))
        })
        .collect();
    listing.sort();
    listing
}

/// Reads the bytes in all ways; returns whether they were accepted.
fn compare(bytes: &[u8]) -> bool {
    for subject in [
        Subject::AnyArchive,
        Subject::Distribution("pkg-1.0-py3-none-any.whl".into()),
        Subject::Distribution("pkg-1.0.tar.gz".into()),
    ] {
        examine(&file(bytes), &subject, &Limits::default());
    }
    let Some((kind, ours)) = ours(bytes) else { return false };
    let theirs = match kind {
        kind::Kind::Zip => zip_crate(bytes),
        kind::Kind::TarGz => tar_crate(flate2::read::GzDecoder::new(bytes)),
        kind::Kind::Tar => tar_crate(bytes),
    };
    assert_eq!(ours, theirs);
    true
}

/// Good archives of every shape.
pub(super) fn good() -> Vec<Vec<u8>> {
    let members = [
        ZipMember::new("a/b.txt", b"hello hello hello"),
        ZipMember::stored("a/", b""),
        ZipMember::stored("c", b"PK\x05\x06 PK\x01\x02"),
        ZipMember::new("ünï", b""),
    ];
    let zip64 = Some(End64 { disks: 1, narrow_empty: true, ..End64::default() });
    let long = format!("pkg-1.0/{}", "n".repeat(110));
    let gnu = TarHead::new(b"././@LongLink", b'L', long.len() as u64 + 1);
    let mut entries = sdist_entries();
    entries.extend([pax(b'x', &[("path", &long), ("mtime", "1.5")]), tar_file(&long, b"data")]);
    let mut gnu_entries = sdist_entries();
    gnu_entries.extend([tar_entry(&gnu, format!("{long}\0").as_bytes()), tar_file(&long, b"data")]);
    gnu_entries.insert(0, pax(b'g', &[("comment", "a commit")]));
    vec![
        zip(&members),
        zip_with(&members, &ZipEnd { zip64, reversed: true, ..ZipEnd::default() }),
        zip_with(&members[..1], &ZipEnd { comment: b"comment".to_vec(), ..ZipEnd::default() }),
        Wheel::new().with("pkg-1.0.dist-info/entry_points.txt", "[console_scripts]\na = b:c\n").bytes(),
        tar(&entries),
        tar(&gnu_entries),
        gzip(&tar(&entries)),
    ]
}

#[test]
fn good_archives_are_accepted_and_read_alike() {
    for (index, bytes) in good().iter().enumerate() {
        assert!(compare(bytes), "number {index}");
    }
}

/// Bytes that mean something in one of the formats.
const TOKENS: &[&[u8]] = &[
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"PK\x06\x07",
    b"PK\x07\x08",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x01\0\x10\0",
    b"\x75\x70",
    b"../",
    b"/",
    b"\0",
    b"ustar\x0000",
    b"ustar  \0",
    b"x",
    b"g",
    b"L",
    b"2",
    b"5",
    b"path=",
    b"size=",
    b"00000000000\0",
    b"\x1f\x8b",
];

#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Overwrite(usize, usize),
    Insert(usize, usize),
    Remove(usize, usize),
    Copy(usize, usize, usize),
    Truncate(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = 0..8192usize;
    prop_oneof![
        4 => (place.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        4 => (place.clone(), 0..TOKENS.len()).prop_map(|(at, token)| Change::Overwrite(at, token)),
        1 => (place.clone(), 0..TOKENS.len()).prop_map(|(at, token)| Change::Insert(at, token)),
        1 => (place.clone(), 1..600usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (place.clone(), place.clone(), 1..600usize).prop_map(|(from, to, count)| Change::Copy(from, to, count)),
        1 => place.prop_map(Change::Truncate),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let length = bytes.len().max(1);
    let span = |at: usize, count: usize| at % length..(at % length + count).min(bytes.len());
    match *change {
        Change::Set(at, byte) => {
            if let Some(place) = bytes.get_mut(at % length) {
                *place = byte;
            }
        }
        Change::Overwrite(at, token) => {
            let span = span(at, TOKENS[token].len());
            let count = span.len();
            bytes[span].copy_from_slice(&TOKENS[token][..count]);
        }
        Change::Insert(at, token) => drop(bytes.splice(at % length..at % length, TOKENS[token].iter().copied())),
        Change::Remove(at, count) => drop(bytes.drain(span(at, count))),
        Change::Copy(from, to, count) => {
            let piece = bytes[span(from, count)].to_vec();
            bytes.splice(to % length..to % length, piece);
        }
        Change::Truncate(at) => bytes.truncate(at % length),
    }
}

/// Makes the checksums of tar headers right again, so that damage elsewhere in them is looked at.
fn mend_tar(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        let mut head = TarHead([0; 512]);
        head.put(0, block);
        block.copy_from_slice(&head.block());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_archives_are_read_one_way_or_not_at_all(
        which in 0..7usize,
        changes in prop::collection::vec(change(), 1..4),
        mend in any::<bool>(),
    ) {
        let mut bytes = good().swap_remove(which);
        for change in &changes {
            apply(&mut bytes, change);
        }
        if mend {
            mend_tar(&mut bytes);
        }
        compare(&bytes);
        // The same damage within a sound gzip frame.
        if which == 4 || which == 5 {
            compare(&gzip(&bytes));
        }
    }

    #[test]
    fn noise_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        compare(&bytes);
        compare(&[&b"PK\x03\x04"[..], &bytes].concat());
        compare(&[&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..], &bytes].concat());
        compare(&gzip(&bytes));
    }
}
