//! Rust text taken apart just enough for the rules: code without comments and literals, the literals, and which
//! lines are test code. No parser; what a rule needs beyond this it does not need.

/// One file's text.
#[derive(Debug)]
pub(super) struct Source {
    /// The text with comments and the insides of literals blanked; same lines, same columns (in characters).
    pub(super) code: Vec<char>,
    /// Text literals with the line on which each begins.
    pub(super) literals: Vec<(usize, String)>,
    /// For each line, counted from 1, whether it is test code.
    tests: Vec<bool>,
}

/// A word of the code: identifier or keyword, where it begins, and its line.
pub(super) struct Word {
    pub(super) text: String,
    pub(super) at: usize,
    pub(super) line: usize,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut lexer = Lexer { code: chars.clone(), chars, at: 0, line: 1, literals: Vec::new() };
        lexer.run();
        let Lexer { code, literals, line, .. } = lexer;
        let whole = path.contains("/tests/") || path.ends_with("/tests.rs") || path.starts_with("tests/");
        let mut source = Self { code, literals, tests: vec![whole; line + 2] };
        source.mark_tests();
        source
    }

    pub(super) fn is_test(&self, line: usize) -> bool {
        self.tests.get(line).copied().unwrap_or(false)
    }

    /// Lines that are not test code.
    pub(super) fn lines(&self) -> usize {
        let last = self.code.iter().filter(|c| **c == '\n').count();
        (1..=last).filter(|line| !self.is_test(*line)).count()
    }

    /// Words of the code, in order.
    pub(super) fn words(&self) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        let (mut line, mut open) = (1, false);
        for (at, c) in self.code.iter().enumerate() {
            if c.is_alphanumeric() || *c == '_' {
                if !open {
                    words.push(Word { text: String::new(), at, line });
                }
                if let Some(word) = words.last_mut() {
                    word.text.push(*c);
                }
                open = true;
            } else {
                open = false;
                line += usize::from(*c == '\n');
            }
        }
        words
    }

    /// Whether the code at `at` reads `text`, blanks aside.
    pub(super) fn reads(&self, at: usize, text: &str) -> bool {
        let mut rest = self.code[at.min(self.code.len())..].iter().filter(|c| !c.is_whitespace());
        text.chars().all(|c| rest.next() == Some(&c))
    }

    /// Whether the code just before `at` reads `text`, blanks aside.
    pub(super) fn follows(&self, at: usize, text: &str) -> bool {
        let mut before = self.code[..at].iter().rev().filter(|c| !c.is_whitespace());
        text.chars().rev().all(|c| before.next() == Some(&c))
    }

    pub(super) fn line_of(&self, at: usize) -> usize {
        1 + self.code[..at.min(self.code.len())].iter().filter(|c| **c == '\n').count()
    }

    /// From the first `{` at or after `at` to its `}`; `None` when a `;` outside brackets comes first.
    pub(super) fn block(&self, at: usize) -> Option<(usize, usize)> {
        let (mut depth, mut round, mut open) = (0usize, 0usize, None);
        for (at, c) in self.code.iter().enumerate().skip(at) {
            match c {
                '(' | '[' if open.is_none() => round += 1,
                ')' | ']' if open.is_none() => round = round.saturating_sub(1),
                ';' if open.is_none() && round == 0 => return None,
                '{' => {
                    open = open.or(Some(at));
                    depth += 1;
                }
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some((open?, at));
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn mark_tests(&mut self) {
        const MARK: &str = "#[cfg(test)]";
        let starts: Vec<usize> =
            (0..self.code.len()).filter(|at| self.code[*at] == '#' && self.reads(*at, MARK)).collect();
        for at in starts {
            if let Some((_, end)) = self.block(at + MARK.len()) {
                let (from, to) = (self.line_of(at), self.line_of(end));
                self.tests[from..=to].fill(true);
            }
        }
    }
}

struct Lexer {
    chars: Vec<char>,
    code: Vec<char>,
    at: usize,
    line: usize,
    literals: Vec<(usize, String)>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// Goes on by one; blanked unless it is code.
    fn step(&mut self, is_code: bool) -> char {
        let c = self.peek(0);
        if c == '\n' {
            self.line += 1;
        } else if !is_code && self.at < self.code.len() {
            self.code[self.at] = ' ';
        }
        self.at += 1;
        c
    }

    fn run(&mut self) {
        while self.at < self.chars.len() {
            let starts_word =
                self.at == 0 || !(self.chars[self.at - 1].is_alphanumeric() || self.chars[self.at - 1] == '_');
            match (self.peek(0), self.peek(1)) {
                ('/', '/') => {
                    while self.at < self.chars.len() && self.peek(0) != '\n' {
                        self.step(false);
                    }
                }
                ('/', '*') => self.block_comment(),
                ('"', _) => self.text(),
                ('r', '"' | '#') if starts_word => self.raw_text(1),
                ('b' | 'c', 'r') if starts_word && matches!(self.peek(2), '"' | '#') => self.raw_text(2),
                ('\'', '\\') => self.character(),
                ('\'', _) if self.peek(2) == '\'' => self.character(),
                _ => {
                    self.step(true);
                }
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.step(false);
                    continue;
                }
            }
            self.step(false);
            self.step(false);
            if depth == 0 {
                return;
            }
        }
    }

    fn text(&mut self) {
        let line = self.line;
        let mut text = String::new();
        self.step(true);
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                text.push(self.step(false));
            }
            text.push(self.step(false));
        }
        self.step(true);
        self.literals.push((line, text));
    }

    fn raw_text(&mut self, prefix: usize) {
        let hashes = (0..).take_while(|n| self.peek(prefix + n) == '#').count();
        if self.peek(prefix + hashes) != '"' {
            // `r#name`, an identifier.
            self.step(true);
            return;
        }
        let (line, mut text) = (self.line, String::new());
        for _ in 0..=prefix + hashes {
            self.step(true);
        }
        while self.at < self.chars.len() {
            if self.peek(0) == '"' && (1..=hashes).all(|n| self.peek(n) == '#') {
                break;
            }
            text.push(self.step(false));
        }
        for _ in 0..=hashes {
            self.step(true);
        }
        self.literals.push((line, text));
    }

    fn character(&mut self) {
        self.step(true);
        if self.step(false) == '\\' {
            self.step(false);
        }
        while self.at < self.chars.len() && self.peek(0) != '\'' {
            self.step(false);
        }
        self.step(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r##"
// sqlx in a comment, and 'one quote
fn f<'a>(x: &'a str) -> char { /* a /* nested */ { */ let _ = ("a \" {", r#"raw " {"#, b"x"); '{' }
#[cfg(test)]
mod tests {
    fn g() { '\'' }
}
fn h() {}
"##;

    #[test]
    fn code_is_told_from_the_rest() {
        let source = Source::new("crates/x/src/y.rs", TEXT);
        let words: Vec<String> = source.words().into_iter().map(|word| word.text).collect();
        assert!(!words.contains(&"sqlx".to_owned()) && !words.contains(&"nested".to_owned()), "{words:?}");
        assert_eq!(
            source.literals.iter().map(|(line, text)| (*line, text.as_str())).collect::<Vec<_>>(),
            [(3, "a \\\" {"), (3, "raw \" {"), (3, "x")]
        );
        let function = source.words().into_iter().find(|word| word.text == "f").expect("the function");
        let (open, close) = source.block(function.at).expect("its body");
        assert_eq!((source.line_of(open), source.line_of(close)), (3, 3));
        assert_eq!((1..=8).filter(|line| source.is_test(*line)).collect::<Vec<_>>(), [4, 5, 6, 7]);
    }
}
