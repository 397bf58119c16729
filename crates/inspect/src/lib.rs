//! Inspection: an archive goes in, bounded typed facts come out, and the archive is only ever opened in a
//! sandboxed child.
//!
//! Two passes exist. The *rules* pass runs while the uploader waits and says whether the archive is one that
//! an index may hold at all. The *checks* pass runs after commit 1 and produces findings, the evidence from
//! which `index::policy` concludes a verdict.

pub mod checks;
pub mod code;
pub mod distribution;
mod finding;
pub mod findings;
pub mod formats;
pub mod kind;
mod known;
pub mod limits;
mod profile;
pub mod python;
pub mod sandbox;
pub mod settings;

#[cfg(test)]
mod cases;

use std::fs::File;

use serde::{Deserialize, Serialize};

pub use archive::{Limits, Report, Subject};
pub use finding::{
    Confidence, EXCERPT_CHARS_MAX, FINDINGS_MAX, Finding, Inspection, Location, Profile, Severity, WHY_CHARS_MAX,
};
pub use sandbox::{Confinement, Failure, Sandbox, SandboxLimits};

/// What the child is asked to do with the archive it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Read the archive against the upload rules.
    Rules {
        /// What the archive claims to be.
        subject: Subject,
        /// The bounds it must keep.
        limits: Limits,
    },
    /// Run every check over the archive.
    Checks {
        /// What the archive claims to be.
        subject: Subject,
        /// The bounds it must keep.
        limits: Limits,
        /// The release before this one, to say what is new.
        previous: Option<Profile>,
        /// The same release's other form (the sdist of a wheel, a wheel of an sdist), to say where they differ.
        sibling: Option<Profile>,
        /// Who published it, and those before it; absent where nobody knows.
        publishing: Option<Publishing>,
    },
    /// Try what must be denied, and say what was.
    Probe,
}

/// What the index knows of attestations (PEP 740): facts that no archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Publishing {
    /// Who attested this file, in words.
    pub own: Option<String>,
    /// How many releases in an unbroken row up to this file had nothing but attested files.
    pub streak: u32,
    /// Who attested the latest file before this one that was attested.
    pub last: Option<String>,
}

/// What the child answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Rules`].
    Rules(Report),
    /// To [`Request::Checks`].
    Checks(Inspection),
    /// To [`Request::Probe`].
    Probe(Confinement),
}

/// The child's whole work. Runs confined; the file is the only thing it can reach.
fn work(file: &File, request: &Request) -> Response {
    match request {
        Request::Rules { subject, limits } => Response::Rules(archive::examine(file, subject, limits)),
        Request::Checks { subject, limits, previous, sibling, publishing } => {
            let (previous, sibling) = (previous.as_ref(), sibling.as_ref());
            Response::Checks(inspect(file, subject, limits, previous, sibling, publishing.as_ref()))
        }
        Request::Probe => Response::Probe(sandbox::probe()),
    }
}

/// A pass that gave no answer is evidence as well: whoever asked for it holds the file and says why.
pub fn of_failure(failure: &Failure) -> Finding {
    Finding {
        check: "inspection".into(),
        version: 1,
        severity: Severity::High,
        confidence: Confidence::High,
        location: None,
        excerpt: String::new(),
        decoded: None,
        why: failure.to_string(),
        tags: vec!["evasion/breaks-inspection".into()],
    }
}

/// Facts first, each once; then every check over the facts.
fn inspect(
    file: &File,
    subject: &Subject,
    strict: &Limits,
    previous: Option<&Profile>,
    sibling: Option<&Profile>,
    publishing: Option<&Publishing>,
) -> Inspection {
    let distribution = distribution::read(file, subject, strict, &limits::InspectionLimits::default());
    let profile = profile::of(&distribution);
    let context = checks::Context { previous, sibling, own: Some(&profile), publishing };
    let findings = checks::run(&distribution, &context);
    Inspection { findings, profile, degraded: distribution.degraded }
}
