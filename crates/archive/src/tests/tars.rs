//! Tar framing: gzip, headers, pax, long names.

use packaging::Rule;

use super::build::{TarHead, any, gzip, gzip_with, pax, rules, tar, tar_entry, tar_file};

const FRAMING: Rule = Rule::TarFraming;

/// Judges the bytes plain and packed: the verdict must be one.
#[track_caller]
fn accepted(bytes: &[u8], members: u64) {
    for bytes in [bytes.to_vec(), gzip(bytes)] {
        let report = any(&bytes);
        assert_eq!((rules(&report), report.members), (vec![], members), "{:?}", report.rejections);
    }
}

#[track_caller]
fn refused(bytes: &[u8], rule: Rule, words: &str) {
    for bytes in [bytes.to_vec(), gzip(bytes)] {
        refused_as_is(&bytes, rule, words);
    }
}

#[track_caller]
fn refused_as_is(bytes: &[u8], rule: Rule, words: &str) {
    let report = any(bytes);
    let first = report.rejections.first().unwrap_or_else(|| panic!("accepted, wanted: {words}"));
    assert_eq!(first.rule, rule, "{first}");
    assert!(first.message.contains(words), "{first}, wanted: {words}");
}

fn good() -> Vec<u8> {
    tar_file("a.txt", b"hello")
}

/// An archive of one good member and then this.
fn after_good(entry: Vec<u8>) -> Vec<u8> {
    tar(&[good(), entry])
}

fn changed(change: impl Fn(&mut TarHead) -> &mut TarHead) -> Vec<u8> {
    let mut head = TarHead::new(b"b.txt", b'0', 5);
    change(&mut head);
    after_good(tar_entry(&head, b"hello"))
}

#[test]
fn good_archives_are_accepted() {
    accepted(&tar(&[good()]), 1);
    accepted(&tar(&[good(), tar_entry(&TarHead::new(b"d/", b'5', 0), b""), tar_file("d/e", &[b'x'; 512])]), 3);
    accepted(&[tar(&[good()]), vec![0; 9 * 1024]].concat(), 1);
    accepted(&changed(|head| head.put(257, b"ustar  \0")), 2);
    accepted(&changed(|head| head.put(257, &[0; 8])), 2);
    accepted(&changed(|head| head.put(345, b"some/prefix")), 2);
    accepted(&changed(|head| head.put(156, b"\0")), 2);
    accepted(&changed(|head| head.put(108, b"\x80\0\0\0\x7f\xff\xff\xff")), 2);
    accepted(&changed(|head| head.put(100, b"   644 \0")), 2);
    accepted(&changed(|head| head.put(329, b"0000000\0").put(337, b"0000000\0")), 2);
}

#[test]
fn extended_headers_may_say_more() {
    let long = format!("pkg/{}", "d".repeat(120));
    let file = || tar_file(&long[..100], b"hello");
    accepted(&tar(&[pax(b'x', &[("path", &long), ("mtime", "1700000000.5")]), file()]), 1);
    accepted(&tar(&[pax(b'x', &[("path", "pkg/é")]), tar_file("pkg/?", b"")]), 1);
    accepted(&tar(&[pax(b'x', &[("size", "5")]), good()]), 1);
    accepted(&tar(&[pax(b'g', &[("comment", "0123456789abcdef")]), good()]), 1);
    accepted(&tar(&[long_name(long.as_bytes()), file()]), 1);
    let git = format!("{}.data", "0a".repeat(20));
    accepted(&tar(&[pax(b'x', &[("path", &long)]), tar_file(&git, b"")]), 1);
}

fn long_name(name: &[u8]) -> Vec<u8> {
    let data = [name, b"\0"].concat();
    tar_entry(&TarHead::new(b"././@LongLink", b'L', data.len() as u64), &data)
}

