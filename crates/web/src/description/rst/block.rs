//! Lines to blocks.

use super::{Block, DEPTH_MAX, Directive, indent_of, normal, table};

const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// Bounds the sum of all nested texts: each level is copied once.
const LINES_MAX: usize = 400_000;

pub(super) struct Parser {
    /// Adornments in the order of their first use; the place is the level.
    adornments: Vec<(char, bool)>,
    lines_left: usize,
    failed: bool,
}

/// Lines of an indented part, without their common indentation, and how many lines it took.
fn indented<'t>(lines: &[&'t str]) -> (Vec<&'t str>, usize) {
    let mut end = 0;
    let mut used = 0;
    for line in lines {
        if !line.is_empty() && indent_of(line) == 0 {
            break;
        }
        end += 1;
        if !line.is_empty() {
            used = end;
        }
    }
    (dedent(&lines[..used]), used)
}

fn dedent<'t>(lines: &[&'t str]) -> Vec<&'t str> {
    let least = lines.iter().filter(|line| !line.is_empty()).map(|line| indent_of(line)).min().unwrap_or(0);
    lines.iter().map(|line| line.get(least..).unwrap_or("")).collect()
}

/// The first line from a column on, and what is indented below it.
fn hanging<'t>(lines: &[&'t str], column: usize) -> (Vec<&'t str>, usize) {
    let first = lines[0].get(column..).unwrap_or("").trim_start();
    let (rest, used) = indented(&lines[1..]);
    let mut out = vec![first];
    out.extend(rest);
    (out, used + 1)
}

/// As [`hanging`], for list items: what belongs to them is indented at least to their text.
fn item<'t>(lines: &[&'t str], column: usize) -> (Vec<&'t str>, usize) {
    let mut used = 1;
    let mut end = 1;
    for line in &lines[1..] {
        if !line.is_empty() && indent_of(line) < column {
            break;
        }
        end += 1;
        if !line.is_empty() {
            used = end;
        }
    }
    let rest = lines[1..used].iter().map(|line| line.get(column..).unwrap_or(""));
    (std::iter::once(lines[0].get(column..).unwrap_or("")).chain(rest).collect(), used)
}

/// The character that a whole line repeats.
fn adornment(line: &str) -> Option<char> {
    let first = line.chars().next().filter(|c| PUNCTUATION.contains(*c))?;
    line.chars().all(|c| c == first).then_some(first)
}

fn width(line: &str) -> usize {
    line.chars().map(|c| if matches!(c as u32, 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0x1f300..=0x1faff) { 2 } else { 1 }).sum()
}

fn bullet(line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| "*-+\u{2022}\u{2023}\u{2043}".contains(*c))?;
    let rest = &line[mark.len_utf8()..];
    if rest.is_empty() {
        return Some((mark, mark.len_utf8() + 1));
    }
    let spaces = indent_of(rest);
    (spaces > 0).then_some((mark, mark.len_utf8() + spaces))
}

struct Number {
    kind: char,
    value: usize,
    style: (bool, char),
    column: usize,
    automatic: bool,
}

fn number(line: &str) -> Option<Number> {
    let parenthesised = line.starts_with('(');
    let rest = line.strip_prefix('(').unwrap_or(line);
    let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'#').count();
    let text = rest.get(..length).filter(|text| (1..=9).contains(&text.len()))?;
    let end = rest[length..].chars().next().filter(|c| *c == ')' || (*c == '.' && !parenthesised))?;
    let after = &rest[length + 1..];
    let spaces = indent_of(after);
    if spaces == 0 && !after.is_empty() {
        return None;
    }
    let (kind, value) = if text == "#" {
        ('1', 1)
    } else if text.bytes().all(|b| b.is_ascii_digit()) {
        ('1', text.parse().ok()?)
    } else if text.len() == 1 && text.as_bytes()[0].is_ascii_alphabetic() && !matches!(text, "i" | "I") {
        let b = text.as_bytes()[0];
        if b.is_ascii_lowercase() { ('a', usize::from(b - b'a') + 1) } else { ('A', usize::from(b - b'A') + 1) }
    } else {
        let value = roman(&text.to_ascii_lowercase())?;
        (if text.starts_with(|c: char| c.is_lowercase()) { 'i' } else { 'I' }, value)
    };
    let column = usize::from(parenthesised) + length + 1 + spaces.max(1);
    Some(Number { kind, value, style: (parenthesised, end), column, automatic: text == "#" })
}

