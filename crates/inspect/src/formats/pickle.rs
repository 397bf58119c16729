//! Pickles (PEP 307, 574, 3154), disassembled: which names they import and call. Nothing is ever loaded.

use std::collections::HashMap;
use std::io::Read;
use std::rc::Rc;

use crate::python::peel::unescape;

/// Most distinct imports that are told.
const GLOBALS_MAX: usize = 500;
/// Most remembered values.
const MEMO_MAX: usize = 100_000;
/// Most values on the stack; of more, the half that lies deepest is forgotten.
const STACK_MAX: usize = 100_000;
/// Bytes that a packed pickle is unpacked to.
const UNPACKED_BYTES_MAX: u64 = 32 << 20;
/// Longest string that can be part of a name, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// What a pickle does when it is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pickle {
    /// `module` and `name` of everything it imports, in order, each once; [`UNKNOWN`] for one that could not be told.
    pub globals: Vec<(String, String)>,
    /// It ended with STOP.
    pub whole: bool,
    /// There were more imports than are told.
    pub cut: bool,
    /// There were more bytes than are unpacked.
    pub unread: bool,
}

/// Stands for the module or the name of an import that is worked out on the way, or was forgotten for want of room.
pub const UNKNOWN: &str = "?";

/// What stands behind an opcode.
#[derive(Debug, Clone, Copy)]
enum Argument {
    /// So many bytes.
    Bytes(usize),
    /// A number of so many bytes, and as many bytes as it says.
    Counted(usize),
    /// A line, its end included.
    Line,
    /// Two of them.
    TwoLines,
}

/// What an opcode takes from the stack.
#[derive(Debug, Clone, Copy)]
enum Takes {
    /// So many values.
    Values(usize),
    /// Everything down to the topmost mark, and that mark.
    ToMark,
    /// One value, or a mark.
    Any,
}

/// What an opcode leaves on the stack or in the memo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    /// Nothing new.
    Nothing,
    Mark,
    /// A value that is no part of a name.
    Value,
    /// The text of its argument.
    Text,
    /// What the two lines of its argument name.
    Global,
    /// What the two texts name that it took.
    StackGlobal,
    /// What the memo has under its argument.
    Recalled,
    /// The topmost value once more.
    Again,
    /// In the memo, under its argument, the topmost value.
    Remembered,
    /// The same, under the next number.
    Numbered,
    /// The end.
    Stop,
}

/// Every opcode of protocols 0 to 5, as `pickletools` has them. What only changes the value below what it takes
/// (APPEND, SETITEMS, BUILD) takes no more than the rest. `tests/test_inspect.py` compares this machine with Python's.
#[rustfmt::skip]
fn opcode(code: u8) -> Option<(Argument, Takes, Gives)> {
    use Argument::{Bytes, Counted, Line, TwoLines};
    use Takes::{Any, ToMark, Values};
    Some(match code {
        b'.' => (Bytes(0), Values(0), Gives::Stop),
        b'(' => (Bytes(0), Values(0), Gives::Mark),
        // None, True, False, (), [], {}, set(), the next buffer.
        b'N' | 0x88 | 0x89 | b')' | b']' | b'}' | 0x8f | 0x97 => (Bytes(0), Values(0), Gives::Value),
        // Numbers, and objects that the extension registry (PEP 307) names by one.
        b'K' | 0x82 => (Bytes(1), Values(0), Gives::Value),
        b'M' | 0x83 => (Bytes(2), Values(0), Gives::Value),
        b'J' | 0x84 => (Bytes(4), Values(0), Gives::Value),
        b'G' => (Bytes(8), Values(0), Gives::Value),
        0x8a => (Counted(1), Values(0), Gives::Value),
        0x8b => (Counted(4), Values(0), Gives::Value),
        b'I' | b'L' | b'F' | b'P' => (Line, Values(0), Gives::Value),
        // Bytes, of which no name is made.
        b'C' => (Counted(1), Values(0), Gives::Value),
        b'B' => (Counted(4), Values(0), Gives::Value),
        0x8e | 0x96 => (Counted(8), Values(0), Gives::Value),
        b'S' | b'V' => (Line, Values(0), Gives::Text),
        b'U' | 0x8c => (Counted(1), Values(0), Gives::Text),
        b'T' | b'X' => (Counted(4), Values(0), Gives::Text),
        0x8d => (Counted(8), Values(0), Gives::Text),
        // TUPLE, LIST, DICT, FROZENSET, OBJ.
        b't' | b'l' | b'd' | 0x91 | b'o' => (Bytes(0), ToMark, Gives::Value),
        // APPENDS, SETITEMS, ADDITEMS, POP_MARK.
        b'e' | b'u' | 0x90 | b'1' => (Bytes(0), ToMark, Gives::Nothing),
        b'0' => (Bytes(0), Any, Gives::Nothing),
        // APPEND, BUILD; SETITEM.
        b'a' | b'b' => (Bytes(0), Values(1), Gives::Nothing),
        b's' => (Bytes(0), Values(2), Gives::Nothing),
        // TUPLE1, BINPERSID, READONLY_BUFFER; TUPLE2, REDUCE, NEWOBJ; TUPLE3, NEWOBJ_EX.
        0x85 | b'Q' | 0x98 => (Bytes(0), Values(1), Gives::Value),
        0x86 | b'R' | 0x81 => (Bytes(0), Values(2), Gives::Value),
        0x87 | 0x92 => (Bytes(0), Values(3), Gives::Value),
        b'c' => (TwoLines, Values(0), Gives::Global),
        b'i' => (TwoLines, ToMark, Gives::Global),
        0x93 => (Bytes(0), Values(2), Gives::StackGlobal),
        b'g' => (Line, Values(0), Gives::Recalled),
        b'h' => (Bytes(1), Values(0), Gives::Recalled),
        b'j' => (Bytes(4), Values(0), Gives::Recalled),
        b'p' => (Line, Values(0), Gives::Remembered),
        b'q' => (Bytes(1), Values(0), Gives::Remembered),
        b'r' => (Bytes(4), Values(0), Gives::Remembered),
        0x94 => (Bytes(0), Values(0), Gives::Numbered),
        b'2' => (Bytes(0), Values(0), Gives::Again),
        // PROTO, FRAME.
        0x80 => (Bytes(1), Values(0), Gives::Nothing),
        0x95 => (Bytes(8), Values(0), Gives::Nothing),
        _ => return None,
    })
}

