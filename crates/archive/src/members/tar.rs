//! Tar, leniently: header by header, past zero blocks and past what is no header.

use std::io::{self, Read};

use crate::input::Input;
use crate::tar::header::{octal, text};
use crate::tar::is_header;

use super::gunzip::Gunzip;
use super::packed::{Packed, Packing};
use super::{Format, Oddity, Reading, State};

const BLOCK_BYTES: usize = 512;
/// Largest extended header or long name that is read, in bytes; of a larger one, the beginning.
const EXTENDED_BYTES_MAX: u64 = 256 << 10;

/// A plain file as a stream.
struct Plain<'f> {
    input: Input<'f>,
    at: u64,
}

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.input.some(self.at)?;
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

/// What an extended header said of the next member.
#[derive(Default)]
struct Next {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Whether bytes begin a tar: by a header, or by one behind blocks of zeros, which some readers go past.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let mut blocks = bytes.chunks_exact(BLOCK_BYTES);
    blocks.find(|block| block.iter().any(|byte| *byte != 0)).is_some_and(is_header)
}

pub(super) fn plain(input: Input<'_>, state: &mut State<'_, '_>) {
    members(&mut Plain { input, at: 0 }, state);
}

/// Gzip: a tar, or one member of anything else.
pub(super) fn gzip(input: Input<'_>, state: &mut State<'_, '_>) {
    let Some(mut stream) = Gunzip::open(input) else { return };
    let name = stream.name().map(|name| state.path(&name));
    content(&mut stream, (Format::TarGz, Format::Gzip), name, state);
    for oddity in std::mem::take(&mut stream.odd) {
        state.tell(oddity, "", "");
    }
}

/// The same, packed otherwise.
pub(super) fn packed(packing: Packing, input: Input<'_>, state: &mut State<'_, '_>) {
    let mut stream = Packed::open(packing, Plain { input, at: 0 });
    content(&mut stream, (Format::TarPacked, Format::Packed), None, state);
    if let Some(oddity) = stream.fault {
        state.tell(oddity, "", "");
    }
}

/// Zeros in front of a tar that are gone past, in bytes.
const ZEROS_BYTES_MAX: usize = 64 << 10;

fn content(stream: &mut dyn Read, (tar, other): (Format, Format), name: Option<String>, state: &mut State<'_, '_>) {
    let mut head = vec![0; ZEROS_BYTES_MAX];
    let count = fill(stream, &mut head);
    head.truncate(count);
    let mut whole = io::Read::chain(&head[..], stream);
    if begins(&head) {
        state.walk.formats.push(tar);
        members(&mut whole, state);
    } else {
        state.walk.formats.push(other);
        // A packing alone: what its header calls a file is one, whatever else it may be.
        let name = name.filter(|name| !name.is_empty() && !name.ends_with(".tar"));
        state.walk.nameless = name.is_none();
        state.member(name.as_deref().unwrap_or("content"), 0, Reading::Listed, &mut whole);
    }
}

/// As many bytes as there are, up to the buffer's.
fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    filled
}

fn members(stream: &mut dyn Read, state: &mut State<'_, '_>) {
    let (mut next, mut ended, mut lost) = (Next::default(), false, false);
    while state.may_visit() {
        let mut block = [0; BLOCK_BYTES];
        let count = fill(stream, &mut block);
        state.unpacked += count as u64;
        if count < BLOCK_BYTES {
            if count > 0 {
                state.tell(Oddity::Truncated, "", "");
            }
            return;
        }
        if block.iter().all(|byte| *byte == 0) {
            ended = true;
        } else if is_header(&block) {
            entry(&block, &mut next, ended, stream, state);
        } else if !std::mem::replace(&mut lost, true) {
            state.tell(if ended { Oddity::TrailingBytes } else { Oddity::InnerBytes }, "", "");
        }
    }
}

fn entry(block: &[u8; BLOCK_BYTES], next: &mut Next, ended: bool, stream: &mut dyn Read, state: &mut State<'_, '_>) {
    let size = number(&block[124..136]);
    match block[156] {
        b'x' | b'g' => extended(&data(stream, size, state), next),
        b'L' => {
            let long = data(stream, size, state);
            next.path = Some(text(&long).to_vec());
        }
        b'K' => drop(data(stream, size, state)),
        flag => {
            let Next { path: longer, size: stated } = std::mem::take(next);
            let own = own_name(block);
            let path = state.path(longer.as_deref().unwrap_or(&own));
            if longer.is_some_and(|longer| !is_beginning(&own, &longer)) || stated.is_some_and(|other| other != size) {
                let detail = String::from_utf8_lossy(&own).into_owned();
                state.tell(Oddity::Override, &path, detail);
            }
            if ended {
                state.tell(Oddity::BehindEnd, &path, "");
            }
            let size = stated.unwrap_or(size);
            let reading = if ended { Reading::Hidden } else { Reading::Listed };
            member(flag, &path, size, reading, block, stream, state);
        }
    }
}

