//! Which role speaks for which path: patterns, hash prefixes, and succinct bins (TAP 15).

use std::collections::{BTreeMap, BTreeSet};

use crate::fields::{Fields, FormatError, content};
use crate::hash::{hex, sha256};
use crate::json::{Object, Value};
use crate::keys::PublicKey;
use crate::role::{ROLE_NAME_BYTES_MAX, RoleKeys, Top, read_keys, write_keys};

/// The most bits that TAP 15 allows.
const BITS_MAX: u64 = 32;

/// The delegations of a targets role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegations {
    /// Keys by their ids.
    pub keys: BTreeMap<String, PublicKey>,
    /// To whom.
    pub to: DelegatedTo,
    /// What we do not know.
    pub extra: Object,
}

/// Either a list of roles or a number of bins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DelegatedTo {
    /// In order of precedence.
    Roles(Vec<DelegatedRole>),
    /// All bins at once.
    Succinct(Succinct),
}

/// One delegated role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegatedRole {
    /// Its name, never one of the four.
    pub name: String,
    /// Who may sign for it; its `extra` holds what we do not know of this role.
    pub keys: RoleKeys,
    /// Whether the search ends with it and what it delegates to.
    pub terminating: bool,
    /// For which paths.
    pub paths: Paths,
}

/// The paths that a role is trusted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paths {
    /// Those that match a shell pattern; nothing in it matches `/`.
    Patterns(Vec<String>),
    /// Those whose SHA-256, in hexadecimal, starts so.
    HashPrefixes(Vec<String>),
}

/// Bins of equal size by the first bits of the path's SHA-256 (TAP 15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succinct {
    /// The keys of every bin; its `extra` holds what we do not know.
    pub keys: RoleKeys,
    /// There are 2^bits bins; 1 to 32.
    pub bits: u32,
    /// What the names of all bins begin with.
    pub prefix: String,
}

impl Succinct {
    /// The name of the bin that a path falls into.
    pub fn name_for(&self, path: &str) -> String {
        bin_name(&self.prefix, self.bits, bin_of(path, self.bits))
    }
}

/// The number of the bin that a path falls into: the first `bits` (1 to 32) bits of its SHA-256.
pub fn bin_of(path: &str, bits: u32) -> u32 {
    let hash = sha256(path.as_bytes());
    let first = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    first >> (32 - bits.clamp(1, 32))
}

/// A bin's name as TAP 15 makes it: the prefix, `-`, and as many hexadecimal digits as the last bin needs.
pub fn bin_name(prefix: &str, bits: u32, bin: u32) -> String {
    let width = bits.div_ceil(4) as usize;
    format!("{prefix}-{bin:0width$x}")
}

impl Paths {
    /// Whether a path is among them.
    pub fn covers(&self, path: &str) -> bool {
        match self {
            Self::Patterns(patterns) => patterns.iter().any(|pattern| matches(pattern, path)),
            Self::HashPrefixes(prefixes) => {
                let hash = hex(&sha256(path.as_bytes()));
                prefixes.iter().any(|prefix| hash.starts_with(prefix.as_str()))
            }
        }
    }
}

impl Delegations {
    /// The roles that may speak for a path, in order, and whether each is terminating.
    pub fn roles_for(&self, path: &str) -> Vec<(String, bool)> {
        match &self.to {
            DelegatedTo::Roles(roles) => roles
                .iter()
                .filter(|role| role.paths.covers(path))
                .map(|role| (role.name.clone(), role.terminating))
                .collect(),
            // There is nobody else that could speak for the path, and python-tuf reads it so as well.
            DelegatedTo::Succinct(succinct) => vec![(succinct.name_for(path), true)],
        }
    }

    /// Who may sign for a role of this name.
    pub fn keys_of(&self, name: &str) -> Option<&RoleKeys> {
        match &self.to {
            DelegatedTo::Roles(roles) => roles.iter().find(|role| role.name == name).map(|role| &role.keys),
            DelegatedTo::Succinct(succinct) => {
                let digits = name.strip_prefix(&succinct.prefix)?.strip_prefix('-')?;
                let bin = u32::from_str_radix(digits, 16).ok()?;
                let is_one =
                    u64::from(bin) < 1 << succinct.bits && name == bin_name(&succinct.prefix, succinct.bits, bin);
                is_one.then_some(&succinct.keys)
            }
        }
    }

