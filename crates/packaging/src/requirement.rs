//! Requirements (PEP 508), read as the installers' `packaging` library reads them: the same grammar, the same
//! white space, and a bounded depth, for the text comes from strangers. Markers are kept, not evaluated.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::name::{NormalizedName, ProjectName};
use crate::specifier::{Specifiers, operator};

/// Deepest nesting of parentheses in a marker.
pub const MARKER_DEPTH_MAX: usize = 32;

/// What a release needs: a name, extras, versions or a URL, and a marker that says when.
///
/// Displays in one form for all spellings: extras normalised and sorted, specifiers sorted, markers with double
/// quotes and no needless parentheses. The name stays as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The project, as written.
    pub name: ProjectName,
    /// Normalised, sorted, each once.
    pub extras: Vec<NormalizedName>,
    /// Which versions; empty where a URL stands.
    pub specifiers: Specifiers,
    /// A direct reference.
    pub url: Option<String>,
    marker: Option<Vec<Part>>,
}

/// Why a text is no requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRequirement(String);

/// A marker is a row of comparisons and groups with `and` and `or` between them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Comparison(String),
    Group(Vec<Part>),
    Word(&'static str),
}

impl Requirement {
    /// The marker in its printed form.
    pub fn marker(&self) -> Option<String> {
        self.marker.as_ref().map(|parts| print_marker(parts))
    }
}

impl FromStr for Requirement {
    type Err = InvalidRequirement;

    fn from_str(text: &str) -> Result<Self, InvalidRequirement> {
        let mut reader = Reader { rest: text, depth: 0 };
        reader.requirement().map_err(InvalidRequirement)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if !self.extras.is_empty() {
            let extras: Vec<&str> = self.extras.iter().map(NormalizedName::as_str).collect();
            write!(f, "[{}]", extras.join(","))?;
        }
        write!(f, "{}", self.specifiers)?;
        if let Some(url) = &self.url {
            write!(f, " @ {url}")?;
        }
        match (self.marker(), &self.url) {
            (None, _) => Ok(()),
            (Some(marker), None) => write!(f, "; {marker}"),
            // Without the space the semicolon would belong to the URL.
            (Some(marker), Some(_)) => write!(f, " ; {marker}"),
        }
    }
}

fn print_marker(parts: &[Part]) -> String {
    let texts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Part::Comparison(text) => text.clone(),
            Part::Group(inner) => format!("({})", print_marker(inner)),
            Part::Word(word) => (*word).to_owned(),
        })
        .collect();
    texts.join(" ")
}

/// The environment markers, older spellings with a dot included, and what each is now called.
const VARIABLES: [(&str, &str); 19] = [
    ("python_version", "python_version"),
    ("python_full_version", "python_full_version"),
    ("os_name", "os_name"),
    ("os.name", "os_name"),
    ("sys_platform", "sys_platform"),
    ("sys.platform", "sys_platform"),
    ("platform_release", "platform_release"),
    ("platform_system", "platform_system"),
    ("platform_version", "platform_version"),
    ("platform.version", "platform_version"),
    ("platform_machine", "platform_machine"),
    ("platform.machine", "platform_machine"),
    ("platform_python_implementation", "platform_python_implementation"),
    ("platform.python_implementation", "platform_python_implementation"),
    ("python_implementation", "platform_python_implementation"),
    ("implementation_name", "implementation_name"),
    ("implementation_version", "implementation_version"),
    // PEP 751 adds the plural and the groups.
    ("extra", "extra"),
    ("extras", "extras"),
];

/// One side of a comparison.
enum Side {
    Variable(&'static str),
    Value(String),
}

impl Side {
    fn print(self) -> String {
        match self {
            Self::Variable(name) => name.to_owned(),
            Self::Value(text) if !text.contains('"') => format!("\"{text}\""),
            Self::Value(text) => format!("'{text}'"),
        }
    }

