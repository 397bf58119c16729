//! What the specification demands of each field, and whether two sources agree.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::LazyLock;

use pep508_rs::{Requirement, VersionOrUrl};
use url::Url;

use super::fields::{Compare, FIELDS, Field, FieldRow, Kind};
use super::parse::elide;
use super::{CoreMetadata, spdx};
use crate::name::{NormalizedName, ProjectName};
use crate::rules::{Profile, Rejection, Rule};
use crate::version::Version;

/// Longest summary, in characters.
pub(super) const SUMMARY_CHARS_MAX: usize = 512;
/// Longest label of a project URL, in characters.
pub(super) const URL_LABEL_CHARS_MAX: usize = 32;

const METADATA_VERSIONS: [(&str, (u8, u8)); 8] = [
    ("1.0", (1, 0)),
    ("1.1", (1, 1)),
    ("1.2", (1, 2)),
    ("2.1", (2, 1)),
    ("2.2", (2, 2)),
    ("2.3", (2, 3)),
    ("2.4", (2, 4)),
    ("2.5", (2, 5)),
];

/// Everything that is wrong with a set of values, in the order of the table. `source` says in each message
/// where the values came from ("form", "PKG-INFO").
pub fn check(metadata: &CoreMetadata, profile: Profile) -> Vec<Rejection> {
    let mut problems = Vec::new();
    let declared = match metadata.get(Field::MetadataVersion) {
        None => {
            problems.push(missing("Metadata-Version"));
            None
        }
        Some(text) => {
            let found = METADATA_VERSIONS.iter().find(|(known, _)| *known == text);
            if found.is_none() {
                problems.push(invalid(
                    Rule::MetadataVersion,
                    "Metadata-Version",
                    text,
                    Rule::MetadataVersion.row().sentence,
                ));
            }
            found.map(|(_, version)| *version)
        }
    };
    for required in [Field::Name, Field::Version] {
        if metadata.get(required).is_none_or(str::is_empty) {
            problems.push(missing(required.row().header));
        }
    }
    for (field, values) in metadata.iter() {
        let row = field.row();
        if !row.multiple && values.len() > 1 {
            problems.push(Rejection::new(
                Rule::MetadataRepeated,
                format!("'{}' has invalid data: it holds one value but is given {} times.", row.header, values.len()),
            ));
        }
        if let Some(declared) = declared.filter(|declared| row.since > *declared) {
            problems.push(Rejection::new(
                Rule::MetadataTooNew,
                format!(
                    "{} introduced in metadata version {}.{}, not {}.{}.",
                    row.header, row.since.0, row.since.1, declared.0, declared.1
                ),
            ));
        }
        for value in values {
            if value.len() > row.bytes_max {
                problems.push(Rejection::new(
                    Rule::MetadataFieldTooLong,
                    format!("'{}' is too long: at most {} bytes.", row.header, row.bytes_max),
                ));
            } else if let Some(problem) = check_value(row, value, profile) {
                problems.push(problem);
            }
        }
    }
    check_together(metadata, &mut problems);
    problems.retain(|problem| problem.rule.applies(profile));
    problems
}

/// Rules about two fields at once.
fn check_together(metadata: &CoreMetadata, problems: &mut Vec<Rejection>) {
    if metadata.get(Field::LicenseExpression).is_some() && metadata.get(Field::License).is_some_and(|l| !l.is_empty()) {
        problems.push(Rejection::new(
            Rule::LicenseInvalid,
            "License is deprecated when License-Expression is present. Only License-Expression should be present.",
        ));
    }
    let mut labels = BTreeSet::new();
    for value in metadata.all(Field::ProjectUrl) {
        if let Some((label, _)) = value.split_once(',')
            && !labels.insert(label.trim())
        {
            problems.push(Rejection::new(
                Rule::ProjectUrlInvalid,
                format!("'Project-URL' has invalid data: the label '{}' is given twice.", elide(label.trim())),
            ));
        }
    }
}

fn missing(header: &str) -> Rejection {
    Rejection::new(Rule::MetadataRequired, format!("'{header}' is a required field."))
}

fn invalid(rule: Rule, header: &str, value: &str, error: &str) -> Rejection {
    Rejection::new(rule, format!("'{}' is an invalid value for {header}. Error: {error}", elide(value)))
}

