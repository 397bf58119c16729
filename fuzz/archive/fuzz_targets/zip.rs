//! ZIPs: nothing panics, and an accepted one holds as many members for a reader that goes by the central
//! directory.
#![no_main]

use std::io::{Cursor, Write};

use archive::{Limits, Subject, examine};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    // Small enough that a bomb does not slow the search down.
    let limits = Limits { unpacked_bytes_max: 4 << 20, ..Limits::default() };
    examine(&file, &Subject::Distribution("pkg-1.0-py3-none-any.whl".into()), &limits);
    let report = examine(&file, &Subject::AnyArchive, &limits);
    if bytes.starts_with(b"PK") && report.rejections.is_empty() {
        let other = zip::ZipArchive::new(Cursor::new(bytes)).expect("an accepted ZIP opens");
        assert_eq!(other.len() as u64, report.members);
    }
});
