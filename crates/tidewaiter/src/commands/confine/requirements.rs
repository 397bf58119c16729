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
/// What names such files; pip takes any beginning of these.
const OPTIONS: [&str; 5] = ["--requirement", "--requirements", "--constraint", "--constraints", "--build-constraints"];
/// What pip is told of such files by its environment.
const VARIABLES: [&str; 3] = ["PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"];

/// Refuses a command whose files name another place to install from, or a repository.
pub(super) fn stay(command: &[String], allow_other_hosts: bool) -> Result<()> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut waiting: Vec<PathBuf> = named(&words).into_iter().map(PathBuf::from).collect();
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
            let words: Vec<&str> = line.split_whitespace().collect();
            let file = path.display();
            if let Some(place) = place(&words) {
                bail!(
                    "{file} says {place}: under `run` there is one place to install from, the --index; take that line away"
                );
            }
            if let Some(word) = words.iter().find(|word| !allow_other_hosts && super::names_a_repository(word)) {
                bail!(
                    "{file} says {word}: nobody signs for what is in a repository; take that line away, or let it through \
                     unverified by --allow-other-hosts"
                );
            }
            // Files that a file names lie beside it.
            let folder = path.parent().unwrap_or(Path::new(""));
            waiting.extend(named(&words).into_iter().map(|name| folder.join(name.trim_start_matches("file://"))));
        }
    }
    Ok(())
}

/// The requirements and constraints files that words name: `-r x`, `-rx`, `-qrx`, `--requirement x`, `--req=x`.
fn named<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).copied();
        let value = if word.starts_with("--") {
            let (name, value) = word.split_once('=').map_or((*word, None), |(name, value)| (name, Some(value)));
            let is_one = name.len() > 3 && OPTIONS.iter().any(|option| option.starts_with(name));
            if is_one { value.or(next) } else { None }
        } else {
            let letters = word.strip_prefix('-').unwrap_or_default();
            let first = letters.char_indices().find(|(_, letter)| super::has_value(*letter));
            let value = first.filter(|(_, letter)| "rc".contains(*letter)).map(|(at, _)| &letters[at + 1..]);
            value.and_then(|value| if value.is_empty() { next } else { Some(value) })
        };
        found.extend(value);
    }
    found
}

/// The text of a file; nothing of what is none, or too long. pip says itself what it cannot read.
fn text(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= BYTES_MAX).then(|| decoded(&bytes))
}

/// By its byte order mark, as pip does it.
fn decoded(bytes: &[u8]) -> String {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Lines as pip has them: continued ones are one, comments none, and quotes around words are not of the words.
fn lines(text: &str) -> Vec<String> {
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    let (mut out, mut begun) = (Vec::new(), String::new());
    for line in text.replace("\r\n", "\n").split(ends) {
        let is_comment = line.trim_start().starts_with('#');
        match line.strip_suffix('\\').filter(|_| !is_comment) {
            Some(more) => begun.push_str(more),
            None => {
                begun.push_str(if is_comment { " " } else { "" });
                begun.push_str(line);
                out.push(std::mem::take(&mut begun));
            }
        }
    }
    out.push(begun);
    let said = |line: &String| {
        let is_start = |at: usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
        let comment = line.match_indices('#').map(|(at, _)| at).find(|at| is_start(*at));
        line[..comment.unwrap_or(line.len())].replace(['"', '\'', '\\'], "").trim().to_owned()
    };
    out.iter().map(said).collect()
}

/// The option of a line that names another place, with its value. A folder of this machine is none.
fn place(words: &[&str]) -> Option<String> {
    // Behind a requirement stand options of that requirement, of which none names a place.
    words.first().filter(|first| first.starts_with('-'))?;
    words.iter().enumerate().find_map(|(at, word)| {
        let is_place = super::names_a_place(word, true) || super::is_short_place(word);
        let says = words[at..].iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let is_of_links = word.starts_with("-f") || word.starts_with("--f");
        let value = says.rsplit([' ', '=']).next().unwrap_or_default().trim_start_matches("-f");
        let is_folder = is_of_links && (!value.contains("://") || value.starts_with("file://"));
        (is_place && !is_folder).then_some(says)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Option<String> {
        lines(text).iter().find_map(|line| place(&line.split_whitespace().collect::<Vec<_>>()))
    }

    #[test]
    fn lines_that_name_another_place() {
        for (text, expected) in [
            ("-i https://x.invalid/\ndemo", "-i https://x.invalid/"),
            ("demo\n--extra-index-url https://x.invalid/", "--extra-index-url https://x.invalid/"),
            ("--extra-index-url=https://x.invalid/ # ours", "--extra-index-url=https://x.invalid/"),
            ("--extra \\\n  ${PLACE}", "--extra ${PLACE}"),
            ("--\\\nextra-index-url x", "--extra-index-url x"),
            ("# ours \\\n-i x", "-i x"),
            ("demo\r-i x", "-i x"),
            ("--pre \"--extra-index-url\" x", "--extra-index-url x"),
            ("--extra''-index-url x", "--extra-index-url x"),
            ("-f ./wheels\n-fhttps://x.invalid/", "-fhttps://x.invalid/"),
            ("-f https://x.invalid/#file://", "-f https://x.invalid/#file://"),
            ("-f ./wheels --index-url https://x.invalid/", "--index-url https://x.invalid/"),
            ("--pre --no-index", "--no-index"),
        ] {
            assert_eq!(says(text).as_deref(), Some(expected), "{text}");
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
            assert_eq!(says(text), None, "{text}");
        }
        let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain("-i x".bytes().flat_map(|byte| [byte, 0])).collect();
        assert_eq!(says(&decoded(&wide)).as_deref(), Some("-i x"));
        assert_eq!(says(&decoded(b"\xef\xbb\xbf-i x")).as_deref(), Some("-i x"));
    }

    #[test]
    fn files_are_named_in_many_ways() {
        for text in
            ["-r r.txt", "--requirement=r.txt", "-rr.txt", "-qrr.txt", "-qr r.txt", "--req r.txt", "--constraint r.txt"]
        {
            assert_eq!(named(&text.split(' ').collect::<Vec<_>>()), ["r.txt"], "{text}");
        }
        for text in ["./r-1.0-py3-none-any.whl", "--report r.txt", "-t r.txt", "calc.py r.txt", "-trc r.txt"] {
            assert_eq!(named(&text.split(' ').collect::<Vec<_>>()), Vec::<&str>::new(), "{text}");
        }
    }
}
