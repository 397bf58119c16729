//! Extra fields (APPNOTE §4.5): the few that change what a reader sees, and the form of all.

use packaging::{Rejection, Rule};

use super::record::{Central, Local, SEE_64, framing, refused, take_double, take_long, take_short};

/// ZIP64 sizes and places (§4.5.3).
const ZIP64: u16 = 0x0001;
/// Info-ZIP Unicode Path (§4.6.9): a second name.
const UNICODE_PATH: u16 = 0x7075;
/// WinZip AES: the method field means something else.
const AES: u16 = 0x9901;

/// The fields of one header that matter.
#[derive(Debug, Default)]
struct Extras<'b> {
    zip64: Option<&'b [u8]>,
}

impl<'b> Extras<'b> {
    /// Every field is a number, a length and so many bytes, to the last byte. A second name must be the
    /// first one again, or some readers would show and unpack another.
    fn read(mut bytes: &'b [u8], name: &[u8]) -> Result<Self, Rejection> {
        let mut extras = Self::default();
        let mut unicode = false;
        while !bytes.is_empty() {
            let field = take_short(&mut bytes).zip(take_short(&mut bytes));
            let Some((id, (value, rest))) =
                field.and_then(|(id, count)| Some((id, bytes.split_at_checked(usize::from(count))?)))
            else {
                return Err(framing("Malformed zip file: extra fields end within a field"));
            };
            bytes = rest;
            match id {
                ZIP64 if extras.zip64.is_some() => return Err(framing("Invalid duplicate extra in local file")),
                ZIP64 => extras.zip64 = Some(value),
                UNICODE_PATH if unicode => return Err(framing("Invalid duplicate extra in local file")),
                UNICODE_PATH => {
                    unicode = true;
                    unicode_path(value, name)?;
                }
                AES => return Err(refused(Rule::ZipMethod, "Encrypted member")),
                _ => {}
            }
        }
        Ok(extras)
    }
}

/// Version 1, the CRC of the name in the header, and a name in UTF-8.
fn unicode_path(value: &[u8], name: &[u8]) -> Result<(), Rejection> {
    let Some((1, mut rest)) = value.split_first().map(|(version, rest)| (*version, rest)) else {
        return Err(framing("Malformed zip file: unknown Unicode path extra"));
    };
    let Some(crc) = take_long(&mut rest) else {
        return Err(framing("Malformed zip file: short Unicode path extra"));
    };
    if std::str::from_utf8(rest).is_err() {
        return Err(framing("Filename not valid UTF-8"));
    }
    let mut sum = flate2::Crc::new();
    sum.update(name);
    if rest != name || crc != sum.sum() {
        return Err(framing("Mis-matched filename in Unicode path extra"));
    }
    Ok(())
}

/// Completes a local header. Its ZIP64 field holds the sizes that the header leaves out, in order, or both
/// sizes always (§4.5.3 demands that, few writers do it); one stated twice must be the same twice.
pub(super) fn complete_local(local: &mut Local, bytes: &[u8], name: &[u8]) -> Result<(), Rejection> {
    let Some(mut value) = Extras::read(bytes, name)?.zip64 else { return Ok(()) };
    let stated = &mut local.stated;
    let wide = u64::from(SEE_64);
    let both = value.len() == 16;
    for size in [&mut stated.unpacked, &mut stated.packed] {
        if *size != wide && !both {
            continue;
        }
        let stated_wide =
            take_double(&mut value).ok_or_else(|| framing("Malformed zip file: ZIP64 extra of a wrong length"))?;
        if *size != wide && *size != stated_wide {
            return Err(framing("Malformed zip file: two sizes for one member"));
        }
        *size = stated_wide;
    }
    if value.is_empty() { Ok(()) } else { Err(framing("Malformed zip file: ZIP64 extra of a wrong length")) }
}

/// Completes a central header, whose ZIP64 field holds exactly what the header leaves out, in order.
pub(super) fn complete_central(central: &mut Central, bytes: &[u8], name: &[u8]) -> Result<(), Rejection> {
    let wide = u64::from(SEE_64);
    let short = || framing("Malformed zip file: ZIP64 extra of a wrong length");
    let Some(mut value) = Extras::read(bytes, name)?.zip64 else { return Ok(()) };
    if central.stated.unpacked == wide {
        central.stated.unpacked = take_double(&mut value).ok_or_else(short)?;
    }
    if central.stated.packed == wide {
        central.stated.packed = take_double(&mut value).ok_or_else(short)?;
    }
    if central.header_at == wide {
        central.header_at = take_double(&mut value).ok_or_else(short)?;
    }
    if central.disk == SEE_64 {
        central.disk = take_long(&mut value).ok_or_else(short)?;
    }
    if value.is_empty() { Ok(()) } else { Err(short()) }
}
