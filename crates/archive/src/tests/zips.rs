//! ZIP framing and content: every row of the public index's policy, and what it leaves open.

use packaging::Rule;

use super::build::{End64, ZipEnd, ZipMember, any, extra, locator, rules, unicode_extra, zip, zip_with};

fn member() -> ZipMember {
    ZipMember::new("a.txt", b"hello hello hello hello")
}

#[track_caller]
fn accepted(bytes: &[u8], members: u64) {
    let report = any(bytes);
    assert_eq!((rules(&report), report.members), (vec![], members), "{:?}", report.rejections);
}

#[track_caller]
fn refused(bytes: &[u8], rule: Rule, words: &str) {
    let report = any(bytes);
    let first = report.rejections.first().unwrap_or_else(|| panic!("accepted, wanted: {words}"));
    assert_eq!(first.rule, rule, "{first}");
    assert!(first.message.contains(words), "{first}, wanted: {words}");
}

#[test]
fn good_archives_are_accepted() {
    accepted(&zip(&[]), 0);
    accepted(&zip(&[member()]), 1);
    accepted(&zip(&[ZipMember::stored("a", b""), ZipMember::stored("b/", b""), ZipMember::new("b/c", b"")]), 3);
    accepted(&zip(&[ZipMember::new("ünï/ß.txt", b"x")]), 1);
    let commented = ZipEnd { comment: b"made by hand".to_vec(), ..ZipEnd::default() };
    accepted(&zip_with(&[member()], &commented), 1);
    let reversed = ZipEnd { reversed: true, ..ZipEnd::default() };
    accepted(&zip_with(&[member(), ZipMember::new("b", b"b")], &reversed), 2);
    for narrow_empty in [false, true] {
        let zip64 = Some(End64 { disks: 1, narrow_empty, ..End64::default() });
        accepted(&zip_with(&[member()], &ZipEnd { zip64, ..ZipEnd::default() }), 1);
    }
    let modes = member().central(|head| head.attributes = 0o100_755 << 16);
    accepted(&zip(&[modes]), 1);
    let same_name_again = member().both(|head| head.extra = unicode_extra(b"a.txt", b"a.txt"));
    accepted(&zip(&[same_name_again]), 1);
}

#[test]
fn data_that_holds_signatures_is_data() {
    // What a known scanner refuses django 5.2.19 for: it counts magic bytes where it should parse.
    let magic = b"PK\x05\x06PK\x03\x04PK\x01\x02PK\x06\x06PK\x06\x07".repeat(20);
    accepted(&zip(&[ZipMember::stored("a", &magic), ZipMember::stored("b", &zip(&[member()]))]), 2);
}

#[test]
fn sizes_may_stand_in_zip64_extras() {
    let data = member();
    let (packed, unpacked) = (u64::from(data.local.packed), u64::from(data.local.unpacked));
    let both = [unpacked.to_le_bytes(), packed.to_le_bytes()].concat();
    let wide = member().both(|head| {
        (head.packed, head.unpacked) = (u32::MAX, u32::MAX);
        head.extra = extra(1, &both);
    });
    accepted(&zip(std::slice::from_ref(&wide)), 1);
    let local_only = member().local(|head| {
        (head.packed, head.unpacked) = (u32::MAX, u32::MAX);
        head.extra = extra(1, &both);
    });
    accepted(&zip(&[local_only]), 1);
    let one = member().both(|head| {
        head.packed = u32::MAX;
        head.extra = extra(1, &packed.to_le_bytes());
    });
    accepted(&zip(&[one]), 1);
    for (value, words) in [(vec![], "wrong length"), (vec![0; 4], "wrong length"), (vec![0; 24], "wrong length")] {
        refused(&zip(&[wide.clone().local(|head| head.extra = extra(1, &value))]), Rule::ZipFraming, words);
        refused(&zip(&[wide.clone().central(|head| head.extra = extra(1, &value))]), Rule::ZipFraming, words);
    }
    let two_sizes = member().local(|head| head.extra = extra(1, &[0; 16]));
    refused(&zip(&[two_sizes]), Rule::ZipFraming, "two sizes");
    let unneeded = member().central(|head| head.extra = extra(1, &both));
    refused(&zip(&[unneeded]), Rule::ZipFraming, "wrong length");
    let twice = wide.both(|head| head.extra = [extra(1, &both), extra(1, &both)].concat());
    refused(&zip(&[twice]), Rule::ZipFraming, "duplicate extra");
}

