//! Inspection: an archive goes in, bounded typed facts come out, and the archive is only ever opened in a
//! sandboxed child.
//!
//! Two passes exist. The *rules* pass runs while the uploader waits and says whether the archive is one that
//! an index may hold at all. The *checks* pass runs after commit 1 and produces findings, the evidence from
//! which `index::policy` concludes a verdict.

pub mod checks;
mod finding;
pub mod sandbox;

use std::fs::File;

use serde::{Deserialize, Serialize};

pub use archive::{Limits, Report, Subject};
pub use finding::{Finding, Severity};
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
    },
    /// Try what must be denied, and say what was.
    Probe,
}

/// What the child answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Rules`].
    Rules(Report),
    /// To [`Request::Checks`].
    Checks(Vec<Finding>),
    /// To [`Request::Probe`].
    Probe(Confinement),
}

/// The child's whole work. Runs confined; the file is the only thing it can reach.
fn work(file: &File, request: &Request) -> Response {
    match request {
        Request::Rules { subject, limits } => Response::Rules(archive::examine(file, subject, limits)),
        Request::Checks { subject, limits } => Response::Checks(checks::run(file, subject, limits)),
        Request::Probe => Response::Probe(sandbox::probe()),
    }
}
