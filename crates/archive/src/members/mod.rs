//! Every member of any archive, for inspection: nothing is refused, everything odd is told.
//!
//! [`crate::examine`] says whether an archive has one meaning. This walk is for those that are to be judged all
//! the same: where two tools would find different members it visits both readings, and goes on behind what is
//! broken for as long as there is anything to read. Memory: one window of input and one piece of output,
//! besides the list of paths.

mod gunzip;
mod packed;
mod tar;
mod zip;

use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};

use crate::input::Input;
use crate::path::{ArchivePath, PathProblem};

/// Bounds on one walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkLimits {
    /// Most members, over all readings.
    pub members_max: u64,
    /// Most bytes that come out of decoders.
    pub unpacked_bytes_max: u64,
    /// Longest path, in bytes; of a longer one the middle is cut out.
    pub path_bytes_max: usize,
    /// Most oddities told; the first ones are kept.
    pub oddities_max: usize,
}

impl Default for WalkLimits {
    fn default() -> Self {
        Self { members_max: 50_000, unpacked_bytes_max: 1 << 30, path_bytes_max: 1024, oddities_max: 200 }
    }
}

/// A format that the bytes can be read as; a file may be several at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ZIP, by a directory or by a member's header.
    Zip,
    /// A tar, plain.
    Tar,
    /// A tar packed by gzip.
    TarGz,
    /// Anything else packed by gzip.
    Gzip,
    /// A tar packed by bzip2 or xz.
    TarPacked,
    /// Anything else packed by bzip2 or xz.
    Packed,
}

/// How a member was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Listed: in a ZIP's central directory, or a header of a tar before its end.
    Listed,
    /// By a header that no directory lists, or behind the end: some readers see it, others do not.
    Hidden,
    /// Bytes between, before or behind the members, that belong to none.
    Gap,
}

/// What is known of a member before its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The path as stated, with `.` and empty segments dropped; never to be opened.
    pub path: String,
    /// The size that the archive states, in bytes; what comes may be more or less.
    pub declared: u64,
    /// How it was found.
    pub reading: Reading,
}

/// What was wrong with the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Oddity {
    /// Neither zip nor tar.
    NotAnArchive,
    /// Both zip and tar.
    SeveralFormats,
    /// One path stands more than once.
    DuplicatePath,
    /// Local header and directory give a member two names.
    TwoNames,
    /// Local header and directory state another way of packing.
    TwoMethods,
    /// A member's header that no directory lists.
    Unlisted,
    /// A second directory besides the one most readers use.
    SecondDirectory,
    /// The directory lists a member that is not there.
    Absent,
    /// Bytes stand before the first member.
    LeadingBytes,
    /// Bytes stand between members.
    InnerBytes,
    /// Bytes stand behind the end.
    TrailingBytes,
    /// Members stand behind the end of a tar.
    BehindEnd,
    /// A member is encrypted.
    Encrypted,
    /// A member is packed in a way that is not read here.
    UnknownMethod,
    /// A member is packed in a way that only some tools read.
    RareMethod,
    /// A member's bytes cannot be unpacked.
    Corrupt,
    /// A member has another checksum or size than stated.
    Mismatch,
    /// The archive ends within a record or a member.
    Truncated,
    /// A path leads out of the folder it is unpacked to.
    EscapingPath,
    /// A path holds characters that hide or disguise it.
    DisguisedPath,
    /// A link.
    Link,
    /// A link that leads out of the archive.
    EscapingLink,
    /// A device, a pipe or a socket.
    Special,
    /// An extended header gives a member another name or size than its own header.
    Override,
    /// Several gzip streams in a row.
    SeveralStreams,
    /// A limit of this walk was met; the rest was not read.
    Limit,
}

/// An oddity and where it was seen: a member's path, or nothing for the archive as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// What.
    pub oddity: Oddity,
    /// At which member.
    pub path: String,
    /// In words, where there is more to say: the other name, the link's target.
    pub detail: String,
}

/// What the walk found besides members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    /// As what the bytes were read.
    pub formats: Vec<Format>,
    /// What was wrong, in the order seen.
    pub odd: Vec<Odd>,
    /// How many members were visited.
    pub members: u64,
    /// All that there is stands in a packing that does not say what it is.
    pub nameless: bool,
}

impl Walk {
    /// Whether the bytes are an archive of files, and no packing of a single one.
    pub fn holds_files(&self) -> bool {
        self.formats.iter().any(|format| match format {
            Format::Zip | Format::Tar | Format::TarGz | Format::TarPacked => true,
            Format::Gzip | Format::Packed => false,
        })
    }
}

/// Called with each member; it may read as much of the stream as it wants. The stream ends early where the bytes are
/// broken or a limit is met; it never fails.
pub type Visit<'v> = dyn FnMut(&Head, &mut dyn Read) + 'v;

/// Walks an open file.
pub fn walk(file: &File, limits: &WalkLimits, visit: &mut Visit<'_>) -> Walk {
    let Ok(input) = Input::new(file) else {
        return Walk { odd: vec![odd(Oddity::NotAnArchive, "", "it cannot be read")], ..Walk::default() };
    };
    let mut walk = over(input, || Input::new(file), limits, visit);
    let told = walk.odd.iter().any(|odd| odd.oddity == Oddity::NotAnArchive);
    // Where nothing was read, nothing was inspected, whatever the first bytes promise.
    if !told && (walk.members == 0 || walk.nameless && !walk.holds_files()) {
        let detail = if walk.members == 0 { "it holds nothing" } else { "its packing holds no archive" };
        walk.odd.push(odd(Oddity::NotAnArchive, "", detail));
    }
    walk
}

