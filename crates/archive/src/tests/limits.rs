//! Every limit, at its value and one past it.

use packaging::Rule;

use super::build::{
    SDIST_NAME, TarHead, WHEEL_NAME, Wheel, ZipMember, as_named, file, gzip, pax, rules, sdist, sdist_entries, tar,
    tar_entry, tar_file, zip,
};
use crate::{Limits, Subject, examine};

/// Accepted with the limits as they are, refused by [`Rule::ArchiveLimits`] once they are tightened.
#[track_caller]
fn edge(bytes: &[u8], limits: &Limits, tighten: impl Fn(&mut Limits)) {
    let judge = |limits: &Limits| rules(&examine(&file(bytes), &Subject::AnyArchive, limits));
    assert_eq!(judge(limits), [], "at the limit");
    let mut tight = limits.clone();
    tighten(&mut tight);
    assert_eq!(judge(&tight), [Rule::ArchiveLimits], "one past it");
}

#[test]
fn members_with_the_folders_they_need() {
    let limits = Limits { members_max: 4, ..Limits::default() };
    let tighten = |limits: &mut Limits| limits.members_max -= 1;
    edge(&zip(&[ZipMember::new("a", b""), ZipMember::new("b/c/d", b"")]), &limits, tighten);
    edge(&tar(&[tar_file("a", b""), tar_file("b/c/d", b"")]), &limits, tighten);
}

#[test]
fn paths() {
    let path = "p".repeat(90);
    let limits = Limits { path_bytes_max: 90, ..Limits::default() };
    edge(&zip(&[ZipMember::new(&path, b"")]), &limits, |limits| limits.path_bytes_max -= 1);
    edge(&tar(&[tar_file(&path, b"")]), &limits, |limits| limits.path_bytes_max -= 1);
    let limits = Limits { paths_bytes_max: 91, ..Limits::default() };
    edge(&zip(&[ZipMember::new(&path, b""), ZipMember::new("q", b"")]), &limits, |limits| limits.paths_bytes_max -= 1);
    edge(&tar(&[tar_file(&path, b""), tar_file("q", b"")]), &limits, |limits| limits.paths_bytes_max -= 1);
    let default = "d/".repeat(511) + "xy";
    edge(&zip(&[ZipMember::new(&default, b"")]), &Limits::default(), |limits| limits.path_bytes_max = 1023);
}

#[test]
fn unpacked_bytes() {
    let tighten = |limits: &mut Limits| limits.unpacked_bytes_max -= 1;
    let limits = Limits { unpacked_bytes_max: 3000, ..Limits::default() };
    edge(&zip(&[ZipMember::new("a", &[1; 1000]), ZipMember::stored("b", &[1; 2000])]), &limits, tighten);
    // Of a tar the whole stream counts: a header, two blocks of data, two of zeros.
    let limits = Limits { unpacked_bytes_max: 512 * 5, ..Limits::default() };
    edge(&tar(&[tar_file("a", &[1; 1000])]), &limits, tighten);
    edge(&gzip(&tar(&[tar_file("a", &[1; 1000])])), &limits, tighten);
}

#[test]
fn ratio() {
    let bomb = zip(&[ZipMember::new("a", &vec![0; 1 << 20])]);
    let ratio = (1u64 << 20).div_ceil(bomb.len() as u64);
    let limits = Limits { ratio_from_bytes: 1000, ratio_max: ratio, ..Limits::default() };
    edge(&bomb, &limits, |limits| limits.ratio_max -= 1);
    // Below the threshold any ratio is fine.
    let limits = Limits { ratio_from_bytes: 1 << 20, ratio_max: 2, ..Limits::default() };
    edge(&bomb, &limits, |limits| limits.ratio_from_bytes -= 1);
    let bomb = gzip(&tar(&[tar_file("a", &vec![0; 1 << 20])]));
    let limits = Limits { ratio_from_bytes: (1 << 20) + 1536, ratio_max: 2, ..Limits::default() };
    edge(&bomb, &limits, |limits| limits.ratio_from_bytes -= 1);
}

#[test]
fn bombs_are_found_by_what_comes_out_not_by_what_is_said() {
    let limits = Limits { unpacked_bytes_max: 1 << 20, ..Limits::default() };
    let judge = |bytes: &[u8]| rules(&examine(&file(bytes), &Subject::AnyArchive, &limits));
    let liar = ZipMember::new("a", &vec![0; 4 << 20]).both(|head| head.unpacked = 10);
    assert_eq!(judge(&zip(&[liar])), [Rule::ZipContent]);
    // A tar whose zeros behind the end do not end.
    let endless = gzip(&[tar(&[tar_file("a", b"x")]), vec![0; 4 << 20]].concat());
    assert_eq!(judge(&endless), [Rule::ArchiveLimits]);
    // A size that no stream holds is refused by the header alone.
    let huge = tar_entry(&TarHead::new(b"a", b'0', 0o77_777_777_777), b"");
    assert_eq!(judge(&gzip(&tar(&[huge]))), [Rule::ArchiveLimits]);
}

#[test]
fn overlapping_members_are_no_bomb() {
    // The quoted-overlap bomb: one kernel, every central header points into it.
    let kernel = ZipMember::new("a", &[0; 4096]);
    let again = kernel.clone().both(|head| head.name = b"b".to_vec());
    let mut bytes = zip(&[kernel.clone(), again]);
    let second = 31 + kernel.data.len();
    bytes.drain(second..second + 31 + kernel.data.len());
    assert_eq!(rules(&examine(&file(&bytes), &Subject::AnyArchive, &Limits::default())), [Rule::ZipFraming]);
}

#[test]
fn archives_within_archives_are_data() {
    let mut nested = zip(&[ZipMember::new("bomb", &vec![0; 1 << 20])]);
    for depth in 0..8 {
        nested = zip(&[ZipMember::new(&format!("{depth}.zip"), &nested)]);
    }
    assert_eq!(rules(&examine(&file(&nested), &Subject::AnyArchive, &Limits::default())), []);
}

#[test]
fn extended_headers() {
    let value = "v".repeat(100);
    let bytes = tar(&[pax(b'x', &[("comment", &value)]), tar_file("a", b"")]);
    // `112 comment=` + 100 + newline.
    let limits = Limits { extended_header_bytes_max: 113, ..Limits::default() };
    edge(&bytes, &limits, |limits| limits.extended_header_bytes_max -= 1);
}

#[test]
fn metadata_and_record() {
    let wheel = Wheel::new();
    let metadata_bytes = super::build::METADATA.len() as u64;
    let record_bytes = wheel.true_record().len() as u64;
    let judge = |name: &str, bytes: &[u8], limits: &Limits| rules(&as_named(name, bytes, limits));
    let limits = Limits { metadata_bytes_max: metadata_bytes, record_bytes_max: record_bytes, ..Limits::default() };
    let small_metadata = Limits { metadata_bytes_max: metadata_bytes - 1, ..limits.clone() };
    let small_record = Limits { record_bytes_max: record_bytes - 1, ..limits.clone() };
    assert_eq!(judge(WHEEL_NAME, &wheel.bytes(), &limits), []);
    assert_eq!(judge(WHEEL_NAME, &wheel.bytes(), &small_metadata), [Rule::ArchiveLimits]);
    assert_eq!(judge(WHEEL_NAME, &wheel.bytes(), &small_record), [Rule::ArchiveLimits]);
    let sdist = sdist(&sdist_entries());
    assert_eq!(judge(SDIST_NAME, &sdist, &limits), []);
    assert_eq!(judge(SDIST_NAME, &sdist, &small_metadata), [Rule::ArchiveLimits]);
}
