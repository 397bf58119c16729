//! What tokens and lines alone tell: how deep the text nests, before the parser meets it; and what is odd about
//! how it is written.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use ruff_python_ast::ModModule;
use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, Parsed, lexer};
use ruff_text_size::{Ranged, TextRange, TextSize};
use unicode_normalization::UnicodeNormalization;

use super::Limits;
use super::cut::Cut;
use super::facts::{LayerId, Module, Oddity, OddityKind, Place};
use super::walk::place;

/// Most oddities of one module.
const ODDITIES_MAX: usize = 256;
/// Blanks within a line, before code, that nobody types.
const PUSHED_BLANKS: usize = 100;
/// Bytes of a line of code that nobody reads.
const LONG_LINE: usize = 5_000;
/// Invisible characters in a row.
const INVISIBLE_RUN: u32 = 8;

/// How deep a text nests, by its tokens.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scan {
    brackets: u32,
    strings: u32,
    /// Longest run of tokens without a comma or an end of statement: what an expression can nest by operators.
    chain: u32,
    /// All of them.
    pub(super) tokens: u32,
    /// Whether it could do anything: what imports, calls, decorates and defines nothing is a table.
    acts: bool,
}

impl Scan {
    /// Notes that the text was not parsed.
    pub(super) fn refused(&self, place: Place, module: &mut Module) {
        module.cut(if self.acts { Cut::Dense } else { Cut::Table }, place);
        note(module, OddityKind::Nesting, place, 1, "");
    }
}

/// Reads the tokens and lines, and notes what is odd.
pub(super) fn scan(text: &str, lines: &[u32], layer: LayerId, module: &mut Module) -> Scan {
    let scan = tokens(text);
    long_and_pushed(text, lines, layer, module);
    if !text.is_ascii() {
        hidden(text, lines, layer, module);
    }
    markers(text, layer, module);
    scan
}

fn tokens(text: &str) -> Scan {
    let mut lexer = lexer::lex(text, Mode::Module);
    let mut scan = Scan::default();
    let (mut brackets, mut strings, mut chain) = (0_u32, 0_u32, 0_u32);
    let mut before = TokenKind::Newline;
    loop {
        let kind = lexer.next_token();
        chain += 1;
        let callable = matches!(before, TokenKind::Name | TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace);
        scan.acts |= callable && kind == TokenKind::Lpar;
        before = kind;
        scan.tokens = scan.tokens.saturating_add(1);
        match kind {
            TokenKind::EndOfFile => break,
            TokenKind::Import | TokenKind::Class | TokenKind::At | TokenKind::Unknown => scan.acts = true,
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => brackets += 1,
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace => brackets = brackets.saturating_sub(1),
            TokenKind::FStringStart | TokenKind::TStringStart => strings += 1,
            TokenKind::FStringEnd | TokenKind::TStringEnd => strings = strings.saturating_sub(1),
            TokenKind::Comma | TokenKind::Newline | TokenKind::Semi => {
                scan.chain = scan.chain.max(chain);
                chain = 0;
                if kind == TokenKind::Newline {
                    brackets = 0;
                }
            }
            _ => {}
        }
        scan.brackets = scan.brackets.max(brackets);
        scan.strings = scan.strings.max(strings);
    }
    scan.chain = scan.chain.max(chain);
    scan
}

/// Parses, unless it nests deeper than Python reads. The parser takes more stack as it needs it, for all but
/// strings within strings, which are bounded here. `held` are the tokens of the texts around this one.
pub(super) fn parse(text: &str, scan: &Scan, held: u32, limits: &Limits) -> Option<Parsed<ModModule>> {
    let shallow = scan.brackets <= limits.brackets_max && scan.strings <= limits.strings_max;
    let fits = shallow && scan.chain <= limits.chain_max && held.saturating_add(scan.tokens) <= limits.tokens_max;
    let parse = || ruff_python_parser::parse_unchecked_source(text, ruff_python_ast::PySourceType::Python);
    fits.then(|| deep(scan, parse))
}

/// Gives a tree back: long chains of operators are dropped by recursion.
pub(super) fn release(parsed: Parsed<ModModule>, scan: &Scan) {
    deep(scan, || drop(parsed));
}

fn deep<T>(scan: &Scan, work: impl FnOnce() -> T) -> T {
    /// Stack that one link of a chain takes, in bytes, generously.
    const LINK: usize = 1 << 10;
    let need = scan.chain as usize * LINK + (256 << 10);
    stacker::maybe_grow(need, need + (256 << 10), work)
}

/// Notes an oddity, within bounds.
pub(super) fn note(module: &mut Module, kind: OddityKind, place: Place, count: u32, what: &str) {
    let same = module.oddities.iter().filter(|oddity| oddity.kind == kind).count();
    let known = module.oddities.iter().any(|oddity| oddity.kind == kind && oddity.place == place);
    if !known && same < 16 && module.oddities.len() < ODDITIES_MAX {
        module.oddities.push(Oddity { kind, place, count, what: super::shorten(what, 120) });
    }
}

