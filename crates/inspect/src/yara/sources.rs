//! The operator's folder as it is read: by the server, as text. What the text means is found out in the sandbox.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most files of a folder, rules and what they include.
pub const FILES_MAX: usize = 500;
/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Most bytes of all files together.
pub const ALL_BYTES_MAX: usize = 8 << 20;
/// Longest name of a file without its ending, in bytes: it is part of every check's id.
pub const STEM_BYTES_MAX: usize = 60;

/// Files of rules.
const RULES: [&str; 2] = ["yar", "yara"];
/// Files that rules may include.
const INCLUDED: [&str; 2] = ["meta", "inc"];

/// The texts of a folder of rules, by file name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    pub(super) files: BTreeMap<String, String>,
}

impl Sources {
    /// Reads a folder: files ending in `.yar` and `.yara` are rules, `.meta` and `.inc` can be included by them,
    /// everything else, hidden files and folders are passed over.
    ///
    /// # Errors
    /// In words: what cannot be read, is too large, too much, or named in a way that no check's id can hold.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let at = |path: &Path, what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        let entries = fs::read_dir(folder).map_err(|error| at(folder, &error))?;
        let (mut files, mut all) = (BTreeMap::new(), 0);
        for entry in entries {
            let path = entry.map_err(|error| at(folder, &error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some((stem, ending)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else { continue };
            let is_rules = RULES.contains(&ending);
            if name.starts_with('.') || !is_rules && !INCLUDED.contains(&ending) {
                continue;
            }
            // What a link leads to counts: that is how containers are given their settings.
            if !fs::metadata(&path).map_err(|error| at(&path, &error))?.is_file() {
                continue;
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if is_rules && (stem.len() > STEM_BYTES_MAX || !stem.chars().all(plain)) {
                let want =
                    format!("a file of rules is named by at most {STEM_BYTES_MAX} of a-z, A-Z, 0-9, '.', '_', '-'");
                return Err(at(&path, &want));
            }
            let file = fs::File::open(&path).map_err(|error| at(&path, &error))?;
            let mut bytes = Vec::new();
            file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| at(&path, &error))?;
            if bytes.len() > FILE_BYTES_MAX {
                return Err(at(&path, &format!("is larger than {FILE_BYTES_MAX} bytes")));
            }
            let text = String::from_utf8(bytes).map_err(|_| at(&path, &"is not UTF-8"))?;
            all += text.len();
            files.insert(name.to_owned(), text);
            if files.len() > FILES_MAX {
                return Err(at(folder, &format!("holds more than {FILES_MAX} files of rules")));
            }
            if all > ALL_BYTES_MAX {
                return Err(at(folder, &format!("its files are larger than {ALL_BYTES_MAX} bytes together")));
            }
        }
        let sources = Self { files };
        if let Some((stem, _)) = sources
            .rules()
            .map(|(name, _)| stem(name))
            .zip(sources.rules().skip(1))
            .find(|(one, (next, _))| *one == stem(next))
        {
            return Err(at(folder, &format!("'{stem}.yar' and '{stem}.yara' would have the same ids")));
        }
        Ok(sources)
    }

    /// Files of rules, in order.
    pub(super) fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_rules = |name: &str| name.rsplit_once('.').is_some_and(|(_, ending)| RULES.contains(&ending));
        self.files.iter().map(|(name, text)| (name.as_str(), text.as_str())).filter(move |(name, _)| is_rules(name))
    }

    /// The rule of an id as it stands in its file: from its head to the next rule's.
    pub fn text_of(&self, id: &str) -> Option<String> {
        let (file, rule) = id.strip_prefix("yara/")?.split_once('/')?;
        let (_, text) = self.rules().find(|(name, _)| stem(name) == file)?;
        let lines: Vec<&str> = text.lines().collect();
        let begin = lines.iter().position(|line| head(line) == Some(rule))?;
        let length = lines[begin + 1..].iter().position(|line| head(line).is_some()).unwrap_or(lines.len() - begin - 1);
        Some(lines[begin..=begin + length].join("\n").trim_end().to_owned() + "\n")
    }

    /// Names this set of rules: twelve hexadecimal digits.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (name, text) in &self.files {
            for part in [name, text] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        packaging::hash::hex(&hash.finalize()[..6])
    }
}

/// A file's name without its ending.
pub(super) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The rule whose head this line is.
pub(super) fn head(line: &str) -> Option<&str> {
    let mut words = line.split(|c: char| c.is_whitespace() || matches!(c, ':' | '{')).filter(|word| !word.is_empty());
    let first = words.find(|word| !matches!(*word, "private" | "global"))?;
    if first == "rule" { words.next() } else { None }
}
