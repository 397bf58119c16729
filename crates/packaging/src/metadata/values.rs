//! Checks of single values: content types, addresses, paths, URLs, names of modules, classifiers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use url::Url;

use super::Field;
use crate::rules::Profile;

/// Longest label of a project URL, in characters.
pub const URL_LABEL_CHARS_MAX: usize = 32;

/// What ends a line for any of the tools that read metadata: Python's `str.splitlines` is the widest.
pub(super) fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(super) fn content_type(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    if !matches!(kind.as_str(), "text/plain" | "text/x-rst" | "text/markdown") {
        return false;
    }
    parts.filter(|part| !part.is_empty()).all(|part| match part.split_once('=') {
        None => false,
        Some((key, value)) => {
            let (key, value) = (key.trim(), value.trim());
            let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
            let value = if quoted { &value[1..value.len() - 1] } else { value };
            if !token(key, b"*'%") || !(if quoted { !value.contains('"') } else { token(value, b"*'") }) {
                return false;
            }
            match key.to_ascii_lowercase().as_str() {
                "charset" => value.eq_ignore_ascii_case("utf-8"),
                "variant" => kind != "text/markdown" || matches!(value, "GFM" | "CommonMark"),
                _ => true,
            }
        }
    })
}

/// RFC 2045 section 5.1, less what RFC 2231 gives a meaning of its own.
fn token(text: &str, reserved: &[u8]) -> bool {
    let fits = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b) && !reserved.contains(&b);
    !text.is_empty() && text.bytes().all(fits)
}

/// Only the first address is looked at, as the public index does; `Name <local@host>` or a bare address.
pub(super) fn email_field(value: &str) -> bool {
    let value = without_comments(value);
    let first = split_addresses(value.trim()).into_iter().next().unwrap_or_default();
    let address = match (first.rfind('<'), first.rfind('>')) {
        (Some(open), Some(close)) if open < close => first[open + 1..close].trim(),
        (None, None) => first.trim(),
        _ => return false,
    };
    let Some((local, host)) = address.rsplit_once('@') else { return false };
    let local_fits = !local.is_empty()
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c));
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    local_fits && host.len() <= 253 && host.contains('.') && host.split('.').all(label)
}

/// `a@b.example (Ann)`: RFC 5322 comments, in parentheses outside quotes.
fn without_comments(value: &str) -> String {
    let (mut quoted, mut depth) = (false, 0u32);
    value
        .chars()
        .filter(|c| {
            match c {
                '"' if depth == 0 => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted && depth > 0 => {
                    depth -= 1;
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

/// Splits at commas outside quotes and angle brackets.
fn split_addresses(value: &str) -> Vec<&str> {
    let (mut quoted, mut angled, mut start, mut parts) = (false, false, 0, Vec::new());
    for (at, c) in value.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => angled = true,
            '>' if !quoted => angled = false,
            ',' if !quoted && !angled => {
                parts.push(value[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(value[start..].trim());
    parts
}

/// PEP 639: relative, `/` between folders, resolved, and never upwards.
pub(super) fn license_path(value: &str) -> bool {
    let drive = value.as_bytes().get(1) == Some(&b':');
    let plain = |part: &str| !part.is_empty() && part != "." && !part.contains("..");
    !drive && !value.contains(['*', '\\', '\0']) && !value.contains(is_line_end) && value.split('/').all(plain)
}

pub(super) fn web_url(value: &str) -> bool {
    // The parser would drop tabs and line ends, and another reader would not.
    !value.contains(char::is_control) && Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

pub(super) fn project_url(value: &str) -> Result<(), &'static str> {
    let (label, url) = value.split_once(',').ok_or("Must have both a label and a URL.")?;
    let (label, url) = (label.trim(), url.trim());
    if label.is_empty() {
        return Err("Must have a label.");
    }
    if label.chars().count() > URL_LABEL_CHARS_MAX {
        return Err("The label must be 32 characters or less.");
    }
    if web_url(url) { Ok(()) } else { Err("Must have a valid http or https URL.") }
}

pub(super) fn dynamic(value: &str) -> bool {
    Field::by_header(value).is_some_and(|field| !matches!(field, Field::Name | Field::Version | Field::MetadataVersion))
}

/// PEP 794: a dotted name, `; private` where it is not for others. The empty name is the caller's: it says that
/// nothing can be imported.
pub(super) fn import_name(value: &str) -> bool {
    let (name, private) = match value.split_once(';') {
        None => (value, None),
        Some((name, marker)) => (name.trim_end(), Some(marker.trim())),
    };
    private.is_none_or(|marker| marker == "private")
        && name.split('.').all(|part| identifier(part) && !KEYWORDS.contains(&part))
}

/// Python's `str.isidentifier`.
fn identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || unicode_ident::is_xid_start(c))
        && chars.all(unicode_ident::is_xid_continue)
}

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

static CLASSIFIERS: LazyLock<BTreeMap<&'static str, Option<&'static str>>> = LazyLock::new(|| {
    include_str!("../../data/classifiers.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| match line.split_once('\t') {
            None => (line, None),
            Some((name, replacements)) => (name, Some(replacements)),
        })
        .collect()
});

pub(super) fn classifier(value: &str, profile: Profile) -> Result<(), String> {
    match CLASSIFIERS.get(value) {
        Some(None) => Ok(()),
        Some(Some("")) => Err("This classifier has been deprecated.".into()),
        Some(Some(replacements)) => Err(format!(
            "This classifier has been deprecated, use instead: {}.",
            replacements.split('|').map(|r| format!("'{r}'")).collect::<Vec<_>>().join(", ")
        )),
        None if profile == Profile::Private && value.starts_with("Private ::") => Ok(()),
        None => Err("This classifier is not known.".into()),
    }
}
