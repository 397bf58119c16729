//! Compiled Python: the header, and of the marshalled code object what can be compared with source.
//!
//! Layouts of code objects: CPython 3.8 to 3.10 have one, 3.11 and later another (`Python/marshal.c`).

use std::collections::BTreeSet;
use std::rc::Rc;

/// Deepest nesting of objects.
const DEPTH_MAX: u32 = 100;
/// Most objects that are read.
const OBJECTS_MAX: usize = 300_000;
/// Most names that are told.
const NAMES_MAX: usize = 20_000;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 200;
const HEADER_BYTES: usize = 16;

/// What compiled code says of its source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pyc {
    /// The magic number.
    pub magic: u16,
    /// The minor version of Python 3 that wrote it, when it is one whose layout is known.
    pub minor: Option<u32>,
    /// Names of globals, attributes and imports in all code objects.
    pub names: BTreeSet<String>,
    /// The source's path, as the compiler saw it.
    pub filename: Option<String>,
    /// Code objects read.
    pub codes: usize,
    /// It was read to its end; otherwise it is broken, or was made to be unreadable.
    pub whole: bool,
}

/// Reads a file; nothing when it has no header of one.
pub fn read(bytes: &[u8]) -> Option<Pyc> {
    let [low, high, b'\r', b'\n', ..] = bytes else { return None };
    let magic = u16::from_le_bytes([*low, *high]);
    let minor = minor(magic);
    let mut pyc = Pyc { magic, minor, ..Pyc::default() };
    if let (Some(minor), Some(data)) = (minor, bytes.get(HEADER_BYTES..)) {
        let mut reader = Reader { data, at: 0, new: minor >= 11, refs: vec![], objects: 0, pyc: &mut pyc };
        let read = reader.value(0);
        pyc.whole = read.is_some();
    }
    Some(pyc)
}

/// Reads marshal data without a header, in whichever of the two layouts of code objects holds to its end.
pub fn read_code(data: &[u8]) -> Option<Pyc> {
    if let Some(pyc) = read(data) {
        return Some(pyc);
    }
    [true, false].into_iter().find_map(|new| {
        let mut pyc = Pyc::default();
        let mut reader = Reader { data, at: 0, new, refs: vec![], objects: 0, pyc: &mut pyc };
        let whole = reader.value(0).is_some();
        pyc.whole = whole;
        (whole && pyc.codes > 0).then_some(pyc)
    })
}

/// Python 3's minor version of a magic number.
fn minor(magic: u16) -> Option<u32> {
    match magic {
        3400..=3419 => Some(8),
        3420..=3429 => Some(9),
        3430..=3449 => Some(10),
        3450..=3499 => Some(11),
        3500..=3549 => Some(12),
        3550..=3599 => Some(13),
        3600..=3649 => Some(14),
        _ => None,
    }
}

/// A value, as far as it matters.
#[derive(Clone)]
enum Value {
    Text(Rc<str>),
    Many(Rc<[Value]>),
    Other,
    /// The end of a dictionary.
    Null,
}

struct Reader<'b, 'p> {
    data: &'b [u8],
    at: usize,
    new: bool,
    refs: Vec<Value>,
    objects: usize,
    pyc: &'p mut Pyc,
}

