//! Makes archives byte by byte, good ones by default, with a place to lie at every field.

use std::fs::File;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateEncoder;
use packaging::Rule;
use sha2::{Digest, Sha256};

use crate::{Limits, Report, Subject, examine};

pub(super) const WHEEL_NAME: &str = "pkg-1.0-py3-none-any.whl";
pub(super) const SDIST_NAME: &str = "pkg-1.0.tar.gz";

/// A file with these bytes, open for reading.
pub(super) fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    file
}

pub(super) fn any(bytes: &[u8]) -> Report {
    examine(&file(bytes), &Subject::AnyArchive, &Limits::default())
}

pub(super) fn as_named(name: &str, bytes: &[u8], limits: &Limits) -> Report {
    examine(&file(bytes), &Subject::Distribution(name.into()), limits)
}

pub(super) fn rules(report: &Report) -> Vec<Rule> {
    report.rejections.iter().map(|rejection| rejection.rule).collect()
}

pub(super) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![];
    DeflateEncoder::new(bytes, Compression::default()).read_to_end(&mut packed).expect("memory does not fail");
    packed
}

/// One of the two headers of a ZIP member.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u32,
    pub(super) unpacked: u32,
    pub(super) extra: Vec<u8>,
    pub(super) comment: Vec<u8>,
    pub(super) attributes: u32,
    pub(super) disk: u16,
    /// Added to the true place of the local header.
    pub(super) offset_lie: u32,
}

/// A ZIP member: both headers, and the bytes between.
#[derive(Clone)]
pub(super) struct ZipMember {
    pub(super) local: Head,
    pub(super) central: Head,
    pub(super) data: Vec<u8>,
    /// Bytes after the data, before the next record.
    pub(super) after: Vec<u8>,
}

impl ZipMember {
    pub(super) fn new(name: &str, bytes: &[u8]) -> Self {
        Self::with(name, bytes, deflate(bytes), 8)
    }

    pub(super) fn stored(name: &str, bytes: &[u8]) -> Self {
        Self::with(name, bytes, bytes.to_vec(), 0)
    }

    fn with(name: &str, bytes: &[u8], data: Vec<u8>, method: u16) -> Self {
        let head = Head {
            name: name.into(),
            flags: if name.is_ascii() { 0 } else { 0x800 },
            method,
            crc: crc(bytes),
            packed: data.len() as u32,
            unpacked: bytes.len() as u32,
            extra: vec![],
            comment: vec![],
            attributes: 0,
            disk: 0,
            offset_lie: 0,
        };
        Self { local: head.clone(), central: head, data, after: vec![] }
    }

    /// The same change to both headers.
    pub(super) fn both(mut self, change: impl Fn(&mut Head)) -> Self {
        change(&mut self.local);
        change(&mut self.central);
        self
    }

    pub(super) fn local(mut self, change: impl Fn(&mut Head)) -> Self {
        change(&mut self.local);
        self
    }

    pub(super) fn central(mut self, change: impl Fn(&mut Head)) -> Self {
        change(&mut self.central);
        self
    }
}

/// The end of a ZIP, and what is wrong with it.
#[derive(Clone, Default)]
pub(super) struct ZipEnd {
    pub(super) before_directory: Vec<u8>,
    pub(super) after_directory: Vec<u8>,
    pub(super) entries_lie: i32,
    pub(super) entries_here_lie: i32,
    pub(super) offset_lie: i32,
    pub(super) size_lie: i32,
    pub(super) disk: u16,
    pub(super) comment: Vec<u8>,
    pub(super) trailing: Vec<u8>,
    pub(super) zip64: Option<End64>,
    /// Write the directory in reverse.
    pub(super) reversed: bool,
}

/// The ZIP64 records of an end.
#[derive(Clone, Default)]
pub(super) struct End64 {
    pub(super) size_lie: i64,
    pub(super) extensible: Vec<u8>,
    pub(super) entries_lie: i64,
    pub(super) locator_lie: i64,
    pub(super) no_locator: bool,
    pub(super) disks: u32,
    /// Leave the classic record without values of its own.
    pub(super) narrow_empty: bool,
}

pub(super) fn zip(members: &[ZipMember]) -> Vec<u8> {
    zip_with(members, &ZipEnd::default())
}

