//! Blocks to HTML. Two passes over one tree: the first learns every target, the second writes.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::inline::{attribute, link_of, unescape};
use super::{Block, Cell, Directive, Table, normal};
use crate::description::clean::ID_PREFIX;
use crate::description::escape;

/// Longest chain of targets that name targets.
const CHAIN_MAX: usize = 8;

#[derive(Debug, Clone)]
enum Where {
    Address(String),
    Name(String),
}

pub(super) struct Writer<'t> {
    out: String,
    bytes_max: usize,
    targets: HashMap<String, Where>,
    anonymous: Vec<String>,
    anonymous_next: usize,
    substitutions: HashMap<String, &'t Directive>,
    raw_roles: HashSet<String>,
    /// Labels as written to labels as shown.
    notes: HashMap<String, String>,
    automatic: Vec<String>,
    automatic_next: usize,
    automatic_notes: usize,
    ids: HashSet<String>,
    inside_link: bool,
}

/// The whole document; `None` when it grew beyond `bytes_max`.
pub(super) fn html(blocks: &[Block], bytes_max: usize) -> Option<String> {
    let mut writer = Writer {
        out: String::new(),
        bytes_max,
        targets: HashMap::new(),
        anonymous: Vec::new(),
        anonymous_next: 0,
        substitutions: HashMap::new(),
        raw_roles: HashSet::new(),
        notes: HashMap::new(),
        automatic: Vec::new(),
        automatic_next: 0,
        automatic_notes: 0,
        ids: HashSet::new(),
        inside_link: false,
    };
    writer.collect(blocks);
    writer.number_notes(blocks);
    // References with an embedded address define a name for the whole text: a first pass finds them.
    writer.blocks(blocks);
    if writer.is_over() {
        return None;
    }
    writer.out.clear();
    writer.ids.clear();
    writer.anonymous_next = 0;
    writer.automatic_next = 0;
    writer.automatic_notes = 0;
    writer.blocks(blocks);
    (!writer.is_over()).then_some(writer.out)
}

fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}

fn id_of(name: &str) -> String {
    format!("{ID_PREFIX}{}", slug(name))
}

fn children(block: &Block) -> Vec<&[Block]> {
    match block {
        Block::Quote(blocks) | Block::Note { blocks, .. } => vec![blocks],
        Block::Bullets(items) | Block::Numbers { items, .. } => items.iter().map(Vec::as_slice).collect(),
        Block::Definitions(items) | Block::Fields(items) | Block::Options(items) => {
            items.iter().map(|(_, blocks)| blocks.as_slice()).collect()
        }
        Block::Table(Table { head, body, .. }) => {
            head.iter().chain(body).flatten().map(|cell| cell.blocks.as_slice()).collect()
        }
        Block::Directive(directive) | Block::Substitution { directive, .. } => vec![&directive.blocks],
        Block::Paragraph(_)
        | Block::Heading { .. }
        | Block::Literal(_)
        | Block::Doctest(_)
        | Block::Lines(_)
        | Block::Target { .. }
        | Block::Role { .. }
        | Block::Rule => Vec::new(),
    }
}

impl<'t> Writer<'t> {
    fn collect(&mut self, blocks: &'t [Block]) {
        let mut waiting: Vec<String> = Vec::new();
        for block in blocks {
            if let Block::Target { name, to } = block {
                self.target(name, to.as_deref(), &mut waiting);
                continue;
            }
            // Targets without an address mean what comes next.
            for name in waiting.drain(..) {
                let here = Where::Address(format!("#{}", id_of(&name)));
                self.targets.insert(name, here);
            }
            if let Block::Heading { text, .. } = block {
                let here = Where::Address(format!("#{}", id_of(text)));
                self.targets.entry(normal(&unescape(text))).or_insert(here);
            } else if let Block::Substitution { name, directive } = block {
                self.substitutions.insert(name.clone(), directive);
            } else if let Block::Role { name, raw: true } = block {
                self.raw_roles.insert(name.clone());
            }
            for inner in children(block) {
                self.collect(inner);
            }
        }
        for name in waiting {
            let here = Where::Address(format!("#{}", id_of(&name)));
            self.targets.insert(name, here);
        }
    }

