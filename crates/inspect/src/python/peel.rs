//! Taking encodings off, one at a time, within limits; and saying what came out.

use std::io::Read;
use std::sync::OnceLock;

use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::facts::LayerKind;
use crate::kind::{self, Kind};

/// Python's decoder takes any padding and ignores trailing bits.
pub(super) const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Largest dictionary an xz or lzma stream may ask for, in KiB.
const LZMA_KIB_MAX: u32 = 16 << 10;

/// Most bytes one decoding may give.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room(pub(super) usize);

/// base64 as Python reads it: bytes outside the alphabet are skipped.
pub(super) fn base64(data: &[u8], url: bool) -> Option<Vec<u8>> {
    let (a, b) = if url { (b'-', b'_') } else { (b'+', b'/') };
    let clean: Vec<u8> = data.iter().copied().filter(|c| c.is_ascii_alphanumeric() || *c == a || *c == b).collect();
    let alphabet = if url { &base64::alphabet::URL_SAFE } else { &base64::alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(clean).ok()
}

/// base64 with an alphabet of one's own for `+` and `/`.
pub(super) fn base64_alt(data: &[u8], alt: &[u8]) -> Option<Vec<u8>> {
    let [a, b] = *alt else { return None };
    let data: Vec<u8> = data
        .iter()
        .map(|c| {
            if *c == a {
                b'+'
            } else if *c == b {
                b'/'
            } else {
                *c
            }
        })
        .collect();
    base64(&data, false)
}

pub(super) fn base32(data: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(data.len() * 5 / 8);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for c in data.iter().filter(|c| **c != b'=') {
        let value = match c.to_ascii_uppercase() {
            c @ b'A'..=b'Z' => c - b'A',
            c @ b'2'..=b'7' => c - b'2' + 26,
            _ => return None,
        };
        held = held << 5 | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits & 0xff) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Some(out)
}

/// `b85decode`: the alphabet of Git's patches.
pub(super) fn base85(data: &[u8]) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    let digits: Option<Vec<u8>> =
        data.iter().map(|c| ALPHABET.iter().position(|a| a == c).and_then(|n| u8::try_from(n).ok())).collect();
    fives(&digits?, 84)
}

/// `a85decode`, framed or not.
pub(super) fn ascii85(data: &[u8]) -> Option<Vec<u8>> {
    let data = data.strip_prefix(b"<~").unwrap_or(data);
    let data = data.strip_suffix(b"~>").unwrap_or(data);
    let mut digits = Vec::with_capacity(data.len());
    for c in data {
        match c {
            b'!'..=b'u' => digits.push(c - b'!'),
            b'z' => digits.extend([0; 5]),
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b => {}
            _ => return None,
        }
    }
    fives(&digits, 84)
}

fn fives(digits: &[u8], fill: u8) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(digits.len() * 4 / 5 + 4);
    for chunk in digits.chunks(5) {
        let mut value = 0_u64;
        for n in 0..5 {
            value = value * 85 + u64::from(chunk.get(n).copied().unwrap_or(fill));
        }
        let bytes = u32::try_from(value).ok()?.to_be_bytes();
        out.extend_from_slice(&bytes[..chunk.len().saturating_sub(1)]);
    }
    Some(out)
}

pub(super) fn hex(data: &[u8]) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = data
        .iter()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

pub(super) fn rot13(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
            'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
            other => other,
        })
        .collect()
}

/// `\xNN`, `\uNNNN`, `\UNNNNNNNN`, octal and the single letters; what is not an escape stays.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (digits, radix) = match chars.peek().copied() {
            Some('x') => (2, 16),
            Some('u') => (4, 16),
            Some('U') => (8, 16),
            Some('0'..='7') => (3, 8),
            Some(letter) => {
                chars.next();
                out.push(match letter {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
                continue;
            }
            None => continue,
        };
        if radix == 16 {
            chars.next();
        }
        let mut value = 0;
        for _ in 0..digits {
            let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
            value = value * radix + digit;
            chars.next();
        }
        out.push(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    out
}

fn all(reader: impl Read, room: Room) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match reader.take(room.0 as u64 + 1).read_to_end(&mut out) {
        Ok(_) if out.len() <= room.0 => Some(out),
        // A stream cut short, as in a truncated file, still tells what it held.
        Err(_) if !out.is_empty() && out.len() <= room.0 => Some(out),
        _ => None,
    }
}

/// zlib, or raw deflate when `wbits` is negative, or gzip when it is above 15.
pub(super) fn zlib(data: &[u8], wbits: i64, room: Room) -> Option<Vec<u8>> {
    if wbits < 0 {
        all(flate2::read::DeflateDecoder::new(data), room)
    } else if wbits > 15 && data.starts_with(b"\x1f\x8b") {
        gzip(data, room)
    } else {
        all(flate2::read::ZlibDecoder::new(data), room)
    }
}