/// Whether a pickle can begin with this opcode, behind its protocol: one that takes nothing.
pub(crate) fn can_be_first(code: u8) -> bool {
    matches!(opcode(code), Some((_, Takes::Values(0), _)))
}

/// A value on the stack, as far as names need it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    Mark,
    Text(Rc<str>),
    Other,
}

/// The machine, as far as names need it.
#[derive(Default)]
struct Machine {
    pickle: Pickle,
    stack: Vec<Slot>,
    /// Values were forgotten that lie below the stack.
    forgot: bool,
    memo: HashMap<u64, Slot>,
}

/// Reads one pickle or several in a row: plain, packed by zlib as joblib does it, or behind a NumPy header.
pub fn read(bytes: &[u8]) -> Pickle {
    if let Some(body) = behind_numpy(bytes) {
        return plain(body);
    }
    // No opcode is `x`; zlib streams begin with it.
    if bytes.first() == Some(&0x78) {
        let mut unpacked = Vec::new();
        let mut stream = flate2::read::ZlibDecoder::new(bytes).take(UNPACKED_BYTES_MAX);
        // A stream that breaks off is read as far as it goes.
        let _ = stream.read_to_end(&mut unpacked);
        return Pickle { unread: stream.limit() == 0, ..plain(&unpacked) };
    }
    plain(bytes)
}

