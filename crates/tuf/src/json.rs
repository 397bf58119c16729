//! JSON as TUF uses it: a reader that trusts nothing, and the canonical form that is signed.
//!
//! The canonical form is the OLPC one of the TUF specification §4.2.1, not RFC 8785: object keys sorted by their
//! bytes, no white space, integers only, and of all characters only `"` and `\` escaped. Line breaks (in PEM keys)
//! so stand raw in what is signed, where JSON forbids them; what is stored has them escaped ([`to_stored`]).

use std::collections::BTreeMap;

use crate::hash::write_hex;

/// How deep arrays and objects may nest.
pub const DEPTH_MAX: usize = 32;

/// How many values one document may hold: what bounds memory where many small values take few bytes each, as an object of one
/// member takes 700 in memory. A snapshot of 65,536 bins holds 330,000 at most, a bin of 5 MB half as many.
pub const VALUES_MAX: usize = 400_000;

/// The members of an object, in canonical order.
pub type Object = BTreeMap<String, Value>;

/// A JSON value that has a canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer; the canonical form knows no other numbers.
    Int(i64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object.
    Object(Object),
}

/// Why bytes are no acceptable JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {why}")]
pub struct Malformed {
    /// Where reading stopped, in bytes from the start.
    pub at: usize,
    /// What stands there.
    pub why: &'static str,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    /// Saturates at [`i64::MAX`], which no version or length of ours comes near.
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

/// An object of these members.
pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

impl Value {
    /// Reads one document: UTF-8, no duplicate keys, no fractions, within [`DEPTH_MAX`], [`VALUES_MAX`] and
    /// `bytes_max`.
    pub fn parse(bytes: &[u8], bytes_max: usize) -> Result<Self, Malformed> {
        if bytes.len() > bytes_max {
            return Err(Malformed { at: bytes_max, why: "longer than its limit" });
        }
        let text =
            std::str::from_utf8(bytes).map_err(|error| Malformed { at: error.valid_up_to(), why: "no UTF-8" })?;
        let mut reader = Reader { text, at: 0, values: 0 };
        reader.space();
        let value = reader.value(0)?;
        reader.space();
        if reader.at < text.len() {
            return Err(reader.fail("more after the end of the document"));
        }
        Ok(value)
    }

    /// The canonical form, appended.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(number) => write_int(*number, out),
            Self::Text(text) => write_text(text, out),
            Self::List(values) => {
                out.push(b'[');
                for (n, value) in values.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    value.write_canonical(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (n, (key, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    write_text(key, out);
                    out.push(b':');
                    value.write_canonical(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The canonical form.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }
}

/// The JSON to store for a canonical form: the same bytes, but for control characters. These can only be inside of
/// strings, so they are escaped where they stand.
pub fn to_stored(canonical: &[u8], out: &mut Vec<u8>) {
    let mut rest = canonical;
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"\\u00");
        write_hex(&rest[at..=at], out);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// A string with its quotes in canonical form, appended.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// A decimal number, appended.
pub(crate) fn write_uint(number: u64, out: &mut Vec<u8>) {
    let (mut digits, mut at, mut left) = ([0_u8; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn write_int(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    write_uint(number.unsigned_abs(), out);
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

impl Reader<'_> {
    fn fail(&self, why: &'static str) -> Malformed {
        Malformed { at: self.at, why }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(self.fail(why));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Malformed> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(self.fail("too many values"));
        }
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => Err(self.fail("nested too deep")),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.list(depth + 1),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.fail("no value")),
            None => Err(self.fail("ends in the middle")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Malformed> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.fail("no value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Malformed> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let first = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        let digits = &self.text[first..self.at];
        if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
            return Err(self.fail("no number"));
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(self.fail("numbers with fractions have no canonical form"));
        }
        match self.text[start..self.at].parse() {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) => Err(Malformed { at: start, why: "a number beyond 64 bits" }),
        }
    }

    fn string(&mut self) -> Result<String, Malformed> {
        self.expect(b'"', "no string")?;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            let Some(plain) = plain else { return Err(self.fail("a string without end")) };
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.fail("a control character in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        self.at += 1;
        let letter = self.peek();
        self.at += 1;
        Ok(match letter {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let high = self.hex4()?;
                let code = if (0xd800..0xdc00).contains(&high) {
                    self.expect(b'\\', "half a surrogate pair")?;
                    self.expect(b'u', "half a surrogate pair")?;
                    let low = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(self.fail("half a surrogate pair"));
                    }
                    0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                } else {
                    high
                };
                char::from_u32(code).ok_or_else(|| self.fail("half a surrogate pair"))?
            }
            _ => return Err(Malformed { at: self.at.min(self.text.len()), why: "no escape" }),
        })
    }

    fn hex4(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let mut code = 0;
        for digit in digits {
            let Some(digit) = char::from(*digit).to_digit(16) else { return Err(self.fail("no escape")) };
            code = code * 16 + digit;
        }
        if digits.len() < 4 {
            return Err(self.fail("no escape"));
        }
        self.at += 4;
        Ok(code)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Malformed> {
        self.at += 1;
        let mut values = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(values));
        }
        loop {
            self.space();
            values.push(self.value(depth)?);
            self.space();
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.expect(b']', "neither `,` nor `]`")?;
        Ok(Value::List(values))
    }

    fn object(&mut self, depth: usize) -> Result<Value, Malformed> {
        self.at += 1;
        let mut members = Object::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let at = self.at;
            let key = self.string()?;
            self.space();
            self.expect(b':', "no `:` after a key")?;
            self.space();
            let value = self.value(depth)?;
            // Two readers could each believe another one of them.
            if members.insert(key, value).is_some() {
                return Err(Malformed { at, why: "the same key twice" });
            }
            self.space();
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.expect(b'}', "neither `,` nor `}`")?;
        Ok(Value::Object(members))
    }
}
