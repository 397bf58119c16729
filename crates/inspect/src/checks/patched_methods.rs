//! A method of another project is replaced by one that sends what passes through it.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{Low as Unsure, Medium as Likely};
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{EffectKind, Module, Seen};

check!(PatchedMethods, "patched-methods", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in code::effects(distribution, EffectKind::Patch) {
        let top = seen.effect.name.split('.').next().unwrap_or_default();
        // Who changes what is its own changes nothing that somebody else relies on.
        if top.is_empty() || distribution.tops.contains(top) {
            continue;
        }
        let Some(weight) = weigh(&seen, code::of(distribution, &seen)) else { continue };
        let why = format!(
            "`{}` of another project is replaced, and this file sends to an address of its own: what passes through it \
             leaves.",
            seen.effect.name
        );
        out.add(code::at(distribution, &seen, weight, &why).tag("collection/patched-method"));
    }
}

fn weigh(seen: &Seen<'_>, standing: Standing) -> Option<(crate::Severity, crate::Confidence)> {
    let sends = sends_to_fixed(seen.module);
    let dropped = code::has_drop(seen.module);
    Some(match standing {
        _ if !sends => return None,
        Standing::Aside => (Low, Likely),
        Standing::Imported | Standing::Installed if dropped => (High, Likely),
        Standing::Imported | Standing::Installed => (Medium, Likely),
        Standing::Called if dropped => (Medium, Likely),
        Standing::Called => (Low, Unsure),
    })
}

/// Whether the module sends to an address that stands in it, whoever calls it.
fn sends_to_fixed(module: &Module) -> bool {
    module.effects().iter().filter(|effect| effect.kind == EffectKind::Network).any(|effect| {
        let text = effect.text();
        text.contains("://") && !text.contains("{}://") && !code::mentions(&text, &["localhost", "127.0.0.1"])
    })
}