/// What follows NumPy's header (NEP 1): the sign, a version, the header's length, the header.
fn behind_numpy(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (head, length) = match rest {
        [1, _, low, high, ..] => (4, usize::from(u16::from_le_bytes([*low, *high]))),
        [2 | 3, _, a, b, c, d, ..] => (6, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return None,
    };
    rest.get(head..)?.get(length..)
}

fn plain(bytes: &[u8]) -> Pickle {
    let mut machine = Machine::default();
    let mut at = 0;
    while let Some((next, stop)) = machine.step(bytes, at) {
        at = next;
        if stop {
            machine = Machine { pickle: Pickle { whole: true, ..machine.pickle }, ..Machine::default() };
            if bytes.get(at) != Some(&0x80) {
                break;
            }
        }
    }
    machine.pickle
}

/// The first line, without its end, and what follows it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn little_endian(field: &[u8]) -> u64 {
    field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl Argument {
    /// The argument's own bytes (of two lines the first, and the second), and what follows.
    fn split(self, bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
        match self {
            Self::Bytes(width) => bytes.split_at_checked(width).map(|(own, rest)| (own, &[][..], rest)),
            Self::Counted(width) => {
                let (count, rest) = bytes.split_at_checked(width)?;
                let (own, rest) = rest.split_at_checked(usize::try_from(little_endian(count)).ok()?)?;
                Some((own, &[], rest))
            }
            Self::Line => line(bytes).map(|(own, rest)| (own, &[][..], rest)),
            Self::TwoLines => {
                let (own, rest) = line(bytes)?;
                let (second, rest) = line(rest)?;
                Some((own, second, rest))
            }
        }
    }
}

/// A text that can be part of a name.
fn text(bytes: &[u8]) -> Slot {
    if bytes.len() > NAME_BYTES_MAX { Slot::Other } else { Slot::Text(String::from_utf8_lossy(bytes).into()) }
}

/// A text as the oldest protocol writes it: quoted or not, with escapes.
fn written(line: &[u8]) -> Slot {
    let line = line.trim_ascii_end();
    let bare = [&b"'"[..], b"\""].into_iter().find_map(|quote| line.strip_prefix(quote)?.strip_suffix(quote));
    match text(bare.unwrap_or(line)) {
        Slot::Text(text) => Slot::Text(unescape(&text).into()),
        slot @ (Slot::Mark | Slot::Other) => slot,
    }
}

/// A key of the memo: a number, or one in digits as Python's `int` takes them.
fn key(argument: Argument, bytes: &[u8]) -> Option<u64> {
    match argument {
        Argument::Line => {
            let digits: String = std::str::from_utf8(bytes).ok()?.trim().replace('_', "");
            digits.parse().ok()
        }
        Argument::Bytes(_) | Argument::Counted(_) | Argument::TwoLines => Some(little_endian(bytes)),
    }
}

impl Machine {
    fn push(&mut self, slot: Slot) {
        if self.stack.len() >= STACK_MAX {
            self.stack.drain(..STACK_MAX / 2);
            self.forgot = true;
        }
        self.stack.push(slot);
    }

    /// The topmost slot. Nothing where Python's machine would find nothing either, and end.
    fn pop(&mut self) -> Option<Slot> {
        self.stack.pop().or(self.forgot.then_some(Slot::Other))
    }

    fn pop_value(&mut self) -> Option<Slot> {
        self.pop().filter(|slot| *slot != Slot::Mark)
    }

    fn top(&self) -> Option<Slot> {
        self.stack.last().cloned().or(self.forgot.then_some(Slot::Other)).filter(|slot| *slot != Slot::Mark)
    }

    fn remember(&mut self, key: u64, slot: Slot) {
        if self.memo.len() < MEMO_MAX || self.memo.contains_key(&key) {
            self.memo.insert(key, slot);
        }
    }

    fn import(&mut self, module: &Slot, name: &Slot) {
        let part = |slot: &Slot| match slot {
            Slot::Text(text) => text.to_string(),
            Slot::Mark | Slot::Other => UNKNOWN.to_owned(),
        };
        let global = (part(module), part(name));
        if self.pickle.globals.contains(&global) {
            // Told already.
        } else if self.pickle.globals.len() < GLOBALS_MAX {
            self.pickle.globals.push(global);
        } else {
            self.pickle.cut = true;
        }
        self.push(Slot::Other);
    }

    /// One opcode; where the next one is, and whether this was STOP. Nothing where Python's machine fails: at the end, at
    /// what is no opcode, and where the stack does not hold what one takes.
    fn step(&mut self, bytes: &[u8], at: usize) -> Option<(usize, bool)> {
        let (argument, takes, gives) = opcode(*bytes.get(at)?)?;
        let (own, second, rest) = argument.split(&bytes[at + 1..])?;
        let [top, below] = self.take(takes)?;
        match gives {
            Gives::Nothing | Gives::Stop => {}
            Gives::Mark => self.push(Slot::Mark),
            Gives::Value => self.push(Slot::Other),
            Gives::Text => {
                let line = matches!(argument, Argument::Line);
                self.push(if line { written(own) } else { text(own) });
            }
            Gives::Global => self.import(&text(own), &text(second)),
            Gives::StackGlobal => self.import(&below, &top),
            Gives::Recalled => {
                let slot = self.memo.get(&key(argument, own)?).cloned();
                let forgotten = self.memo.len() >= MEMO_MAX;
                self.push(slot.or(forgotten.then_some(Slot::Other))?);
            }
            Gives::Again => self.push(self.top()?),
            Gives::Remembered => self.remember(key(argument, own)?, self.top()?),
            Gives::Numbered => self.remember(self.memo.len() as u64, self.top()?),
        }
        Some((bytes.len() - rest.len(), gives == Gives::Stop))
    }

    /// Takes from the stack; tells the two values that lay on top, the topmost first.
    fn take(&mut self, takes: Takes) -> Option<[Slot; 2]> {
        let mut taken = [Slot::Other, Slot::Other];
        match takes {
            Takes::Values(count) => {
                for n in 0..count {
                    let slot = self.pop_value()?;
                    if let Some(place) = taken.get_mut(n) {
                        *place = slot;
                    }
                }
            }
            Takes::Any => drop(self.pop()?),
            Takes::ToMark => {
                let mark = self.stack.iter().rposition(|slot| *slot == Slot::Mark).or(self.forgot.then_some(0))?;
                self.stack.truncate(mark);
            }
        }
        Some(taken)
    }
}
