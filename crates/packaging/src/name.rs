//! Project names: as typed, normalised (PEP 503), and folded to catch look-alikes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest project name accepted, in bytes. No specification sets one; the longest of 886,000 public
/// names has 80, and a file name of 255 bytes has to hold a version and tags too.
pub const PROJECT_NAME_BYTES_MAX: usize = 128;

/// A name as its author spells it: ASCII letters, digits, `.`, `_`, `-`, starting and ending with a
/// letter or digit (core metadata specification, "Name"; the grammar is PEP 508's).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ProjectName(String);

/// The text is not a project name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("start and end with a letter or numeral, containing only ASCII numeric and '.', '_' and '-'")]
pub struct InvalidName;

impl ProjectName {
    /// The spelling that was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The PEP 503 form, the key everywhere.
    pub fn normalized(&self) -> NormalizedName {
        let mut out = String::with_capacity(self.0.len());
        for c in self.0.chars() {
            match c {
                '-' | '_' | '.' => {
                    if !out.ends_with('-') {
                        out.push('-');
                    }
                }
                other => out.push(other.to_ascii_lowercase()),
            }
        }
        NormalizedName(out)
    }
}

impl FromStr for ProjectName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner) && bytes.len() <= PROJECT_NAME_BYTES_MAX
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName)
        }
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name in PEP 503 normal form: lower case, runs of `-`, `_`, `.` folded to one `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NormalizedName(String);

impl NormalizedName {
    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in wheel and sdist file names: `-` becomes `_` (PEP 427, PEP 625).
    pub fn in_filename(&self) -> String {
        self.0.replace('-', "_")
    }

    /// What is left when look-alikes are folded: separators dropped, `l` and `i` read as `1`, `o` as `0`.
    /// Two projects with one folded form would be confused by people, so only the first may be made.
    pub fn folded(&self) -> String {
        self.0
            .chars()
            .filter(|c| *c != '-')
            .map(|c| match c {
                'l' | 'i' => '1',
                'o' => '0',
                other => other,
            })
            .collect()
    }
}

impl FromStr for NormalizedName {
    type Err = InvalidName;

    /// Normalises any valid spelling.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Ok(text.parse::<ProjectName>()?.normalized())
    }
}

impl TryFrom<String> for NormalizedName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<NormalizedName> for String {
    fn from(name: NormalizedName) -> Self {
        name.0
    }
}

impl fmt::Display for NormalizedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_fold_and_look_alikes_meet() {
        let name: ProjectName = "Zope.._Interface".parse().expect("a valid name");
        assert_eq!(name.normalized().as_str(), "zope-interface");
        assert_eq!(name.normalized().folded(), "z0pe1nterface");
        assert_eq!(name.normalized().in_filename(), "zope_interface");
    }

    #[test]
    fn names_that_are_none() {
        for text in ["", "-a", "a-", "a b", "é", "a\n", "a/b", &"a".repeat(PROJECT_NAME_BYTES_MAX + 1)] {
            assert_eq!(text.parse::<ProjectName>(), Err(InvalidName), "{text:?}");
        }
        assert!("a".repeat(PROJECT_NAME_BYTES_MAX).parse::<ProjectName>().is_ok());
    }
}