#[test]
fn every_byte_belongs_to_a_record() {
    let framing = Rule::ZipFraming;
    let good = zip(&[member()]);
    refused(&[b"#!/bin/sh\n", good.as_slice()].concat(), framing, "Unknown record signature");
    refused(&[good.as_slice(), b"\0"].concat(), framing, "Trailing data");
    refused(&[good.as_slice(), good.as_slice()].concat(), framing, "Trailing data");
    let gap = ZipMember { after: b"gap!".to_vec(), ..member() };
    refused(&zip(&[gap, ZipMember::new("b", b"")]), framing, "Unknown record signature");
    for end in [
        ZipEnd { before_directory: b"gap!".to_vec(), ..ZipEnd::default() },
        ZipEnd { after_directory: b"gap!".to_vec(), ..ZipEnd::default() },
        // An archive decryption header, and a directory signature: records nobody needs.
        ZipEnd { before_directory: b"PK\x06\x08\0\0\0\0".to_vec(), ..ZipEnd::default() },
        ZipEnd { after_directory: b"PK\x05\x05\0\0".to_vec(), ..ZipEnd::default() },
    ] {
        refused(&zip_with(&[member()], &end), framing, "Unknown record signature");
    }
    for cut in [1, 10, 21, 22, 23, 40, 60, good.len() - 5, good.len() - 29] {
        assert_ne!(rules(&any(&good[..good.len() - cut])), [], "cut by {cut}");
    }
}

#[test]
fn local_and_central_headers_agree() {
    let framing = Rule::ZipFraming;
    for (wrong, words) in [
        (member().local(|head| head.name = b"b.txt".to_vec()), "Filename not in central directory"),
        (member().central(|head| head.packed -= 1), "Mis-matched data size"),
        (member().central(|head| head.unpacked += 1), "Mis-matched file size"),
        (member().central(|head| head.crc ^= 1), "Mis-matched checksum"),
        (member().central(|head| head.flags = 2), "Mis-matched flags"),
        (member().central(|head| head.flags = 8), "Mis-matched flags"),
        (member().central(|head| head.flags = 1), "Mis-matched flags"),
        (member().central(|head| head.method = 0), "Mis-matched compression method"),
        (member().central(|head| head.comment = b"c".to_vec()), "Comment in central directory"),
        (member().central(|head| head.disk = 1), "more than one disk"),
        (member().central(|head| head.offset_lie = 1), "Mis-matched local header offset"),
    ] {
        refused(&zip(&[wrong]), framing, words);
    }
    let twin = ZipMember::new("b.txt", b"hello hello hello hello");
    let swapped =
        [member().central(|head| head.name = b"b.txt".to_vec()), twin.central(|head| head.name = b"a.txt".to_vec())];
    refused(&zip(&swapped), framing, "Filename not in central directory");
}

#[test]
fn both_listings_hold_the_same_members_once() {
    let framing = Rule::ZipFraming;
    let good = zip(&[member()]);
    let directory = good.len() - 22 - 51..good.len() - 22;
    let doubled = [&good[..directory.end], &good[directory.clone()], &good[directory.end..]].concat();
    refused(&doubled, framing, "Duplicate filename in central directory");
    let missing = [&good[..directory.start], &good[directory.end..]].concat();
    refused(&missing, framing, "Mismatched central directory");
    let one_offset = [member(), member().central(|head| head.offset_lie = 0)];
    refused(&zip(&one_offset), Rule::PathDuplicate, "duplicate filename");
    let hidden =
        ZipMember { after: zip(&[member()])[..member().data.len() + 35].to_vec(), ..ZipMember::new("b", b"b") };
    refused(&zip(&[hidden]), framing, "Filename not in central directory: 'a.txt'");
}