pub(super) fn gzip(data: &[u8], room: Room) -> Option<Vec<u8>> {
    all(flate2::read::MultiGzDecoder::new(data), room)
}

pub(super) fn lzma(data: &[u8], room: Room) -> Option<Vec<u8>> {
    if data.starts_with(b"\xfd7zXZ\0") {
        return all(lzma_rust2::XzReader::new_mem_limit(data, true, LZMA_KIB_MAX), room);
    }
    let reader = lzma_rust2::LzmaReader::new_mem_limit(data, LZMA_KIB_MAX, None).ok()?;
    all(reader, room)
}

pub(super) fn bzip2(data: &[u8], room: Room) -> Option<Vec<u8>> {
    all(bzip2::read::MultiBzDecoder::new(data), room)
}

/// XOR with a repeated key.
pub(super) fn xor(data: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    (!key.is_empty()).then(|| data.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b).collect())
}

/// A Fernet token: version, time, IV, AES-128-CBC, HMAC. The HMAC is not checked: what matters is what it says.
pub(super) fn fernet(key: &[u8], token: &[u8]) -> Option<Vec<u8>> {
    let key = base64(key, true)?;
    let token = base64(token, true)?;
    if key.len() != 32 || token.first() != Some(&0x80) || token.len() < 1 + 8 + 16 + 16 + 32 {
        return None;
    }
    let body = &token[..token.len() - 32];
    unpad(aes_cbc(&key[16..], &body[9..25], &body[25..])?)
}

enum Aes {
    Short(Box<aes::Aes128>),
    Middle(Box<aes::Aes192>),
    Long(Box<aes::Aes256>),
}

impl Aes {
    fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => aes::Aes128::new_from_slice(key).ok().map(|c| Self::Short(Box::new(c))),
            24 => aes::Aes192::new_from_slice(key).ok().map(|c| Self::Middle(Box::new(c))),
            32 => aes::Aes256::new_from_slice(key).ok().map(|c| Self::Long(Box::new(c))),
            _ => None,
        }
    }
    fn decrypt(&self, block: &[u8]) -> Option<[u8; 16]> {
        let mut b = Block::<aes::Aes128>::try_from(block).ok()?;
        match self {
            Self::Short(c) => c.decrypt_block(&mut b),
            Self::Middle(c) => c.decrypt_block(&mut b),
            Self::Long(c) => c.decrypt_block(&mut b),
        }
        Some(b.into())
    }
    fn encrypt(&self, block: &[u8]) -> Option<[u8; 16]> {
        let mut b = Block::<aes::Aes128>::try_from(block).ok()?;
        match self {
            Self::Short(c) => c.encrypt_block(&mut b),
            Self::Middle(c) => c.encrypt_block(&mut b),
            Self::Long(c) => c.encrypt_block(&mut b),
        }
        Some(b.into())
    }
}

pub(super) fn aes_cbc(key: &[u8], iv: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let cipher = Aes::new(key)?;
    if iv.len() != 16 || data.is_empty() || !data.len().is_multiple_of(16) {
        return None;
    }
    let mut out = Vec::with_capacity(data.len());
    let mut before = iv;
    for block in data.chunks_exact(16) {
        out.extend(xor(&cipher.decrypt(block)?, before)?);
        before = block;
    }
    Some(out)
}

pub(super) fn aes_ecb(key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let cipher = Aes::new(key)?;
    if data.is_empty() || !data.len().is_multiple_of(16) {
        return None;
    }
    let blocks: Option<Vec<[u8; 16]>> = data.chunks_exact(16).map(|block| cipher.decrypt(block)).collect();
    Some(blocks?.concat())
}

/// CTR with the first counter block as given; GCM and EAX data are CTR under a counter of theirs.
pub(super) fn aes_ctr(key: &[u8], counter: [u8; 16], data: &[u8]) -> Option<Vec<u8>> {
    let cipher = Aes::new(key)?;
    let mut counter = u128::from_be_bytes(counter);
    let mut out = Vec::with_capacity(data.len());
    for chunk in data.chunks(16) {
        let stream = cipher.encrypt(&counter.to_be_bytes())?;
        out.extend(chunk.iter().zip(stream).map(|(a, b)| a ^ b));
        counter = counter.wrapping_add(1);
    }
    Some(out)
}

/// Takes PKCS #7 padding off, where there is one.
pub(super) fn unpad(mut data: Vec<u8>) -> Option<Vec<u8>> {
    let pad = usize::from(*data.last()?);
    let at = data.len().checked_sub(pad)?;
    if pad == 0 || pad > 16 || data[at..].iter().any(|b| usize::from(*b) != pad) {
        return None;
    }
    data.truncate(at);
    Some(data)
}

