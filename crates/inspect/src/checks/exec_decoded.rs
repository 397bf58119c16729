//! Code that was encoded, and is decoded only to be run.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Medium as Likely};
use crate::finding::Severity::{Critical, High, Low, Medium};
use crate::findings::Findings;
use crate::python::{ChainKind, EffectKind, Labels, Layer, LayerKind, Seen};

check!(ExecDecoded, "exec-decoded", 3, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for (_, seen) in code::chains(distribution, &[ChainKind::DecodeExec, ChainKind::DecodeProcess]) {
        let standing = code::of(distribution, &seen);
        let inside = peeled(&seen);
        let weight = match (standing, seen.effect.kind, inside.is_some()) {
            (Standing::Aside, _, _) => (Low, Likely),
            (_, EffectKind::Exec, true) => (Critical, Sure),
            (Standing::Installed, _, true) => (Critical, Likely),
            (_, _, true) => (High, Likely),
            (Standing::Installed, _, false) => (High, Likely),
            // Which of its literals it runs is not known; one of them is a program.
            (_, EffectKind::Exec, false) if holds_code(&seen) => (High, Likely),
            // What was decoded elsewhere may be anybody's.
            (Standing::Imported, EffectKind::Exec, false) if decodes(&seen) => (Medium, Likely),
            (_, _, false) => (Low, Likely),
        };
        let why = "What runs here was encoded: nobody who reads the source sees it.";
        let mut evidence = code::at(distribution, &seen, weight, why).tag("execution/exec-decoded");
        if let Some(head) = inside {
            evidence = evidence.decoded(&head);
        }
        out.add(evidence);
    }
    for inner in distribution.inner.iter().filter(|inner| inner.runs) {
        let native = matches!(inner.kind, LayerKind::Pe | LayerKind::Elf | LayerKind::MachO);
        if !native && inner.kind != LayerKind::Marshal {
            continue;
        }
        let aside = code::of_module(distribution, &inner.path) == Standing::Aside;
        let weight = if aside { (Low, Likely) } else { (High, Likely) };
        let layer: Vec<String> = inner.layer.iter().map(|layer| (*layer).to_owned()).collect();
        let why = "A literal holds compiled code that is run: nobody who reads the source sees what it does.";
        let evidence = crate::findings::Evidence::new(weight.0, weight.1, why).at_line(&inner.path, inner.line);
        out.add(evidence.under(&layer).tag("execution/exec-compiled"));
    }
}

/// Whether the decoding is the module's own.
fn decodes(seen: &Seen<'_>) -> bool {
    let returned = seen.module.functions().iter().any(|function| function.returns.labels.any(Labels::DECODED));
    returned || seen.effect.taint.labels.any(Labels::DECODED)
}

/// Whether code stands under an encoding in a literal of the module.
fn holds_code(seen: &Seen<'_>) -> bool {
    let real = |layer: &Layer| layer.kind == LayerKind::Python && layer.path.iter().any(|step| *step != "string");
    seen.module.layers().iter().any(real)
}

/// How the layer begins that this effect runs, when an encoding was taken off to get there.
fn peeled(seen: &Seen<'_>) -> Option<String> {
    let real = |path: &[&str]| path.iter().any(|step| *step != "string");
    let layers = seen.module.layers().iter();
    let own = |place| place == seen.effect.place;
    layers.filter(|layer| layer.runs && own(layer.place) && real(&layer.path)).map(|layer| layer.head.clone()).next()
}
