//! One raw deflate stream (RFC 1951) at a known place of the file, decoded piece by piece.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use crate::input::Input;

/// Bytes decoded at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Why a stream cannot be decoded.
#[derive(Debug)]
pub(crate) enum InflateError {
    /// The stream is no deflate stream.
    Corrupt,
    /// The stream does not end within the bytes it was given.
    Truncated,
    /// The file cannot be read.
    Io(io::Error),
}

/// The decoder; one is used for all members of an archive.
pub(crate) struct Inflate {
    state: Decompress,
    piece: Vec<u8>,
    made: usize,
    at: u64,
    end: u64,
    ended: bool,
}

impl Inflate {
    pub(crate) fn new() -> Self {
        Self { state: Decompress::new(false), piece: vec![0; PIECE_BYTES], made: 0, at: 0, end: 0, ended: true }
    }

    /// Begins a stream that lies within `at..end` of the file.
    pub(crate) fn start(&mut self, at: u64, end: u64) {
        self.state.reset(false);
        self.at = at;
        self.end = end;
        self.ended = false;
    }

    /// The place in the file after the last byte used.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// What the last [`Self::step`] decoded.
    pub(crate) fn piece(&self) -> &[u8] {
        &self.piece[..self.made]
    }

    /// Decodes the next piece; false once the stream has ended.
    pub(crate) fn step(&mut self, input: &mut Input<'_>) -> Result<bool, InflateError> {
        while !self.ended {
            let bytes = input.some(self.at).map_err(InflateError::Io)?;
            let usable = bytes.len().min(usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX));
            let (in_before, out_before) = (self.state.total_in(), self.state.total_out());
            let status = self
                .state
                .decompress(&bytes[..usable], &mut self.piece, FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt)?;
            let used = self.state.total_in() - in_before;
            self.made = (self.state.total_out() - out_before) as usize;
            self.at += used;
            self.ended = status == Status::StreamEnd;
            if self.made > 0 {
                return Ok(true);
            }
            // No output, no end and nothing consumed: the decoder waits for bytes that are not there.
            if !self.ended && used == 0 {
                return Err(if usable == 0 { InflateError::Truncated } else { InflateError::Corrupt });
            }
        }
        Ok(false)
    }
}
