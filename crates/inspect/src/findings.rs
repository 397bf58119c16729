//! Where checks put what they saw, within the bounds that a ledger and a reviewer can take.

use std::borrow::Cow;

use crate::distribution::Member;
use crate::finding::{Confidence, EXCERPT_CHARS_MAX, FINDINGS_MAX, Finding, Location, Severity, WHY_CHARS_MAX};

/// Most findings of one check; a package of one trick in a thousand files is told as well by these.
const OF_ONE_CHECK_MAX: usize = 30;
/// Longest member path in a finding, in characters.
const MEMBER_CHARS_MAX: usize = 500;
/// Most tags, and most layers, of a finding that came from outside.
const LIST_MAX: usize = 20;
/// Longest of them, in characters.
const WORD_CHARS_MAX: usize = 100;

/// One piece of evidence, before it is bounded and signed with its check.
#[derive(Debug)]
pub struct Evidence {
    severity: Severity,
    confidence: Confidence,
    location: Option<Location>,
    excerpt: String,
    decoded: Option<String>,
    why: String,
    tags: Vec<String>,
}

impl Evidence {
    /// How bad, how sure, and why it matters.
    pub fn new(severity: Severity, confidence: Confidence, why: impl Into<String>) -> Self {
        let (location, excerpt, decoded, tags) = (None, String::new(), None, vec![]);
        Self { severity, confidence, location, excerpt, decoded, why: why.into(), tags }
    }

    /// At a member as a whole.
    pub fn at(self, path: &str) -> Self {
        self.in_line(path, None, None)
    }

    /// At a line, from 1.
    pub fn at_line(self, path: &str, line: u32) -> Self {
        self.in_line(path, Some(line).filter(|line| *line > 0), None)
    }

    /// At a line and column, both from 1; zero stands for not known.
    pub fn at_column(self, path: &str, line: u32, column: u32) -> Self {
        self.in_line(path, Some(line).filter(|line| *line > 0), Some(column).filter(|column| *column > 0))
    }

    fn in_line(mut self, path: &str, line: Option<u32>, column: Option<u32>) -> Self {
        self.location = Some(Location { member: shorten(path, MEMBER_CHARS_MAX), line, column, layer: vec![] });
        self
    }

    /// Under these encodings, outermost first.
    pub fn under(mut self, layer: &[String]) -> Self {
        if let Some(location) = &mut self.location {
            location.layer = layer.to_vec();
        }
        self
    }

    /// The source as it stands there.
    pub fn excerpt(mut self, text: &str) -> Self {
        self.excerpt = shorten(text, EXCERPT_CHARS_MAX);
        self
    }

    /// What stood under an encoding.
    pub fn decoded(mut self, text: &str) -> Self {
        self.decoded = Some(shorten(text, EXCERPT_CHARS_MAX));
        self
    }

    /// A behaviour, `tactic/technique`.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

/// A finding that came from outside, within the bounds of our own.
pub fn bounded(finding: crate::Finding) -> crate::Finding {
    let crate::Finding { check, version, severity, confidence, location, excerpt, decoded, why, tags } = finding;
    let layers = |layer: Vec<String>| layer.iter().take(LIST_MAX).map(|one| shorten(one, WORD_CHARS_MAX)).collect();
    crate::Finding {
        check,
        version,
        severity,
        confidence,
        location: location.map(|Location { member, line, column, layer }| Location {
            member: shorten(&member, MEMBER_CHARS_MAX),
            line,
            column,
            layer: layers(layer),
        }),
        excerpt: shorten(&excerpt, EXCERPT_CHARS_MAX),
        decoded: decoded.map(|text| shorten(&text, EXCERPT_CHARS_MAX)),
        why: shorten(&why, WHY_CHARS_MAX),
        tags: layers(tags),
    }
}

/// Cut to so many characters, without control characters: findings are printed on terminals and pages.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let clean = |c: char| if c == '\n' || c == '\t' || !c.is_control() { c } else { '\u{fffd}' };
    let mut short: String = text.chars().take(most).map(clean).collect();
    if text.chars().nth(most).is_some() {
        short.pop();
        short.push('…');
    }
    short
}

/// The findings of one pass.
#[derive(Debug)]
pub struct Findings {
    check: (Cow<'static, str>, u32),
    of_this_check: usize,
    list: Vec<Finding>,
    left_out: usize,
}

impl Findings {
    pub(crate) fn new() -> Self {
        Self { check: (Cow::Borrowed(""), 0), of_this_check: 0, list: vec![], left_out: 0 }
    }

