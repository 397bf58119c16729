//! ZIP, leniently: every directory that can be found, every header that none of them lists, and the bytes between.

use std::io::{self, Read};

use crate::inflate::{Inflate, InflateError};
use crate::input::Input;
use crate::zip::record::{self, Central, End, Local};

use super::packed::{Packed, Packing};
use super::{Format, Oddity, Reading, State};

/// Bytes at the end in which an end record may stand: its own and the longest comment.
const TAIL_BYTES: u64 = record::END_BYTES as u64 + u16::MAX as u64;
/// Most end records that are followed.
const ENDS_MAX: usize = 8;
/// Gaps of fewer bytes are padding.
const GAP_BYTES_MIN: u64 = 16;
/// Ways of packing that Python's `zipfile` reads besides the two that every tool does.
const BZIP2: u16 = 12;
const LZMA: u16 = 14;
/// The stream of an LZMA member ends by a mark of its own.
const FLAG_LZMA_MARKED: u16 = 1 << 1;
/// Longest data descriptor behind a member.
const DESCRIPTOR_BYTES: u64 = 24;

/// One member as a directory, or its own header alone, states it.
struct Entry {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    unpacked: u64,
    header_at: u64,
    data_at: u64,
}

/// Bytes that a record accounts for.
type Claim = std::ops::Range<u64>;

pub(super) fn read(input: &mut Input<'_>, state: &mut State<'_, '_>) {
    let begins = input.exact(0, 4).is_ok_and(|magic| magic == record::LOCAL);
    let (mut claims, mut count): (Vec<Claim>, u32) = (vec![], 0);
    for (end_at, end, end_bytes) in ends(input) {
        if claims.iter().any(|claim| claim.contains(&end_at)) {
            // It stands within a member: the end of an archive inside the archive.
            continue;
        }
        for (directory_at, shift) in directories(input, end_at, &end) {
            count += 1;
            if count == 2 {
                state.tell(Oddity::SecondDirectory, "", "");
            }
            claims.push(directory_at..end_at + end_bytes);
            listed(input, (directory_at, end_at, shift), &mut claims, state);
        }
    }
    // A tar in front may hold whole archives; what stands in it is read as its members.
    if count > 0 || (begins && state.walk.formats.is_empty()) {
        let inside_another = !state.walk.formats.is_empty();
        state.walk.formats.push(Format::Zip);
        if !inside_another {
            gaps(input, &mut claims, state);
        }
    }
}

/// End records near the end, the last first: most readers take that one.
fn ends(input: &mut Input<'_>) -> Vec<(u64, End, u64)> {
    let bytes = input.bytes();
    let tail_at = bytes.saturating_sub(TAIL_BYTES);
    let Ok(tail) = input.exact(tail_at, (bytes - tail_at) as usize).map(<[u8]>::to_vec) else { return vec![] };
    let mut found = Vec::new();
    let places = tail.windows(record::END_BYTES).enumerate().rev().filter(|(_, end)| end.starts_with(&record::END));
    for (from, window) in places.take(ENDS_MAX) {
        let end_at = tail_at + from as u64;
        let (narrow, comment_bytes) = End::read(window);
        let wide = end64(input, end_at);
        let end_bytes = (record::END_BYTES as u64 + comment_bytes as u64).min(bytes - end_at);
        found.push((end_at, narrow.widened(wide), end_bytes));
    }
    found
}

/// The ZIP64 record, by the locator before the classic one.
fn end64(input: &mut Input<'_>, end_at: u64) -> Option<End> {
    let locator_at = end_at.checked_sub(record::LOCATOR64_BYTES as u64)?;
    let locator = input.exact(locator_at, record::LOCATOR64_BYTES).ok()?;
    if !locator.starts_with(&record::LOCATOR64) {
        return None;
    }
    let (_, points_at, _) = record::locator64(locator);
    let end = input.exact(points_at, record::END64_BYTES).ok().filter(|end| end.starts_with(&record::END64))?;
    Some(End::read64(end).0)
}

