//! From findings to a verdict. The policy is data: a short list of rules, each with its reason in words, so that it can
//! be changed, versioned, and tried on what was found before (`tidewaiter verdicts replay`).

use std::collections::{BTreeMap, BTreeSet};

use inspect::{Confidence, Finding, Severity};
use packaging::hash;
use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::model::Verdict;

/// Largest policy, in bytes of its text.
pub const POLICY_BYTES_MAX: usize = 64 << 10;
/// Most rules of a policy.
pub const RULES_MAX: usize = 200;
/// Longest `why`, `id` and `name`, in characters.
pub const WORDS_CHARS_MAX: usize = 400;
/// Most reasons of one conclusion; the gravest are kept.
pub const REASONS_MAX: usize = 20;
/// Most checks that one reason names.
const NAMED_MAX: usize = 5;
/// Most characters of a member's path in a reason.
const MEMBER_CHARS_MAX: usize = 200;

/// What every installation begins with.
const DEFAULT: &str = include_str!("default.toml");

/// How findings are weighed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    version: String,
    rules: Vec<Row>,
}

/// The file, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    version: u32,
    #[serde(rename = "rule", default)]
    rules: Vec<Row>,
}

/// One rule: it holds when enough different checks have a finding that is at least this grave and this sure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    #[serde(default = "note")]
    severity: Severity,
    #[serde(default = "low")]
    confidence: Confidence,
    /// Any of these; a trailing `*` stands for anything. Empty: whatever the tags.
    #[serde(default)]
    tags: Vec<String>,
    /// Any of these checks; a trailing `*` stands for anything. Empty: whatever the check.
    #[serde(default)]
    checks: Vec<String>,
    /// How many different checks must agree.
    #[serde(default = "one")]
    different: usize,
    /// Where they must agree.
    #[serde(default)]
    within: Within,
    verdict: Verdict,
    why: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Within {
    /// Anywhere in the file.
    #[default]
    #[serde(rename = "file")]
    Anywhere,
    /// In one member of the archive.
    Member,
}

const fn note() -> Severity {
    Severity::Note
}
const fn low() -> Confidence {
    Confidence::Low
}
const fn one() -> usize {
    1
}

/// What decides where there are no findings to decide by, under every policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// Every attempt to inspect it crashed, ran out of time or broke a limit.
    Failed,
    /// It was not looked at in time; its inspection still comes.
    Late,
}

impl Floor {
    /// As it stands among the reasons of a verdict, in place of a rule of the policy.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Failed => "inspection-failed",
            Self::Late => "not-inspected-in-time",
        }
    }
}

/// Why a verdict is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The policy's rule, or [`Floor::rule`].
    pub rule: String,
    /// What it asks for.
    pub verdict: Verdict,
    /// In words, with the checks and the place.
    pub text: String,
}

/// The machine's conclusion about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// The gravest that any rule asks for; clear when none holds.
    pub verdict: Verdict,
    /// Every rule that holds, gravest first.
    pub reasons: Vec<Reason>,
}

impl Reason {
    /// Whether this decided.
    pub fn is(&self, floor: Floor) -> bool {
        self.rule == floor.rule()
    }
}

impl Conclusion {
    /// A conclusion that does not come from findings.
    pub fn because(floor: Floor, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { verdict, reasons: vec![Reason { rule: floor.rule().into(), verdict, text: text.into() }] }
    }

    /// What stands of a file whose inspection broke off, whatever the policy says.
    pub fn failed(failure: &inspect::Failure) -> Self {
        Self::because(Floor::Failed, Verdict::Hold, format!("It could not be inspected: {failure}."))
    }

    /// The same, but never milder than `verdict`: what broke the inspection is not released by any policy.
    #[must_use]
    pub fn at_least(mut self, floor: Self) -> Self {
        if self.verdict < floor.verdict {
            self.verdict = floor.verdict;
        }
        self.reasons.splice(0..0, floor.reasons);
        self.reasons.truncate(REASONS_MAX);
        self
    }
}

impl Policy {
    /// The policy that comes with the program.
    pub fn built_in() -> Self {
        Self::parse(DEFAULT).expect("the built-in policy is one; a test reads it")
    }

    /// Reads a policy.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(format!("a policy has at most {POLICY_BYTES_MAX} bytes, this one has {}", text.len()));
        }
        let Text { name, version, rules } = toml::from_str(text).map_err(|error| error.to_string())?;
        if rules.len() > RULES_MAX {
            return Err(format!("a policy has at most {RULES_MAX} rules, this one has {}", rules.len()));
        }
        let words = std::iter::once(("name", &name)).chain(rules.iter().flat_map(|r| [("id", &r.id), ("why", &r.why)]));
        for (key, text) in words {
            if text.is_empty() || text.chars().count() > WORDS_CHARS_MAX || text.chars().any(char::is_control) {
                return Err(format!("'{key}' must be one line of 1 to {WORDS_CHARS_MAX} characters"));
            }
        }
        for rule in &rules {
            if rule.different == 0 {
                return Err(format!("rule '{}': 'different' is at least 1", rule.id));
            }
            let mut patterns = rule.tags.iter().chain(&rule.checks);
            if let Some(bad) = patterns.find(|text| text.trim_end_matches('*').contains('*') || text.ends_with("**")) {
                return Err(format!("rule '{}': '{bad}' has a '*' elsewhere than at its end", rule.id));
            }
        }
        let digest = hash::hex(&sha2::Sha256::digest(text.as_bytes())[..6]);
        Ok(Self { version: format!("{name}-{version}@{digest}"), rules })
    }

    /// `name-version@digest`, as stored with each verdict.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// The machine's conclusion. Findings of checks that may not influence anything are left out by the caller.