/// Names made of letters that look alike.
#[derive(Debug, Default)]
struct LookAlikes {
    seen: std::collections::BTreeSet<String>,
    first: Option<TextRange>,
}

impl LookAlikes {
    fn conclude(self, text: &str, lines: &[u32], layer: LayerId, module: &mut Module) {
        let Some(range) = self.first.filter(|_| self.seen.len() >= 3) else { return };
        let what = self.seen.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(" ");
        note(module, OddityKind::LookAlikeNames, place(text, lines, layer, range), self.seen.len() as u32, &what);
    }
}

fn name(
    word: &str,
    range: TextRange,
    text: &str,
    lines: &[u32],
    layer: LayerId,
    module: &mut Module,
    alike: &mut LookAlikes,
) {
    if word.is_ascii() {
        let all = |set: &[u8]| word.len() >= 6 && word.bytes().all(|b| set.contains(&b));
        let mixed = |set: &[u8]| all(set) && word.bytes().collect::<std::collections::BTreeSet<_>>().len() >= 2;
        if (mixed(b"lI1|_") || mixed(b"O0o_") || all(b"_") || mixed(b"lI1O0_")) && alike.seen.len() < 64 {
            alike.seen.insert(word.to_owned());
            alike.first.get_or_insert(range);
        }
        return;
    }
    let plain: String = word.nfkc().collect();
    if plain != word && plain.is_ascii() {
        note(module, OddityKind::StyledName, place(text, lines, layer, range), word.chars().count() as u32, word);
    }
    let latin = word.chars().any(|c| c.is_ascii_alphabetic());
    let cyrillic = word.chars().any(|c| matches!(c, '\u{400}'..='\u{52f}'));
    let greek = word.chars().filter(|c| matches!(c, '\u{370}'..='\u{3ff}')).count();
    // One Greek letter in a name is mathematics.
    if latin && (cyrillic || greek >= 2 && word.chars().any(|c| matches!(c, 'ο' | 'ν' | 'ρ' | 'Α' | 'Ε' | 'Ο'))) {
        note(module, OddityKind::MixedScripts, place(text, lines, layer, range), word.chars().count() as u32, word);
    }
}

fn long_and_pushed(text: &str, lines: &[u32], layer: LayerId, module: &mut Module) {
    for (n, start) in lines.iter().enumerate() {
        let end = lines.get(n + 1).map_or(text.len(), |end| *end as usize);
        let length = end - *start as usize;
        if length <= PUSHED_BLANKS {
            continue;
        }
        let Some(line) = text.get(*start as usize..end) else { continue };
        let at = |offset: usize| TextRange::empty(TextSize::from(*start + offset as u32));
        let goes_on = || {
            let before = text.get(..*start as usize).unwrap_or_default().trim_end();
            before.ends_with([',', '(', '[', '{', '\\', '+', '=', '|', '&', '%', '.'])
        };
        if has_blanks(line)
            && let Some((offset, blanks)) = pushed(line, goes_on())
        {
            let what = line[offset..].trim();
            note(module, OddityKind::PushedRight, place(text, lines, layer, at(offset)), blanks as u32, what);
        }
        if length > LONG_LINE && line.bytes().filter(|b| matches!(b, b'(' | b'=' | b';')).count() > 20 {
            note(module, OddityKind::LongLine, place(text, lines, layer, at(0)), length as u32, line.trim());
        }
    }
}

/// Whether so many blanks may stand in a row: wherever they stand, one of every [`PUSHED_BLANKS`] bytes is of them.
fn has_blanks(line: &str) -> bool {
    line.bytes().skip(PUSHED_BLANKS - 1).step_by(PUSHED_BLANKS).any(|byte| matches!(byte, b' ' | b'\t'))
}

/// Where code begins after a hundred blanks, other than a comment or a closing bracket of a table. The blanks that
/// begin a line that goes on with the one before are its indentation, unless a statement's end follows them.
fn pushed(line: &str, goes_on: bool) -> Option<(usize, usize)> {
    let bytes = line.as_bytes();
    let mut run = 0;
    for (n, byte) in bytes.iter().enumerate() {
        if matches!(byte, b' ' | b'\t') {
            run += 1;
            continue;
        }
        if run >= PUSHED_BLANKS {
            let rest = line.get(n..)?.trim_end();
            let code = rest.starts_with(';')
                || !(goes_on && run == n)
                    && rest.contains('(')
                    && !rest.starts_with(['#', '"', '\'', ')', ']', '}', '|', '\\']);
            if code {
                return Some((n, run));
            }
        }
        run = 0;
    }
    None
}

