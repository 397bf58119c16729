//! A second opinion: the archive as an ordinary reader finds it, from its end through the central directory.
//!
//! The walk is the judge. This reads the same file with an independent parser (rawzip) that knows nothing
//! of the walk; should the two ever disagree, one of them has a bug and the archive is refused.

use std::fs::File;

use packaging::Rejection;

use super::record::framing;
use super::walk::Entry;

/// Compares what the central directory lists with what was walked.
pub(super) fn agrees(file: &File, entries: &[Entry]) -> Result<(), Rejection> {
    match listed(file, entries) {
        Ok(true) => Ok(()),
        Ok(false) => Err(framing("The central directory lists other members than the file holds")),
        Err(error) => Err(framing(format_args!("Malformed zip file: {error}"))),
    }
}

fn listed(file: &File, entries: &[Entry]) -> Result<bool, rawzip::Error> {
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let archive = rawzip::ZipArchive::from_file(file.try_clone().map_err(rawzip::Error::from)?, &mut buffer)?;
    if archive.entries_hint() != entries.len() as u64 {
        return Ok(false);
    }
    let mut seen = 0;
    let mut headers = archive.entries(&mut buffer);
    while let Some(header) = headers.next_entry()? {
        let Ok(found) = entries.binary_search_by_key(&header.local_header_offset(), |entry| entry.header_at) else {
            return Ok(false);
        };
        let Entry { name, stated, .. } = &entries[found];
        let same = header.file_path().as_ref() == name.as_bytes()
            && header.compressed_size_hint() == stated.packed
            && header.uncompressed_size_hint() == stated.unpacked
            && header.crc32() == stated.crc
            && header.flags().bits() == stated.flags;
        if !same {
            return Ok(false);
        }
        seen += 1;
    }
    Ok(seen == entries.len())
}
