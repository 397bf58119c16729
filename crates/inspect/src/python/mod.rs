//! Python as it is: from the bytes of a module to facts, and from the facts of all modules to flows and chains.
//!
//! ```text
//! bytes ─► source   byte order mark, cookie, NUL                      read(), once a module
//!       ─► lexical  nesting by tokens (refuses what would take the stack), oddities of writing
//!       ─► parser   with recovery: errors are facts, the rest is still read
//!       ─► walk     statements in order, an environment of values      ┐
//!          eval     expressions: names resolved, constants folded      │ value = what is known
//!          loops    round by round, or once                            │
//!          call     what a call does and gives (api: one table; given)  │       + where it comes from (taint)
//!          declared what stands beside a body; takers: who calls       │
//!          pure     functions that only compute                        │       + encodings taken off
//!          peel     base64 … zlib … AES; cipher, codec                 ┘
//!          layer    what comes out, or is run, is read in turn, in the namespace in which it would run
//!       ─► Module   functions, calls, effects, layers, oddities, signs, exports; the tree is dropped
//!
//! modules ─► link   names across modules, constants split over modules, who reaches what and when,
//!                   taint through parameters and results to a fixed point; then chains
//!         ─► Program: effects(), flows(), chains(), words()
//! ```
//!
//! Nothing here judges: checks are thin functions over these facts.
//!
//! Everything is bounded by [`Limits`]; a limit met is a [`Cut`] of the module and never an error. Recursion
//! (nested code, nested layers, the parser's own) takes further stack in pieces as it needs it, by `stacker`,
//! which asks for memory and not for threads, so that it works in the confined child; its depth is bounded too.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the arm for whatever is not known is what folding is made of: a new kind of value is unknown by default"
)]

mod api;
mod asked;
mod call;
mod chains;
mod cipher;
mod codec;
mod cut;
mod declared;
mod effect;
mod eval;
mod facts;
mod flow;
mod given;
mod hash;
mod iterate;
mod layer;
mod lexical;
#[cfg(test)]
mod limit_tests;
mod link;
mod loops;
pub(crate) mod peel;
mod program;
mod pure;
mod signs;
mod source;
mod takers;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_walk;
mod value;
mod walk;

pub use cut::Cut;
pub use facts::{
    Argument, Call, Effect, EffectKind, Function, FunctionId, Handed, Import, Labels, Layer, LayerId, LayerKind,
    Module, Oddity, OddityKind, Piece, Place, Search, Sign, Taint, Target,
};
pub(crate) use link::dotted;
pub use link::{Besides, Chain, ChainKind, Flow, Program, Reach, Root, Seen, link, link_with};

use ruff_text_size::TextRange;
use source::line_starts;
use walk::{Map, Scope, Shared, Walker};

/// Bounds of reading one module. Past each of them less is known, and [`Module::cuts`] says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Source that is parsed, in bytes; longer is only searched as text.
    pub source_bytes_max: usize,
    /// Brackets within brackets. Python itself stops at 200.
    pub brackets_max: u32,
    /// Interpolated strings within one another. Python itself stops at 150.
    pub strings_max: u32,
    /// Tokens of one statement between two commas.
    pub chain_max: u32,
    /// Tokens of all texts that are read at once, each below the other; the tree takes some 90 bytes a token.
    pub tokens_max: u32,
    /// Statements and expressions within one another that are walked.
    pub depth_max: u32,
    /// Elements touched one by one while folding.
    pub fold_steps_max: usize,
    /// Bytes made while folding and decoding, in all.
    pub fold_bytes_max: usize,
    /// Bytes of one folded or decoded value.
    pub value_bytes_max: usize,
    /// Elements of data that a loop is walked through one by one.
    pub unroll_max: usize,
    /// Calls whose function is walked with the arguments at hand; as many again of functions that run what they are given.
    pub inlined_max: u32,
    /// Rounds of a loop that runs what it is given.
    pub rounds_max: usize,
    /// Layers below one another.
    pub layers_deep_max: u32,
    /// Layers of one module.
    pub layers_max: usize,
    /// Bytes of layers kept for readers of other formats.
    pub layer_bytes_kept_max: usize,
    /// Whether layers of Python are kept besides: rules over bytes want them too.
    pub keep_python_layers: bool,
    /// Functions and classes.
    pub functions_max: usize,
    /// Effects.
    pub effects_max: usize,
    /// Calls that are followed.
    pub calls_max: usize,
    /// Imports.
    pub imports_max: usize,
    /// Names that other modules may use, and bytes of one value.
    pub exports_max: usize,
    /// Bytes of one exported value.
    pub export_bytes_max: usize,
    /// Effects whose code is put together from several modules.
    pub later_max: usize,
    /// Arguments kept of one call, and words of a list among them.
    pub arguments_max: usize,
    /// Hosts in literals.
    pub hosts_max: usize,
    /// Literals that speak for themselves.
    pub signs_max: usize,
    /// Bytes kept of one argument, half of them at each end.
    pub argument_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes_max: 8 << 20,
            brackets_max: 200,
            strings_max: 32,
            chain_max: 20_000,
            tokens_max: 1_500_000,
            depth_max: 400,
            fold_steps_max: 2 << 20,
            fold_bytes_max: 64 << 20,
            value_bytes_max: 16 << 20,
            unroll_max: 200_000,
            inlined_max: 2_000,
            rounds_max: 1_000,
            layers_deep_max: 64,
            layers_max: 256,
            layer_bytes_kept_max: 8 << 20,
            keep_python_layers: false,
            functions_max: 20_000,
            effects_max: 10_000,
            calls_max: 50_000,
            imports_max: 20_000,
            exports_max: 20_000,
            export_bytes_max: 64 << 10,
            later_max: 64,
            arguments_max: 128,
            hosts_max: 10_000,
            signs_max: 10_000,
            argument_bytes_max: 2_000,
        }
    }
}

