//! What remains of a module when its tree is gone: functions, calls, effects, layers, oddities.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::cut::Cut;

/// Index of a function in [`Module::functions`]; 0 is the module's top level.
pub type FunctionId = u32;
/// Index of a layer in [`Module::layers`], plus one; 0 is the file itself.
pub type LayerId = u32;

/// Where data comes from, as a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(pub u32);

impl Labels {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The environment as a whole.
    pub const ENVIRONMENT: Self = Self(1);
    /// One variable whose name speaks of a secret.
    pub const ENV_SECRET: Self = Self(1 << 1);
    /// One other variable.
    pub const ENV_KEY: Self = Self(1 << 2);
    /// Who and where this machine is: host, user, platform, address, working folder.
    pub const HOST: Self = Self(1 << 3);
    /// A file of a store of secrets: keys, cloud credentials, browsers, wallets.
    pub const STORE: Self = Self(1 << 4);
    /// Some other file.
    pub const FILE: Self = Self(1 << 5);
    /// A parameter whose name speaks of a secret.
    pub const SECRET_PARAM: Self = Self(1 << 6);
    /// The clipboard.
    pub const CLIPBOARD: Self = Self(1 << 7);
    /// The screen or a camera.
    pub const SCREEN: Self = Self(1 << 8);
    /// Keys pressed.
    pub const KEYBOARD: Self = Self(1 << 9);
    /// An answer from the network.
    pub const NETWORK: Self = Self(1 << 10);
    /// What a started process printed.
    pub const OUTPUT: Self = Self(1 << 11);
    /// The result of a decoder, decompressor or cipher.
    pub const DECODED: Self = Self(1 << 12);
    /// Typed in by a person: `input`, `getpass`.
    pub const INPUT: Self = Self(1 << 13);
    /// Encoded or compressed on the way.
    pub const ENCODED: Self = Self(1 << 14);

    /// Everything that somebody could want to steal.
    pub const PRIVATE: Self = Self(
        Self::ENVIRONMENT.0
            | Self::ENV_SECRET.0
            | Self::HOST.0
            | Self::STORE.0
            | Self::SECRET_PARAM.0
            | Self::CLIPBOARD.0
            | Self::SCREEN.0
            | Self::KEYBOARD.0
            | Self::INPUT.0,
    );

    const NAMES: [(Self, &'static str); 15] = [
        (Self::ENVIRONMENT, "environment"),
        (Self::ENV_SECRET, "env-secret"),
        (Self::ENV_KEY, "env-key"),
        (Self::HOST, "host"),
        (Self::STORE, "store"),
        (Self::FILE, "file"),
        (Self::SECRET_PARAM, "secret-param"),
        (Self::CLIPBOARD, "clipboard"),
        (Self::SCREEN, "screen"),
        (Self::KEYBOARD, "keyboard"),
        (Self::NETWORK, "network"),
        (Self::OUTPUT, "output"),
        (Self::DECODED, "decoded"),
        (Self::INPUT, "input"),
        (Self::ENCODED, "encoded"),
    ];

    /// Both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// What is in both.
    #[must_use]
    pub const fn among(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// Whether anything of `other` is in here.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// Whether nothing is in here.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The names, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(label, _)| self.any(*label)).map(|(_, name)| *name)
    }
}

/// Where a value comes from: known sources, parameters of the function at hand, and results of calls that are
/// only resolved when all modules are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taint {
    /// Sources seen.
    pub labels: Labels,
    /// Bit *n*: parameter *n* of the enclosing function; the last bit: all from there on.
    pub params: u32,
    /// Results of these `Module::calls`, from the first to the last of each range; at most [`Taint::CALLS_MAX`] ranges.
    pub calls: Option<Rc<[(u32, u32)]>>,
}

impl Taint {
    /// Most ranges of calls that one value remembers. Further ones are taken together with their nearest, and with what
    /// stands between: none is forgotten.
    pub const CALLS_MAX: usize = 8;
    /// Parameters of one function that are told apart; all further ones are taken together.
    pub const PARAMS_MAX: usize = 32;

    /// The bit of a parameter.
    pub const fn param(at: usize) -> u32 {
        1 << if at < Self::PARAMS_MAX { at } else { Self::PARAMS_MAX - 1 }
    }