impl<'b> Reader<'b, '_> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let bytes = self.data.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn long(&mut self) -> Option<i32> {
        let bytes = self.take(4)?;
        Some(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.long()?).ok()
    }

    fn text(&mut self, count: usize) -> Option<Value> {
        let bytes = self.take(count)?;
        Some(if count <= NAME_BYTES_MAX { Value::Text(String::from_utf8_lossy(bytes).into()) } else { Value::Other })
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        let code = self.take(1)?[0];
        self.objects += 1;
        if depth > DEPTH_MAX || self.objects > OBJECTS_MAX {
            return None;
        }
        // A reference gets its number before its parts get theirs.
        let slot = (code & 0x80 != 0).then(|| {
            self.refs.push(Value::Other);
            self.refs.len() - 1
        });
        let value = self.body(code & 0x7f, depth)?;
        if let Some(slot) = slot.and_then(|slot| self.refs.get_mut(slot)) {
            *slot = value.clone();
        }
        Some(value)
    }

    fn body(&mut self, code: u8, depth: u32) -> Option<Value> {
        match code {
            b'0' => return Some(Value::Null),
            b'N' | b'F' | b'T' | b'S' | b'.' => {}
            b'i' => drop(self.long()?),
            b'I' | b'g' => drop(self.take(8)?),
            b'y' => drop(self.take(16)?),
            b'f' => {
                let count = usize::from(self.take(1)?[0]);
                self.take(count)?;
            }
            b'l' => {
                let digits = self.long()?.unsigned_abs() as usize;
                self.take(digits.checked_mul(2)?)?;
            }
            b's' => {
                let count = self.size()?;
                self.take(count)?;
            }
            b'u' | b't' | b'a' | b'A' => {
                let count = self.size()?;
                return self.text(count);
            }
            b'z' | b'Z' => {
                let count = usize::from(self.take(1)?[0]);
                return self.text(count);
            }
            b')' => {
                let count = usize::from(self.take(1)?[0]);
                return self.many(count, depth);
            }
            b'(' | b'[' | b'<' | b'>' => {
                let count = self.size()?;
                return self.many(count, depth);
            }
            b'{' => while !matches!(self.value(depth + 1)?, Value::Null) {},
            b':' => {
                for _ in 0..3 {
                    self.value(depth + 1)?;
                }
            }
            b'r' => {
                let number = self.size()?;
                return self.refs.get(number).cloned();
            }
            b'c' => self.code(depth)?,
            _ => return None,
        }
        Some(Value::Other)
    }

    fn many(&mut self, count: usize, depth: u32) -> Option<Value> {
        // Each part takes a byte at least: a count beyond the data is a lie.
        if count > self.data.len() - self.at {
            return None;
        }
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(self.value(depth + 1)?);
        }
        Some(Value::Many(values.into()))
    }

    fn code(&mut self, depth: u32) -> Option<()> {
        for _ in 0..if self.new { 5 } else { 6 } {
            self.long()?;
        }
        self.pyc.codes += 1;
        self.value(depth + 1)?;
        self.value(depth + 1)?;
        let names = self.value(depth + 1)?;
        self.names(&names);
        for _ in 0..if self.new { 2 } else { 3 } {
            self.value(depth + 1)?;
        }
        if let Value::Text(filename) = self.value(depth + 1)? {
            self.pyc.filename.get_or_insert_with(|| filename.to_string());
        }
        for _ in 0..if self.new { 2 } else { 1 } {
            self.value(depth + 1)?;
        }
        self.long()?;
        for _ in 0..if self.new { 2 } else { 1 } {
            self.value(depth + 1)?;
        }
        Some(())
    }

    fn names(&mut self, names: &Value) {
        let Value::Many(names) = names else { return };
        for name in names.iter() {
            if let Value::Text(name) = name
                && self.pyc.names.len() < NAMES_MAX
            {
                self.pyc.names.insert(name.to_string());
            }
        }
    }
}

/// Names that the compiler makes, which stand in no source.
const MADE: &[&str] = &["format", "print", "append", "update", "extend", "add", "AssertionError", "super"];

/// Names in compiled code that stand nowhere in its source, however the source spells them.
pub fn not_in_source(pyc: &Pyc, source: &str) -> Vec<String> {
    let words: BTreeSet<&str> =
        source.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let stands = |part: &str| words.contains(part) || unmangled(part).is_some_and(|name| words.contains(name));
    pyc.names
        .iter()
        .filter(|name| name.is_ascii() && !name.starts_with(['.', '<']) && !MADE.contains(&name.as_str()))
        .filter(|name| !(name.starts_with("__") && name.ends_with("__")))
        .filter(|name| !name.split('.').all(stands))
        .cloned()
        .collect()
}

/// `_Class__name` is written `__name`.
fn unmangled(name: &str) -> Option<&str> {
    let at = name.strip_prefix('_')?.find("__")? + 1;
    name.get(at..)
}
