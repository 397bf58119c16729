//! The fixed parts of ZIP records (APPNOTE 6.3.10 §4.3), little-endian numbers at fixed places.

use packaging::{Rejection, Rule};

pub(crate) const LOCAL: [u8; 4] = *b"PK\x03\x04";
pub(crate) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
pub(crate) const END64: [u8; 4] = *b"PK\x06\x06";
pub(crate) const LOCATOR64: [u8; 4] = *b"PK\x06\x07";
pub(crate) const END: [u8; 4] = *b"PK\x05\x06";

pub(crate) const LOCAL_BYTES: usize = 30;
pub(crate) const CENTRAL_BYTES: usize = 46;
pub(crate) const END64_BYTES: usize = 56;
pub(crate) const LOCATOR64_BYTES: usize = 20;
pub(crate) const END_BYTES: usize = 22;

/// A 32-bit field that says: look into the ZIP64 extra field.
pub(crate) const SEE_64: u32 = u32::MAX;
const SEE_64_SHORT: u16 = u16::MAX;

/// Flags that change nothing about how the data is read: the compressor's effort (bits 1 and 2).
const FLAGS_HARMLESS: u16 = 0b0110;
pub(crate) const FLAG_ENCRYPTED: u16 = 1;
pub(crate) const FLAG_DESCRIPTOR: u16 = 1 << 3;
pub(crate) const FLAG_UTF8: u16 = 1 << 11;
/// Encryption of the data (0), strong (6), of the central directory (13).
const FLAGS_ENCRYPTION: u16 = FLAG_ENCRYPTED | 1 << 6 | 1 << 13;

pub(crate) const STORED: u16 = 0;
pub(crate) const DEFLATED: u16 = 8;

/// A framing rejection in the public index's words.
pub(crate) fn framing(what: impl std::fmt::Display) -> Rejection {
    refused(Rule::ZipFraming, what)
}

pub(crate) fn refused(rule: Rule, what: impl std::fmt::Display) -> Rejection {
    Rejection::new(rule, format!("Invalid distribution file. ZIP archive not accepted: {what}."))
}

fn short(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

fn long(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn double(bytes: &[u8], at: usize) -> u64 {
    u64::from(long(bytes, at)) | u64::from(long(bytes, at + 4)) << 32
}

/// What a local header and its central twin both state, and must state alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) packed: u64,
    pub(crate) unpacked: u64,
}

impl Stated {
    /// Reads the run of fields that both headers have in one order, from flags to unpacked size.
    fn read(bytes: &[u8], at: usize) -> Self {
        Self {
            flags: short(bytes, at),
            method: short(bytes, at + 2),
            crc: long(bytes, at + 8),
            packed: u64::from(long(bytes, at + 12)),
            unpacked: u64::from(long(bytes, at + 16)),
        }
    }

    /// Flags and method that every reader understands alike.
    pub(crate) fn check(&self) -> Result<(), Rejection> {
        if self.flags & FLAGS_ENCRYPTION != 0 {
            return Err(refused(Rule::ZipMethod, "Encrypted member"));
        }
        if self.flags & FLAG_DESCRIPTOR != 0 {
            return Err(framing("ZIP contains a data descriptor"));
        }
        if self.flags & !(FLAGS_HARMLESS | FLAG_UTF8) != 0 {
            return Err(framing(format_args!("Unknown flags {:#06x}", self.flags)));
        }
        match self.method {
            DEFLATED => Ok(()),
            STORED if self.packed == self.unpacked => Ok(()),
            STORED => Err(framing("Stored member with two sizes")),
            other => Err(refused(
                Rule::ZipMethod,
                format_args!("Compression method {other}: only stored and deflated members are accepted"),
            )),
        }
    }
}

/// A local file header, without its name and extra fields.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) stated: Stated,
    pub(crate) name_bytes: usize,
    pub(crate) extra_bytes: usize,
}

impl Local {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        Self {
            stated: Stated::read(bytes, 6),
            name_bytes: usize::from(short(bytes, 26)),
            extra_bytes: usize::from(short(bytes, 28)),
        }
    }
}