#[test]
fn only_files_and_folders_are_members() {
    for (flag, words) in [
        (b'1', "hard link"),
        (b'2', "symbolic link"),
        (b'3', "device"),
        (b'4', "device"),
        (b'6', "pipe"),
        (b'7', "contiguous"),
        (b'S', "sparse"),
        (b'K', "long link name"),
        (b'D', "unknown kind"),
        (b'V', "unknown kind"),
        (b'A', "unknown kind"),
    ] {
        for data in [&b""[..], b"data"] {
            let mut head = TarHead::new(b"link", flag, data.len() as u64);
            head.put(157, b"target");
            refused(&after_good(tar_entry(&head, data)), Rule::TarEntryKind, words);
        }
    }
    for key in ["GNU.sparse.major", "GNU.sparse.map", "SCHILY.realsize", "SCHILY.filetype"] {
        refused(&tar(&[pax(b'x', &[(key, "1")]), good()]), Rule::TarEntryKind, "Sparse");
    }
}

#[test]
fn every_link_is_reported() {
    let link = |name: &[u8]| tar_entry(&TarHead::new(name, b'2', 0), b"");
    assert_eq!(rules(&any(&tar(&[link(b"a"), link(b"b"), good()]))), [Rule::TarEntryKind; 2]);
}

#[test]
fn extended_headers_may_not_contradict() {
    let contradicts = Rule::TarOverride;
    refused(&tar(&[pax(b'x', &[("path", "setup.py")]), good()]), contradicts, "another name");
    refused(&tar(&[long_name(b"setup.py"), good()]), contradicts, "another name");
    refused(&tar(&[pax(b'x', &[("size", "6")]), good()]), contradicts, "another size");
    refused(&tar(&[pax(b'x', &[("size", "0")]), good()]), contradicts, "another size");
    refused(&tar(&[pax(b'x', &[("linkpath", "/etc")]), good()]), contradicts, "no link");
    refused(&tar(&[pax(b'x', &[("path", "a.txt"), ("path", "a.txt")]), good()]), contradicts, "twice");
    refused(&tar(&[pax(b'x', &[("hdrcharset", "BINARY")]), good()]), contradicts, "character set");
    for key in ["path", "linkpath", "size"] {
        refused(&tar(&[pax(b'g', &[(key, "5")]), good()]), contradicts, "for all members");
    }
    let x = || pax(b'x', &[("mtime", "1")]);
    for second in [x(), pax(b'g', &[("comment", "1")]), long_name(b"a.txt")] {
        refused(&tar(&[x(), second, good()]), contradicts, "two extended headers");
    }
    refused(&tar(&[long_name(b"a.txt"), x(), good()]), contradicts, "two extended headers");
    refused(&tar(&[good(), x()]), FRAMING, "no member");
    refused(&tar(&[good(), long_name(b"b")]), FRAMING, "no member");
}

#[test]
fn pax_records_are_read_to_the_letter() {
    for data in [
        "",
        "5 a=\n",
        "9 path a\n",
        "010 path=a\n",
        "11 path=a\n",
        "8 path=a\n",
        "9 path=a\nx",
        "9 path=\0\n",
        "7 =abc\n",
    ] {
        let header = tar_entry(&TarHead::new(b"x", b'x', data.len() as u64), data.as_bytes());
        refused(&tar(&[header, good()]), FRAMING, "pax");
    }
    let not_utf8 = tar_entry(&TarHead::new(b"x", b'x', 10), b"10 path=\xff\n");
    refused(&tar(&[not_utf8, good()]), FRAMING, "UTF-8");
    for data in [&b"a.txt"[..], b"a\0.txt\0", b"\0", b""] {
        let header = tar_entry(&TarHead::new(b"././@LongLink", b'L', data.len() as u64), data);
        refused(&tar(&[header, good()]), FRAMING, "long name");
    }
}

