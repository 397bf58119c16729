//! What the network answers is run.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{Critical, High, Low, Medium};
use crate::findings::Findings;
use crate::python::ChainKind;

check!(ExecFetched, "exec-fetched", 1, run);

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
            (Standing::Called, true) => (Medium, Likely),
            (_, false) => (Low, Likely),
        };
        let why = "What the network answers is run here: its owner decides what this package does, today and tomorrow.";
        out.add(code::at(distribution, &seen, weight, why).tag("execution/exec-fetched"));
    }
}