/// RC4, as small stealers carry it themselves.
pub(super) fn rc4(key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    if key.is_empty() {
        return None;
    }
    let mut s: Vec<u8> = (0..=255).collect();
    let mut j = 0_usize;
    for i in 0..256 {
        j = (j + usize::from(s[i]) + usize::from(key[i % key.len()])) & 0xff;
        s.swap(i, j);
    }
    let (mut i, mut j) = (0_usize, 0_usize);
    Some(
        data.iter()
            .map(|byte| {
                i = (i + 1) & 0xff;
                j = (j + usize::from(s[i])) & 0xff;
                s.swap(i, j);
                byte ^ s[(usize::from(s[i]) + usize::from(s[j])) & 0xff]
            })
            .collect(),
    )
}

/// Takes off what a long literal may wear, whoever decodes it: text encodings first, then compression.
pub(super) fn guess(data: &[u8], room: Room) -> Option<(&'static str, Vec<u8>)> {
    const MAGIC: [(&[u8], &str); 5] = [
        (b"\x78\x9c", "zlib"),
        (b"\x78\xda", "zlib"),
        (b"\x1f\x8b", "gzip"),
        (b"\xfd7zXZ", "lzma"),
        (b"BZh91AY&SY", "bzip2"),
    ];
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| data.starts_with(magic)) {
        let plain = match *name {
            "zlib" => zlib(data, 15, room),
            "gzip" => gzip(data, room),
            "bzip2" => bzip2(data, room),
            _ => lzma(data, room),
        };
        return plain.map(|plain| (*name, plain));
    }
    let is =
        |extra: &[u8]| data.iter().all(|c| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || extra.contains(c));
    if data.iter().all(|c| c.is_ascii_hexdigit() || c.is_ascii_whitespace()) {
        return hex(data).map(|plain| ("hex", plain));
    }
    if is(b"+/=") {
        return base64(data, false).map(|plain| ("base64", plain));
    }
    if is(b"-_=") {
        return base64(data, true).map(|plain| ("base64", plain));
    }
    None
}

/// What bytes are, by how they begin and read.
pub(super) fn classify(data: &[u8]) -> LayerKind {
    let text = std::str::from_utf8(data).ok().filter(|text| reads(text));
    match kind::by_content(data) {
        Some(Kind::Elf) => return LayerKind::Elf,
        Some(Kind::Pe) => return LayerKind::Pe,
        Some(Kind::MachO) => return LayerKind::MachO,
        Some(Kind::Pyc) => return LayerKind::Marshal,
        Some(Kind::Pickle) => return LayerKind::Pickle,
        // What reads as a source is one, whatever it begins with: no name tells here.
        Some(Kind::Archive) => return text.map(script).filter(is_script).unwrap_or(LayerKind::Archive),
        Some(Kind::Media) => return text.map(script).filter(is_script).unwrap_or(LayerKind::Media),
        Some(Kind::Python | Kind::Shell | Kind::PowerShell | Kind::Batch | Kind::JavaScript) => {}
        Some(Kind::ToolConfig | Kind::Pth | Kind::Metadata | Kind::Text | Kind::Data) | None => {}
    }
    // A code object without the header of a file.
    if data.starts_with(b"\xe3\0\0\0") || data.starts_with(b"c\0\0\0") {
        return LayerKind::Marshal;
    }
    if kind::is_document(data) || data.starts_with(b"-----BEGIN") {
        return LayerKind::Media;
    }
    text.map_or(LayerKind::Bytes, script)
}

fn is_script(kind: &LayerKind) -> bool {
    matches!(kind, LayerKind::Python | LayerKind::Shell | LayerKind::PowerShell | LayerKind::JavaScript)
}

/// Text that a person could read: hardly any control characters.
fn reads(text: &str) -> bool {
    let odd = text.chars().take(4_096).filter(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}')).count();
    !text.is_empty() && odd * 50 <= text.len().min(4_096)
}

/// Which language a text is written in, if one that we know.
pub(super) fn script(text: &str) -> LayerKind {
    let head = first_chars(text, 4_096);
    match kind::by_shebang(text.as_bytes()) {
        Some(Kind::Python) => return LayerKind::Python,
        Some(Kind::Shell) => return LayerKind::Shell,
        Some(Kind::JavaScript) => return LayerKind::JavaScript,
        _ if is_python(text) => return LayerKind::Python,
        _ => {}
    }
    let (mut powershell, mut shell, mut javascript) = (false, false, 0_u32);
    for found in words().into_iter().flat_map(|words| words.find_overlapping_iter(head)) {
        match found.pattern().as_usize() {
            n if n < POWERSHELL.len() => powershell = true,
            n if n < POWERSHELL.len() + SHELL.len() => shell = true,
            n => javascript |= 1 << (n - POWERSHELL.len() - SHELL.len()),
        }
    }
    if powershell {
        LayerKind::PowerShell
    } else if shell {
        LayerKind::Shell
    } else if javascript.count_ones() >= 2 {
        LayerKind::JavaScript
    } else {
        LayerKind::Text
    }
}

