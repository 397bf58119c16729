//! Functions and methods that only compute: folded when their arguments are known.

use std::rc::Rc;

use super::codec;
use super::facts::Piece;
use super::peel::{self, Room};
use super::value::{Known, Value};

/// What folding may still cost, over a whole module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Elements touched one by one.
    pub(super) steps: usize,
    /// Bytes made.
    pub(super) bytes: usize,
    /// Largest single value, in bytes.
    pub(super) value_bytes_max: usize,
    /// Whether a value was asked for that could not be paid for any more, and was none that is too large by itself.
    pub(super) is_spent: bool,
}

impl Budget {
    /// Takes `n` steps; `None` when there are no more.
    pub(super) fn steps(&mut self, n: usize) -> Option<()> {
        let left = self.steps.checked_sub(n);
        self.is_spent |= left.is_none() && n <= ONE_STEPS_MAX;
        self.steps = left?;
        Some(())
    }
    /// Room for one value.
    pub(super) fn room(&self) -> Room {
        Room(self.bytes.min(self.value_bytes_max))
    }
    /// Pays for a value of `n` bytes.
    pub(super) fn bytes(&mut self, n: usize) -> Option<()> {
        if n > self.value_bytes_max {
            return None;
        }
        let left = self.bytes.checked_sub(n);
        self.is_spent |= left.is_none();
        self.bytes = left?;
        Some(())
    }
}

/// Steps that one value may ask for without being a loop's that honest code leaves to the machine.
const ONE_STEPS_MAX: usize = 100_000;

/// What an element of a list takes, in bytes, with a short text or a pair that it holds.
const VALUE_BYTES: usize = 2 * size_of::<Value>();