/// Where the directory may be, and by how much its offsets are then off: right before its end, as some readers
/// look for it, and where the record says, as others do.
fn directories(input: &mut Input<'_>, end_at: u64, end: &End) -> Vec<(u64, u64)> {
    if end.entries == 0 && end.directory_bytes == 0 {
        return vec![(end_at, 0)];
    }
    let before = end_at.checked_sub(end.directory_bytes).map(|at| (at, at.wrapping_sub(end.directory_at)));
    let mut found: Vec<(u64, u64)> = before.into_iter().chain([(end.directory_at, 0)]).collect();
    found.dedup_by_key(|(at, _)| *at);
    found.retain(|(at, _)| *at < end_at && input.exact(*at, 4).is_ok_and(|magic| magic == record::CENTRAL));
    found
}

fn listed(
    input: &mut Input<'_>,
    (directory_at, end_at, shift): (u64, u64, u64),
    claims: &mut Vec<Claim>,
    state: &mut State<'_, '_>,
) {
    let mut at = directory_at;
    let mut inflate = Inflate::new();
    while at < end_at && state.may_visit() {
        let Some((entry, next)) = central(input, at, shift) else { return };
        at = next;
        let Some(local) = local(input, entry.header_at) else {
            let path = state.path(&entry.name);
            state.tell(Oddity::Absent, &path, "");
            continue;
        };
        let descriptor = if entry.flags & record::FLAG_DESCRIPTOR != 0 { DESCRIPTOR_BYTES } else { 0 };
        let data_end = local.data_at.saturating_add(entry.packed).saturating_add(descriptor).min(input.bytes());
        claims.push(entry.header_at..data_end);
        let path = state.path(&entry.name);
        let entry = Entry { data_at: local.data_at, ..entry };
        visit(input, &mut inflate, &path, &entry, Reading::Listed, state);
        if local.name != entry.name {
            let other = state.path(&local.name);
            state.tell(Oddity::TwoNames, &path, other.as_str());
            visit(input, &mut inflate, &other, &entry, Reading::Hidden, state);
        }
        if local.method != entry.method {
            state.tell(Oddity::TwoMethods, &path, "");
            visit(input, &mut inflate, &path, &local, Reading::Hidden, state);
        }
    }
}

fn central(input: &mut Input<'_>, at: u64, shift: u64) -> Option<(Entry, u64)> {
    let bytes = input.exact(at, record::CENTRAL_BYTES).ok().filter(|bytes| bytes.starts_with(&record::CENTRAL))?;
    let central = Central::read(bytes);
    let name_at = at + record::CENTRAL_BYTES as u64;
    let name = input.exact(name_at, central.name_bytes).ok()?.to_vec();
    let extra_at = name_at + central.name_bytes as u64;
    let extra = input.exact(extra_at, central.extra_bytes).ok()?.to_vec();
    let mut wide = zip64(&extra);
    let mut widen = |narrow: u64| {
        if narrow == u64::from(record::SEE_64) { record::take_double(&mut wide).unwrap_or(narrow) } else { narrow }
    };
    let stated = central.stated;
    let (unpacked, packed) = (widen(stated.unpacked), widen(stated.packed));
    let header_at = widen(central.header_at).wrapping_add(shift);
    let entry = Entry {
        name,
        flags: stated.flags,
        method: stated.method,
        crc: stated.crc,
        packed,
        unpacked,
        header_at,
        data_at: 0,
    };
    Some((entry, extra_at + central.extra_bytes as u64 + central.comment_bytes as u64))
}

fn local(input: &mut Input<'_>, at: u64) -> Option<Entry> {
    let bytes = input.exact(at, record::LOCAL_BYTES).ok().filter(|bytes| bytes.starts_with(&record::LOCAL))?;
    let local = Local::read(bytes);
    let name_at = at + record::LOCAL_BYTES as u64;
    let name = input.exact(name_at, local.name_bytes).ok()?.to_vec();
    let extra_at = name_at + local.name_bytes as u64;
    let extra = input.exact(extra_at, local.extra_bytes).ok()?.to_vec();
    let mut wide = zip64(&extra);
    let mut widen = |narrow: u64| {
        if narrow == u64::from(record::SEE_64) { record::take_double(&mut wide).unwrap_or(narrow) } else { narrow }
    };
    let (unpacked, packed) = (widen(local.stated.unpacked), widen(local.stated.packed));
    Some(Entry {
        name,
        flags: local.stated.flags,
        method: local.stated.method,
        crc: local.stated.crc,
        packed,
        unpacked,
        header_at: at,
        data_at: extra_at + local.extra_bytes as u64,
    })
}

