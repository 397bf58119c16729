//! The list of checks. One check is one file beside this one and one line in [`CHECKS`].

mod always_clear;

use std::fs::File;

use archive::{Limits, Subject};

use crate::Finding;

/// A check: a pure function over an archive. It gets no database, no network, no clock.
pub trait Check: Sync {
    /// Stable id, as stored with each result.
    fn id(&self) -> &'static str;
    /// Raised with every change of what the check says.
    fn version(&self) -> u32;
    /// Evidence found in the archive.
    fn run(&self, file: &File, subject: &Subject, limits: &Limits) -> Vec<Finding>;
}

/// Every check, in the order in which they run.
pub const CHECKS: &[&dyn Check] = &[&always_clear::AlwaysClear];

/// `id@version` of every check, as stored with a verdict: which evidence was looked for.
pub fn versions() -> String {
    CHECKS.iter().map(|check| format!("{}@{}", check.id(), check.version())).collect::<Vec<_>>().join(" ")
}

pub(crate) fn run(file: &File, subject: &Subject, limits: &Limits) -> Vec<Finding> {
    CHECKS.iter().flat_map(|check| check.run(file, subject, limits)).collect()
}
