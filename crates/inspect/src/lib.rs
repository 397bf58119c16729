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
mod needles;
pub mod occasion;
mod profile;
pub mod python;
mod reached;
pub mod sandbox;
pub mod settings;
pub mod yara;

#[cfg(test)]
mod built_in;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod catalogue;

use std::fs::File;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use checks::Context;
use limits::InspectionLimits;

pub use archive::{Limits, Report, Subject};
pub use finding::{
    Confidence, Costs, EXCERPT_CHARS_MAX, FINDINGS_MAX, Finding, Inspection, Location, Profile, Severity, WHY_CHARS_MAX,
};
pub use occasion::{Cause, Event, Occasion, Publishing};
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
        /// Why it is looked at, and what only the index knows of it.
        occasion: Occasion,
        /// Whether to say what each check took.
        #[serde(default)]
        costs: bool,
    },
    /// Compile the rules of operators ([`yara::Sources`] as JSON) that the file holds, and tell what they are.
    Compile,
    /// The same, for the zygote itself: every later child has them.
    Adopt,
    /// Try what must be denied, and say what was.
    Probe,
}

/// What the child answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Rules`].
    Rules(Report),
    /// To [`Request::Checks`].
    Checks(Inspection),
    /// To [`Request::Checks`] besides, after the other, where rules were adopted.
    Scan(yara::Scan),
    /// To [`Request::Compile`] and [`Request::Adopt`]: what they are, or what is wrong with them.
    Compiled(Result<yara::Catalogue, Vec<String>>),
    /// To [`Request::Probe`].
    Probe(Confinement),
}

/// The child's whole work. Runs confined; the file is the only thing it can reach. Each answer is given away as soon as
/// it is there: what comes later cannot take it back.
fn work<E>(
    file: &File,
    request: &Request,
    engine: Option<&yara::Engine>,
    mut answer: impl FnMut(&Response) -> Result<(), E>,
) -> Result<(), E> {
    match request {
        Request::Rules { subject, limits } => answer(&Response::Rules(archive::examine(file, subject, limits))),
        Request::Checks { subject, limits, previous, sibling, occasion, costs } => {
            let context =
                Context { previous: previous.as_ref(), sibling: sibling.as_ref(), own: None, occasion: Some(occasion) };
            let (mut inspection, layers) = inspect(file, subject, limits, context, engine.is_some());
            if !costs {
                inspection.costs.clear();
            }
            answer(&Response::Checks(inspection))?;
            let Some(engine) = engine else { return Ok(()) };
            let begun = Instant::now();
            let mut scan = yara::scan(engine, file, &layers, occasion, &InspectionLimits::default());
            if *costs {
                scan.costs.insert("yara".into(), micros(begun));
            }
            answer(&Response::Scan(scan))
        }
        Request::Compile | Request::Adopt => {
            answer(&Response::Compiled(compiled(file).map(|(_, catalogue)| catalogue)))
        }
        Request::Probe => answer(&Response::Probe(sandbox::probe())),
    }
}

/// Compiles the rules that a file holds.
fn compiled(file: &File) -> Result<(yara::Engine, yara::Catalogue), Vec<String>> {
    use std::os::unix::fs::FileExt;
    let wrong = |error: &dyn std::fmt::Display| vec![format!("the rules cannot be read: {error}")];
    let length = file.metadata().map_err(|error| wrong(&error))?.len();
    // JSON needs at most six bytes for one.
    let most = 6 * yara::ALL_BYTES_MAX as u64 + (1 << 20);
    let mut bytes = vec![0; length.min(most) as usize];
    file.read_exact_at(&mut bytes, 0).map_err(|error| wrong(&error))?;
    yara::compile(&serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?)
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

/// Facts first, each once; then every check over the facts. The layers are for rules over bytes, where there are any.
fn inspect(
    file: &File,
    subject: &Subject,
    strict: &Limits,
    context: Context<'_>,
    for_rules: bool,
) -> (Inspection, Vec<yara::Layer>) {
    let begun = Instant::now();
    let mut distribution = distribution::read(file, subject, strict, &InspectionLimits::default(), for_rules);
    let profile = profile::of(&distribution);
    let mut costs = Costs::from([("reading".to_owned(), micros(begun))]);
    let findings = checks::run(&distribution, &Context { own: Some(&profile), ..context }, &mut costs);
    let layers = std::mem::take(&mut distribution.layers);
    (Inspection { findings, profile, degraded: distribution.degraded, costs }, layers)
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// What [`Request::Checks`] answers, in the process that calls it: for fuzzers and tests. A server asks the [`Sandbox`].
pub fn inspect_here(file: &File, subject: &Subject, strict: &Limits, context: checks::Context<'_>) -> Inspection {
    Inspection { costs: Costs::new(), ..inspect(file, subject, strict, context, false).0 }
}
