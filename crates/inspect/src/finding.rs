//! Evidence: what one check saw, and where; and the profile by which releases are compared.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How bad it is if the finding is what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; says nothing by itself.
    Note,
    /// Unusual, seen in honest packages too.
    Low,
    /// Dangerous in the wrong hands.
    Medium,
    /// Harms whoever installs, imports or uses it.
    High,
    /// Harm and nothing else: no honest package does this.
    Critical,
}

/// How sure the check is that it saw what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A trace: a word, a name, a shape.
    Low,
    /// The code says so, but a part was guessed.
    Medium,
    /// Followed from source to effect.
    High,
}

/// Where a finding stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// The member's path in the archive.
    pub member: String,
    /// Line in the member (or in the decoded layer), from 1.
    pub line: Option<u32>,
    /// Column in characters, from 1.
    pub column: Option<u32>,
    /// The encodings peeled off to get there, outermost first: `["base64", "zlib"]`. Empty: the member itself.
    pub layer: Vec<String>,
}

/// One hit of one check. A finding is evidence, not judgement: `index::policy::verdict` concludes.
///
/// It crosses the sandbox, stands in the ledger as JSON for as long as the index does, and is what `inspect --format json`
/// and `/api/v1/` print. So a field that is added needs `#[serde(default)]`, or no verdict of before can be read; none is
/// renamed or removed. The compiler stops where one is bounded (`findings::bounded`) and shown (`sarif`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's id.
    pub check: String,
    /// The check's version.
    pub version: u32,
    /// Its weight, if true.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where, when it is about one place.
    pub location: Option<Location>,
    /// The source as it stands there; short.
    pub excerpt: String,
    /// What stood under an encoding, where something was peeled; short.
    pub decoded: Option<String>,
    /// Why it matters, in words for a reviewer.
    pub why: String,
    /// Behaviours, `tactic/technique`: `execution/exec-decoded`, `exfiltration/webhook`.
    pub tags: Vec<String>,
}

/// Most characters of [`Finding::excerpt`] and [`Finding::decoded`].
pub const EXCERPT_CHARS_MAX: usize = 400;
/// Most characters of [`Finding::why`].
pub const WHY_CHARS_MAX: usize = 600;
/// Most findings of one pass; the weightiest are kept and a note says how many were left out.
pub const FINDINGS_MAX: usize = 200;

/// What a file can do, as a set of short words, so that two releases are compared by subtracting sets:
/// `startup:setup.py:process`, `host:api.example.com`, `type:pth`, `entry:console_scripts:foo`, `needs:requests`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Raised when the words change their meaning; profiles of different versions are not compared.
    pub version: u32,
    /// The words, each at most [`Profile::WORD_BYTES_MAX`] bytes.
    pub words: BTreeSet<String>,
    /// There were more words than [`Profile::WORDS_MAX`]: absence then proves nothing.
    pub cut: bool,
}

impl Profile {
    /// The version written now.
    pub const VERSION: u32 = 2;
    /// Most words.
    pub const WORDS_MAX: usize = 1_000;
    /// Longest word, in bytes.
    pub const WORD_BYTES_MAX: usize = 100;
}

/// The answer of a checks pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// The evidence, weightiest first.
    pub findings: Vec<Finding>,
    /// What the file can do.
    pub profile: Profile,
    /// What was left out or cut short, in words: "3 members over 32 MB were only searched as text".
    pub degraded: Vec<String>,
    /// What each check took, in microseconds; `reading` what all facts took together, `yara` all rules of operators. Empty
    /// unless it was asked for: nothing else of an answer depends on the machine.
    #[serde(default, skip_serializing_if = "Costs::is_empty")]
    pub costs: Costs,
}

/// Microseconds by check.
pub type Costs = std::collections::BTreeMap<String, u64>;

#[cfg(test)]
mod tests {
    use super::*;

    /// The oldest row of a ledger, byte for byte: it is never changed when a field is added.
    const STORED: &str = r#"{"check":"pth-imports","version":1,"severity":"critical","confidence":"high","location":{"member":"pkg.pth","line":1,"column":null,"layer":["base64"]},"excerpt":"import base64; exec(…)","decoded":"print(1)","why":"It runs at every start.","tags":["persistence/pth"]}"#;

    #[test]
    fn a_finding_of_the_first_version_is_read() {
        let finding: Finding = serde_json::from_str(STORED).expect("every field that was added has a default");
        assert_eq!(
            (finding.check.as_str(), finding.severity, finding.confidence),
            ("pth-imports", Severity::Critical, Confidence::High)
        );
        assert_eq!(
            finding.location.map(|at| (at.member, at.line, at.layer)),
            Some(("pkg.pth".into(), Some(1), vec!["base64".into()]))
        );
    }
}
