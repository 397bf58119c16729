//! Code that was encoded, and is decoded only to be run.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::{Distribution, Member, Shape};
use crate::finding::Confidence::{High as Sure, Medium as Likely};
use crate::finding::Severity::{Critical, High, Low, Medium};
use crate::findings::Findings;
use crate::python::{Argument, ChainKind, Effect, EffectKind, Labels, Layer, LayerKind, Seen};

check!(ExecDecoded, "exec-decoded", 6, run);

/// Endings of files that nobody takes for programs.
const DISGUISES: &[&str] = &[
    ".txt", ".md", ".rst", ".json", ".yaml", ".yml", ".ini", ".png", ".jpg", ".jpeg", ".gif", ".ico", ".svg", ".wav",
    ".mp3", ".dat", ".bin", ".css", ".html", ".xml", ".csv", ".log", ".ttf", ".woff",
];

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for (_, seen) in code::chains(distribution, &[ChainKind::DecodeExec, ChainKind::DecodeProcess]) {
        let standing = code::of(distribution, &seen);
        let inside = peeled(&seen);
        let weight = match (standing, seen.effect.kind, inside.is_some()) {
            // Where a wheel keeps its tests nobody looks, and an import by any other way finds them.
            (Standing::Aside, EffectKind::Exec, true) if is_installed(distribution, &seen) => (Medium, Likely),
            (Standing::Aside, _, _) => (Low, Likely),
            (_, EffectKind::Exec, true) => (Critical, Sure),
            (Standing::Installed, _, true) => (Critical, Likely),
            (_, _, true) => (High, Likely),
            (Standing::Installed, _, false) => (High, Likely),
            // Which of its literals it runs is not known; one of them is a program.
            (_, EffectKind::Exec, false) if holds_code(&seen) => (High, Likely),
            // Decoded in the same breath, and run: no honest project was seen to do it when it is imported.
            (Standing::Imported, EffectKind::Exec, false) if seen.effect.taint.labels.any(Labels::DECODED) => {
                (High, Likely)
            }
            (Standing::Called, EffectKind::Exec, false) if seen.effect.taint.labels.any(Labels::DECODED) => {
                (Medium, Likely)
            }
            // What was decoded elsewhere may be anybody's.
            (Standing::Imported, EffectKind::Exec, false) if decodes(&seen) => (Medium, Likely),
            // An interpreter gets its program out of an encoding.
            (Standing::Imported, EffectKind::Process, false) if interprets(&seen) => (High, Likely),
            (Standing::Called, EffectKind::Process, false) if interprets(&seen) => (Medium, Likely),
            // Decoded in one module, and run by another, when either is imported.
            (Standing::Imported, EffectKind::Exec, false) if seen.labels.any(Labels::DECODED) => (Medium, Likely),
            (_, _, false) => (Low, Likely),
        };
        let why = "What runs here was encoded: nobody who reads the source sees it.";
        let mut evidence = code::at(distribution, &seen, weight, why).tag("execution/exec-decoded");
        if let Some(head) = inside {
            evidence = evidence.decoded(&head);
        }
        out.add(evidence);
    }
    disguised(distribution, out);
    written(distribution, out);
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

/// Whether a member is put where modules are imported from, as a part of a wheel.
fn is_installed(distribution: &Distribution, seen: &Seen<'_>) -> bool {
    let own = |member: &Member| member.depth == 0 && !member.place.is_empty();
    distribution.shape == Shape::Wheel && distribution.member(seen.path).is_some_and(own)
}

/// Whether a command is an interpreter that is given code which was decoded in the same place.
fn interprets(seen: &Seen<'_>) -> bool {
    let text = format!("{} ", seen.effect.text());
    seen.effect.taint.labels.any(Labels::DECODED)
        && [" -c ", " -e ", " -Command "].iter().any(|flag| text.contains(flag))
}

/// A program that stood under an encoding, and is written out: what is installed is not what will run.
fn written(distribution: &Distribution, out: &mut Findings) {
    let program = |kind| {
        !matches!(kind, LayerKind::Text | LayerKind::Bytes | LayerKind::Media | LayerKind::Archive | LayerKind::Pickle)
    };
    for seen in code::effects(distribution, EffectKind::Write) {
        let here = |layer: &&Layer| layer.place == seen.effect.place && program(layer.kind);
        let real = |layer: &&Layer| layer.path.iter().any(|step| !matches!(*step, "string" | "file"));
        let Some(layer) = seen.module.layers().iter().filter(here).find(real) else { continue };
        let weight = match code::of(distribution, &seen) {
            Standing::Installed | Standing::Imported => (High, Likely),
            Standing::Called | Standing::Aside => (Low, Likely),
        };
        let why = "A program that is encoded in the source is written to a file: nobody who reads the source sees it.";
        let evidence = code::at(distribution, &seen, weight, why).decoded(&layer.head);
        out.add(evidence.tag("defense-evasion/written-program"));
    }
}

/// A file that is run, and whose name says that it is something else.
fn disguised(distribution: &Distribution, out: &mut Findings) {
    for seen in code::effects(distribution, EffectKind::Exec).filter(|seen| seen.effect.taint.labels.any(Labels::FILE))
    {
        let opens = |effect: &&Effect| effect.kind == EffectKind::Read && effect.function == seen.effect.function;
        let path = |effect: &Effect| effect.args.first().map(Argument::shown).unwrap_or_default().to_ascii_lowercase();
        let other = |path: &String| DISGUISES.iter().any(|ending| path.ends_with(ending));
        let opened: Vec<String> = seen.module.effects().iter().filter(opens).map(path).collect();
        // Builds open their readme and run the file of their version.
        if opened.iter().any(|path| path.ends_with(".py")) {
            continue;
        }
        let Some(path) = opened.into_iter().find(other) else { continue };
        let weight = match code::of(distribution, &seen) {
            Standing::Imported => (High, Likely),
            // A build that keeps its version in a text that is code is odd, and not unheard of.
            Standing::Installed => (Medium, Likely),
            Standing::Called | Standing::Aside => (Low, Likely),
        };
        let why =
            "What runs here stands in a file that is no source by its name: nobody who reads the sources sees it.";
        out.add(code::at(distribution, &seen, weight, why).decoded(&path).tag("execution/exec-disguised"));
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