/// A central directory header, without its name and extra fields.
#[derive(Debug)]
pub(crate) struct Central {
    pub(crate) stated: Stated,
    pub(crate) name_bytes: usize,
    pub(crate) extra_bytes: usize,
    pub(crate) comment_bytes: usize,
    pub(crate) disk: u32,
    pub(crate) attributes: u32,
    pub(crate) header_at: u64,
}

impl Central {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let disk = short(bytes, 34);
        Self {
            stated: Stated::read(bytes, 8),
            name_bytes: usize::from(short(bytes, 28)),
            extra_bytes: usize::from(short(bytes, 30)),
            comment_bytes: usize::from(short(bytes, 32)),
            disk: if disk == SEE_64_SHORT { SEE_64 } else { u32::from(disk) },
            attributes: long(bytes, 38),
            header_at: u64::from(long(bytes, 42)),
        }
    }
}

/// The end of central directory, in either width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) disk: u32,
    pub(crate) directory_disk: u32,
    pub(crate) entries_here: u64,
    pub(crate) entries: u64,
    pub(crate) directory_bytes: u64,
    pub(crate) directory_at: u64,
}

impl End {
    /// The classic record, with the length of its comment.
    pub(crate) fn read(bytes: &[u8]) -> (Self, usize) {
        let end = Self {
            disk: u32::from(short(bytes, 4)),
            directory_disk: u32::from(short(bytes, 6)),
            entries_here: u64::from(short(bytes, 8)),
            entries: u64::from(short(bytes, 10)),
            directory_bytes: u64::from(long(bytes, 12)),
            directory_at: u64::from(long(bytes, 16)),
        };
        (end, usize::from(short(bytes, 20)))
    }

    /// The ZIP64 record, with the size that it states for itself.
    pub(crate) fn read64(bytes: &[u8]) -> (Self, u64) {
        let end = Self {
            disk: long(bytes, 16),
            directory_disk: long(bytes, 20),
            entries_here: double(bytes, 24),
            entries: double(bytes, 32),
            directory_bytes: double(bytes, 40),
            directory_at: double(bytes, 48),
        };
        (end, double(bytes, 4))
    }

    /// Takes from the ZIP64 record what this one does not state, and only that: where both state a value,
    /// a reader may use either, so both must be the same.
    pub(crate) fn widened(self, wide: Option<Self>) -> Self {
        let Some(wide) = wide else { return self };
        let pick16 = |narrow: u64, wide| if narrow == u64::from(SEE_64_SHORT) { wide } else { narrow };
        let pick32 = |narrow: u64, wide| if narrow == u64::from(SEE_64) { wide } else { narrow };
        let disk = |narrow: u32, wide| if narrow == u32::from(SEE_64_SHORT) { wide } else { narrow };
        Self {
            disk: disk(self.disk, wide.disk),
            directory_disk: disk(self.directory_disk, wide.directory_disk),
            entries_here: pick16(self.entries_here, wide.entries_here),
            entries: pick16(self.entries, wide.entries),
            directory_bytes: pick32(self.directory_bytes, wide.directory_bytes),
            directory_at: pick32(self.directory_at, wide.directory_at),
        }
    }
}

/// The ZIP64 locator: the disk of the record, its place, and how many disks there are.
pub(crate) fn locator64(bytes: &[u8]) -> (u32, u64, u32) {
    (long(bytes, 4), double(bytes, 8), long(bytes, 16))
}

/// Reads one little-endian 64-bit number off the front.
pub(crate) fn take_double<'b>(bytes: &mut &'b [u8]) -> Option<u64> {
    let (number, rest): (&'b [u8], &'b [u8]) = bytes.split_at_checked(8)?;
    *bytes = rest;
    Some(double(number, 0))
}

/// Reads one little-endian 32-bit number off the front.
pub(crate) fn take_long<'b>(bytes: &mut &'b [u8]) -> Option<u32> {
    let (number, rest): (&'b [u8], &'b [u8]) = bytes.split_at_checked(4)?;
    *bytes = rest;
    Some(long(number, 0))
}

/// Reads one little-endian 16-bit number off the front.
pub(crate) fn take_short<'b>(bytes: &mut &'b [u8]) -> Option<u16> {
    let (number, rest): (&'b [u8], &'b [u8]) = bytes.split_at_checked(2)?;
    *bytes = rest;
    Some(short(number, 0))
}
