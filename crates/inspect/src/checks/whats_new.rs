//! What a release can do that the one before it could not.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};

check!(WhatsNew, "whats-new", 1, run);

fn run(_distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    let Some(own) = context.own else { return };
    for word in own.words.iter().filter(|word| context.is_new(word) == Some(true)) {
        if let Some((severity, confidence, why)) = weight(word) {
            out.add(Evidence::new(severity, confidence, why).excerpt(word).tag("change/new-capability"));
        }
    }
}

fn weight(word: &str) -> Option<(Severity, Confidence, &'static str)> {
    use Confidence::{High as Sure, Medium as Likely};
    let (area, rest) = word.split_once(':')?;
    match (area, rest) {
        ("sink", _) => {
            Some((Severity::High, Sure, "This release names an address with the key in it; the one before did not."))
        }
        ("reverse-shell" | "hidden-command", _) => Some((
            Severity::High,
            Likely,
            "This release holds a command that hides what it runs or gives a shell away; the one before did not.",
        )),
        ("fetch-run" | "persistence", _) => Some((
            Severity::Medium,
            Likely,
            "This release holds a command that fetches and runs or comes again; the one before did not.",
        )),
        // What imports and commands do besides is every release's own; reaching out or starting something is not.
        ("startup", rest) if rest.starts_with("import:") || rest.starts_with("entry-point:") => {
            let weighs = rest.starts_with("import:")
                && ["network", "process", "exec", "download", "persist"].iter().any(|kind| rest.ends_with(kind));
            let why = "Importing this release does something by itself that the one before did not.";
            weighs.then_some((Severity::Low, Sure, why))
        }
        ("startup", rest) if rest != "setup.py" => {
            Some((Severity::Medium, Likely, "This release runs something by itself that the one before did not have."))
        }
        ("type", "pe" | "elf" | "mach-o") => {
            Some((Severity::Medium, Likely, "This release holds a program of the machine; the one before held none."))
        }
        ("type", "pth" | "shell" | "powershell" | "batch" | "pickle" | "pyc") => {
            Some((Severity::Low, Sure, "This release holds a kind of file that the one before did not."))
        }
        ("needs" | "entry" | "top", _) => Some((Severity::Note, Sure, "New in this release.")),
        _ => None,
    }
}