pub(super) fn zip_with(members: &[ZipMember], end: &ZipEnd) -> Vec<u8> {
    let (mut out, mut directory) = (vec![], vec![]);
    for member in members {
        let at = out.len() as u32;
        out.extend(local_header(&member.local));
        out.extend(&member.data);
        out.extend(&member.after);
        directory.push(central_header(&member.central, at));
    }
    if end.reversed {
        directory.reverse();
    }
    out.extend(&end.before_directory);
    let directory_at = out.len() as u64;
    let directory = directory.concat();
    out.extend(&directory);
    out.extend(&end.after_directory);
    let lie = |value: u64, lie: i64| value.wrapping_add_signed(lie);
    let (count, size) = (members.len() as u64, directory.len() as u64);
    if let Some(end64) = &end.zip64 {
        out.extend(end64_records(end64, out.len() as u64, count, size, directory_at));
    }
    let empty = end.zip64.as_ref().is_some_and(|end64| end64.narrow_empty);
    out.extend(b"PK\x05\x06");
    for short in [end.disk, end.disk] {
        out.extend(short.to_le_bytes());
    }
    for entries in [lie(count, end.entries_here_lie.into()), lie(count, end.entries_lie.into())] {
        out.extend((if empty { 0xffff } else { entries as u16 }).to_le_bytes());
    }
    for long in [lie(size, end.size_lie.into()), lie(directory_at, end.offset_lie.into())] {
        out.extend((if empty { u32::MAX } else { long as u32 }).to_le_bytes());
    }
    out.extend((end.comment.len() as u16).to_le_bytes());
    out.extend(&end.comment);
    out.extend(&end.trailing);
    out
}

fn local_header(head: &Head) -> Vec<u8> {
    let mut out = b"PK\x03\x04\x14\0".to_vec();
    for short in [head.flags, head.method, 0, 0x21] {
        out.extend(short.to_le_bytes());
    }
    for long in [head.crc, head.packed, head.unpacked] {
        out.extend(long.to_le_bytes());
    }
    out.extend((head.name.len() as u16).to_le_bytes());
    out.extend((head.extra.len() as u16).to_le_bytes());
    out.extend(&head.name);
    out.extend(&head.extra);
    out
}

fn central_header(head: &Head, at: u32) -> Vec<u8> {
    let mut out = b"PK\x01\x02\x14\x03\x14\0".to_vec();
    for short in [head.flags, head.method, 0, 0x21] {
        out.extend(short.to_le_bytes());
    }
    for long in [head.crc, head.packed, head.unpacked] {
        out.extend(long.to_le_bytes());
    }
    for short in [head.name.len() as u16, head.extra.len() as u16, head.comment.len() as u16, head.disk, 0] {
        out.extend(short.to_le_bytes());
    }
    out.extend(head.attributes.to_le_bytes());
    out.extend(at.wrapping_add(head.offset_lie).to_le_bytes());
    out.extend(&head.name);
    out.extend(&head.extra);
    out.extend(&head.comment);
    out
}

fn end64_records(end: &End64, at: u64, count: u64, size: u64, directory_at: u64) -> Vec<u8> {
    let mut out = b"PK\x06\x06".to_vec();
    let own = (44 + end.extensible.len() as u64).wrapping_add_signed(end.size_lie);
    out.extend(own.to_le_bytes());
    out.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for double in [count, count.wrapping_add_signed(end.entries_lie), size, directory_at] {
        out.extend(double.to_le_bytes());
    }
    out.extend(&end.extensible);
    if !end.no_locator {
        out.extend(locator(at.wrapping_add_signed(end.locator_lie), end.disks));
    }
    out
}

pub(super) fn locator(at: u64, disks: u32) -> Vec<u8> {
    [&b"PK\x06\x07\0\0\0\0"[..], &at.to_le_bytes(), &disks.to_le_bytes()].concat()
}

/// An extra field.
pub(super) fn extra(id: u16, value: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &(value.len() as u16).to_le_bytes(), value].concat()
}

/// An Info-ZIP Unicode Path extra for a header with this name.
pub(super) fn unicode_extra(header_name: &[u8], name: &[u8]) -> Vec<u8> {
    extra(0x7075, &[&[1][..], &crc(header_name).to_le_bytes(), name].concat())
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    gzip_with(bytes, 0, &[])
}

