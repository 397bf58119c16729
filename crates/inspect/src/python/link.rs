//! All modules of a distribution together: who reaches what and when, and what flows where.
//!
//! Functions of all modules are numbered in one row. Reach spreads over calls and imports from the roots; taint
//! spreads over arguments and results until nothing changes, or [`ROUNDS_MAX`] rounds are done.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Limits;
use super::facts::{
    Call, Effect, EffectKind, Function, FunctionId, Handed, Labels, Layer, LayerKind, Module, Piece, Taint, Target,
};
use super::pure::{self, Budget};
use super::value::{Known, Value};

/// Rounds of spreading taint; each round follows every call once.
const ROUNDS_MAX: usize = 24;
/// Hops from a name to the name that it stands for.
const HOPS_MAX: u32 = 8;

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
    pub(super) reach: Vec<Reach>,
    pub(super) edges: Edges,
    pub(super) labels: Vec<Vec<Labels>>,
    pub(super) chains: Vec<Chain>,
    /// What was left out, in words.
    pub degraded: Vec<String>,
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
    let mut linker = Linker::new(modules, limits);
    linker.fill();
    linker.late();
    linker.number();
    let targets = linker.targets();
    let edges = linker.edges(&targets);
    let reach = linker.reach(&edges, roots);
    let labels = linker.taint(&targets);
    let chains = linker.chains(&edges, &reach, &labels);
    Program { modules: linker.modules, reach, edges, labels, chains, degraded: linker.degraded }
}

struct Linker {
    modules: Vec<Linked>,
    by_name: BTreeMap<String, usize>,
    limits: Limits,
    budget: Budget,
    /// The function that runs a late module, by the module's index.
    runs_late: Vec<(usize, FunctionId, usize)>,
    degraded: Vec<String>,
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
}

/// For each call of each module, the functions that it reaches.
type Targets = Vec<Vec<Option<usize>>>;
/// For each function, those that it calls, and the top levels that it imports.
pub(super) type Edges = Vec<Vec<(usize, How)>>;

impl Linker {
    fn new(modules: Vec<(String, Module)>, limits: &Limits) -> Self {
        let modules: Vec<Linked> =
            modules.into_iter().map(|(path, module)| Linked { path, module, late: Vec::new(), first: 0 }).collect();
        let mut by_name = BTreeMap::new();
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
        Self { modules, by_name, limits: *limits, budget, runs_late: Vec::new(), degraded: Vec::new() }
    }

    fn number(&mut self) {
        let mut first = 0;
        for linked in &mut self.modules {
            linked.first = first;
            first += linked.module.functions.len();
        }
    }

