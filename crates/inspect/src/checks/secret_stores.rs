//! Many stores of secrets in one place, and a way out.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Medium as Likely};
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::EffectKind;

check!(SecretStores, "secret-stores", 2, run);

/// Different stores of secrets in one module: one is an honest setting, many are a list of what to take.
const STORES_MIN: usize = 3;

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for (path, module) in distribution.program.modules() {
        let stores = module.stores();
        if stores.len() < STORES_MIN {
            continue;
        }
        let sends = module.effects().iter().any(|effect| {
            matches!(effect.kind, EffectKind::Network | EffectKind::Download) || effect.kind == EffectKind::Exec
        });
        let weight = match code::of_module(distribution, path) {
            Standing::Aside => (Low, Likely),
            _ if sends && (code::has_drop(module) || stores.len() > STORES_MIN) => (High, Likely),
            _ if sends => (Medium, Sure),
            Standing::Called | Standing::Imported | Standing::Installed => (Low, Likely),
        };
        let place = module.signs().iter().find(|sign| sign.sign.starts_with("store:")).map(|sign| sign.place);
        let list: Vec<&str> = stores.iter().map(|store| store.trim_start_matches("store:")).collect();
        let why = format!("This file knows where {} keep their secrets.", list.join(", "));
        let evidence = code::at_place(distribution, (path, module), place.unwrap_or_default(), weight, &why);
        out.add(evidence.tag("credential-access/many-stores"));
    }
}