/// A gzip stream with these flags and these bytes after the fixed header.
pub(super) fn gzip_with(bytes: &[u8], flags: u8, header: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 0xff];
    out.extend(header);
    out.extend(deflate(bytes));
    out.extend(crc(bytes).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

/// A tar header, ustar unless it is changed.
#[derive(Clone)]
pub(super) struct TarHead(pub(super) [u8; 512]);

impl TarHead {
    pub(super) fn new(name: &[u8], flag: u8, bytes: u64) -> Self {
        let mut head = Self([0; 512]);
        head.put(0, &name[..name.len().min(100)]);
        head.put(100, b"0000644\0");
        head.put(108, b"0000000\0");
        head.put(116, b"0000000\0");
        head.put(124, format!("{bytes:011o}\0").as_bytes());
        head.put(136, b"00000000000\0");
        head.put(156, &[flag]);
        head.put(257, b"ustar\x0000");
        head
    }

    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The block, with a right checksum.
    pub(super) fn block(&self) -> [u8; 512] {
        let mut block = self.0;
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// A header, its data and the padding.
pub(super) fn tar_entry(head: &TarHead, data: &[u8]) -> Vec<u8> {
    let mut out = head.block().to_vec();
    out.extend(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

pub(super) fn tar_file(name: &str, data: &[u8]) -> Vec<u8> {
    tar_entry(&TarHead::new(name.as_bytes(), b'0', data.len() as u64), data)
}

/// An extended header of kind `x` or `g` with these records.
pub(super) fn pax(flag: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let data: String = records.iter().map(|(key, value)| pax_record(key, value)).collect();
    tar_entry(&TarHead::new(b"PaxHeader", flag, data.len() as u64), data.as_bytes())
}

fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let length = (1..).map(|digits| rest + digits).find(|length| length.to_string().len() + rest == *length);
    format!("{} {key}={value}\n", length.expect("some length has so many digits"))
}

/// A whole tar: entries, then the end.
pub(super) fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

pub(super) fn sdist(entries: &[Vec<u8>]) -> Vec<u8> {
    gzip(&tar(entries))
}

pub(super) const METADATA: &str = "Metadata-Version: 2.4\nName: pkg\nVersion: 1.0\n";

/// A good sdist's entries.
pub(super) fn sdist_entries() -> Vec<Vec<u8>> {
    vec![
        tar_entry(&TarHead::new(b"pkg-1.0/", b'5', 0), b""),
        tar_file("pkg-1.0/PKG-INFO", METADATA.as_bytes()),
        tar_file("pkg-1.0/pkg/__init__.py", b"x = 1\n"),
    ]
}

/// The files of a wheel, without RECORD, which is made from them.
#[derive(Clone)]
pub(super) struct Wheel {
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) record: Option<String>,
    pub(super) extra_rows: String,
}

pub(super) const WHEEL: &str = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

impl Wheel {
    pub(super) fn new() -> Self {
        let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        Self {
            files: vec![
                file("pkg/__init__.py", "x = 1\n"),
                file("pkg-1.0.dist-info/METADATA", METADATA),
                file("pkg-1.0.dist-info/WHEEL", WHEEL),
            ],
            record: None,
            extra_rows: String::new(),
        }
    }

    /// Adds or replaces a file.
    pub(super) fn with(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.retain(|(known, _)| known != name);
        self.files.push((name.into(), bytes.as_ref().to_vec()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.files.retain(|(known, _)| known != name);
        self
    }

    pub(super) fn rows(mut self, rows: &str) -> Self {
        self.extra_rows = rows.into();
        self
    }

    pub(super) fn record(mut self, change: impl Fn(String) -> String) -> Self {
        self.record = Some(change(self.true_record()));
        self
    }

    pub(super) fn true_record(&self) -> String {
        let rows: String = self
            .files
            .iter()
            .map(|(name, bytes)| format!("{name},sha256={},{}\n", base64(&Sha256::digest(bytes)), bytes.len()))
            .collect();
        format!("{rows}{}pkg-1.0.dist-info/RECORD,,\n", self.extra_rows)
    }

    pub(super) fn members(&self) -> Vec<ZipMember> {
        let record = self.record.clone().unwrap_or_else(|| self.true_record());
        self.files
            .iter()
            .map(|(name, bytes)| ZipMember::new(name, bytes))
            .chain([ZipMember::new("pkg-1.0.dist-info/RECORD", record.as_bytes())])
            .collect()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        zip(&self.members())
    }

    pub(super) fn report(&self) -> Report {
        as_named(WHEEL_NAME, &self.bytes(), &Limits::default())
    }
}

/// A second, plain writing of URL-safe Base64: the one under test is not its own judge.
pub(super) fn base64(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    bits.chunks(6)
        .map(|six| six.iter().chain([&0; 5]).take(6).fold(0, |n, bit| n << 1 | bit))
        .map(|n| match n {
            0..=25 => char::from(b'A' + n),
            26..=51 => char::from(b'a' + n - 26),
            52..=61 => char::from(b'0' + n - 52),
            62 => '-',
            _ => '_',
        })
        .collect()
}