fn hidden(text: &str, lines: &[u32], layer: LayerId, module: &mut Module) {
    let invisible = |c: char| matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e01ef}' | '\u{180e}');
    let mut run = 0;
    for (at, c) in text.char_indices() {
        let range = TextRange::empty(TextSize::from(at as u32));
        if matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            note(module, OddityKind::Bidi, place(text, lines, layer, range), 1, &format!("U+{:04X}", u32::from(c)));
        }
        run = if invisible(c) { run + 1 } else { 0 };
        if run == INVISIBLE_RUN {
            note(
                module,
                OddityKind::Invisible,
                place(text, lines, layer, range),
                run,
                &format!("U+{:04X}", u32::from(c)),
            );
        }
    }
}

/// Marks that obfuscators leave, and whose they are.
const TOOLS: [(&str, &str); 12] = [
    ("__pyarmor__", "PyArmor"),
    ("pyarmor_runtime", "PyArmor"),
    ("pytransform", "PyArmor"),
    ("Hyperion", "Hyperion"),
    ("billythegoat356", "Hyperion/Kramer"),
    ("Kramer", "Kramer"),
    ("BlankOBF", "BlankOBF"),
    ("Blank-OBF", "BlankOBF"),
    ("pyobfuscate", "pyobfuscate"),
    ("PyObfuscator", "PyObfuscator"),
    ("freecodingtools.org", "freecodingtools"),
    ("Obfuscated with", "obfuscator"),
];
/// Names of analysts' machines and users, and of what runs there.
const MACHINES: [&str; 20] = [
    "WDAGUtilityAccount",
    "Harry Johnson",
    "DESKTOP-NAKFFMT",
    "WIN-5E07COS9ALR",
    "B30F0242-1C6A-4",
    "BEE7370C-8C0C-4",
    "QarZhrdBpj",
    "ORELEEPC",
    "JOANNA",
    "d1bnJkfVlH",
    "JULIA-PC",
    "BEA-CHI",
    "hmarc",
    "patex",
    "RDhJ0CNFevzX",
    "vmtoolsd",
    "vboxservice",
    "sandboxie",
    "wireshark",
    "fiddler",
];
const MARKS: usize = TOOLS.len() + MACHINES.len();

/// Marks that obfuscators leave, and lists of analysts' machines.
fn markers(text: &str, layer: LayerId, module: &mut Module) {
    let whole = Place { layer, line: 1, column: 1 };
    let first = first_places(text);
    for (n, (_, tool)) in TOOLS.into_iter().enumerate() {
        if let Some(at) = first[n] {
            let line = text[..at].bytes().filter(|b| *b == b'\n').count() as u32 + 1;
            note(module, OddityKind::Obfuscator, Place { line, ..whole }, 1, tool);
        }
    }
    let is_there = |(n, name): (usize, &&'static str)| first[TOOLS.len() + n].map(|_| *name);
    let found: Vec<&str> = MACHINES.iter().enumerate().filter_map(is_there).collect();
    if found.len() >= 4 {
        note(module, OddityKind::SandboxNames, whole, found.len() as u32, &found.join(" "));
    }
}

/// Where each mark and each name stands first, by one pass over the text.
fn first_places(text: &str) -> [Option<usize>; MARKS] {
    let mut first = [None; MARKS];
    let Some(marks) = marks() else { return first };
    // Most texts hold none, and that is told faster than what they hold.
    if !marks.is_match(text) {
        return first;
    }
    let mut missing = MARKS;
    for found in marks.find_overlapping_iter(text) {
        let place = &mut first[found.pattern().as_usize()];
        if place.is_none() {
            *place = Some(found.start());
            missing -= 1;
            if missing == 0 {
                break;
            }
        }
    }
    first
}

fn marks() -> Option<&'static AhoCorasick> {
    static AUTOMATON: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let build = || {
        let all = TOOLS.iter().map(|(mark, _)| *mark).chain(MACHINES);
        AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(all).ok()
    };
    AUTOMATON.get_or_init(build).as_ref()
}

/// See [`super::prepare`].
pub(super) fn prepare() {
    marks();
}

/// Notes names that are not what they look like, and what the parser could not read.
pub(super) fn conclude(parsed: &Parsed<ModModule>, text: &str, lines: &[u32], layer: LayerId, module: &mut Module) {
    let mut names = LookAlikes::default();
    for token in parsed.tokens().iter().filter(|token| token.kind() == TokenKind::Name) {
        name(&text[token.range()], token.range(), text, lines, layer, module, &mut names);
    }
    names.conclude(text, lines, layer, module);
    errors(parsed, text, lines, layer, module);
}

fn errors(parsed: &Parsed<ModModule>, text: &str, lines: &[u32], layer: LayerId, module: &mut Module) {
    let errors = parsed.errors();
    if let Some(first) = errors.first() {
        let at = place(text, lines, layer, first.range());
        note(module, OddityKind::SyntaxError, at, errors.len() as u32, &first.error.to_string());
    }
}
