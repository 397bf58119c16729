//! Packages that bring a module of another project's name.

use std::collections::BTreeSet;

use super::Context;
use crate::distribution::Distribution;
use crate::distribution::Shape;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::known::owners_of_module;

check!(ModuleShadowing, "module-shadowing", 2, run);

fn run(distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    if distribution.shape != Shape::Wheel {
        return;
    }
    let Some(project) = distribution.project() else { return };
    // Files alone are brought too: a list of certificates is no module, and is trusted by one.
    let own = distribution.members.iter().filter(|member| member.depth == 0);
    let folders = own.filter_map(|member| member.place.split_once('/')).map(|(top, _)| top.to_owned());
    let tops: BTreeSet<String> = folders.chain(distribution.tops.iter().cloned()).collect();
    for top in &tops {
        let Some(owners) = owners_of_module(top) else { continue };
        if owners.contains(&project.as_str()) {
            continue;
        }
        // A fork keeps the module and tells by its name what it forks.
        let fork = owners.iter().any(|owner| project.as_str().contains(owner));
        let is_new = context.is_new(&format!("top:{top}")) == Some(true);
        let severity = match (fork, is_new) {
            (true, _) => Severity::Low,
            (false, true) => Severity::High,
            (false, false) => Severity::Medium,
        };
        let why = format!("Installing this overwrites or shadows `{top}`, which belongs to the project {}.", owners[0]);
        let place = format!("{top}/__init__.py");
        let path = distribution.at(&place).map_or(top.as_str(), |member| member.path.as_str());
        out.add(Evidence::new(severity, Confidence::Medium, why).at(path).tag("defense-evasion/module-shadowing"));
    }
}