/// What came out, and the encoding that was taken off.
pub(super) type Folded = Option<(Known, Option<&'static str>)>;

fn plain(known: Known) -> Folded {
    Some((known, None))
}

fn bytes(data: Vec<u8>) -> Known {
    Known::Bytes(data.into())
}

/// Whether a name is a decoder, decompressor or cipher, known arguments or not.
pub(super) fn decodes(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let decoder = matches!(
        last,
        "b64decode"
            | "b32decode"
            | "b16decode"
            | "b85decode"
            | "a85decode"
            | "urlsafe_b64decode"
            | "standard_b64decode"
            | "decodebytes"
            | "decodestring"
            | "a2b_base64"
            | "a2b_hex"
            | "unhexlify"
            | "fromhex"
            | "b32hexdecode"
            | "z85decode"
            | "a2b_qp"
            | "a2b_uu"
    );
    decoder
        || matches!(name, "zlib.decompress" | "gzip.decompress" | "bz2.decompress" | "lzma.decompress")
        || matches!(name, "marshal.loads" | "codecs.decode" | "zlib.decompressobj().decompress")
        || matches!(name, "lzma.LZMADecompressor().decompress" | "bz2.BZ2Decompressor().decompress")
        || name.starts_with("cryptography.fernet.") && last == "decrypt"
        || name.contains(".Cipher.") && last.starts_with("decrypt")
        || name.ends_with("decryptor().update")
}

/// Whether a name encodes, compresses, archives or encrypts.
pub(super) fn encodes(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.ends_with("64encode")
        || matches!(last, "b32encode" | "b16encode" | "b85encode" | "a85encode" | "hexlify" | "b2a_hex" | "b2a_base64")
        || matches!(last, "encodebytes" | "make_archive" | "encrypt")
        || matches!(name, "zlib.compress" | "gzip.compress" | "bz2.compress" | "lzma.compress" | "json.dumps")
        || matches!(name, "pickle.dumps" | "marshal.dumps" | "urllib.parse.urlencode" | "urllib.parse.quote")
}

/// Folds a call of a named function.
pub(super) fn function(name: &str, args: &[Value], budget: &mut Budget) -> Folded {
    let data = args.first().and_then(Value::as_data);
    let out = match name {
        "base64.b64decode"
        | "base64.standard_b64decode"
        | "base64.decodebytes"
        | "base64.decodestring"
        | "binascii.a2b_base64" => (
            "base64",
            match args.get(1).and_then(Value::as_data) {
                Some(alt) => peel::base64_alt(data?, alt)?,
                None => peel::base64(data?, false)?,
            },
        ),
        "base64.urlsafe_b64decode" => ("base64", peel::base64(data?, true)?),
        "base64.b32decode" => ("base32", peel::base32(data?)?),
        "base64.b85decode" => ("base85", peel::base85(data?)?),
        "base64.a85decode" => ("ascii85", peel::ascii85(data?)?),
        "base64.b16decode" | "binascii.unhexlify" | "binascii.a2b_hex" | "bytes.fromhex" | "bytearray.fromhex" => {
            ("hex", peel::hex(data?)?)
        }
        "zlib.decompress" => {
            ("zlib", peel::zlib(data?, args.get(1).and_then(Value::as_int).unwrap_or(15), budget.room())?)
        }
        "zlib.decompressobj().decompress" => ("zlib", peel::zlib(data?, 15, budget.room())?),
        "gzip.decompress" => ("gzip", peel::gzip(data?, budget.room())?),
        "quopri.decodestring" | "binascii.a2b_qp" => ("quopri", quoted_printable(data?)),
        "bytes" | "bytearray" if args.first().is_some_and(is_many_numbers) => {
            return Some((bytes_of(args.first()?, args, budget)?, Some("chr")));
        }
        "bz2.decompress" | "bz2.BZ2Decompressor().decompress" => ("bzip2", peel::bzip2(data?, budget.room())?),
        "lzma.decompress" | "lzma.LZMADecompressor().decompress" => ("lzma", peel::lzma(data?, budget.room())?),
        "marshal.loads" => ("marshal", data?.to_vec()),
        "codecs.decode" => return codec::decode(args.first()?, &args[1..], budget),
        "codecs.encode" => return codec::encode(args.first()?.as_str()?, &args[1..], budget),
        _ => return plain(builtin(name, args, budget)?),
    };
    budget.bytes(out.1.len())?;
    Some((bytes(out.1), Some(out.0)))
}

fn builtin(name: &str, args: &[Value], budget: &mut Budget) -> Option<Known> {
    let first = args.first();
    Some(match name {
        "chr" | "unichr" => Known::Str(char::from_u32(u32::try_from(first?.as_int()?).ok()?)?.to_string().into()),
        "ord" => {
            let mut chars = first?.as_str()?.chars();
            Known::Int(i64::from(u32::from(chars.next()?)))
        }
        "len" => Known::Int(i64::try_from(length(first?)?).ok()?),
        "int" => match &first?.known {
            Known::Str(text) => {
                let radix = args.get(1).and_then(Value::as_int).unwrap_or(10);
                Known::Int(integer(text, radix)?)
            }
            _ => Known::Int(first?.as_int()?),
        },
        // Made empty, and filled bit by bit.
        "bytes" | "bytearray" if args.is_empty() => Known::Bytes(Rc::from([])),
        "str" if args.is_empty() => Known::Str("".into()),
        "list" | "tuple" | "set" if args.is_empty() => Known::List(Rc::default()),
        "str" => match (&first?.known, args.get(1)) {
            (Known::Bytes(_), Some(_)) => codec::decode(first?, &args[1..], budget)?.0,
            (Known::Str(text), _) => Known::Str(Rc::clone(text)),
            (Known::Int(n), _) => Known::Str(n.to_string().into()),
            (Known::Bool(b), _) => Known::Str(if *b { "True" } else { "False" }.into()),
            (Known::Partial(pieces), _) => Known::Partial(Rc::clone(pieces)),
            _ => return None,
        },
        "bytes" | "bytearray" | "memoryview" => bytes_of(first?, args, budget)?,
        "list" | "tuple" | "set" | "sorted" | "iter" => Known::List(Rc::new(elements(first?, budget)?)),
        "reversed" => {
            let mut items = elements(first?, budget)?;
            items.reverse();
            Known::List(Rc::new(items))
        }
        "range" | "xrange" => range(args, budget)?,
        "enumerate" => {
            let items = elements(first?, budget)?.into_iter();
            let start = args.get(1).and_then(Value::as_int).unwrap_or(0);
            let pairs = items.zip(start..).map(|(item, n)| Value::list(vec![Value::int(n), item]));
            Known::List(Rc::new(pairs.collect()))
        }
        "zip" => zip(args, budget)?,
        "str.maketrans" | "bytes.maketrans" | "bytearray.maketrans" | "string.maketrans" => translation(args, budget)?,
        "itertools.cycle" => Known::List(Rc::new(elements(first?, budget)?)),
        "sum" => Known::Int(elements(first?, budget)?.iter().try_fold(0_i64, |a, b| a.checked_add(b.as_int()?))?),
        "hex" => Known::Str(format!("{:#x}", first?.as_int()?).into()),
        "Crypto.Util.Padding.unpad" | "Cryptodome.Util.Padding.unpad" => {
            Known::Bytes(peel::unpad(first?.as_data()?.to_vec())?.into())
        }
        "operator.xor" => Known::Int(first?.as_int()? ^ args.get(1)?.as_int()?),
        "operator.add" => Known::Int(first?.as_int()?.checked_add(args.get(1)?.as_int()?)?),
        "urllib.parse.unquote" | "urllib.unquote" => Known::Str(unquote(first?.as_str()?).into()),
        "urllib.parse.urljoin" => Known::Str(format!("{}{}", first?.as_str()?, args.get(1)?.as_str()?).into()),
        "pathlib.Path" | "pathlib.PurePath" if args.len() > 1 => return join_paths(args),
        "os.path.expanduser" | "os.path.expandvars" | "os.path.abspath" | "os.path.normpath" | "pathlib.Path"
        | "textwrap.dedent" | "inspect.cleandoc" | "os.fspath" | "os.fsencode" | "os.path.realpath" => {
            text_or_partial(first?)?
        }
        "os.path.join" | "posixpath.join" | "ntpath.join" => return join_paths(args),
        _ => return None,
    })
}

/// So many numbers hold a text, which nobody reads in them.
fn is_many_numbers(value: &Value) -> bool {
    const LETTERS_MIN: usize = 16;
    let Known::List(items) = &value.known else { return false };
    items.len() >= LETTERS_MIN && items.iter().all(|item| matches!(item.known, Known::Int(_)))
}

/// `=70` is a byte in hexadecimal; `=` at the end of a line joins it to the next.
pub(super) fn quoted_printable(data: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::with_capacity(data.len()), 0);
    while let Some(byte) = data.get(at) {
        let next = data.get(at + 1..at + 3);
        match (*byte, next.and_then(peel::hex)) {
            (b'=', Some(plain)) => {
                out.extend(plain);
                at += 3;
            }
            (b'=', None) if data.get(at + 1) == Some(&b'\n') => at += 2,
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// `str.maketrans(from, to)`: which letter becomes which.
fn translation(args: &[Value], budget: &mut Budget) -> Option<Known> {
    if let Known::Dict(_) = args.first()?.known {
        return Some(args.first()?.known.clone());
    }
    let (from, to) = (elements(args.first()?, budget)?, elements(args.get(1)?, budget)?);
    let number = |value: Value| match &value.known {
        Known::Str(text) => text.chars().next().map(|c| Value::int(i64::from(u32::from(c)))),
        _ => Some(value),
    };
    let pairs: Option<Vec<_>> = from.into_iter().zip(to).map(|(a, b)| Some((number(a)?, number(b)?))).collect();
    Some(Known::Dict(Rc::new(pairs?)))
}

/// `text.translate(table)`
fn translated(on: &Value, table: &Value, budget: &mut Budget) -> Folded {
    let Known::Dict(pairs) = &table.known else { return None };
    let letter = |value: &Value| match &value.known {
        Known::Int(n) => u32::try_from(*n).ok().and_then(char::from_u32).map(String::from),
        Known::Str(text) => Some(text.to_string()),
        Known::None => Some(String::new()),
        _ => None,
    };
    let table: Option<std::collections::HashMap<char, String>> =
        pairs.iter().map(|(from, to)| Some((letter(from)?.chars().next()?, letter(to)?))).collect();
    let (table, data) = (table?, on.as_data()?);
    budget.bytes(data.len())?;
    let text = std::str::from_utf8(data).ok()?;
    let made: String = text.chars().map(|c| table.get(&c).cloned().unwrap_or_else(|| c.to_string())).collect();
    let known = if matches!(on.known, Known::Str(_)) { Known::Str(made.into()) } else { bytes(made.into_bytes()) };
    Some((known, Some("translate")))
}

fn text_or_partial(value: &Value) -> Option<Known> {
    matches!(value.known, Known::Str(_) | Known::Partial(_)).then(|| value.known.clone())
}

fn join_paths(args: &[Value]) -> Option<Known> {
    let mut pieces = Vec::new();
    for (n, arg) in args.iter().enumerate() {
        if n > 0 {
            pieces.push(Piece::Text("/".into()));
        }
        pieces.extend(arg.pieces());
    }
    Some(Value::from_pieces(pieces, 16 << 10))
}

fn unquote(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1..at + 3).and_then(peel::hex)) {
            (b'%', Some(byte)) => {
                out.extend(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn integer(text: &str, radix: i64) -> Option<i64> {
    let clean: String = text.trim().to_ascii_lowercase().chars().filter(|c| *c != '_').collect();
    let (digits, radix) = match (radix, clean.get(..2)) {
        (16 | 0, Some("0x")) => (&clean[2..], 16),
        (2 | 0, Some("0b")) => (&clean[2..], 2),
        (8 | 0, Some("0o")) => (&clean[2..], 8),
        (0, _) => (clean.as_str(), 10),
        (n, _) => (clean.as_str(), u32::try_from(n).ok().filter(|n| (2..=36).contains(n))?),
    };
    i64::from_str_radix(digits, radix).ok()
}

fn length(value: &Value) -> Option<usize> {
    match &value.known {
        Known::Str(text) => Some(text.chars().count()),
        Known::Bytes(data) => Some(data.len()),
        Known::List(items) => Some(items.len()),
        Known::Dict(items) => Some(items.len()),
        _ => None,
    }
}

fn bytes_of(value: &Value, args: &[Value], budget: &mut Budget) -> Option<Known> {
    match &value.known {
        Known::Bytes(data) => Some(Known::Bytes(Rc::clone(data))),
        Known::Str(text) => codec::encode(text, args.get(1..).unwrap_or_default(), budget).map(|(known, _)| known),
        Known::List(items) => {
            budget.bytes(items.len())?;
            let data: Option<Vec<u8>> = items.iter().map(|n| u8::try_from(n.as_int()?).ok()).collect();
            Some(bytes(data?))
        }
        Known::Int(n) => {
            let n = usize::try_from(*n).ok()?;
            budget.bytes(n)?;
            Some(bytes(vec![0; n]))
        }
        _ => None,
    }
}

fn range(args: &[Value], budget: &mut Budget) -> Option<Known> {
    let n = |i: usize| args.get(i).map(Value::as_int);
    let (start, stop, step) = match (n(0)?, n(1), n(2)) {
        (stop, None, _) => (0, stop?, 1),
        (start, Some(stop), None) => (start?, stop?, 1),
        (start, Some(stop), Some(step)) => (start?, stop?, step?),
    };
    if step == 0 {
        return None;
    }
    let span = if step > 0 { stop.checked_sub(start)? } else { start.checked_sub(stop)? };
    let count = usize::try_from(span.max(0)).ok()?.div_ceil(usize::try_from(step.unsigned_abs()).ok()?);
    budget.steps(count)?;
    budget.bytes(count.checked_mul(size_of::<Value>())?)?;
    let items = (0..count).map(|i| Value::int(start.wrapping_add(step.wrapping_mul(i as i64))));
    Some(Known::List(Rc::new(items.collect())))
}

fn zip(args: &[Value], budget: &mut Budget) -> Option<Known> {
    let columns: Option<Vec<Vec<Value>>> = args.iter().map(|arg| elements(arg, budget)).collect();
    let columns = columns?;
    // A shorter column is repeated: `zip(data, cycle(key))` is the usual cipher.
    let longest = columns.iter().map(Vec::len).max()?;
    if columns.iter().any(Vec::is_empty) {
        return None;
    }
    let cells = longest.checked_mul(columns.len() + 1)?;
    budget.steps(cells)?;
    budget.bytes(cells.checked_mul(size_of::<Value>())?)?;
    let rows =
        (0..longest).map(|n| Value::list(columns.iter().map(|column| column[n % column.len()].clone()).collect()));
    Some(Known::List(Rc::new(rows.collect())))
}

/// The elements of something that can be walked through.
pub(super) fn elements(value: &Value, budget: &mut Budget) -> Option<Vec<Value>> {
    let count = length(value)?;
    budget.steps(count)?;
    budget.bytes(count.checked_mul(size_of::<Value>())?.min(budget.value_bytes_max))?;
    let mut buffer = [0; 4];
    Some(match &value.known {
        Known::Str(text) => text.chars().map(|c| Value::str(c.encode_utf8(&mut buffer))).collect(),
        Known::Bytes(data) => data.iter().map(|b| Value::int(i64::from(*b))).collect(),
        Known::List(items) => items.to_vec(),
        Known::Dict(items) => items.iter().map(|(key, _)| key.clone()).collect(),
        _ => return None,
    })
}

/// Folds a method of a known value.
pub(super) fn method(on: &Value, name: &str, args: &[Value], budget: &mut Budget) -> Folded {
    match (&on.known, name) {
        (Known::Bytes(_) | Known::Str(_), "decode") => codec::decode(on, args, budget),
        (Known::Str(text), "encode") => codec::encode(text, args, budget),
        (Known::Bytes(data), "hex") => {
            plain(Known::Str(data.iter().map(|b| format!("{b:02x}")).collect::<String>().into()))
        }
        (Known::Str(_) | Known::Bytes(_), "translate") => translated(on, args.first()?, budget),
        (Known::Int(n), "to_bytes") => {
            let size = usize::try_from(args.first()?.as_int()?).ok().filter(|size| *size <= 8)?;
            let all = n.to_be_bytes();
            let mut data = all.get(all.len() - size..)?.to_vec();
            if args.get(1).and_then(Value::as_str) == Some("little") {
                data.reverse();
            }
            Some((bytes(data), Some("int")))
        }
        (Known::Str(separator), "join") => join(separator, args.first()?, budget),
        (Known::Bytes(separator), "join") => {
            let items = elements(args.first()?, budget)?;
            let parts: Option<Vec<&[u8]>> = items.iter().map(Value::as_data).collect();
            let joined = parts?.join(&separator[..]);
            budget.bytes(joined.len())?;
            plain(bytes(joined))
        }
        (Known::Str(text), _) => plain(text_method(text, name, args, budget)?),
        (Known::Bytes(data), _) => {
            let text = Value::of(Known::Str(std::str::from_utf8(data).ok()?.into()));
            let (known, layer) = method(&text, name, args, budget)?;
            let Known::Str(text) = known else { return Some((known, layer)) };
            Some((bytes(text.as_bytes().to_vec()), layer))
        }
        (Known::Partial(pieces), "format" | "strip" | "encode" | "decode" | "lower") => {
            plain(Known::Partial(Rc::clone(pieces)))
        }
        (Known::Partial(pieces), "rstrip" | "lstrip" | "replace") => plain(Known::Partial(Rc::clone(pieces))),
        (Known::Dict(items), "get" | "__getitem__") => {
            plain(items.iter().find(|(key, _)| same(key, args.first()))?.1.known.clone())
        }
        (Known::Dict(items), "values" | "keys" | "items") => {
            budget.steps(items.len())?;
            budget.bytes(items.len().checked_mul(VALUE_BYTES)?)?;
            let part = |(key, value): &(Value, Value)| match name {
                "values" => value.clone(),
                "keys" => key.clone(),
                _ => Value::list(vec![key.clone(), value.clone()]),
            };
            plain(Known::List(Rc::new(items.iter().map(part).collect())))
        }
        (Known::List(_) | Known::Int(_), "copy" | "tolist" | "__iter__") => plain(on.known.clone()),
        _ => None,
    }
}

/// Whether two known values are the same text or number.
pub(super) fn same(a: &Value, b: Option<&Value>) -> bool {
    match (&a.known, b.map(|b| &b.known)) {
        (Known::Str(a), Some(Known::Str(b))) => a == b,
        (Known::Int(a), Some(Known::Int(b))) => a == b,
        (Known::Bytes(a), Some(Known::Bytes(b))) => a == b,
        (Known::Bool(a), Some(Known::Bool(b))) => a == b,
        _ => false,
    }
}

fn join(separator: &Rc<str>, items: &Value, budget: &mut Budget) -> Folded {
    let items = elements(items, budget)?;
    let mut pieces = Vec::with_capacity(items.len() * 2);
    let mut size = 0_usize;
    for (n, item) in items.iter().enumerate() {
        if n > 0 && !separator.is_empty() {
            pieces.push(Piece::Text(Rc::clone(separator)));
        }
        size += separator.len() + item.as_str().map_or(0, str::len);
        pieces.extend(item.pieces());
    }
    budget.bytes(size)?;
    plain(Value::from_pieces(pieces, budget.value_bytes_max))
}

fn text_method(text: &Rc<str>, name: &str, args: &[Value], budget: &mut Budget) -> Option<Known> {
    let arg = |n: usize| args.get(n).and_then(Value::as_data).and_then(|data| std::str::from_utf8(data).ok());
    let set: Vec<char> = arg(0).unwrap_or(" \t\r\n\u{c}").chars().collect();
    budget.bytes(text.len())?;
    let made = match name {
        "replace" => {
            let (from, to) = (arg(0)?, arg(1)?);
            let times = text.matches(from).count();
            budget.bytes(times.checked_mul(to.len())?)?;
            text.replace(from, to)
        }
        "lower" | "casefold" => text.to_lowercase(),
        "upper" => text.to_uppercase(),
        "swapcase" => text
            .chars()
            .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect(),
        "strip" => text.trim_matches(&set[..]).to_owned(),
        "lstrip" => text.trim_start_matches(&set[..]).to_owned(),
        "rstrip" => text.trim_end_matches(&set[..]).to_owned(),
        "removeprefix" => text.strip_prefix(arg(0)?).unwrap_or(text).to_owned(),
        "removesuffix" => text.strip_suffix(arg(0)?).unwrap_or(text).to_owned(),
        "split" => {
            return match arg(0) {
                Some("") => None,
                Some(separator) => parts(text.split(separator), budget),
                None => parts(text.split_whitespace(), budget),
            };
        }
        "splitlines" => return parts(text.lines(), budget),
        "startswith" => return Some(Known::Bool(text.starts_with(arg(0)?))),
        "endswith" => return Some(Known::Bool(text.ends_with(arg(0)?))),
        "find" | "index" => return Some(Known::Int(text.find(arg(0)?).map_or(-1, |n| n as i64))),
        "isdigit" | "isnumeric" => return Some(Known::Bool(text.chars().all(|c| c.is_ascii_digit()))),
        "isalpha" => return Some(Known::Bool(!text.is_empty() && text.chars().all(char::is_alphabetic))),
        "islower" => {
            return Some(Known::Bool(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)));
        }
        "isupper" => {
            return Some(Known::Bool(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)));
        }
        "format" => return format(text, args, budget),
        "__str__" | "expandtabs" | "as_posix" | "expanduser" | "resolve" | "absolute" => text.to_string(),
        "joinpath" => return join_paths(&[&[Value::of(Known::Str(Rc::clone(text)))], args].concat()),
        _ => return None,
    };
    Some(Known::Str(made.into()))
}

/// A list of texts, paid for before it is made: there may be as many as there are bytes.
fn parts<'t>(parts: impl Iterator<Item = &'t str> + Clone, budget: &mut Budget) -> Option<Known> {
    let count = parts.clone().count();
    budget.steps(count)?;
    budget.bytes(count.checked_mul(VALUE_BYTES)?)?;
    Some(Known::List(Rc::new(parts.map(Value::str).collect())))
}

/// `"…{}…".format(…)` and `%`: fields in order or by number; what a field's value is not known leaves a hole.
fn format(text: &str, args: &[Value], budget: &mut Budget) -> Option<Known> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut next = 0;
    while let Some(at) = rest.find(['{', '}']) {
        pieces.push(Piece::Text(rest[..at].into()));
        if rest[at..].starts_with("{{") || rest[at..].starts_with("}}") {
            pieces.push(Piece::Text(rest[at..=at].into()));
            rest = &rest[at + 2..];
            continue;
        }
        let end = rest[at..].find('}')?;
        let field = rest[at..at + end].trim_start_matches('{');
        let number = field.split([':', '!', '.', '[']).next().unwrap_or("");
        let n = if number.is_empty() { next } else { number.parse().unwrap_or(usize::MAX) };
        next += 1;
        match args.get(n) {
            Some(value) => pieces.extend(value.pieces()),
            None => pieces.push(Piece::Hole),
        }
        rest = &rest[at + end + 1..];
    }
    pieces.push(Piece::Text(rest.into()));
    let known = Value::from_pieces(pieces, budget.value_bytes_max);
    if let Known::Str(text) = &known {
        budget.bytes(text.len())?;
    }
    Some(known)
}

/// `text % values`.
pub(super) fn percent(text: &str, values: &Value, budget: &mut Budget) -> Option<Known> {
    let single = [values.clone()];
    let args: &[Value] = if let Known::List(items) = &values.known { items } else { &single };
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut next = args.iter();
    while let Some(at) = rest.find('%') {
        pieces.push(Piece::Text(rest[..at].into()));
        let field = &rest[at + 1..];
        if let Some(after) = field.strip_prefix('%') {
            pieces.push(Piece::Text("%".into()));
            rest = after;
            continue;
        }
        let keyed = field.starts_with('(');
        let skip = if keyed { field.find(')')? + 1 } else { 0 };
        let end = skip + field[skip..].find(|c: char| c.is_ascii_alphabetic())?;
        let value = if keyed { None } else { next.next() };
        match (value.map(|v| &v.known), &field[end..=end]) {
            (Some(Known::Int(n)), "c") => {
                pieces.push(Piece::Text(char::from_u32(u32::try_from(*n).ok()?)?.to_string().into()))
            }
            (Some(Known::Int(n)), "x") => pieces.push(Piece::Text(format!("{n:x}").into())),
            (Some(_), _) => pieces.extend(value.map(Value::pieces).unwrap_or_default()),
            (None, _) => pieces.push(Piece::Hole),
        }
        rest = &field[end + 1..];
    }
    pieces.push(Piece::Text(rest.into()));
    budget.bytes(text.len())?;
    Some(Value::from_pieces(pieces, budget.value_bytes_max))
}

/// `value[lower:upper:step]`.
pub(super) fn slice(
    value: &Value,
    lower: Option<i64>,
    upper: Option<i64>,
    step: i64,
    budget: &mut Budget,
) -> Option<Known> {
    let count = i64::try_from(length(value)?).ok()?;
    if step == 0 {
        return None;
    }
    let clamp = |n: i64, low: i64, high: i64| if n < 0 { (n + count).max(low) } else { n.min(high) };
    let (from, to) = if step > 0 {
        (clamp(lower.unwrap_or(0), 0, count), clamp(upper.unwrap_or(count), 0, count))
    } else {
        (clamp(lower.unwrap_or(count - 1), -1, count - 1), upper.map_or(-1, |n| clamp(n, -1, count - 1)))
    };
    let mut at = Vec::new();
    let mut n = from;
    while if step > 0 { n < to } else { n > to } {
        at.push(usize::try_from(n).ok()?);
        n = n.checked_add(step)?;
    }
    budget.steps(at.len() / 16)?;
    budget.bytes(at.len())?;
    Some(match &value.known {
        Known::Str(text) if text.is_ascii() => {
            Known::Str(at.iter().map(|n| char::from(text.as_bytes()[*n])).collect::<String>().into())
        }
        Known::Str(text) => {
            let chars: Vec<char> = text.chars().collect();
            Known::Str(at.iter().filter_map(|n| chars.get(*n)).collect::<String>().into())
        }
        Known::Bytes(data) => bytes(at.iter().filter_map(|n| data.get(*n).copied()).collect()),
        Known::List(items) => Known::List(Rc::new(at.iter().filter_map(|n| items.get(*n).cloned()).collect())),
        _ => return None,
    })
}

/// `value[index]`.
pub(super) fn index(value: &Value, at: &Value) -> Option<Value> {
    if let Known::Dict(items) = &value.known {
        return items.iter().find(|(key, _)| same(key, Some(at))).map(|(_, value)| value.clone());
    }
    let n = at.as_int()?;
    let n = if n < 0 { n + i64::try_from(length(value)?).ok()? } else { n };
    let n = usize::try_from(n).ok()?;
    match &value.known {
        Known::Str(text) if text.is_ascii() => text.get(n..n + 1).map(Value::str),
        Known::Str(text) => text.chars().nth(n).map(|c| Value::str(c.encode_utf8(&mut [0; 4]))),
        Known::Bytes(data) => data.get(n).map(|b| Value::int(i64::from(*b))),
        Known::List(items) => items.get(n).cloned(),
        _ => None,
    }
}