    /// Known sources alone.
    pub fn of(labels: Labels) -> Self {
        Self { labels, ..Self::default() }
    }
    /// Whether it comes from nowhere of interest.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.params == 0 && self.calls.is_none()
    }
    /// Takes the other's sources in.
    pub fn join(&mut self, other: &Self) {
        self.labels = self.labels.with(other.labels);
        self.params |= other.params;
        let Some(theirs) = &other.calls else { return };
        match &self.calls {
            None => self.calls = Some(Rc::clone(theirs)),
            Some(ours) if Rc::ptr_eq(ours, theirs) => {}
            Some(ours) => {
                let holds = |(from, to): &(u32, u32)| ours.iter().any(|(first, last)| first <= from && to <= last);
                if !theirs.iter().all(holds) {
                    self.calls = Some(together(ours, theirs));
                }
            }
        }
    }
}

/// Both sets of ranges, those that touch made one, and the nearest as long as there are too many.
fn together(ours: &[(u32, u32)], theirs: &[(u32, u32)]) -> Rc<[(u32, u32)]> {
    let mut all: Vec<(u32, u32)> = ours.iter().chain(theirs).copied().collect();
    all.sort_unstable();
    let mut apart: Vec<(u32, u32)> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match apart.last_mut() {
            Some((_, last)) if from <= *last + 1 => *last = to.max(*last),
            _ => apart.push((from, to)),
        }
    }
    while apart.len() > Taint::CALLS_MAX {
        let gap = |at: &usize| apart[*at].0 - apart[*at - 1].1;
        let Some(nearest) = (1..apart.len()).min_by_key(gap) else { break };
        apart[nearest - 1].1 = apart[nearest].1;
        apart.remove(nearest);
    }
    apart.into()
}

/// What an effect does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EffectKind {
    /// Sends or fetches over the network.
    Network,
    /// Fetches straight into a file.
    Download,
    /// Starts a process or a program.
    Process,
    /// Runs text or bytes as Python.
    Exec,
    /// Imports by a name that is computed.
    Import,
    /// Opens a file for reading.
    Read,
    /// Opens a file for writing, or writes to one.
    Write,
    /// Removes files.
    Delete,
    /// Changes a file's mode.
    Chmod,
    /// Loads native code.
    Load,
    /// Reads pickle or marshal data.
    Deserialise,
    /// Sets the clipboard.
    Clipboard,
    /// Takes a picture of the screen.
    Screen,
    /// Listens to keys.
    Keyboard,
    /// Arranges for something to run later or again: registry, start-up folders, services, schedules.
    Persist,
    /// Waits.
    Sleep,
    /// Ends the program.
    Exit,
    /// Replaces something in another module.
    Patch,
    /// Runs a function at exit or in a thread.
    Schedule,
}

impl EffectKind {
    /// The word used in profiles: `cap:<word>`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Download => "download",
            Self::Process => "process",
            Self::Exec => "exec",
            Self::Import => "import",
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Chmod => "chmod",
            Self::Load => "load",
            Self::Deserialise => "deserialise",
            Self::Clipboard => "clipboard",
            Self::Screen => "screen",
            Self::Keyboard => "keyboard",
            Self::Persist => "persist",
            Self::Sleep => "sleep",
            Self::Exit => "exit",
            Self::Patch => "patch",
            Self::Schedule => "schedule",
        }
    }
}

/// A place in the text of a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The layer whose lines these are.
    pub layer: LayerId,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

/// One piece of a text that is known in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(Rc<str>),
    /// A name of another module, filled in by [`super::link()`].
    Import(Rc<str>),
    /// Not known before it runs.
    Hole,
}

impl Piece {
    /// What of it is known.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Import(_) | Self::Hole => None,
        }
    }
}

/// One argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The keyword, when it was passed by one.
    pub keyword: Option<Rc<str>>,
    /// What is known of its text, at most [`super::Limits::argument_bytes_max`] bytes; empty when nothing is.
    pub text: Vec<Piece>,
    /// Where it comes from.
    pub taint: Taint,
    /// An encoding was taken off to know its text.
    pub decoded: bool,
}

impl Argument {
    /// The text with `{}` for what is not known.
    pub fn shown(&self) -> String {
        show(&self.text)
    }
}

/// Pieces as one text, `{}` for what is not known.
pub(super) fn show(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => &**text,
            Piece::Import(_) | Piece::Hole => "{}",
        })
        .collect()
}

/// One thing that happens when its line runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What it does.
    pub kind: EffectKind,
    /// The resolved name: `os.system`, `socket.socket().send`.
    pub name: Rc<str>,
    /// Its arguments; for a write through an open file, the file's path comes first.
    pub args: Vec<Argument>,
    /// The function whose body it stands in.
    pub function: FunctionId,
    /// Where.
    pub place: Place,
    /// All that reaches it, through any argument or its receiver.
    pub taint: Taint,
    /// It stands in a `try` whose handler does nothing.
    pub swallowed: bool,
    /// It stands under `if __name__ == "__main__"`.
    pub main_only: bool,
    /// It stands in no branch of its function: nothing decides whether it happens.
    pub certain: bool,
    /// The result goes nowhere of interest and output is hidden (`DEVNULL`, no window, detached).
    pub hidden: bool,
}

