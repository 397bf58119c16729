//! An upload as the checks see it: every member, as what it is, and the facts of all of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;

use archive::members::{Head, Odd, Oddity, Reading, Walk, WalkLimits, walk, walk_bytes};
use archive::{Limits, Report, Subject};
use packaging::metadata::{CoreMetadata, Field};
use packaging::{DistFilename, NormalizedName, ProjectName};

use crate::code::Inner;
use crate::formats::media::Media;
use crate::formats::native::Native;
use crate::formats::pickle::Pickle;
use crate::formats::pyc::Pyc;
use crate::formats::{media, native, pickle, pyc, text};
use crate::kind::{self, Kind};
use crate::limits::InspectionLimits;
use crate::python::{self, Module, Program, link};
use crate::settings::{self, BuildSystem, EntryPoint};

/// How the members are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Installed as it is.
    Wheel,
    /// Built first, in one folder.
    Sdist,
    /// Neither: a folder, an environment, any archive.
    Other,
}

/// What a reader of the member's own format found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Facts {
    /// Its kind has no reader, or is read by the checks as text.
    None,
    /// Compiled Python.
    Pyc(Pyc),
    /// A pickle.
    Pickle(Pickle),
    /// A program of the machine.
    Native(Native),
    /// A picture or sound.
    Media(Media),
}

/// A hit of the search, with its place.
#[derive(Debug, Clone)]
pub struct Found {
    /// The rule.
    pub rule: &'static text::Rule,
    /// Line, from 1; 0 where it is not known.
    pub line: u32,
    /// Column, from 1; 0 where it is not known.
    pub column: u32,
    /// The text around it.
    pub excerpt: String,
}

/// One member.
#[derive(Debug, Clone)]
pub struct Member {
    /// Where it stands: its path, behind the paths of the archives it stands in (`outer!inner`).
    pub path: String,
    /// The path below the sdist's own folder, or in a wheel the place it is installed to, counted from the folder of
    /// installed packages; empty for what goes elsewhere.
    pub place: String,
    /// Size in bytes, as read.
    pub bytes: u64,
    /// What it is.
    pub kind: Kind,
    /// What a source is besides, that is no text: a reader finds it here under another kind as well.
    pub besides: Option<Kind>,
    /// Archives around it, besides the distribution.
    pub depth: u32,
    /// How it was found.
    pub reading: Reading,
    /// Its bytes, when it is text and within the limits.
    pub text: Vec<u8>,
    /// `text` is all of it.
    pub whole: bool,
    /// What of a source was not read as code names something that reaches out, starts or hides something.
    pub unread_speaks: bool,
    /// What its reader found.
    pub facts: Facts,
    /// Its Python, when it was read at once and its text not kept.
    pub module: Option<Box<Module>>,
    /// What the search found.
    pub found: Vec<Found>,
    /// Of an archive: what was odd about it, also that it was not opened.
    pub odd: Vec<Odd>,
    /// It stands around what a parcel carries, and is no part of it.
    pub around: bool,
}

impl Member {
    /// The text, with what is no UTF-8 replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// The last segment of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit(['/', '!']).next().unwrap_or(&self.path)
    }

    /// Whether its place says that it is there to test, show or explain. What runs it may say otherwise:
    /// [`Distribution::is_aside`].
    pub fn stands_aside_by_name(&self) -> bool {
        is_aside(if self.place.is_empty() { self.name() } else { &self.place })
    }
}

/// Whether a place is one of what tests, shows or explains.
pub(crate) fn is_aside(place: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "test",
        "tests",
        "testing",
        "docs",
        "doc",
        "examples",
        "example",
        "example_dags",
        "benchmarks",
        "fixtures",
        "testdata",
        "test_data",
    ];
    let (folders, name) = place.rsplit_once('/').unwrap_or(("", place));
    folders.split('/').any(|folder| FOLDERS.contains(&folder)) || name.starts_with("test_") || name == "conftest.py"
}

