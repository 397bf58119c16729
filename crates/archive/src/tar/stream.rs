//! The bytes of a tar, packed or plain, counted as they come and handed out in blocks.

use packaging::Rejection;

use super::gzip::{Gunzip, framing, unreadable};
use crate::input::Input;
use crate::limits::Budget;

pub(super) const BLOCK_BYTES: usize = 512;

/// Where the bytes come from.
enum Source<'f> {
    Plain { input: Input<'f>, at: u64 },
    Gzip(Box<Gunzip<'f>>),
}

/// The stream, read once from front to back.
pub(super) struct Stream<'f, 'b, 'l> {
    source: Source<'f>,
    budget: &'b mut Budget<'l>,
    piece: Vec<u8>,
    used: usize,
}

impl<'f, 'b, 'l> Stream<'f, 'b, 'l> {
    pub(super) fn plain(input: Input<'f>, budget: &'b mut Budget<'l>) -> Self {
        Self { source: Source::Plain { input, at: 0 }, budget, piece: vec![], used: 0 }
    }

    pub(super) fn gzip(input: Input<'f>, budget: &'b mut Budget<'l>) -> Result<Self, Rejection> {
        let source = Source::Gzip(Box::new(Gunzip::open(input)?));
        Ok(Self { source, budget, piece: vec![], used: 0 })
    }

    pub(super) fn budget(&mut self) -> &mut Budget<'l> {
        self.budget
    }

    /// Whether a member of this size is within the limits; what is at hand is counted already.
    pub(super) fn would_be(&self, bytes: u64) -> Result<(), Rejection> {
        self.budget.unpacked_would_be(bytes.saturating_sub((self.piece.len() - self.used) as u64))
    }

    /// Bytes at hand: none only at the end of the stream.
    fn at_hand(&mut self) -> Result<&[u8], Rejection> {
        if self.used == self.piece.len() {
            let piece = match &mut self.source {
                Source::Plain { input, at } => {
                    let piece = input.some(*at).map_err(|error| unreadable(&error))?;
                    *at += piece.len() as u64;
                    piece
                }
                Source::Gzip(gunzip) => gunzip.piece()?,
            };
            self.budget.unpacked(piece.len() as u64)?;
            self.piece.clear();
            self.piece.extend_from_slice(piece);
            self.used = 0;
        }
        Ok(&self.piece[self.used..])
    }

    /// The next block; none at the end of the stream.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, Rejection> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            let at_hand = self.at_hand()?;
            let count = at_hand.len().min(BLOCK_BYTES - filled);
            if count == 0 && filled == 0 {
                return Ok(None);
            }
            if count == 0 {
                return Err(framing("it ends within a block"));
            }
            block[filled..filled + count].copy_from_slice(&at_hand[..count]);
            filled += count;
            self.used += count;
        }
        Ok(Some(block))
    }

    /// The data of a member and its padding, which must be zeros: whatever else stood there would be bytes
    /// that no listing shows.
    pub(super) fn data(&mut self, bytes: u64, sink: &mut dyn FnMut(&[u8])) -> Result<(), Rejection> {
        self.pass(bytes, &mut |piece| {
            sink(piece);
            Ok(())
        })?;
        let padding = (BLOCK_BYTES as u64 - bytes % BLOCK_BYTES as u64) % BLOCK_BYTES as u64;
        self.pass(padding, &mut |piece| {
            if piece.iter().all(|byte| *byte == 0) {
                Ok(())
            } else {
                Err(framing("the padding of a member is not zero"))
            }
        })
    }

    fn pass(&mut self, bytes: u64, sink: &mut dyn FnMut(&[u8]) -> Result<(), Rejection>) -> Result<(), Rejection> {
        let mut left = bytes;
        while left > 0 {
            let at_hand = self.at_hand()?;
            let count = at_hand.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if count == 0 {
                return Err(framing("it ends within a member"));
            }
            sink(&at_hand[..count])?;
            self.used += count;
            left -= count as u64;
        }
        Ok(())
    }

    /// What follows the first zero block: a second one, then zeros in whole blocks to the end.
    pub(super) fn only_zeros_follow(&mut self) -> Result<(), Rejection> {
        let mut blocks = 1u64;
        while let Some(block) = self.block()? {
            if block.iter().any(|byte| *byte != 0) {
                return Err(framing(if blocks == 1 {
                    "a zero block stands between members"
                } else {
                    "data follows the end of the archive"
                }));
            }
            blocks += 1;
        }
        if blocks < 2 { Err(framing("it ends without two zero blocks")) } else { Ok(()) }
    }
}
