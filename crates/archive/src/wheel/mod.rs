//! Wheels (binary distribution format): one `.dist-info` folder, and a RECORD that is true.

mod entry_points;
mod layout;
mod record;
mod tags;

use std::fs::File;

use packaging::{Rejection, Rule, WheelFilename};

use crate::contents::{Contents, Wanted, wanted_files};
use crate::kind::{self, Kind};
use crate::limits::Budget;
use crate::zip::Zip;
use crate::{Limits, Report, licenses, open};

/// The folder whose spelling the file name decides.
pub(crate) struct Names<'n> {
    pub(crate) filename: &'n str,
    pub(crate) parsed: &'n WheelFilename,
    /// `{name}-{version}.dist-info`
    pub(crate) info: String,
    /// `{name}-{version}.data`
    pub(crate) data: String,
}

pub(crate) fn examine(
    file: &File,
    filename: &str,
    parsed: &WheelFilename,
    limits: &Limits,
    report: &mut Report,
) -> Result<(), Rejection> {
    let mut input = open(file)?;
    if kind::of(&mut input)? != Kind::Zip {
        return Err(Rejection::new(Rule::ArchiveKind, "Invalid distribution file. File is not a zipfile."));
    }
    let stem = format!("{}-{}", parsed.name_part, parsed.version_part);
    let names = Names { filename, parsed, info: format!("{stem}.dist-info"), data: format!("{stem}.data") };
    let small = ["WHEEL", "RECORD", "entry_points.txt"];
    let wanted = Wanted { hashes: true, files: wanted_files(&names.info, "METADATA", &small, limits) };
    let mut budget = Budget::new(limits, input.bytes());
    let mut zip = Zip::open(file, input, &mut budget)?;
    let contents = zip.read(&wanted, &mut budget, report)?;
    contents.count(report);
    layout::check(&names, &contents, report);
    metadata(&names, &contents, report);
    if let Some(text) = required(&names, "WHEEL", &contents, report) {
        tags::check(&names, text, report);
    }
    if let Some(text) = required(&names, "RECORD", &contents, report) {
        record::check(&names, text, &contents, &mut zip, report)?;
    }
    if let Some(bytes) = contents.kept(&format!("{}/entry_points.txt", names.info)) {
        entry_points::check(bytes, filename, report);
    }
    Ok(())
}

fn metadata(names: &Names<'_>, contents: &Contents, report: &mut Report) {
    let path = format!("{}/METADATA", names.info);
    if !contents.has_file(&path) {
        missing(names, "METADATA", report);
    }
    match contents.kept(&path).map(std::str::from_utf8) {
        Some(Ok(text)) => {
            licenses::check(text, &format!("{}/licenses", names.info), names.filename, contents, report);
            report.metadata = Some(text.to_owned());
        }
        Some(Err(_)) => report.reject(Rule::MetadataUnreadable, "METADATA is not UTF-8."),
        None => {}
    }
}

/// The text of a file that every wheel has. A file that is there but was too large to keep is reported
/// already.
fn required<'c>(names: &Names<'_>, what: &str, contents: &'c Contents, report: &mut Report) -> Option<&'c str> {
    let path = format!("{}/{what}", names.info);
    if !contents.has_file(&path) {
        missing(names, what, report);
    }
    match std::str::from_utf8(contents.kept(&path)?) {
        Ok(text) => Some(text),
        Err(_) => {
            report.reject(Rule::WheelLayout, format!("Wheel '{}': {path} is not UTF-8.", names.filename));
            None
        }
    }
}

fn missing(names: &Names<'_>, what: &str, report: &mut Report) {
    let Names { filename, info, .. } = names;
    report.reject(
        Rule::WheelLayout,
        format!("Wheel '{filename}' does not contain the required {what} file: {info}/{what}."),
    );
}