fn check_value(row: &FieldRow, value: &str, profile: Profile) -> Option<Rejection> {
    let fail = |rule: Rule, error: &str| Some(invalid(rule, row.header, value, error));
    let sentence = |rule: Rule| fail(rule, rule.row().sentence);
    match row.kind {
        Kind::Free | Kind::MetadataVersion | Kind::Keywords => None,
        Kind::Name => match value.parse::<ProjectName>() {
            Ok(_) => None,
            Err(error) => fail(Rule::NameInvalid, &format!("{error}.")),
        },
        Kind::Version => match value.parse::<Version>() {
            Err(_) => sentence(Rule::VersionInvalid),
            Ok(version) if version.is_local() => Some(Rejection::new(
                Rule::VersionLocal,
                format!("The use of local versions in '{}' is not allowed.", elide(value)),
            )),
            Ok(_) => None,
        },
        Kind::Summary => (value.contains(['\n', '\r']) || value.chars().count() > SUMMARY_CHARS_MAX)
            .then(|| invalid(Rule::SummaryInvalid, row.header, value, Rule::SummaryInvalid.row().sentence)),
        Kind::ContentType => {
            if content_type(value) {
                None
            } else {
                sentence(Rule::DescriptionType)
            }
        }
        Kind::Email => {
            if email_field(value) {
                None
            } else {
                sentence(Rule::EmailInvalid)
            }
        }
        Kind::LicenseExpression => match spdx::canonical(value) {
            Ok(_) => None,
            Err(error) => fail(Rule::LicenseInvalid, &error),
        },
        Kind::LicenseFile => {
            if license_path(value) {
                None
            } else {
                sentence(Rule::LicenseFileInvalid)
            }
        }
        Kind::Classifier => classifier(value, profile).err().and_then(|error| fail(Rule::ClassifierUnknown, &error)),
        Kind::Url => {
            if web_url(value) {
                None
            } else {
                sentence(Rule::UrlInvalid)
            }
        }
        Kind::ProjectUrl => match project_url(value) {
            Ok(()) => None,
            Err(error) => fail(Rule::ProjectUrlInvalid, error),
        },
        Kind::Requirement | Kind::OtherRequirement => match requirement(value) {
            Err(error) => fail(Rule::RequirementInvalid, &error),
            Ok(parsed) if matches!(parsed.version_or_url, Some(VersionOrUrl::Url(_))) => Some(Rejection::new(
                Rule::RequirementDirect,
                format!("Can't have direct dependency: '{}'.", elide(value)),
            )),
            Ok(_) => None,
        },
        Kind::RequiresPython => match pep440_rs::VersionSpecifiers::from_str(value) {
            Ok(_) => None,
            Err(_) => sentence(Rule::RequiresPythonInvalid),
        },
        Kind::Extra => {
            if value.parse::<ProjectName>().is_ok() {
                None
            } else {
                sentence(Rule::ExtraInvalid)
            }
        }
        Kind::Dynamic => {
            if dynamic(value) {
                None
            } else {
                sentence(Rule::DynamicInvalid)
            }
        }
        Kind::ImportName => {
            if import_name(value) {
                None
            } else {
                sentence(Rule::ImportNameInvalid)
            }
        }
    }
}

/// PEP 508. `url::Url` rather than the crate's own URL type, which would expand environment variables.
fn requirement(value: &str) -> Result<Requirement<Url>, String> {
    Requirement::<Url>::from_str(value).map_err(|error| {
        let text = error.to_string();
        format!("{}.", text.lines().next().unwrap_or("not a requirement").trim_end_matches('.'))
    })
}

fn content_type(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    if !matches!(kind.as_str(), "text/plain" | "text/x-rst" | "text/markdown") {
        return false;
    }
    parts.filter(|part| !part.is_empty()).all(|part| match part.split_once('=') {
        None => false,
        Some((key, value)) => {
            let value = value.trim().trim_matches('"');
            match key.trim().to_ascii_lowercase().as_str() {
                "charset" => value.eq_ignore_ascii_case("utf-8"),
                "variant" => kind != "text/markdown" || matches!(value, "GFM" | "CommonMark"),
                _ => true,
            }
        }
    })
}

