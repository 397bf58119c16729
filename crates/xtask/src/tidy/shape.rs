//! Rules about length, and about what is left lying around.

use anyhow::Result;

use super::Found;
use super::tree::Tree;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// Files that are one long table.
const TABLES: &[&str] = &[];

pub(super) fn file_length(tree: &Tree) -> Result<Vec<Found>> {
    let long = tree.rust().filter(|(file, source)| !TABLES.contains(&&*file.path) && source.lines() > FILE_LINES_MAX);
    Ok(long
        .map(|(file, source)| Found::new(&file.path, 0, format!("{} lines without its tests", source.lines())))
        .collect())
}

pub(super) fn function_length(tree: &Tree) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (file, source) in tree.rust() {
        let words = source.words();
        for pair in words.windows(2) {
            let [keyword, name] = pair else { continue };
            if keyword.text != "fn" || source.is_test(keyword.line) {
                continue;
            }
            let Some((_, end)) = source.block(name.at) else { continue };
            let lines = source.line_of(end) - keyword.line + 1;
            if lines > FUNCTION_LINES_MAX {
                found.push(Found::new(&file.path, keyword.line, format!("`{}` has {lines} lines", name.text)));
            }
        }
    }
    Ok(found)
}

/// Written in two parts, so that this file does not find itself.
const LEFTOVERS: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("dbg", "!"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
];

pub(super) fn leftovers(tree: &Tree) -> Result<Vec<Found>> {
    const KINDS: [&str; 6] = [".rs", ".py", ".sh", ".sql", ".css", "/run"];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| KINDS.iter().any(|kind| file.path.ends_with(kind))) {
        for (n, line) in file.text.lines().enumerate() {
            for word in LEFTOVERS {
                let alone = line
                    .match_indices(word)
                    .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word));
                if alone {
                    found.push(Found::new(&file.path, n + 1, word));
                }
            }
        }
    }
    Ok(found)
}

pub(super) fn ignored_tests(tree: &Tree) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (file, source) in tree.rust() {
        for word in source.words().into_iter().filter(|word| word.text == "ignore" && source.follows(word.at, "#[")) {
            found.push(Found::new(&file.path, word.line, "`#[ignore]`"));
        }
    }
    for file in tree.files.iter().filter(|file| file.path.starts_with("tests/") && file.path.ends_with(".py")) {
        for (n, line) in
            file.text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("@pytest.mark.skip"))
        {
            found.push(Found::new(&file.path, n + 1, line.trim()));
        }
    }
    Ok(found)
}

/// A sentence of `thiserror` that holds its cause, on a variant that names the cause as its source besides.
pub(super) fn told_twice(tree: &Tree) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (file, _) in tree.rust() {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for (n, pair) in lines.windows(2).enumerate() {
            let [sentence, variant] = pair else { continue };
            let holds_it = sentence.starts_with("#[error(\"") && sentence.contains("{0}");
            if holds_it && ["(#[from] ", "(#[source] "].iter().any(|attribute| variant.contains(attribute)) {
                found.push(Found::new(&file.path, n + 2, (*variant).to_owned()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    #[test]
    fn functions_and_files_are_refused_one_line_past_the_limit() {
        let function = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        for (lines, refused) in [(FUNCTION_LINES_MAX, 0), (FUNCTION_LINES_MAX + 1, 1)] {
            let tree = Tree { files: vec![File::new("crates/a/src/b.rs", &function(lines))] };
            assert_eq!(function_length(&tree).expect("counts").len(), refused, "{lines}");
        }
        for (lines, refused) in [(FILE_LINES_MAX, 0), (FILE_LINES_MAX + 1, 1)] {
            let tree = Tree { files: vec![File::new("crates/a/src/b.rs", &"\n".repeat(lines))] };
            assert_eq!(file_length(&tree).expect("counts").len(), refused, "{lines}");
        }
    }

    #[test]
    fn a_sentence_with_its_cause_names_no_source() {
        for (sentence, variant, count) in [
            ("#[error(\"it failed: {0}\")]", "Failed(#[from] Cause),", 1),
            ("#[error(\"{0}\")]", "Failed(#[source] Cause),", 1),
            ("#[error(\"it failed: {0}\")]", "Failed(Cause),", 0),
            ("#[error(\"it failed\")]", "Failed(#[from] Cause),", 0),
            ("#[error(transparent)]", "Failed(#[from] Cause),", 0),
        ] {
            let text = format!("enum Error {{\n    {sentence}\n    {variant}\n}}\n");
            let tree = Tree { files: vec![File::new("crates/a/src/b.rs", &text)] };
            assert_eq!(told_twice(&tree).expect("found").len(), count, "{text}");
        }
    }

    #[test]
    fn leftovers_are_words() {
        let text = format!("let a = 1; // {}: later\nlet {}_b = 2;\n", LEFTOVERS[0], LEFTOVERS[2]);
        let tree = Tree { files: vec![File::new("crates/a/src/b.rs", &text)] };
        assert_eq!(leftovers(&tree).expect("counts").len(), 1);
    }
}