fn roman(text: &str) -> Option<usize> {
    let digit = |c| {
        Some(match c {
            'i' => 1,
            'v' => 5,
            'x' => 10,
            'l' => 50,
            'c' => 100,
            'd' => 500,
            'm' => 1000,
            _ => return None,
        })
    };
    let digits: Option<Vec<usize>> = text.chars().map(digit).collect();
    let digits = digits?;
    let mut sum = 0_usize;
    for (n, value) in digits.iter().enumerate() {
        if digits.get(n + 1).is_some_and(|next| next > value) { sum = sum.saturating_sub(*value) } else { sum += value }
    }
    (sum > 0).then_some(sum)
}

/// `:name: body`: the name, and where the body begins.
pub(super) fn field(line: &str) -> Option<(&str, usize)> {
    let rest = line.strip_prefix(':')?;
    if rest.starts_with([' ', ':', '`']) {
        return None;
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        if c == ':' && !escaped && (rest[at + 1..].is_empty() || rest[at + 1..].starts_with(' ')) {
            return (at > 0 && !rest[..at].ends_with(' ')).then(|| (&rest[..at], at + 2));
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// `-o FILE, --output=FILE  body`: the options, and where the body begins.
fn option(line: &str) -> Option<(&str, usize)> {
    let end = line.find("  ").unwrap_or(line.len());
    let text = &line[..end];
    let one = |part: &str| {
        let mut words = part.split(' ');
        let name = words.next().unwrap_or_default();
        let argument = words.next();
        let shape = if let Some(long) = name.strip_prefix("--") {
            long.starts_with(|c: char| c.is_ascii_alphanumeric())
        } else if let Some(short) = name.strip_prefix(['-', '/', '+']) {
            short.len() <= 1 + usize::from(argument.is_none()) * 20
                && short.starts_with(|c: char| c.is_ascii_alphanumeric())
        } else {
            false
        };
        let argument = argument.is_none_or(|a| a.starts_with(|c: char| c.is_ascii_alphabetic() || c == '<'));
        shape && argument && words.next().is_none()
    };
    let fits = !text.is_empty() && text.split(", ").all(one);
    (fits && (end < line.len() || !text.contains(' '))).then_some((text, end))
}

impl Parser {
    pub(super) fn new() -> Self {
        Self { adornments: Vec::new(), lines_left: LINES_MAX, failed: false }
    }

    /// The whole text; `None` when a limit was passed.
    pub(super) fn document(mut self, lines: &[&str]) -> Option<Vec<Block>> {
        let blocks = self.blocks(lines, 0);
        (!self.failed).then_some(blocks)
    }

    pub(super) fn blocks(&mut self, lines: &[&str], depth: usize) -> Vec<Block> {
        match self.lines_left.checked_sub(lines.len()) {
            Some(left) if depth <= DEPTH_MAX => self.lines_left = left,
            _ => {
                self.failed = true;
                return Vec::new();
            }
        }
        let mut out = Vec::new();
        let mut at = 0;
        while at < lines.len() && !self.failed {
            if lines[at].is_empty() {
                at += 1;
                continue;
            }
            let used = self.one(&lines[at..], depth, &mut out);
            at += used.max(1);
        }
        out
    }

    /// Reads one construct; returns how many lines it took.
    fn one(&mut self, lines: &[&str], depth: usize, out: &mut Vec<Block>) -> usize {
        let line = lines[0];
        if line.starts_with(' ') {
            let (inner, used) = indented(lines);
            let blocks = self.blocks(&inner, depth + 1);
            out.push(Block::Quote(blocks));
            return used;
        }
        if line == ".." || line.starts_with(".. ") {
            return self.explicit(lines, depth, out);
        }
        if let Some(to) = line.strip_prefix("__ ") {
            out.push(Block::Target { name: String::new(), to: Some(to.trim().to_owned()) });
            return 1;
        }
        if let Some((table, used)) = table::grid(lines, self, depth).or_else(|| table::simple(lines, self, depth)) {
            out.push(Block::Table(table));
            return used;
        }
        if let Some(used) = self.heading(lines, out) {
            return used;
        }
        if line.starts_with(">>>") && (line.len() == 3 || line[3..].starts_with(' ')) {
            let used = lines.iter().take_while(|line| !line.is_empty()).count();
            out.push(Block::Doctest(lines[..used].join("\n")));
            return used;
        }
        if line == "|" || line.starts_with("| ") {
            return line_block(lines, out);
        }
        self.list(lines, depth, out).unwrap_or_else(|| self.text(lines, depth, out))
    }

    fn heading(&mut self, lines: &[&str], out: &mut Vec<Block>) -> Option<usize> {
        if let Some(mark) = adornment(lines[0]) {
            if let (Some(title), Some(under)) = (lines.get(1), lines.get(2))
                && adornment(under) == Some(mark)
                && !title.trim().is_empty()
                && under.len() >= 2
                && lines[0].len() >= 2
            {
                self.push_heading(title.trim(), (mark, true), out);
                return Some(3);
            }
            if lines[0].len() >= 4 && lines.get(1).is_none_or(|next| next.is_empty()) {
                out.push(Block::Rule);
                return Some(1);
            }
        }
        let under = lines.get(1)?;
        let mark = adornment(under)?;
        let long_enough = width(under) >= width(lines[0]) || under.len() >= 4;
        // Two characters under two are a title only when they cannot be something else.
        if !long_enough || under.len() < 2 && width(lines[0]) > 1 || matches!(*under, "::" | "..") {
            return None;
        }
        self.push_heading(lines[0], (mark, false), out);
        Some(2)
    }

    fn push_heading(&mut self, text: &str, style: (char, bool), out: &mut Vec<Block>) {
        let level = self.adornments.iter().position(|known| *known == style).unwrap_or_else(|| {
            self.adornments.push(style);
            self.adornments.len() - 1
        });
        out.push(Block::Heading { level: level + 1, text: text.to_owned() });
    }

    fn list(&mut self, lines: &[&str], depth: usize, out: &mut Vec<Block>) -> Option<usize> {
        if let Some((mark, _)) = bullet(lines[0]) {
            let (mut items, mut at) = (Vec::new(), 0);
            while let Some((_, column)) = lines.get(at).and_then(|line| bullet(line)).filter(|(m, _)| *m == mark) {
                let (inner, used) = item(&lines[at..], column);
                items.push(self.blocks(&inner, depth + 1));
                at = skip_blank(lines, at + used);
            }
            out.push(Block::Bullets(items));
            return Some(at);
        }
        if let Some(first) = number(lines[0]).filter(|n| is_item(lines, n.column)) {
            let (mut items, mut at) = (Vec::new(), 0);
            while let Some(next) = lines.get(at).and_then(|line| number(line)) {
                let same = next.style == first.style && (next.kind == first.kind || next.automatic);
                let in_order = next.automatic || next.value == first.value + items.len();
                if !same || !in_order || !is_item(&lines[at..], next.column) {
                    break;
                }
                let (inner, used) = item(&lines[at..], next.column);
                items.push(self.blocks(&inner, depth + 1));
                at = skip_blank(lines, at + used);
            }
            out.push(Block::Numbers { kind: first.kind, start: first.value, items });
            return Some(at);
        }
        if field(lines[0]).is_some() {
            let (items, used) = self.pairs(lines, depth, |line| field(line));
            out.push(Block::Fields(items));
            return Some(used);
        }
        if option(lines[0])
            .is_some_and(|(_, end)| end < lines[0].len() || lines.get(1).is_some_and(|l| l.starts_with(' ')))
        {
            let (items, used) = self.pairs(lines, depth, option);
            out.push(Block::Options(items));
            return Some(used);
        }
        None
    }

    fn pairs<'t>(
        &mut self,
        lines: &[&'t str],
        depth: usize,
        split: impl Fn(&'t str) -> Option<(&'t str, usize)>,
    ) -> (Vec<(String, Vec<Block>)>, usize) {
        let (mut items, mut at) = (Vec::new(), 0);
        while let Some((name, column)) = lines.get(at).and_then(|line| split(line)) {
            let (inner, used) = hanging(&lines[at..], column);
            items.push((name.to_owned(), self.blocks(&inner, depth + 1)));
            at = skip_blank(lines, at + used);
        }
        (items, at)
    }

    /// Definitions, paragraphs, and the literal block that a paragraph may announce.
    fn text(&mut self, lines: &[&str], depth: usize, out: &mut Vec<Block>) -> usize {
        let is_definition = |at: usize| {
            lines.get(at).is_some_and(|line| !line.is_empty() && !line.starts_with(' ') && !line.starts_with(".. "))
                && lines.get(at + 1).is_some_and(|next| next.starts_with(' '))
                && !lines[at].ends_with("::")
        };
        if is_definition(0) {
            let (mut items, mut at) = (Vec::new(), 0);
            while is_definition(at) && (at == 0 || bullet(lines[at]).is_none() && number(lines[at]).is_none()) {
                let (inner, used) = indented(&lines[at + 1..]);
                items.push((lines[at].to_owned(), self.blocks(&inner, depth + 1)));
                at = skip_blank(lines, at + 1 + used);
            }
            out.push(Block::Definitions(items));
            return at;
        }
        let mut used = 1;
        while lines.get(used).is_some_and(|line| !line.is_empty() && !line.starts_with(' '))
            && !lines[used - 1].ends_with("::")
        {
            used += 1;
        }
        let mut text = lines[..used].join("\n");
        let literal = text.ends_with("::");
        if literal {
            text.truncate(text.len() - 2);
            if text.ends_with([' ', '\n']) || text.is_empty() {
                text.truncate(text.trim_end().len());
            } else {
                text.push(':');
            }
        }
        if !text.trim().is_empty() {
            out.push(Block::Paragraph(text));
        }
        if !literal {
            return used;
        }
        let start = skip_blank(lines, used);
        let (inner, length) = indented(&lines[start..]);
        if length > 0 {
            out.push(Block::Literal(inner.join("\n")));
            return start + length;
        }
        // A quoted literal block: each line begins with the same mark.
        let mark = lines.get(start).and_then(|line| line.chars().next()).filter(|c| PUNCTUATION.contains(*c));
        let quoted = mark.map_or(0, |mark| lines[start..].iter().take_while(|line| line.starts_with(mark)).count());
        if quoted > 0 {
            out.push(Block::Literal(lines[start..start + quoted].join("\n")));
        }
        start + quoted
    }

    /// `.. something`
    fn explicit(&mut self, lines: &[&str], depth: usize, out: &mut Vec<Block>) -> usize {
        let (inner, used) = hanging(lines, 2);
        let first = inner[0];
        if let Some(to) = first.strip_prefix("__:") {
            out.push(Block::Target { name: String::new(), to: Some(to.trim().to_owned()) });
        } else if let Some(rest) = first.strip_prefix('_') {
            let joined: String = std::iter::once(rest).chain(inner[1..].iter().copied()).map(str::trim).collect();
            if let Some((name, to)) = target(&joined) {
                out.push(Block::Target { name, to: (!to.is_empty()).then_some(to) });
            }
        } else if let Some((label, rest)) = first
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] ").or_else(|| rest.strip_suffix(']').map(|l| (l, ""))))
        {
            let mut body = vec![rest];
            body.extend(&inner[1..]);
            let blocks = self.blocks(&body, depth + 1);
            out.push(Block::Note { label: label.to_owned(), blocks });
        } else if let Some((name, rest)) = first.strip_prefix('|').and_then(|rest| rest.split_once("| ")) {
            let mut body = vec![rest.trim_start()];
            body.extend(&inner[1..]);
            if let Some(directive) = self.directive(&body, depth) {
                out.push(Block::Substitution { name: normal(name), directive });
            }
        } else if let Some(directive) = self.directive(&inner, depth) {
            if directive.name == "role" {
                let name = directive.argument.split('(').next().unwrap_or_default().trim().to_lowercase();
                out.push(Block::Role { name, raw: directive.argument.to_lowercase().contains("(raw") });
            } else {
                out.push(Block::Directive(directive));
            }
        }
        used
    }

    /// `name:: argument`, the first line of it without its dots.
    fn directive(&mut self, lines: &[&str], depth: usize) -> Option<Directive> {
        let (name, argument) = lines[0].split_once("::")?;
        let name = name.trim_end();
        let fits = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'+'));
        if !fits || !(argument.is_empty() || argument.starts_with(' ')) {
            return None;
        }
        let mut argument = argument.trim().to_owned();
        let mut at = 1;
        while lines.get(at).is_some_and(|line| !line.is_empty() && field(line).is_none()) && takes_argument(name) {
            argument.push(' ');
            argument.push_str(lines[at].trim());
            at += 1;
        }
        let mut options = Vec::new();
        while let Some((key, column)) = lines.get(at).and_then(|line| field(line)) {
            let (value, used) = hanging(&lines[at..], column);
            options.push((key.to_lowercase(), value.join(" ").trim().to_owned()));
            at += used.max(1);
            if lines.get(at.wrapping_sub(1)).is_some_and(|line| line.is_empty()) {
                break;
            }
        }
        let content: Vec<&str> = lines[at.min(lines.len())..].to_vec();
        let start = content.iter().position(|line| !line.is_empty()).unwrap_or(content.len());
        let content = dedent(&content[start..]);
        let reads_lines = matches!(
            name,
            "code"
                | "code-block"
                | "sourcecode"
                | "highlight"
                | "raw"
                | "csv-table"
                | "math"
                | "parsed-literal"
                | "include"
                | "contents"
                | "image"
                | "replace"
                | "unicode"
        );
        let blocks = if reads_lines { Vec::new() } else { self.blocks(&content, depth + 1) };
        Some(Directive {
            name: name.to_lowercase(),
            argument,
            options,
            lines: content.iter().map(|line| (*line).to_owned()).collect(),
            blocks,
            source: format!(".. {}", lines.join("\n   ")),
        })
    }
}