    pub(crate) fn read(value: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(value, "delegations")?;
        let keys = read_keys(fields.object("keys")?)?;
        let to = match (fields.optional("roles"), fields.optional("succinct_roles")) {
            (Some(Value::List(roles)), None) => {
                let roles = roles.into_iter().map(DelegatedRole::read).collect::<Result<Vec<_>, _>>()?;
                let names: BTreeSet<&str> = roles.iter().map(|role| role.name.as_str()).collect();
                if names.len() < roles.len() {
                    return content("two delegated roles of one name");
                }
                DelegatedTo::Roles(roles)
            }
            (None, Some(succinct)) => DelegatedTo::Succinct(Succinct::read(succinct)?),
            _ => return content("delegations hold either `roles` or `succinct_roles`"),
        };
        Ok(Self { keys, to, extra: fields.rest() })
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut out = self.extra.clone();
        out.insert("keys".to_owned(), write_keys(&self.keys));
        match &self.to {
            DelegatedTo::Roles(roles) => {
                let roles = roles.iter().map(DelegatedRole::to_value).collect();
                out.insert("roles".to_owned(), Value::List(roles));
            }
            DelegatedTo::Succinct(succinct) => {
                out.insert("succinct_roles".to_owned(), succinct.to_value());
            }
        }
        Value::Object(out)
    }
}

fn name_of(name: String) -> Result<String, FormatError> {
    if name.is_empty() || name.len() > ROLE_NAME_BYTES_MAX || name.contains(char::is_control) {
        return content(format!("a role's name is 1 to {ROLE_NAME_BYTES_MAX} bytes without control characters"));
    }
    if Top::is_name(&name) {
        return content(format!("a delegated role is named {name}"));
    }
    Ok(name)
}

fn texts(values: &[String]) -> Value {
    Value::List(values.iter().map(|text| Value::from(text.as_str())).collect())
}

impl DelegatedRole {
    fn read(value: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(value, "roles")?;
        let name = name_of(fields.text("name")?)?;
        let (keyids, threshold) = RoleKeys::take(&mut fields)?;
        let terminating = fields.bool("terminating")?;
        let has = |fields: &mut Fields, name: &str| {
            fields.optional(name).map(|value| {
                let mut one = Fields::new(Value::Object([(name.to_owned(), value)].into()), name)?;
                one.texts(name)
            })
        };
        let paths = match (has(&mut fields, "paths"), has(&mut fields, "path_hash_prefixes")) {
            (Some(patterns), None) => Paths::Patterns(patterns?),
            (None, Some(prefixes)) => Paths::HashPrefixes(prefixes?),
            _ => return content(format!("`{name}` has either `paths` or `path_hash_prefixes`")),
        };
        Ok(Self { name, keys: RoleKeys { keyids, threshold, extra: fields.rest() }, terminating, paths })
    }

    fn to_value(&self) -> Value {
        let mut out = Object::new();
        self.keys.write(&mut out);
        out.insert("name".to_owned(), Value::from(self.name.as_str()));
        out.insert("terminating".to_owned(), Value::Bool(self.terminating));
        match &self.paths {
            Paths::Patterns(patterns) => out.insert("paths".to_owned(), texts(patterns)),
            Paths::HashPrefixes(prefixes) => out.insert("path_hash_prefixes".to_owned(), texts(prefixes)),
        };
        Value::Object(out)
    }
}

impl Succinct {
    fn read(value: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(value, "succinct_roles")?;
        let (keyids, threshold) = RoleKeys::take(&mut fields)?;
        let bits = fields.uint("bit_length", 1)?;
        if bits > BITS_MAX {
            return content(format!("`bit_length` is over {BITS_MAX}"));
        }
        let prefix = name_of(fields.text("name_prefix")?)?;
        Ok(Self { keys: RoleKeys { keyids, threshold, extra: fields.rest() }, bits: bits as u32, prefix })
    }

