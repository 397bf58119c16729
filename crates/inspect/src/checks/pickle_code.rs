//! Pickles and model files that call what runs commands or code.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::distribution::Facts;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::formats::pickle::UNKNOWN;

check!(PickleCode, "pickle-code", 2, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    written(distribution, out);
    for member in &distribution.members {
        let Facts::Pickle(pickle) = &member.facts else { continue };
        // Scanners of pickles and tests of unpicklers carry such ones on purpose.
        let aside = distribution.is_aside(member);
        let mut tell = |(severity, confidence): (Severity, Confidence), why: &str, excerpt: &str| {
            let severity = if aside { severity.min(Severity::Medium) } else { severity };
            let confidence = if aside { confidence.min(Confidence::Medium) } else { confidence };
            let evidence = Evidence::new(severity, confidence, why).at(&member.path);
            out.add(evidence.excerpt(excerpt).tag("execution/pickle"));
        };
        for (module, name) in &pickle.globals {
            let shown = format!("{module}.{name}");
            if [module, name].iter().any(|part| *part == UNKNOWN) {
                tell((Severity::High, Confidence::Medium), WORKED_OUT, &shown);
            } else if let Some(weight) = weight(module, name) {
                tell(weight, RUNS, &shown);
            }
        }
        if pickle.cut {
            tell((Severity::High, Confidence::Medium), CUT, "");
        }
        if !pickle.whole && (pickle.unread || !member.whole) {
            tell((Severity::Medium, Confidence::Medium), UNREAD, "");
        }
    }
}

const RUNS: &str = "Loading this pickle runs a command or code of its author's choice.";
const WORKED_OUT: &str =
    "Loading this pickle imports something by a name that only loading it tells: no writer of pickles does that.";
const CUT: &str = "This pickle imports more than inspection tells of; the rest is unknown.";
const UNREAD: &str = "This pickle is longer than inspection reads; what its end does when it is loaded is unknown.";

/// Pickles that stand in literals and are loaded.
fn written(distribution: &Distribution, out: &mut Findings) {
    for inner in distribution.inner.iter().filter(|inner| inner.runs) {
        let Facts::Pickle(pickle) = &inner.facts else { continue };
        let aside = code::of_module(distribution, &inner.path) == Standing::Aside;
        let layer: Vec<String> = inner.layer.iter().map(|layer| (*layer).to_owned()).collect();
        for (module, name) in &pickle.globals {
            let Some((severity, confidence)) = weight(module, name) else { continue };
            let severity = if aside { severity.min(Severity::Low) } else { severity };
            let why = "A literal is a pickle that runs a command or code of its author's choice, and it is loaded.";
            let evidence = Evidence::new(severity, confidence, why).at_line(&inner.path, inner.line).under(&layer);
            out.add(evidence.excerpt(&format!("{module}.{name}")).tag("execution/pickle"));
        }
    }
}

/// How much an import weighs. From protocol 4 on its name may lead through other modules: `logging` and `os.system`.
fn weight(module: &str, name: &str) -> Option<(Severity, Confidence)> {
    let through = name.rsplit_once('.').map(|(through, name)| (through.rsplit('.').next().unwrap_or(through), name));
    [Some((module, name)), through].into_iter().flatten().filter_map(|(module, name)| of_one(module, name)).max()
}

fn of_one(module: &str, name: &str) -> Option<(Severity, Confidence)> {
    let starts = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    let top = module.split('.').next().unwrap_or_default();
    match top {
        "os" | "posix" | "nt" if starts(&["system", "popen", "exec", "spawn", "posix_spawn", "startfile"]) => {}
        "subprocess" | "pty" | "runpy" | "commands" | "webbrowser" | "socket" | "ctypes" => {}
        "builtins" | "__builtin__"
            if matches!(name, "eval" | "exec" | "compile" | "__import__" | "execfile" | "apply") => {}
        "importlib" | "pkgutil" | "code" | "timeit" | "pip" | "shutil" | "urllib" | "requests" | "httplib" => {
            return Some((Severity::Medium, Confidence::Medium));
        }
        "operator" if matches!(name, "attrgetter" | "methodcaller") => {
            return Some((Severity::Low, Confidence::Medium));
        }
        _ => return None,
    }
    Some((Severity::Critical, Confidence::High))
}