impl Effect {
    /// All that is known of its arguments' text, one line an argument.
    pub fn text(&self) -> String {
        self.args.iter().map(Argument::shown).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

/// A function, a class body's method, or the top level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Qualified within the module: `Client.send`, `<module>`.
    pub name: Rc<str>,
    /// Parameter names in order, `self` included.
    pub params: Vec<Rc<str>>,
    /// Where it is defined.
    pub place: Place,
    /// Runs by itself when the module is imported, for reasons other than a call: a decorator took it, it was
    /// handed to `atexit`, a thread, or a command class.
    pub handed_over: bool,
    /// Where its results come from.
    pub returns: Taint,
}

/// Whom a call reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A function of the same module.
    Local(FunctionId),
    /// A name of another module, relative ones with their leading dots: `.helpers.send`.
    Named(Rc<str>),
}

/// How sure it is that a function that was given away is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// To a thread, `atexit`, a build command, a function of the same module: they call it.
    Surely,
    /// To something that is not known: it may keep it until somebody calls that.
    Perhaps,
    /// To a build that calls it only when somebody asks for it by name.
    Asked,
}

/// A call (or a function handed over) that other facts depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The function whose body it stands in.
    pub function: FunctionId,
    /// Whom it reaches.
    pub target: Target,
    /// Where each argument comes from; empty when none comes from anywhere.
    pub args: Vec<(Option<Rc<str>>, Taint)>,
    /// Arguments before the first one written: 1 for a method called on an instance.
    pub shift: u8,
    /// Handed over rather than called.
    pub handed: Option<Handed>,
    /// Stands under `if __name__ == "__main__"`.
    pub main_only: bool,
}

/// An import, wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Import {
    /// The module's name, relative ones with their leading dots.
    pub module: Rc<str>,
    /// The function that imports it.
    pub function: FunctionId,
    /// `from module import *`.
    pub star: bool,
}

/// What a layer turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerKind {
    /// Python source; it was read in turn.
    Python,
    /// A shell or batch script or command.
    Shell,
    /// PowerShell.
    PowerShell,
    /// JavaScript.
    JavaScript,
    /// Marshal data (a code object), with or without a `.pyc` header.
    Marshal,
    /// A pickle.
    Pickle,
    /// A Windows program.
    Pe,
    /// A Linux program.
    Elf,
    /// A macOS program.
    MachO,
    /// An archive: a zip, a tar, 7z, RAR, or what is packed alone.
    Archive,
    /// An image, a font, a certificate: data with an honest name.
    Media,
    /// Other text.
    Text,
    /// Other bytes.
    Bytes,
}

/// Something that stood under an encoding, or in a literal that is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where it was unpacked, in the layer above.
    pub place: Place,
    /// The encodings from the file down to here, outermost first: `["base64", "zlib"]`.
    pub path: Vec<&'static str>,
    /// What it is.
    pub kind: LayerKind,
    /// Its size in bytes.
    pub size: usize,
    /// How it begins (Python, scripts, text), or its first bytes in hexadecimal.
    pub head: String,
    /// The bytes, for readers of other formats; at most [`super::Limits::layer_bytes_kept_max`] a module.
    pub bytes: Option<Rc<[u8]>>,
    /// It reaches something that runs it: `exec`, a process, a file that is started.
    pub runs: bool,
}

/// Something odd about the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OddityKind {
    /// Code pushed at least 100 blanks to the right.
    PushedRight,
    /// A line of more than 5,000 characters with code, not one literal.
    LongLine,
    /// Characters that turn the direction of writing.
    Bidi,
    /// A run of at least 8 invisible characters.
    Invisible,
    /// An identifier that mixes scripts.
    MixedScripts,
    /// An identifier written in letters that NFKC turns into ASCII.
    StyledName,
    /// Names made of look-alikes: `lIl1I`, `O0O0`, `____`.
    LookAlikeNames,
    /// A literal of at least 1,000 characters that reads as an encoding.
    EncodedLiteral,
    /// The mark of an obfuscator.
    Obfuscator,
    /// A name that runs or imports something, looked up by a text that was encoded.
    HiddenName,
    /// Names of analysts' machines and users, in number.
    SandboxNames,
    /// A NUL byte in source.
    Nul,
    /// An encoding cookie that hides what is written: rot13, utf-7, escapes, hexadecimal.
    Cookie,
    /// Bytes that are not in the declared encoding.
    BadEncoding,
    /// Does not parse as Python 3.
    SyntaxError,
    /// Deeper than Python itself would read.
    Nesting,
}