/// The upload.
#[derive(Debug)]
pub struct Distribution {
    /// How it is laid out.
    pub shape: Shape,
    /// The strict reading: rules broken.
    pub report: Report,
    /// The lenient reading: what was odd.
    pub walk: Walk,
    /// Every member, in the order met.
    pub members: Vec<Member>,
    /// Indices of members, by path: checks ask for the member of every effect.
    by_path: Vec<usize>,
    /// Its parsed file name, when it has the name of a distribution.
    pub filename: Option<DistFilename>,
    /// METADATA or PKG-INFO.
    pub metadata: CoreMetadata,
    /// Where that stands.
    pub metadata_path: String,
    /// Entry points, of a wheel's file or of the build's settings.
    pub entry_points: Vec<EntryPoint>,
    /// `[build-system]` of pyproject.toml.
    pub build: Option<BuildSystem>,
    /// Packages and modules that an import finds at the top.
    pub tops: BTreeSet<String>,
    /// Folders of the distribution that its path files add to those in which modules are looked for.
    pub searched: BTreeSet<String>,
    /// Its Python, put together.
    pub program: Program,
    /// Members that stand aside by their place, and that what does not stand aside runs.
    pub run_aside: BTreeSet<String>,
    /// Scripts that an import, a build or an installation starts.
    pub started: BTreeSet<String>,
    /// Tops of a wheel that are all there is to it, whatever they are called.
    pub never_aside: BTreeSet<String>,
    /// More is reached by paths and listings than is followed.
    pub reaches_more: bool,
    /// Members of an sdist that no build installs or runs, as far as its settings and its code say.
    pub left_behind: BTreeSet<String>,
    /// Layers of its Python that are not Python.
    pub inner: Vec<Inner>,
    /// Layers of its Python, whatever they are, for the rules of operators; none where there are no rules.
    pub(crate) layers: Vec<crate::yara::Layer>,
    /// What was left out or cut short, in words.
    pub degraded: Vec<String>,
}

impl Distribution {
    /// The member at a path.
    pub fn member(&self, path: &str) -> Option<&Member> {
        let at = self.by_path.partition_point(|at| self.members[*at].path.as_str() < path);
        self.by_path.get(at).map(|at| &self.members[*at]).filter(|member| member.path == path)
    }

    /// The project's name, by its metadata, else by its file name.
    pub fn project(&self) -> Option<NormalizedName> {
        let stated = self.metadata.get(Field::Name).and_then(|name| name.parse::<ProjectName>().ok());
        stated.map(|name| name.normalized()).or_else(|| self.filename.as_ref().map(DistFilename::project))
    }

    /// The members that the distribution itself holds under this place.
    pub fn at(&self, place: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.depth == 0 && member.place == place)
    }

    /// Whether a member is there to test, show or explain, and nothing else of the distribution runs it.
    pub fn is_aside(&self, member: &Member) -> bool {
        member.stands_aside_by_name()
            && !self.is_all_there_is(member)
            && !self.run_aside.contains(&member.path)
            && !self.is_startup(member)
    }

    /// Whether a member stands aside by the name of its wheel's top alone, and nothing else is what the wheel brings.
    fn is_all_there_is(&self, member: &Member) -> bool {
        let (top, below) = member.place.split_once('/').unwrap_or((&member.place, ""));
        self.never_aside.contains(top.trim_end_matches(".py")) && (below.is_empty() || !is_aside(below))
    }

    /// Whether a source of an sdist stands beside its packages, where nobody imports it once they are installed.
    pub fn is_loose(&self, member: &Member) -> bool {
        let place = member.place.strip_prefix("src/").unwrap_or(&member.place);
        let top = place.split('/').next().unwrap_or_default().trim_end_matches(".py");
        self.shape == Shape::Sdist && !self.tops.is_empty() && !self.tops.contains(top)
    }

    /// The settings and the code of an sdist's build, as text; nothing when some of it was not kept.
    pub fn build_texts(&self) -> Option<Vec<Cow<'_, str>>> {
        const BUILDS: [&str; 3] = ["setup.py", "setup.cfg", "pyproject.toml"];
        let builds = |member: &&Member| BUILDS.contains(&member.place.as_str()) || self.is_startup(member);
        let own = self.members.iter().filter(|member| member.depth == 0).filter(builds);
        own.map(|member| (member.whole && member.text.len() as u64 == member.bytes).then(|| member.text())).collect()
    }

    /// Whether installing, building or starting the interpreter runs this member without anybody importing it.
    pub fn is_startup(&self, member: &Member) -> bool {
        if member.depth > 0 {
            return false;
        }
        let built = || {
            let path = member.place.as_str();
            let backend = self.build.as_ref().is_some_and(|build| build.is_in_tree(path));
            path == "setup.py" || backend
        };
        // A folder that a path file names is searched as the one that it stands in.
        let searched = || {
            let mut below = member.place.match_indices('/').map(|(at, _)| member.place.split_at(at));
            below.any(|(folder, rest)| is_site_module(&rest[1..]) && self.searched.contains(folder))
        };
        let starts = is_site_startup(&member.place) || searched();
        match self.shape {
            Shape::Wheel | Shape::Other => starts,
            Shape::Sdist => built() || starts,
        }
    }
}

