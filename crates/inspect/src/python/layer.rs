//! Layers: what stands under an encoding, or in a literal that is run, is read as what it is.

use std::rc::Rc;

use ruff_text_size::TextRange;
use sha2::Digest as _;

use super::cut::Cut;
use super::facts::{FunctionId, Layer, LayerKind, OddityKind, Place};
use super::lexical;
use super::peel;
use super::source::line_starts;
use super::value::{Known, Value};
use super::walk::{Scope, Walker};

/// Literals of at least this many bytes are looked into, whoever decodes them.
const LONG_LITERAL: usize = 200;
/// Literals of at least this many bytes that read as an encoding are an oddity of their own.
const ENCODED_LITERAL: usize = 1_000;

/// A long literal, and where it stands: it is taken apart when the rest of its layer was read.
pub(super) struct LongLiteral {
    pub(super) data: Vec<u8>,
    pub(super) range: TextRange,
    pub(super) function: FunctionId,
    pub(super) swallowed: bool,
    pub(super) main_only: bool,
}

impl<'a> Walker<'a, '_> {
    /// Reads a value that something runs, writes or unpacks. Gives what its last expression is worth.
    pub(super) fn run_layer(&mut self, value: &Value, how: &'static str, range: TextRange) -> Option<Value> {
        let data: Rc<[u8]> = match &value.known {
            Known::Bytes(data) => Rc::clone(data),
            Known::Str(text) => text.as_bytes().into(),
            _ => return None,
        };
        let kind = peel::classify(&data);
        // What is handed to a reader of pickles is one, whatever it begins with.
        let is_pickle = how == "deserialise" && !matches!(kind, LayerKind::Marshal | LayerKind::Archive);
        let kind = if is_pickle { LayerKind::Pickle } else { kind };
        let runs = how != "file" && how != "literal";
        let text = std::str::from_utf8(&data).ok().map(str::to_owned).or_else(|| wide(&data));
        let telling = !matches!(kind, LayerKind::Text | LayerKind::Bytes | LayerKind::Media);
        if !telling && how != "exec" && value.peeled.is_none() {
            return None;
        }
        let mut path = self.shared.module.layer_path(self.layer).to_vec();
        match &value.peeled {
            Some(peeled) => path.extend(peeled.iter().copied()),
            None => path.push("string"),
        }
        path.truncate(self.shared.limits.layers_deep_max as usize + 1);
        let python = matches!(kind, LayerKind::Python) || how == "exec" && text.is_some();
        let kind = if python { LayerKind::Python } else { kind };
        let digest = digest(&data);
        let id = self.keep_layer(path, kind, &data, (runs, digest), range)?;
        self.shared.layers_read.insert(digest);
        match text {
            Some(text) if python => self.read_python(&text, id, how != "literal"),
            Some(text) if !matches!(kind, LayerKind::Marshal | LayerKind::Pickle) => {
                self.signs_of(&text, range);
                None
            }
            _ => None,
        }
    }

    /// Remembers a layer once; `None` when it was read before, or there are too many. One place may run many.
    fn keep_layer(
        &mut self,
        path: Vec<&'static str>,
        kind: LayerKind,
        data: &Rc<[u8]>,
        (runs, digest): (bool, Digest),
        range: TextRange,
    ) -> Option<u32> {
        let key = (self.layer, u32::from(range.start()), digest);
        if let Some(id) = self.shared.layer_at.get(&key) {
            if let Some(layer) = self.shared.module.layers.get_mut(*id as usize - 1) {
                layer.runs |= runs;
            }
            return None;
        }
        if self.shared.module.layers.len() >= self.shared.limits.layers_max {
            self.cut(Cut::Layers, range);
            return None;
        }
        let is_text = matches!(
            kind,
            LayerKind::Python | LayerKind::Shell | LayerKind::PowerShell | LayerKind::JavaScript | LayerKind::Text
        );
        let head = if is_text {
            super::shorten(&String::from_utf8_lossy(&data[..data.len().min(1_024)]), 300)
        } else {
            data.iter().take(32).map(|b| format!("{b:02x}")).collect()
        };
        // Counted apart, so that layers kept for rules take no room from those that have a reader.
        let is_python = kind == LayerKind::Python;
        let kept = &mut self.shared.layer_bytes_kept[usize::from(is_python)];
        let keeps = (!is_python || self.shared.limits.keep_python_layers)
            && *kept + data.len() <= self.shared.limits.layer_bytes_kept_max;
        if keeps {
            *kept += data.len();
        }
        let place = self.place(range);
        let bytes = keeps.then(|| Rc::clone(data));
        self.shared.module.layers.push(Layer { place, path, kind, size: data.len(), head, bytes, runs });
        let id = self.shared.module.layers.len() as u32;
        self.shared.layer_at.insert(key, id);
        Some(id)
    }

    /// Reads Python found inside, in the namespace in which it would run.
    fn read_python(&mut self, text: &str, layer: u32, shares_names: bool) -> Option<Value> {
        if self.shared.layer_depth >= self.shared.limits.layers_deep_max {
            self.shared.module.cut(Cut::LayersDeep, Place { layer, line: 1, column: 1 });
            return None;
        }
        if text.len() > self.shared.limits.source_bytes_max {
            self.shared.module.cut(Cut::Source, Place { layer, line: 1, column: 1 });
            self.signs_of(text, TextRange::default());
            return None;
        }
        let lines = line_starts(text);
        let scan = lexical::scan(text, &lines, layer, &mut self.shared.module);
        let Some(parsed) = lexical::parse(text, &scan, self.shared.tokens, &self.shared.limits) else {
            scan.refused(Place { layer, line: 1, column: 1 }, &mut self.shared.module);
            self.signs_of(text, TextRange::default());
            return None;
        };
        self.shared.tokens += scan.tokens;
        lexical::conclude(&parsed, text, &lines, layer, &mut self.shared.module);
        self.shared.layer_depth += 1;
        let mut names = Scope::default();
        for scope in &self.scopes {
            for (name, value) in &scope.names {
                if !matches!(value.known, Known::Lambda(_)) {
                    names.names.insert(Rc::clone(name), value.clone());
                }
            }
        }
        let mut inner = Walker {
            shared: &mut *self.shared,
            text,
            lines,
            layer,
            scopes: vec![names],
            defs: super::walk::Map::default(),
            lambdas: Vec::new(),
            beside: super::declared::Beside::default(),
            literals: std::collections::BTreeMap::new(),
            stars: self.stars.clone(),
            function: self.function,
            depth: 0,
            inline_depth: 0,
            branches: 0,
            loops: 0,
            tainted: 0,
            sites: 0,
            ran: 0,
            put_off: super::given::PutOff::default(),
            swallowed: self.swallowed,
            main_only: self.main_only,
            returned: None,
            stopped: false,
            last: Value::default(),
            folder: None,
        };
        inner.module(&parsed.syntax().body);
        let (last, names) = (std::mem::take(&mut inner.last), inner.scopes.swap_remove(0).names);
        self.shared.layer_depth -= 1;
        if shares_names {
            for (name, value) in names {
                let foreign = matches!(value.known, Known::Lambda(_));
                if !foreign && let Some(scope) = self.scopes.last_mut() {
                    scope.names.insert(name, value);
                }
            }
        }
        self.shared.tokens -= scan.tokens;
        lexical::release(parsed, &scan);
        (!matches!(last.known, Known::Lambda(_))).then_some(last)
    }

    /// A command line, or one word of one.
    pub(super) fn command(&mut self, value: &Value, after_c: bool, range: TextRange) {
        if after_c || value.peeled.is_some() {
            self.run_layer(value, if after_c { "exec" } else { "process" }, range);
            return;
        }
        let Some(text) = value.as_str().map(str::to_owned) else { return };
        if let Some(code) = python_c(&text) {
            let code = Value::str(&code);
            self.run_layer(&code, "exec", range);
        }
        if let Some(script) = encoded_command(&text) {
            let value =
                Value::new(Known::Str(script.into()), value.taint.clone(), Some(Rc::from(["base64", "utf-16"])));
            self.run_layer(&value, "process", range);
        }
    }

    /// A literal that may hold more than it shows. A long one waits until the rest of its layer was read: what runs it
    /// says better what it is, and then it need not be read twice.
    pub(super) fn telling_literal(&mut self, data: &[u8], range: TextRange) {
        self.hidden_url(data, range);
        if data.len() < LONG_LITERAL {
            return;
        }
        let (function, swallowed, main_only) = (self.function, self.swallowed, self.main_only);
        let literal = || LongLiteral { data: data.to_vec(), range, function, swallowed, main_only };
        self.literals.entry(range.start().into()).or_insert_with(literal);
    }

    pub(super) fn long_literals(&mut self) {
        let outer = (self.function, self.swallowed, self.main_only);
        for literal in std::mem::take(&mut self.literals).into_values() {
            (self.function, self.swallowed, self.main_only) = (literal.function, literal.swallowed, literal.main_only);
            self.long_literal(&literal.data, literal.range);
        }
        (self.function, self.swallowed, self.main_only) = outer;
    }

    /// Takes a long literal apart as far as it goes, even where the decoder could not be followed.
    fn long_literal(&mut self, data: &[u8], range: TextRange) {
        let mut path: Vec<&'static str> = Vec::new();
        let mut current: Vec<u8> = Vec::new();
        while path.len() < 8 {
            let room = self.shared.budget.room();
            let from = if path.is_empty() { data } else { &current[..] };
            let Some((name, plain)) = peel::guess(from, room) else { break };
            if self.shared.budget.bytes(plain.len()).is_none() || plain.len() < 16 {
                break;
            }
            path.push(name);
            current = plain;
        }
        if path.is_empty() {
            return;
        }
        if data.len() >= ENCODED_LITERAL {
            let what = format!("{} bytes, entropy {:.1}", data.len(), entropy(data));
            self.odd(OddityKind::EncodedLiteral, range, data.len() as u32, &what);
        }
        let kind = peel::classify(&current);
        let is_read = self.shared.layers_read.contains(&digest(&current));
        if !is_read && !matches!(kind, LayerKind::Bytes | LayerKind::Text | LayerKind::Media) {
            let value = Value::new(Known::Bytes(current.into()), super::facts::Taint::default(), Some(path.into()));
            self.run_layer(&value, "literal", range);
        }
    }

    /// A short literal that is an address under base64 or in hexadecimal, forwards or backwards.
    fn hidden_url(&mut self, data: &[u8], range: TextRange) {
        const HTTP: [&[u8]; 3] = [b"aHR0c", b"68747470", b"http"];
        if !(16..1_000).contains(&data.len()) {
            return;
        }
        let begins_backwards = |head: &&[u8]| data.iter().rev().take(head.len()).eq(*head);
        let backwards: Vec<u8>;
        let (text, of) = match HTTP.iter().position(|head| data.starts_with(head)) {
            Some(at) => (data, at),
            None => match HTTP.iter().position(begins_backwards) {
                Some(at) => {
                    backwards = data.iter().rev().copied().collect();
                    (&backwards[..], at)
                }
                None => return,
            },
        };
        let plain = match of {
            0 => peel::base64(text, false),
            1 => peel::hex(text),
            _ if text.len() == data.len() && text == data => None,
            _ => Some(text.to_vec()),
        };
        let Some(address) = plain.and_then(|plain| String::from_utf8(plain).ok()) else { return };
        if address.contains("://") && !address.contains(char::is_control) {
            self.signs_of(&address, range);
            self.sign("hidden-url", &address, range);
        }
    }

    pub(super) fn odd(&mut self, kind: OddityKind, range: TextRange, count: u32, what: &str) {
        let place = self.place(range);
        lexical::note(&mut self.shared.module, kind, place, count, what);
    }
}

