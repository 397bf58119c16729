//! The gzip frame of a `.tar.gz` (RFC 1952): one member, from the file's first byte to its last.
//!
//! Several members in a row are legal gzip, and `cat`-ed archives are made of them; yet some readers stop
//! after the first. No build back end writes them, so two are refused like any other bytes that follow.

use std::io;

use packaging::{Rejection, Rule};

use crate::inflate::{Inflate, InflateError};
use crate::input::Input;

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const DEFLATE: u8 = 8;
const HEADER_BYTES: u64 = 10;
const TRAILER_BYTES: u64 = 8;

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
/// Bits that RFC 1952 §2.3.1.2 demands to be zero.
const RESERVED: u8 = 0b1110_0000;
/// Longest name or comment in the header, in bytes: nobody reads them, some readers hold them in memory.
const TEXT_BYTES_MAX: usize = 4096;

/// Whether the file begins like gzip.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The decoded stream.
pub(super) struct Gunzip<'f> {
    input: Input<'f>,
    inflate: Inflate,
    crc: flate2::Crc,
    finished: bool,
}

impl<'f> Gunzip<'f> {
    /// Reads the header.
    pub(super) fn open(mut input: Input<'f>) -> Result<Self, Rejection> {
        let data_at = header(&mut input)?;
        let end = input.bytes().saturating_sub(TRAILER_BYTES);
        if end < data_at {
            return Err(truncated());
        }
        let mut inflate = Inflate::new();
        inflate.start(data_at, end);
        Ok(Self { input, inflate, crc: flate2::Crc::new(), finished: false })
    }

    /// The next decoded bytes; none once the stream has ended, and ended as it must.
    pub(super) fn piece(&mut self) -> Result<&[u8], Rejection> {
        if self.finished {
            return Ok(&[]);
        }
        match self.inflate.step(&mut self.input) {
            Ok(false) => {}
            Ok(true) => {
                self.crc.update(self.inflate.piece());
                return Ok(self.inflate.piece());
            }
            Err(InflateError::Corrupt) => return Err(framing("the gzip stream is corrupt")),
            Err(InflateError::Truncated) => return Err(truncated()),
            Err(InflateError::Io(error)) => return Err(unreadable(&error)),
        }
        self.finished = true;
        trailer(&mut self.input, self.inflate.at(), &self.crc)?;
        Ok(&[])
    }
}

/// Reads the header and returns where the deflate stream begins.
fn header(input: &mut Input<'_>) -> Result<u64, Rejection> {
    let fixed = bytes(input, 0, HEADER_BYTES as usize)?;
    let flags = fixed[3];
    if !begins(&fixed) || fixed[2] != DEFLATE || flags & RESERVED != 0 {
        return Err(framing("the gzip header is malformed"));
    }
    let mut at = HEADER_BYTES;
    if flags & EXTRA != 0 {
        let count = bytes(input, at, 2)?;
        at += 2 + u64::from(u16::from_le_bytes([count[0], count[1]]));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            at = skip_text(input, at)?;
        }
    }
    if flags & HEADER_CRC != 0 {
        let all = usize::try_from(at).map_err(|_| truncated())?;
        let mut crc = flate2::Crc::new();
        crc.update(&bytes(input, 0, all)?);
        let stated = bytes(input, at, 2)?;
        if (crc.sum() & 0xffff) as u16 != u16::from_le_bytes([stated[0], stated[1]]) {
            return Err(framing("the gzip header has a wrong checksum"));
        }
        at += 2;
    }
    Ok(at)
}

/// Passes a text that ends in NUL.
fn skip_text(input: &mut Input<'_>, at: u64) -> Result<u64, Rejection> {
    let mut at = at;
    for _ in 0..TEXT_BYTES_MAX {
        at += 1;
        if bytes(input, at - 1, 1)?[0] == 0 {
            return Ok(at);
        }
    }
    Err(framing("the gzip header holds a very long name"))
}

/// CRC-32 and size of all that was decoded, then the end of the file.
fn trailer(input: &mut Input<'_>, at: u64, crc: &flate2::Crc) -> Result<(), Rejection> {
    let stated = bytes(input, at, TRAILER_BYTES as usize)?;
    let number = |from: usize| u32::from_le_bytes([stated[from], stated[from + 1], stated[from + 2], stated[from + 3]]);
    if number(0) != crc.sum() || number(4) != crc.amount() {
        return Err(framing("the gzip stream has a wrong checksum or size"));
    }
    if at + TRAILER_BYTES != input.bytes() {
        return Err(framing("bytes follow the gzip stream"));
    }
    Ok(())
}

fn bytes(input: &mut Input<'_>, at: u64, count: usize) -> Result<Vec<u8>, Rejection> {
    input
        .exact(at, count)
        .map(<[u8]>::to_vec)
        .map_err(|error| if error.kind() == io::ErrorKind::UnexpectedEof { truncated() } else { unreadable(&error) })
}

pub(super) fn framing(what: impl std::fmt::Display) -> Rejection {
    Rejection::new(Rule::TarFraming, format!("Invalid distribution file. Tar archive not accepted: {what}."))
}

fn truncated() -> Rejection {
    framing("the gzip stream ends early")
}

pub(super) fn unreadable(error: &io::Error) -> Rejection {
    Rejection::new(Rule::InspectionFailed, format!("Invalid distribution file. It cannot be read: {error}."))
}
