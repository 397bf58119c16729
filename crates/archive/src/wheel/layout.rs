//! Which folders a wheel may have at its top, and where their files would be installed.

use std::collections::BTreeSet;

use packaging::Rule;

use super::Names;
use crate::Report;
use crate::contents::{Contents, printable};
use crate::path::ArchivePath;
use crate::tree::Tree;

/// Where an installer may put the files of `.data/<key>/` (sysconfig's names for its places).
const KEYS: &[&str] = &["purelib", "platlib", "headers", "scripts", "data"];

pub(super) fn check(names: &Names<'_>, contents: &Contents, report: &mut Report) {
    folders(names, contents, report);
    installed_places(names, contents, report);
}

/// One `.dist-info` and at most one `.data`, both spelled as in the file name: pip takes every top folder
/// that ends in `.data` for one, uv only the right one.
fn folders(names: &Names<'_>, contents: &Contents, report: &mut Report) {
    let Names { filename, info, data, .. } = names;
    let mut seen = BTreeSet::new();
    for member in contents.members() {
        let (top, rest) = member.path.top();
        if rest.is_none() && !member.folder || !seen.insert(top) {
            continue;
        }
        let lower = top.to_ascii_lowercase();
        if lower.ends_with(".dist-info") && top != info {
            let top = printable(top.as_bytes());
            report.reject(Rule::WheelLayout, format!("Wheel '{filename}' holds {top} where only '{info}' may stand."));
        }
        if lower.ends_with(".data") && top != data {
            let top = printable(top.as_bytes());
            report.reject(Rule::WheelLayout, format!("Wheel '{filename}' holds {top} where only '{data}' may stand."));
        }
    }
}

/// Files below `.data/purelib` and `.data/platlib` land beside those at the top: a second copy of a module
/// there would replace the one that was reviewed.
fn installed_places(names: &Names<'_>, contents: &Contents, report: &mut Report) {
    let Names { filename, data, .. } = names;
    let (inside, beside): (Vec<_>, Vec<_>) = contents.members().iter().partition(|member| member.path.top().0 == *data);
    if inside.is_empty() {
        return;
    }
    let mut tree = Tree::default();
    for member in beside.iter().filter(|member| !member.folder) {
        // Clashes between these are reported by the reader already.
        let _ = tree.add(&member.path, false);
    }
    for member in inside {
        let Some(rest) = member.path.top().1 else { continue };
        let (key, below) = rest.split_once('/').map_or((rest, None), |(key, below)| (key, Some(below)));
        if !KEYS.contains(&key) || below.is_none() && !member.folder {
            let path = printable(member.path.as_str().as_bytes());
            report.reject(Rule::WheelLayout, format!("Wheel '{filename}' holds {path}, which has no place to go."));
        }
        if member.folder || !matches!(key, "purelib" | "platlib") {
            continue;
        }
        let place = below.and_then(|below| ArchivePath::parse(below.as_bytes()).ok());
        if place.is_some_and(|(place, _)| tree.add(&place, false).is_err()) {
            let path = printable(member.path.as_str().as_bytes());
            report.reject(
                Rule::PathDuplicate,
                format!("Wheel '{filename}': {path} would be installed over another member."),
            );
        }
    }
}
