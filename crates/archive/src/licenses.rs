//! License-File (PEP 639): what the metadata names must be in the archive.

use packaging::metadata::{self, Field};
use packaging::{CoreMetadata, Rule};

use crate::Report;
use crate::contents::{Contents, printable};

/// Since this metadata version the field says where the file is; setuptools wrote it before, without.
const SINCE: (u32, u32) = (2, 4);

/// Checks the field against `folder`, below which the files must stand.
pub(crate) fn check(text: &str, folder: &str, filename: &str, contents: &Contents, report: &mut Report) {
    // Problems of the metadata itself are found by whoever parses it for the upload.
    let (metadata, _) = metadata::parse(text.as_bytes());
    if version(&metadata).is_none_or(|version| version < SINCE) {
        return;
    }
    for path in metadata.all(Field::LicenseFile) {
        let place = format!("{folder}/{path}");
        if !contents.has_file(&place) {
            report.reject(
                Rule::LicenseFileMissing,
                format!(
                    "License-File {} does not exist in distribution file {filename} at {}.",
                    printable(path.as_bytes()),
                    printable(place.as_bytes())
                ),
            );
        }
    }
}

fn version(metadata: &CoreMetadata) -> Option<(u32, u32)> {
    let (major, minor) = metadata.get(Field::MetadataVersion)?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
