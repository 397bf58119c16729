//! Hostile wheels and sdists, read within named limits. Refuses what two tools could read differently.
//!
//! This crate is only ever run in the sandboxed child (`inspect::sandbox`): it takes an open file, never a
//! path, and returns a [`Report`] of bounded size. It panics on nothing; a panic would be a finding, but a
//! bug of ours all the same.
//!
//! `zip` and `tar` judge framing and content; `path` and `tree` judge names; `wheel` and `sdist`
//! judge what a distribution must hold. Archives within archives are data: nothing here unpacks them.
//!
//! [`members`] is a second way of reading, for inspection: it refuses nothing, walks every member under every
//! reading of the archive that it can find, and says what was odd.

mod contents;
mod inflate;
mod input;
mod kind;
mod licenses;
mod limits;
pub mod members;
mod path;
mod report;
mod sdist;
mod tar;
#[cfg(test)]
mod tests;
mod tree;
mod wheel;
mod zip;

use std::fs::File;

use packaging::{DistFilename, Rejection, Rule};
use serde::{Deserialize, Serialize};

pub use limits::Limits;
pub use report::Report;

use contents::Wanted;
use input::Input;
use kind::Kind;
use limits::Budget;

/// What the archive claims to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A distribution file; the name decides wheel or sdist and how its inner folder must be spelled.
    Distribution(String),
    /// Any zip, tar or tar.gz, whatever its name: framing and content rules alone (`check --archive-only`).
    AnyArchive,
}

/// Reads the whole archive and reports every rule it breaks, and its metadata file.
///
/// A break in the framing ends the reading, since nothing after it has one meaning; members with unsafe
/// names and broken rules of wheels and sdists are all reported.
pub fn examine(file: &File, subject: &Subject, limits: &Limits) -> Report {
    let mut report = Report::default();
    let outcome = match subject {
        Subject::Distribution(name) => match name.parse::<DistFilename>() {
            Ok(DistFilename::Wheel(wheel)) => wheel::examine(file, name, &wheel, limits, &mut report),
            Ok(DistFilename::Sdist(sdist)) => sdist::examine(file, name, &sdist, limits, &mut report),
            // The upload rules name what is wrong with the file name; the bytes need no second verdict.
            Err(_) => Ok(()),
        },
        Subject::AnyArchive => any(file, limits, &mut report),
    };
    if let Err(rejection) = outcome {
        report.push(rejection);
    }
    report
}

fn any(file: &File, limits: &Limits, report: &mut Report) -> Result<(), Rejection> {
    let mut input = open(file)?;
    let mut budget = Budget::new(limits, input.bytes());
    let wanted = Wanted::default();
    let contents = match kind::of(&mut input)? {
        Kind::Zip => zip::Zip::open(file, input, &mut budget)?.read(&wanted, &mut budget, report)?,
        Kind::TarGz => tar::read(input, true, &wanted, &mut budget, report)?,
        Kind::Tar => tar::read(input, false, &wanted, &mut budget, report)?,
    };
    contents.count(report);
    Ok(())
}

fn open(file: &File) -> Result<Input<'_>, Rejection> {
    Input::new(file).map_err(|error| {
        Rejection::new(Rule::InspectionFailed, format!("Invalid distribution file. It cannot be read: {error}."))
    })
}
