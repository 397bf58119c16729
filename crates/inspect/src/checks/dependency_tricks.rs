//! Requirements that fetch from somewhere else than an index, or that name the package itself.

use std::collections::BTreeSet;

use super::Context;
use crate::distribution::{Distribution, Shape};
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use packaging::Requirement;
use packaging::metadata::Field;

check!(DependencyTricks, "dependency-tricks", 3, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for text in distribution.metadata.all(Field::RequiresDist) {
        direct(text, &distribution.metadata_path, out);
    }
    setup_requires(distribution, out);
    never_projects(distribution, out);
    let Some(build) = &distribution.build else { return };
    for text in &build.requires {
        direct(text, &build.path, out);
        let named = text.parse::<Requirement>().ok().map(|requirement| requirement.name.normalized());
        if named.is_some() && named == distribution.project() {
            let why =
                "Building this requires an earlier release of itself: whoever holds that one runs code in the build.";
            let evidence = Evidence::new(Severity::Medium, Confidence::Medium, why).at(&build.path).excerpt(text);
            out.add(evidence.tag("execution/self-build-requirement"));
        }
    }
}

/// What old builds fetch before they begin, in the words of `setup.py` and `setup.cfg`: behind the word for it, a name, an
/// `@`, and an address.
fn setup_requires(distribution: &Distribution, out: &mut Findings) {
    const NEAR_BYTES: usize = 400;
    for place in ["setup.py", "setup.cfg"] {
        let Some(member) = distribution.at(place).filter(|_| distribution.shape == Shape::Sdist) else { continue };
        let text = member.text();
        let Some((_, behind)) = text.split_once("setup_requires") else { continue };
        let end = behind.floor_char_boundary(NEAR_BYTES);
        let end = behind[..end].find([']', '[']).filter(|at| *at > 4 && place == "setup.py").unwrap_or(end);
        for requirement in behind[..end].split(['"', '\'', '\n', ',']).filter(|text| text.contains("://")) {
            direct(requirement.trim(), &member.path, out);
        }
    }
}

/// Modules that come with every interpreter, and of which no version for older ones was ever made.
const ALWAYS_THERE: [&str; 22] = [
    "base64",
    "ctypes",
    "getpass",
    "glob",
    "io",
    "json",
    "os",
    "platform",
    "random",
    "re",
    "shutil",
    "socket",
    "sqlite3",
    "struct",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "winreg",
    "zipfile",
    "zlib",
];

/// Requirements named like modules that are there anyway: whoever took these names decides what is installed.
fn never_projects(distribution: &Distribution, out: &mut Findings) {
    let name = |text: &str| text.parse::<Requirement>().ok().map(|requirement| requirement.name.normalized());
    let taken = |text: &&str| name(text).is_some_and(|name| ALWAYS_THERE.contains(&name.as_str()));
    let stated = distribution.metadata.all(Field::RequiresDist).iter().map(String::as_str);
    // Builds of before 2022 say it in a file of their own alone.
    let listed = distribution.members.iter().find(|member| member.place.ends_with(".egg-info/requires.txt"));
    let listed = listed.map(|member| (member.path.as_str(), member.text()));
    let lines = listed.iter().flat_map(|(_, text)| text.lines().take_while(|line| !line.starts_with('[')));
    let named: BTreeSet<&str> = stated.chain(lines).filter(taken).collect();
    // One is a slip that was made before.
    if named.len() < 2 {
        return;
    }
    let path = listed.as_ref().map_or(distribution.metadata_path.as_str(), |(path, _)| path);
    let why = "It requires projects named like modules of the standard library: whoever took these names runs with it.";
    let excerpt = named.into_iter().collect::<Vec<_>>().join(", ");
    let evidence = Evidence::new(Severity::Medium, Confidence::Medium, why).at(path).excerpt(&excerpt);
    out.add(evidence.tag("execution/standard-library-name"));
}

/// A requirement with an address of its own: what stands there can change, and no index inspects it.
fn direct(text: &str, path: &str, out: &mut Findings) {
    let Some(url) = text.parse::<Requirement>().ok().and_then(|requirement| requirement.url) else { return };
    let plain = url.starts_with("http://") || url.contains("://127.") || is_numeric_host(&url);
    let (severity, confidence) =
        if plain { (Severity::High, Confidence::Medium) } else { (Severity::Medium, Confidence::Medium) };
    let why = "A requirement is fetched from an address instead of an index: what stands there can change at any time.";
    out.add(Evidence::new(severity, confidence, why).at(path).excerpt(text).tag("execution/direct-url-dependency"));
}

fn is_numeric_host(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, rest)| rest).split(['/', ':', '?']).next().unwrap_or_default();
    host.contains('.') && host.chars().all(|c| c.is_ascii_digit() || c == '.')
}