/// Whether a text holds a word that is no part of a longer one.
pub(crate) fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}

/// Whether a letter is part of such a word.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Files that the interpreter runs at its start when they stand where packages are installed.
pub fn is_site_startup(place: &str) -> bool {
    !place.contains('/') && place.ends_with(".pth") || is_site_module(place)
}

/// Modules that the interpreter imports by itself at its start, in any form in which it finds a module.
pub fn is_site_module(place: &str) -> bool {
    const FORMS: [&str; 5] = ["py", "pyc", "pyo", "so", "pyd"];
    let module = place.strip_prefix("sitecustomize").or_else(|| place.strip_prefix("usercustomize"));
    let file =
        module.map(|rest| rest.strip_prefix("/__init__").unwrap_or(rest)).and_then(|rest| rest.strip_prefix('.'));
    file.is_some_and(|rest| !rest.contains('/') && FORMS.contains(&rest.rsplit('.').next().unwrap_or_default()))
}

/// Reads everything; `for_rules`: layers are kept for rules over bytes.
pub fn read(
    file: &File,
    subject: &Subject,
    strict: &Limits,
    limits: &InspectionLimits,
    for_rules: bool,
) -> Distribution {
    let report = archive::examine(file, subject, strict);
    let mut reader = Reader {
        limits,
        for_rules,
        members: vec![],
        kept: 0,
        first: 0,
        read_at_once: 0,
        unpacked: 0,
        visited: 0,
        nested_unread: 0,
        cut: 0,
    };
    let walk_limits = WalkLimits {
        members_max: limits.members_max,
        unpacked_bytes_max: limits.analysed_bytes_max,
        ..WalkLimits::default()
    };
    let mut walk = walk(file, &walk_limits, &mut |head, stream| reader.member("", 0, head, stream));
    let filename = match subject {
        Subject::Distribution(name) => name.parse::<DistFilename>().ok(),
        Subject::AnyArchive => None,
    };
    let degraded = reader.degraded();
    if filename.is_none() {
        walk.odd.append(&mut unwrap(&mut reader.members));
    }
    // Stable: of two members with one path the first is found.
    let mut by_path: Vec<usize> = (0..reader.members.len()).collect();
    by_path.sort_by(|a, b| reader.members[*a].path.cmp(&reader.members[*b].path));
    let mut distribution = Distribution {
        shape: Shape::Other,
        report,
        walk,
        members: reader.members,
        by_path,
        filename,
        metadata: CoreMetadata::default(),
        metadata_path: String::new(),
        entry_points: vec![],
        build: None,
        tops: BTreeSet::new(),
        searched: BTreeSet::new(),
        program: link(vec![], &[], &Default::default()),
        run_aside: BTreeSet::new(),
        started: BTreeSet::new(),
        never_aside: BTreeSet::new(),
        reaches_more: false,
        left_behind: BTreeSet::new(),
        inner: vec![],
        layers: vec![],
        degraded,
    };
    settings::complete(&mut distribution);
    // Once more over the archive, for the few members that are run and do not look like it.
    let fetch = |wanted: &BTreeSet<String>| again(file, &walk_limits, limits.kept_bytes_max, wanted);
    crate::code::complete(&mut distribution, for_rules, fetch);
    distribution
}

/// The text of some members, read again.
fn again(file: &File, limits: &WalkLimits, bytes_max: usize, wanted: &BTreeSet<String>) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    if !wanted.is_empty() {
        walk(file, limits, &mut |head, stream| {
            if wanted.contains(&head.path) && !found.contains_key(&head.path) {
                let mut bytes = Vec::new();
                // The walk's streams end where they break; they do not fail.
                let _ = stream.take(bytes_max as u64).read_to_end(&mut bytes);
                found.insert(head.path.clone(), bytes);
            }
        });
    }
    found
}

