//! Every rule that this crate finds broken: what just passes, and one past it.

use packaging::filename::FILENAME_BYTES_MAX;
use packaging::metadata::{
    self, CoreMetadata, FIELDS, Field, HEADERS_MAX, METADATA_BYTES_MAX, SUMMARY_CHARS_MAX, URL_LABEL_CHARS_MAX,
};
use packaging::name::PROJECT_NAME_BYTES_MAX;
use packaging::requirement::MARKER_DEPTH_MAX;
use packaging::tag::platform_allowed;
use packaging::version::VERSION_BYTES_MAX;
use packaging::{DistFilename, FilenameError, Profile, ProjectName, Rule, Version};

const HEAD: &str = "Metadata-Version: 2.5\nName: a\nVersion: 1\n";

fn broken(file: &str, profile: Profile) -> Vec<Rule> {
    let (read, mut problems) = metadata::parse(file.as_bytes());
    if problems.iter().any(|problem| problem.rule == Rule::MetadataUnreadable) {
        // What follows from it is not the point here.
        problems.retain(|problem| problem.rule == Rule::MetadataUnreadable);
        return problems.into_iter().map(|problem| problem.rule).collect();
    }
    problems.extend(metadata::check(&read, profile));
    problems.into_iter().map(|problem| problem.rule).filter(|rule| rule.applies(profile)).collect()
}

fn repeat(text: &str, count: usize) -> String {
    text.repeat(count)
}

/// Rule, a metadata file that keeps it, and one that breaks it and nothing else.
fn metadata_table() -> Vec<(Rule, String, String)> {
    let head = |line: &str| format!("{HEAD}{line}\n");
    let pair = |rule, keeps: &str, breaks: &str| (rule, head(keeps), head(breaks));
    let marker = |depth| format!("Requires-Dist: a; {}os_name == 'x'{}", repeat("(", depth), repeat(")", depth));
    let summary = |chars| format!("Summary: {}", repeat("é", chars));
    let label = |chars| format!("Project-URL: {}, https://a.example", repeat("é", chars));
    let body = |bytes: usize| format!("{HEAD}\n{}", repeat("b", bytes - HEAD.len() - 1));
    let headers = |count: usize| format!("{HEAD}{}", repeat("Platform: x\n", count - 3));
    vec![
        (Rule::MetadataUnreadable, body(METADATA_BYTES_MAX), body(METADATA_BYTES_MAX + 1)),
        (Rule::MetadataUnreadable, headers(HEADERS_MAX), headers(HEADERS_MAX + 1)),
        pair(Rule::MetadataUnreadable, "Author: a\n  b", "Author: a\n\0b"),
        pair(Rule::MetadataUnreadable, "Author: a", "Author : a"),
        pair(Rule::MetadataVersion, "", "").with("Metadata-Version: 2.5", "Metadata-Version: 2.6"),
        pair(Rule::MetadataRequired, "", "").with("Name: a", "Author: a"),
        pair(Rule::MetadataRequired, "", "").with("Version: 1\n", "Version: UNKNOWN\n"),
        pair(Rule::MetadataTooNew, "License-Expression: MIT", "License-Expression: MIT").with("2.5", "2.3"),
        pair(Rule::MetadataUnknownField, "Author: a", "X-Author: a"),
        pair(Rule::MetadataRepeated, "Author: a", "Author: a\nAuthor: b"),
        pair(Rule::MetadataRepeated, "Description: a", "Description: a\n\nb"),
        pair(Rule::NameInvalid, "", "").with("Name: a", "Name: a-"),
        pair(Rule::VersionInvalid, "", "").with("Version: 1\n", "Version: 1x\n"),
        pair(Rule::VersionLocal, "", "").with("Version: 1\n", "Version: 1+a\n"),
        pair(Rule::SummaryInvalid, &summary(SUMMARY_CHARS_MAX), &summary(SUMMARY_CHARS_MAX + 1)),
        pair(Rule::SummaryInvalid, "Summary: a b", "Summary: a\n  b"),
        pair(
            Rule::DescriptionType,
            "Description-Content-Type: text/markdown; variant=GFM",
            "Description-Content-Type: text/markdown; variant=gfm",
        ),
        pair(Rule::EmailInvalid, "Author-email: a@b.example", "Author-email: a@example"),
        pair(Rule::ClassifierUnknown, "Classifier: Typing :: Typed", "Classifier: Typing :: Type"),
        pair(Rule::UrlInvalid, "Home-page: http://a.example", "Home-page: ftp://a.example"),
        pair(Rule::ProjectUrlInvalid, &label(URL_LABEL_CHARS_MAX), &label(URL_LABEL_CHARS_MAX + 1)),
        pair(Rule::ProjectUrlInvalid, "Project-URL: A, http://a.example", "Project-URL: A http://a.example"),
        pair(Rule::RequirementInvalid, &marker(MARKER_DEPTH_MAX), &marker(MARKER_DEPTH_MAX + 1)),
        pair(Rule::RequirementInvalid, "Requires-Dist: a>=1.0", "Requires-Dist: a>=1.*"),
        pair(Rule::RequirementDirect, "Requires-Dist: a", "Requires-Dist: a @ https://a.example/a.whl"),
        pair(Rule::RequiresPythonInvalid, "Requires-Python: ==3.*", "Requires-Python: >=3.*"),
        pair(Rule::DynamicInvalid, "Dynamic: author", "Dynamic: version"),
        pair(Rule::ExtraInvalid, "Provides-Extra: a_b", "Provides-Extra: a_"),
        pair(Rule::LicenseInvalid, "License-Expression: MIT", "License-Expression: MIT\nLicense: MIT"),
        pair(Rule::LicenseFileInvalid, "License-File: a/b", "License-File: a/../b"),
        pair(Rule::ImportNameInvalid, "Import-Name: a.b; private", "Import-Name: a.in; private"),
    ]
}

