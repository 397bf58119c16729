//! The part of reStructuredText that package descriptions use, as HTML.
//!
//! `block` cuts the text into a tree, `table` reads tables, `inline` and `write` make HTML of it. What it does not
//! know is shown as it was written, block by block; `raw` and `include` are shown as nothing. Every limit ends in
//! the whole text being shown as it was written. Specification: docutils, "reStructuredText Markup Specification".

mod block;
mod inline;
mod table;
mod write;

/// Deepest nesting of lists, quotes and directives.
const DEPTH_MAX: usize = 24;
/// How much larger than the text its HTML may be, in bytes: substitutions inside substitutions grow fast.
const GROWTH_MAX: usize = 8;

/// A block of the document.
#[derive(Debug, Clone, PartialEq)]
enum Block {
    Paragraph(String),
    Heading {
        level: usize,
        text: String,
    },
    Literal(String),
    Doctest(String),
    Quote(Vec<Block>),
    Bullets(Vec<Vec<Block>>),
    Numbers {
        kind: char,
        start: usize,
        items: Vec<Vec<Block>>,
    },
    /// Terms are one line each; classifiers stay in it.
    Definitions(Vec<(String, Vec<Block>)>),
    Fields(Vec<(String, Vec<Block>)>),
    Options(Vec<(String, Vec<Block>)>),
    /// Indentation and text of each line.
    Lines(Vec<(usize, String)>),
    Table(Table),
    Note {
        label: String,
        blocks: Vec<Block>,
    },
    Target {
        name: String,
        to: Option<String>,
    },
    Substitution {
        name: String,
        directive: Directive,
    },
    Role {
        name: String,
        raw: bool,
    },
    Directive(Directive),
    Rule,
}

/// `.. name:: arguments`, options and what is indented below.
#[derive(Debug, Clone, PartialEq)]
struct Directive {
    name: String,
    argument: String,
    options: Vec<(String, String)>,
    /// The content, for those who read it as lines.
    lines: Vec<String>,
    /// The content, for those who read it as blocks.
    blocks: Vec<Block>,
    /// All of it as it was written.
    source: String,
}

impl Directive {
    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Cell {
    columns: usize,
    rows: usize,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq)]
struct Table {
    caption: String,
    head: Vec<Vec<Cell>>,
    body: Vec<Vec<Cell>>,
}

/// The text as HTML that nobody may trust yet; `None` when a limit was passed.
pub(super) fn html(text: &str) -> Option<String> {
    let lines: Vec<String> = text.lines().map(|line| expand_tabs(line.trim_end())).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let blocks = block::Parser::new().document(&lines)?;
    write::html(&blocks, text.len() * GROWTH_MAX + (64 << 10))
}

fn expand_tabs(line: &str) -> String {
    if !line.contains('\t') {
        return line.to_owned();
    }
    let mut out = String::new();
    let mut column = 0;
    for c in line.chars() {
        if c == '\t' {
            let to = (column / 8 + 1) * 8;
            out.extend(std::iter::repeat_n(' ', to - column));
            column = to;
        } else {
            out.push(c);
            column += 1;
        }
    }
    out
}

/// How far a line is indented, in bytes, all of them spaces.
fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// A name as references compare it: case and runs of white space do not count.
fn normal(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