/// Walks an archive that is in memory: one found within another.
pub fn walk_bytes(bytes: &[u8], limits: &WalkLimits, visit: &mut Visit<'_>) -> Walk {
    over(Input::over(bytes), || Ok(Input::over(bytes)), limits, visit)
}

fn odd(oddity: Oddity, path: &str, detail: impl Into<String>) -> Odd {
    Odd { oddity, path: path.to_owned(), detail: detail.into() }
}

fn over<'f>(
    mut input: Input<'f>,
    again: impl Fn() -> io::Result<Input<'f>>,
    limits: &WalkLimits,
    visit: &mut Visit<'_>,
) -> Walk {
    let begins_as_tar = input.some(0).is_ok_and(tar::begins);
    let head = input.some(0).map(|head| head[..head.len().min(512)].to_vec()).unwrap_or_default();
    let mut state = State { limits, visit, walk: Walk::default(), seen: HashSet::new(), unpacked: 0 };
    if crate::tar::begins_as_gzip(&head) {
        if let Ok(input) = again() {
            tar::gzip(input, &mut state);
        }
    } else if let Some(packing) = packed::Packing::of(&head) {
        if let Ok(input) = again() {
            tar::packed(packing, input, &mut state);
        }
    } else if begins_as_tar && let Ok(input) = again() {
        state.walk.formats.push(Format::Tar);
        tar::plain(input, &mut state);
    }
    // What a reader from the back takes for a ZIP is one, whatever stands in front.
    state.seen.clear();
    zip::read(&mut input, &mut state);
    if state.walk.formats.len() > 1 {
        state.tell(Oddity::SeveralFormats, "", "");
    }
    if state.walk.formats.is_empty() {
        state.tell(Oddity::NotAnArchive, "", "");
    }
    state.walk
}

/// What both readers share: the visitor, the limits, and what was told so far.
struct State<'s, 'v> {
    limits: &'s WalkLimits,
    visit: &'s mut Visit<'v>,
    walk: Walk,
    /// Hashes of the paths visited, to tell duplicates without keeping the paths.
    seen: HashSet<u64>,
    unpacked: u64,
}

impl State<'_, '_> {
    fn tell(&mut self, oddity: Oddity, path: &str, detail: impl Into<String>) {
        let told = || self.walk.odd.iter().any(|odd| odd.oddity == oddity);
        // Beyond the limit a kind that was never told is still told once: a flood must not hide it.
        if self.walk.odd.len() < self.limits.oddities_max || !told() {
            self.walk.odd.push(odd(oddity, path, detail));
        }
    }

    /// Whether another member is within the limits.
    fn may_visit(&mut self) -> bool {
        let within = self.walk.members < self.limits.members_max && self.left() > 0;
        if !within && !self.walk.odd.iter().any(|odd| odd.oddity == Oddity::Limit) {
            self.tell(Oddity::Limit, "", "");
        }
        within
    }

    /// Bytes that may still be decoded.
    fn left(&self) -> u64 {
        self.limits.unpacked_bytes_max.saturating_sub(self.unpacked)
    }

    /// The path as it is told onwards, with what is wrong about it.
    fn path(&mut self, name: &[u8]) -> String {
        let mut path = String::from_utf8_lossy(name).into_owned();
        if path.len() > self.limits.path_bytes_max {
            // Its end says what it is, and must not be pushed out by its beginning.
            let end = path.ceil_char_boundary(path.len() - self.limits.path_bytes_max / 2);
            let begin = path.floor_char_boundary(self.limits.path_bytes_max / 2);
            path.replace_range(begin..end, "");
        }
        match ArchivePath::parse(name) {
            Ok(_) => return path.trim_end_matches('/').to_owned(),
            Err(PathProblem::Absolute | PathProblem::Drive | PathProblem::Parent) => {
                self.tell(Oddity::EscapingPath, &path, "");
            }
            Err(PathProblem::Control | PathProblem::Bidi) => self.tell(Oddity::DisguisedPath, &path, ""),
            Err(PathProblem::Empty | PathProblem::NotUtf8 | PathProblem::Backslash | PathProblem::NotNormal) => {}
        }
        let path = path.replace('\\', "/");
        let segments: Vec<&str> = path.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
        segments.join("/")
    }

    /// Hands a member to the visitor.
    fn member(&mut self, path: &str, declared: u64, reading: Reading, bytes: &mut dyn Read) {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        if reading != Reading::Gap && !self.seen.insert(hasher.finish()) {
            self.tell(Oddity::DuplicatePath, path, "");
        }
        self.walk.members += 1;
        let mut counted = Counted { bytes, left: self.left(), count: 0, met: false };
        (self.visit)(&Head { path: path.to_owned(), declared, reading }, &mut counted);
        let (count, met) = (counted.count, counted.met);
        self.unpacked += count;
        if met {
            self.tell(Oddity::Limit, path, "");
        }
    }
}

/// A stream that ends where the limit on all unpacked bytes is met, and where its source breaks.
struct Counted<'r> {
    bytes: &'r mut dyn Read,
    left: u64,
    count: u64,
    met: bool,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            self.met |= !buffer.is_empty();
            return Ok(0);
        }
        let count = self.bytes.read(&mut buffer[..most]).unwrap_or(0);
        self.left -= count as u64;
        self.count += count as u64;
        Ok(count)
    }
}
