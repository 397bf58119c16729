//! From findings to a verdict.

use inspect::{Finding, Severity};

use crate::model::Verdict;

/// The machine's conclusion: the heaviest finding decides. `malicious` is left to rules that name a case; no
/// single severity says it.
pub fn conclude(findings: &[Finding]) -> Verdict {
    match findings.iter().map(|finding| finding.severity).max() {
        None | Some(Severity::Note) => Verdict::Clear,
        Some(Severity::Warning) => Verdict::Review,
        Some(Severity::Danger) => Verdict::Hold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_finding_decides() {
        let finding = |severity| Finding {
            check: "c".into(),
            version: 1,
            severity,
            path: None,
            line: None,
            explanation: String::new(),
        };
        assert_eq!(conclude(&[]), Verdict::Clear);
        assert_eq!(conclude(&[finding(Severity::Note)]), Verdict::Clear);
        assert_eq!(conclude(&[finding(Severity::Danger), finding(Severity::Warning)]), Verdict::Hold);
        assert_eq!(conclude(&[finding(Severity::Warning)]), Verdict::Review);
    }
}
