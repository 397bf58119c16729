//! A shell of this machine for somebody elsewhere.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::formats::text::{self, Group};
use crate::python::{Effect, EffectKind, Labels, Module, Seen};

check!(ReverseShells, "reverse-shells", 2, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in code::effects(distribution, EffectKind::Process) {
        let written = is_shell(&seen) || is_wired(&seen);
        let served = seen.labels.any(Labels::NETWORK) && answers(seen.module);
        if !(written || served) {
            continue;
        }
        let weight = match code::of(distribution, &seen) {
            Standing::Aside => (Low, Likely),
            Standing::Installed | Standing::Imported => (High, Likely),
            Standing::Called if is_wired(&seen) || code::has_drop(seen.module) => (High, Likely),
            Standing::Called => (Medium, Likely),
        };
        let why = "A shell of this machine is given to somebody elsewhere: what they send is run, or they run it.";
        out.add(code::at(distribution, &seen, weight, why).tag("command-and-control/reverse-shell"));
    }
}

fn is_shell(seen: &Seen<'_>) -> bool {
    text::search(seen.effect.text().as_bytes()).iter().any(|hit| hit.rule.group == Group::ReverseShell)
}

/// Whether a shell is started by the function that opened a connection.
fn is_wired(seen: &Seen<'_>) -> bool {
    let shell =
        &*seen.effect.name == "pty.spawn" || code::mentions(&seen.effect.text(), &["/bin/sh", "/bin/bash", "cmd.exe"]);
    let connects = |effect: &Effect| effect.function == seen.effect.function && effect.name.starts_with("socket.");
    let network = |effect: &&Effect| effect.kind == EffectKind::Network && connects(effect);
    shell && seen.module.effects().iter().any(|effect| network(&effect))
}

/// Whether what processes print is sent.
fn answers(module: &Module) -> bool {
    let sends = |kind, labels: Labels| kind == EffectKind::Network && labels.any(Labels::OUTPUT);
    module.effects().iter().any(|effect| sends(effect.kind, effect.taint.labels))
}
