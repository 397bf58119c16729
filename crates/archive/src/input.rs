//! Reads of the open file at a position, through one window of bounded size.

use std::fs::File;
use std::io;

/// Bytes held of the file at once, and the longest slice that can be asked for.
const WINDOW_BYTES: usize = 128 << 10;
/// Bytes read when only a record is wanted: hops from header to header shall not read the data between.
const RECORD_BYTES: usize = 8 << 10;

/// Where the bytes are.
#[derive(Debug, Clone, Copy)]
enum Source<'f> {
    File(&'f File),
    Memory(&'f [u8]),
}

impl Source<'_> {
    /// Some bytes at a position; none at the end.
    fn read_at(self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => std::os::unix::fs::FileExt::read_at(file, buffer, at),
            Self::Memory(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
        }
    }
}

/// The file, read by position: the descriptor's own offset is shared with the process that opened it and
/// with other passes over the same file, so it is neither used nor moved.
#[derive(Debug)]
pub(crate) struct Input<'f> {
    source: Source<'f>,
    bytes: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'f> Input<'f> {
    pub(crate) fn new(file: &'f File) -> io::Result<Self> {
        Ok(Self { source: Source::File(file), bytes: file.metadata()?.len(), window: Vec::new(), window_at: 0 })
    }

    /// An archive within an archive: its bytes are in memory already.
    pub(crate) fn over(bytes: &'f [u8]) -> Self {
        Self { source: Source::Memory(bytes), bytes: bytes.len() as u64, window: Vec::new(), window_at: 0 }
    }

    /// The file's size.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Exactly `count` bytes at `at`, or [`io::ErrorKind::UnexpectedEof`].
    pub(crate) fn exact(&mut self, at: u64, count: usize) -> io::Result<&[u8]> {
        if count > WINDOW_BYTES || at.checked_add(count as u64).is_none_or(|end| end > self.bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.held(at) < count {
            self.fill(at, if self.bytes <= WINDOW_BYTES as u64 { WINDOW_BYTES } else { count.max(RECORD_BYTES) })?;
        }
        let from = (at - self.window_at) as usize;
        self.window.get(from..from + count).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// As many bytes at `at` as the window holds: at least one, unless the file ends there.
    pub(crate) fn some(&mut self, at: u64) -> io::Result<&[u8]> {
        if self.held(at) == 0 {
            self.fill(at, WINDOW_BYTES)?;
        }
        let from = at.saturating_sub(self.window_at) as usize;
        Ok(self.window.get(from..).unwrap_or_default())
    }

    fn held(&self, at: u64) -> usize {
        match at.checked_sub(self.window_at) {
            Some(from) if from <= self.window.len() as u64 => self.window.len() - from as usize,
            _ => 0,
        }
    }

    fn fill(&mut self, at: u64, count: usize) -> io::Result<()> {
        let left = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(usize::MAX);
        self.window.resize(count.min(left).min(WINDOW_BYTES), 0);
        self.window_at = at;
        let mut filled = 0;
        while filled < self.window.len() {
            match self.source.read_at(&mut self.window[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.window.clear();
                    return Err(error);
                }
            }
        }
        self.window.truncate(filled);
        Ok(())
    }
}