    /// Learns a target; the names that wait for an address get this one.
    fn target(&mut self, name: &str, to: Option<&str>, waiting: &mut Vec<String>) {
        let Some(to) = to else { return waiting.push(name.to_owned()) };
        let to = place(to);
        for name in waiting.drain(..) {
            self.targets.insert(name, to.clone());
        }
        if !name.is_empty() {
            self.targets.insert(name.to_owned(), to);
        } else if let Where::Address(address) = to {
            self.anonymous.push(address);
        }
    }

    fn number_notes(&mut self, blocks: &[Block]) {
        let mut labels = Vec::new();
        let mut stack: Vec<&Block> = blocks.iter().rev().collect();
        while let Some(block) = stack.pop() {
            if let Block::Note { label, .. } = block {
                labels.push(label.clone());
            }
            for inner in children(block) {
                stack.extend(inner.iter().rev());
            }
        }
        let taken: HashSet<String> = labels.iter().filter(|l| l.bytes().all(|b| b.is_ascii_digit())).cloned().collect();
        let mut next = 1_usize;
        for label in labels {
            let shown = if label.starts_with('#') {
                while taken.contains(&next.to_string()) {
                    next += 1;
                }
                next += 1;
                (next - 1).to_string()
            } else {
                label.clone()
            };
            if label == "#" {
                self.automatic.push(shown)
            } else {
                self.notes.insert(normal(&label), shown);
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.out.len() > self.bytes_max
    }

    pub(super) fn is_raw(&self, role: &str) -> bool {
        self.raw_roles.contains(role)
    }

    pub(super) fn text(&mut self, text: &str) {
        self.out.push_str(&escape(text));
    }

    pub(super) fn wrapped(&mut self, element: &str, text: &str) {
        let _ = write!(self.out, "<{element}>{}</{element}>", escape(text));
    }

    /// A link, or only its text when it leads nowhere or stands inside another.
    pub(super) fn link(&mut self, to: Option<String>, text: impl FnOnce(&mut Self)) {
        let Some(to) = to.filter(|_| !self.inside_link) else { return text(self) };
        let _ = write!(self.out, "<a href=\"{}\">", attribute(&to));
        self.inside_link = true;
        text(self);
        self.inside_link = false;
        self.out.push_str("</a>");
    }

    pub(super) fn define(&mut self, name: &str, to: String) {
        self.targets.entry(name.to_owned()).or_insert(Where::Address(to));
    }

    /// Where a reference leads.
    pub(super) fn destination(&mut self, name: &str, anonymous: bool) -> Option<String> {
        if anonymous {
            self.anonymous_next += 1;
            return self.anonymous.get(self.anonymous_next - 1).cloned();
        }
        let mut name = name.to_owned();
        for _ in 0..CHAIN_MAX {
            match self.targets.get(&name)? {
                Where::Address(address) => return Some(address.clone()),
                Where::Name(next) => name = next.clone(),
            }
        }
        None
    }

    pub(super) fn anchor(&mut self, name: &str) {
        let id = id_of(name);
        self.define(&normal(name), format!("#{id}"));
        if self.ids.insert(id.clone()) {
            let _ = write!(self.out, "<span id=\"{id}\"></span>");
        }
    }

    pub(super) fn note_reference(&mut self, label: &str) -> bool {
        let shown = if label == "#" {
            self.automatic_next += 1;
            self.automatic.get(self.automatic_next - 1).cloned()
        } else {
            self.notes.get(&normal(label)).cloned()
        };
        let Some(shown) = shown else { return false };
        let _ = write!(
            self.out,
            "<a class=\"footnote-ref\" href=\"#{}\">[{}]</a>",
            id_of(&format!("note-{shown}")),
            escape(&shown)
        );
        true
    }

    pub(super) fn substitute(&mut self, name: &str, depth: usize) {
        match self.substitutions.get(name).copied() {
            None => self.text(&format!("|{name}|")),
            Some(directive) => match directive.name.as_str() {
                "image" => self.image(directive),
                "replace" => self.inline(&directive.argument, depth + 1),
                "unicode" => {
                    let text: String =
                        directive.argument.split_whitespace().take_while(|w| *w != "..").map(character).collect();
                    self.text(&text);
                }
                _ => {}
            },
        }
    }

    pub(super) fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            if self.is_over() {
                return;
            }
            self.block(block);
        }
    }

