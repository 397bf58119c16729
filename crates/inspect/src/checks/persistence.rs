//! Code that arranges to run again: start-up folders, schedules, shells, hooks, settings of other tools.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{EffectKind, Seen};

check!(Persistence, "persistence", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in distribution.program.effects() {
        let Some(place) = place(&seen) else { continue };
        let weight = match code::of(distribution, &seen) {
            Standing::Aside => (Low, Likely),
            Standing::Installed | Standing::Imported if place != "pth" || code::is_first(distribution, &seen) => {
                (High, Likely)
            }
            Standing::Called if place == "run-key" || place == "folder" => (Medium, Likely),
            Standing::Installed | Standing::Imported | Standing::Called => (Low, Likely),
        };
        let why = format!("This makes something run again, by itself: {place}.");
        out.add(code::at(distribution, &seen, weight, &why).tag(format!("persistence/{place}")));
    }
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
    let sign = named.find(|sign| text.contains(&sign.text) || sign.place == seen.effect.place)?;
    sign.sign.strip_prefix("startup:")
}
