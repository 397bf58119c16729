//! Modules that the interpreter imports by itself at every start.

use super::Context;
use crate::distribution::Distribution;
use crate::distribution::{Shape, is_site_module};
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};

check!(SiteCustomize, "site-customize", 2, run);

/// Files of an environment that act by themselves: what starts when somebody activates it, logs in, starts an interpreter
/// or installs something, and the interpreter's own library.
const ACTING: &[&str] = &[
    "pyvenv.cfg",
    "pip.conf",
    "pip.ini",
    "bin/activate",
    "Scripts/activate",
    "bin/python",
    "Scripts/python",
    "etc/profile",
];

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    environment(distribution, out);
    for member in distribution.members.iter().filter(|member| member.depth == 0) {
        let folders = std::iter::once("").chain(distribution.searched.iter().map(String::as_str));
        let below = |folder: &str| Some(member.place.strip_prefix(folder)?.trim_start_matches('/'));
        if !folders.filter_map(below).any(is_site_module) {
            continue;
        }
        // An sdist builds its own; an environment has one because a person put it there.
        let (severity, confidence) = match distribution.shape {
            Shape::Wheel => (Severity::High, Confidence::High),
            Shape::Sdist => (Severity::Medium, Confidence::Medium),
            Shape::Other => (Severity::Low, Confidence::High),
        };
        let why = "The interpreter imports this module by itself at every start, in every program of the environment.";
        let first = member.text().lines().next().unwrap_or_default().to_owned();
        let evidence = Evidence::new(severity, confidence, why).at_line(&member.path, 1).excerpt(&first);
        out.add(evidence.tag("persistence/sitecustomize"));
    }
}

/// What `NAME.data/data` puts into the environment beside packages.
fn environment(distribution: &Distribution, out: &mut Findings) {
    let own = distribution.members.iter().filter(|member| member.depth == 0 && distribution.shape == Shape::Wheel);
    for member in own.filter(|member| member.place.is_empty()) {
        let Some((_, rest)) = member.path.split_once(".data/data/") else { continue };
        let library = || {
            let below = rest.strip_prefix("lib/python").and_then(|rest| rest.split_once('/'));
            below.is_some_and(|(version, rest)| !version.is_empty() && rest.ends_with(".py"))
        };
        if !ACTING.iter().any(|acting| rest.starts_with(acting)) && !library() {
            continue;
        }
        let why =
            "This is put into the environment itself, where it acts without anybody importing or calling the package.";
        let evidence = Evidence::new(Severity::High, Confidence::Medium, why).at(&member.path).excerpt(rest);
        out.add(evidence.tag("persistence/environment"));
    }
}
