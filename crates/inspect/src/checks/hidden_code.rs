//! Source that is written so that nobody reads it.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Medium as Likely};
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::{Evidence, Findings};
use crate::kind::Kind;
use crate::python::{Argument, EffectKind, Module, Oddity, OddityKind};

check!(HiddenCode, "hidden-code", 4, run);

/// A literal of so many bytes holds a program.
const SEALED_BYTES_MIN: u32 = 10_000;

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
    addresses(distribution, out);
    posing(distribution, out);
    for (path, module) in distribution.program.modules().filter(|(_, module)| code::reaches_out(module)) {
        let Some(sign) = module.signs().iter().find(|sign| sign.sign == "hidden-url") else { continue };
        let aside = code::of_module(distribution, path) == Standing::Aside;
        let why = "An address is encoded in this source, which reaches the network.";
        let weight = if aside { (Low, Likely) } else { (Medium, Sure) };
        let evidence = code::at_place(distribution, (path, module), sign.place, weight, why).decoded(&sign.text);
        out.add(evidence.tag("defense-evasion/hidden-address"));
    }
}

/// A source that is no text: Python runs it by its name, and whoever goes by its first bytes takes it for something else.
fn posing(distribution: &Distribution, out: &mut Findings) {
    for member in distribution.members.iter().filter(|member| member.besides.is_some_and(|kind| kind != Kind::Data)) {
        let weight = if distribution.is_aside(member) || member.depth > 0 { (Low, Likely) } else { (Medium, Likely) };
        let why = "This is run by its name as Python, and begins as a file of another kind.";
        let kind = member.besides.map_or("", Kind::as_str);
        let evidence = Evidence::new(weight.0, weight.1, why).at_line(&member.path, 1).excerpt(kind);
        out.add(evidence.tag("defense-evasion/posing-source"));
    }
}

/// An address that was encoded, and is decoded only to be reached.
fn addresses(distribution: &Distribution, out: &mut Findings) {
    for seen in distribution.program.effects() {
        let reaches = matches!(seen.effect.kind, EffectKind::Network | EffectKind::Download);
        let hidden = |arg: &&Argument| arg.decoded && is_address(&arg.shown());
        if !reaches || !seen.effect.args.iter().any(|arg| hidden(&arg)) {
            continue;
        }
        let weight = if code::of(distribution, &seen) == Standing::Aside { (Low, Likely) } else { (High, Likely) };
        let why =
            "An address is encoded, and decoded only to be reached: nobody who reads the source sees where it leads.";
        out.add(code::at(distribution, &seen, weight, why).tag("defense-evasion/hidden-address"));
    }
}

/// An address, or the name of a machine alone.
fn is_address(text: &str) -> bool {
    let labels = || {
        text.split('.').all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    text.contains("://") || text.contains('.') && text.len() < 100 && labels()
}

type Weighed = ((crate::Severity, crate::Confidence), &'static str, &'static str);

/// Whether a module is little more than the literal that its obfuscator's runtime runs.
fn sealed(module: &Module) -> bool {
    let literal = |oddity: &Oddity| oddity.kind == OddityKind::EncodedLiteral && oddity.count > SEALED_BYTES_MIN;
    module.effects().iter().any(|effect| &*effect.name == "__pyarmor__") || module.oddities().iter().any(literal)
}

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
        // What such a tool leaves cannot be inspected at all: a person has to say that it may be installed.
        OddityKind::Obfuscator if sealed(module) => Some((
            (High, Likely),
            "The source was made unreadable by a tool, and is run from one long literal.",
            "obfuscator",
        )),
        OddityKind::Obfuscator if runs => {
            Some(((Medium, Likely), "The source bears the mark of a tool that makes source unreadable.", "obfuscator"))
        }
        OddityKind::HiddenName => Some((
            (High, Likely),
            "What is called here is looked up by a name that was encoded: nobody who reads the source sees what it is.",
            "hidden-name",
        )),
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