/// The value of the ZIP64 field among extra fields.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while let Some((id, count)) = record::take_short(&mut extra).zip(record::take_short(&mut extra)) {
        let Some((value, rest)) = extra.split_at_checked(usize::from(count)) else { break };
        if id == 1 {
            return value;
        }
        extra = rest;
    }
    &[]
}

fn visit(
    input: &mut Input<'_>,
    inflate: &mut Inflate,
    path: &str,
    entry: &Entry,
    reading: Reading,
    state: &mut State<'_, '_>,
) {
    if entry.name.ends_with(b"/") && entry.unpacked == 0 {
        return;
    }
    if entry.flags & record::FLAG_ENCRYPTED != 0 {
        state.tell(Oddity::Encrypted, path, "");
        return state.member(path, entry.unpacked, reading, &mut io::empty());
    }
    let end = match entry.method {
        record::STORED => entry.data_at.saturating_add(entry.packed).min(input.bytes()),
        // Deflate knows its own end; what the header says of it only ever shortened it.
        record::DEFLATED => input.bytes(),
        BZIP2 | LZMA => return rare(input, path, entry, reading, state),
        other => {
            state.tell(Oddity::UnknownMethod, path, format!("method {other}"));
            return state.member(path, entry.unpacked, reading, &mut io::empty());
        }
    };
    if entry.method == record::DEFLATED {
        inflate.start(entry.data_at, end);
    }
    let deflated = entry.method == record::DEFLATED;
    let mut body = Body {
        input,
        inflate,
        deflated,
        at: entry.data_at,
        end,
        used: 0,
        made: 0,
        crc: flate2::Crc::new(),
        fault: None,
        whole: false,
    };
    state.member(path, entry.unpacked, reading, &mut body);
    let (fault, whole) = (body.fault, body.whole);
    let differs = body.crc.sum() != entry.crc && entry.flags & record::FLAG_DESCRIPTOR == 0;
    if let Some(fault) = fault {
        state.tell(fault, path, "");
    } else if whole && (differs || body.made != entry.unpacked && entry.flags & record::FLAG_DESCRIPTOR == 0) {
        state.tell(Oddity::Mismatch, path, "");
    }
}

/// A member that not every tool can unpack.
fn rare(input: &mut Input<'_>, path: &str, entry: &Entry, reading: Reading, state: &mut State<'_, '_>) {
    state.tell(Oddity::RareMethod, path, format!("method {}", entry.method));
    let end = entry.data_at.saturating_add(entry.packed).min(input.bytes());
    let source = Stored { input, at: entry.data_at, end };
    let mut body = if entry.method == BZIP2 {
        Packed::open(Packing::Bzip2, source)
    } else {
        let unpacked = (entry.flags & FLAG_LZMA_MARKED == 0).then_some(entry.unpacked);
        Packed::zip_lzma(source, unpacked)
    };
    state.member(path, entry.unpacked, reading, &mut body);
    if let Some(fault) = body.fault {
        state.tell(fault, path, "");
    }
}

/// The unpacked bytes of one member.
struct Body<'b, 'f> {
    input: &'b mut Input<'f>,
    inflate: &'b mut Inflate,
    deflated: bool,
    at: u64,
    end: u64,
    used: usize,
    made: u64,
    crc: flate2::Crc,
    fault: Option<Oddity>,
    whole: bool,
}

impl Body<'_, '_> {
    fn stored(&mut self, buffer: &mut [u8]) -> usize {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let piece = self.input.some(self.at).unwrap_or_default();
        let count = piece.len().min(left).min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        self.at += count as u64;
        count
    }

