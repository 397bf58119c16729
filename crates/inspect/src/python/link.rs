//! All modules of a distribution together: who reaches what and when, and what flows where.
//!
//! Functions of all modules are numbered in one row. Reach spreads over calls and imports from the roots.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::Limits;
use super::cut::Cut;
use super::facts::{Effect, Function, FunctionId, Handed, Labels, Layer, LayerKind, Module, Piece, Taint, Target};
use super::pure::{self, Budget};
use super::value::{Known, Value};
use super::walk::Map;

/// Hops from a name to the name that it stands for.
const HOPS_MAX: u32 = 64;

/// When something runs, from "only if somebody calls it" up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Somebody has to call it.
    OnCall,
    /// The module has to be run as a script.
    Script,
    /// A command or plug-in hook that the distribution declares.
    EntryPoint,
    /// The module is imported.
    ImportTime,
    /// The distribution is built or installed.
    InstallTime,
    /// Any Python starts: `.pth`, `sitecustomize`.
    StartUp,
}

impl Reach {
    /// The word used in profiles: `startup:<word>:<capability>`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OnCall => "call",
            Self::Script => "script",
            Self::EntryPoint => "entry-point",
            Self::ImportTime => "import",
            Self::InstallTime => "install",
            Self::StartUp => "start-up",
        }
    }
}

/// Something that runs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The member's path.
    pub path: String,
    /// A function of it, qualified (`Command.run`), or of any of its classes (`.run`); none for the top level.
    pub function: Option<String>,
    /// When it runs.
    pub reach: Reach,
}

/// A module in its place.
#[derive(Debug)]
pub(super) struct Linked {
    pub(super) path: String,
    pub(super) module: Module,
    /// For a module that only came out when constants of several were put together: encodings taken off.
    pub(super) late: Vec<&'static str>,
    /// The number of its top level among all functions.
    pub(super) first: usize,
}

/// All modules of a distribution.
#[derive(Debug)]
pub struct Program {
    pub(super) modules: Vec<Linked>,
    /// Indices of the modules that are members, by path: checks ask for them again and again.
    pub(super) by_path: Vec<usize>,
    pub(super) reach: Vec<Reach>,
    pub(super) edges: Edges,
    pub(super) labels: Vec<Vec<Labels>>,
    pub(super) chains: Vec<Chain>,
    /// The bounds that were met when the modules were put together.
    pub cuts: BTreeSet<Cut>,
}

/// An effect with all that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'p> {
    /// The member.
    pub path: &'p str,
    /// Its facts.
    pub module: &'p Module,
    /// The effect.
    pub effect: &'p Effect,
    /// The function in which it stands.
    pub function: &'p Function,
    /// When it runs.
    pub reach: Reach,
    /// All sources that reach it, across functions and modules.
    pub labels: Labels,
    pub(super) late: &'p [&'static str],
}

impl Seen<'_> {
    /// Encodings taken off to get here, outermost first.
    pub fn layer(&self) -> Vec<&'static str> {
        self.late.iter().chain(self.module.layer_path(self.effect.place.layer)).copied().collect()
    }
}

/// Data that flows from sources into an effect.
#[derive(Debug, Clone, Copy)]
pub struct Flow<'p> {
    /// The sources.
    pub sources: Labels,
    /// Where it goes.
    pub sink: Seen<'p>,
}

/// What a chain of effects amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainKind {
    /// Something private is collected, encoded on the way, and sent.
    CollectEncodeSend,
    /// Something private is sent.
    CollectSend,
    /// The whole environment is sent.
    EnvironmentSend,
    /// A store of secrets is read and sent.
    StoreSend,
    /// A parameter named like a secret is sent.
    SecretParameterSend,
    /// Fetched, written to a file, and a process started.
    FetchWriteRun,
    /// A literal is written to a file and a process started.
    WriteRun,
    /// An answer from the network is run as Python.
    FetchExec,
    /// An answer from the network is a process's command.
    FetchProcess,
    /// Decoded data is run as Python.
    DecodeExec,
    /// Decoded data is a process's command.
    DecodeProcess,
    /// What a process printed is sent.
    OutputSend,
    /// What the network says about the clipboard, or a constant, replaces what is on it.
    ClipboardReplace,
}

/// A chain of effects within one function and what it calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// What it amounts to.
    pub kind: ChainKind,
    /// Index of the module, for [`Program::chain_end`].
    pub(super) module: usize,
    /// Index of its last effect.
    pub(super) effect: usize,
    /// When it runs.
    pub reach: Reach,
}