pub fn conclude(policy: &Policy, findings: &[Finding]) -> Conclusion {
    let mut reasons: Vec<Reason> = policy.rules.iter().filter_map(|rule| rule.holds(findings)).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    let verdict = reasons.first().map_or(Verdict::Clear, |reason| reason.verdict);
    reasons.truncate(REASONS_MAX);
    Conclusion { verdict, reasons }
}

impl Row {
    fn fits(&self, finding: &Finding) -> bool {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| matches(pattern, text));
        finding.severity >= self.severity
            && finding.confidence >= self.confidence
            && (self.checks.is_empty() || any(&self.checks, &finding.check))
            && (self.tags.is_empty() || finding.tags.iter().any(|tag| any(&self.tags, tag)))
    }

    fn holds(&self, findings: &[Finding]) -> Option<Reason> {
        let mut groups: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        for finding in findings.iter().filter(|finding| self.fits(finding)) {
            let place = match (self.within, &finding.location) {
                (Within::Member, Some(location)) => location.member.as_str(),
                (Within::Member, None) | (Within::Anywhere, _) => "",
            };
            groups.entry(place).or_default().push(finding);
        }
        let different = |group: &Vec<&Finding>| group.iter().map(|f| &f.check).collect::<BTreeSet<_>>().len();
        // The group that most checks agree on; the first of equals, so that the words do not depend on luck.
        let group = groups.into_values().rev().max_by_key(different).filter(|g| different(g) >= self.different)?;
        Some(Reason { rule: self.id.clone(), verdict: self.verdict, text: format!("{} ({})", self.why, named(&group)) })
    }
}

/// `check@version at member:line`, one for each check, at most [`NAMED_MAX`].
fn named(group: &[&Finding]) -> String {
    let mut seen = BTreeSet::new();
    let firsts: Vec<&&Finding> = group.iter().filter(|finding| seen.insert(&finding.check)).collect();
    let mut parts: Vec<String> = firsts
        .iter()
        .take(NAMED_MAX)
        .map(|finding| {
            let at = finding.location.as_ref().map(|location| match location.line {
                Some(line) => format!(" at {}:{line}", shown(&location.member)),
                None => format!(" at {}", shown(&location.member)),
            });
            format!("{}@{}{}", finding.check, finding.version, at.unwrap_or_default())
        })
        .collect();
    if firsts.len() > NAMED_MAX {
        parts.push(format!("{} more", firsts.len() - NAMED_MAX));
    }
    parts.join(", ")
}