    /// What follows is this check's.
    pub(crate) fn begin(&mut self, id: impl Into<Cow<'static, str>>, version: u32) {
        self.check = (id.into(), version);
        self.of_this_check = 0;
    }

    /// Adds a piece of evidence. Beyond a check's share, the weightiest are kept.
    pub fn add(&mut self, evidence: Evidence) {
        let Evidence { severity, confidence, location, excerpt, decoded, why, tags } = evidence;
        let (check, version) = (self.check.0.clone().into_owned(), self.check.1);
        let why = shorten(&why, WHY_CHARS_MAX);
        let finding = Finding { check, version, severity, confidence, location, excerpt, decoded, why, tags };
        if self.of_this_check < OF_ONE_CHECK_MAX {
            self.of_this_check += 1;
            self.list.push(finding);
            return;
        }
        self.left_out += 1;
        let own = self.list.len() - self.of_this_check;
        let lightest = self.list[own..].iter_mut().min_by_key(|known| weight(known));
        if let Some(lightest) = lightest.filter(|lightest| weight(lightest) < weight(&finding)) {
            *lightest = finding;
        }
    }

    /// A finding at a hit of the search.
    pub(crate) fn at_found(
        &mut self,
        member: &Member,
        found: &crate::distribution::Found,
        weight: (Severity, Confidence),
        why: &str,
        tactic: &str,
    ) {
        let evidence = Evidence::new(weight.0, weight.1, why)
            .at_column(&member.path, found.line, found.column)
            .excerpt(&found.excerpt)
            .tag(format!("{tactic}/{}", found.rule.name));
        self.add(evidence);
    }

    /// All of them, weightiest first, at most [`FINDINGS_MAX`].
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| std::cmp::Reverse(weight(finding)));
        self.left_out += self.list.len().saturating_sub(FINDINGS_MAX - 1);
        self.list.truncate(FINDINGS_MAX - 1);
        if self.left_out > 0 {
            self.begin("inspection", 1);
            let why = format!("{} lighter findings are not listed.", self.left_out);
            self.of_this_check = 0;
            self.add(Evidence::new(Severity::Note, Confidence::High, why));
        }
        self.list
    }
}

fn weight(finding: &Finding) -> (Severity, Confidence) {
    (finding.severity, finding.confidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(count: usize, heavy_last: bool) -> Vec<Finding> {
        let mut findings = Findings::new();
        findings.begin("one", 1);
        for number in 0..count {
            let severity = if heavy_last && number + 1 == count { Severity::Critical } else { Severity::Low };
            findings.add(Evidence::new(severity, Confidence::High, "why"));
        }
        findings.finish()
    }

    #[test]
    fn a_check_keeps_its_share_and_the_weightiest() {
        assert_eq!(many(OF_ONE_CHECK_MAX, false).len(), OF_ONE_CHECK_MAX);
        let over = many(OF_ONE_CHECK_MAX + 1, true);
        assert_eq!(over.len(), OF_ONE_CHECK_MAX + 1, "the note counts the rest");
        assert_eq!(over[0].severity, Severity::Critical);
        assert_eq!(over[OF_ONE_CHECK_MAX].why, "1 lighter findings are not listed.");
    }

    #[test]
    fn a_pass_keeps_at_most_its_limit() {
        let mut findings = Findings::new();
        for check in 0..FINDINGS_MAX {
            findings.begin("many", check as u32);
            findings.add(Evidence::new(Severity::Low, Confidence::Low, "why"));
        }
        findings.begin("last", 1);
        findings.add(Evidence::new(Severity::High, Confidence::High, "why"));
        let list = findings.finish();
        assert_eq!((list.len(), list[0].check.as_str()), (FINDINGS_MAX, "last"));
    }

    #[test]
    fn texts_are_cut_and_cleaned() {
        let long = "x".repeat(EXCERPT_CHARS_MAX);
        let evidence = |text: &str| Evidence::new(Severity::Low, Confidence::Low, "").excerpt(text).excerpt;
        assert_eq!(evidence(&long), long);
        assert_eq!(evidence(&format!("{long}y")).chars().count(), EXCERPT_CHARS_MAX);
        assert_eq!(evidence("a\x1b[31mb"), "a\u{fffd}[31mb");
    }
}
