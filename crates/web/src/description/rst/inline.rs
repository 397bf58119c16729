//! Inline markup: emphasis, literals, roles, references, addresses.

use super::normal;
use super::write::Writer;
use crate::description::escape;

/// Deepest substitution inside a substitution.
const SUBSTITUTIONS_MAX: usize = 4;

/// Ends of markup that were looked for in vain: what was not found from one place is not found from a later one, so
/// that a text full of opening marks is read once, not once a mark.
#[derive(Default)]
struct Missing(Vec<&'static str>);

struct Scan<'t> {
    text: &'t str,
    missing: Missing,
}

impl<'t> Scan<'t> {
    fn before(&self, at: usize) -> Option<char> {
        self.text[..at].chars().next_back()
    }

    fn after(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }

    /// Whether markup may start at a place with a mark of this length (inline markup recognition rules 1, 3, 5, 6).
    fn starts(&self, at: usize, length: usize) -> bool {
        let next = self.after(at + length);
        if next.is_none_or(char::is_whitespace) {
            return false;
        }
        let before = self.before(at);
        let open = before.is_none_or(|c| {
            c.is_whitespace() || "-:/'\"<([{\u{2018}\u{201c}\u{ab}".contains(c) || !c.is_ascii() && !c.is_alphanumeric()
        });
        let quoted = matches!(
            (before, next),
            (Some('"'), Some('"'))
                | (Some('\''), Some('\''))
                | (Some('('), Some(')'))
                | (Some('['), Some(']'))
                | (Some('{'), Some('}'))
                | (Some('<'), Some('>'))
        );
        open && !quoted
    }

    fn may_end(&self, end: usize) -> bool {
        self.after(end).is_none_or(|c| {
            c.is_whitespace()
                || "-.,:;!?\\/'\")]}>\u{2019}\u{201d}\u{bb}".contains(c)
                || !c.is_ascii() && !c.is_alphanumeric()
        })
    }

    /// Where the markup that starts before `from` ends: the place of its end mark.
    fn end(&mut self, from: usize, mark: &'static str, raw: bool) -> Option<usize> {
        if self.missing.0.contains(&mark) {
            return None;
        }
        let mut at = from;
        while let Some(n) = self.text[at..].find(mark) {
            let place = at + n;
            let after_space = self.before(place).is_none_or(char::is_whitespace);
            let escaped = !raw && self.text[..place].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
            let longer = mark == "*" && self.text[place..].starts_with("**") && self.text[..place].ends_with('*');
            if place > from && !after_space && !escaped && !longer && self.closes(place + mark.len(), mark) {
                return Some(place);
            }
            at = place + 1;
            while !self.text.is_char_boundary(at) {
                at += 1;
            }
        }
        self.missing.0.push(mark);
        None
    }

    fn closes(&self, end: usize, mark: &str) -> bool {
        if mark != "`" && mark != "|" {
            return self.may_end(end);
        }
        let rest = &self.text[end..];
        let rest_length = rest.len();
        let underscores = rest.trim_start_matches('_');
        if mark == "`" && rest.starts_with(':') {
            return true;
        }
        self.may_end(end + (rest_length - underscores.len()).min(2))
    }
}

/// Text with its escapes taken out.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
        } else if let Some(next) = chars.next().filter(|c| !c.is_whitespace()) {
            out.push(next);
        }
    }
    out
}

