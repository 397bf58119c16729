//! The pages in `cases/` are documentation and tests: each describes archives, which are built here in memory and
//! inspected, and what the check must find in them.
//!
//! A case is a fenced block: `fires SHAPE` or `quiet SHAPE`, SHAPE one of `wheel`, `sdist`, `bare`. In it,
//! `--- PATH` begins a member (`--- PATH (hex)`: its bytes in hexadecimal; `(repeat N)`: its text N times; `(as N)`: N
//! members, whose numbers stand for the star in the path),
//! `@name NAME` names the file, and at the end each `=== severity/confidence MEMBER:LINE` is a finding of this page's
//! check that must be there; others of it must not. A quiet case allows findings that policy takes for nothing. A block
//! `previous SHAPE` before a case is the release before it, a block `sibling SHAPE` the same release's other form.
//! `{{` … `}}` around hexadecimal is a character that a page would not show.
//!
//! Why the file is looked at, and what the index knows of it: `@cause upload|status|again` (without: `upload`), `@first
//! project|release`, `@status WORD`, `@publishing OWN STREAK LAST` (`-`: nobody). A check runs in a case as it does anywhere
//! else: on the events that it asks for (`occasion`).

use std::fs::File;
use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

use crate::built_in::{Verdict, verdict};
use crate::checks::{CHECKS, Check, Context};
use crate::{Finding, Inspection, Limits, Occasion, Profile, Publishing, Subject};

#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) what: String,
    shape: String,
    pub(crate) line: usize,
    /// The heading of the second order above it.
    pub(crate) title: String,
    name: Option<String>,
    occasion: Occasion,
    members: Vec<(String, Vec<u8>)>,
    pub(crate) expected: Vec<String>,
}

/// The cases of a page, in their order.
pub(crate) fn cases(page: &str) -> Vec<Case> {
    let (mut found, mut title) = (vec![], "");
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        title = line.strip_prefix("## ").unwrap_or(title);
        let fence: String = line.chars().take_while(|c| *c == '`').collect();
        if fence.len() < 3 {
            continue;
        }
        let (what, shape) = line[fence.len()..].split_once(' ').unwrap_or((&line[fence.len()..], ""));
        let body: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != fence).collect();
        if ["fires", "quiet", "previous", "sibling"].contains(&what) {
            found.push(Case { title: title.into(), ..case(what, shape, number + 1, &body) });
        }
    }
    found
}

fn case(what: &str, shape: &str, line: usize, body: &[&str]) -> Case {
    let mut case = Case { what: what.into(), shape: shape.into(), line, ..Case::default() };
    let (mut header, mut text) = (None::<String>, String::new());
    let mut close = |header: &mut Option<String>, text: &mut String| {
        if let Some(header) = header.take() {
            case.members.extend(members(&header, text));
        }
        text.clear();
    };
    let (mut expected, mut name, mut occasion) = (vec![], None, Occasion::default());
    for line in body {
        if let Some(path) = line.strip_prefix("--- ") {
            close(&mut header, &mut text);
            header = Some(path.to_owned());
        } else if let Some(finding) = line.strip_prefix("=== ") {
            expected.push(finding.to_owned());
        } else if let Some(given) = line.strip_prefix("@name ") {
            name = Some(given.to_owned());
        } else if let Some((word, given)) = line.strip_prefix('@').and_then(|line| line.split_once(' '))
            && knows(&mut occasion, word, given)
        {
        } else {
            text += line;
            text.push('\n');
        }
    }
    close(&mut header, &mut text);
    (case.expected, case.name, case.occasion) = (expected, name, occasion);
    case
}

/// Takes up what a page says of the occasion; false for a line that says nothing of it, such as a decorator.
fn knows(occasion: &mut Occasion, word: &str, given: &str) -> bool {
    let read = |given: &str| given.to_owned().into();
    match word {
        "cause" => occasion.cause = serde_json::from_value(read(given)).expect("a cause"),
        "status" => occasion.status = Some(serde_json::from_value(read(given)).expect("a status of projects")),
        "first" => {
            // The first file of a project is that of its release too.
            occasion.first_of_release = true;
            occasion.first_of_project |= match given {
                "project" => true,
                "release" => false,
                other => panic!("the first of no `{other}`"),
            };
        }
        "publishing" => {
            let mut words = given.splitn(3, ' ');
            let mut next = || words.next().expect("three words").to_owned();
            let (own, streak, last) = (next(), next().parse().expect("a number"), next());
            let who = |text: String| Some(text).filter(|text| text != "-");
            occasion.publishing = Some(Publishing { own: who(own), streak, last: who(last) });
        }
        _ => return false,
    }
    true
}

fn members(header: &str, text: &str) -> Vec<(String, Vec<u8>)> {
    let (path, how) = header.strip_suffix(')').and_then(|h| h.rsplit_once(" (")).unwrap_or((header, ""));
    let bytes = match how.split_once(' ') {
        Some(("repeat", count)) => text.repeat(count.parse().expect("a count")).into_bytes(),
        _ if how == "hex" => packaging::hash::unhex(&text.split_whitespace().collect::<String>()).expect("hexadecimal"),
        _ => shown(text).into_bytes(),
    };
    match how.split_once(' ') {
        Some(("as", count)) => {
            let count: usize = count.parse().expect("a count");
            (0..count).map(|n| (shown(&path.replace('*', &n.to_string())), bytes.clone())).collect()
        }
        _ => vec![(shown(path), bytes)],
    }
}

