//! Our answers against those of Python's `packaging` library.
//!
//! Cases come from `tests/oracle/packaging_cases.py`: a few thousand are kept in `tests/data/oracle.jsonl` and
//! replayed here; CI makes tens of thousands afresh and feeds them to `examples/oracle.rs`, which is this file too.

use std::collections::BTreeMap;

use packaging::metadata::{self, CoreMetadata, Field, canonical_license};
use packaging::{DistFilename, NormalizedName, Profile, Requirement, Rule, Specifiers, Version};
use serde::Deserialize;

/// One question, and the library's answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) kind: String,
    #[serde(rename = "in")]
    pub(crate) given: Vec<String>,
    pub(crate) ok: bool,
    pub(crate) norm: Option<String>,
}

/// Our answer: taken or not, and the normal form (of metadata files also where they are not taken).
pub(crate) struct Answer {
    pub(crate) ok: bool,
    pub(crate) norm: Option<String>,
    /// The rules that a metadata file breaks.
    rules: Vec<Rule>,
}

impl<E> From<Result<String, E>> for Answer {
    fn from(result: Result<String, E>) -> Self {
        Self { ok: result.is_ok(), norm: result.ok(), rules: Vec::new() }
    }
}

type Covers = fn(&Case, &Answer) -> bool;

/// Where we answer otherwise on purpose: a name, why, and which cases it covers. Nothing else may differ.
pub(crate) const DIFFERENCES: &[(&str, &str, Covers)] = &[
    (
        "white space outside ASCII",
        "Python's `\\s` and `str.strip` take 29 characters, among them no-break spaces and file separators; a version \
         or specifier is ASCII here, so that no two tools cut it differently",
        |case, _| !matches!(case.kind.as_str(), "name" | "filename") && odd_space(case),
    ),
    (
        "numbers beyond 64 bits",
        "Python counts without end; no release has such a version, and everything else stores 64 bits",
        |case, ours| case.ok && !ours.ok && digits_in_a_row(&case.given) >= 20,
    ),
    (
        "clauses of equal value",
        "`>=1,>=01` prints both clauses here and the first there; the set means the same",
        |case, ours| {
            matches!(case.kind.as_str(), "specifiers" | "requirement")
                && case.ok
                && ours.ok
                && longer(&ours.norm, &case.norm)
        },
    ),
    (
        "direct reference that is no URL",
        "the library takes any text after `@`; a path is no reference that an index can serve",
        |case, ours| {
            let requirement = if case.kind == "field" { &case.given[1] } else { &case.given[0] };
            matches!(case.kind.as_str(), "requirement" | "field") && case.ok && !ours.ok && requirement.contains('@')
        },
    ),
    (
        "name that ends in `_`",
        "the library's tokenizer lets `foo_` pass as the name of a requirement or an extra; no project can be named so",
        |case, ours| {
            matches!(case.kind.as_str(), "requirement" | "field")
                && case.ok
                && !ours.ok
                && case.given.iter().any(|text| underscore_ends_a_name(text))
        },
    ),
    (
        "escapes in markers",
        "the library evaluates backslashes in quoted texts as Python does, PEP 508 has none; refused, as two tools would differ",
        |case, ours| case.kind == "requirement" && !ours.ok && case.given[0].contains('\\'),
    ),
    (
        "extra that is no name",
        "compared with in a marker, it stays as written; the library folds it although nothing can be named so",
        |case, ours| {
            case.kind == "requirement"
                && case.ok
                && ours.ok
                && ["extra", "dependency_groups"].iter().any(|v| case.given[0].contains(v))
        },
    ),
    ("zip sdists", "PEP 625 and the public index take `.tar.gz` alone", |case, ours| {
        case.kind == "filename" && !ours.ok && case.given[0].ends_with(".zip")
    }),
    (
        "name part of a file name",
        "the library takes any text before the version, the index only a project name",
        |case, ours| case.kind == "filename" && case.ok && !ours.ok && !name_part_is_a_name(&case.given[0]),
    ),
    (
        "characters of a file name",
        "tags and build numbers hold ASCII letters, digits, `_` and `.`; the library takes any character",
        |case, ours| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '!' | '+');
            let tags_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
            case.kind == "filename"
                && case.ok
                && !ours.ok
                && (!case.given[0].chars().all(fits)
                    || !case.given[0].split('-').skip(2).all(|part| part.chars().all(tags_fit)))
        },
    ),
    (
        "line that is no field",
        "to the library it begins the description, silently; refused, as no field after it would count",
        |_, ours| ours.rules.contains(&Rule::MetadataUnreadable),
    ),
    (
        "licence files before 2.4",
        "setuptools wrote a `License-File` of another meaning; dropped, as twine does",
        |case, ours| !case.ok && ours.ok && has_header(case, "license-file"),
    ),
    ("body of white space", "beside a `Description` field it is no second description", |case, ours| {
        case.kind == "metadata" && !case.ok && ours.ok && has_header(case, "description")
    }),
    ("absent values", "`UNKNOWN` and empty values count as absent", |case, ours| {
        matches!(case.kind.as_str(), "field" | "metadata") && !case.ok && ours.ok && has_absent_value(case)
    }),
    ("white space behind a value", "is no part of it", |case, ours| {
        let mut lines = case.given.iter().flat_map(|text| text.split(['\r', '\n']));
        matches!(case.kind.as_str(), "field" | "metadata")
            && !case.ok
            && ours.ok
            && lines.any(|line| line.ends_with([' ', '\t']))
    }),
    ("licence paths that name no member", "the library takes `C:x`, `.` and control characters", |case, ours| {
        case.ok && only(ours, Rule::LicenseFileInvalid)
    }),
    (
        "value that begins on its second line",
        "begins there; the library of this Python keeps the line end, later ones drop it",
        |case, ours| {
            case.kind == "field"
                && !case.ok
                && ours.ok
                && case.given[1].trim_start_matches([' ', '\t']).starts_with('\n')
        },
    ),
    (
        "content types outside ASCII",
        "parameters are ASCII tokens (RFC 2045); the library passes over others",
        |case, ours| case.ok && only(ours, Rule::DescriptionType) && !case.given.concat().is_ascii(),
    ),
    (
        "License beside License-Expression",
        "the public index refuses both together (PEP 639), the library does not look",
        |case, ours| case.ok && only(ours, Rule::LicenseInvalid) && has_header(case, "license"),
    ),
    ("metadata 2.6", "the index takes versions up to 2.5", |case, ours| {
        case.ok && ours.rules.contains(&Rule::MetadataVersion) && case.given.concat().contains("2.6")
    }),
    (
        "the public index's own rules",
        "URLs, addresses, classifiers, local versions and direct references are not the library's affair",
        |case, ours| case.ok && !ours.rules.is_empty() && ours.rules.iter().all(|rule| BEYOND.contains(rule)),
    ),
];

