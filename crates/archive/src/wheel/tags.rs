//! The WHEEL file: its version, and tags that must be those of the file name.

use std::collections::BTreeSet;

use packaging::Rule;

use super::Names;
use crate::Report;
use crate::contents::printable;

/// Most lines of a WHEEL file; the most tags of a real one are some dozens.
const LINES_MAX: usize = 2_000;
/// Longest tag, compressed, in bytes; one in a file name has at most 246.
const TAG_BYTES_MAX: usize = 512;
/// Most tags, expanded; the largest known file name stands for some hundreds.
const TAGS_MAX: usize = 10_000;

pub(super) fn check(names: &Names<'_>, text: &str, report: &mut Report) {
    let filename = names.filename;
    let mut fields: Vec<(&str, &str)> = Vec::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        let field = line.split_once(':').filter(|(key, _)| !key.is_empty() && !key.contains([' ', '\t']));
        let Some((key, value)) = field.filter(|_| fields.len() < LINES_MAX) else {
            report.reject(
                Rule::WheelLayout,
                format!("Wheel '{filename}': WHEEL has a malformed line {}.", printable(line.as_bytes())),
            );
            return;
        };
        fields.push((key, value.trim()));
    }
    let all = |wanted: &str| -> Vec<&str> {
        let same = |(key, _): &&(&str, &str)| key.eq_ignore_ascii_case(wanted);
        fields.iter().filter(same).map(|(_, value)| *value).collect()
    };
    version(filename, &all("Wheel-Version"), report);
    if !matches!(all("Root-Is-Purelib").as_slice(), [value] if ["true", "false"].contains(&&*value.to_ascii_lowercase()))
    {
        report.reject(
            Rule::WheelLayout,
            format!("Wheel '{filename}': WHEEL must state Root-Is-Purelib once, as true or false."),
        );
    }
    build(names, &all("Build"), report);
    tags(names, &all("Tag"), report);
}

/// Installers must refuse a newer major version and warn of a newer minor one.
fn version(filename: &str, values: &[&str], report: &mut Report) {
    let known = |value: &str| {
        value.split_once('.').is_some_and(|(major, minor)| {
            major == "1" && !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit())
        })
    };
    if !matches!(values, [value] if known(value)) {
        report.reject(Rule::WheelLayout, format!("Wheel '{filename}': WHEEL must state a Wheel-Version of 1.x, once."));
    }
}

/// A build number in WHEEL must be the file name's. Its absence contradicts nothing.
fn build(names: &Names<'_>, values: &[&str], report: &mut Report) {
    let wanted = names.parsed.build.as_deref();
    if !matches!(values, []) && !matches!(values, [value] if Some(*value) == wanted) {
        let what = match wanted {
            Some(wanted) => format!("should be '{wanted}', as in the file name"),
            None => "is not in the file name".to_owned(),
        };
        report.reject(Rule::WheelTags, format!("Wheel '{}': the Build in WHEEL {what}.", names.filename));
    }
}

/// The file name compresses a set of tags (PEP 425); WHEEL lists it expanded, or compressed by some tools.
fn tags(names: &Names<'_>, values: &[&str], report: &mut Report) {
    let split = |part: &str| part.split('.').map(str::to_owned).collect::<Vec<_>>();
    let parsed = names.parsed;
    let wanted = expand(&parsed.python_tags, &parsed.abi_tags, &parsed.platform_tags);
    let mut found = BTreeSet::new();
    for value in values {
        let parts: Vec<&str> = value.splitn(4, '-').collect();
        let ([python, abi, platform], true) = (parts.as_slice(), value.len() <= TAG_BYTES_MAX) else {
            let value = printable(value.as_bytes());
            report.reject(Rule::WheelTags, format!("Wheel '{}': {value} in WHEEL is no tag.", names.filename));
            return;
        };
        found.append(&mut expand(&split(python), &split(abi), &split(platform)));
        if found.len() > TAGS_MAX {
            break;
        }
    }
    if found != wanted {
        let first = |set: &BTreeSet<String>, other: &BTreeSet<String>| set.difference(other).next().cloned();
        let what = match (first(&wanted, &found), first(&found, &wanted)) {
            (Some(tag), _) => format!("'{tag}' of the file name is not in WHEEL"),
            (None, Some(tag)) => format!("{} in WHEEL is not in the file name", printable(tag.as_bytes())),
            (None, None) => return,
        };
        report.reject(Rule::WheelTags, format!("Wheel '{}': the tag {what}.", names.filename));
    }
}

/// All combinations, in lower case. An unreasonable product is cut, and so differs from what was wanted.
fn expand(python: &[String], abi: &[String], platform: &[String]) -> BTreeSet<String> {
    let combinations = python.iter().flat_map(|p| abi.iter().map(move |a| (p, a)));
    combinations
        .flat_map(|(p, a)| platform.iter().map(move |platform| format!("{p}-{a}-{platform}").to_ascii_lowercase()))
        .take(TAGS_MAX)
        .collect()
}
