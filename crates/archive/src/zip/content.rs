//! The data of each member: it must be exactly what its headers say, byte count, checksum and end.

use packaging::{Rejection, Rule};

use super::record::{self, refused};
use super::walk::Entry;
use crate::contents::printable;
use crate::inflate::{Inflate, InflateError};
use crate::input::Input;

/// What is done with a member's bytes as they come; they come once.
pub(super) type Sink<'s> = dyn FnMut(&[u8]) -> Result<(), Rejection> + 's;

/// Decodes members. Memory: the input's window and one piece of output, whatever the member's size.
pub(super) struct Decoder {
    inflate: Inflate,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { inflate: Inflate::new() }
    }

    /// Gives all bytes of the member to the sink, and checks them against its headers.
    pub(super) fn decode(
        &mut self,
        input: &mut Input<'_>,
        entry: &Entry,
        sink: &mut Sink<'_>,
    ) -> Result<(), Rejection> {
        let mut count = 0u64;
        let mut crc = flate2::Crc::new();
        let mut checked = |piece: &[u8]| {
            count += piece.len() as u64;
            // Stop at the first byte too many: a bomb is not decoded to its end.
            if count > entry.stated.unpacked {
                return Err(broken(entry, "holds more bytes than its headers state"));
            }
            crc.update(piece);
            sink(piece)
        };
        match entry.stated.method {
            record::STORED => stored(input, entry, &mut checked)?,
            _ => self.deflated(input, entry, &mut checked)?,
        }
        if count != entry.stated.unpacked {
            return Err(broken(entry, "holds fewer bytes than its headers state"));
        }
        // By chance one member in four billion has it; readers exist that take it for "not known".
        if entry.stated.crc == 0 && count > 0 {
            return Err(broken(entry, "has a checksum of zero"));
        }
        if crc.sum() != entry.stated.crc {
            return Err(broken(entry, "does not have the checksum that its headers state"));
        }
        Ok(())
    }

    fn deflated(&mut self, input: &mut Input<'_>, entry: &Entry, sink: &mut Sink<'_>) -> Result<(), Rejection> {
        let end = entry.data_at + entry.stated.packed;
        self.inflate.start(entry.data_at, end);
        loop {
            match self.inflate.step(input) {
                Ok(false) => break,
                Ok(true) => sink(self.inflate.piece())?,
                Err(InflateError::Corrupt) => return Err(broken(entry, "cannot be inflated")),
                Err(InflateError::Truncated) => return Err(broken(entry, "ends before its deflate stream does")),
                Err(InflateError::Io(error)) => return Err(unreadable(&error)),
            }
        }
        // Bytes behind the stream's end would be a place to hide an archive within the archive.
        if self.inflate.at() == end { Ok(()) } else { Err(broken(entry, "holds bytes behind its deflate stream")) }
    }
}

fn stored(input: &mut Input<'_>, entry: &Entry, sink: &mut Sink<'_>) -> Result<(), Rejection> {
    let (mut at, end) = (entry.data_at, entry.data_at + entry.stated.packed);
    while at < end {
        let bytes = input.some(at).map_err(|error| unreadable(&error))?;
        let count = bytes.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        if count == 0 {
            return Err(broken(entry, "ends with the file"));
        }
        sink(&bytes[..count])?;
        at += count as u64;
    }
    Ok(())
}

fn broken(entry: &Entry, what: &str) -> Rejection {
    refused(Rule::ZipContent, format_args!("{} {what}", printable(entry.name.as_bytes())))
}

fn unreadable(error: &std::io::Error) -> Rejection {
    Rejection::new(Rule::InspectionFailed, format!("Invalid distribution file. It cannot be read: {error}."))
}