const POWERSHELL: [&str; 9] =
    ["powershell", "invoke-", "new-object", "[system.", "$env:", "iex(", "iex (", "-encodedcommand", "write-host"];
const SHELL: [&str; 12] = [
    "#!/bin/",
    "#!/usr/bin/env bash",
    "#!/usr/bin/env sh",
    "@echo off",
    "curl ",
    "wget ",
    "/bin/sh",
    "/bin/bash",
    "chmod +x",
    "cmd.exe",
    "certutil",
    "bitsadmin",
];
const JAVASCRIPT: [&str; 5] = ["require('", "require(\"", "=> {", "function(", "const "];

/// The words of all three languages, in any case.
fn words() -> Option<&'static AhoCorasick> {
    static AUTOMATON: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let build = || {
        let builder = &mut AhoCorasick::builder();
        let all = POWERSHELL.iter().chain(&SHELL).chain(&JAVASCRIPT);
        builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(all).ok()
    };
    AUTOMATON.get_or_init(build).as_ref()
}

/// See [`super::prepare`].
pub(super) fn prepare() {
    words();
}

/// The beginning of a text, in characters.
fn first_chars(text: &str, most: usize) -> &str {
    &text[..text.char_indices().nth(most).map_or(text.len(), |(at, _)| at)]
}

/// Whether a text reads as Python: it has a statement's shape somewhere. The parser has the last word.
fn is_python(text: &str) -> bool {
    const CALLS: [&str; 6] = ["exec(", "eval(", "__import__(", "print(", "os.system(", "subprocess."];
    first_chars(text, 20_000).split(['\n', ';', '\r']).any(|line| {
        let line = line.trim();
        let imports = (line.starts_with("import ") && !line.contains("{"))
            || line.starts_with("from ") && line.contains(" import ");
        let defines = (line.starts_with("def ") || line.starts_with("class ")) && line.contains(':');
        // At the beginning, or behind an equals sign and one blank or none.
        let begins = |text: &str| CALLS.iter().any(|call| text.starts_with(call));
        let calls = begins(line)
            || line.bytes().enumerate().filter(|(_, byte)| *byte == b'=').any(|(at, _)| {
                let after = &line[at + 1..];
                begins(after.strip_prefix(' ').unwrap_or(after))
            });
        let lambda = line.contains('=') && line.contains(':') && line.contains("lambda ");
        imports || defines || calls || lambda
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer has no name: what the one table knows of members holds for it, and a source is one whatever it begins with.
    #[test]
    fn a_layer_is_what_a_member_of_its_bytes_would_be() {
        let mut pe = vec![0; 0x80];
        pe[..2].copy_from_slice(b"MZ");
        pe[0x3c] = 0x40;
        pe[0x40..0x44].copy_from_slice(b"PE\0\0");
        for (bytes, kind) in [
            (pe.as_slice(), LayerKind::Pe),
            (&[b"MZ".as_slice(), &[1; 100]].concat(), LayerKind::Bytes),
            (b"\xfe\xed\xfa\xce....", LayerKind::MachO),
            (b"\xce\xfa\xed\xfe....", LayerKind::MachO),
            (b"\xca\xfe\xba\xbe\0\0\0\x02", LayerKind::MachO),
            (b"\xca\xfe\xba\xbe\0\0\0\x34\0", LayerKind::Bytes),
            (b"\x1f\x8b\x08\0", LayerKind::Archive),
            (b"7z\xbc\xaf\x27\x1c\0\x04", LayerKind::Archive),
            (b"Rar!\x1a\x07\x01\0", LayerKind::Archive),
            (b"PK\x03\x04....", LayerKind::Archive),
            (b"#!/usr/bin/env node\nrun()\n", LayerKind::JavaScript),
            (b"#!/bin/dash\ntrue\n", LayerKind::Shell),
            (b"@echo off\r\nstart x\r\n", LayerKind::Shell),
            (b"#!/usr/bin/python3\npass\n", LayerKind::Python),
            (b"GIF89a = 1\nimport os\n", LayerKind::Python),
            (b"RIFF and nothing that runs", LayerKind::Media),
            (b"wOF2....", LayerKind::Media),
            (b"-----BEGIN CERTIFICATE-----\n", LayerKind::Media),
            (b"\xe3\0\0\0\0", LayerKind::Marshal),
            (b"\x80\x04NNcos\nsystem\n", LayerKind::Pickle),
            (b"plain words", LayerKind::Text),
        ] {
            assert_eq!(classify(bytes), kind, "{bytes:?}");
        }
    }
}