    /// A list item or cell: a single paragraph stands without its element.
    fn compact(&mut self, blocks: &[Block]) {
        if let [Block::Paragraph(text)] = blocks { self.inline(text, 0) } else { self.blocks(blocks) }
    }

    fn element(&mut self, element: &str, text: &str) {
        let _ = write!(self.out, "<{element}>");
        self.inline(text, 0);
        let _ = writeln!(self.out, "</{element}>");
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Paragraph(text) => self.element("p", text),
            Block::Heading { level, text } => {
                let id = id_of(text);
                let level = (*level).min(6);
                let fresh = self.ids.insert(id.clone());
                let _ = if fresh { write!(self.out, "<h{level} id=\"{id}\">") } else { write!(self.out, "<h{level}>") };
                self.inline(text, 0);
                let _ = writeln!(self.out, "</h{level}>");
            }
            Block::Literal(text) | Block::Doctest(text) => self.code(text),
            Block::Quote(blocks) => self.quote(blocks),
            Block::Bullets(items) => self.items("<ul>", "</ul>", items),
            Block::Numbers { kind, start, items } => {
                let open = format!("<ol type=\"{kind}\" start=\"{start}\">");
                self.items(&open, "</ol>", items);
            }
            Block::Definitions(items) => {
                self.out.push_str("<dl>\n");
                for (term, blocks) in items {
                    let (term, classifier) = term.split_once(" : ").unwrap_or((term, ""));
                    self.element("dt", term);
                    if !classifier.is_empty() {
                        self.out.truncate(self.out.len().saturating_sub("</dt>\n".len()));
                        self.out.push_str(" : <em>");
                        self.inline(classifier, 0);
                        self.out.push_str("</em></dt>\n");
                    }
                    self.definition(blocks);
                }
                self.out.push_str("</dl>\n");
            }
            Block::Fields(items) => self.table_of_pairs(items, false),
            Block::Options(items) => self.table_of_pairs(items, true),
            Block::Lines(rows) => self.lines(rows),
            Block::Table(table) => self.table(table),
            Block::Note { label, blocks } => self.note(label, blocks),
            Block::Target { name, to } => {
                if to.is_none() {
                    let id = id_of(name);
                    if self.ids.insert(id.clone()) {
                        let _ = writeln!(self.out, "<span id=\"{id}\"></span>");
                    }
                }
            }
            Block::Substitution { .. } | Block::Role { .. } => {}
            Block::Directive(directive) => self.directive(directive),
            Block::Rule => self.out.push_str("<hr>\n"),
        }
    }

    fn code(&mut self, text: &str) {
        let _ = writeln!(self.out, "<pre><code>{}\n</code></pre>", escape(text));
    }

    fn quote(&mut self, blocks: &[Block]) {
        self.out.push_str("<blockquote>\n");
        let attribution = match blocks.split_last() {
            Some((Block::Paragraph(text), rest)) if !rest.is_empty() => {
                text.strip_prefix("-- ").or_else(|| text.strip_prefix("\u{2014} ")).map(|text| (text, rest))
            }
            _ => None,
        };
        match attribution {
            Some((text, rest)) => {
                self.blocks(rest);
                self.out.push_str("<p class=\"attribution\">\u{2014} ");
                self.inline(text, 0);
                self.out.push_str("</p>\n");
            }
            None => self.blocks(blocks),
        }
        self.out.push_str("</blockquote>\n");
    }

    fn items(&mut self, open: &str, close: &str, items: &[Vec<Block>]) {
        let _ = writeln!(self.out, "{open}");
        for item in items {
            self.out.push_str("<li>");
            match item.split_first() {
                // The usual item: a line, and perhaps a list below it.
                Some((Block::Paragraph(text), rest))
                    if rest.iter().all(|b| matches!(b, Block::Bullets(_) | Block::Numbers { .. })) =>
                {
                    self.inline(text, 0);
                    self.blocks(rest);
                }
                _ => self.blocks(item),
            }
            self.out.push_str("</li>\n");
        }
        let _ = writeln!(self.out, "{close}");
    }

    fn definition(&mut self, blocks: &[Block]) {
        self.out.push_str("<dd>");
        self.compact(blocks);
        self.out.push_str("</dd>\n");
    }

    fn table_of_pairs(&mut self, items: &[(String, Vec<Block>)], code: bool) {
        self.out.push_str("<dl>\n");
        for (name, blocks) in items {
            if code {
                let _ = writeln!(self.out, "<dt><code>{}</code></dt>", escape(name));
            } else {
                self.element("dt", name);
            }
            self.definition(blocks);
        }
        self.out.push_str("</dl>\n");
    }

    fn lines(&mut self, rows: &[(usize, String)]) {
        self.out.push_str("<div class=\"line-block\">\n");
        for (indent, text) in rows {
            self.out.push_str("<div class=\"line\">");
            self.out.extend(std::iter::repeat_n('\u{a0}', (*indent).min(40)));
            if text.is_empty() {
                self.out.push_str("<br>")
            } else {
                self.inline(text, 0)
            }
            self.out.push_str("</div>\n");
        }
        self.out.push_str("</div>\n");
    }

    fn table(&mut self, table: &Table) {
        self.out.push_str("<table>\n");
        if !table.caption.is_empty() {
            self.element("caption", &table.caption);
        }
        for (rows, part, cell) in [(&table.head, "thead", "th"), (&table.body, "tbody", "td")] {
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(self.out, "<{part}>");
            for row in rows {
                self.out.push_str("<tr>");
                row.iter().for_each(|one| self.cell(one, cell));
                self.out.push_str("</tr>\n");
            }
            let _ = writeln!(self.out, "</{part}>");
        }
        self.out.push_str("</table>\n");
    }

    fn cell(&mut self, cell: &Cell, element: &str) {
        let _ = write!(self.out, "<{element}");
        for (name, span) in [("colspan", cell.columns), ("rowspan", cell.rows)] {
            if span > 1 {
                let _ = write!(self.out, " {name}=\"{span}\"");
            }
        }
        self.out.push('>');
        self.compact(&cell.blocks);
        let _ = write!(self.out, "</{element}>");
    }

    fn note(&mut self, label: &str, blocks: &[Block]) {
        let shown = if label == "#" {
            self.automatic_notes += 1;
            self.automatic.get(self.automatic_notes - 1).cloned()
        } else {
            self.notes.get(&normal(label)).cloned()
        };
        let shown = shown.unwrap_or_else(|| label.to_owned());
        let id = id_of(&format!("note-{shown}"));
        let _ =
            write!(self.out, "<div class=\"footnote\" id=\"{id}\"><span class=\"label\">[{}]</span> ", escape(&shown));
        self.compact(blocks);
        self.out.push_str("</div>\n");
    }

    fn directive(&mut self, directive: &Directive) {
        match directive.name.as_str() {
            "image" => {
                self.out.push_str("<p>");
                self.image(directive);
                self.out.push_str("</p>\n");
            }
            "figure" => {
                self.out.push_str("<figure>");
                self.image(directive);
                if !directive.blocks.is_empty() {
                    self.out.push_str("<figcaption>");
                    self.compact(&directive.blocks);
                    self.out.push_str("</figcaption>");
                }
                self.out.push_str("</figure>\n");
            }
            "code" | "code-block" | "sourcecode" | "highlight" | "math" => {
                let mut text = directive.lines.join("\n");
                if directive.name == "math" && !directive.argument.is_empty() {
                    text = format!("{}\n{text}", directive.argument);
                }
                if !text.trim().is_empty() {
                    self.code(&text);
                }
            }
            "parsed-literal" => {
                self.out.push_str("<pre>");
                let first = directive.argument.clone();
                let text = std::iter::once(first).filter(|f| !f.is_empty()).chain(directive.lines.iter().cloned());
                let text: Vec<String> = text.collect();
                self.inline(&text.join("\n"), 0);
                self.out.push_str("</pre>\n");
            }
            // A table of contents repeats the headings; the others would bring in what nobody looked at.
            "contents" | "sectnum" | "section-numbering" | "raw" | "include" | "meta" | "header" | "footer"
            | "title" | "default-role" | "target-notes" | "highlightlang" | "toctree" | "index" | "currentmodule" => {}
            "rubric" => {
                self.out.push_str("<p class=\"rubric\">");
                self.inline(&directive.argument, 0);
                self.out.push_str("</p>\n");
            }
            "epigraph" | "highlights" | "pull-quote" => self.quote(&directive.blocks),
            "compound" | "container" | "class" => self.blocks(&directive.blocks),
            "list-table" => self.list_table(directive),
            "csv-table" => self.csv_table(directive),
            "table" => match directive.blocks.as_slice() {
                [Block::Table(table)] => {
                    let mut table = table.clone();
                    table.caption.clone_from(&directive.argument);
                    self.table(&table);
                }
                other => self.blocks(other),
            },
            name => match admonition(name) {
                Some((class, title)) => self.admonition(class, title, directive),
                // Unknown: as it was written, and nothing is lost.
                None => self.code(&directive.source),
            },
        }
    }

    fn admonition(&mut self, class: &str, title: &str, directive: &Directive) {
        let named = matches!(directive.name.as_str(), "admonition" | "topic" | "sidebar");
        let _ = write!(self.out, "<div class=\"admonition {class}\"><p class=\"admonition-title\">");
        if named {
            self.inline(&directive.argument, 0)
        } else {
            self.text(title)
        }
        if directive.name.starts_with("version") || directive.name == "deprecated" {
            let version = directive.argument.split(' ').next().unwrap_or_default();
            self.text(&format!(" {version}"));
        }
        self.out.push_str("</p>");
        let argument = match directive.name.as_str() {
            name if name.starts_with("version") || name == "deprecated" => {
                directive.argument.split_once(' ').map_or("", |(_, rest)| rest)
            }
            _ if named => "",
            _ => &directive.argument,
        };
        // The first line of an admonition is content.
        match directive.blocks.split_first() {
            Some((Block::Paragraph(text), rest))
                if !argument.is_empty()
                    && directive.source.lines().nth(1).is_some_and(|line| !line.trim().is_empty()) =>
            {
                self.element("p", &format!("{argument}\n{text}"));
                self.blocks(rest);
            }
            _ => {
                if !argument.is_empty() {
                    self.element("p", argument);
                }
                self.blocks(&directive.blocks);
            }
        }
        self.out.push_str("</div>\n");
    }

    pub(super) fn image(&mut self, directive: &Directive) {
        let address: String = directive.argument.split_whitespace().collect();
        let alt = directive.option("alt").unwrap_or_default();
        let to = directive.option("target").map(|target| match target.strip_suffix('_') {
            Some(name) if !target.contains(':') => {
                self.destination(&normal(name.trim_matches('`')), false).unwrap_or_default()
            }
            _ => link_of(target.split_whitespace().collect::<String>().as_str()),
        });
        let size: String = ["width", "height"]
            .into_iter()
            .filter_map(|name| directive.option(name).map(|value| format!(" {name}=\"{}\"", attribute(value.trim()))))
            .collect();
        let image = format!("<img src=\"{}\" alt=\"{}\"{size}>", attribute(&address), attribute(alt));
        self.link(to.filter(|to| !to.is_empty()), |writer| writer.out.push_str(&image));
    }

    fn list_table(&mut self, directive: &Directive) {
        let [Block::Bullets(rows)] = directive.blocks.as_slice() else { return self.code(&directive.source) };
        let head_rows: usize = directive.option("header-rows").and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut table = Table { caption: directive.argument.clone(), head: Vec::new(), body: Vec::new() };
        for (n, row) in rows.iter().enumerate() {
            let [Block::Bullets(cells)] = row.as_slice() else { return self.code(&directive.source) };
            let cells = cells.iter().map(|blocks| Cell { columns: 1, rows: 1, blocks: blocks.clone() }).collect();
            if n < head_rows { table.head.push(cells) } else { table.body.push(cells) }
        }
        self.table(&table);
    }

    fn csv_table(&mut self, directive: &Directive) {
        let own = directive.option("file").is_none() && directive.option("url").is_none();
        let plain = ["delim", "quote", "escape"].iter().all(|name| directive.option(name).is_none());
        if !own || !plain {
            return;
        }
        let head_rows: usize = directive.option("header-rows").and_then(|n| n.parse().ok()).unwrap_or(0);
        let cells = |record: Vec<String>| -> Vec<Cell> {
            let cell = |text: String| Cell { columns: 1, rows: 1, blocks: vec![Block::Paragraph(text)] };
            record.into_iter().map(cell).collect()
        };
        let mut head: Vec<Vec<Cell>> =
            directive.option("header").map(csv).unwrap_or_default().into_iter().map(cells).collect();
        let mut body = Vec::new();
        for (n, record) in csv(&directive.lines.join("\n")).into_iter().enumerate() {
            if n < head_rows { head.push(cells(record)) } else { body.push(cells(record)) }
        }
        self.table(&Table { caption: directive.argument.clone(), head, body });
    }
}

