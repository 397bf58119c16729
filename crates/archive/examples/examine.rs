//! Prints what `archive::examine` makes of files: one JSON object a line. `--any` judges framing and content
//! alone, whatever the names.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use archive::{Limits, Subject, examine};

#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let any = arguments.iter().any(|argument| argument == "--any");
    for path in arguments.iter().filter(|argument| *argument != "--any") {
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let subject = if any { Subject::AnyArchive } else { Subject::Distribution(name) };
        let file = File::open(path)?;
        let started = Instant::now();
        let mut report = examine(&file, &subject, &Limits::default());
        let micros = started.elapsed().as_micros();
        let metadata_bytes = report.metadata.take().map(|text| text.len());
        let line = serde_json::json!({
            "file": path, "micros": micros, "metadata_bytes": metadata_bytes, "members": report.members,
            "unpacked_bytes": report.unpacked_bytes, "rejections": report.rejections,
        });
        println!("{line}");
    }
    Ok(())
}