/// One oddity, where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    /// Which.
    pub kind: OddityKind,
    /// Where.
    pub place: Place,
    /// How many, how long: blanks, characters, names.
    pub count: u32,
    /// What it is about, short.
    pub what: String,
}

/// Where modules are looked for besides, or that all of them are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// What is called: `sys.path.insert`, `__path__.append`, `pkgutil.walk_packages`.
    pub name: Rc<str>,
    /// The folder, as far as it is known.
    pub text: String,
    /// The function that does it.
    pub function: FunctionId,
}

impl Search {
    /// Whether a package is walked through, and no folder is added.
    pub fn walks(&self) -> bool {
        self.name.starts_with("pkgutil.")
    }
    /// Whether it is the package's own search path.
    pub fn of_package(&self) -> bool {
        self.name.starts_with("__path__")
    }
}

/// Facts of one module.
#[derive(Debug, Clone, Default)]
pub struct Module {
    pub(super) functions: Vec<Function>,
    pub(super) effects: Vec<Effect>,
    pub(super) calls: Vec<Call>,
    pub(super) imports: Vec<Import>,
    pub(super) layers: Vec<Layer>,
    pub(super) oddities: Vec<Oddity>,
    pub(super) exports: Vec<(Rc<str>, Export)>,
    pub(super) later: Vec<Later>,
    pub(super) hosts: BTreeSet<String>,
    pub(super) stores: BTreeSet<&'static str>,
    pub(super) signs: Vec<Sign>,
    pub(super) prose: Vec<(u32, u32)>,
    pub(super) searches: Vec<Search>,
    pub(super) cuts: BTreeMap<Cut, Place>,
}

/// A module-level name that other modules can use.
#[derive(Debug, Clone)]
pub(super) struct Export {
    pub(super) known: super::value::Known,
    pub(super) taint: Taint,
}

/// An effect whose argument is only known when other modules are.
#[derive(Debug, Clone)]
pub(super) struct Later {
    pub(super) effect: usize,
    pub(super) value: super::value::Value,
}

/// A literal that speaks for itself: a store of secrets, a drop host, a start-up place, a miner's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// `store:ssh`, `drop:discord-webhook`, `startup:run-key`, `miner:stratum` …
    pub sign: &'static str,
    /// The function it stands in.
    pub function: FunctionId,
    /// Where.
    pub place: Place,
    /// The literal, short.
    pub text: String,
}

impl Module {
    /// The functions; the first is the top level.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }
    /// All effects, in order of reading.
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }
    /// All imports.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }
    /// What was peeled or read out of literals.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
    /// What is odd about the text.
    pub fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }
    /// Hosts named in literals, lower case.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(String::as_str)
    }
    /// Different stores of secrets whose paths stand in literals.
    pub fn stores(&self) -> &BTreeSet<&'static str> {
        &self.stores
    }
    /// Literals that speak for themselves.
    pub fn signs(&self) -> &[Sign] {
        &self.signs
    }
    /// Where modules are looked for besides.
    pub fn searches(&self) -> &[Search] {
        &self.searches
    }
    /// The bounds that were met, each where it was met first.
    pub fn cuts(&self) -> &BTreeMap<Cut, Place> {
        &self.cuts
    }
    /// Notes that a bound was met.
    pub(super) fn cut(&mut self, cut: Cut, place: Place) {
        self.cuts.entry(cut).or_insert(place);
    }
    /// Whether a line of the file stands within a docstring, or in a text of several lines that reads as no program.
    pub fn is_prose(&self, line: u32) -> bool {
        self.prose.iter().any(|(from, to)| (*from..=*to).contains(&line))
    }
    /// Takes out the bytes that were kept of layers, each with its layer, so that they can be let go.
    pub fn take_layer_bytes(&mut self) -> Vec<(Layer, Rc<[u8]>)> {
        let taken = |layer: &mut Layer| layer.bytes.take().map(|bytes| (layer.clone(), bytes));
        self.layers.iter_mut().filter_map(taken).collect()
    }
    /// The encodings on the way to a layer, outermost first; empty for the file itself.
    pub fn layer_path(&self, layer: LayerId) -> &[&'static str] {
        (layer as usize).checked_sub(1).and_then(|n| self.layers.get(n)).map_or(&[], |layer| &layer.path)
    }
}
