//! What is typed, shown or copied is watched or exchanged.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::EffectKind;

check!(WatchesPeople, "watches-people", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in distribution.program.effects() {
        let module = seen.module;
        let does = |kind| module.effects().iter().any(|effect| effect.kind == kind);
        let sends = || does(EffectKind::Network) && code::has_drop(module);
        let kind = seen.effect.kind;
        let (why, tag) = if kind == EffectKind::Clipboard && code::has_sign(module, "wallet-pattern") {
            ("What is copied is searched for addresses of wallets, and exchanged.", "impact/clipboard-hijack")
        } else if kind == EffectKind::Keyboard && sends() {
            ("Keys are listened to, and this file sends to a place for loot.", "collection/keylogger")
        } else if kind == EffectKind::Screen && sends() {
            ("The screen is taken, and this file sends to a place for loot.", "collection/screen")
        } else {
            continue;
        };
        let weight = match code::of(distribution, &seen) {
            Standing::Aside => (Low, Likely),
            Standing::Called if seen.effect.kind == EffectKind::Screen => (Medium, Likely),
            Standing::Called | Standing::Imported | Standing::Installed => (High, Likely),
        };
        out.add(code::at(distribution, &seen, weight, why).tag(tag));
    }
}