    fn functions(&self) -> usize {
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
    fn find(&self, from: usize, name: &str) -> Option<(usize, String)> {
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

    fn function(&self, module: usize, name: &str) -> Option<usize> {
        let plain = name.replace("()", "");
        let linked = &self.modules[module];
        let functions = &linked.module.functions;
        let init = format!("{plain}.__init__");
        let at = functions
            .iter()
            .position(|f| *f.name == *plain)
            .or_else(|| functions.iter().position(|f| *f.name == *init));
        at.map(|at| linked.first + at)
    }

    fn targets(&self) -> Targets {
        let mut known: BTreeMap<(usize, Rc<str>), Option<usize>> = BTreeMap::new();
        let mut all = Vec::with_capacity(self.modules.len());
        for (n, linked) in self.modules.iter().enumerate() {
            let mut targets = Vec::with_capacity(linked.module.calls.len());
            for call in &linked.module.calls {
                targets.push(match &call.target {
                    Target::Local(id) => Some(linked.first + *id as usize),
                    Target::Named(name) => {
                        *known.entry((n, Rc::clone(name))).or_insert_with(|| self.named_target(n, name))
                    }
                });
            }
            all.push(targets);
        }
        all
    }

    fn named_target(&self, from: usize, name: &str) -> Option<usize> {
        if let Some((module, rest)) = self.find(from, name) {
            return if rest.is_empty() { None } else { self.function(module, &rest) };
        }
        // A bare name may have come by a star import.
        let stars = self.modules[from].module.imports.iter().filter(|import| import.star);
        stars.take(16).find_map(|import| {
            let (module, _) = self.find(from, &import.module)?;
            self.function(module, name)
        })
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

    fn reach(&self, edges: &Edges, roots: &[Root]) -> Vec<Reach> {
        let mut reach = vec![Reach::OnCall; self.functions()];
        let mut work: Vec<(usize, Reach)> = Vec::new();
        // What nobody imports by itself: tests, examples, tools beside the packages.
        let script = |root: &&Root| root.function.is_none() && root.reach == Reach::Script;
        let scripts: BTreeSet<&str> = roots.iter().filter(script).map(|root| root.path.as_str()).collect();
        for linked in self.modules.iter().filter(|linked| linked.late.is_empty()) {
            let own = own_reach(&linked.path);
            let aside = own == Reach::ImportTime && scripts.contains(linked.path.as_str());
            work.push((linked.first, if aside { Reach::Script } else { own }));
        }
        for root in roots {
            for linked in self.modules.iter().filter(|linked| linked.path == root.path && linked.late.is_empty()) {
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
                    How::AsScript if when < Reach::InstallTime => Reach::Script.min(when),
                    How::Kept | How::AsScript | How::Called => when,
                };
                if reach[*to] < then {
                    work.push((*to, then));
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
                        _ if call.main_only => How::AsScript,
                        Some(Handed::Surely) | None => How::Called,
                    };
                    edges[linked.first + call.function as usize].push((*target, how));
                }
            }
            for import in &linked.module.imports {
                if let Some((module, _)) = self.find(n, &import.module) {
                    edges[linked.first + import.function as usize].push((self.modules[module].first, How::Called));
                }
            }
        }
        for (module, function, late) in &self.runs_late {
            edges[self.modules[*module].first + *function as usize].push((self.modules[*late].first, How::Called));
        }
        edges
    }

    /// The labels that reach each effect.
    fn taint(&mut self, targets: &Targets) -> Vec<Vec<Labels>> {
        let mut state = State {
            params: vec![Vec::new(); self.functions()],
            sites: self.modules.iter().map(|linked| vec![Labels::NONE; linked.module.calls.len()]).collect(),
        };
        for (n, linked) in self.modules.iter().enumerate() {
            for (m, function) in linked.module.functions.iter().enumerate() {
                state.params[linked.first + m] = vec![Labels::NONE; function.params.len().min(32)];
            }
            for (c, call) in linked.module.calls.iter().enumerate() {
                if targets[n][c].is_none()
                    && let Target::Named(name) = &call.target
                {
                    state.sites[n][c] = self.export_labels(n, name);
                }
            }
        }
        let mut rounds = 0;
        while self.spread(targets, &mut state) {
            rounds += 1;
            if rounds == ROUNDS_MAX {
                self.degraded.push(format!("taint was followed for {ROUNDS_MAX} rounds"));
                break;
            }
        }
        let effects = |n: usize, linked: &Linked| {
            linked
                .module
                .effects
                .iter()
                .map(|e| state.labels(n, linked.first + e.function as usize, &e.taint))
                .collect()
        };
        self.modules.iter().enumerate().map(|(n, linked)| effects(n, linked)).collect()
    }

    fn export_labels(&self, from: usize, name: &str) -> Labels {
        let Some((module, rest)) = self.find(from, name) else { return Labels::NONE };
        let exports = &self.modules[module].module.exports;
        exports.binary_search_by(|(name, _)| (**name).cmp(&rest)).map_or(Labels::NONE, |at| exports[at].1.taint.labels)
    }

    /// Follows every call once; whether anything changed.
    fn spread(&self, targets: &Targets, state: &mut State) -> bool {
        let mut changed = false;
        for (n, linked) in self.modules.iter().enumerate() {
            for (c, call) in linked.module.calls.iter().enumerate() {
                let Some(target) = targets[n][c] else { continue };
                let (module, function) = self.callee(target);
                let from = linked.first + call.function as usize;
                let mut given = vec![Labels::NONE; state.params[target].len()];
                for (at, (keyword, taint)) in call.args.iter().enumerate() {
                    let labels = state.labels(n, from, taint);
                    if let Some(slot) =
                        position(call, function, at, keyword.as_deref()).and_then(|at| given.get_mut(at))
                    {
                        *slot = slot.with(labels);
                    }
                }
                for (have, new) in state.params[target].iter_mut().zip(&given) {
                    changed |= have.with(*new) != *have;
                    *have = have.with(*new);
                }
                let mut result = function.returns.labels;
                for call in function.returns.calls.iter().flat_map(|calls| calls.iter()) {
                    result = result.with(state.sites[module].get(*call as usize).copied().unwrap_or_default());
                }
                for (at, labels) in given.iter().enumerate() {
                    if function.returns.params >> at & 1 == 1 {
                        result = result.with(*labels);
                    }
                }
                let site = &mut state.sites[n][c];
                changed |= site.with(result) != *site;
                *site = site.with(result);
            }
        }
        changed
    }

    fn callee(&self, number: usize) -> (usize, &Function) {
        let module = self.modules.partition_point(|linked| linked.first <= number) - 1;
        let linked = &self.modules[module];
        (module, &linked.module.functions[number - linked.first])
    }

    fn chains(&self, edges: &Edges, reach: &[Reach], labels: &[Vec<Labels>]) -> Vec<Chain> {
        let mut chains = Vec::new();
        for (n, linked) in self.modules.iter().enumerate() {
            for (e, effect) in linked.module.effects.iter().enumerate() {
                let when = at_reach(reach[linked.first + effect.function as usize], effect);
                for kind in by_data(effect, labels[n][e], linked) {
                    chains.push(Chain { kind, module: n, effect: e, reach: when });
                }
            }
        }
        self.sequences(edges, reach, labels, &mut chains);
        chains.sort_by_key(|chain| (chain.module, chain.effect, chain.kind));
        chains.dedup_by_key(|chain| (chain.module, chain.effect, chain.kind));
        chains
    }

    /// Fetch, write, run: by what a function does and what it calls do, together.
    fn sequences(&self, edges: &Edges, reach: &[Reach], labels: &[Vec<Labels>], chains: &mut Vec<Chain>) {
        const FETCHED: u8 = 1;
        const WRITTEN: u8 = 2;
        const RUN: u8 = 4;
        let mut does = vec![0_u8; self.functions()];
        let mut last: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (n, linked) in self.modules.iter().enumerate() {
            for (e, effect) in linked.module.effects.iter().enumerate() {
                let at = linked.first + effect.function as usize;
                let program = is_program(effect, linked);
                match effect.kind {
                    EffectKind::Download => does[at] |= FETCHED,
                    EffectKind::Write if labels[n][e].any(Labels::NETWORK) => does[at] |= FETCHED,
                    EffectKind::Write if program || labels[n][e].any(Labels::DECODED) => does[at] |= WRITTEN,
                    EffectKind::Import if effect.text().is_empty() || !super::program::brings_modules(effect) => {}
                    EffectKind::Process | EffectKind::Load | EffectKind::Import => {
                        does[at] |= RUN;
                        last.entry(at).or_insert((n, e));
                    }
                    _ => {}
                }
            }
        }
        let callees: Vec<Vec<usize>> = edges
            .iter()
            .enumerate()
            .map(|(at, to)| {
                to.iter().map(|(to, _)| *to).filter(|to| *to != at).collect::<BTreeSet<_>>().into_iter().collect()
            })
            .collect();
        // Three calls deep is as far as droppers go; deeper, everything reaches everything.
        for at in 0..does.len() {
            let (mut all, mut runs) = (does[at], last.get(&at).copied());
            let mut seen: BTreeSet<usize> = BTreeSet::from([at]);
            let mut edge: Vec<usize> = callees[at].clone();
            for _ in 0..2 {
                let mut next = Vec::new();
                for callee in edge.into_iter().filter(|callee| seen.insert(*callee)).take(64) {
                    all |= does[callee];
                    runs = runs.or_else(|| last.get(&callee).copied());
                    next.extend(callees[callee].iter().copied());
                }
                edge = next;
            }
            let kind = match all {
                all if all & (FETCHED | RUN) == FETCHED | RUN => ChainKind::FetchWriteRun,
                all if all & (WRITTEN | RUN) == WRITTEN | RUN => ChainKind::WriteRun,
                _ => continue,
            };
            if let Some((module, effect)) = runs {
                chains.push(Chain { kind, module, effect, reach: reach[at] });
            }
        }
    }
}

/// Labels at parameters and at call results.
struct State {
    params: Vec<Vec<Labels>>,
    sites: Vec<Vec<Labels>>,
}

impl State {
    fn labels(&self, module: usize, function: usize, taint: &Taint) -> Labels {
        let mut labels = taint.labels;
        for (at, param) in self.params[function].iter().enumerate() {
            if taint.params >> at & 1 == 1 {
                labels = labels.with(*param);
            }
        }
        for call in taint.calls.iter().flat_map(|calls| calls.iter()) {
            labels = labels.with(self.sites[module].get(*call as usize).copied().unwrap_or_default());
        }
        labels
    }
}

/// The parameter that an argument goes to.
fn position(call: &Call, function: &Function, at: usize, keyword: Option<&str>) -> Option<usize> {
    match keyword {
        Some(keyword) => function.params.iter().position(|param| **param == *keyword),
        None => {
            // A method of another module is called on an instance that is no argument.
            let method = function.params.first().is_some_and(|param| &**param == "self") && call.shift == 0;
            Some(at + usize::from(call.shift) + usize::from(method))
        }
    }
}

/// A member's path as a module's name; the folder of an sdist and `src` left out.
fn dotted(path: &str) -> String {
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

/// Whether what is written is itself a program.
fn is_program(effect: &Effect, linked: &Linked) -> bool {
    linked.module.layers.iter().any(|layer| {
        layer.place == effect.place && !matches!(layer.kind, LayerKind::Text | LayerKind::Bytes | LayerKind::Media)
    })
}

/// Chains that one effect's data tells.
fn by_data(effect: &Effect, labels: Labels, linked: &Linked) -> Vec<ChainKind> {
    let ran =
        linked.module.layers.iter().any(|l| l.place == effect.place && l.runs && l.path.last() != Some(&"string"));
    let mut kinds = Vec::new();
    match effect.kind {
        EffectKind::Network => {
            let private = labels.any(Labels::PRIVATE);
            let rules = [
                (private && labels.any(Labels::ENCODED), ChainKind::CollectEncodeSend),
                (private, ChainKind::CollectSend),
                (labels.any(Labels::ENVIRONMENT), ChainKind::EnvironmentSend),
                (labels.any(Labels::STORE), ChainKind::StoreSend),
                (labels.any(Labels::SECRET_PARAM), ChainKind::SecretParameterSend),
                (labels.any(Labels::OUTPUT), ChainKind::OutputSend),
            ];
            kinds.extend(rules.iter().filter(|(holds, _)| *holds).map(|(_, kind)| *kind));
        }
        EffectKind::Exec => {
            if labels.any(Labels::NETWORK) {
                kinds.push(ChainKind::FetchExec);
            }
            if labels.any(Labels::DECODED) || ran {
                kinds.push(ChainKind::DecodeExec);
            }
        }
        EffectKind::Process => {
            if labels.any(Labels::NETWORK) {
                kinds.push(ChainKind::FetchProcess);
            }
            if labels.any(Labels::DECODED) || ran {
                kinds.push(ChainKind::DecodeProcess);
            }
        }
        EffectKind::Clipboard if labels.any(Labels::CLIPBOARD) || !effect.text().is_empty() => {
            kinds.push(ChainKind::ClipboardReplace);
        }
        _ => {}
    }
    kinds
}