    /// The value that an extra is compared with is a name, and names have many spellings.
    fn with_name_normalized(self) -> Self {
        match self {
            Self::Value(text) => Self::Value(text.parse::<NormalizedName>().map_or(text, String::from)),
            Self::Variable(_) => self,
        }
    }
}

/// Parentheses around a single thing say nothing.
fn group(mut inner: Vec<Part>) -> Part {
    match inner.pop() {
        Some(only) if inner.is_empty() => only,
        last => Part::Group(inner.into_iter().chain(last).collect()),
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn requirement(&mut self) -> Result<Requirement, String> {
        self.space();
        let name = self.name("a project name")?;
        self.space();
        let extras = self.extras()?;
        self.space();
        let mut requirement = Requirement { name, extras, specifiers: Specifiers::default(), url: None, marker: None };
        if self.take("@") {
            requirement.url = Some(self.url()?);
        } else {
            requirement.specifiers = self.specifiers()?;
            self.space();
        }
        if self.take(";") {
            requirement.marker = Some(self.marker()?);
            self.space();
        }
        if self.rest.is_empty() { Ok(requirement) } else { Err(self.unexpected("the end, ',' or ';'")) }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a word that no further letter, digit or `_` follows.
    fn take_word(&mut self, word: &str) -> bool {
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        match self.rest.strip_prefix(word).filter(|rest| ends(rest)) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn unexpected(&self, expected: &str) -> String {
        match self.rest.chars().next() {
            None => format!("Expected {expected}, found the end."),
            Some(found) => format!("Expected {expected}, found '{found}'."),
        }
    }

    fn name(&mut self, what: &str) -> Result<ProjectName, String> {
        let before = self.rest;
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        text.parse().map_err(|_| {
            self.rest = before;
            if text.is_empty() { self.unexpected(what) } else { format!("'{text}' is not {what}.") }
        })
    }

    fn extras(&mut self) -> Result<Vec<NormalizedName>, String> {
        let mut extras = Vec::new();
        if !self.take("[") {
            return Ok(extras);
        }
        self.space();
        if !self.take("]") {
            loop {
                self.space();
                extras.push(self.name("the name of an extra")?.normalized());
                self.space();
                if self.take("]") {
                    break;
                }
                if !self.take(",") {
                    return Err(self.unexpected("',' or ']' after an extra"));
                }
            }
        }
        extras.sort();
        extras.dedup();
        Ok(extras)
    }

    /// A URL ends at white space, so a marker after it needs some.
    fn url(&mut self) -> Result<String, String> {
        self.space();
        let text = self.take_while(|c| !matches!(c, ' ' | '\t'));
        if Url::parse(text).is_err() {
            return Err(format!("'{text}' is not a URL."));
        }
        self.space();
        Ok(text.to_owned())
    }

    fn specifiers(&mut self) -> Result<Specifiers, String> {
        let enclosed = self.take("(");
        self.space();
        let start = self.rest;
        while let Some(operator) = operator(self.rest) {
            self.take(operator);
            // The version may stand apart from its operator, the next clause from its comma.
            self.rest = self.rest.trim_start();
            if operator == "===" {
                self.take_while(|c| !c.is_whitespace() && !matches!(c, ';' | ')'));
            } else {
                self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '!' | '+' | '*'));
            }
            self.space();
            if !self.take(",") {
                break;
            }
            self.space();
        }
        let text = &start[..start.len() - self.rest.len()];
        let specifiers = text.parse::<Specifiers>().map_err(|error| format!("{error}."))?;
        if enclosed && !self.take(")") {
            return Err(self.unexpected("')' after the versions"));
        }
        Ok(specifiers)
    }

    fn marker(&mut self) -> Result<Vec<Part>, String> {
        let mut parts = vec![self.marker_atom()?];
        loop {
            let word = match () {
                () if self.take_word("and") => "and",
                () if self.take_word("or") => "or",
                () => break,
            };
            parts.push(Part::Word(word));
            parts.push(self.marker_atom()?);
        }
        Ok(match parts.pop() {
            Some(Part::Group(inner)) if parts.is_empty() => inner,
            last => parts.into_iter().chain(last).collect(),
        })
    }

    fn marker_atom(&mut self) -> Result<Part, String> {
        self.space();
        let atom = if self.take("(") {
            self.depth += 1;
            if self.depth > MARKER_DEPTH_MAX {
                return Err(format!("A marker must not nest deeper than {MARKER_DEPTH_MAX} parentheses."));
            }
            let inner = self.marker()?;
            if !self.take(")") {
                return Err(self.unexpected("')' after a marker"));
            }
            self.depth -= 1;
            group(inner)
        } else {
            self.comparison()?
        };
        self.space();
        Ok(atom)
    }

    fn comparison(&mut self) -> Result<Part, String> {
        let left = self.side()?;
        self.space();
        let operator = if self.take_word("in") {
            "in"
        } else if self.take_word("not") {
            let spaced = self.rest.starts_with([' ', '\t']);
            self.space();
            if !spaced || !self.take_word("in") {
                return Err(self.unexpected("'in' after 'not'"));
            }
            "not in"
        } else {
            let found = operator(self.rest).ok_or_else(|| self.unexpected("a comparison"))?;
            self.take(found);
            found
        };
        self.space();
        let right = self.side()?;
        let (left, right) = match (&left, &right) {
            (Side::Variable("extra"), _) => (left, right.with_name_normalized()),
            (_, Side::Variable("extra" | "extras" | "dependency_groups")) => (left.with_name_normalized(), right),
            _ => (left, right),
        };
        Ok(Part::Comparison(format!("{} {operator} {}", left.print(), right.print())))
    }

    fn side(&mut self) -> Result<Side, String> {
        for quote in ['"', '\''] {
            if self.rest.starts_with(quote) {
                let inner = &self.rest[1..];
                let end = inner.find(quote).ok_or("A quoted text in a marker is not closed.")?;
                let text = &inner[..end];
                // Python would read an escape here; the grammar of PEP 508 has none.
                if text.contains(['\\', '\n', '\r', '\0']) {
                    return Err("A quoted text in a marker holds no backslash and no line break.".into());
                }
                self.rest = &inner[end + 1..];
                return Ok(Side::Value(text.to_owned()));
            }
        }
        match VARIABLES.iter().find(|(spelling, _)| self.take_word(spelling)) {
            Some((_, name)) => Ok(Side::Variable(name)),
            None if self.take_word("dependency_groups") => Ok(Side::Variable("dependency_groups")),
            None => Err(self.unexpected("a marker variable or a quoted text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_prints_in_one_form() {
        let table = [
            ("a", "a"),
            ("A.b [ z,Y_y , z ] ( >= 1, <2 )", "A.b[y-y,z]<2,>=1"),
            ("a>=1,", "a>=1"),
            ("a @ https://h.example/x;y ; os.name=='a'", "a @ https://h.example/x;y ; os_name == \"a\""),
            ("a;((extra=='X_y')) and 'b' not  in os_name", "a; extra == \"x-y\" and \"b\" not in os_name"),
            (
                "a; os_name=='a' or (os_name=='b' and (os_name=='c'))",
                "a; os_name == \"a\" or (os_name == \"b\" and os_name == \"c\")",
            ),
        ];
        for (text, want) in table {
            let parsed: Requirement = text.parse().expect(text);
            assert_eq!(parsed.to_string(), want);
            assert_eq!(want.parse::<Requirement>().expect(want), parsed, "{text}");
        }
    }

    #[test]
    fn what_is_no_requirement() {
        for text in [
            "",
            "-a",
            "a b",
            "a[b c]",
            "a[b",
            "a[,]",
            "a (>=1",
            "a>=1.*",
            "a @",
            "a @ not-a-url",
            "a;",
            "a; x == 'y'",
            "a; os_name = 'a'",
            "a; os_name not in'a' b",
            "a; os_name == 'a",
            "a; os_name == 'a\\'",
            "a; (os_name == 'a'",
            "a; os_name == 'a' andos_name == 'b'",
            "a\n>=1",
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
        let nested = |depth: usize| format!("a; {}os_name == 'x'{}", "(".repeat(depth), ")".repeat(depth));
        assert!(nested(MARKER_DEPTH_MAX).parse::<Requirement>().is_ok());
        for depth in [MARKER_DEPTH_MAX + 1, 1_000_000] {
            assert!(nested(depth).parse::<Requirement>().is_err());
        }
    }
}
