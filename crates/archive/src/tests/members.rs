//! The lenient walk: what it finds where the strict reading stops, and that nothing makes it run away.

use proptest::prelude::*;

use super::build::{TarHead, Wheel, ZipMember, file, gzip, pax, sdist, sdist_entries, tar, tar_entry, tar_file, zip};
use crate::members::{Format, Oddity, Reading, Walk, WalkLimits, walk, walk_bytes};

/// What a walk visited: path, bytes, reading.
pub(super) type Visited = Vec<(String, Vec<u8>, Reading)>;

pub(super) fn walked(bytes: &[u8]) -> (Visited, Walk) {
    within(bytes, &WalkLimits::default())
}

pub(super) fn within(bytes: &[u8], limits: &WalkLimits) -> (Visited, Walk) {
    let mut visited = vec![];
    let walk = walk_bytes(bytes, limits, &mut |head, stream| {
        let mut data = vec![];
        stream.read_to_end(&mut data).expect("the stream never fails");
        visited.push((head.path.clone(), data, head.reading));
    });
    (visited, walk)
}

pub(super) fn oddities(walk: &Walk) -> Vec<Oddity> {
    let mut odd: Vec<Oddity> = walk.odd.iter().map(|odd| odd.oddity).collect();
    odd.sort_unstable();
    odd.dedup();
    odd
}

pub(super) fn names(visited: &Visited) -> Vec<&str> {
    visited.iter().map(|(path, _, _)| path.as_str()).collect()
}

#[test]
fn good_archives_are_walked_without_a_word() {
    let wheel = Wheel::new().bytes();
    let (visited, walk) = walked(&wheel);
    assert_eq!(walk.formats, [Format::Zip]);
    assert_eq!(walk.odd, [], "a good wheel has nothing odd");
    assert_eq!(visited.len(), 4);
    assert_eq!(visited[0], ("pkg/__init__.py".into(), b"x = 1\n".to_vec(), Reading::Listed));
    for (bytes, format) in [(sdist(&sdist_entries()), Format::TarGz), (tar(&sdist_entries()), Format::Tar)] {
        let (visited, walk) = walked(&bytes);
        assert_eq!(walk.formats, [format]);
        assert_eq!(walk.odd, [], "a good sdist has nothing odd");
        assert_eq!(names(&visited), ["pkg-1.0/PKG-INFO", "pkg-1.0/pkg/__init__.py"]);
        assert_eq!(visited[1].1, b"x = 1\n");
    }
}

#[test]
fn a_file_on_disk_reads_as_its_bytes_do() {
    let bytes = Wheel::new().bytes();
    let mut count = 0;
    let by_file = walk(&file(&bytes), &WalkLimits::default(), &mut |_, _| count += 1);
    assert_eq!((count, by_file.odd), (4, vec![]));
}

