//! Hostile wheels and sdists, read within named limits. Refuses what two tools could read differently.
//!
//! This crate is only ever run in the sandboxed child (`inspect::sandbox`): it takes an open file, never a
//! path, and returns a [`Report`] of bounded size. It panics on nothing; a panic would be a finding, but a
//! bug of ours all the same.

mod limits;
mod report;
mod sdist;
mod wheel;

use std::fs::File;

use packaging::DistFilename;
use serde::{Deserialize, Serialize};

pub use limits::Limits;
pub use report::Report;

/// What the archive claims to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A distribution file; the name decides wheel or sdist and how its inner folder must be spelled.
    Distribution(String),
    /// Any zip, tar or tar.gz, whatever its name: framing and content rules alone (`check --archive-only`).
    AnyArchive,
}

/// Reads the whole archive and reports every rule it breaks, and its metadata file.
pub fn examine(file: &File, subject: &Subject, limits: &Limits) -> Report {
    let mut report = Report::default();
    match subject {
        Subject::Distribution(name) => match name.parse::<DistFilename>() {
            Ok(DistFilename::Wheel(_)) => wheel::examine(file, name, limits, &mut report),
            Ok(DistFilename::Sdist(_)) => sdist::examine(file, name, limits, &mut report),
            // The upload rules name what is wrong with the file name; the bytes need no second verdict.
            Err(_) => {}
        },
        Subject::AnyArchive => {}
    }
    report
}
