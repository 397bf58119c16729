//! Source distributions (PEP 625): one folder at the top, spelled as in the file name, with PKG-INFO in it.

use std::collections::BTreeSet;
use std::fs::File;

use packaging::{Rejection, Rule, SdistFilename};

use crate::contents::{Contents, Wanted, printable, wanted_files};
use crate::kind::{self, Kind};
use crate::limits::Budget;
use crate::{Limits, Report, licenses, open, tar};

pub(crate) fn examine(
    file: &File,
    filename: &str,
    parsed: &SdistFilename,
    limits: &Limits,
    report: &mut Report,
) -> Result<(), Rejection> {
    let mut input = open(file)?;
    if kind::of(&mut input)? != Kind::TarGz {
        return Err(Rejection::new(
            Rule::ArchiveKind,
            "Invalid distribution file. File is not a gzip-compressed tarfile.",
        ));
    }
    let top = format!("{}-{}", parsed.name_part, parsed.version_part);
    let wanted = Wanted { hashes: false, files: wanted_files(&top, "PKG-INFO", &[], limits) };
    let mut budget = Budget::new(limits, input.bytes());
    let contents = tar::read(input, true, &wanted, &mut budget, report)?;
    contents.count(report);
    layout(&top, &contents, report);
    metadata(&top, filename, &contents, report);
    Ok(())
}

fn layout(top: &str, contents: &Contents, report: &mut Report) {
    let tops: BTreeSet<&str> = contents.members().iter().map(|member| member.path.top().0).collect();
    if tops.len() > 1 {
        report.reject(
            Rule::SdistLayout,
            "Invalid distribution file. Incorrect number of top-level directories in sdist.",
        );
    }
    match tops.first() {
        None => report.reject(Rule::SdistLayout, "Invalid distribution file. The sdist is empty."),
        Some(found) if tops.len() == 1 && *found != top => {
            let found = printable(found.as_bytes());
            report.reject(
                Rule::SdistLayout,
                format!("Invalid distribution file. The top-level directory {found} should be '{top}'."),
            );
        }
        Some(_) => {}
    }
}

fn metadata(top: &str, filename: &str, contents: &Contents, report: &mut Report) {
    let path = format!("{top}/PKG-INFO");
    if !contents.has_file(&path) {
        report.reject(Rule::SdistLayout, format!("Invalid distribution file. PKG-INFO not found at {path}."));
    }
    match contents.kept(&path).map(std::str::from_utf8) {
        Some(Ok(text)) => {
            licenses::check(text, top, filename, contents, report);
            report.metadata = Some(text.to_owned());
        }
        Some(Err(_)) => report.reject(Rule::MetadataUnreadable, "PKG-INFO is not UTF-8."),
        None => {}
    }
}
