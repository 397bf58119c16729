//! Bytes on their way through: hashed, kept, and the last of them withheld until the digest is known. Installers that
//! check nothing themselves then have no whole file that was not signed for.

use std::collections::VecDeque;
use std::io::{self, Write};

use bytes::Bytes;
use packaging::hash::Sha256;
use tempfile::NamedTempFile;
use tuf::hash::Hasher;

use crate::refusal::Refusal;

/// A piece of a file, or why no more come.
pub type Piece = Result<Bytes, Refusal>;

/// How many bytes are withheld of a file.
const TAIL_BYTES: u64 = 64 << 10;

/// Files up to this length are withheld whole: then the installer gets a refusal, not a broken connection.
const WHOLE_BYTES_MAX: u64 = 1 << 20;

/// One download.
#[derive(Debug)]
pub struct Download {
    hasher: Hasher,
    length: u64,
    count: u64,
    withheld: VecDeque<Bytes>,
    withheld_bytes: u64,
    gathered: NamedTempFile,
}

impl Download {
    /// How many pieces wait for an installer before the index is waited for no more.
    pub const PIECES_AHEAD_MAX: usize = 16;

    /// Of a file of this length, to be gathered here.
    pub fn new(length: u64, gathered: NamedTempFile) -> Self {
        Self { hasher: Hasher::new(false), length, count: 0, withheld: VecDeque::new(), withheld_bytes: 0, gathered }
    }

    /// Takes a piece; returns those that may go on.
    pub fn push(&mut self, piece: Bytes) -> io::Result<Vec<Bytes>> {
        self.hasher.update(&piece);
        self.gathered.write_all(&piece)?;
        self.count += piece.len() as u64;
        self.withheld_bytes += piece.len() as u64;
        self.withheld.push_back(piece);
        let mut free = Vec::new();
        if self.length <= WHOLE_BYTES_MAX {
            return Ok(free);
        }
        while let Some(first) = self.withheld.front()
            && self.withheld_bytes - first.len() as u64 >= TAIL_BYTES
            && let Some(first) = self.withheld.pop_front()
        {
            self.withheld_bytes -= first.len() as u64;
            free.push(first);
        }
        Ok(free)
    }

    /// The file and the pieces that were withheld, if it is the one that was meant.
    pub fn finish(self, sha256: &Sha256) -> Option<(NamedTempFile, VecDeque<Bytes>)> {
        let is_meant = self.count == self.length && self.hasher.finish().0 == *sha256.as_bytes();
        is_meant.then_some((self.gathered, self.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download(length: u64) -> Download {
        Download::new(length, NamedTempFile::new().expect("a file"))
    }

    #[test]
    fn the_tail_waits_for_the_digest() {
        let all = vec![7; WHOLE_BYTES_MAX as usize + 1];
        let sha256 = Sha256::new(tuf::hash::sha256(&all));
        let mut one = download(all.len() as u64);
        let mut free = 0;
        for piece in all.chunks(10_000) {
            free += one.push(Bytes::copy_from_slice(piece)).expect("room").iter().map(Bytes::len).sum::<usize>();
        }
        assert!(free > 900_000, "most goes on");
        assert!(all.len() - free >= TAIL_BYTES as usize, "the tail does not");
        let (_, tail) = one.finish(&sha256).expect("it is meant");
        assert_eq!(free + tail.iter().map(Bytes::len).sum::<usize>(), all.len());
    }

    #[test]
    fn what_is_small_waits_whole() {
        let all = vec![7; WHOLE_BYTES_MAX as usize];
        let mut one = download(all.len() as u64);
        for piece in all.chunks(10_000) {
            assert!(one.push(Bytes::copy_from_slice(piece)).expect("room").is_empty());
        }
        assert!(one.finish(&Sha256::new([0; 32])).is_none(), "another digest");
        let mut short = download(8);
        short.push(Bytes::from_static(b"seven..")).expect("room");
        assert!(short.finish(&Sha256::new(tuf::hash::sha256(b"seven.."))).is_none(), "another length");
    }
}