    fn deflated(&mut self, buffer: &mut [u8]) -> usize {
        if self.made == 0 && self.used == 0 || self.used >= self.inflate.piece().len() {
            self.used = 0;
            match self.inflate.step(self.input) {
                Ok(true) => {}
                Ok(false) => return 0,
                Err(error) => {
                    self.fault = Some(match error {
                        InflateError::Corrupt => Oddity::Corrupt,
                        InflateError::Truncated | InflateError::Io(_) => Oddity::Truncated,
                    });
                    return 0;
                }
            }
        }
        let piece = self.inflate.piece().get(self.used..).unwrap_or_default();
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        self.used += count;
        count
    }
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.whole || self.fault.is_some() || buffer.is_empty() {
            return Ok(0);
        }
        let count = if self.deflated { self.deflated(buffer) } else { self.stored(buffer) };
        self.whole = count == 0 && self.fault.is_none();
        self.crc.update(&buffer[..count]);
        self.made += count as u64;
        Ok(count)
    }
}

/// Looks at what no record accounts for: headers that no directory lists, and other bytes.
fn gaps(input: &mut Input<'_>, claims: &mut [Claim], state: &mut State<'_, '_>) {
    claims.sort_by_key(|claim| claim.start);
    let mut at = 0;
    let mut free: Vec<Claim> = Vec::new();
    for claim in claims.iter() {
        if claim.start > at {
            free.push(at..claim.start);
        }
        at = at.max(claim.end);
    }
    if at < input.bytes() {
        free.push(at..input.bytes());
    }
    for gap in free {
        gap_members(input, gap, state);
    }
}

fn gap_members(input: &mut Input<'_>, gap: Claim, state: &mut State<'_, '_>) {
    let mut inflate = Inflate::new();
    let mut at = gap.start;
    while at < gap.end && state.may_visit() {
        let next = find_local(input, at..gap.end);
        let until = next.as_ref().map_or(gap.end, |entry| entry.header_at);
        if until - at >= GAP_BYTES_MIN {
            let file_end = input.bytes();
            let oddity = match (at, until) {
                (0, _) => Oddity::LeadingBytes,
                (_, until) if until == file_end => Oddity::TrailingBytes,
                _ => Oddity::InnerBytes,
            };
            let path = format!("(bytes {at} to {until})");
            // ZIP64 records are the one thing that may stand between the directory and its end.
            if !input.exact(at, 4).is_ok_and(|magic| magic == record::END64) {
                state.tell(oddity, &path, "");
                let mut bytes = Stored { input, at, end: until };
                state.member(&path, until - at, Reading::Gap, &mut bytes);
            }
        }
        let Some(entry) = next else { return };
        let path = state.path(&entry.name);
        state.tell(Oddity::Unlisted, &path, "");
        visit(input, &mut inflate, &path, &entry, Reading::Hidden, state);
        let inflated_to = if entry.method == record::DEFLATED { inflate.at() } else { 0 };
        at = entry.data_at.saturating_add(entry.packed).max(inflated_to).max(entry.header_at + 4);
    }
}

/// The first header of a member in a stretch of the file that looks like one.
fn find_local(input: &mut Input<'_>, stretch: Claim) -> Option<Entry> {
    let mut at = stretch.start;
    while at < stretch.end {
        let piece = input.some(at).ok()?;
        let most = piece.len().min(usize::try_from(stretch.end - at).unwrap_or(usize::MAX));
        if most < 4 {
            // The rest of a window; the next begins here.
            let four = input.exact(at, 4).ok()?.starts_with(&record::LOCAL);
            if four && let Some(entry) = plausible(input, at) {
                return Some(entry);
            }
            at += 1;
            continue;
        }
        match piece[..most].windows(4).position(|window| window == record::LOCAL) {
            Some(found) => {
                at += found as u64;
                if let Some(entry) = plausible(input, at) {
                    return Some(entry);
                }
                at += 4;
            }
            None => at += most as u64 - 3,
        }
    }
    None
}

/// A header that a stream reader would take: a name, and a method that exists.
fn plausible(input: &mut Input<'_>, at: u64) -> Option<Entry> {
    let entry = local(input, at)?;
    let named = !entry.name.is_empty() && !entry.name.contains(&0);
    (named && matches!(entry.method, 0 | 8 | 9 | 12 | 14 | 93 | 95)).then_some(entry)
}

/// A stretch of the file.
struct Stored<'b, 'f> {
    input: &'b mut Input<'f>,
    at: u64,
    end: u64,
}

impl Read for Stored<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let piece = self.input.some(self.at)?;
        let count = piece.len().min(left).min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        self.at += count as u64;
        Ok(count)
    }
}
