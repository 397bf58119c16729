//! What the network answers is run.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{Critical, High, Low, Medium};
use crate::findings::Findings;
use crate::python::{ChainKind, Effect, EffectKind, Labels, Seen};

check!(ExecFetched, "exec-fetched", 4, run);

/// Whether the answer comes from the function itself, and not from whatever its callers hand on.
fn is_near(seen: &Seen<'_>) -> bool {
    let fetches = |effect: &Effect| {
        effect.function == seen.effect.function && matches!(effect.kind, EffectKind::Network | EffectKind::Download)
    };
    seen.effect.taint.labels.any(Labels::NETWORK) && seen.module.effects().iter().any(fetches)
}

/// Whether the function got the answer itself, or from one that it called.
fn comes_from_here(seen: &Seen<'_>) -> bool {
    seen.effect.taint.labels.any(Labels::NETWORK) || seen.effect.taint.calls.is_some()
}

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for (chain, seen) in code::chains(distribution, &[ChainKind::FetchExec, ChainKind::FetchProcess]) {
        let as_code = chain.kind == ChainKind::FetchExec;
        let dropped = code::has_drop(seen.module);
        // A command of which a part is known is its author's; what follows it is data.
        let open = as_code || seen.effect.args.first().is_some_and(|arg| arg.text.is_empty());
        let weight = match (code::of(distribution, &seen), as_code) {
            (Standing::Aside, _) => (Low, Likely),
            _ if !open || !code::reaches_out(seen.module) => (Low, Likely),
            (Standing::Installed | Standing::Imported, true) => (Critical, Likely),
            (Standing::Installed | Standing::Imported, false) if code::is_first(distribution, &seen) => (High, Likely),
            (Standing::Called, true) if dropped => (High, Likely),
            // The whole command, as it was answered in the same function, and nobody hears of it.
            (Standing::Called, false) if seen.effect.swallowed && is_near(&seen) => (High, Likely),
            // What only a caller handed on may be anybody's.
            (Standing::Called, true) if !comes_from_here(&seen) => (Low, Likely),
            (Standing::Called, true) => (Medium, Likely),
            (_, false) => (Low, Likely),
        };
        let why = "What the network answers is run here: its owner decides what this package does, today and tomorrow.";
        out.add(code::at(distribution, &seen, weight, why).tag("execution/exec-fetched"));
    }
}