/// `{{202e}}` is U+202E.
fn shown(text: &str) -> String {
    let mut parts = text.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once("}}").and_then(|(hex, rest)| Some((u32::from_str_radix(hex, 16).ok()?, rest))) {
            Some((code, rest)) => {
                out.push(char::from_u32(code).expect("a character"));
                out += rest;
            }
            None => out += &format!("{{{{{part}"),
        }
    }
    out
}

impl Case {
    fn filename(&self) -> String {
        let default = if self.shape == "wheel" { "pkg-1.0-py3-none-any.whl" } else { "pkg-1.0.tar.gz" };
        self.name.clone().unwrap_or_else(|| default.into())
    }

    fn stem(&self) -> String {
        let filename = self.filename();
        let bare = filename.trim_end_matches(".tar.gz");
        bare.splitn(3, '-').take(2).collect::<Vec<_>>().join("-")
    }

    fn archive(&self) -> (Vec<u8>, Subject) {
        let subject = Subject::Distribution(self.filename());
        let stem = self.stem();
        let (name, version) = stem.split_once('-').expect("a name and a version");
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        match self.shape.as_str() {
            "wheel" => (zip(&self.with_wheel_files(&stem, &metadata)), subject),
            "sdist" => {
                let mut members: Vec<_> =
                    self.members.iter().map(|(path, bytes)| (rooted(&stem, path), bytes.clone())).collect();
                if !self.members.iter().any(|(path, _)| path == "PKG-INFO") {
                    members.push((format!("{stem}/PKG-INFO"), metadata.into_bytes()));
                }
                (targz(&members), subject)
            }
            "bare" => (zip(&self.members), Subject::AnyArchive),
            other => panic!("line {}: no shape `{other}`", self.line),
        }
    }

    fn with_wheel_files(&self, stem: &str, metadata: &str) -> Vec<(String, Vec<u8>)> {
        let mut members = self.members.clone();
        let tags = self.filename().trim_end_matches(".whl").splitn(3, '-').last().unwrap_or_default().to_owned();
        let pure = tags.ends_with("any");
        let wheel = format!("Wheel-Version: 1.0\nGenerator: case\nRoot-Is-Purelib: {pure}\nTag: {tags}\n");
        for (file, text) in [("METADATA", metadata), ("WHEEL", &wheel)] {
            let path = format!("{stem}.dist-info/{file}");
            if !members.iter().any(|(known, _)| *known == path) {
                members.push((path, text.as_bytes().to_vec()));
            }
        }
        let record = format!("{stem}.dist-info/RECORD");
        if !members.iter().any(|(known, _)| *known == record) {
            let row = |(path, bytes): &(String, Vec<u8>)| format!("{path},sha256={},{}\n", digest(bytes), bytes.len());
            let rows: String = members.iter().map(row).collect();
            members.push((record.clone(), format!("{rows}{record},,\n").into_bytes()));
        }
        members
    }

    fn inspect(&self, others: &Others) -> Inspection {
        let (bytes, subject) = self.archive();
        let (previous, sibling) = (others.previous.as_ref(), others.sibling.as_ref());
        let context = Context { previous, sibling, occasion: Some(&self.occasion), ..Context::default() };
        crate::inspect(&file(&bytes), &subject, &Limits::default(), context, false).0
    }
}

/// What was said before a case of other files.
#[derive(Default)]
pub(crate) struct Others {
    previous: Option<Profile>,
    sibling: Option<Profile>,
}

impl Others {
    /// Inspects the next case with what was said before it; nothing when it only says something for the one to come.
    pub(crate) fn next(&mut self, case: &Case) -> Option<Inspection> {
        let inspection = case.inspect(self);
        match case.what.as_str() {
            "previous" => self.previous = Some(inspection.profile),
            "sibling" => self.sibling = Some(inspection.profile),
            _ => {
                *self = Self::default();
                return Some(inspection);
            }
        }
        None
    }
}

fn rooted(stem: &str, path: &str) -> String {
    if path.starts_with(['.', '/']) && path.contains("..") { path.into() } else { format!("{stem}/{path}") }
}

fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> =
        Sha256::digest(bytes).iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let six = |six: &[u8]| six.iter().chain([&0; 5]).take(6).fold(0usize, |n, bit| n << 1 | usize::from(*bit));
    bits.chunks(6).map(|bits| char::from(ALPHABET[six(bits)])).collect()
}

/// An open file with these bytes.
pub(crate) fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    file
}

