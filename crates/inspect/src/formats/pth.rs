//! Path files as `site` reads them at every start: a line that begins with `import` is run, any other is a folder to be
//! searched for modules.
//!
//! Where a line ends depends on the interpreter: older ones read text files (LF, CR), newer ones split by
//! `str.splitlines`, behind a byte order mark that they take off. A line here is one of either.

/// Most lines that are looked at.
const LINES_MAX: usize = 10_000;

/// One line, as some interpreter reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its line of the file as editors count, from 1.
    pub number: u32,
    /// What stands in it.
    pub text: String,
    /// It is run, and is no folder.
    pub runs: bool,
}

/// What ends a line besides a line feed, as `str.splitlines` has it.
pub fn ends_line(c: char) -> bool {
    c == '\r' || ends_for_some(c) && c != char::REPLACEMENT_CHARACTER
}

/// What ends a line for newer interpreters alone. A byte that is no UTF-8 may be one of these in the machine's encoding.
fn ends_for_some(c: char) -> bool {
    matches!(
        c,
        '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}' | char::REPLACEMENT_CHARACTER
    )
}

/// The lines that mean something, in their order.
pub fn lines(bytes: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut found = Vec::new();
    for (number, line) in (1u32..).zip(text.split('\n')) {
        for whole in line.split('\r') {
            // The whole as older interpreters have it, and what newer ones see behind its first part.
            for text in std::iter::once(whole).chain(whole.split(ends_for_some).skip(1)) {
                let text = text.trim_end();
                if text.is_empty() || text.starts_with('#') {
                    continue;
                }
                if found.len() == LINES_MAX {
                    return found;
                }
                let runs = text.starts_with("import ") || text.starts_with("import\t");
                found.push(Line { number, text: text.to_owned(), runs });
            }
        }
    }
    found
}

/// Whether there are more lines than are looked at.
pub fn is_cut(bytes: &[u8]) -> bool {
    lines(bytes).len() == LINES_MAX
}

/// What is run as Python, each line where it stands; what shares one with another follows behind the last.
pub fn source(bytes: &[u8]) -> Vec<u8> {
    let mut at_place: Vec<String> = Vec::new();
    let mut behind: Vec<String> = Vec::new();
    for line in lines(bytes).into_iter().filter(|line| line.runs) {
        let number = line.number as usize;
        if at_place.len() < number {
            at_place.resize(number - 1, String::new());
            at_place.push(line.text);
        } else {
            behind.push(line.text);
        }
    }
    at_place.append(&mut behind);
    at_place.join("\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what any interpreter runs is seen, wherever it thinks that a line begins.
    #[test]
    fn lines_are_those_of_every_interpreter() {
        let run = |text: &str| -> Vec<(u32, String)> {
            let runs = lines(text.as_bytes()).into_iter().filter(|line| line.runs);
            runs.map(|line| (line.number, line.text)).collect()
        };
        for end in
            ["\n", "\r", "\r\n", "\u{b}", "\u{c}", "\u{1c}", "\u{1d}", "\u{1e}", "\u{85}", "\u{2028}", "\u{2029}"]
        {
            let found = run(&format!("# x{end}import os"));
            assert_eq!(found.len(), 1, "{end:?}");
            assert_eq!(found[0].1, "import os", "{end:?}");
        }
        assert_eq!(run("\u{feff}import os\n"), [(1, "import os".to_owned())]);
        assert_eq!(run("import os;\u{c}os.abort()").len(), 1, "older interpreters run all of it");
        assert_eq!(run(" import os\n#import os\nimportlib\n"), []);
        assert!(
            lines(b"# \x85import os\n").iter().any(|line| line.runs),
            "as a machine with another encoding reads it"
        );
        let folders: Vec<String> =
            lines(b"./vendored\n\nimport a\n").into_iter().filter(|line| !line.runs).map(|line| line.text).collect();
        assert_eq!(folders, ["./vendored"]);
        assert_eq!(source(b"a\nimport b\n#\x0cimport c\n"), b"\nimport b\nimport c");
        assert_eq!(source(b"import a\rimport b\nimport c"), b"import a\nimport c\nimport b");
    }
}
