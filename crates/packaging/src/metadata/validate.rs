//! What the specification demands of each field, and whether two sources agree.

use std::collections::BTreeSet;

use super::fields::{Field, FieldRow, Kind};
use super::parse::elide;
use super::{CoreMetadata, METADATA_VERSIONS, has_own_license_files, spdx, values};
use crate::name::ProjectName;
use crate::requirement::Requirement;
use crate::rules::{Profile, Rejection, Rule};
use crate::specifier::Specifiers;
use crate::version::Version;

/// Longest summary, in characters.
pub const SUMMARY_CHARS_MAX: usize = 512;

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
        if field == Field::LicenseFile && !has_own_license_files(metadata) {
            continue;
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
        // PEP 794: an empty `Import-Name` alone says that the release has nothing to import.
        let nothing_to_import = field == Field::ImportName && values.len() == 1 && values[0].is_empty();
        for value in values.iter().filter(|_| !nothing_to_import) {
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
    let must = |fits: bool, rule: Rule| if fits { None } else { fail(rule, rule.row().sentence) };
    match row.kind {
        Kind::Free | Kind::MetadataVersion | Kind::Keywords | Kind::Description => None,
        Kind::Name => match value.parse::<ProjectName>() {
            Ok(_) => None,
            Err(error) => fail(Rule::NameInvalid, &format!("{error}.")),
        },
        Kind::Version => match value.parse::<Version>() {
            Err(_) => must(false, Rule::VersionInvalid),
            Ok(version) if version.is_local() => Some(Rejection::new(
                Rule::VersionLocal,
                format!("The use of local versions in '{}' is not allowed.", elide(value)),
            )),
            Ok(_) => None,
        },
        Kind::Summary => (value.contains(values::is_line_end) || value.chars().count() > SUMMARY_CHARS_MAX)
            .then(|| invalid(Rule::SummaryInvalid, row.header, value, Rule::SummaryInvalid.row().sentence)),
        Kind::ContentType => must(values::content_type(value), Rule::DescriptionType),
        Kind::Email => must(values::email_field(value), Rule::EmailInvalid),
        Kind::LicenseExpression => match spdx::canonical(value) {
            Ok(_) => None,
            Err(error) => fail(Rule::LicenseInvalid, &error),
        },
        Kind::LicenseFile => must(values::license_path(value), Rule::LicenseFileInvalid),
        Kind::Classifier => {
            values::classifier(value, profile).err().and_then(|error| fail(Rule::ClassifierUnknown, &error))
        }
        Kind::Url => must(values::web_url(value), Rule::UrlInvalid),
        Kind::ProjectUrl => match values::project_url(value) {
            Ok(()) => None,
            Err(error) => fail(Rule::ProjectUrlInvalid, error),
        },
        Kind::Requirement | Kind::OtherRequirement => match value.parse::<Requirement>() {
            Err(error) => fail(Rule::RequirementInvalid, &error.to_string()),
            Ok(parsed) if parsed.url.is_some() => Some(Rejection::new(
                Rule::RequirementDirect,
                format!("Can't have direct dependency: '{}'.", elide(value)),
            )),
            Ok(_) => None,
        },
        Kind::RequiresPython => must(value.parse::<Specifiers>().is_ok(), Rule::RequiresPythonInvalid),
        Kind::Extra => must(value.parse::<ProjectName>().is_ok(), Rule::ExtraInvalid),
        Kind::Dynamic => must(values::dynamic(value), Rule::DynamicInvalid),
        Kind::ImportName => must(values::import_name(value), Rule::ImportNameInvalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{URL_LABEL_CHARS_MAX, parse};

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
}