/// Rules that the library does not have; the public index has them beside it.
const BEYOND: &[Rule] = &[
    Rule::UrlInvalid,
    Rule::ProjectUrlInvalid,
    Rule::EmailInvalid,
    Rule::ClassifierUnknown,
    Rule::VersionLocal,
    Rule::RequirementDirect,
];

/// Whether this rule is broken, and beside it at most those that the library does not have.
fn only(ours: &Answer, rule: Rule) -> bool {
    ours.rules.contains(&rule) && ours.rules.iter().all(|other| *other == rule || BEYOND.contains(other))
}

fn longer(ours: &Option<String>, theirs: &Option<String>) -> bool {
    ours.as_ref().map(String::len) > theirs.as_ref().map(String::len)
}

fn odd_space(case: &Case) -> bool {
    case.given
        .iter()
        .any(|text| text.chars().any(|c| !c.is_ascii() && c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)))
}

fn digits_in_a_row(given: &[String]) -> usize {
    given.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_digit())).map(str::len).max().unwrap_or(0)
}

fn underscore_ends_a_name(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))).any(|name| name.ends_with('_'))
}

fn name_part_is_a_name(filename: &str) -> bool {
    let part = match filename.strip_suffix(".whl") {
        Some(stem) => stem.split('-').next(),
        None => filename.strip_suffix(".tar.gz").and_then(|stem| stem.rsplit_once('-')).map(|(name, _)| name),
    };
    part.is_some_and(|part| part.parse::<NormalizedName>().is_ok())
}

/// Whether a metadata file, or the one field asked about, has this header.
fn has_header(case: &Case, header: &str) -> bool {
    case.given[0]
        .split(['\r', '\n'])
        .any(|line| line.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case(header)))
}

fn has_absent_value(case: &Case) -> bool {
    let value = if case.kind == "field" { &case.given[1] } else { &case.given[0] };
    value.trim().is_empty()
        || value.contains("UNKNOWN")
        || value.split(['\r', '\n']).any(|line| line.trim_end().ends_with(':'))
}

pub(crate) fn answer(case: &Case) -> Answer {
    let text = case.given[0].as_str();
    match case.kind.as_str() {
        "name" => text.parse::<NormalizedName>().map(String::from).into(),
        "version" => text.parse::<Version>().map(|v| version_line(&v)).into(),
        "order" => order(text, &case.given[1]).ok_or(()).into(),
        "specifiers" => text.parse::<Specifiers>().map(|s| s.to_string()).into(),
        "requirement" => text.parse::<Requirement>().map(|r| r.to_string()).into(),
        "filename" => text.parse::<DistFilename>().map(|f| filename_line(&f)).into(),
        "license" => canonical_license(text).into(),
        "classifier" => field_answer(Field::Classifier, text).map(|()| text.to_owned()).into(),
        "field" => file_answer(&format!("Metadata-Version: 2.5\nName: a\nVersion: 1\n{text}: {}\n", case.given[1])),
        "metadata" => {
            let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
            metadata_answer(&bytes)
        }
        other => panic!("the oracle asks about '{other}', which is not answered here"),
    }
}

fn version_line(version: &Version) -> String {
    let (pre, local) = (u8::from(version.is_prerelease()), u8::from(version.is_local()));
    format!("{version} {} {pre}{local}", version.canonical())
}

