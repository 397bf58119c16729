//! What an sdist must hold, and files that are two things at once.

use packaging::Rule;

use super::build::{
    METADATA, SDIST_NAME, Wheel, ZipMember, any, as_named, crc, gzip, rules, sdist, sdist_entries, tar, tar_file, zip,
};
use crate::Limits;

fn judged(entries: &[Vec<u8>]) -> Vec<Rule> {
    rules(&as_named(SDIST_NAME, &sdist(entries), &Limits::default()))
}

fn with(entry: Vec<u8>) -> Vec<Vec<u8>> {
    let mut entries = sdist_entries();
    entries.push(entry);
    entries
}

#[test]
fn a_good_sdist_is_accepted_and_its_metadata_comes_along() {
    let report = as_named(SDIST_NAME, &sdist(&sdist_entries()), &Limits::default());
    assert_eq!(report.rejections, []);
    assert_eq!(report.metadata.as_deref(), Some(METADATA));
}

#[test]
fn one_folder_at_the_top_spelled_as_in_the_name() {
    assert_eq!(judged(&with(tar_file("other/x", b""))), [Rule::SdistLayout]);
    assert_eq!(judged(&with(tar_file("setup.py", b""))), [Rule::SdistLayout]);
    assert_eq!(judged(&[]), [Rule::SdistLayout, Rule::SdistLayout]);
    assert_eq!(judged(&[tar_file("Pkg-1.0/PKG-INFO", b"")]), [Rule::SdistLayout, Rule::SdistLayout]);
    assert_eq!(judged(&[tar_file("pkg-1.0/setup.py", b"")]), [Rule::SdistLayout]);
    assert_eq!(judged(&[tar_file("pkg-1.0/pkg.egg-info/PKG-INFO", METADATA.as_bytes())]), [Rule::SdistLayout]);
    assert_eq!(judged(&[tar_file("pkg-1.0/PKG-INFO", b"\xff")]), [Rule::MetadataUnreadable]);
}

#[test]
fn licence_files_are_below_the_top() {
    let text = "Metadata-Version: 2.4\nName: pkg\nVersion: 1.0\nLicense-File: LICENSE\n";
    let info = tar_file("pkg-1.0/PKG-INFO", text.as_bytes());
    assert_eq!(judged(std::slice::from_ref(&info)), [Rule::LicenseFileMissing]);
    assert_eq!(judged(&[info, tar_file("pkg-1.0/LICENSE", b"MIT")]), []);
}

#[test]
fn the_file_is_a_gzip_tar_and_nothing_else() {
    let named = |bytes: &[u8]| rules(&as_named(SDIST_NAME, bytes, &Limits::default()));
    assert_eq!(named(b""), [Rule::ArchiveKind]);
    assert_eq!(named(b"\x1f\x8b"), [Rule::TarFraming]);
    assert_eq!(named(&tar(&sdist_entries())), [Rule::ArchiveKind]);
    assert_eq!(named(&Wheel::new().bytes()), [Rule::ArchiveKind]);
    assert_eq!(named(&gzip(b"")), [Rule::TarFraming]);
    assert_eq!(named(&gzip(&Wheel::new().bytes())), [Rule::TarFraming]);
}

#[test]
fn a_tar_that_ends_as_a_zip_is_refused() {
    // The ZIP's comment swallows what follows it: in a plain tar the padding, in a gzip the trailer.
    let inner = zip(&[ZipMember::stored("evil.py", b"x")]);
    let mut plain = tar(&[tar_file("a", b"x")]);
    let at = plain.len() - inner.len();
    plain.truncate(at);
    plain.extend(&inner);
    assert_eq!(rules(&any(&plain)), [Rule::ArchiveKind]);

    let tail = [inner.as_slice(), &[0; 512]].concat();
    let content = [tar(&[tar_file("a", b"x")]), tail].concat();
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut stored = content.clone();
    let comment_bytes = 512u16 + 8;
    let end = content.len() - 512 - 2;
    stored[end..end + 2].copy_from_slice(&comment_bytes.to_le_bytes());
    packed.push(1);
    packed.extend((stored.len() as u16).to_le_bytes());
    packed.extend((!(stored.len() as u16)).to_le_bytes());
    packed.extend(&stored);
    packed.extend(crc(&stored).to_le_bytes());
    packed.extend((stored.len() as u32).to_le_bytes());
    assert_eq!(rules(&any(&packed)), [Rule::ArchiveKind]);
}

#[test]
fn anything_else_is_no_archive() {
    for bytes in [&b""[..], b"x", b"PK", b"PK\x05", &[0; 10240], b"BZh9", b"\xfd7zXZ\0", b"Rar!\x1a\x07", b"\x1f\x8c"] {
        assert_eq!(rules(&any(bytes)), [Rule::ArchiveKind], "{bytes:?}");
    }
}