/// Records of comma-separated values (RFC 4180); a space after a comma does not count.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut value) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                value.push('"');
                chars.next();
            }
            '"' if quoted || value.trim().is_empty() => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut value).trim().to_owned()),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut value).trim().to_owned());
                records.push(std::mem::take(&mut record));
            }
            other => value.push(other),
        }
    }
    record.push(value.trim().to_owned());
    records.push(record);
    records.retain(|record| record.iter().any(|value| !value.is_empty()));
    records
}

fn admonition(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "note" => ("note", "Note"),
        "seealso" => ("note", "See also"),
        "admonition" | "topic" | "sidebar" => ("note", ""),
        "tip" => ("tip", "Tip"),
        "hint" => ("tip", "Hint"),
        "important" => ("note", "Important"),
        "warning" => ("warning", "Warning"),
        "attention" => ("warning", "Attention"),
        "caution" => ("caution", "Caution"),
        "danger" => ("danger", "Danger"),
        "error" => ("danger", "Error"),
        "versionadded" => ("note", "Added in version"),
        "versionchanged" => ("note", "Changed in version"),
        "deprecated" => ("warning", "Deprecated since version"),
        _ => return None,
    })
}

/// One word of the directive `unicode`: a code point, or text.
fn character(word: &str) -> String {
    let hex = ["0x", "x", "\\x", "U+", "u", "\\u"].iter().find_map(|prefix| word.strip_prefix(prefix));
    let hex = hex.or_else(|| word.strip_prefix("&#x").and_then(|rest| rest.strip_suffix(';')));
    let code = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).or_else(|| word.parse().ok());
    code.and_then(char::from_u32).map_or_else(|| word.to_owned(), String::from)
}

fn place(to: &str) -> Where {
    let name = to.strip_suffix('_').filter(|_| !to.contains([':', '/']) || to.starts_with('`'));
    match name {
        Some(name) => Where::Name(normal(name.trim_matches('`'))),
        None => Where::Address(link_of(&unescape(&to.split_whitespace().collect::<String>()))),
    }
}