/// An archive of archives is a parcel: what it carries is judged as if it had been given itself. Of a single one the paths
/// are its own, of several each stands in a folder of its archive's name. Tells what was odd about these archives.
fn unwrap(members: &mut [Member]) -> Vec<Odd> {
    let outer = || members.iter().filter(|member| member.depth == 0);
    let inert = |kind| matches!(kind, Kind::Archive | Kind::Text | Kind::Data | Kind::Metadata | Kind::Media);
    let archives = outer().filter(|member| member.kind == Kind::Archive).count();
    if archives == 0 || !outer().all(|member| inert(member.kind)) {
        return vec![];
    }
    let place = |archive: &str, inside: &str| match inside {
        "" => archive.to_owned(),
        _ if archives == 1 => inside.to_owned(),
        _ => format!("{archive}/{inside}"),
    };
    let mut odd = Vec::new();
    // Members follow the archive they stand in. Its path is known, and may hold a `!` of its own.
    let mut archive = String::new();
    for member in members.iter_mut() {
        if member.depth == 0 {
            member.around = archives == 1;
            archive.clone_from(&member.path);
            odd.extend(member.odd.drain(..).map(|odd| Odd { path: place(&archive, &odd.path), ..odd }));
        } else if let Some(inside) = member.path.strip_prefix(&archive).and_then(|rest| rest.strip_prefix('!')) {
            member.path = place(&archive, inside);
            member.depth -= 1;
        }
    }
    odd
}

/// Most bytes of path files, settings and what else runs first that are kept when other files have taken all room.
const FIRST_BYTES_MAX: usize = 8 << 20;

/// Whether installing, building or starting the interpreter may run a member of this path.
fn is_run_first(path: &str) -> bool {
    let name = path.rsplit(['/', '!']).next().unwrap_or(path);
    name == "setup.py" || is_site_module(name)
}

/// The walk's visitor.
struct Reader<'l> {
    limits: &'l InspectionLimits,
    for_rules: bool,
    members: Vec<Member>,
    kept: usize,
    /// Bytes of what runs first, kept besides.
    first: usize,
    read_at_once: usize,
    unpacked: u64,
    visited: u64,
    nested_unread: u64,
    cut: u64,
}