/// A plain ZIP.
pub(crate) fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (vec![], vec![]);
    for (path, bytes) in members {
        let mut packed = DeflateEncoder::new(vec![], Compression::default());
        packed.write_all(bytes).expect("memory does not fail");
        let packed = packed.finish().expect("memory does not fail");
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let flags: u16 = if path.is_ascii() { 0 } else { 0x800 };
        let mut stated = vec![];
        for short in [flags, 8, 0, 0x21] {
            stated.extend(short.to_le_bytes());
        }
        for long in [crc.sum(), packed.len() as u32, bytes.len() as u32] {
            stated.extend(long.to_le_bytes());
        }
        stated.extend((path.len() as u16).to_le_bytes());
        stated.extend([0, 0]);
        let at = out.len() as u32;
        out.extend([b"PK\x03\x04\x14\0".as_slice(), &stated, path.as_bytes(), &packed].concat());
        directory.extend(
            [b"PK\x01\x02\x14\x03\x14\0".as_slice(), &stated, &[0; 10], &at.to_le_bytes(), path.as_bytes()].concat(),
        );
    }
    let (at, count) = (out.len() as u32, members.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    out.extend([(directory.len() as u32).to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}

/// A plain tar, packed by gzip.
pub(crate) fn targz(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = vec![];
    for (path, bytes) in members {
        let mut head = [0u8; 512];
        let mut put = |at: usize, text: &[u8]| head[at..at + text.len()].copy_from_slice(text);
        put(0, path.as_bytes());
        for (at, text) in [(100, "0000644\0"), (108, "0000000\0"), (116, "0000000\0"), (136, "00000000000\0")] {
            put(at, text.as_bytes());
        }
        put(124, format!("{:011o}\0", bytes.len()).as_bytes());
        put(148, b"        0");
        put(257, b"ustar\x0000");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend(head);
        tar.extend(bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.extend([0; 1024]);
    let mut packed = GzEncoder::new(vec![], Compression::default());
    packed.write_all(&tar).expect("memory does not fail");
    packed.finish().expect("memory does not fail")
}

fn told(finding: &Finding) -> String {
    let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    let place = finding.location.as_ref().map_or(String::new(), |location| {
        let line = location.line.map_or(String::new(), |line| format!(":{line}"));
        format!(" {}{line}", location.member)
    });
    format!("{}/{}{place}", word(&finding.severity), word(&finding.confidence))
}

fn check_page(check: &dyn Check, wrong: &mut Vec<String>) {
    let id = check.id();
    let mut others = Others::default();
    let mut seen = [false; 2];
    for case in cases(check.page()) {
        let Some(inspection) = others.next(&case) else { continue };
        let own: Vec<String> = inspection.findings.iter().filter(|f| f.check == id).map(told).collect();
        let weighty: Vec<String> =
            inspection.findings.iter().filter(|f| f.check == id && verdict(&[f]) > Verdict::Clear).map(told).collect();
        let fires = case.what == "fires";
        seen[usize::from(fires)] = true;
        let missing: Vec<_> = case.expected.iter().filter(|line| !own.contains(line)).collect();
        let more: Vec<_> = weighty.iter().filter(|line| !case.expected.contains(line)).collect();
        if !missing.is_empty() || !more.is_empty() || fires && case.expected.is_empty() {
            wrong.push(format!("{id}.md, line {}: lacks {missing:?}, has besides {more:?}; all: {own:?}", case.line));
        }
    }
    if seen != [true; 2] {
        wrong.push(format!("{id}.md needs a case that fires and one that is quiet"));
    }
    if check.page().lines().next() != Some(&format!("# {id}")) {
        wrong.push(format!("the page of {id} is not headed by its id"));
    }
}

#[test]
fn every_check_does_what_its_page_says() {
    let mut wrong = vec![];
    for check in CHECKS {
        check_page(*check, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What only the index knows reaches a check from its page: one that runs on other events than the usual can be shown to
/// fire.
#[test]
fn a_page_says_why_a_file_is_looked_at() {
    use crate::{Cause, Event};
    let of = |lines: &[&str]| case("fires", "wheel", 1, lines).occasion;
    let first = of(&["@first project", "@status archived", "@publishing - 2 somebody else"]);
    assert_eq!(first.events(), [Event::ProjectCreated, Event::ReleaseCreated, Event::FileAdded]);
    assert_eq!(first.status, Some(packaging::ProjectStatus::Archived));
    let publishing = Publishing { own: None, streak: 2, last: Some("somebody else".into()) };
    assert_eq!(first.publishing, Some(publishing));
    assert_eq!(of(&["@first release"]).events(), [Event::ReleaseCreated, Event::FileAdded]);
    assert_eq!((of(&["@cause status"]).cause, of(&["@cause again"]).cause), (Cause::Status, Cause::Again));
    let python = case("fires", "wheel", 1, &["--- a.py", "@property", "@first.setter", "def x(self): ..."]);
    assert_eq!(python.members[0].1, b"@property\n@first.setter\ndef x(self): ...\n");
}

#[test]
fn ids_are_one_each_and_every_page_is_some_checks() {
    let mut ids: Vec<String> = CHECKS.iter().map(|check| format!("{}.md", check.id())).collect();
    ids.sort_unstable();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");
    let entries = std::fs::read_dir(folder).expect("the folder of pages");
    let mut pages: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    pages.sort_unstable();
    assert_eq!(ids, pages);
}