/// Whether the lines below the first one, up to an empty line or an option, still belong to the argument.
fn takes_argument(name: &str) -> bool {
    matches!(
        name,
        "image"
            | "figure"
            | "replace"
            | "unicode"
            | "table"
            | "csv-table"
            | "list-table"
            | "topic"
            | "sidebar"
            | "admonition"
            | "rubric"
            | "include"
            | "raw"
    )
}

/// `name: where`, the name perhaps in backquotes.
fn target(text: &str) -> Option<(String, String)> {
    if let Some(rest) = text.strip_prefix('`') {
        let (name, to) = rest.split_once('`')?;
        return Some((normal(name), to.strip_prefix(':')?.trim().to_owned()));
    }
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == ':' && !escaped && (text[at + 1..].is_empty() || !text[at + 1..].starts_with("//")) {
            return Some((normal(&text[..at].replace('\\', "")), text[at + 1..].trim().to_owned()));
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

fn skip_blank(lines: &[&str], mut at: usize) -> usize {
    while lines.get(at).is_some_and(|line| line.is_empty()) {
        at += 1;
    }
    at
}

/// The line after an item's first must be empty, belong to it or be another item: else `1. x` was prose.
fn is_item(lines: &[&str], column: usize) -> bool {
    lines.get(1).is_none_or(|next| next.is_empty() || indent_of(next) >= column || number(next).is_some())
}

fn line_block(lines: &[&str], out: &mut Vec<Block>) -> usize {
    let mut rows: Vec<(usize, String)> = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at).filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix('|').filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            rows.push((indent_of(rest), rest.trim().to_owned()));
        } else if let Some((_, text)) = rows.last_mut().filter(|_| line.starts_with(' ')) {
            text.push(' ');
            text.push_str(line.trim());
        } else {
            break;
        }
        at += 1;
    }
    out.push(Block::Lines(rows));
    at
}
