//! Programs that are fetched or written out, and started.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Medium as Likely};
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{ChainKind, Effect, EffectKind, Seen};

check!(Droppers, "droppers", 6, run);

/// Endings of programs for which nobody asked.
const PROGRAMS: &[&str] = &[".exe", ".scr", ".bat", ".vbs", ".ps1", ".pyw", ".pyz", ".dll", ".msi"];

fn run(distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    for (chain, seen) in code::chains(distribution, &[ChainKind::FetchWriteRun, ChainKind::WriteRun]) {
        let fetched = chain.kind == ChainKind::FetchWriteRun;
        // The first that is started stands for all of the function.
        let may_be = || code::may_start_written(&seen) || fetched && interprets_fetched(&seen);
        if seen.effect.kind == EffectKind::Process && !may_be() {
            continue;
        }
        // What is fetched and imported is a program as well; whoever asks for it has asked.
        let standing = code::standing(distribution, seen.path, chain.reach);
        if seen.effect.kind == EffectKind::Import && (!fetched || standing < Standing::Imported) {
            continue;
        }
        let dropped = code::has_drop(seen.module);
        // A program's own address, or a machine by its number, is no vendor's page.
        let named = code::has_sign(seen.module, "program-url") || code::has_bare_address(seen.module);
        let weight = match code::standing(distribution, seen.path, chain.reach) {
            Standing::Aside => (Low, Likely),
            Standing::Installed | Standing::Imported if dropped || starts_program(&seen) => (High, Likely),
            Standing::Installed | Standing::Imported if fetched && code::is_first(distribution, &seen) => {
                (High, Likely)
            }
            Standing::Installed if code::is_first(distribution, &seen) => (Medium, Likely),
            // What an interpreter runs is the very file that came from a fixed address.
            Standing::Installed | Standing::Imported if fetched && interprets_fetched(&seen) => (Medium, Likely),
            Standing::Installed | Standing::Imported => (Low, Likely),
            Standing::Called if fetched && (named || dropped && starts_program(&seen)) => (High, Likely),
            // Who asks for a driver wants to hear that it could not be had. A command of which nothing is known is its
            // caller's.
            Standing::Called if fetched && starts_program(&seen) && seen.effect.swallowed && names_program(&seen) => {
                (High, Likely)
            }
            // A script from where anybody leaves one, in the interpreter.
            Standing::Called if fetched && dropped && code::mentions(&seen.effect.text(), &["python"]) => {
                (High, Likely)
            }
            Standing::Called if fetched && dropped => (Medium, Likely),
            Standing::Called if fetched && interprets_fetched(&seen) => (Medium, Likely),
            Standing::Called => (Low, Likely),
        };
        let newly = fetched && context.is_new("chain:fetchwriterun") == Some(true) && weight.0 == Low;
        let aside = code::standing(distribution, seen.path, chain.reach) == Standing::Aside;
        let weight = if newly && !aside { (Medium, Sure) } else { weight };
        let why = if fetched {
            "A file is fetched, written and started."
        } else {
            "A program that stands in a literal is written to a file and started."
        };
        out.add(code::at(distribution, &seen, weight, why).tag("execution/dropper"));
    }
    for seen in code::effects(distribution, EffectKind::Process).filter(is_quiet_fetch) {
        let aside = code::of(distribution, &seen) == Standing::Aside;
        let weight = if aside { (Low, Likely) } else { (High, Likely) };
        let why = "A command fetches a program and makes it run, where nobody sees or hears of it.";
        out.add(code::at(distribution, &seen, weight, why).tag("execution/dropper"));
    }
}

/// A command that fetches something to be run, by a function that hides what it starts.
fn is_quiet_fetch(seen: &Seen<'_>) -> bool {
    let text = seen.effect.text();
    let fetches = code::mentions(&text, &["curl ", "wget ", "invoke-webrequest", "iwr "]);
    let runs = code::mentions(
        &text,
        &["chmod +x", "chmod 7", "&& start", "; start", "start-process", "invoke-expression", "nohup"],
    );
    let hides = |effect: &Effect| {
        effect.kind == EffectKind::Process && effect.hidden && effect.function == seen.effect.function
    };
    fetches && runs && seen.module.effects().iter().any(hides)
}

/// Whether an interpreter is given the file that a fixed address was fetched to.
fn interprets_fetched(seen: &Seen<'_>) -> bool {
    const INTERPRETERS: [&str; 6] = ["python", "python3", "pythonw", "sh", "bash", "powershell"];
    let file = |text: &str| text.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let runs = |effect: &Effect| {
        let text = effect.text();
        let mut words = text.split_whitespace();
        let first = words.next().map(file).unwrap_or_default();
        let script = words.find(|word| !word.starts_with('-')).map(file)?;
        (INTERPRETERS.contains(&first.as_str()) && script.contains('.')).then_some(script)
    };
    let fetched = |script: String| {
        seen.module.effects().iter().any(|effect| {
            let texts: Vec<String> = effect.args.iter().map(|arg| arg.shown()).collect();
            effect.kind == EffectKind::Download
                && texts.iter().any(|text| code::names_host(text))
                && texts.iter().any(|text| file(text) == script)
        })
    };
    let starts = seen.module.effects().iter().filter(|effect| effect.kind == EffectKind::Process);
    starts.filter_map(runs).any(fetched)
}

/// Whether something is known of what is started, and not only of what it is told.
fn names_program(seen: &Seen<'_>) -> bool {
    let text = seen.effect.text();
    let first = text.split_whitespace().next().unwrap_or_default();
    first.trim_start_matches("{}").starts_with(|c: char| c.is_alphanumeric() || "./\\~%\"'".contains(c))
}

fn starts_program(seen: &Seen<'_>) -> bool {
    code::mentions(&seen.effect.text(), PROGRAMS) || seen.effect.hidden
}
