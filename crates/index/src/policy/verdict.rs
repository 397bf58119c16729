//! From findings to a verdict.

use inspect::{Confidence, Finding, Severity};

use crate::model::Verdict;

/// The machine's conclusion: the heaviest finding decides.
pub fn conclude(findings: &[Finding]) -> Verdict {
    let heaviest = findings.iter().map(|finding| match (finding.severity, finding.confidence) {
        (Severity::Note | Severity::Low, _) | (_, Confidence::Low) => Verdict::Clear,
        (Severity::Medium, Confidence::Medium | Confidence::High) => Verdict::Review,
        (Severity::High, _) | (Severity::Critical, Confidence::Medium) => Verdict::Hold,
        (Severity::Critical, Confidence::High) => Verdict::Malicious,
    });
    heaviest.max().unwrap_or(Verdict::Clear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_finding_decides() {
        let finding = |severity, confidence| Finding {
            check: "c".into(),
            version: 1,
            severity,
            confidence,
            location: None,
            excerpt: String::new(),
            decoded: None,
            why: String::new(),
            tags: Vec::new(),
        };
        use Confidence::{High as Sure, Low as Unsure, Medium as Likely};
        assert_eq!(conclude(&[]), Verdict::Clear);
        assert_eq!(conclude(&[finding(Severity::Note, Sure)]), Verdict::Clear);
        assert_eq!(conclude(&[finding(Severity::High, Likely), finding(Severity::Medium, Sure)]), Verdict::Hold);
        assert_eq!(conclude(&[finding(Severity::Medium, Likely)]), Verdict::Review);
        assert_eq!(conclude(&[finding(Severity::Critical, Sure)]), Verdict::Malicious);
        assert_eq!(conclude(&[finding(Severity::Critical, Unsure)]), Verdict::Clear);
    }
}