impl Reader<'_> {
    fn member(&mut self, outer: &str, depth: u32, head: &Head, stream: &mut dyn Read) {
        let mut bytes = Vec::new();
        let most = self.limits.member_bytes_max as u64;
        // The walk's streams end where they break; they do not fail.
        let _ = stream.take(most).read_to_end(&mut bytes);
        let path = if outer.is_empty() { head.path.clone() } else { format!("{outer}!{}", head.path) };
        let mut found = located(&bytes);
        let total = bytes.len() as u64 + self.rest(stream, &mut found);
        self.unpacked += total;
        self.visited += 1;
        let kind = kind::of(&path, &bytes);
        let besides = kind::besides(kind, &bytes);
        let whole = total == bytes.len() as u64;
        self.cut += u64::from(!whole);
        let content = besides.unwrap_or(kind);
        let facts = match content {
            Kind::Pyc => pyc::read(&bytes).map_or(Facts::None, Facts::Pyc),
            Kind::Pickle => Facts::Pickle(pickle::read(&bytes)),
            Kind::Elf | Kind::Pe | Kind::MachO => Facts::Native(native::read(&bytes)),
            Kind::Media => Facts::Media(media::read(&bytes)),
            Kind::Python | Kind::Shell | Kind::PowerShell | Kind::Batch | Kind::JavaScript => Facts::None,
            Kind::ToolConfig | Kind::Pth | Kind::Metadata | Kind::Archive | Kind::Text | Kind::Data => Facts::None,
        };
        let nested = match (content, kind) {
            (Kind::Archive, Kind::Archive) => Some(std::mem::take(&mut bytes)),
            (Kind::Archive, _) => Some(bytes.clone()),
            _ => None,
        };
        // Prose and data in text form were searched; kept, they would push out what runs.
        let settings = ["pyproject.toml", "setup.cfg", "hatch.toml", ".egg-info/requires.txt"]
            .iter()
            .any(|name| path.ends_with(name));
        let keeps = kind.is_text() && (kind != Kind::Text || settings);
        let module = if keeps && whole { self.read_at_once(kind, &path, &bytes) } else { None };
        let keeps = keeps && module.is_none();
        // What installing or starting runs is small, and other files must not push it out.
        let first = kind == Kind::Pth || settings || is_run_first(&path);
        let room = self.room_of(first).min(bytes.len());
        let unread_speaks = keeps && kind == Kind::Python && (!whole || text::speaks(&bytes[room..]));
        let text = if keeps { self.keep(bytes, first) } else { vec![] };
        let whole = whole && (!keeps || text.len() as u64 == total);
        let reading = head.reading;
        let place = String::new();
        let at = self.members.len();
        self.members.push(Member {
            path: path.clone(),
            place,
            bytes: total,
            kind,
            besides,
            depth,
            reading,
            text,
            whole,
            unread_speaks,
            facts,
            module,
            found,
            odd: vec![],
            around: false,
        });
        if let Some(nested) = nested {
            self.members[at].odd = self.nested(&path, depth, &nested);
        }
    }

    /// Searches what is beyond the part that is looked at as what it is.
    fn rest(&mut self, stream: &mut dyn Read, found: &mut Vec<Found>) -> u64 {
        const PIECE_BYTES: u64 = 1 << 20;
        const OVERLAP_BYTES: usize = 4 << 10;
        let (mut piece, mut total) = (Vec::new(), 0);
        loop {
            let read = stream.take(PIECE_BYTES).read_to_end(&mut piece).unwrap_or(0);
            if read == 0 {
                return total;
            }
            for hit in text::search(&piece).iter().map(|hit| somewhere(&piece, hit)) {
                if found.len() < 50 && !found.iter().any(|known| known.excerpt == hit.excerpt) {
                    found.push(hit);
                }
            }
            total += read as u64;
            piece.drain(..piece.len().saturating_sub(OVERLAP_BYTES));
        }
    }

    /// Facts of a source for whose text there is no room any more: they are smaller.
    fn read_at_once(&mut self, kind: Kind, path: &str, bytes: &[u8]) -> Option<Box<Module>> {
        let room = self.limits.read_at_once_bytes_max.saturating_sub(self.read_at_once).min(self.limits.kept_bytes_max);
        let source = kind == Kind::Python && crate::code::is_source(path);
        if !source || bytes.len() <= self.room() || bytes.len() > room {
            return None;
        }
        self.read_at_once += bytes.len();
        Some(Box::new(python::read(bytes, &crate::code::limits(self.for_rules))))
    }

    fn room(&self) -> usize {
        self.limits.all_kept_bytes_max.saturating_sub(self.kept).min(self.limits.kept_bytes_max)
    }

    /// The same; what runs first has room of its own besides.
    fn room_of(&self, first: bool) -> usize {
        let own = if first { FIRST_BYTES_MAX.saturating_sub(self.first).min(self.limits.kept_bytes_max) } else { 0 };
        self.room().max(own)
    }

    fn keep(&mut self, mut bytes: Vec<u8>, first: bool) -> Vec<u8> {
        let room = self.room_of(first);
        if bytes.len() > room {
            self.cut += 1;
            bytes.truncate(room);
        }
        bytes.shrink_to_fit();
        if bytes.len() > self.room() {
            self.first += bytes.len();
        } else {
            self.kept += bytes.len();
        }
        bytes
    }

    /// Opens an archive within the archive; tells what was odd about it, first of all that it was not opened.
    fn nested(&mut self, path: &str, depth: u32, bytes: &[u8]) -> Vec<Odd> {
        let left = self.limits.analysed_bytes_max.saturating_sub(self.unpacked);
        let members = self.limits.members_max.saturating_sub(self.visited);
        if depth >= self.limits.nesting_max || bytes.len() > self.limits.nested_bytes_max || left == 0 || members == 0 {
            self.nested_unread += 1;
            let detail = "it is too deep or too large to open".to_owned();
            return vec![Odd { oddity: Oddity::Limit, path: String::new(), detail }];
        }
        let limits = WalkLimits { members_max: members, unpacked_bytes_max: left, ..WalkLimits::default() };
        walk_bytes(bytes, &limits, &mut |head, stream| self.member(path, depth + 1, head, stream)).odd
    }

    fn degraded(&self) -> Vec<String> {
        let mut degraded = Vec::new();
        if self.cut > 0 {
            degraded.push(format!("{} members were too large; their rest was only searched as text", self.cut));
        }
        if self.nested_unread > 0 {
            degraded
                .push(format!("{} archives within the archive were too deep or too large to open", self.nested_unread));
        }
        degraded
    }
}

/// The hits of the search, each with its line and column.
pub(crate) fn located(bytes: &[u8]) -> Vec<Found> {
    let place = |hit: text::Hit| {
        let (line, column) = text::place(bytes, hit.at);
        Found { line, column, ..somewhere(bytes, &hit) }
    };
    text::search(bytes).into_iter().map(place).collect()
}

/// A hit of which the line is not known: what stands before these bytes is gone.
fn somewhere(bytes: &[u8], hit: &text::Hit) -> Found {
    Found { rule: hit.rule, line: 0, column: 0, excerpt: text::excerpt(bytes, hit.at, hit.end) }
}
