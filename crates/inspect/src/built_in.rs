//! What the built-in policy makes of findings, for the tests of pages and of the catalogue: `index` has the policy and
//! stands above this crate. The file is the same; only what it uses of the policies' language is understood here, and
//! anything else in it fails these tests.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{Confidence, Finding, Severity};

/// `index::model::Verdict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Clear,
    Review,
    Hold,
    Malicious,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "version")]
    _version: u32,
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "id")]
    _id: String,
    severity: Severity,
    confidence: Confidence,
    #[serde(default = "one")]
    different: usize,
    within: Option<Within>,
    verdict: Verdict,
    #[serde(rename = "why")]
    _why: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Within {
    Member,
}

fn one() -> usize {
    1
}

impl Rule {
    fn holds(&self, findings: &[&Finding]) -> bool {
        let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let grave = |finding: &&&Finding| finding.severity >= self.severity && finding.confidence >= self.confidence;
        for finding in findings.iter().filter(grave) {
            let place = match (self.within, &finding.location) {
                (Some(Within::Member), Some(location)) => location.member.as_str(),
                (Some(Within::Member), None) | (None, _) => "",
            };
            groups.entry(place).or_default().insert(&finding.check);
        }
        groups.values().any(|checks| checks.len() >= self.different)
    }
}

/// The gravest that a rule asks for.
pub(crate) fn verdict(findings: &[&Finding]) -> Verdict {
    let policy: Policy =
        toml::from_str(include_str!("../../index/src/policy/default.toml")).expect("what is understood here");
    let held = policy.rule.iter().filter(|rule| rule.holds(findings));
    held.map(|rule| rule.verdict).max().unwrap_or(Verdict::Clear)
}

/// The weights of `index::policy::verdict`'s own test, so that neither reads the file otherwise than the other.
#[test]
fn the_file_is_read_as_the_index_reads_it() {
    use Confidence::{High as Sure, Low as Unsure, Medium as Likely};
    let finding = |check: &str, severity, confidence, member: &str| Finding {
        check: check.into(),
        severity,
        confidence,
        location: Some(crate::Location { member: member.into(), line: None, column: None, layer: vec![] }),
        ..crate::of_failure(&crate::Failure::Died)
    };
    for (severity, row) in [
        (Severity::Low, [Verdict::Clear; 3]),
        (Severity::Medium, [Verdict::Clear, Verdict::Review, Verdict::Review]),
        (Severity::High, [Verdict::Clear, Verdict::Hold, Verdict::Hold]),
        (Severity::Critical, [Verdict::Clear, Verdict::Hold, Verdict::Malicious]),
    ] {
        assert_eq!([Unsure, Likely, Sure].map(|sure| verdict(&[&finding("a", severity, sure, "m")])), row);
    }
    let medium = |check: &str, member: &str| finding(check, Severity::Medium, Likely, member);
    assert_eq!(verdict(&[&medium("a", "m"), &medium("b", "m")]), Verdict::Hold, "several signs in one place");
    assert_eq!(verdict(&[&medium("a", "m"), &medium("b", "n")]), Verdict::Review);
    assert_eq!(verdict(&[&medium("a", "m"), &medium("a", "m")]), Verdict::Review);
}
