//! Code that publishes in the name of whoever installed it.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::EffectKind;

check!(RegistryWorms, "registry-worms", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for (path, module) in distribution.program.modules() {
        let harvests = code::has_sign(module, "token-pattern") || code::has_sign(module, "store:registry");
        let uploads = code::has_sign(module, "upload-endpoint") || code::has_sign(module, "startup:workflow");
        let reaches = module.effects().iter().any(|e| matches!(e.kind, EffectKind::Network | EffectKind::Process));
        if !(harvests && uploads && reaches && code::has_sign(module, "token-pattern")) {
            continue;
        }
        let weight = match code::of_module(distribution, path) {
            Standing::Aside => (Low, Likely),
            Standing::Called => (Medium, Likely),
            Standing::Imported | Standing::Installed => (High, Likely),
        };
        let sign = module.signs().iter().find(|sign| sign.sign == "upload-endpoint" || sign.sign == "startup:workflow");
        let place = sign.map(|sign| sign.place).unwrap_or_default();
        let why = "This file searches for tokens of registries and publishes or writes workflows: so worms spread.";
        let evidence = code::at_place(distribution, (path, module), place, weight, why);
        out.add(evidence.tag("lateral-movement/registry-worm"));
    }
}