/// Tells layers apart within one module. What is taken for a layer that was read is not read: nobody must be able to make
/// two of one digest.
pub(super) type Digest = [u8; 32];

fn digest(data: &[u8]) -> Digest {
    sha2::Sha256::digest(data).into()
}

/// Bits a byte.
fn entropy(data: &[u8]) -> f32 {
    let mut counts = [0_u32; 256];
    data.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = data.len().max(1) as f32;
    counts.iter().filter(|n| **n > 0).map(|n| *n as f32 / total).map(|p| -p * p.log2()).sum()
}

/// UTF-16 text without a mark, as PowerShell's encoded commands are.
fn wide(data: &[u8]) -> Option<String> {
    let looks = data.len() >= 8 && data.len().is_multiple_of(2) && data.iter().skip(1).step_by(2).all(|b| *b == 0);
    looks.then(|| encoding_rs::UTF_16LE.decode_without_bom_handling(data).0.into_owned())
}

/// The program in `python -c "…"`.
fn python_c(command: &str) -> Option<String> {
    let at = command.find("python").or_else(|| command.find("{} -c"))?;
    let rest = command[at..].split_once(" -c ")?.1.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let inner = match quote {
        Some(quote) => rest[1..].rsplit_once(quote).map_or(&rest[1..], |(inner, _)| inner),
        None => rest,
    };
    Some(inner.replace("\\\"", "\""))
}

/// The script in `powershell -EncodedCommand …`.
fn encoded_command(command: &str) -> Option<String> {
    let lower = command.to_ascii_lowercase();
    if !lower.contains("powershell") && !lower.contains("pwsh") {
        return None;
    }
    let mut words = command.split_whitespace();
    words.find(|word| {
        let word = word.to_ascii_lowercase();
        word.len() >= 2 && "-encodedcommand".starts_with(&word) || word == "-ec"
    })?;
    let data = peel::base64(words.next()?.trim_matches(['"', '\'']).as_bytes(), false)?;
    wide(&data).or_else(|| Some(encoding_rs::UTF_16LE.decode_without_bom_handling(&data).0.into_owned()))
}
