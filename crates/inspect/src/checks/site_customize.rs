//! Modules that the interpreter imports by itself at every start.

use super::Context;
use crate::distribution::Distribution;
use crate::distribution::{Shape, is_site_startup};
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};

check!(SiteCustomize, "site-customize", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in distribution.members.iter().filter(|member| member.depth == 0) {
        if !is_site_startup(&member.place) || member.place.ends_with(".pth") {
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