fn member(
    flag: u8,
    path: &str,
    size: u64,
    reading: Reading,
    block: &[u8; BLOCK_BYTES],
    stream: &mut dyn Read,
    state: &mut State<'_, '_>,
) {
    match flag {
        b'1' | b'2' => {
            let target = String::from_utf8_lossy(text(&block[157..257])).into_owned();
            let out = leaves(path, &target, flag == b'1');
            state.tell(if out { Oddity::EscapingLink } else { Oddity::Link }, path, target);
        }
        b'3' | b'4' | b'6' => state.tell(Oddity::Special, path, ""),
        b'5' => {}
        _ => {
            let mut body = stream.take(size);
            state.member(path, size, reading, &mut body);
            // What the visitor left, and the padding.
            let rest = body.limit();
            let padding = (BLOCK_BYTES as u64 - size % BLOCK_BYTES as u64) % BLOCK_BYTES as u64;
            pass(stream, rest.saturating_add(padding), state);
        }
    }
}

/// Whether a link leads out of the archive. Hard links name a member, symbolic ones a place beside their own.
fn leaves(path: &str, target: &str, hard: bool) -> bool {
    let folder = if hard { "" } else { path.rsplit_once('/').map_or("", |(folder, _)| folder) };
    let mut depth = folder.split('/').filter(|segment| !segment.is_empty()).count();
    if target.starts_with('/') {
        return true;
    }
    for segment in target.split('/') {
        match segment {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

/// The beginning of an extended header's data; the rest and its padding are passed over.
fn data(stream: &mut dyn Read, size: u64, state: &mut State<'_, '_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let kept = size.min(EXTENDED_BYTES_MAX).min(state.left());
    // A stream that breaks shows as one that ends.
    let _ = stream.take(kept).read_to_end(&mut bytes);
    state.unpacked += bytes.len() as u64;
    let padding = (BLOCK_BYTES as u64 - size % BLOCK_BYTES as u64) % BLOCK_BYTES as u64;
    pass(stream, (size - kept).saturating_add(padding), state);
    bytes
}

fn pass(stream: &mut dyn Read, count: u64, state: &mut State<'_, '_>) {
    let mut rest = stream.take(count.min(state.left()));
    state.unpacked += io::copy(&mut rest, &mut io::sink()).unwrap_or(0);
}

/// Records `LENGTH KEY=VALUE\n`; reading ends at the first that is none.
fn extended(mut bytes: &[u8], next: &mut Next) {
    while let Some(space) = bytes.iter().take(20).position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let Some((record, rest)) = length.and_then(|length| bytes.split_at_checked(length)) else { return };
        let Some(record) = record.get(space + 1..) else { return };
        if let Some(value) = record.strip_prefix(b"path=") {
            next.path = Some(value.strip_suffix(b"\n").unwrap_or(value).to_vec());
        }
        if let Some(value) = record.strip_prefix(b"size=") {
            next.size = std::str::from_utf8(value).ok().and_then(|digits| digits.trim().parse().ok());
        }
        bytes = rest;
    }
}

/// The header's own name, with its prefix in the dialect that has one.
fn own_name(block: &[u8; BLOCK_BYTES]) -> Vec<u8> {
    let (name, prefix) = (text(&block[..100]), text(&block[345..500]));
    if &block[257..263] == b"ustar\0" && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}

/// Whether a header's name is what writers leave of a longer one. They cut it, replace what is not ASCII, or put a
/// name of their own that no file has.
fn is_beginning(own: &[u8], longer: &[u8]) -> bool {
    let last = |path: &[u8]| path.split(|byte| *byte == b'/').rfind(|part| !part.is_empty()).map(<[u8]>::to_vec);
    own.is_empty()
        || longer.starts_with(own)
        || own.len() >= 90
        || !longer.is_ascii()
        || own.windows(10).any(|part| part == b"PaxHeaders")
        || own.ends_with(b".data")
        || last(own) == last(longer)
}

/// Octal, or GNU's base 256.
fn number(field: &[u8]) -> u64 {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        return field[1..].iter().fold(0u64, |sum, byte| sum.saturating_mul(256) | u64::from(*byte));
    }
    octal(field).unwrap_or(0)
}