/// A member's path, which the uploader chose, as one short line.
fn shown(member: &str) -> String {
    member.chars().take(MEMBER_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => pattern == text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Confidence::{High as Sure, Low as Unsure, Medium as Likely};
    use inspect::Location;

    fn finding(check: &str, severity: Severity, confidence: Confidence, member: &str) -> Finding {
        Finding {
            check: check.into(),
            version: 1,
            severity,
            confidence,
            location: Some(Location { member: member.into(), line: Some(3), column: None, layer: Vec::new() }),
            excerpt: String::new(),
            decoded: None,
            why: String::new(),
            tags: vec!["exfiltration/webhook".into()],
        }
    }

    fn with(rules: &str) -> Policy {
        Policy::parse(&format!("name = \"t\"\nversion = 1\n{rules}")).expect("a policy")
    }

    #[test]
    fn the_built_in_policy_at_every_weight() {
        let policy = Policy::built_in();
        let verdict = |s, c| conclude(&policy, &[finding("c", s, c, "m")]).verdict;
        use Severity::{Critical, High, Low, Medium, Note};
        for (severity, row) in [
            (Note, [Verdict::Clear; 3]),
            (Low, [Verdict::Clear; 3]),
            (Medium, [Verdict::Clear, Verdict::Review, Verdict::Review]),
            (High, [Verdict::Clear, Verdict::Hold, Verdict::Hold]),
            (Critical, [Verdict::Clear, Verdict::Hold, Verdict::Malicious]),
        ] {
            assert_eq!([Unsure, Likely, Sure].map(|c| verdict(severity, c)), row, "{severity:?}");
        }
        assert_eq!(conclude(&policy, &[]), Conclusion { verdict: Verdict::Clear, reasons: Vec::new() });
    }

    #[test]
    fn the_gravest_rule_decides_and_all_are_named() {
        let policy = Policy::built_in();
        let found =
            [finding("a", Severity::Medium, Likely, "x.py"), finding("b", Severity::Critical, Sure, "setup.py")];
        let Conclusion { verdict, reasons } = conclude(&policy, &found);
        assert_eq!(verdict, Verdict::Malicious);
        let ids: Vec<&str> = reasons.iter().map(|reason| reason.rule.as_str()).collect();
        assert_eq!(ids, ["harm-and-nothing-else", "likely-harm", "harm", "dangerous-in-the-wrong-hands"]);
        assert!(reasons[0].text.ends_with("(b@1 at setup.py:3)"), "{}", reasons[0].text);
    }

    #[test]
    fn different_checks_must_agree_in_one_place() {
        let policy = Policy::built_in();
        let verdict = |found: &[Finding]| conclude(&policy, found).verdict;
        let (a, b) = (finding("a", Severity::Medium, Sure, "x.py"), finding("b", Severity::Medium, Sure, "x.py"));
        assert_eq!(verdict(&[a.clone(), b.clone()]), Verdict::Hold);
        assert_eq!(verdict(&[a.clone(), a.clone()]), Verdict::Review, "one check twice is one check");
        assert_eq!(verdict(&[a.clone(), finding("b", Severity::Medium, Sure, "y.py")]), Verdict::Review);
        assert_eq!(verdict(&[a.clone(), finding("b", Severity::Medium, Likely, "x.py")]), Verdict::Hold);
        assert_eq!(verdict(&[a.clone(), finding("b", Severity::Medium, Unsure, "x.py")]), Verdict::Review);
        assert_eq!(verdict(&[a.clone(), finding("b", Severity::Low, Sure, "x.py")]), Verdict::Review);
        let anywhere = with("[[rule]]\nid = \"two\"\ndifferent = 2\nverdict = \"hold\"\nwhy = \"w\"");
        assert_eq!(conclude(&anywhere, &[a, finding("b", Severity::Note, Unsure, "y.py")]).verdict, Verdict::Hold);
    }

    #[test]
    fn tags_and_checks_select_by_prefix() {
        let found = [finding("net-exfil", Severity::Low, Unsure, "m")];
        for (key, pattern, holds) in [
            ("tags", "exfiltration/*", true),
            ("tags", "exfiltration/webhook", true),
            ("tags", "exfiltration", false),
            ("tags", "*", true),
            ("checks", "net-*", true),
            ("checks", "net", false),
        ] {
            let policy =
                with(&format!("[[rule]]\nid = \"r\"\n{key} = [\"{pattern}\"]\nverdict = \"malicious\"\nwhy = \"w\""));
            assert_eq!(conclude(&policy, &found).verdict == Verdict::Malicious, holds, "{key} {pattern}");
        }
    }

    #[test]
    fn a_policy_is_read_within_its_limits() {
        let rule = "[[rule]]\nid = \"r\"\nverdict = \"hold\"\nwhy = \"w\"\n";
        let text = |n: usize| format!("name = \"t\"\nversion = 1\n{}", rule.repeat(n));
        assert!(Policy::parse(&text(RULES_MAX)).is_ok());
        assert!(Policy::parse(&text(RULES_MAX + 1)).expect_err("too many").contains("rules"));
        let padded = |bytes: usize| format!("{}#{}", text(1), "x".repeat(bytes - text(1).len() - 1));
        assert!(Policy::parse(&padded(POLICY_BYTES_MAX)).is_ok());
        assert!(Policy::parse(&padded(POLICY_BYTES_MAX + 1)).expect_err("too long").contains("bytes"));
        let why = |n: usize| with_why(&"y".repeat(n));
        assert!(why(WORDS_CHARS_MAX).is_ok() && why(WORDS_CHARS_MAX + 1).is_err() && why(0).is_err());
        for bad in ["different = 0", "tags = [\"a*b\"]", "checks = [\"a**\"]", "sevrity = \"low\"", "severity = \"x\""]
        {
            let text = format!("name = \"t\"\nversion = 1\n{rule}{bad}\n");
            assert!(Policy::parse(&text).is_err(), "{bad}");
        }
    }

    fn with_why(why: &str) -> Result<Policy, String> {
        Policy::parse(&format!("name = \"t\"\nversion = 1\n[[rule]]\nid = \"r\"\nverdict = \"hold\"\nwhy = \"{why}\""))
    }

    #[test]
    fn the_version_changes_with_the_text() {
        let (a, b) = (with(""), with("# a word more"));
        assert!(a.version().starts_with("t-1@") && a.version() != b.version());
    }

    #[test]
    fn what_broke_the_inspection_stays_held_under_any_policy() {
        let lenient = with("");
        let floor = Conclusion::because(Floor::Failed, Verdict::Hold, "it broke");
        let concluded = conclude(&lenient, &[]).at_least(floor.clone());
        assert_eq!(concluded, floor);
        let grave = with("[[rule]]\nid = \"r\"\nverdict = \"malicious\"\nwhy = \"w\"");
        let grave = conclude(&grave, &[finding("a", Severity::Note, Unsure, "m")]).at_least(floor);
        assert_eq!((grave.verdict, grave.reasons.len()), (Verdict::Malicious, 2));
    }
}
