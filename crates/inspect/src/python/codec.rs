//! Codecs by their names, as `bytes.decode`, `str.encode` and `codecs` take them.
//!
//! A codec that is not known here is never guessed: what it gives is unknown, and counts as decoded. Read as UTF-8, code
//! under it would be taken for noise, and the noise for what is run.

use encoding_rs::{Encoding, REPLACEMENT, UTF_16BE, UTF_16LE};

use super::peel;
use super::pure::{Budget, Folded, quoted_printable};
use super::source;
use super::value::{Known, Value};

/// What a name stands for.
enum Codec {
    Utf8,
    Ascii,
    Latin1,
    /// Little-endian unless a mark says otherwise, or the name does.
    Utf16 {
        big: bool,
    },
    Utf32 {
        big: bool,
    },
    /// Code page 037, the EBCDIC of most tools.
    Cp037,
    Utf7,
    Escapes,
    /// From bytes or text to bytes, or back: not what a character is written as.
    Transform(&'static str),
    /// Any other that browsers know.
    Web(&'static Encoding),
}

/// The codec that Python finds under a name, which it compares without case and marks.
fn find(name: &str) -> Option<Codec> {
    let plain: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    Some(match plain.as_str() {
        "utf8" | "u8" | "utf" | "utf8sig" | "cp65001" | "utf8ucs2" | "utf8ucs4" => Codec::Utf8,
        "ascii" | "usascii" | "646" | "iso646us" | "ansix341968" | "us" => Codec::Ascii,
        "latin1" | "latin" | "l1" | "iso88591" | "88591" | "8859" | "cp819" | "ibm819" | "charmap" => Codec::Latin1,
        "utf16" | "u16" | "utf16le" | "unicodelittleunmarked" => Codec::Utf16 { big: false },
        "utf16be" | "unicodebigunmarked" => Codec::Utf16 { big: true },
        "utf32" | "u32" | "utf32le" => Codec::Utf32 { big: false },
        "utf32be" => Codec::Utf32 { big: true },
        "cp037" | "037" | "ibm037" | "ibm039" | "csibm037" | "ebcdiccpus" | "ebcdiccpca" | "ebcdiccpnl"
        | "ebcdiccpwt" => Codec::Cp037,
        "utf7" | "u7" | "unicode11utf7" => Codec::Utf7,
        "unicodeescape" | "rawunicodeescape" | "stringescape" => Codec::Escapes,
        "rot13" => Codec::Transform("rot13"),
        "hex" | "hexcodec" => Codec::Transform("hex"),
        "base64" | "base64codec" => Codec::Transform("base64"),
        "zlib" | "zip" | "zlibcodec" => Codec::Transform("zlib"),
        "bz2" | "bz2codec" => Codec::Transform("bzip2"),
        "quopri" | "quopricodec" | "quotedprintable" => Codec::Transform("quopri"),
        _ => Codec::Web(web(name)?),
    })
}

/// Python's names for encodings of the Web, in that standard's spelling.
fn web(name: &str) -> Option<&'static Encoding> {
    let label = name.to_ascii_lowercase().replace('_', "-");
    let label = match label.as_str() {
        "cp932" | "ms932" => "shift_jis",
        "cp949" => "euc-kr",
        "cp936" => "gbk",
        other => other,
    };
    // Some are known to be dangerous and stand for nothing but marks of what could not be read.
    Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != REPLACEMENT)
}

/// `x.decode(name, errors)`: `args` are name and errors.
pub(super) fn decode(value: &Value, args: &[Value], budget: &mut Budget) -> Folded {
    let data = value.as_data()?;
    let codec = named(args)?;
    budget.bytes(data.len())?;
    let text = |text: String, layer| Some((Known::Str(text.into()), layer));
    let bytes = |data: Vec<u8>, layer| Some((Known::Bytes(data.into()), Some(layer)));
    match codec {
        Codec::Utf8 => text(kept(&String::from_utf8_lossy(data), args), None),
        Codec::Ascii => {
            let letters = data.iter().map(|b| if b.is_ascii() { char::from(*b) } else { char::REPLACEMENT_CHARACTER });
            text(kept(&letters.collect::<String>(), args), None)
        }
        Codec::Latin1 => text(data.iter().map(|b| char::from(*b)).collect(), None),
        Codec::Utf16 { big } => {
            let (encoding, _) = Encoding::for_bom(data).unwrap_or((if big { UTF_16BE } else { UTF_16LE }, 0));
            text(kept(&encoding.decode_with_bom_removal(data).0, args), Some("utf-16"))
        }
        Codec::Utf32 { big } => text(kept(&utf32(data, big), args), Some("utf-32")),
        Codec::Cp037 => text(data.iter().map(|b| char::from(CP037[usize::from(*b)])).collect(), Some("cp037")),
        Codec::Utf7 => text(source::utf7(&String::from_utf8_lossy(data)), Some("utf-7")),
        Codec::Escapes => text(peel::unescape(&String::from_utf8_lossy(data)), Some("escape")),
        Codec::Transform("rot13") => text(peel::rot13(std::str::from_utf8(data).ok()?), Some("rot13")),
        Codec::Transform("hex") => bytes(peel::hex(data)?, "hex"),
        Codec::Transform("base64") => bytes(peel::base64(data, false)?, "base64"),
        Codec::Transform("zlib") => bytes(peel::zlib(data, 15, budget.room())?, "zlib"),
        Codec::Transform("bzip2") => bytes(peel::bzip2(data, budget.room())?, "bzip2"),
        Codec::Transform("quopri") => bytes(quoted_printable(data), "quopri"),
        Codec::Transform(_) => None,
        Codec::Web(encoding) => text(kept(&encoding.decode_without_bom_handling(data).0, args), None),
    }
}