/// Only the first address is looked at, as the public index does; `Name <local@host>` or a bare address.
fn email_field(value: &str) -> bool {
    let value = value.trim();
    let first = split_addresses(value).into_iter().next().unwrap_or_default();
    let address = match (first.rfind('<'), first.rfind('>')) {
        (Some(open), Some(close)) if open < close => &first[open + 1..close],
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

fn license_path(value: &str) -> bool {
    !value.is_empty()
        && !value.starts_with('/')
        && !value.contains(['*', '\\', '\0', '\n'])
        && !value.split('/').any(|part| part.is_empty() || part == ".." || part == ".")
        && !(value.len() > 1 && value.as_bytes()[1] == b':')
}

fn web_url(value: &str) -> bool {
    Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn project_url(value: &str) -> Result<(), &'static str> {
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

fn dynamic(value: &str) -> bool {
    Field::by_header(value).is_some_and(|field| !matches!(field, Field::Name | Field::Version | Field::MetadataVersion))
}

fn import_name(value: &str) -> bool {
    let (name, private) = match value.split_once(';') {
        None => (value, None),
        Some((name, marker)) => (name.trim_end(), Some(marker.trim())),
    };
    private.is_none_or(|marker| marker == "private")
        && (name.is_empty() || name.split('.').all(|part| identifier(part) && !KEYWORDS.contains(&part)))
}

fn identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic()) && chars.all(|c| c == '_' || c.is_alphanumeric())
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

fn classifier(value: &str, profile: Profile) -> Result<(), String> {
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

/// Where the form and the archive disagree. A field absent from the form is no mismatch: the archive is the
/// truth about itself. A field present in the form is compared after its row's normalisation.
pub fn mismatches(form: &CoreMetadata, archive: &CoreMetadata) -> Vec<Rejection> {
    FIELDS
        .iter()
        .filter(|row| row.compare != Compare::Never && !form.all(row.field).is_empty())
        .filter(|row| comparable(row, form.all(row.field)) != comparable(row, archive.all(row.field)))
        .map(|row| {
            let shown = |values: &[String]| match values {
                [] => "nothing".to_owned(),
                [one] => format!("'{}'", elide(one)),
                many => format!("{} values", many.len()),
            };
            Rejection::new(
                Rule::Mismatch,
                format!(
                    "{} in the form ({}) differs from {} in the archive ({}).",
                    row.header,
                    shown(form.all(row.field)),
                    row.header,
                    shown(archive.all(row.field))
                ),
            )
        })
        .collect()
}

/// A field's values in the form in which two sources are held against each other.
fn comparable(row: &FieldRow, values: &[String]) -> Vec<String> {
    let mut normal: Vec<String> =
        values.iter().map(|value| normal_value(row.kind, value)).filter(|v| !v.is_empty()).collect();
    if row.compare == Compare::Set {
        normal.sort();
        normal.dedup();
    }
    normal
}

fn normal_value(kind: Kind, value: &str) -> String {
    let folded = || value.split_whitespace().collect::<Vec<_>>().join(" ");
    match kind {
        Kind::Name | Kind::Extra => value.parse::<NormalizedName>().map_or_else(|_| folded(), String::from),
        Kind::Version => value.parse::<Version>().map_or_else(|_| folded(), |v| v.to_string()),
        Kind::Requirement | Kind::OtherRequirement => {
            requirement(value).map_or_else(|_| folded(), |r| normal_requirement(&r))
        }
        Kind::RequiresPython => pep440_rs::VersionSpecifiers::from_str(value).map_or_else(
            |_| folded(),
            |specifiers| {
                let mut parts: Vec<String> = specifiers.iter().map(ToString::to_string).collect();
                parts.sort();
                parts.join(",")
            },
        ),
        Kind::LicenseExpression => spdx::canonical(value).unwrap_or_else(|_| folded()),
        // Clients send `a,b`, files hold `a, b` or `a b`.
        Kind::Keywords => {
            let mut words: Vec<&str> = value.split([',', ' ', '\n', '\t']).filter(|w| !w.is_empty()).collect();
            words.sort_unstable();
            words.join(",")
        }
        Kind::ProjectUrl => match value.split_once(',') {
            Some((label, url)) => format!("{}, {}", label.trim(), url.trim()),
            None => folded(),
        },
        Kind::Dynamic => value.trim().to_ascii_lowercase(),
        Kind::Free
        | Kind::MetadataVersion
        | Kind::Summary
        | Kind::ContentType
        | Kind::Email
        | Kind::LicenseFile
        | Kind::Classifier
        | Kind::Url
        | Kind::ImportName => folded(),
    }
}

fn normal_requirement(requirement: &Requirement<Url>) -> String {
    let mut sorted = requirement.clone();
    sorted.extras.sort();
    match &sorted.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(specifiers)) => {
            let mut parts: Vec<String> = specifiers.iter().map(ToString::to_string).collect();
            parts.sort();
            let specifiers = parts.join(",");
            sorted.version_or_url = None;
            format!("{sorted} | {specifiers}")
        }
        Some(VersionOrUrl::Url(_)) | None => sorted.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::parse;

    fn problems(extra: &str, profile: Profile) -> Vec<Rule> {
        let (metadata, _) = parse(format!("Metadata-Version: 2.5\nName: foo\nVersion: 1\n{extra}\n").as_bytes());
        check(&metadata, profile).into_iter().map(|p| p.rule).collect()
    }

    #[test]
    fn each_field_has_its_rule() {
        let long = format!("Summary: {}", "s".repeat(SUMMARY_CHARS_MAX + 1));
        let label = format!("Project-URL: {}, https://a.example", "l".repeat(URL_LABEL_CHARS_MAX + 1));
        let table: &[(&str, Rule)] = &[
            (&long, Rule::SummaryInvalid),
            ("Description-Content-Type: text/html", Rule::DescriptionType),
            ("Description-Content-Type: text/markdown; charset=latin-1", Rule::DescriptionType),
            ("Description-Content-Type: text/markdown; variant=Other", Rule::DescriptionType),
            ("Author-email: nobody", Rule::EmailInvalid),
            ("Classifier: Nonsense", Rule::ClassifierUnknown),
            ("Classifier: Natural Language :: Ukranian", Rule::ClassifierUnknown),
            ("Home-page: ftp://a.example", Rule::UrlInvalid),
            (&label, Rule::ProjectUrlInvalid),
            ("Project-URL: A, https://a.example\nProject-URL: A, https://b.example", Rule::ProjectUrlInvalid),
            ("Requires-Dist: a b", Rule::RequirementInvalid),
            ("Requires-Python: three", Rule::RequiresPythonInvalid),
            ("Dynamic: Name", Rule::DynamicInvalid),
            ("Provides-Extra: -x", Rule::ExtraInvalid),
            ("License-Expression: Nonsense-1.0", Rule::LicenseInvalid),
            ("License-Expression: MIT\nLicense: MIT", Rule::LicenseInvalid),
            ("License-File: ../x", Rule::LicenseFileInvalid),
            ("Import-Name: class", Rule::ImportNameInvalid),
        ];
        for (text, rule) in table {
            assert_eq!(problems(text, Profile::Private), [*rule], "{text}");
            assert_eq!(problems(text, Profile::Public), [*rule], "{text}");
        }
        let at_the_limit = format!("Summary: {}", "s".repeat(SUMMARY_CHARS_MAX));
        assert_eq!(problems(&at_the_limit, Profile::Public), []);
    }

    #[test]
    fn the_private_profile_takes_more() {
        let table = [
            ("Requires-Dist: a @ https://a.example/a.whl", Rule::RequirementDirect),
            ("Classifier: Private :: Do Not Upload", Rule::ClassifierUnknown),
        ];
        for (text, rule) in table {
            assert_eq!(problems(text, Profile::Private), [], "{text}");
            assert_eq!(problems(text, Profile::Public), [rule], "{text}");
        }
    }

    #[test]
    fn form_and_archive_are_compared_after_normalisation() {
        let (archive, _) = parse(
            b"Metadata-Version: 2.1\nName: Foo.Bar\nVersion: 1.0.0\nRequires-Dist: B_x[z,y]<2,>=1; python_version<'3.9'\nKeywords: a, b\n",
        );
        let mut form = CoreMetadata::default();
        form.push(Field::Name, "foo-bar".into());
        form.push(Field::Version, "v1.0.0".into());
        form.push(Field::RequiresDist, "b-x[y,z]>=1,<2 ; python_version < \"3.9\"".into());
        form.push(Field::Keywords, "a,b".into());
        assert_eq!(mismatches(&form, &archive), []);
        form.push(Field::RequiresPython, ">=3".into());
        let found = mismatches(&form, &archive);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.starts_with("Requires-Python in the form ('>=3')"), "{}", found[0].message);
    }
}
