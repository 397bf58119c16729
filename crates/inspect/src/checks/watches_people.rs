//! What is typed, shown or copied is watched or exchanged.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{EffectKind, Labels, Module, Seen};

check!(WatchesPeople, "watches-people", 2, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in distribution.program.effects() {
        let module = seen.module;
        let does = |kind| module.effects().iter().any(|effect| effect.kind == kind);
        let sends = || does(EffectKind::Network) && code::has_drop(module);
        let kind = seen.effect.kind;
        let (why, tag) = if kind == EffectKind::Clipboard && exchanges(distribution, &seen) {
            ("What is copied is searched for addresses of wallets, and exchanged.", "impact/clipboard-hijack")
        } else if kind == EffectKind::Keyboard && sends() {
            ("Keys are listened to, and this file sends to a place for loot.", "collection/keylogger")
        } else if kind == EffectKind::Screen && sends() {
            ("The screen is taken, and this file sends to a place for loot.", "collection/screen")
        } else if kind == EffectKind::Keyboard && by_itself(distribution, &seen) && sends_to_fixed(module) {
            (
                "Keys are listened to when this is imported, and this file sends to an address of its own.",
                "collection/keylogger",
            )
        } else {
            continue;
        };
        let weight = match code::of(distribution, &seen) {
            Standing::Aside => (Low, Likely),
            Standing::Called if seen.effect.kind == EffectKind::Screen => (Medium, Likely),
            Standing::Imported | Standing::Installed if kind == EffectKind::Keyboard && !sends() => (Medium, Likely),
            Standing::Called | Standing::Imported | Standing::Installed => (High, Likely),
        };
        out.add(code::at(distribution, &seen, weight, why).tag(tag));
    }
}

fn by_itself(distribution: &Distribution, seen: &Seen<'_>) -> bool {
    code::of(distribution, seen) >= Standing::Imported
}

/// Whether the module sends to an address or a mail server that stands in it.
fn sends_to_fixed(module: &Module) -> bool {
    let mut sends = module.effects().iter().filter(|effect| effect.kind == EffectKind::Network);
    sends.any(|effect| code::names_host(&effect.text()) || effect.name.starts_with("smtplib."))
}

/// Whether what is put on the clipboard may stand for an address that was there: who knows how addresses look, and reads
/// what is copied or has one of its own to put there. Who checks an address that somebody gave copies that.
fn exchanges(distribution: &Distribution, seen: &Seen<'_>) -> bool {
    const READS: [&str; 4] = ["paste(", "GetClipboardData", "clipboard_get", "grabclipboard"];
    let text = || distribution.member(seen.path).map(|member| member.text().into_owned()).unwrap_or_default();
    let own = || !seen.effect.text().replace("{}", "").trim().is_empty();
    code::has_sign(seen.module, "wallet-pattern")
        && (own()
            || seen.labels.any(Labels::CLIPBOARD)
            || seen.effect.place.layer > 0
            || READS.iter().any(|word| text().contains(word)))
}