    fn to_value(&self) -> Value {
        let mut out = Object::new();
        self.keys.write(&mut out);
        out.insert("bit_length".to_owned(), Value::from(u64::from(self.bits)));
        out.insert("name_prefix".to_owned(), Value::from(self.prefix.as_str()));
        Value::Object(out)
    }
}

/// Whether a shell pattern matches a path: segment by segment, so that nothing in it matches `/`.
fn matches(pattern: &str, path: &str) -> bool {
    let (patterns, segments) = (pattern.split('/'), path.split('/'));
    patterns.clone().count() == segments.clone().count()
        && patterns.zip(segments).all(|(pattern, segment)| {
            let pattern: Vec<char> = pattern.chars().collect();
            let segment: Vec<char> = segment.chars().collect();
            matches_segment(&pattern, &segment)
        })
}

/// `*`, `?` and `[…]` as in glob(7), without recursion: after a mismatch the last `*` takes one character more.
fn matches_segment(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[p..], text[t]),
            Some(c) => (*c == text[t]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(step), _) => (p, t) = (p + step, t + 1),
            (None, Some((at, from))) => {
                (p, t) = (at + 1, from + 1);
                star = Some((at, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The length of the class at the start of the pattern if the character is in it; a `[` without end stands for itself.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = usize::from(pattern.get(1) == Some(&'!'));
    let first = 1 + negated;
    // A `]` right at the start is one of the characters.
    let Some(end) = (first + 1..pattern.len()).find(|at| pattern[*at] == ']') else {
        return (c == '[').then_some(1);
    };
    let (inside, mut at, mut found) = (&pattern[first..end], 0, false);
    while at < inside.len() {
        if at + 2 < inside.len() && inside[at + 1] == '-' {
            found |= (inside[at]..=inside[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= inside[at] == c;
            at += 1;
        }
    }
    (found != (negated == 1)).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("*", "a", true),
            ("*", "", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("p/3f/*/*", "p/3f/x/x-1.0.tar.gz", true),
            ("p/3f/*/*", "p/3f/x/y/z", false),
            ("foo-?.tgz", "foo-1.tgz", true),
            ("foo-?.tgz", "foo-alpha.tgz", false),
            ("foo-?.tgz", "foo-/.tgz", false),
            ("a*b*c", "aXbXbYc", true),
            ("a*b*c", "aXbXbY", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[", "[", true),
            ("", "", true),
            ("é?", "éü", true),
            ("README.md", "README.MD", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
        let hard = ("a*".repeat(200) + "b", "a".repeat(4_000));
        assert!(!matches(&hard.0, &hard.1), "many stars take no exponential time");
    }

    #[test]
    fn bins_have_the_names_of_tap_15() {
        assert_eq!(bin_name("bin", 1, 1), "bin-1");
        assert_eq!(bin_name("bin", 4, 15), "bin-f");
        assert_eq!(bin_name("bin", 5, 3), "bin-03");
        assert_eq!(bin_name("bin", 14, 0x3fff), "bin-3fff");
        assert_eq!(bin_name("bin", 32, u32::MAX), "bin-ffffffff");
        let path = "p/3f/demo/demo-1.0.tar.gz";
        let hash = hex(&sha256(path.as_bytes()));
        assert_eq!(bin_name("b", 16, bin_of(path, 16)), format!("b-{}", &hash[..4]));
        assert_eq!(bin_of(path, 32) >> 31, bin_of(path, 1));
    }

    #[test]
    fn only_bins_that_exist_have_keys() {
        let keys = RoleKeys::new(vec!["k".into()], 1);
        let to = DelegatedTo::Succinct(Succinct { keys, bits: 5, prefix: "bin".into() });
        let delegations = Delegations { keys: BTreeMap::new(), to, extra: Object::new() };
        for name in ["bin-00", "bin-1f"] {
            assert!(delegations.keys_of(name).is_some(), "{name}");
        }
        for name in ["bin-20", "bin-0", "bin-000", "bin-1F", "bin-+1", "bin-", "bin", "bix-00", "targets", ""] {
            assert!(delegations.keys_of(name).is_none(), "{name}");
        }
    }
}
