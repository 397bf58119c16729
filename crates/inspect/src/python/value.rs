//! What the reader knows of a value before anything runs.

use std::rc::Rc;

use super::facts::{FunctionId, Labels, Piece, Taint};

/// A value: what is known of it, where it comes from, and which encodings were taken off it.
#[derive(Debug, Clone, Default)]
pub(super) struct Value {
    pub(super) known: Known,
    pub(super) taint: Taint,
    /// Encodings taken off, outermost first.
    pub(super) peeled: Option<Rc<[&'static str]>>,
    /// How deep containers are nested in it: bounded, as values are dropped by recursion.
    nest: u8,
}

/// Containers nested deeper than this are not known.
const NEST_MAX: u8 = 40;

#[derive(Debug, Clone, Default)]
pub(super) enum Known {
    #[default]
    Unknown,
    None,
    Bool(bool),
    Int(i64),
    Str(Rc<str>),
    Bytes(Rc<[u8]>),
    /// A text known in part.
    Partial(Rc<[Piece]>),
    /// List, tuple or set.
    List(Rc<Vec<Value>>),
    Dict(Rc<Vec<(Value, Value)>>),
    /// Something of another module, or a builtin, by its full name.
    Name(Rc<str>),
    /// What calling a name gave.
    Made(Rc<Made>),
    /// An attribute of something known.
    Bound(Rc<(Value, Rc<str>)>),
    Function(FunctionId),
    /// Index into the reader's classes.
    Class(u32),
    /// An instance of such a class.
    Object(u32),
    /// Index into the reader's lambdas.
    Lambda(u32),
    /// A pure operation over values of other modules.
    Later(Rc<Later>),
}

/// The result of a call of a name: `socket.socket()`.
#[derive(Debug)]
pub(super) struct Made {
    /// With its parentheses: `socket.socket()`.
    pub(super) name: Rc<str>,
    pub(super) args: Vec<Value>,
    /// What it was called on, when that was itself made.
    pub(super) on: Option<Value>,
}

#[derive(Debug)]
pub(super) struct Later {
    /// A pure function's full name, or `.method` with the receiver first.
    pub(super) operation: Rc<str>,
    pub(super) args: Vec<Value>,
    /// Operations in all, this one included.
    pub(super) size: u32,
}

/// Most operations that wait for other modules in one value.
pub(super) const LATER_SIZE_MAX: u32 = 64;

impl Value {
    pub(super) fn of(known: Known) -> Self {
        Self::new(known, Taint::default(), None)
    }
    pub(super) fn tainted(known: Known, taint: Taint) -> Self {
        Self::new(known, taint, None)
    }
    pub(super) fn new(known: Known, taint: Taint, peeled: Option<Rc<[&'static str]>>) -> Self {
        let deepest = |values: &mut dyn Iterator<Item = &Self>| values.map(|value| value.nest + 1).max().unwrap_or(0);
        let nest = match &known {
            Known::List(items) => deepest(&mut items.iter()),
            Known::Dict(items) => deepest(&mut items.iter().flat_map(|(key, value)| [key, value])),
            Known::Made(made) => deepest(&mut made.args.iter().chain(&made.on)),
            Known::Later(later) => deepest(&mut later.args.iter()),
            Known::Bound(bound) => bound.0.nest + 1,
            _ => 0,
        };
        if nest > NEST_MAX {
            return Self { taint, ..Self::default() };
        }
        Self { known, taint, peeled, nest }
    }
    /// Knows what the other knows.
    pub(super) fn know(&mut self, other: &Self) {
        self.known = other.known.clone();
        self.nest = other.nest;
    }
    /// Makes room for an element: false when the container would be nested too deeply.
    pub(super) fn hold(&mut self, element: &Self) -> bool {
        let nest = self.nest.max(element.nest.saturating_add(1));
        let fits = nest <= NEST_MAX;
        // What is unknown nests nothing: a container that takes itself in, again and again, stays countable.
        self.nest = if fits { nest } else { 0 };
        if !fits {
            self.known = Known::Unknown;
        }
        fits
    }
    pub(super) fn str(text: &str) -> Self {
        Self::of(Known::Str(text.into()))
    }
    pub(super) fn int(n: i64) -> Self {
        Self::of(Known::Int(n))
    }
    pub(super) fn bytes(bytes: Vec<u8>) -> Self {
        Self::of(Known::Bytes(bytes.into()))
    }
    pub(super) fn list(items: Vec<Self>) -> Self {
        let mut taint = Taint::default();
        for item in &items {
            taint.join(&item.taint);
        }
        Self::tainted(Known::List(Rc::new(items)), taint)
    }
    pub(super) fn labelled(mut self, labels: Labels) -> Self {
        self.taint.labels = self.taint.labels.with(labels);
        self
    }
    pub(super) fn as_str(&self) -> Option<&str> {
        if let Known::Str(text) = &self.known { Some(text) } else { None }
    }
    pub(super) fn as_int(&self) -> Option<i64> {
        match self.known {
            Known::Int(n) => Some(n),
            Known::Bool(b) => Some(i64::from(b)),
            _ => None,
        }
    }
    /// Bytes of a bytes value, or of a text, as decoders take either.
    pub(super) fn as_data(&self) -> Option<&[u8]> {
        match &self.known {
            Known::Str(text) => Some(text.as_bytes()),
            Known::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
    pub(super) fn is_constant(&self) -> bool {
        match &self.known {
            Known::None | Known::Bool(_) | Known::Int(_) | Known::Str(_) | Known::Bytes(_) => true,
            Known::List(items) => items.len() <= 64 && items.iter().all(Self::is_constant) || is_numbers(items),
            _ => false,
        }
    }
    pub(super) fn truth(&self) -> Option<bool> {
        match &self.known {
            Known::None => Some(false),
            Known::Bool(b) => Some(*b),
            Known::Int(n) => Some(*n != 0),
            Known::Str(text) => Some(!text.is_empty()),
            Known::Bytes(bytes) => Some(!bytes.is_empty()),
            Known::List(items) => Some(!items.is_empty()),
            _ => None,
        }
    }
    /// The full name, when it has one.
    pub(super) fn name(&self) -> Option<Rc<str>> {
        match &self.known {
            Known::Name(name) => Some(Rc::clone(name)),
            Known::Made(made) => Some(Rc::clone(&made.name)),
            Known::Bound(bound) => match &bound.0.known {
                Known::Made(made) => Some(format!("{}.{}", made.name, bound.1).into()),
                _ => None,
            },
            _ => None,
        }
    }
    /// Whether it waits for another module.
    pub(super) fn waits(&self) -> bool {
        match &self.known {
            Known::Later(_) => true,
            Known::Partial(pieces) => pieces.iter().any(|piece| matches!(piece, Piece::Import(_))),
            Known::Name(name) => !name.contains('(') && name.contains('.'),
            _ => false,
        }
    }
    /// The text as pieces.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        match &self.known {
            Known::Str(text) => vec![Piece::Text(Rc::clone(text))],
            Known::Bytes(bytes) => {
                std::str::from_utf8(bytes).map_or(vec![Piece::Hole], |t| vec![Piece::Text(t.into())])
            }
            Known::Int(n) => vec![Piece::Text(n.to_string().into())],
            Known::Bool(b) => vec![Piece::Text(if *b { "True" } else { "False" }.into())],
            Known::Partial(pieces) => pieces.to_vec(),
            Known::Name(name) if name.contains('.') && !name.contains('(') => vec![Piece::Import(Rc::clone(name))],
            Known::Later(later) if &*later.operation == "+" => later.args.iter().flat_map(Self::pieces).collect(),
            _ => vec![Piece::Hole],
        }
    }
    /// Makes a text of pieces: whole when all are known.
    pub(super) fn from_pieces(pieces: Vec<Piece>, bytes_max: usize) -> Known {
        if text_bytes(&pieces) > bytes_max {
            return Known::Unknown;
        }
        let (mut whole, run) = merged(pieces);
        if whole.is_empty() {
            return Known::Str(run.into());
        }
        if !run.is_empty() {
            whole.push(Piece::Text(run.into()));
        }
        if whole.iter().all(|piece| matches!(piece, Piece::Hole)) {
            Known::Unknown
        } else {
            Known::Partial(whole.into())
        }
    }
}

impl Value {
    /// A text known in part with more behind it: what [`Self::from_pieces`] makes of all pieces, of which the first ones
    /// are merged already.
    pub(super) fn append(begin: &[Piece], more: Vec<Piece>, bytes_max: usize) -> Known {
        let Some((last, begin)) = begin.split_last() else { return Self::from_pieces(more, bytes_max) };
        if text_bytes(begin) + text_bytes(std::slice::from_ref(last)) + text_bytes(&more) > bytes_max {
            return Known::Unknown;
        }
        let (mut end, run) = merged(std::iter::once(last.clone()).chain(more).collect());
        if !run.is_empty() {
            end.push(Piece::Text(run.into()));
        }
        Known::Partial(begin.iter().cloned().chain(end).collect())
    }
}

/// Bytes that are known.
fn text_bytes(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.text().map_or(0, str::len)).sum()
}

/// Texts beside one another made one, and so with holes; the text at the end comes apart.
fn merged(pieces: Vec<Piece>) -> (Vec<Piece>, String) {
    let mut whole: Vec<Piece> = Vec::with_capacity(pieces.len().min(16));
    let mut run = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => run.push_str(&text),
            other => {
                if !run.is_empty() {
                    whole.push(Piece::Text(std::mem::take(&mut run).into()));
                }
                if whole.last() != Some(&Piece::Hole) || other != Piece::Hole {
                    whole.push(other);
                }
            }
        }
    }
    (whole, run)
}

fn is_numbers(items: &[Value]) -> bool {
    items.iter().all(|item| matches!(item.known, Known::Int(_)))
}
