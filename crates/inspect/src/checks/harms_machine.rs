//! Miners, and the destruction of what is not its own.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{Effect, EffectKind, Labels, Module, Seen};

check!(HarmsMachine, "harms-machine", 5, run);

/// Commands that remove a home or a disk.
const COMMANDS: &[&str] = &[
    "rm -rf ~",
    "rm -rf /",
    "rm -rf $home",
    "format c:",
    "mkfs.",
    "del /f /s",
    "del c:\\",
    "rd /s /q c:",
    "vssadmin delete",
];

fn run(distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    for seen in distribution.program.effects() {
        let Some((why, tag)) = judge(&seen) else { continue };
        let weight = match code::of(distribution, &seen) {
            Standing::Aside => (Low, Likely),
            Standing::Installed | Standing::Imported => (High, Likely),
            Standing::Called if tag == "impact/turned-off" => continue,
            Standing::Called if tag == "impact/encrypted" => (High, Likely),
            Standing::Called if tag == "defense-evasion/injection" => (Medium, Likely),
            Standing::Called if tag == "impact/miner" && context.is_new("sign:miner") == Some(true) => (High, Likely),
            Standing::Called if tag == "impact/miner" => (Medium, Likely),
            Standing::Called => (Low, Likely),
        };
        out.add(code::at(distribution, &seen, weight, why).tag(tag));
    }
}

/// Whether a command removes a home or a disk, and not a folder below it.
fn removes(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let behind = |word: &&str| lower.find(*word).map(|at| &lower[at + word.len()..]);
    let whole = |rest: &str| {
        let rest = rest.trim_start_matches('/');
        rest.is_empty() || rest.starts_with([' ', '*', '&', ';', '"'])
    };
    let found = ["find ~ ", "find ~/ ", "find / ", "find $home "].iter().any(|word| lower.contains(word));
    let disk = ["of=/dev/sd", "of=/dev/nvme", "of=/dev/hd", "of=/dev/vd", "of=/dev/disk"];
    COMMANDS.iter().filter_map(behind).any(whole)
        || found && lower.contains(" -delete")
        || lower.contains("dd ") && disk.iter().any(|disk| lower.contains(disk))
}

/// Whether memory is made to run, filled, and started: no library of bindings does all three by itself.
fn injects(module: &Module) -> bool {
    let calls = |names: &[&str]| {
        module.effects().iter().any(|effect| names.iter().any(|name| effect.name.rsplit('.').next() == Some(*name)))
    };
    calls(&["VirtualAlloc", "VirtualAllocEx"])
        && calls(&["RtlMoveMemory", "WriteProcessMemory", "memmove"])
        && calls(&["CreateThread", "CreateRemoteThread", "QueueUserAPC"])
}

/// Whether the files of a home are walked through, encrypted and removed.
fn encrypts_home(seen: &Seen<'_>) -> bool {
    let here = |effect: &&Effect| effect.function == seen.effect.function;
    let home = |effect: &Effect| {
        effect.kind == EffectKind::Read
            && effect.args.first().is_some_and(|arg| {
                let path = arg.shown();
                ["~", "%USERPROFILE%", "C:", "/home"].iter().any(|home| path.starts_with(home))
            })
    };
    let encrypts = |effect: &Effect| effect.kind == EffectKind::Write && effect.taint.labels.any(Labels::ENCODED);
    let mut all = seen.module.effects().iter().filter(here);
    all.clone().any(home) && all.any(encrypts)
}

fn judge(seen: &Seen<'_>) -> Option<(&'static str, &'static str)> {
    if seen.effect.name.ends_with("Thread") && seen.effect.kind == EffectKind::Process && injects(seen.module) {
        return Some(("Code without a file is put into memory and started.", "defense-evasion/injection"));
    }
    if seen.effect.kind == EffectKind::Delete && encrypts_home(seen) {
        return Some(("The files of a home are encrypted, and the originals removed.", "impact/encrypted"));
    }
    let text = seen.effect.text();
    let process = seen.effect.kind == EffectKind::Process;
    let deletes = seen.effect.kind == EffectKind::Delete;
    if process && code::mentions(&text, &["xmrig", "stratum+", "--donate-level", "minerd "]) {
        Some(("A program is started that mines coins for somebody.", "impact/miner"))
    } else if process && removes(&text) {
        Some(("A command removes a home or a disk.", "impact/destruction"))
    } else if deletes && matches!(text.lines().next().unwrap_or_default().trim(), "~" | "/" | "C:\\" | "C:/" | "~/") {
        Some(("The whole home or disk is removed.", "impact/destruction"))
    } else if process && code::has_sign(seen.module, "shell:defender") && code::mentions(&text, &["mppref"]) {
        Some(("The machine's own defence is turned off.", "defense-evasion/defender"))
    } else if process && turns_off(&text) {
        Some(("The machine is turned off.", "impact/turned-off"))
    } else {
        None
    }
}

/// Whether a command is one that turns the machine off.
fn turns_off(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let mut words = lower.split_whitespace().skip_while(|word| *word == "sudo");
    let first = words.next().unwrap_or_default().rsplit('/').next().unwrap_or_default().trim_end_matches(".exe");
    let rest = || {
        words
            .clone()
            .any(|word| matches!(word, "/s" | "/r" | "/p" | "-s" | "-r" | "-h" | "-p" | "now" | "poweroff" | "reboot"))
    };
    matches!(first, "poweroff" | "halt" | "reboot") || matches!(first, "shutdown" | "systemctl" | "init") && rest()
}
