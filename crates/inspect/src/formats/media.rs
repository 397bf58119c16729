//! Pictures and sounds: where the container ends by its own account, and what stands behind that.

/// What a media file holds besides its picture or sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// The container, as a word.
    pub format: &'static str,
    /// Bytes that the container accounts for; nothing when it breaks off or does not say.
    pub container_bytes: Option<u64>,
    /// Bytes behind its end.
    pub trailing_bytes: u64,
    /// What the bytes behind the end begin with, as a word: an archive, an executable, text.
    pub trailing: &'static str,
    /// Samples that are printable text throughout: no sound is.
    pub text_samples: bool,
}

/// Reads a file that begins like media.
pub fn read(bytes: &[u8]) -> Media {
    let (format, end) = match bytes {
        [0x89, b'P', b'N', b'G', ..] => ("png", png(bytes)),
        [0xff, 0xd8, ..] => ("jpeg", jpeg(bytes)),
        [b'G', b'I', b'F', ..] => ("gif", gif(bytes)),
        [b'R', b'I', b'F', b'F', ..] => ("riff", riff(bytes)),
        [b'B', b'M', ..] => ("bmp", number(bytes, 2).map(|end| end as usize).filter(|end| *end > 26)),
        _ => ("other", None),
    };
    let end = end.filter(|end| *end <= bytes.len());
    let rest = end.and_then(|end| bytes.get(end..)).unwrap_or_default();
    let rest = rest.trim_ascii_end();
    let padding = rest.iter().all(|byte| *byte == rest.first().copied().unwrap_or_default());
    Media {
        format,
        container_bytes: end.map(|end| end as u64),
        trailing_bytes: if padding { 0 } else { rest.len() as u64 },
        trailing: what(rest),
        text_samples: format == "riff" && text_samples(bytes),
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn what(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        "nothing"
    } else if bytes.starts_with(b"\x7fELF") || crate::kind::is_pe(bytes) {
        "an executable"
    } else if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x1f\x8b\x08") {
        "an archive"
    } else if bytes.iter().take(4096).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        "text"
    } else {
        "data"
    }
}

/// Chunks of length, type, data and checksum, up to IEND.
fn png(bytes: &[u8]) -> Option<usize> {
    let mut at = 8usize;
    loop {
        let header = bytes.get(at..at.checked_add(8)?)?;
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let end = at.checked_add(12)?.checked_add(length)?;
        if &header[4..8] == b"IEND" {
            return Some(end);
        }
        at = end;
    }
}

/// Segments up to the scan, then its data up to the next marker that is none of the scan's own.
fn jpeg(bytes: &[u8]) -> Option<usize> {
    let mut at = 2usize;
    loop {
        let (0xff, marker) = (*bytes.get(at)?, *bytes.get(at + 1)?) else { return None };
        match marker {
            0xff => at += 1,
            0xd9 => return Some(at + 2),
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => {
                let length = bytes.get(at + 2..at + 4).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])))?;
                at += 2 + length.max(2);
                if marker == 0xda {
                    at = scan_end(bytes, at)?;
                }
            }
        }
    }
}

fn scan_end(bytes: &[u8], from: usize) -> Option<usize> {
    let scan = bytes.get(from..)?;
    scan.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7)).map(|at| from + at)
}

/// The screen's colours, then blocks up to the trailer.
fn gif(bytes: &[u8]) -> Option<usize> {
    let colours = |flags: u8| if flags & 0x80 != 0 { 3usize << ((flags & 7) + 1) } else { 0 };
    let mut at = 13 + colours(*bytes.get(10)?);
    loop {
        match bytes.get(at)? {
            0x3b => return Some(at + 1),
            0x21 => at = sub_blocks(bytes, at + 2)?,
            0x2c => at = sub_blocks(bytes, at + 11 + colours(*bytes.get(at + 9)?))?,
            _ => return None,
        }
    }
}

fn sub_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let count = usize::from(*bytes.get(at)?);
        at += 1 + count;
        if count == 0 {
            return Some(at);
        }
    }
}

/// The size that RIFF states, rounded up to a whole word; several in a row are one file (OpenDML).
fn riff(bytes: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    while bytes.get(at..)?.starts_with(b"RIFF") {
        let size = number(bytes, at + 4)? as usize;
        at = at.checked_add(8)?.checked_add(size.checked_add(size & 1)?)?;
    }
    Some(at)
}

/// The samples of a wave file: text would be a carrier, not a sound.
fn text_samples(bytes: &[u8]) -> bool {
    if bytes.get(8..12) != Some(b"WAVE") {
        return false;
    }
    let mut at = 12usize;
    while let (Some(name), Some(size)) = (bytes.get(at..at + 4), number(bytes, at + 4)) {
        let end = (at + 8).saturating_add(size as usize).min(bytes.len());
        if name == b"data" {
            let data = &bytes[at + 8..end];
            let distinct = data.iter().take(4096).collect::<std::collections::BTreeSet<_>>().len();
            return data.len() >= 256 && distinct > 16 && data.iter().all(|b| b.is_ascii_graphic() || *b == b'\n');
        }
        at = end + (size as usize & 1);
    }
    false
}
