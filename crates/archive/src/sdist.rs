//! Source distributions (PEP 625).

use std::fs::File;
use std::io::{BufReader, Read};

use packaging::{DistFilename, Rule};

use crate::{Limits, Report};

pub(crate) fn examine(file: &File, name: &str, limits: &Limits, report: &mut Report) {
    let Ok(parsed) = name.parse::<DistFilename>() else { return };
    let want = format!("{}/PKG-INFO", parsed.stem());
    match read_member(file, &want, limits) {
        Ok(Some(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => report.metadata = Some(text),
            Err(_) => report.reject(Rule::MetadataUnreadable, "PKG-INFO is not UTF-8."),
        },
        Ok(None) => {
            report.reject(Rule::SdistLayout, format!("Invalid distribution file. PKG-INFO not found at {want}."))
        }
        Err(error) => {
            report.reject(Rule::ArchiveKind, format!("Invalid distribution file. File is not a gzip tar: {error}."))
        }
    }
}

fn read_member(file: &File, want: &str, limits: &Limits) -> std::io::Result<Option<Vec<u8>>> {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(BufReader::new(file.try_clone()?)));
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.path_bytes().as_ref() == want.as_bytes() {
            let mut out = Vec::new();
            entry.take(limits.metadata_bytes_max + 1).read_to_end(&mut out)?;
            return Ok(Some(out));
        }
    }
    Ok(None)
}
