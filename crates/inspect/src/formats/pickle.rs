//! Pickles (PEP 307, 574, 3154), disassembled: which names they import and call. Nothing is ever loaded.

use std::collections::HashMap;
use std::io::Read;

/// Most distinct imports that are told.
const GLOBALS_MAX: usize = 500;
/// Most remembered strings.
const MEMO_MAX: usize = 100_000;
/// Bytes that a packed pickle is unpacked to.
const UNPACKED_BYTES_MAX: u64 = 32 << 20;
/// Longest string that can be part of a name, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// What a pickle does when it is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pickle {
    /// `module` and `name` of everything it imports, in order, each once.
    pub globals: Vec<(String, String)>,
    /// How often it calls something.
    pub calls: usize,
    /// It ended with STOP.
    pub whole: bool,
    /// There were more imports than are told.
    pub cut: bool,
}

/// The machine, as far as names need it.
#[derive(Default)]
struct Machine {
    pickle: Pickle,
    /// The last strings pushed, for names taken from the stack.
    recent: Vec<Option<String>>,
    memo: HashMap<u64, Option<String>>,
}

/// Reads one pickle or several in a row: plain, packed by zlib as joblib does it, or behind a NumPy header.
pub fn read(bytes: &[u8]) -> Pickle {
    if let Some(body) = behind_numpy(bytes) {
        return plain(body);
    }
    // No opcode is `x`; zlib streams begin with it.
    if bytes.first() == Some(&0x78) {
        let mut unpacked = Vec::new();
        // A stream that breaks off is read as far as it goes.
        let _ = flate2::read::ZlibDecoder::new(bytes).take(UNPACKED_BYTES_MAX).read_to_end(&mut unpacked);
        return plain(&unpacked);
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
            machine.pickle.whole = true;
            if bytes.get(at) != Some(&0x80) {
                break;
            }
        }
    }
    machine.pickle
}

fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    Some((&rest[..end], at + end + 1))
}

fn counted(bytes: &[u8], at: usize, width: usize) -> Option<(&[u8], usize)> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    let count = field.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let from = at + width;
    let to = from.checked_add(usize::try_from(count).ok()?)?;
    Some((bytes.get(from..to)?, to))
}

fn string(bytes: &[u8]) -> Option<String> {
    (bytes.len() <= NAME_BYTES_MAX).then(|| String::from_utf8_lossy(bytes).into_owned())
}

impl Machine {
    fn push(&mut self, value: Option<String>) {
        if self.recent.len() > 64 {
            self.recent.drain(..32);
        }
        self.recent.push(value);
    }

    fn remember(&mut self, key: u64) {
        if self.memo.len() < MEMO_MAX {
            self.memo.insert(key, self.recent.last().cloned().flatten());
        }
    }

    fn recall(&mut self, key: u64) {
        let value = self.memo.get(&key).cloned().flatten();
        self.push(value);
    }

    fn import(&mut self, module: Option<String>, name: Option<String>) {
        let global = (module.unwrap_or_else(|| "?".into()), name.unwrap_or_else(|| "?".into()));
        if self.pickle.globals.contains(&global) {
            // Told already.
        } else if self.pickle.globals.len() < GLOBALS_MAX {
            self.pickle.globals.push(global);
        } else {
            self.pickle.cut = true;
        }
        self.push(None);
    }

    /// One opcode; where the next one is, and whether this was STOP. Nothing at the end or at no opcode.
    fn step(&mut self, bytes: &[u8], at: usize) -> Option<(usize, bool)> {
        let code = *bytes.get(at)?;
        let at = at + 1;
        let next = match code {
            b'.' => return Some((at, true)),
            b'c' | b'i' => {
                let (module, next) = line(bytes, at)?;
                let (name, next) = line(bytes, next)?;
                self.import(string(module), string(name));
                self.pickle.calls += usize::from(code == b'i');
                next
            }
            0x93 => {
                let name = self.recent.pop().flatten();
                let module = self.recent.pop().flatten();
                self.import(module, name);
                at
            }
            b'R' | b'o' | 0x81 | 0x92 => {
                self.pickle.calls += 1;
                self.push(None);
                at
            }
            b'V' | b'S' => {
                let (text, next) = line(bytes, at)?;
                let text = if code == b'S' { text.trim_ascii() } else { text };
                let bare = text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'")).unwrap_or(text);
                self.push(string(bare));
                next
            }
            b'X' | b'T' | b'B' => self.counted_string(bytes, at, 4)?,
            0x8c | b'U' | b'C' => self.counted_string(bytes, at, 1)?,
            0x8d | 0x8e | 0x96 => self.counted_string(bytes, at, 8)?,
            0x8a => counted(bytes, at, 1)?.1,
            0x8b => counted(bytes, at, 4)?.1,
            b'I' | b'L' | b'F' | b'P' => {
                self.push(None);
                line(bytes, at)?.1
            }
            _ => return self.memo_or_plain(code, bytes, at).map(|next| (next, false)),
        };
        Some((next, false))
    }

    fn counted_string(&mut self, bytes: &[u8], at: usize, width: usize) -> Option<usize> {
        let (text, next) = counted(bytes, at, width)?;
        self.push(string(text));
        Some(next)
    }

    /// Opcodes that move values, and those without meaning for names: by the length of their argument.
    fn memo_or_plain(&mut self, code: u8, bytes: &[u8], at: usize) -> Option<usize> {
        let number = |width: usize| {
            let field = bytes.get(at..at.checked_add(width)?)?;
            Some(field.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)))
        };
        let decimal = || {
            let (text, next) = line(bytes, at)?;
            Some((std::str::from_utf8(text).ok()?.trim().parse::<u64>().ok()?, next))
        };
        match code {
            b'h' => self.recall(number(1)?),
            b'j' => self.recall(number(4)?),
            b'g' => {
                let (key, next) = decimal()?;
                self.recall(key);
                return Some(next);
            }
            b'q' => self.remember(number(1)?),
            b'r' => self.remember(number(4)?),
            b'p' => {
                let (key, next) = decimal()?;
                self.remember(key);
                return Some(next);
            }
            0x94 => self.remember(self.memo.len() as u64),
            b'2' => {
                let top = self.recent.last().cloned().flatten();
                self.push(top);
            }
            b'0' => drop(self.recent.pop()),
            _ => {}
        }
        let width = match code {
            b'K' | 0x80 | b'h' | b'q' | 0x82 => 1,
            b'M' | 0x83 => 2,
            b'J' | b'j' | b'r' | 0x84 => 4,
            b'G' | 0x95 => 8,
            b'(' | b')' | b'0' | b'1' | b'2' | b'N' | b'Q' | b'a' | b'b' | b'd' | b'}' | b'e' | b'l' | b']' | b's' => 0,
            b't' | b'u' | 0x85..=0x89 | 0x8f..=0x91 | 0x94 | 0x97 | 0x98 => 0,
            _ => return None,
        };
        bytes.get(at..at.checked_add(width)?).map(|_| at + width)
    }
}
