//! Source that is written so that nobody reads it.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Medium as Likely};
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{EffectKind, Module, Oddity, OddityKind};

check!(HiddenCode, "hidden-code", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for (path, module) in distribution.program.modules() {
        let standing = code::of_module(distribution, path);
        for oddity in module.oddities() {
            let Some((weight, why, tag)) = weigh(module, oddity) else { continue };
            let weight = if standing == Standing::Aside { (Low, weight.1) } else { weight };
            let evidence = code::at_place(distribution, (path, module), oddity.place, weight, why);
            out.add(evidence.tag(format!("defense-evasion/{tag}")));
        }
    }
}

type Weighed = ((crate::Severity, crate::Confidence), &'static str, &'static str);

fn weigh(module: &Module, oddity: &Oddity) -> Option<Weighed> {
    let runs = module.effects().iter().any(|effect| effect.kind == EffectKind::Exec);
    match oddity.kind {
        OddityKind::PushedRight => {
            Some(((High, Sure), "Code stands so far to the right that no window shows it.", "pushed-right"))
        }
        OddityKind::StyledName => Some((
            (High, Likely),
            "A name is written in letters that only look like letters, and that Python turns into others.",
            "styled-name",
        )),
        OddityKind::LookAlikeNames => {
            Some(((High, Likely), "Names are made of letters that nobody can tell apart.", "look-alike-names"))
        }
        OddityKind::Obfuscator if runs => {
            Some(((Medium, Likely), "The source bears the mark of a tool that makes source unreadable.", "obfuscator"))
        }
        OddityKind::SandboxNames => {
            Some(((Medium, Likely), "A list of machines and users of analysts stands in the code.", "sandbox-names"))
        }
        OddityKind::EncodedLiteral if runs => Some((
            (Medium, Likely),
            "A long literal reads as an encoding, and the file runs code that it makes.",
            "blob",
        )),
        OddityKind::Cookie => {
            Some(((High, Likely), "The declared encoding of this source hides what is written in it.", "cookie"))
        }
        OddityKind::Nul => Some(((Medium, Likely), "Source with NUL bytes is read differently by every tool.", "nul")),
        OddityKind::Nesting => Some((
            (Medium, Likely),
            "Source nested deeper than Python reads, or denser than anybody writes, breaks tools that read it.",
            "nesting",
        )),
        OddityKind::LongLine | OddityKind::Bidi | OddityKind::Invisible | OddityKind::MixedScripts => None,
        OddityKind::Obfuscator | OddityKind::EncodedLiteral | OddityKind::BadEncoding | OddityKind::SyntaxError => None,
    }
}
