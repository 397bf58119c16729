//! Wheels (binary distribution format).

use std::fs::File;
use std::io::Read;

use packaging::{DistFilename, Rule};

use crate::{Limits, Report};

pub(crate) fn examine(file: &File, name: &str, limits: &Limits, report: &mut Report) {
    let Ok(parsed) = name.parse::<DistFilename>() else { return };
    let want = format!("{}/METADATA", parsed.stem());
    match read_member(file, &want, limits) {
        Ok(Some(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => report.metadata = Some(text),
            Err(_) => report.reject(Rule::MetadataUnreadable, "METADATA is not UTF-8."),
        },
        Ok(None) => report
            .reject(Rule::WheelLayout, format!("Wheel '{name}' does not contain the required METADATA file: {want}.")),
        Err(error) => {
            report.reject(Rule::ArchiveKind, format!("Invalid distribution file. File is not a zipfile: {error}."))
        }
    }
}

fn read_member(file: &File, want: &str, limits: &Limits) -> Result<Option<Vec<u8>>, rawzip::Error> {
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let archive = rawzip::ZipArchive::from_file(file.try_clone().map_err(rawzip::Error::from)?, &mut buffer)?;
    let mut entries = archive.entries(&mut buffer);
    let mut found = None;
    while let Some(entry) = entries.next_entry()? {
        if entry.file_path().as_ref() == want.as_bytes() {
            found = Some((entry.wayfinder(), entry.compression_method()));
        }
    }
    let Some((wayfinder, method)) = found else { return Ok(None) };
    let entry = archive.get_entry(wayfinder)?;
    let mut out = Vec::new();
    if method == rawzip::CompressionMethod::STORE {
        entry.reader().take(limits.metadata_bytes_max + 1).read_to_end(&mut out).map_err(rawzip::Error::from)?;
    } else {
        flate2::read::DeflateDecoder::new(entry.reader())
            .take(limits.metadata_bytes_max + 1)
            .read_to_end(&mut out)
            .map_err(rawzip::Error::from)?;
    }
    Ok(Some(out))
}