impl Writer<'_> {
    /// Writes a text with its markup.
    pub(super) fn inline(&mut self, text: &str, depth: usize) {
        if depth > SUBSTITUTIONS_MAX || self.is_over() {
            self.text(&unescape(text));
            return;
        }
        let mut scan = Scan { text, missing: Missing::default() };
        let mut plain = String::new();
        let mut at = 0;
        while let Some(c) = scan.after(at) {
            if c == '\\' {
                let next = scan.after(at + 1);
                plain.extend(next.filter(|c| !c.is_whitespace()));
                at += 1 + next.map_or(0, char::len_utf8);
                continue;
            }
            if !matches!(c, '*' | '`' | '|' | '[' | '_' | ':' | 'h' | 'H' | 'm') && !c.is_alphanumeric() {
                plain.push(c);
                at += c.len_utf8();
                continue;
            }
            // What stands before goes out first: a construct writes nothing unless it is one.
            self.text(&plain);
            plain.clear();
            if let Some(next) = self.construct(&mut scan, at, c, depth) {
                at = next;
            } else {
                let word = if c.is_alphanumeric() { word_length(&text[at..]) } else { c.len_utf8() };
                plain.push_str(&text[at..at + word]);
                at += word;
            }
        }
        self.text(&plain);
    }

    /// Writes the construct at a place and returns where it ends; writes nothing when there is none.
    fn construct(&mut self, scan: &mut Scan<'_>, at: usize, c: char, depth: usize) -> Option<usize> {
        let text = scan.text;
        let rest = &text[at..];
        match c {
            '*' if rest.starts_with("**") && scan.starts(at, 2) => {
                let end = scan.end(at + 2, "**", false)?;
                self.wrapped("strong", &unescape(&text[at + 2..end]));
                Some(end + 2)
            }
            '*' if scan.starts(at, 1) && !rest.starts_with("**") => {
                let end = scan.end(at + 1, "*", false)?;
                self.wrapped("em", &unescape(&text[at + 1..end]));
                Some(end + 1)
            }
            '`' if rest.starts_with("``") && scan.starts(at, 2) => {
                let end = scan.end(at + 2, "``", true)?;
                self.wrapped("code", &text[at + 2..end].replace('\n', " "));
                Some(end + 2)
            }
            '`' if scan.starts(at, 1) && !rest.starts_with("``") => self.interpreted(scan, at, None),
            ':' => {
                let length = rest[1..]
                    .bytes()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'+'))
                    .count();
                let role = rest[1..=length].strip_suffix(':').filter(|role| !role.is_empty())?;
                let opens = rest[1 + length..].starts_with('`') && scan.starts(at, 1);
                opens.then(|| self.interpreted(scan, at + 1 + length, Some(role)))?
            }
            '|' if scan.starts(at, 1) => {
                let end = scan.end(at + 1, "|", false)?;
                let after = &text[end + 1..];
                let name = normal(&text[at + 1..end]);
                let underscores = after.len() - after.trim_start_matches('_').len();
                if underscores > 0 {
                    let to = self.destination(&name, underscores > 1);
                    self.link(to, |writer| writer.substitute(&name, depth));
                } else {
                    self.substitute(&name, depth);
                }
                Some(end + 1 + underscores.min(2))
            }
            '[' if scan.starts(at, 1) => {
                let length = rest.bytes().take(80).position(|b| b == b']')?;
                if !rest[length + 1..].starts_with('_') || !scan.may_end(at + length + 2) {
                    return None;
                }
                self.note_reference(&rest[1..length]).then_some(at + length + 2)
            }
            '_' if rest.starts_with("_`") && scan.starts(at, 2) => {
                let end = scan.end(at + 2, "`", false)?;
                let name = unescape(&text[at + 2..end]);
                self.anchor(&name);
                self.text(&name);
                Some(end + 1)
            }
            _ if c.is_alphanumeric() => self.word(scan, at),
            _ => None,
        }
    }

    /// `` `text` `` with its role before or behind it, or as a reference.
    fn interpreted(&mut self, scan: &mut Scan<'_>, at: usize, role: Option<&str>) -> Option<usize> {
        let end = scan.end(at + 1, "`", false)?;
        let inner = &scan.text[at + 1..end];
        let rest = &scan.text[end + 1..];
        if role.is_none() && rest.starts_with('_') {
            let anonymous = rest.starts_with("__");
            self.reference(inner, anonymous);
            return Some(end + 2 + usize::from(anonymous));
        }
        if role.is_none()
            && let Some(behind) = rest.strip_prefix(':')
        {
            let length = behind
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+'))
                .count();
            if length > 0 && behind[length..].starts_with(':') {
                self.role(&behind[..length], inner);
                return Some(end + 3 + length);
            }
        }
        self.role(role.unwrap_or("title-reference"), inner);
        Some(end + 1)
    }

    fn role(&mut self, role: &str, inner: &str) {
        let role = role.to_lowercase();
        let text = unescape(inner);
        let number = || text.trim().parse::<u32>().ok();
        match role.as_str() {
            _ if self.is_raw(&role) || role == "raw" => {}
            "emphasis" => self.wrapped("em", &text),
            "strong" => self.wrapped("strong", &text),
            "sub" | "subscript" => self.wrapped("sub", &text),
            "sup" | "superscript" => self.wrapped("sup", &text),
            "title-reference" | "title" | "t" => self.wrapped("cite", &text),
            "abbreviation" | "ab" | "acronym" | "ac" => self.text(&text),
            "pep-reference" | "pep" | "rfc-reference" | "rfc" => {
                let to = match (number(), role.starts_with('p')) {
                    (Some(n), true) => Some(format!("https://peps.python.org/pep-{n:04}/")),
                    (Some(n), false) => Some(format!("https://datatracker.ietf.org/doc/html/rfc{n}.html")),
                    (None, _) => None,
                };
                let label = format!("{} {text}", if role.starts_with('p') { "PEP" } else { "RFC" });
                self.link(to, |writer| writer.text(&label));
            }
            _ => self.wrapped("code", text.trim_start_matches('~')),
        }
    }

    /// `` `text <address>`_ ``, `` `name`_ ``
    fn reference(&mut self, inner: &str, anonymous: bool) {
        let embedded = inner
            .strip_suffix('>')
            .and_then(|text| text.rsplit_once('<'))
            .filter(|(text, _)| text.is_empty() || text.ends_with(char::is_whitespace));
        if let Some((label, address)) = embedded {
            let label = unescape(label.trim());
            let address: String = address.split_whitespace().collect();
            let to = match address.strip_suffix('_').filter(|a| !a.ends_with('\\')) {
                Some(name) => self.destination(&normal(name), false),
                None => Some(link_of(&unescape(&address))),
            };
            let label = if label.is_empty() { unescape(&address) } else { label };
            if !anonymous && let Some(to) = &to {
                self.define(&normal(&label), to.clone());
            }
            self.link(to, |writer| writer.text(&label));
            return;
        }
        let label = unescape(inner);
        let to = self.destination(&normal(&label), anonymous);
        self.link(to, |writer| writer.text(&label));
    }

    /// A word: an address, or a reference `name_`.
    fn word(&mut self, scan: &Scan<'_>, at: usize) -> Option<usize> {
        let rest = &scan.text[at..];
        let inside = scan.before(at).is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '\\'));
        if inside {
            return None;
        }
        if let Some(length) = address_length(rest) {
            let address = unescape(&rest[..length]);
            self.link(Some(address.clone()), |writer| writer.text(&address));
            return Some(at + length);
        }
        let length = word_length(rest);
        let (word, after) = rest.split_at(length);
        if let Some(rest_of) = after.strip_prefix('@') {
            let domain = rest_of.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')).count();
            let whole = rest[..length + 1 + domain].trim_end_matches(['.', '-']);
            if word.is_ascii() && whole[length..].contains('.') {
                self.link(Some(format!("mailto:{whole}")), |writer| writer.text(whole));
                return Some(at + whole.len());
            }
        }
        let name = word.trim_end_matches('_');
        let underscores = word.len() - name.len();
        let ends = scan.may_end(at + length) && !name.is_empty();
        if !(1..=2).contains(&underscores) || !ends {
            return None;
        }
        let to = self.destination(&normal(name), underscores == 2)?;
        self.link(Some(to), |writer| writer.text(name));
        Some(at + length)
    }
}