/// Replaces in the second file what stands in the head of both.
trait With {
    fn with(self, keeps: &str, breaks: &str) -> Self;
}

impl With for (Rule, String, String) {
    fn with(self, keeps: &str, breaks: &str) -> Self {
        assert!(self.1.contains(keeps));
        (self.0, self.1, self.2.replacen(keeps, breaks, 1))
    }
}

#[test]
fn each_metadata_rule_stands_at_its_limit() {
    for (rule, keeps, breaks) in metadata_table() {
        let shown: String = breaks.chars().take(200).collect();
        assert_eq!(broken(&keeps, Profile::Public), [], "{rule:?} is kept by {shown}");
        assert_eq!(broken(&breaks, Profile::Public), [rule], "{rule:?} is broken by {shown}");
        let private = if rule.row().public_only { vec![] } else { vec![rule] };
        assert_eq!(broken(&breaks, Profile::Private), private, "{rule:?} in a private index: {shown}");
    }
}

#[test]
fn each_field_has_its_longest_value() {
    for row in FIELDS {
        let too_long = |bytes: usize| {
            let mut read = CoreMetadata::default();
            if row.field != Field::MetadataVersion {
                read.push(Field::MetadataVersion, "2.5".into());
            }
            read.push(row.field, repeat("a", bytes));
            metadata::check(&read, Profile::Public).iter().any(|p| p.rule == Rule::MetadataFieldTooLong)
        };
        assert!(!too_long(row.bytes_max), "{}", row.header);
        assert!(too_long(row.bytes_max + 1), "{}", row.header);
    }
}

#[test]
fn names_versions_and_file_names_have_their_longest() {
    let name = |bytes| repeat("a", bytes).parse::<ProjectName>().is_ok();
    assert!(name(PROJECT_NAME_BYTES_MAX) && !name(PROJECT_NAME_BYTES_MAX + 1));
    let version = |bytes: usize| format!("1+{}", repeat("a", bytes - 2)).parse::<Version>().is_ok();
    assert!(version(VERSION_BYTES_MAX) && !version(VERSION_BYTES_MAX + 1));
    let wheel = |bytes: usize| {
        let tail = "-1-py3-none-any.whl";
        let name = repeat("a", PROJECT_NAME_BYTES_MAX);
        let more = bytes - name.len() - tail.len();
        format!("{name}-1-{}py3-none-any.whl", repeat("a", more)).parse::<DistFilename>()
    };
    assert!(wheel(FILENAME_BYTES_MAX).is_ok());
    assert_eq!(wheel(FILENAME_BYTES_MAX + 1), Err(FilenameError::TooLong));
}

#[test]
fn each_file_name_rule_stands_at_its_limit() {
    let kind = |name: &str| match name.parse::<DistFilename>() {
        Ok(_) => None,
        Err(FilenameError::Characters | FilenameError::TooLong) => Some(Rule::FilenameCharacters),
        Err(FilenameError::Extension) => Some(Rule::FilenameExtension),
        Err(FilenameError::Sdist(_)) => Some(Rule::SdistFilename),
        Err(FilenameError::Wheel(_)) => Some(Rule::WheelFilename),
    };
    let table = [
        (Rule::FilenameCharacters, "a-1.tar.gz", "a-\u{7f}1.tar.gz"),
        (Rule::FilenameExtension, "a-1.tar.gz", "a-1.tar.gZ"),
        (Rule::SdistFilename, "a-1.tar.gz", "a_1.tar.gz"),
        (Rule::WheelFilename, "a-1-1-py3-none-any.whl", "a-1-x-py3-none-any.whl"),
    ];
    for (rule, keeps, breaks) in table {
        assert_eq!((kind(keeps), kind(breaks)), (None, Some(rule)));
    }
    assert!(platform_allowed("macosx_26_0_arm64", Profile::Public), "{}", Rule::WheelPlatform.id());
    assert!(!platform_allowed("macosx_26_1_arm64", Profile::Public));
}

#[test]
fn every_rule_is_tabled_here_or_found_elsewhere() {
    let elsewhere = |rule: Rule| {
        let id = rule.id();
        let areas = ["access.", "attestation.", "form.", "archive.", "file.", "project.", "release."];
        areas.iter().any(|area| id.starts_with(area))
            || matches!(
                rule,
                Rule::NameStdlib
                    | Rule::NameSimilar
                    | Rule::SdistLayout
                    | Rule::WheelLayout
                    | Rule::WheelRecord
                    | Rule::WheelTags
                    | Rule::EntryPointsInvalid
                    | Rule::LicenseFileMissing
            )
    };
    let tabled: Vec<Rule> = metadata_table().into_iter().map(|(rule, ..)| rule).collect();
    // These have tables of their own: above, and in `metadata::compare`.
    let others = [
        Rule::MetadataFieldTooLong,
        Rule::FilenameCharacters,
        Rule::FilenameExtension,
        Rule::SdistFilename,
        Rule::WheelFilename,
        Rule::WheelPlatform,
        Rule::Mismatch,
    ];
    for rule in Rule::ALL {
        let here = tabled.contains(rule) || others.contains(rule);
        assert!(here != elsewhere(*rule), "{rule:?} must be tabled here, or be named as found elsewhere, not both");
    }
}
