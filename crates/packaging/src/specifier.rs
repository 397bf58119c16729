//! Version specifiers (PEP 440): what `Requires-Python` holds, and a requirement's versions.

use std::fmt;
use std::str::FromStr;

use crate::version::Version;

/// Longest first: `===` starts with `==`.
const OPERATORS: [&str; 8] = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"];

/// A set of clauses, all of which must hold. Displays sorted, without white space; versions stay as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Specifiers(Vec<String>);

/// The text is not a set of version specifiers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a version specifier")]
pub struct InvalidSpecifier(String);

impl Specifiers {
    /// Whether any version will do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Specifiers {
    type Err = InvalidSpecifier;

    /// Clauses stand between commas; empty ones are passed over, as the installers do.
    fn from_str(text: &str) -> Result<Self, InvalidSpecifier> {
        let mut clauses: Vec<String> = text
            .split(',')
            .map(str::trim)
            .filter(|clause| !clause.is_empty())
            .map(|clause| normal_clause(clause).ok_or_else(|| InvalidSpecifier(clause.to_owned())))
            .collect::<Result<_, _>>()?;
        clauses.sort();
        clauses.dedup();
        Ok(Self(clauses))
    }
}

impl fmt::Display for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// The operator at the start of a text.
pub(crate) fn operator(text: &str) -> Option<&'static str> {
    OPERATORS.into_iter().find(|operator| text.starts_with(operator))
}

/// One clause without white space; `None` when the operator does not take what follows it.
fn normal_clause(clause: &str) -> Option<String> {
    let operator = operator(clause)?;
    let version = clause[operator.len()..].trim_start();
    let fits = match operator {
        // PEP 440, "Arbitrary equality": any text, compared as text.
        "===" => !version.contains(|c: char| c.is_whitespace() || matches!(c, ';' | ')')),
        "==" | "!=" => match version.strip_suffix(".*") {
            None => spelled(version).is_some(),
            // "Version matching": a prefix is an epoch and a release, nothing more.
            Some(prefix) => spelled(prefix).is_some_and(|version| version.is_release_only()),
        },
        "~=" => spelled(version).is_some_and(|version| !version.is_local() && version.release_len() > 1),
        _ => spelled(version).is_some_and(|version| !version.is_local()),
    };
    fits.then(|| format!("{operator}{version}"))
}

/// A version without the white space that a version standing alone may have around it.
fn spelled(text: &str) -> Option<Version> {
    if text.contains(char::is_whitespace) { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::Specifiers;

    #[test]
    fn clauses_are_sorted_and_held_to_their_operator() {
        let set: Specifiers = " <4, >= 3.8 ,!=3.9.*,, ===x,".parse().expect("valid");
        assert_eq!(set.to_string(), "!=3.9.*,<4,===x,>=3.8");
        assert!("".parse::<Specifiers>().expect("valid").is_empty());
        for bad in [">=1.0.*", "~=1", "~=1.0+a", ">1+a", "==1.0rc1.*", "3.8", "=3.8", ">=3.8 <4", ">=", "=>3"] {
            assert!(bad.parse::<Specifiers>().is_err(), "{bad}");
        }
    }
}