/// Letters, digits and what joins them, in bytes; at least one character.
fn word_length(text: &str) -> usize {
    let mut length = 0;
    for (at, c) in text.char_indices() {
        if !(c.is_alphanumeric()
            || c == '_'
            || matches!(c, '-' | '.' | '+') && text[at + 1..].starts_with(char::is_alphanumeric) && at > 0)
        {
            break;
        }
        length = at + c.len_utf8();
    }
    length.max(text.chars().next().map_or(0, char::len_utf8))
}

fn address_length(text: &str) -> Option<usize> {
    let scheme = ["https://", "http://", "mailto:"]
        .into_iter()
        .find(|s| text.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s)))?;
    let end =
        text.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`' | '|' | '\\')).unwrap_or(text.len());
    let mut whole = text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*']);
    while whole.ends_with(')') && whole.matches(')').count() > whole.matches('(').count() {
        whole = whole[..whole.len() - 1].trim_end_matches(['.', ',']);
    }
    (whole.len() > scheme.len()).then_some(whole.len())
}

/// Where an address leads; one that is an e-mail address gets its scheme.
pub(super) fn link_of(address: &str) -> String {
    let mail = address.contains('@') && !address.contains([':', '/']);
    if mail { format!("mailto:{address}") } else { address.to_owned() }
}

/// An element's text, for places that take no markup.
pub(super) fn attribute(text: &str) -> String {
    escape(&text.replace('\n', " "))
}
