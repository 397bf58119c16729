//! Addresses to which only their owner has the key: what is sent there is gone.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::{Distribution, Found, Member};
use crate::finding::{Confidence, Severity};
use crate::findings::Findings;
use crate::formats::text::{self, Group};
use crate::kind::Kind;
use crate::python::{EffectKind, Module, Sign};

check!(ExfilSinks, "exfil-sinks", 3, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in &distribution.members {
        for found in member.found.iter().filter(|found| found.rule.group == Group::Sink) {
            let runs = match member.kind {
                Kind::Python | Kind::Pyc | Kind::Pickle | Kind::Pth | Kind::JavaScript => true,
                Kind::Elf | Kind::Pe | Kind::MachO | Kind::Shell | Kind::PowerShell | Kind::Batch => true,
                Kind::ToolConfig | Kind::Data | Kind::Archive | Kind::Media => true,
                Kind::Metadata | Kind::Text => false,
            };
            let comment = found.excerpt.trim_start().starts_with('#');
            let module = distribution.program.module(&member.path);
            let prose = module.is_some_and(|module| module.is_prose(found.line) && !is_run(module));
            let sends = || module.is_some_and(|module| code::has_sign(module, "drop:telegram-bot"));
            let weight = if distribution.is_aside(member) || !runs || comment || prose {
                (Severity::Low, Confidence::Medium)
            } else if found.rule.name == "telegram-token" && !sends() {
                (Severity::Medium, Confidence::Medium)
            } else if distribution.is_startup(member) {
                (Severity::Critical, Confidence::High)
            } else {
                (Severity::High, Confidence::High)
            };
            let why = "An address with the key in it stands in the code: whatever is sent there reaches a stranger.";
            out.at_found(member, found, weight, why, "exfiltration");
        }
    }
    assembled(distribution, out);
}

/// Whether a literal of the module that names such an address is itself a program that the module runs or writes.
fn is_run(module: &Module) -> bool {
    module.signs().iter().any(|sign| sign.sign.starts_with("drop:") && sign.place.layer > 0)
}

/// Addresses that stand nowhere, and come about when the code that reaches them runs: joined, decoded, unpacked.
fn assembled(distribution: &Distribution, out: &mut Findings) {
    for seen in code::effects(distribution, EffectKind::Network) {
        let text = seen.effect.text();
        let Some(hit) = text::search(text.as_bytes()).into_iter().find(|hit| hit.rule.group == Group::Sink) else {
            continue;
        };
        let Some(member) = distribution.member(seen.path) else { continue };
        if member.found.iter().any(|found| std::ptr::eq(found.rule, hit.rule)) {
            continue;
        }
        let aside = code::of(distribution, &seen) == Standing::Aside;
        let severity = if aside { Severity::Low } else { Severity::High };
        let why = "An address with the key in it is put together here: whatever is sent there reaches a stranger.";
        let evidence = code::at(distribution, &seen, (severity, Confidence::High), why);
        out.add(evidence.decoded(&text).tag(format!("exfiltration/{}", hit.rule.name)));
    }
    built(distribution, out);
    for (path, module) in distribution.program.modules() {
        for sign in module.signs().iter().filter(|sign| sign.place.layer > 0 || sign.sign == "hidden-url") {
            let hits = text::search(sign.text.as_bytes());
            let Some(hit) = hits.into_iter().find(|hit| hit.rule.group == Group::Sink) else { continue };
            let aside = code::of_module(distribution, path) == Standing::Aside;
            let weight = (if aside { Severity::Low } else { Severity::High }, Confidence::High);
            let why = "An address with the key in it stands in code that is hidden or written out by this one.";
            let evidence = code::at_place(distribution, (path, module), sign.place, weight, why);
            out.add(evidence.decoded(&sign.text).tag(format!("exfiltration/{}", hit.rule.name)));
        }
    }
}

/// Places for loot that the build itself names: no build has a reason to.
fn built(distribution: &Distribution, out: &mut Findings) {
    for (path, module) in distribution.program.modules() {
        let member = distribution.member(path);
        let keyed = |found: &Found| found.rule.group == Group::Sink;
        let told = |member: &Member| distribution.is_aside(member) || member.found.iter().any(keyed);
        let builds = member.is_some_and(|member| distribution.is_startup(member) && !told(member));
        let loot = |sign: &&Sign| matches!(sign.sign, "drop:oast" | "drop:discord-webhook" | "drop:telegram-bot");
        let Some(sign) = module.signs().iter().find(loot).filter(|_| builds) else { continue };
        let why = "What builds or starts by itself names a place where anybody can collect what is sent there.";
        let weight = (Severity::Medium, Confidence::Medium);
        let evidence = code::at_place(distribution, (path, module), sign.place, weight, why);
        out.add(evidence.decoded(&sign.text).tag("exfiltration/named-by-the-build"));
    }
}