/// `text.encode(name, errors)`: `args` are name and errors.
pub(super) fn encode(text: &str, args: &[Value], budget: &mut Budget) -> Folded {
    let codec = named(args)?;
    budget.bytes(text.len())?;
    let each = || text.chars().map(|c| u8::try_from(u32::from(c)).ok());
    let data: Vec<u8> = match codec {
        Codec::Utf8 => text.as_bytes().to_vec(),
        Codec::Ascii if errors(args) == "ignore" => text.bytes().filter(u8::is_ascii).collect(),
        Codec::Ascii | Codec::Web(_) if text.is_ascii() => text.as_bytes().to_vec(),
        Codec::Latin1 => each().collect::<Option<_>>()?,
        Codec::Cp037 => {
            each().map(|c| CP037.iter().position(|b| Some(*b) == c)?.try_into().ok()).collect::<Option<_>>()?
        }
        Codec::Utf16 { big: true } => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        Codec::Utf16 { big: false } => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Codec::Utf32 { big: true } => text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        Codec::Utf32 { big: false } => text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
        Codec::Transform("rot13") => return Some((Known::Str(peel::rot13(text).into()), Some("rot13"))),
        Codec::Ascii | Codec::Utf7 | Codec::Escapes | Codec::Transform(_) | Codec::Web(_) => return None,
    };
    Some((Known::Bytes(data.into()), None))
}

/// The codec that is asked for; without a word it is UTF-8.
fn named(args: &[Value]) -> Option<Codec> {
    args.first().map_or(Some(Codec::Utf8), |name| find(name.as_str()?))
}

fn errors(args: &[Value]) -> &str {
    args.get(1).and_then(Value::as_str).unwrap_or("strict")
}

/// What is left of a text when characters that could not be read are passed over.
fn kept(text: &str, args: &[Value]) -> String {
    if errors(args) == "ignore" { text.replace(char::REPLACEMENT_CHARACTER, "") } else { text.to_owned() }
}

fn utf32(data: &[u8], big: bool) -> String {
    let (data, big) = match data {
        [0xff, 0xfe, 0, 0, rest @ ..] => (rest, false),
        [0, 0, 0xfe, 0xff, rest @ ..] => (rest, true),
        _ => (data, big),
    };
    let (units, _) = data.as_chunks::<4>();
    let number = |unit: &[u8; 4]| if big { u32::from_be_bytes(*unit) } else { u32::from_le_bytes(*unit) };
    units.iter().map(|unit| char::from_u32(number(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Each byte of code page 037 in Latin-1, to which all of them lead.
#[rustfmt::skip]
const CP037: [u8; 256] = [
    0x00, 0x01, 0x02, 0x03, 0x9c, 0x09, 0x86, 0x7f, 0x97, 0x8d, 0x8e, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x9d, 0x85, 0x08, 0x87, 0x18, 0x19, 0x92, 0x8f, 0x1c, 0x1d, 0x1e, 0x1f,
    0x80, 0x81, 0x82, 0x83, 0x84, 0x0a, 0x17, 0x1b, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x05, 0x06, 0x07,
    0x90, 0x91, 0x16, 0x93, 0x94, 0x95, 0x96, 0x04, 0x98, 0x99, 0x9a, 0x9b, 0x14, 0x15, 0x9e, 0x1a,
    0x20, 0xa0, 0xe2, 0xe4, 0xe0, 0xe1, 0xe3, 0xe5, 0xe7, 0xf1, 0xa2, 0x2e, 0x3c, 0x28, 0x2b, 0x7c,
    0x26, 0xe9, 0xea, 0xeb, 0xe8, 0xed, 0xee, 0xef, 0xec, 0xdf, 0x21, 0x24, 0x2a, 0x29, 0x3b, 0xac,
    0x2d, 0x2f, 0xc2, 0xc4, 0xc0, 0xc1, 0xc3, 0xc5, 0xc7, 0xd1, 0xa6, 0x2c, 0x25, 0x5f, 0x3e, 0x3f,
    0xf8, 0xc9, 0xca, 0xcb, 0xc8, 0xcd, 0xce, 0xcf, 0xcc, 0x60, 0x3a, 0x23, 0x40, 0x27, 0x3d, 0x22,
    0xd8, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0xab, 0xbb, 0xf0, 0xfd, 0xfe, 0xb1,
    0xb0, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0xaa, 0xba, 0xe6, 0xb8, 0xc6, 0xa4,
    0xb5, 0x7e, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0xa1, 0xbf, 0xd0, 0xdd, 0xde, 0xae,
    0x5e, 0xa3, 0xa5, 0xb7, 0xa9, 0xa7, 0xb6, 0xbc, 0xbd, 0xbe, 0x5b, 0x5d, 0xaf, 0xa8, 0xb4, 0xd7,
    0x7b, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0xad, 0xf4, 0xf6, 0xf2, 0xf3, 0xf5,
    0x7d, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0xb9, 0xfb, 0xfc, 0xf9, 0xfa, 0xff,
    0x5c, 0xf7, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0xb2, 0xd4, 0xd6, 0xd2, 0xd3, 0xd5,
    0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0xb3, 0xdb, 0xdc, 0xd9, 0xda, 0x9f,
];
