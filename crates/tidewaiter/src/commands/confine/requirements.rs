//! What requirements files say of other places. A pip that cannot reach one goes on with the others, so that it would install
//! the rest of the file before our refusal is told: the command is not run at all.
//!
//! Whatever is not seen here, such as a file of a file that lies elsewhere, still meets the proxy.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Files looked into for one command.
const FILES_MAX: usize = 200;
/// Length of one, in bytes; what is longer is no list of requirements that a person wrote.
const BYTES_MAX: u64 = 4 << 20;
/// How far into a word of short options the name of a file may begin: `-rx`, `-qrx`.
const FLAGS_MAX: usize = 5;
/// What pip is told of such files by its environment.
const VARIABLES: [&str; 3] = ["PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"];

/// Refuses a command whose files name another place to install from.
pub(super) fn stay(command: &[String]) -> Result<()> {
    let mut waiting: Vec<PathBuf> = command.iter().flat_map(|word| named(word)).map(PathBuf::from).collect();
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy().to_ascii_uppercase().replace('-', "_");
        if VARIABLES.contains(&name.as_str()) {
            waiting.extend(value.to_string_lossy().split_whitespace().map(PathBuf::from));
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if seen.len() == FILES_MAX || !seen.insert(path.clone()) {
            continue;
        }
        for line in text(&path).map(|text| lines(&text)).unwrap_or_default() {
            if let Some(place) = place(&line) {
                bail!(
                    "{} says {place}: under `run` there is one place to install from, the --index; take that line away",
                    path.display()
                );
            }
            // Files that a file names lie beside it.
            let folder = path.parent().unwrap_or(Path::new(""));
            waiting.extend(line.split_whitespace().flat_map(named).map(|name| folder.join(name)));
        }
    }
    Ok(())
}

/// What in a word may name a file: all of it, the value of an option, the rest of short ones. Which option it is makes no
/// difference: a file that is none of requirements has no such lines.
fn named(word: &str) -> impl Iterator<Item = &str> {
    let is_short = word.starts_with('-') && !word.starts_with("--");
    let rests = (2..FLAGS_MAX).filter(move |_| is_short).filter_map(|at| word.get(at..));
    let value = word.split_once('=').map(|(_, value)| value);
    std::iter::once(word).chain(value).chain(rests).filter(|name| !name.is_empty())
}

/// The text of a file; nothing of what is none, or too long. pip says itself what it cannot read.
fn text(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= BYTES_MAX).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Lines as pip has them: continued ones are one, and comments none.
fn lines(text: &str) -> Vec<String> {
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let comment = |line: &str| {
        line.match_indices('#')
            .map(|(at, _)| at)
            .find(|at| line[..*at].chars().next_back().is_none_or(char::is_whitespace))
    };
    text.lines().map(|line| line[..comment(line).unwrap_or(line.len())].trim().to_owned()).collect()
}

/// The option of a line that names another place. A folder of this machine is none.
fn place(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    // Behind a requirement stand options of that requirement, of which none names a place.
    words.first().filter(|first| first.starts_with('-'))?;
    words.iter().enumerate().find_map(|(at, word)| {
        let is_place = super::names_a_place(word) || super::is_short_place(word);
        let says = words[at..].iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let is_of_links = word.starts_with("-f") || word.starts_with("--f");
        let is_folder = is_of_links && (!says.contains("://") || says.contains("file://"));
        (is_place && !is_folder).then_some(says)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_name_another_place() {
        for (text, says) in [
            ("-i https://x.invalid/\ndemo", "-i https://x.invalid/"),
            ("demo\n--extra-index-url https://x.invalid/", "--extra-index-url https://x.invalid/"),
            ("--extra-index-url=https://x.invalid/ # ours", "--extra-index-url=https://x.invalid/"),
            ("--extra \\\n  ${PLACE}", "--extra ${PLACE}"),
            ("-f ./wheels\n-fhttps://x.invalid/", "-fhttps://x.invalid/"),
            ("-f ./wheels --index-url https://x.invalid/", "--index-url https://x.invalid/"),
            ("--pre --no-index", "--no-index"),
        ] {
            assert_eq!(lines(text).iter().find_map(|line| place(line)).as_deref(), Some(says), "{text}");
        }
        for text in [
            "demo==1.0 --hash=sha256:00",
            "# -i https://x.invalid/\ndemo # --index-url x",
            "-r more.txt\n-c bounds.txt\n-e .",
            "--find-links ./wheels",
            "-f file:///wheels",
            "demo @ https://x.invalid/demo-1-py3-none-any.whl",
            "import index-url",
        ] {
            assert_eq!(lines(text).iter().find_map(|line| place(line)), None, "{text}");
        }
    }

    #[test]
    fn files_are_named_in_many_ways() {
        for word in ["r.txt", "--requirement=r.txt", "-rr.txt", "-qrr.txt"] {
            assert!(named(word).any(|name| name == "r.txt"), "{word}");
        }
    }
}
