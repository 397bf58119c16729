//! One header block: field by field, in the three dialects that Python's build tools have written.
//!
//! ustar and pax (POSIX.1-1988 and -2001) share a layout; GNU's differs behind the link name; v7 ends
//! there. A field is accepted only where every reader takes the same value from it. That includes fields
//! nobody needs: Python's tarfile takes a malformed owner for the end of the archive.

use packaging::Rejection;

use super::gzip::framing;
use super::stream::BLOCK_BYTES;

const CHECKSUM: std::ops::Range<usize> = 148..156;
const MAGIC: std::ops::Range<usize> = 257..265;
const PREFIX: std::ops::Range<usize> = 345..500;

/// What a header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// `x`: attributes of the next member.
    Extended,
    /// `g`: attributes of all that follow.
    Global,
    /// GNU `L`: the next member's name.
    LongName,
    /// A member that no sdist may hold.
    Refused(&'static str),
}

/// A header whose every field is well-formed.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) name: Vec<u8>,
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Ustar,
    Gnu,
    V7,
}

/// Whether a block is a tar header, to any reader: its checksum is right.
pub(crate) fn is_header(block: &[u8]) -> bool {
    let signed: i64 = block.iter().map(|byte| i64::from(byte.cast_signed())).sum();
    let field: i64 = block.get(CHECKSUM).map_or(0, |f| f.iter().map(|b| i64::from(b.cast_signed())).sum());
    let spaces = 8 * i64::from(b' ');
    let stated = block.get(CHECKSUM).and_then(octal).and_then(|sum| i64::try_from(sum).ok());
    block.len() == BLOCK_BYTES
        && block.iter().any(|byte| *byte != 0)
        && (stated == i64::try_from(checksum(block)).ok() || stated == Some(signed - field + spaces))
}

/// The sum of all bytes, the checksum's own read as spaces.
fn checksum(block: &[u8]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let field = block.get(CHECKSUM).map_or(0, sum);
    sum(block) - field + 8 * u64::from(b' ')
}

impl Header {
    pub(super) fn read(block: &[u8; BLOCK_BYTES]) -> Result<Self, Rejection> {
        if octal(&block[CHECKSUM]) != Some(checksum(block)) {
            return Err(framing("a header has a wrong checksum"));
        }
        let dialect = match &block[MAGIC] {
            b"ustar\x0000" => Dialect::Ustar,
            b"ustar  \x00" => Dialect::Gnu,
            [0, 0, 0, 0, 0, 0, 0, 0] => Dialect::V7,
            _ => return Err(framing("a header has an unknown magic")),
        };
        // mode; then owner, group and time, which GNU tar and Rust's write in base 256 when they are large.
        octal_or_empty(&block[100..108])?;
        for field in [&block[108..116], &block[116..124], &block[136..148]] {
            number(field)?;
        }
        if dialect != Dialect::V7 {
            octal_or_empty(&block[329..337])?;
            octal_or_empty(&block[337..345])?;
        }
        let bytes = octal(&block[124..136]).ok_or_else(|| framing("a header has a malformed size"))?;
        let kind = kind(block[156]);
        let name = match kind {
            // Only to be named in a sentence; GNU's sparse files have a map where the prefix would be.
            Kind::Refused(_) => text(&block[..100]).to_vec(),
            Kind::File | Kind::Folder | Kind::Extended | Kind::Global | Kind::LongName => name(block, dialect)?,
        };
        Ok(Self { kind, name, bytes })
    }
}

fn kind(flag: u8) -> Kind {
    match flag {
        b'0' | 0 => Kind::File,
        b'5' => Kind::Folder,
        b'x' => Kind::Extended,
        b'g' => Kind::Global,
        b'L' => Kind::LongName,
        b'1' => Kind::Refused("a hard link"),
        b'2' => Kind::Refused("a symbolic link"),
        b'3' | b'4' => Kind::Refused("a device"),
        b'6' => Kind::Refused("a pipe"),
        b'7' => Kind::Refused("a contiguous file"),
        b'S' => Kind::Refused("a sparse file"),
        b'K' => Kind::Refused("a long link name"),
        _ => Kind::Refused("a member of unknown kind"),
    }
}

/// The name, with the prefix that only ustar has. Python joins a prefix in every dialect, others do not:
/// elsewhere the field must be empty.
fn name(block: &[u8; BLOCK_BYTES], dialect: Dialect) -> Result<Vec<u8>, Rejection> {
    let name = text(&block[..100]);
    let prefix = text(&block[PREFIX]);
    match (dialect, prefix.is_empty()) {
        (Dialect::Ustar, false) if name.is_empty() => Err(framing("a header has a prefix but no name")),
        (Dialect::Ustar, false) => Ok([prefix, b"/", name].concat()),
        (Dialect::Ustar, true) => Ok(name.to_vec()),
        (Dialect::Gnu | Dialect::V7, _) if block[PREFIX].iter().any(|byte| *byte != 0) => {
            Err(framing("a header has a prefix in a dialect without prefixes"))
        }
        (Dialect::Gnu | Dialect::V7, _) => Ok(name.to_vec()),
    }
}

/// Up to the first NUL, or the whole field.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Spaces, octal digits, then only NUL and spaces: the one form that all readers take alike.
pub(crate) fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.iter().position(|byte| *byte != b' ')?;
    let rest = &field[digits..];
    let end = rest.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(rest.len());
    if end == 0 || !blank(&rest[end..]) {
        return None;
    }
    rest[..end].iter().try_fold(0u64, |sum, digit| sum.checked_mul(8)?.checked_add(u64::from(digit - b'0')))
}

fn blank(field: &[u8]) -> bool {
    field.iter().all(|byte| matches!(byte, 0 | b' '))
}

fn octal_or_empty(field: &[u8]) -> Result<(), Rejection> {
    if blank(field) || octal(field).is_some() { Ok(()) } else { Err(framing("a header has a malformed number")) }
}

/// A number whose value does not matter here: octal, empty, or GNU's base 256 without a sign.
fn number(field: &[u8]) -> Result<(), Rejection> {
    if field.first() == Some(&0x80) { Ok(()) } else { octal_or_empty(field) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_reading() {
        for (field, want) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"00000017", Some(0o17)),
            (b"0\0\0\0\0\0\0\0", Some(0)),
            (b"\0\0\0\0\0\0\0\0", None),
            (b"0000008\0", None),
            (b"-000001\0", None),
            (b"12\0 7\0\0\0", None),
            (b"0x1f\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\0\x01", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"+0000001", None),
        ] {
            assert_eq!(octal(field), want, "{field:?}");
        }
        assert!(number(b"\x80\0\0\0\0\0\0\x01").is_ok());
        assert!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    }
}
