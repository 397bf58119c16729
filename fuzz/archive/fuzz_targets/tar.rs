//! Tars, as they are and as the content of a sound gzip stream: nothing panics, and an accepted one holds
//! as many members for another reader.
#![no_main]

use std::io::Write;

use archive::{Limits, Subject, examine};
use flate2::Compression;
use flate2::write::GzEncoder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Small enough that a bomb does not slow the search down.
    let limits = Limits { unpacked_bytes_max: 4 << 20, ..Limits::default() };
    let judge = |bytes: &[u8], subject: &Subject| {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("room for it");
        examine(&file, subject, &limits)
    };
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("memory does not fail");
    let packed = packed.finish().expect("memory does not fail");
    judge(&packed, &Subject::Distribution("pkg-1.0.tar.gz".into()));
    let report = judge(bytes, &Subject::AnyArchive);
    let is_tar = !bytes.starts_with(b"PK") && !bytes.starts_with(b"\x1f\x8b");
    if is_tar && report.rejections.is_empty() {
        let mut other = tar::Archive::new(bytes);
        let entries = other.entries().expect("an accepted tar opens").map(|entry| entry.expect("and is read"));
        let members = entries.filter(|entry| !entry.header().entry_type().is_pax_global_extensions()).count();
        assert_eq!(members as u64, report.members);
    }
});