#[test]
fn headers_have_one_reading() {
    refused(&changed(|head| head.put(257, b"ustar\x0001")), FRAMING, "magic");
    refused(&changed(|head| head.put(257, b"wrong\x0000")), FRAMING, "magic");
    refused(&changed(|head| head.put(257, b"ustar  \0").put(345, b"evil")), FRAMING, "prefix in a dialect");
    refused(&changed(|head| head.put(257, &[0; 8]).put(345, b"evil")), FRAMING, "prefix in a dialect");
    refused(&changed(|head| head.put(0, &[0; 100]).put(345, b"dir")), FRAMING, "prefix but no name");
    for size in [
        &b"\x80\0\0\0\0\0\0\0\0\0\0\x05"[..],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"-0000000005\0",
        b"00000000008\0",
        &[0; 12],
        b"0000005\0 005",
    ] {
        refused(&changed(|head| head.put(124, size)), FRAMING, "malformed size");
    }
    // Python takes such a header for the end of the archive, others read on.
    for at in [100, 108, 116, 136, 329, 337] {
        refused(&changed(|head| head.put(at, b"wrong!!\0")), FRAMING, "malformed number");
    }
    refused(
        &changed(|head| head.put(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
        FRAMING,
        "malformed number",
    );
    let mut bytes = after_good(tar_file("b", b""));
    bytes[1024 + 10] ^= 1;
    refused(&bytes, FRAMING, "checksum");
    refused(&after_good(tar_entry(&TarHead::new(b"d/", b'5', 5), b"hello")), FRAMING, "holds data");
    refused(&after_good(tar_file("d/", b"hello")), FRAMING, "a folder by its name");
}

#[test]
fn the_end_is_two_zero_blocks_and_then_zeros() {
    refused(&good(), FRAMING, "without two zero blocks");
    refused(&[good(), vec![0; 512]].concat(), FRAMING, "without two zero blocks");
    refused(&[good(), vec![0; 512], tar(&[good()])].concat(), FRAMING, "between members");
    refused(&[tar(&[good()]), tar(&[good()])].concat(), FRAMING, "follows the end");
    refused(&[tar(&[good()]), vec![0; 100]].concat(), FRAMING, "within a block");
    refused(&tar(&[good()])[..600], FRAMING, "ends within");
    let mut padding = tar(&[good()]);
    padding[512 + 5] = 1;
    refused(&padding, FRAMING, "padding");
}

#[test]
fn names_are_judged() {
    for name in ["../a", "/etc/passwd", "a/../../b", "./a", ".", "C:/a", "a\\b", "a\rb", ""] {
        refused(&after_good(tar_file(name, b"x")), Rule::PathUnsafe, "member path");
    }
    refused(&after_good(tar_entry(&TarHead::new(b"\xff", b'0', 0), b"")), Rule::PathUnsafe, "UTF-8");
    refused(&after_good(tar_file("a.txt", b"x")), Rule::PathDuplicate, "stands twice");
    refused(&after_good(tar_file("A.TXT", b"x")), Rule::PathDuplicate, "only in case");
    refused(&after_good(tar_file("a.txt/b", b"x")), Rule::PathDuplicate, "folder");
}

#[test]
fn the_gzip_frame_is_one_member_and_the_whole_file() {
    let inner = tar(&[good()]);
    let packed = gzip(&inner);
    refused_as_is(&[packed.clone(), b"x".to_vec()].concat(), FRAMING, "bytes follow");
    refused_as_is(&[packed.clone(), vec![0; 512]].concat(), FRAMING, "bytes follow");
    refused_as_is(&[gzip(&inner[..512]), gzip(&inner[512..])].concat(), FRAMING, "bytes follow");
    for at in [packed.len() - 1, packed.len() - 8] {
        let mut wrong = packed.clone();
        wrong[at] ^= 1;
        refused_as_is(&wrong, FRAMING, "wrong checksum or size");
    }
    for cut in [1, 4, 9, 20] {
        assert_eq!(rules(&any(&packed[..packed.len() - cut])), [FRAMING], "cut by {cut}");
    }
    refused_as_is(&gzip_with(&inner, 0x20, &[]), FRAMING, "header is malformed");
    refused_as_is(&gzip_with(&inner, 8, b"never ends"), FRAMING, "gzip");
    for (flags, header) in [(8, &b"a.tar\0"[..]), (4, b"\x02\0ab"), (16, b"comment\0"), (1, b"")] {
        assert_eq!(rules(&any(&gzip_with(&inner, flags, header))), []);
    }
    let checked = [0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 0xff];
    let sum = (super::build::crc(&checked) & 0xffff) as u16;
    assert_eq!(rules(&any(&gzip_with(&inner, 2, &sum.to_le_bytes()))), []);
    refused_as_is(&gzip_with(&inner, 2, &(sum ^ 1).to_le_bytes()), FRAMING, "wrong checksum");
    let mut corrupt = packed;
    corrupt[12] = 0xff;
    corrupt[10] = 0xff;
    refused_as_is(&corrupt, FRAMING, "corrupt");
}
