//! What a file is by its bytes, to us and to anybody who looks at it from another end.
//!
//! A file that is a ZIP to one tool and a tar to another would be inspected as one and installed as the
//! other; such a file is refused whatever its name.

use std::io;

use packaging::{Rejection, Rule};

use crate::input::Input;
use crate::tar;

/// The formats that are read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Zip,
    TarGz,
    Tar,
}

/// Decides by the first bytes, as a reader from the front does, and refuses what a reader from the back, or
/// one that looks for tar headers, would take for something else.
pub(crate) fn of(input: &mut Input<'_>) -> Result<Kind, Rejection> {
    let head = input.some(0).map_err(|error| unreadable(&error))?;
    let head = &head[..head.len().min(512)];
    let tar = tar::is_header(head);
    // A ZIP begins with a local header or, when it is empty, with one of the two end records.
    let zip = [b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06"].iter().any(|magic| head.starts_with(*magic));
    let gzip = tar::begins_as_gzip(head);
    match (zip, gzip, tar) {
        (true, _, true) => Err(both()),
        (true, _, false) => Ok(Kind::Zip),
        (false, true, _) if ends_as_zip(input)? => Err(both()),
        (false, true, _) => Ok(Kind::TarGz),
        (false, false, true) if ends_as_zip(input)? => Err(both()),
        (false, false, true) => Ok(Kind::Tar),
        (false, false, false) => Err(neither(input)),
    }
}

/// A ZIP read from its end: an end record whose comment reaches to the last byte, and whose central
/// directory stands where it says, counted from the record (prefixed archives shift the offsets).
fn ends_as_zip(input: &mut Input<'_>) -> Result<bool, Rejection> {
    const END_BYTES: usize = 22;
    let bytes = input.bytes();
    let tail_bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(END_BYTES + usize::from(u16::MAX));
    let tail_at = bytes - tail_bytes as u64;
    let tail = input.exact(tail_at, tail_bytes).map_err(|error| unreadable(&error))?.to_vec();
    for (from, end) in tail.windows(END_BYTES).enumerate().filter(|(_, end)| end.starts_with(b"PK\x05\x06")) {
        let comment_bytes = usize::from(u16::from_le_bytes([end[20], end[21]]));
        if from + END_BYTES + comment_bytes != tail_bytes {
            continue;
        }
        let directory_bytes = u64::from(u32::from_le_bytes([end[12], end[13], end[14], end[15]]));
        let end_at = tail_at + from as u64;
        let begins = match end_at.checked_sub(directory_bytes) {
            _ if directory_bytes == 0 => true,
            Some(at) => input.exact(at, 4).is_ok_and(|signature| signature == b"PK\x01\x02"),
            None => false,
        };
        if begins {
            return Ok(true);
        }
    }
    Ok(false)
}

fn both() -> Rejection {
    Rejection::new(Rule::ArchiveKind, "Invalid distribution file. File is both a zipfile and a tarfile.")
}

fn neither(input: &mut Input<'_>) -> Rejection {
    // A ZIP behind other bytes (a self-extractor, say) is a ZIP to most readers: name that.
    if ends_as_zip(input).unwrap_or(false) {
        return Rejection::new(
            Rule::ZipFraming,
            "Invalid distribution file. ZIP archive not accepted: Unknown record signature, before the first member.",
        );
    }
    let what = if input.bytes() == 0 { "File is empty" } else { "File is neither a zipfile nor a tarfile" };
    Rejection::new(Rule::ArchiveKind, format!("Invalid distribution file. {what}."))
}

fn unreadable(error: &io::Error) -> Rejection {
    Rejection::new(Rule::InspectionFailed, format!("Invalid distribution file. It cannot be read: {error}."))
}
