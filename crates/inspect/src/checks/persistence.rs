//! Code that arranges to run again: start-up folders, schedules, shells, hooks, settings of other tools.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{self, EffectKind, Labels, Layer, LayerKind, Seen, Sign};

check!(Persistence, "persistence", 3, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in distribution.program.effects() {
        let Some(place) = place(&seen) else { continue };
        let weight = match code::of(distribution, &seen) {
            Standing::Aside => (Low, Likely),
            Standing::Installed | Standing::Imported if place != "pth" || code::is_first(distribution, &seen) => {
                (High, Likely)
            }
            // What somebody asks for starts a program that is there; a payload is brought along.
            Standing::Called if place != "pth" && brings(&seen) => (High, Likely),
            Standing::Called if place == "run-key" || place == "folder" => (Medium, Likely),
            Standing::Installed | Standing::Imported | Standing::Called => (Low, Likely),
        };
        let why = format!("This makes something run again, by itself: {place}.");
        out.add(code::at(distribution, &seen, weight, &why).tag(format!("persistence/{place}")));
    }
}

/// Whether what will start comes from the network, or out of a literal.
fn brings(seen: &Seen<'_>) -> bool {
    let writes = seen.effect.kind == EffectKind::Write;
    // A script of a few lines starts what is there already; one that fetches or hides has a sign of its own.
    let plain = |kind| matches!(kind, LayerKind::Text | LayerKind::Shell | LayerKind::Media);
    let program = |layer: &Layer| layer.place == seen.effect.place && !plain(layer.kind);
    let command = |sign: &Sign| sign.sign.starts_with("shell:") && sign.place.line == seen.effect.place.line;
    // What comes from other functions may come from anybody's.
    let fetched = seen.effect.taint.labels.any(Labels::NETWORK) || code::has_bare_address(seen.module);
    let brought = seen.module.layers().iter().any(program) || seen.module.signs().iter().any(command);
    seen.effect.kind == EffectKind::Download || writes && (fetched || brought)
}

/// The place from which it will start, when an effect writes there.
fn place(seen: &Seen<'_>) -> Option<&'static str> {
    const ARRANGE: [EffectKind; 4] =
        [EffectKind::Write, EffectKind::Persist, EffectKind::Process, EffectKind::Download];
    if !ARRANGE.contains(&seen.effect.kind) {
        return None;
    }
    let here = seen.module.signs().iter().filter(|sign| sign.place.layer == seen.effect.place.layer);
    let text = seen.effect.text();
    let mut named = here.filter(|sign| sign.sign.starts_with("startup:"));
    // A value of the registry is set under a key that was opened before.
    let opened = |sign: &Sign| seen.effect.kind == EffectKind::Persist && sign.function == seen.effect.function;
    // The same file under another name, which stands at a place of its own.
    let path = seen.effect.args.first().map(|arg| arg.shown()).unwrap_or_default();
    if let Some(sign) = python::signs_in(&path).into_iter().find_map(|sign| sign.strip_prefix("startup:")) {
        return Some(sign);
    }
    let sign = named.find(|sign| text.contains(&sign.text) || sign.place == seen.effect.place || opened(sign))?;
    sign.sign.strip_prefix("startup:")
}