/// Puts modules together. `modules` are member paths and facts; `roots` are what runs by itself beyond the rules
/// that hold everywhere: a `setup.py` runs at install, a module's top level at import.
pub fn link(modules: Vec<(String, Module)>, roots: &[Root], limits: &Limits) -> Program {
    link_with(modules, roots, Besides::default(), limits)
}

/// What names of modules and calls do not tell; modules by their place among all.
#[derive(Debug, Default)]
pub struct Besides {
    /// Further names of modules.
    pub names: Vec<(String, usize)>,
    /// A function of a module, and a module of which it runs the top level.
    pub runs: Vec<(usize, FunctionId, usize)>,
}

/// The same, where modules are reached in other ways too.
pub fn link_with(modules: Vec<(String, Module)>, roots: &[Root], besides: Besides, limits: &Limits) -> Program {
    let mut linker = Linker::new(modules, limits);
    for (name, module) in besides.names {
        linker.by_name.entry(name).or_insert(module);
    }
    linker.runs_late = besides.runs;
    linker.fill();
    linker.late();
    linker.number();
    let by_path = by_path(&linker.modules);
    let targets = linker.targets();
    let edges = linker.edges(&targets);
    let reach = linker.reach(&edges, roots, &by_path);
    let labels = linker.taint(&targets);
    let chains = linker.chains(&edges, &reach, &labels);
    Program { modules: linker.modules, by_path, reach, edges, labels, chains, cuts: linker.cuts }
}

/// The modules that are members, sorted by path; of two with one path the first comes first.
fn by_path(modules: &[Linked]) -> Vec<usize> {
    let mut all: Vec<usize> = (0..modules.len()).filter(|n| modules[*n].late.is_empty()).collect();
    all.sort_by(|a, b| modules[*a].path.cmp(&modules[*b].path));
    all
}

/// The modules at a path, in their order.
pub(super) fn at_path<'m>(
    modules: &'m [Linked],
    by_path: &'m [usize],
    path: &str,
) -> impl Iterator<Item = &'m Linked> + use<'m> {
    let from = by_path.partition_point(|n| *modules[*n].path < *path);
    let same = by_path[from..].partition_point(|n| modules[*n].path == path);
    by_path[from..from + same].iter().map(|n| &modules[*n])
}

pub(super) struct Linker {
    pub(super) modules: Vec<Linked>,
    by_name: Map<String, usize>,
    limits: Limits,
    budget: Budget,
    /// The function that runs a late module, by the module's index.
    runs_late: Vec<(usize, FunctionId, usize)>,
    pub(super) cuts: BTreeSet<Cut>,
}

/// How control passes from one function to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Always.
    Called,
    /// When the module is run as a script.
    AsScript,
    /// When whoever keeps it calls it.
    Kept,
    /// Unless it is for a build.
    Asked,
}

/// For each call of each module, the functions that it reaches.
pub(super) type Targets = Vec<Vec<Option<u32>>>;

/// For each module, its functions by name, of equal names the first first; made when one is asked for.
type Names = Vec<OnceCell<Vec<FunctionId>>>;

/// For each function, those that it calls, and the top levels that it imports.
pub(super) type Edges = Vec<Vec<(u32, How)>>;

impl Linker {
    fn new(modules: Vec<(String, Module)>, limits: &Limits) -> Self {
        let modules: Vec<Linked> =
            modules.into_iter().map(|(path, module)| Linked { path, module, late: Vec::new(), first: 0 }).collect();
        let mut by_name = Map::default();
        for (n, linked) in modules.iter().enumerate() {
            by_name.entry(dotted(&linked.path)).or_insert(n);
        }
        // What stands in a folder that is no package may be at the top once it is installed.
        for (n, linked) in modules.iter().enumerate() {
            let name = dotted(&linked.path);
            if let Some((folder, below)) = name.split_once('.')
                && !by_name.contains_key(folder)
            {
                by_name.entry(below.to_owned()).or_insert(n);
            }
        }
        let budget = Budget {
            steps: limits.fold_steps_max,
            bytes: limits.fold_bytes_max,
            value_bytes_max: limits.value_bytes_max,
            is_spent: false,
        };
        Self { modules, by_name, limits: *limits, budget, runs_late: Vec::new(), cuts: BTreeSet::new() }
    }

    fn number(&mut self) {
        let mut first = 0;
        for linked in &mut self.modules {
            linked.first = first;
            first += linked.module.functions.len();
        }
    }

    pub(super) fn functions(&self) -> usize {
        self.modules.last().map_or(0, |last| last.first + last.module.functions.len())
    }