#[test]
fn both_readings_of_an_ambiguous_zip_are_walked() {
    let a = || ZipMember::new("a.py", b"a = 1\n");
    let renamed = zip(&[a().local(|head| head.name = b"b.py".to_vec())]);
    let (visited, walk) = walked(&renamed);
    assert_eq!((names(&visited), oddities(&walk)), (vec!["a.py", "b.py"], vec![Oddity::TwoNames]));
    let twice = zip(&[a(), ZipMember::new("a.py", b"a = 2\n")]);
    let (visited, walk) = walked(&twice);
    assert_eq!((names(&visited), oddities(&walk)), (vec!["a.py", "a.py"], vec![Oddity::DuplicatePath]));
    assert_ne!(visited[0].1, visited[1].1);
    // A member that the directory does not list, between two that it does.
    let hidden = zip(&[ZipMember::new("hidden.py", b"h = 1\n")]);
    let hidden = &hidden[..hidden.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory")];
    let mut first = a();
    first.after = hidden.to_vec();
    let (visited, walk) = walked(&zip(&[first, ZipMember::new("c.py", b"c = 1\n")]));
    assert_eq!(names(&visited), ["a.py", "c.py", "hidden.py"]);
    assert_eq!(visited[2], ("hidden.py".into(), b"h = 1\n".to_vec(), Reading::Hidden));
    assert!(oddities(&walk).contains(&Oddity::Unlisted));
    // One archive behind another: both directories are followed.
    let both = [zip(&[a()]), zip(&[ZipMember::new("z.py", b"z = 1\n")])].concat();
    let (visited, walk) = walked(&both);
    assert!(names(&visited).contains(&"a.py") && names(&visited).contains(&"z.py"), "{:?}", names(&visited));
    assert!(oddities(&walk).contains(&Oddity::SecondDirectory));
    // A zip that is stored within a zip is a member, not a second directory.
    let inner = zip(&[ZipMember::new("inner.py", b"i = 1\n")]);
    let (visited, walk) = walked(&zip(&[ZipMember::stored("inner.zip", &inner)]));
    assert_eq!((names(&visited), oddities(&walk)), (vec!["inner.zip"], vec![]));
}

#[test]
fn what_stands_around_a_zip_is_visited() {
    let good = zip(&[ZipMember::new("a.py", b"a = 1\n")]);
    let (visited, walk) = walked(&[b"#!/usr/bin/env python3\nprint()\n".as_slice(), &good].concat());
    assert!(
        visited.iter().any(|(path, data, reading)| path == "a.py" && data == b"a = 1\n" && *reading == Reading::Listed)
    );
    assert!(visited.iter().any(|(_, data, reading)| data.starts_with(b"#!/usr") && *reading == Reading::Gap));
    assert_eq!(oddities(&walk), [Oddity::LeadingBytes]);
    let (visited, walk) = walked(&[&good[..], &[b'x'; 40]].concat());
    assert_eq!(oddities(&walk), [Oddity::TrailingBytes]);
    assert_eq!(visited.len(), 2);
    // No directory at all: a streaming reader still unpacks it.
    let cut = &good[..good.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory")];
    let (visited, walk) = walked(cut);
    assert_eq!(names(&visited), ["a.py"]);
    assert_eq!(oddities(&walk), [Oddity::Unlisted]);
}

#[test]
fn broken_members_do_not_end_the_walk() {
    let good = || ZipMember::new("good.py", b"g = 1\n");
    let mut corrupt = ZipMember::new("bad.py", &[b'x'; 1000]);
    corrupt.data = vec![0xff; corrupt.data.len()];
    for (bad, oddity) in [
        (corrupt, Oddity::Corrupt),
        (ZipMember::new("bad.py", b"b = 1\n").both(|head| head.flags |= 1), Oddity::Encrypted),
        (ZipMember::new("bad.py", b"b = 1\n").both(|head| head.method = 93), Oddity::UnknownMethod),
        (ZipMember::new("bad.py", b"b = 1\n").both(|head| head.method = 12), Oddity::Corrupt),
        (ZipMember::new("bad.py", b"b = 1\n").both(|head| head.crc ^= 1), Oddity::Mismatch),
        (ZipMember::new("bad.py", b"b = 1\n").both(|head| head.unpacked += 1), Oddity::Mismatch),
        (ZipMember::new("bad.py", b"b = 1\n").central(|head| head.offset_lie = 1 << 20), Oddity::Absent),
        (ZipMember::new("../bad.py", b"b = 1\n"), Oddity::EscapingPath),
        (ZipMember::new("/etc/bad.py", b"b = 1\n"), Oddity::EscapingPath),
        (ZipMember::new("b\u{202e}yp.exe", b"b = 1\n"), Oddity::DisguisedPath),
        (ZipMember::stored("bad.py", b"b = 1\n").local(|head| head.method = 8), Oddity::TwoMethods),
    ] {
        let (visited, walk) = walked(&zip(&[bad, good()]));
        assert!(oddities(&walk).contains(&oddity), "{oddity:?}: {:?}", walk.odd);
        assert!(visited.iter().any(|(path, data, _)| path == "good.py" && data == b"g = 1\n"), "{oddity:?}");
    }
}

#[test]
fn tars_are_read_past_what_stops_others() {
    let a = || tar_file("a.py", b"a = 1\n");
    let b = || tar_file("b.py", b"b = 1\n");
    let link = |target: &str| {
        let mut head = TarHead::new(b"dir/link", b'2', 0);
        head.put(157, target.as_bytes());
        tar_entry(&head, b"")
    };
    for (bytes, oddity) in [
        ([tar(&[a()]), tar(&[b()])].concat(), Oddity::BehindEnd),
        ([a(), vec![b'x'; 512], b()].concat(), Oddity::InnerBytes),
        ([a(), b(), vec![b'x'; 100]].concat(), Oddity::Truncated),
        (tar(&[a(), b(), link("../../etc/passwd")]), Oddity::EscapingLink),
        (tar(&[a(), b(), link("/etc/passwd")]), Oddity::EscapingLink),
        (tar(&[a(), b(), link("../b.py")]), Oddity::Link),
        (tar(&[a(), b(), tar_entry(&TarHead::new(b"null", b'3', 0), b"")]), Oddity::Special),
        (tar(&[a(), pax(b'x', &[("path", "b.py")]), tar_file("other.py", b"b = 1\n")]), Oddity::Override),
        (tar(&[a(), b(), a()]), Oddity::DuplicatePath),
        (tar(&[a(), b(), tar_file("../c.py", b"")]), Oddity::EscapingPath),
    ] {
        for bytes in [gzip(&bytes), bytes] {
            let (visited, walk) = walked(&bytes);
            assert!(oddities(&walk).contains(&oddity), "{oddity:?}: {:?}", walk.odd);
            for want in ["a.py", "b.py"] {
                assert!(names(&visited).contains(&want), "{oddity:?}: {:?}", names(&visited));
            }
        }
    }
    let (visited, walk) = walked(&[gzip(&tar(&[a()])), gzip(&tar(&[b()]))].concat());
    assert_eq!(names(&visited), ["a.py", "b.py"]);
    assert_eq!(oddities(&walk), [Oddity::BehindEnd, Oddity::SeveralStreams]);
    let whole = gzip(&tar(&[a(), b()]));
    let (visited, walk) = walked(&whole[..whole.len() - 20]);
    assert!(oddities(&walk).contains(&Oddity::Truncated));
    assert_eq!(names(&visited)[0], "a.py");
}

#[test]
fn two_formats_in_one_file_are_both_read() {
    let both = [tar(&[tar_file("t.py", b"t = 1\n")]), zip(&[ZipMember::new("z.py", b"z = 1\n")])].concat();
    let (visited, walk) = walked(&both);
    assert_eq!(walk.formats, [Format::Tar, Format::Zip]);
    assert!(names(&visited).contains(&"t.py") && names(&visited).contains(&"z.py"));
    assert!(oddities(&walk).contains(&Oddity::SeveralFormats));
}

#[test]
fn limits_hold_at_the_limit_and_one_past() {
    let bytes = zip(&[ZipMember::new("a", &[b'a'; 100]), ZipMember::new("b", &[b'b'; 100])]);
    for (members_max, visited, limit) in [(2, 2, false), (1, 1, true)] {
        let limits = WalkLimits { members_max, ..WalkLimits::default() };
        let (seen, walk) = within(&bytes, &limits);
        assert_eq!((seen.len(), oddities(&walk).contains(&Oddity::Limit)), (visited, limit));
    }
    for (unpacked_bytes_max, want) in [(201, 200), (150, 150)] {
        let limits = WalkLimits { unpacked_bytes_max, ..WalkLimits::default() };
        let (seen, walk) = within(&bytes, &limits);
        assert_eq!(seen.iter().map(|(_, data, _)| data.len()).sum::<usize>(), want);
        assert_eq!(oddities(&walk).contains(&Oddity::Limit), want < 200);
    }
    let bomb = gzip(&tar(&[tar_file("zeros", &vec![0; 8 << 20])]));
    let limits = WalkLimits { unpacked_bytes_max: 1 << 20, ..WalkLimits::default() };
    let (seen, _) = within(&bomb, &limits);
    assert!(seen[0].1.len() <= 1 << 20);
    let long = zip(&[ZipMember::new(&"d/".repeat(1000), b"x")]);
    assert!(within(&long, &WalkLimits::default()).0.iter().all(|(path, _, _)| path.len() <= 1024));
}

#[test]
fn nonsense_is_no_archive() {
    for bytes in [&b""[..], b"x", b"\x1f\x8b", b"\x1f\x8b\x08\xff\0\0\0\0\0\0", b"print('hi')\n", &[0; 2000]] {
        let (_, walk) = walked(bytes);
        assert!(oddities(&walk).contains(&Oddity::NotAnArchive), "{bytes:?}: {walk:?}");
    }
}

/// The walk over a file that was given, and not found within another.
fn outer(bytes: &[u8]) -> (Visited, Walk) {
    let mut visited = vec![];
    let walk = walk(&file(bytes), &WalkLimits::default(), &mut |head, stream| {
        let mut data = vec![];
        stream.read_to_end(&mut data).expect("the stream never fails");
        visited.push((head.path.clone(), data, head.reading));
    });
    (visited, walk)
}

/// Goal: what promises an archive and holds none is told, however it is packed; a single file says which it is.
#[test]
fn a_packing_without_an_archive_is_told() {
    let inner = tar(&[tar_file("p/a.py", b"x = 1")]);
    let shifted = [&[b'x'; 100][..], &inner[..]].concat();
    let mut named = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
    named.extend(b"folder/a.py\0");
    named.extend(&gzip(b"x = 1")[10..]);
    for (what, bytes, path) in [
        ("text", gzip(b"just text"), "content"),
        ("a tar at an offset", gzip(&shifted), "content"),
        ("zeros", gzip(&[0; 10_240]), "content"),
    ] {
        let (visited, walk) = outer(&bytes);
        assert!(oddities(&walk).contains(&Oddity::NotAnArchive), "{what}: {walk:?}");
        assert_eq!(visited[0].0, path, "{what}");
    }
    let (visited, walk) = outer(&named);
    assert_eq!((walk.formats, walk.odd.len()), (vec![Format::Gzip], 0), "{:?}", walk.odd);
    assert_eq!((visited[0].0.as_str(), visited[0].1.as_slice()), ("a.py", &b"x = 1"[..]));
    assert!(oddities(&outer(&zip(&[])).1).contains(&Oddity::NotAnArchive), "a zip of nothing");
}

/// Goal: members behind an end that stands at the very beginning are read, and told.
#[test]
fn members_behind_zeros_are_read() {
    let behind = [&[0; 1024][..], &tar(&[tar_file("p/a.py", b"x = 1")])].concat();
    for bytes in [behind.clone(), gzip(&behind)] {
        let (visited, walk) = walked(&bytes);
        assert_eq!(visited[0].0, "p/a.py");
        assert!(oddities(&walk).contains(&Oddity::BehindEnd), "{walk:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        walked(&bytes);
    }

    #[test]
    fn no_change_of_a_good_archive_makes_it_fail(
        which in 0..3usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = match which {
            0 => Wheel::new().bytes(),
            1 => sdist(&sdist_entries()),
            _ => tar(&sdist_entries()),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        walked(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        walked(&bytes);
    }
}