#[test]
fn the_end_says_what_was_walked() {
    let framing = Rule::ZipFraming;
    for (end, words) in [
        (ZipEnd { entries_lie: 1, entries_here_lie: 1, ..ZipEnd::default() }, "Mismatched central directory records"),
        (ZipEnd { entries_lie: -1, entries_here_lie: -1, ..ZipEnd::default() }, "Mismatched central directory records"),
        (ZipEnd { entries_here_lie: 1, ..ZipEnd::default() }, "more than one disk"),
        (ZipEnd { disk: 1, ..ZipEnd::default() }, "more than one disk"),
        (ZipEnd { offset_lie: 1, ..ZipEnd::default() }, "Mismatched central directory offset"),
        (ZipEnd { offset_lie: -1, ..ZipEnd::default() }, "Mismatched central directory offset"),
        (ZipEnd { size_lie: 1, ..ZipEnd::default() }, "Mismatched central directory size"),
        (ZipEnd { size_lie: -1, ..ZipEnd::default() }, "Mismatched central directory size"),
        (ZipEnd { trailing: b"x".to_vec(), ..ZipEnd::default() }, "Trailing data"),
        (ZipEnd { comment: zip(&[]), ..ZipEnd::default() }, "Second end of central directory"),
        (ZipEnd { comment: b"a PK\x05\x06 b".to_vec(), ..ZipEnd::default() }, "Second end of central directory"),
    ] {
        refused(&zip_with(&[member()], &end), framing, words);
    }
    // The comment's length and its first bytes together make a signature: `PK` is a length of 19,280.
    let mut comment = vec![b' '; 0x4b50];
    comment[..2].copy_from_slice(b"\x05\x06");
    refused(&zip_with(&[member()], &ZipEnd { comment, ..ZipEnd::default() }), framing, "Second end");
}

#[test]
fn zip64_ends_leave_no_choice() {
    let framing = Rule::ZipFraming;
    let base = || End64 { disks: 1, ..End64::default() };
    for (end64, words) in [
        (End64 { extensible: vec![0; 8], ..base() }, "ZIP64 extensible data not allowed"),
        (End64 { size_lie: -8, ..base() }, "ZIP64 extensible data not allowed"),
        (End64 { no_locator: true, ..base() }, "without a locator"),
        (End64 { locator_lie: 1, ..base() }, "Mismatched ZIP64 end record offset"),
        (End64 { disks: 2, ..base() }, "more than one disk"),
        (End64 { entries_lie: 1, ..base() }, "more than one disk"),
    ] {
        refused(&zip_with(&[member()], &ZipEnd { zip64: Some(end64), ..ZipEnd::default() }), framing, words);
    }
    let lie = ZipEnd { zip64: Some(base()), offset_lie: 4, ..ZipEnd::default() };
    refused(&zip_with(&[member()], &lie), framing, "Mismatched central directory offset");
    let lonely = ZipEnd { after_directory: locator(0, 1), ..ZipEnd::default() };
    refused(&zip_with(&[member()], &lonely), framing, "locator out of place");
    // Python believes any locator that stands right before the end record, here the value of an extra field.
    let hidden = member().central(|head| head.extra = extra(0x4242, &locator(0, 1)));
    refused(&zip(&[hidden]), framing, "locator hidden");
}

#[test]
fn names_have_one_reading() {
    let framing = Rule::ZipFraming;
    let named = |name: &[u8], flags: u16| {
        let member = member().both(|head| {
            head.name = name.to_vec();
            head.flags = flags;
        });
        zip(&[member])
    };
    refused(&named(b"\xff", 0x800), framing, "Filename not unicode");
    refused(&named("é".as_bytes(), 0), framing, "Filename not unicode");
    refused(&named(b"a\0.txt", 0), Rule::PathUnsafe, "Invalid character in filename");
    refused(&named(b"a\x7f", 0), Rule::PathUnsafe, "Invalid character in filename");
    for unsafe_name in ["../a", "/a", "C:/a", "a\\b", "a//b", "./a", "", "a/\u{202e}b"] {
        refused(&named(unsafe_name.as_bytes(), 0x800), Rule::PathUnsafe, "member path");
    }
    let with_extra = |bytes: Vec<u8>| zip(&[member().local(|head| head.extra = bytes.clone())]);
    refused(&with_extra(unicode_extra(b"a.txt", b"evil.py")), framing, "Mis-matched filename");
    refused(&with_extra(unicode_extra(b"b.txt", b"a.txt")), framing, "Mis-matched filename");
    refused(&with_extra(unicode_extra(b"a.txt", b"\xff")), framing, "Filename not valid UTF-8");
    refused(&with_extra(extra(0x7075, b"\x02")), framing, "Malformed zip file");
    refused(&with_extra(extra(0x7075, b"")), framing, "Malformed zip file");
    let one = unicode_extra(b"a.txt", b"a.txt");
    refused(&with_extra([one.clone(), one].concat()), framing, "duplicate extra");
    refused(&with_extra(b"\x42\x42\x05\0abc".to_vec()), framing, "Malformed zip file");
    refused(&with_extra(b"\0\0\0".to_vec()), framing, "Malformed zip file");
}

