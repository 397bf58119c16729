//! Gzip (RFC 1952), leniently: stream after stream, until there is no more of them.

use std::io::{self, Read};

use crate::inflate::{Inflate, InflateError};
use crate::input::Input;

use super::Oddity;

/// Longest name or comment in a header that is passed over, in bytes.
const TEXT_BYTES_MAX: u64 = 64 << 10;
const HEADER_BYTES: u64 = 10;
const TRAILER_BYTES: u64 = 8;

/// The decoded bytes of all streams, one after another.
pub(super) struct Gunzip<'f> {
    input: Input<'f>,
    inflate: Inflate,
    used: usize,
    ended: bool,
    /// What was wrong, each once.
    pub(super) odd: Vec<Oddity>,
}

impl<'f> Gunzip<'f> {
    /// Starts at the first stream's header.
    pub(super) fn open(mut input: Input<'f>) -> Option<Self> {
        let data_at = header(&mut input, 0)?;
        let mut inflate = Inflate::new();
        inflate.start(data_at, input.bytes());
        Some(Self { input, inflate, used: 0, ended: false, odd: vec![] })
    }

    /// What the first stream's header calls the file, without folders.
    pub(super) fn name(&mut self) -> Option<Vec<u8>> {
        let flags = self.input.exact(3, 1).ok()?[0];
        let mut at = HEADER_BYTES;
        if flags & 1 << 2 != 0 {
            let count = self.input.exact(at, 2).ok()?;
            at += 2 + u64::from(u16::from_le_bytes([count[0], count[1]]));
        }
        let named = flags & 1 << 3 != 0;
        let mut name = Vec::new();
        while named && name.len() as u64 <= TEXT_BYTES_MAX {
            match self.input.exact(at + name.len() as u64, 1).ok()?[0] {
                0 => break,
                byte => name.push(byte),
            }
        }
        named.then(|| name.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default().to_vec())
    }

    fn note(&mut self, oddity: Oddity) {
        if !self.odd.contains(&oddity) {
            self.odd.push(oddity);
        }
    }

    /// Decodes on; false at the end of all streams.
    fn advance(&mut self) -> bool {
        while !self.ended {
            self.used = 0;
            match self.inflate.step(&mut self.input) {
                Ok(true) => return true,
                Ok(false) => self.next_stream(),
                Err(error) => {
                    self.ended = true;
                    self.note(match error {
                        InflateError::Corrupt => Oddity::Corrupt,
                        InflateError::Truncated | InflateError::Io(_) => Oddity::Truncated,
                    });
                    return false;
                }
            }
        }
        false
    }

    fn next_stream(&mut self) {
        let at = self.inflate.at().saturating_add(TRAILER_BYTES);
        let rest = self.input.bytes().saturating_sub(at);
        match header(&mut self.input, at) {
            Some(data_at) => {
                self.note(Oddity::SeveralStreams);
                self.inflate.start(data_at, self.input.bytes());
            }
            None => {
                self.ended = true;
                if rest > 0 {
                    self.note(Oddity::TrailingBytes);
                } else if at > self.input.bytes() {
                    self.note(Oddity::Truncated);
                }
            }
        }
    }
}

impl Read for Gunzip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || self.used >= self.inflate.piece().len() && !self.advance() {
            return Ok(0);
        }
        let piece = self.inflate.piece().get(self.used..).unwrap_or_default();
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        self.used += count;
        Ok(count)
    }
}

/// Where the deflate stream behind a header at `at` begins.
fn header(input: &mut Input<'_>, at: u64) -> Option<u64> {
    let fixed = input.exact(at, HEADER_BYTES as usize).ok()?;
    let flags = fixed[3];
    if !fixed.starts_with(&[0x1f, 0x8b, 8]) {
        return None;
    }
    let mut next = at + HEADER_BYTES;
    if flags & 1 << 2 != 0 {
        let count = input.exact(next, 2).ok()?;
        next += 2 + u64::from(u16::from_le_bytes([count[0], count[1]]));
    }
    for text in [1 << 3, 1 << 4] {
        if flags & text != 0 {
            let from = next;
            while input.exact(next, 1).ok()?[0] != 0 {
                next += 1;
                if next - from > TEXT_BYTES_MAX {
                    return None;
                }
            }
            next += 1;
        }
    }
    Some(if flags & 1 << 1 != 0 { next + 2 } else { next })
}