/// Learns where the stack of this thread ends, from a file that nobody confined can open; who does not know takes new
/// stack for every statement.
pub fn know_stack() {
    stacker::remaining_stack();
}

/// Makes a few tables at each step; the zygote does it once, so that no child has to.
pub fn prepare() -> impl Iterator<Item = ()> {
    [api::prepare, lexical::prepare, peel::prepare, signs::prepare].into_iter().map(|tables| tables())
}

/// Where a module begins.
const TOP: Place = Place { layer: 0, line: 1, column: 1 };

/// Reads one module. Never fails: what cannot be read is a fact.
pub fn read(bytes: &[u8], limits: &Limits) -> Module {
    let decoded = source::decode(bytes);
    let text = decoded.text;
    let mut shared = Shared {
        module: Module::default(),
        limits: *limits,
        budget: pure::Budget {
            steps: limits.fold_steps_max,
            bytes: limits.fold_bytes_max,
            value_bytes_max: limits.value_bytes_max,
            is_spent: false,
        },
        classes: Vec::new(),
        commands: Vec::new(),
        asked: Vec::new(),
        effect_at: Map::default(),
        call_at: Map::default(),
        layer_at: Map::default(),
        layers_read: std::collections::HashSet::new(),
        imports: std::collections::HashSet::default(),
        sign_at: Map::default(),
        layer_depth: 0,
        tokens: 0,
        layer_bytes_kept: [0; 2],
        inlined: 0,
        runs: Map::default(),
    };
    shared.module.functions.push(Function {
        name: "<module>".into(),
        params: Vec::new(),
        place: TOP,
        handed_over: false,
        returns: Taint::default(),
    });
    for (kind, what) in decoded.oddities {
        lexical::note(&mut shared.module, kind, TOP, 1, &what);
    }
    let lines = line_starts(&text);
    read_text(&text, lines, &mut shared);
    if shared.budget.is_spent {
        shared.module.cut(Cut::Folding, TOP);
    }
    shared.module
}

fn read_text(text: &str, lines: Vec<u32>, shared: &mut Shared) {
    let limits = shared.limits;
    let tree = if text.len() > limits.source_bytes_max {
        shared.module.cut(Cut::Source, TOP);
        None
    } else {
        let scan = lexical::scan(text, &lines, 0, &mut shared.module);
        let parsed = lexical::parse(text, &scan, shared.tokens, &limits);
        if parsed.is_none() {
            scan.refused(TOP, &mut shared.module);
        } else {
            shared.tokens += scan.tokens;
        }
        parsed.map(|parsed| (parsed, scan))
    };
    if let Some((parsed, _)) = &tree {
        lexical::conclude(parsed, text, &lines, 0, &mut shared.module);
    }
    let mut walker = Walker {
        shared,
        text,
        lines,
        layer: 0,
        scopes: vec![Scope::default()],
        defs: Map::default(),
        lambdas: Vec::new(),
        beside: declared::Beside::default(),
        literals: std::collections::BTreeMap::new(),
        stars: Vec::new(),
        function: 0,
        depth: 0,
        inline_depth: 0,
        branches: 0,
        loops: 0,
        tainted: 0,
        sites: 0,
        ran: 0,
        put_off: given::PutOff::default(),
        swallowed: false,
        main_only: false,
        returned: None,
        stopped: false,
        last: value::Value::default(),
        folder: None,
    };
    let Some((parsed, scan)) = tree else {
        for n in 0..walker.lines.len().min(200_000) {
            let start = walker.lines[n];
            let end = walker.lines.get(n + 1).map_or(text.len(), |end| *end as usize);
            let line = text.get(start as usize..end).unwrap_or("");
            walker.signs_of(line, TextRange::empty(start.into()));
        }
        return;
    };
    walker.module(&parsed.syntax().body);
    walker.shared.tokens -= scan.tokens;
    drop(walker);
    lexical::release(parsed, &scan);
}

/// Does something on a stack of which the end is known: on this one, or on a new one where nobody could tell.
pub(crate) fn on_known_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(walk::STACK_RED_ZONE, walk::STACK_PIECE, work)
}

/// The signs of a text, as [`Sign::sign`] names them.
pub fn signs_in(text: &str) -> Vec<&'static str> {
    signs::of(text)
}

/// Hosts of the addresses in a text, lower case.
pub fn hosts(text: &str) -> Vec<String> {
    signs::hosts(text)
}

/// At most `max` bytes of a text, cut between characters.
fn shorten(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