#[test]
fn members_are_plain_files_and_folders() {
    for (mode, words) in
        [(0o120_777u32, "symbolic link"), (0o060_644, "device"), (0o010_644, "pipe"), (0o140_644, "socket")]
    {
        let link = member().central(|head| head.attributes = mode << 16);
        refused(&zip(&[link]), Rule::ZipEntryKind, words);
    }
    let as_folder = member().central(|head| head.attributes = 0o040_755 << 16);
    refused(&zip(&[as_folder]), Rule::ZipEntryKind, "not by both");
    let dos_folder = member().central(|head| head.attributes = 0x10);
    refused(&zip(&[dos_folder]), Rule::ZipEntryKind, "by its attributes");
    let as_file = ZipMember::stored("a/", b"").central(|head| head.attributes = 0o100_644 << 16);
    refused(&zip(&[as_file]), Rule::ZipEntryKind, "not by both");
    refused(&zip(&[ZipMember::stored("a/", b"payload")]), Rule::ZipEntryKind, "holds data");
}

#[test]
fn methods_and_flags_are_those_of_every_installer() {
    for method in [1, 9, 12, 14, 93, 95, 98] {
        refused(&zip(&[member().both(|head| head.method = method)]), Rule::ZipMethod, "Compression method");
    }
    for flags in [1, 1 << 6, 1 << 13] {
        refused(&zip(&[member().both(|head| head.flags = flags)]), Rule::ZipMethod, "Encrypted");
    }
    let aes = member().both(|head| head.extra = extra(0x9901, &[0; 7]));
    refused(&zip(&[aes]), Rule::ZipMethod, "Encrypted");
    refused(&zip(&[member().both(|head| head.flags = 8)]), Rule::ZipFraming, "ZIP contains a data descriptor");
    refused(&zip(&[member().both(|head| head.flags = 1 << 5)]), Rule::ZipFraming, "Unknown flags");
}

#[test]
fn data_is_what_its_headers_say() {
    let content = Rule::ZipContent;
    refused(&zip(&[member().both(|head| head.crc ^= 1)]), content, "checksum");
    refused(&zip(&[member().both(|head| head.unpacked -= 1)]), content, "more bytes");
    // Four bytes that bring the checksum of `test` to zero, which some readers take for "not known".
    let zero = ZipMember::stored("a", b"test\x91\x74\xa6\xb5");
    assert_eq!(zero.local.crc, 0);
    refused(&zip(&[zero]), content, "checksum of zero");
    refused(&zip(&[member().both(|head| head.unpacked += 1)]), content, "fewer bytes");
    let mut trailing = member().both(|head| head.packed += 4);
    trailing.data.extend(b"PK\x03\x04");
    refused(&zip(&[trailing]), content, "behind its deflate stream");
    let mut cut = member().both(|head| head.packed -= 1);
    cut.data.pop();
    refused(&zip(&[cut]), content, "ends before");
    let mut corrupt = member();
    corrupt.data[0] = 0xff;
    refused(&zip(&[corrupt]), content, "cannot be inflated");
    let two_sizes = ZipMember::stored("a", b"abc").both(|head| head.unpacked = 2);
    refused(&zip(&[two_sizes]), Rule::ZipFraming, "two sizes");
    let beyond = member().both(|head| head.packed = 1 << 30);
    refused(&zip(&[beyond]), Rule::ZipFraming, "beyond the end");
}

#[test]
fn no_two_members_share_a_place() {
    let two = |a: &str, b: &str| zip(&[ZipMember::stored(a, b"1"), ZipMember::stored(b, b"2")]);
    refused(&two("a", "a"), Rule::PathDuplicate, "stands twice");
    refused(&two("a/B.py", "A/b.py"), Rule::PathDuplicate, "only in case or Unicode form");
    refused(&two("é", "e\u{301}"), Rule::PathDuplicate, "only in case or Unicode form");
    refused(&two("a", "a/b"), Rule::PathDuplicate, "a file to one member and a folder");
}