    /// A name as a module sees it: relative ones made absolute.
    fn absolute(&self, from: usize, name: &str) -> String {
        let dots = name.bytes().take_while(|b| *b == b'.').count();
        if dots == 0 {
            return name.to_owned();
        }
        let path = &self.modules[from].path;
        let own = dotted(path);
        let mut parts: Vec<&str> = own.split('.').collect();
        let up = if path.ends_with("__init__.py") { dots - 1 } else { dots };
        parts.truncate(parts.len().saturating_sub(up));
        parts.extend(name[dots..].split('.').filter(|part| !part.is_empty()));
        parts.join(".")
    }

    /// The module that a full name begins with, and the rest of the name.
    fn split<'n>(&self, name: &'n str) -> Option<(usize, &'n str)> {
        let mut end = name.len();
        loop {
            if let Some(module) = self.by_name.get(&name[..end]) {
                return Some((*module, name[end..].trim_start_matches('.')));
            }
            end = name[..end].rfind('.')?;
        }
    }

    /// The module and name at which a name's meaning stands, re-exports followed.
    pub(super) fn find(&self, from: usize, name: &str) -> Option<(usize, String)> {
        let mut full = self.absolute(from, name);
        for _ in 0..HOPS_MAX {
            let (module, rest) = self.split(&full)?;
            let first = rest.split(['.', '(']).next().unwrap_or("");
            let exports = &self.modules[module].module.exports;
            let next = exports.binary_search_by(|(name, _)| (**name).cmp(first)).ok().map(|at| &exports[at].1.known);
            match next {
                Some(Known::Name(other)) if !first.is_empty() => {
                    let tail = &rest[first.len()..];
                    full = format!("{}{tail}", self.absolute(module, other));
                }
                _ => return Some((module, rest.to_owned())),
            }
        }
        None
    }

    fn function(&self, names: &Names, module: usize, name: &str) -> Option<u32> {
        let plain = name.replace("()", "");
        let linked = &self.modules[module];
        let functions = &linked.module.functions;
        let sorted = names[module].get_or_init(|| {
            let mut all: Vec<FunctionId> = (0..functions.len() as FunctionId).collect();
            all.sort_by(|a, b| functions[*a as usize].name.cmp(&functions[*b as usize].name));
            all
        });
        let first = |name: &str| {
            let from = sorted.partition_point(|at| *functions[*at as usize].name < *name);
            sorted.get(from).copied().filter(|at| *functions[*at as usize].name == *name)
        };
        let at = first(&plain).or_else(|| first(&format!("{plain}.__init__")));
        at.map(|at| linked.first as u32 + at)
    }

    fn targets(&self) -> Targets {
        let names: Names = vec![OnceCell::new(); self.modules.len()];
        let mut known: Map<&str, Option<u32>> = Map::default();
        let mut all = Vec::with_capacity(self.modules.len());
        for (n, linked) in self.modules.iter().enumerate() {
            known.clear();
            // Modules of the distribution alone: of all others nothing is known.
            let stars = linked.module.imports.iter().filter(|import| import.star);
            let stars: Vec<usize> =
                stars.filter_map(|import| self.find(n, &import.module)).map(|(module, _)| module).collect();
            let mut targets = Vec::with_capacity(linked.module.calls.len());
            for call in &linked.module.calls {
                targets.push(match &call.target {
                    Target::Local(id) => Some(linked.first as u32 + *id),
                    Target::Named(name) => {
                        *known.entry(name).or_insert_with(|| self.named_target(&names, (n, &stars), name))
                    }
                });
            }
            all.push(targets);
        }
        all
    }

    fn named_target(&self, names: &Names, (from, stars): (usize, &[usize]), name: &str) -> Option<u32> {
        if let Some((module, rest)) = self.find(from, name) {
            return if rest.is_empty() { None } else { self.function(names, module, &rest) };
        }
        // A bare name may have come by a star import.
        stars.iter().find_map(|module| self.function(names, *module, name))
    }

    /// Puts constants of other modules into texts known in part, and looks at what they then say.
    fn fill(&mut self) {
        for n in 0..self.modules.len() {
            let mut effects = std::mem::take(&mut self.modules[n].module.effects);
            for effect in &mut effects {
                let mut changed = false;
                for piece in effect.args.iter_mut().flat_map(|arg| &mut arg.text) {
                    let Piece::Import(name) = piece else { continue };
                    let value = self.value(n, &Value::of(Known::Name(Rc::clone(name))), 0);
                    if let Some(text) = value.as_str() {
                        *piece = Piece::Text(text.into());
                        changed = true;
                    }
                }
                if changed {
                    self.look_again(n, effect);
                }
            }
            self.modules[n].module.effects = effects;
        }
    }

    fn look_again(&mut self, module: usize, effect: &Effect) {
        let module = &mut self.modules[module].module;
        let text = effect.text();
        module.hosts.extend(super::signs::hosts(&text));
        for sign in super::signs::of(&text) {
            let known = module.signs.iter().any(|have| have.sign == sign && have.place == effect.place);
            if !known && module.signs.len() < self.limits.signs_max {
                let text = super::shorten(&text, 200);
                module.signs.push(super::facts::Sign { sign, function: effect.function, place: effect.place, text });
            }
        }
    }

    /// Reads code that was put together from several modules.
    fn late(&mut self) {
        for n in 0..self.modules.len() {
            for later in std::mem::take(&mut self.modules[n].module.later) {
                let value = self.value(n, &later.value, 0);
                let text = match &value.known {
                    Known::Str(text) => text.to_string(),
                    Known::Bytes(data) => String::from_utf8_lossy(data).into_owned(),
                    _ => continue,
                };
                let Some(effect) = self.modules[n].module.effects.get(later.effect) else { continue };
                let (place, function) = (effect.place, effect.function);
                let path = value.peeled.map_or_else(|| vec!["string"], |peeled| peeled.to_vec());
                let layer = Layer {
                    place,
                    path: path.clone(),
                    kind: LayerKind::Python,
                    size: text.len(),
                    head: super::shorten(&text, 300),
                    bytes: self.limits.keep_python_layers.then(|| text.as_bytes().into()),
                    runs: true,
                };
                self.modules[n].module.layers.push(layer);
                let module = super::read(text.as_bytes(), &self.limits);
                let member = self.modules[n].path.clone();
                self.runs_late.push((n, function, self.modules.len()));
                self.modules.push(Linked { path: member, module, late: path, first: 0 });
            }
        }
    }

    /// What a value is once other modules are known.
    fn value(&mut self, from: usize, value: &Value, depth: u32) -> Value {
        if depth > 64 {
            return Value::default();
        }
        match &value.known {
            Known::Name(name) => {
                let Some((module, rest)) = self.find(from, name) else { return Value::default() };
                let exports = &self.modules[module].module.exports;
                let Ok(at) = exports.binary_search_by(|(name, _)| (**name).cmp(&rest)) else { return Value::default() };
                let export = Value::tainted(exports[at].1.known.clone(), exports[at].1.taint.clone());
                match export.known {
                    Known::Later(_) => self.value(module, &export, depth + 1),
                    _ => export,
                }
            }
            Known::Later(later) => {
                let later = Rc::clone(later);
                let args: Vec<Value> = later.args.iter().map(|arg| self.value(from, arg, depth + 1)).collect();
                self.operation(&later.operation, &args).unwrap_or_default()
            }
            Known::Partial(pieces) => {
                let filled = pieces.iter().flat_map(|piece| match piece {
                    Piece::Import(name) => {
                        self.value(from, &Value::of(Known::Name(Rc::clone(name))), depth + 1).pieces()
                    }
                    other => vec![other.clone()],
                });
                let filled = filled.collect();
                Value::tainted(Value::from_pieces(filled, self.limits.value_bytes_max), value.taint.clone())
            }
            _ => value.clone(),
        }
    }

    fn operation(&mut self, operation: &str, args: &[Value]) -> Option<Value> {
        let budget = &mut self.budget;
        let before = args.iter().find_map(|arg| arg.peeled.clone());
        let (known, layer) = match operation {
            "+" => match (&args.first()?.known, &args.get(1)?.known) {
                (Known::Bytes(a), Known::Bytes(b)) => (Known::Bytes([&a[..], &b[..]].concat().into()), None),
                _ => {
                    let pieces = args.iter().flat_map(Value::pieces).collect();
                    (Value::from_pieces(pieces, budget.value_bytes_max), None)
                }
            },
            "[:]" => {
                let bound = |n: usize| args.get(n).and_then(Value::as_int);
                (pure::slice(args.first()?, bound(1), bound(2), bound(3)?, budget)?, None)
            }
            method if method.starts_with('.') => pure::method(args.first()?, &method[1..], &args[1..], budget)?,
            function => pure::function(function, args, budget)?,
        };
        let peeled = match (before, layer) {
            (before, Some(layer)) => Some(before.iter().flat_map(|b| b.iter().copied()).chain([layer]).collect()),
            (before, None) => before,
        };
        Some(Value::new(known, Taint::default(), peeled))
    }

    fn reach(&self, edges: &Edges, roots: &[Root], by_path: &[usize]) -> Vec<Reach> {
        let mut reach = vec![Reach::OnCall; self.functions()];
        let mut work: Vec<(usize, Reach)> = Vec::new();
        // What nobody imports by itself: tests, examples, tools beside the packages.
        let script = |root: &&Root| root.function.is_none() && root.reach == Reach::Script;
        let scripts: std::collections::BTreeSet<&str> =
            roots.iter().filter(script).map(|root| root.path.as_str()).collect();
        for linked in self.modules.iter().filter(|linked| linked.late.is_empty()) {
            let own = own_reach(&linked.path);
            let aside = own == Reach::ImportTime && scripts.contains(linked.path.as_str());
            work.push((linked.first, if aside { Reach::Script } else { own }));
        }
        for root in roots {
            for linked in at_path(&self.modules, by_path, &root.path) {
                let Some(name) = &root.function else {
                    work.push((linked.first, root.reach));
                    continue;
                };
                let bare = name.strip_prefix('.');
                let is = |function: &Function| {
                    *function.name == **name
                        || bare.is_some_and(|bare| *function.name == *bare || function.name.ends_with(name.as_str()))
                };
                let called = (linked.first..).zip(&linked.module.functions).filter(|(_, function)| is(function));
                work.extend(called.map(|(at, _)| (at, root.reach)));
            }
        }
        while let Some((at, when)) = work.pop() {
            if reach[at] >= when && when != Reach::OnCall {
                continue;
            }
            reach[at] = when;
            for (to, how) in &edges[at] {
                // Who was given a function, and may keep it, calls it when somebody calls that.
                let then = match how {
                    How::Kept if when == Reach::ImportTime => continue,
                    How::Asked if when == Reach::InstallTime => continue,
                    How::AsScript if when < Reach::InstallTime => Reach::Script.min(when),
                    How::Kept | How::AsScript | How::Asked | How::Called => when,
                };
                if reach[*to as usize] < then {
                    work.push((*to as usize, then));
                }
            }
        }
        reach
    }

    /// Whom each function reaches by calls and imports.
    fn edges(&self, targets: &Targets) -> Edges {
        let mut edges: Edges = vec![Vec::new(); self.functions()];
        for (n, linked) in self.modules.iter().enumerate() {
            for (call, target) in linked.module.calls.iter().zip(&targets[n]) {
                if let Some(target) = target {
                    let how = match call.handed {
                        Some(Handed::Perhaps) => How::Kept,
                        Some(Handed::Asked) => How::Asked,
                        _ if call.main_only => How::AsScript,
                        Some(Handed::Surely) | None => How::Called,
                    };
                    edges[linked.first + call.function as usize].push((*target, how));
                }
            }
            for import in &linked.module.imports {
                if let Some((module, _)) = self.find(n, &import.module) {
                    edges[linked.first + import.function as usize]
                        .push((self.modules[module].first as u32, How::Called));
                }
            }
        }
        for (module, function, late) in &self.runs_late {
            edges[self.modules[*module].first + *function as usize]
                .push((self.modules[*late].first as u32, How::Called));
        }
        edges
    }
}

/// A member's path as a module's name; the folder of an sdist and `src` left out.
pub(crate) fn dotted(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.len() > 1 && parts[0].contains('-') && parts[0].bytes().any(|b| b.is_ascii_digit()) {
        parts.remove(0);
    }
    if parts.len() > 1 && matches!(parts[0], "src" | "purelib" | "platlib") {
        parts.remove(0);
    }
    let joined = parts.join(".");
    let name = joined.strip_suffix(".py").or_else(|| joined.strip_suffix(".pyw")).unwrap_or(&joined);
    name.strip_suffix(".__init__").unwrap_or(name).to_owned()
}

/// When a module's top level runs, by its name alone.
fn own_reach(path: &str) -> Reach {
    let name = path.rsplit('/').next().unwrap_or(path);
    let depth = path.split('/').count();
    match name {
        "setup.py" if depth <= 2 => Reach::InstallTime,
        "sitecustomize.py" | "usercustomize.py" if depth == 1 => Reach::StartUp,
        "__main__.py" => Reach::Script,
        _ => Reach::ImportTime,
    }
}

pub(super) fn at_reach(reach: Reach, effect: &Effect) -> Reach {
    if effect.main_only && reach == Reach::ImportTime { Reach::Script } else { reach }
}
