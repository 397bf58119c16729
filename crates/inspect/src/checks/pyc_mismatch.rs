//! Compiled Python that is not what its source says, or that has no source.

use super::Context;
use crate::distribution::Distribution;
use crate::distribution::{Facts, Member, Shape};
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::formats::pyc::{Pyc, not_in_source};
use crate::kind::Kind;

check!(PycMismatch, "pyc-mismatch", 2, run);

/// Names that code uses to run, fetch or decode what it does not show.
const WEIGHTY: &[&str] = &[
    "exec",
    "eval",
    "compile",
    "system",
    "popen",
    "Popen",
    "urlopen",
    "urlretrieve",
    "socket",
    "subprocess",
    "b64decode",
    "marshal",
    "ctypes",
    "requests",
    "check_output",
    "loads",
    "__import__",
];
/// From so many names on that the source does not have, it is another source.
const MISSING_MIN: usize = 5;

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in distribution.members.iter().filter(|member| member.kind == Kind::Pyc) {
        let Facts::Pyc(pyc) = &member.facts else { continue };
        let source = source_path(&member.path);
        match distribution.members.iter().find(|other| other.path == source && other.whole) {
            Some(other) => compare(distribution.shape, member, pyc, &other.text(), out),
            None => alone(distribution.shape, member, pyc, out),
        }
    }
}

fn weighty<'n>(names: impl IntoIterator<Item = &'n String>) -> Vec<&'n str> {
    names.into_iter().map(String::as_str).filter(|name| WEIGHTY.contains(name)).collect()
}

fn compare(shape: Shape, member: &Member, pyc: &Pyc, source: &str, out: &mut Findings) {
    let missing = not_in_source(pyc, source);
    let heavy = weighty(&missing);
    if heavy.is_empty() && missing.len() < MISSING_MIN {
        return;
    }
    // In an sdist it may be left over from an older source.
    let (severity, confidence) = match (shape, heavy.is_empty()) {
        (Shape::Wheel, false) => (Severity::High, Confidence::High),
        (Shape::Wheel, true) => (Severity::Medium, Confidence::Medium),
        (Shape::Sdist | Shape::Other, false) => (Severity::Medium, Confidence::Medium),
        (Shape::Sdist | Shape::Other, true) => (Severity::Low, Confidence::Medium),
    };
    let shown: Vec<&str> = heavy.iter().copied().chain(missing.iter().map(String::as_str)).take(10).collect();
    let why = "The compiled file uses names that its source does not have: what is imported is not what is shown.";
    let evidence = Evidence::new(severity, confidence, why).at(&member.path).excerpt(&shown.join(", "));
    out.add(evidence.tag("defense-evasion/pyc-mismatch"));
}

fn alone(shape: Shape, member: &Member, pyc: &Pyc, out: &mut Findings) {
    if member.path.contains("__pycache__/") || shape == Shape::Other {
        // Never imported without its source beside the folder.
        return;
    }
    let heavy = weighty(&pyc.names);
    // What it does cannot be read; in a wheel it is all that there is.
    let weighs = shape == Shape::Wheel || !heavy.is_empty() || !pyc.whole;
    let severity = if weighs { Severity::Medium } else { Severity::Low };
    let why = "Compiled code without its source: it is imported, and nobody can read it.";
    let evidence = Evidence::new(severity, Confidence::Medium, why).at(&member.path).excerpt(&heavy.join(", "));
    out.add(evidence.tag("defense-evasion/pyc-only"));
}

/// `a/__pycache__/b.cpython-311.pyc` and `a/b.pyc` are compiled from `a/b.py`.
fn source_path(path: &str) -> String {
    let path = path.replace("__pycache__/", "");
    let (folder, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
    let stem = name.split('.').next().unwrap_or_default();
    if folder.is_empty() { format!("{stem}.py") } else { format!("{folder}/{stem}.py") }
}
