//! Rules of operators, in the language of YARA: dropped into a folder, compiled and run in the sandbox, findings like
//! those of any other check.
//!
//! ```text
//! folder ─► Sources (server: text within limits)
//!        ─► Request::Compile   a child compiles them, within its limits, and tells what is wrong or a Catalogue
//!        ─► Request::Adopt     the zygote compiles the same once more; every later child has them by its fork
//! pass   ─► the answer of the checks, then a second walk over members and peeled layers ─► Scan
//! ```
//!
//! The scan comes after the checks' answer was given, so that a rule that is slow or breaks takes nothing from it.

mod compile;
mod scan;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::{Confidence, Finding, Severity};
use crate::occasion::Event;

pub(crate) use compile::compile;
pub(crate) use scan::{Layer, scan};
pub use sources::{ALL_BYTES_MAX, FILE_BYTES_MAX, FILES_MAX, STEM_BYTES_MAX, Sources};

/// What ids of these checks begin with: `yara/<file without ending>/<rule>`.
pub const PREFIX: &str = "yara/";
/// The check whose finding is that rules could not be run to their end.
pub const LIMITS: &str = "yara/limits";
/// Its version.
pub const LIMITS_VERSION: u32 = 1;
/// Most rules that can have findings; private ones are not counted.
pub const RULES_MAX: usize = 1_000;
/// Longest name of a rule, in bytes.
pub const RULE_BYTES_MAX: usize = 128;

/// One rule, as a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The check's id.
    pub id: String,
    /// From the digest of its file and of what that includes: it changes with the text, not by hand.
    pub version: u32,
    /// `severity` of its `meta`, else medium.
    pub severity: Severity,
    /// `confidence` of its `meta`, else medium.
    pub confidence: Confidence,
    /// `why`, else `description` of its `meta`.
    pub why: String,
    /// `tags` of its `meta`, and its own tags below `yara/`.
    pub tags: Vec<String>,
    /// `on` of its `meta`, else [`Event::USUAL`].
    pub on: Vec<Event>,
    /// `path_include` of its `meta`: only members whose path is like one of these; all, when there are none.
    pub include: Vec<String>,
    /// `path_exclude` of its `meta`: no member whose path is like one of these.
    pub exclude: Vec<String>,
}

/// The rules that are in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// [`Sources::digest`].
    pub digest: String,
    /// How many files they came from.
    pub files: usize,
    /// By file and name, private ones left out.
    pub rules: Vec<Rule>,
    /// What was taken otherwise than it was probably meant, one sentence each.
    pub notes: Vec<String>,
}

/// The answer of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// The evidence, weightiest first.
    pub findings: Vec<Finding>,
    /// What was left out or cut short, in words.
    pub degraded: Vec<String>,
    /// See [`crate::Inspection::costs`].
    #[serde(default, skip_serializing_if = "crate::Costs::is_empty")]
    pub costs: crate::Costs,
}

/// Compiled rules.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Rules of files in which every rule names the paths that it is for. They are not run over anything else: a rule for
    /// sources costs nothing where a wheel is made of libraries.
    placed: Option<boreal::Scanner>,
    /// All others.
    everywhere: Option<boreal::Scanner>,
    rules: Vec<Rule>,
    /// By namespace and name, the index of the rule.
    index: BTreeMap<(String, String), usize>,
}

/// What stands in for a scan that did not come to its end. It is as grave as an inspection that failed, and counts
/// only while some rule counts (`index::ops::look`): rules that are tried out hold up nothing.
pub fn unfinished(why: impl Into<String>) -> Finding {
    Finding {
        check: LIMITS.into(),
        version: LIMITS_VERSION,
        severity: Severity::High,
        confidence: Confidence::Medium,
        location: None,
        excerpt: String::new(),
        decoded: None,
        why: why.into(),
        tags: vec!["evasion/breaks-inspection".into()],
    }
}

/// Whether a path is like a pattern: `*` stands for any characters, `/` included, `?` for one. A pattern that holds no
/// `/` is also held against the last part of the path.
pub(crate) fn is_like(pattern: &str, path: &str) -> bool {
    let name = path.rsplit(['/', '!']).next().unwrap_or(path);
    matches(pattern.as_bytes(), path.as_bytes())
        || !pattern.contains('/') && matches(pattern.as_bytes(), name.as_bytes())
}

/// In time of the product of both lengths, whatever the pattern: only the last `*` is ever gone back to.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => (p, t) = (p + 1, t + 1),
            Some(_) | None => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