fn order(left: &str, right: &str) -> Option<String> {
    let (left, right): (Version, Version) = (left.parse().ok()?, right.parse().ok()?);
    Some((left.cmp(&right) as i8).to_string())
}

fn filename_line(dist: &DistFilename) -> String {
    let (project, version) = (dist.project(), dist.version());
    match dist {
        DistFilename::Sdist(_) => format!("{project} {version}"),
        DistFilename::Wheel(wheel) => {
            let mut tags = Vec::new();
            for python in &wheel.python_tags {
                for abi in &wheel.abi_tags {
                    tags.extend(wheel.platform_tags.iter().map(|p| format!("{python}-{abi}-{p}").to_lowercase()));
                }
            }
            tags.sort();
            tags.dedup();
            // The library reads the digits at the start of the build tag as a number.
            let build = wheel.build.as_deref().unwrap_or_default();
            let digits = build.len() - build.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number = build[..digits].trim_start_matches('0');
            let number = if digits > 0 && number.is_empty() { "0" } else { number };
            format!("{project} {version} {number}{} {}", &build[digits..], tags.join(","))
        }
    }
}

fn field_answer(field: Field, value: &str) -> Result<(), ()> {
    let mut metadata = CoreMetadata::default();
    metadata.push(Field::MetadataVersion, "2.5".into());
    metadata.push(Field::Name, "a".into());
    metadata.push(Field::Version, "1".into());
    metadata.push(field, value.to_owned());
    if metadata::check(&metadata, Profile::Public).is_empty() { Ok(()) } else { Err(()) }
}

fn file_answer(text: &str) -> Answer {
    let answer = metadata_answer(text.as_bytes());
    Answer { norm: answer.ok.then(String::new), ..answer }
}

fn metadata_answer(bytes: &[u8]) -> Answer {
    let (read, mut problems) = metadata::parse(bytes);
    problems.extend(metadata::check(&read, Profile::Public));
    let rules: Vec<Rule> = problems.iter().map(|problem| problem.rule).collect();
    let fields: BTreeMap<String, &[String]> =
        read.iter().map(|(field, values)| (field.row().header.to_ascii_lowercase(), values)).collect();
    Answer { ok: rules.is_empty(), norm: Some(serde_json::to_string(&fields).expect("strings")), rules }
}

/// Which difference a case shows: `Ok(None)` none, `Ok(Some)` one of the table, `Err` one that nobody decided.
pub(crate) fn judge(case: &Case, ours: &Answer) -> Result<Option<&'static str>, String> {
    if ours.ok == case.ok && same_norm(case, ours) {
        return Ok(None);
    }
    match DIFFERENCES.iter().find(|(_, _, covers)| covers(case, ours)) {
        Some((name, ..)) => Ok(Some(name)),
        None => Err(format!(
            "{} {:?}: the library says {} {:?}, we say {} {:?}",
            case.kind, case.given, case.ok, case.norm, ours.ok, ours.norm
        )),
    }
}

/// White space at the ends, the kind of line end, absent values and the folding of descriptions are not compared:
/// the library hands them on raw, we have read them.
fn same_norm(case: &Case, ours: &Answer) -> bool {
    if case.kind != "metadata" {
        return case.norm == ours.norm;
    }
    // What could not be read as a whole is not read in part.
    let (Some(theirs), Some(norm)) = (&case.norm, &ours.norm) else { return false };
    if !ours.ok {
        return true;
    }
    folded(theirs) == folded(norm)
}

fn folded(norm: &str) -> BTreeMap<String, Vec<String>> {
    let fields: BTreeMap<String, Vec<String>> = serde_json::from_str(norm).expect("fields");
    let absent = |field: &str, value: &str| match field {
        "requires-dist" | "provides-extra" | "import-namespace" => false,
        _ => value.is_empty() || value == "UNKNOWN",
    };
    let fold = |field: &str, value: &str| match field {
        "description" => value.split(|c: char| c == '|' || c.is_whitespace()).collect::<String>(),
        "keywords" => value.split([',', ' ', '\r', '\n']).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(","),
        "project-url" => value.split(',').map(str::trim).collect::<Vec<_>>().join(","),
        _ => value.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned(),
    };
    fields
        .into_iter()
        .map(|(field, values)| {
            let values = values.iter().map(|value| fold(&field, value)).filter(|v| !absent(&field, v)).collect();
            (field, values)
        })
        .filter(|(_, values): &(String, Vec<String>)| !values.is_empty())
        .collect()
}

#[test]
fn kept_cases_are_answered_as_the_library_answers_them() {
    let cases: Vec<Case> =
        include_str!("../data/oracle.jsonl").lines().map(|line| serde_json::from_str(line).expect("a case")).collect();
    assert!(cases.len() >= 2000);
    let undecided: Vec<String> = cases.iter().filter_map(|case| judge(case, &answer(case)).err()).collect();
    assert!(undecided.is_empty(), "{}", undecided.join("\n"));
}
