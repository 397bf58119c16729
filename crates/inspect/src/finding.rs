//! Evidence: what one check saw, and where.

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Worth a look.
    Warning,
    /// Worth holding the file.
    Danger,
}

/// One hit of one check. A finding is evidence, not judgement: `index::policy` concludes the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's id.
    pub check: String,
    /// The check's version.
    pub version: u32,
    /// Its weight.
    pub severity: Severity,
    /// The member, when the finding is about one.
    pub path: Option<String>,
    /// The line in it, counted from 1.
    pub line: Option<u32>,
    /// What was seen, in words for a reviewer.
    pub explanation: String,
}
