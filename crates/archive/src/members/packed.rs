//! bzip2, xz and LZMA: no upload may be packed so, and inspection reads what came another way.
//!
//! Python's `zipfile` and `tarfile` take all of them, so what they hold can be unpacked by somebody.

use std::io::{self, Read};

use super::Oddity;

/// Largest dictionary that a stream may ask for, in KiB: what `xz -9` writes, and room.
const LZMA_KIB_MAX: u32 = 80 << 10;
/// Bytes before the stream in a ZIP's LZMA member: a version, the length of the properties, the properties.
const ZIP_LZMA_HEAD_BYTES: usize = 9;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Bzip2,
    Xz,
}

impl Packing {
    /// By the first bytes: `BZh`, a level and the sign of a block or of the end; or the sign of xz.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        const BLOCK: &[u8] = &[0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
        const END: &[u8] = &[0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
        match head {
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] if rest.starts_with(BLOCK) || rest.starts_with(END) => {
                Some(Self::Bzip2)
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }
}

/// The unpacked bytes; where the stream breaks they end, and why is told.
pub(super) struct Packed<'r> {
    decoder: Option<Box<dyn Read + 'r>>,
    /// What was wrong with the stream.
    pub(super) fault: Option<Oddity>,
}

impl<'r> Packed<'r> {
    /// A whole file of this packing, or several in a row.
    pub(super) fn open(packing: Packing, source: impl Read + 'r) -> Self {
        let decoder: Box<dyn Read + 'r> = match packing {
            Packing::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(source)),
            Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, LZMA_KIB_MAX)),
        };
        Self { decoder: Some(decoder), fault: None }
    }

    /// A ZIP's member of method 14 (APPNOTE 5.8): properties, then a stream that ends by its mark or its size.
    pub(super) fn zip_lzma(mut source: impl Read + 'r, unpacked: Option<u64>) -> Self {
        let mut head = [0; ZIP_LZMA_HEAD_BYTES];
        let opened = source.read_exact(&mut head).and_then(|()| {
            let dictionary = u32::from_le_bytes([head[5], head[6], head[7], head[8]]);
            if dictionary >> 10 > LZMA_KIB_MAX {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            let size = unpacked.unwrap_or(u64::MAX);
            lzma_rust2::LzmaReader::new_with_props(source, size, head[4], dictionary, None)
        });
        match opened {
            Ok(decoder) => Self { decoder: Some(Box::new(decoder)), fault: None },
            Err(error) => Self { decoder: None, fault: Some(fault(&error)) },
        }
    }
}

fn fault(error: &io::Error) -> Oddity {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        Oddity::Truncated
    } else if error.kind() == io::ErrorKind::OutOfMemory {
        Oddity::Limit
    } else {
        Oddity::Corrupt
    }
}

impl Read for Packed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else { return Ok(0) };
        match decoder.read(buffer) {
            Ok(count) => Ok(count),
            Err(error) => {
                self.fault = Some(fault(&error));
                // A decoder that failed is not asked again.
                self.decoder = None;
                Ok(0)
            }
        }
    }
}
