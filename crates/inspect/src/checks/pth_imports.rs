//! Path files whose lines are code: the interpreter runs them at every start, whatever is imported.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::Context;
use crate::distribution::{Distribution, Member, Shape};
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::formats::pth;
use crate::kind::Kind;

/// Honest start-up lines are short; those of build tools are known by their names.
const LINE_BYTES_MAX: usize = 300;

/// Names that build tools give to the path files that they make, and the known ones of single projects, each with what
/// stands in every line of them: anybody can give a file this name.
const MADE_BY_TOOLS: &[(&str, &str)] = &[
    ("-nspkg.pth", "sys._getframe(1).f_locals['sitedir']"),
    ("distutils-precedence.pth", "'SETUPTOOLS_USE_DISTUTILS'"),
    ("a1_coverage.pth", "coverage.process_startup("),
    ("pywin32.pth", "import pywin32_bootstrap"),
    ("pytest-cov.pth", "COV_CORE_"),
    (".pth", "import __editable___"),
];

/// What no start-up line of a build tool does.
static EFFECT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let words = r"subprocess|os\s*\.\s*(?:system|popen|exec|spawn)|popen\s*\(|urlopen|urllib|requests|http\.client|socket|b64decode|a85decode|b85decode|unhexlify|fromhex|base64|zlib|marshal|codecs|ctypes|chr\s*\(|getattr\s*\(\s*__import__|compile\s*\(|eval\s*\(";
    crate::formats::text::compile(words)
});

check!(PthImports, "pth-imports", 3, run);

fn run(distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    let path_files = distribution.members.iter().filter(|member| member.kind == Kind::Pth && member.depth == 0);
    for member in path_files.filter(|member| !member.place.contains('/') || distribution.shape == Shape::Sdist) {
        for line in pth::lines(&member.text).iter().filter(|line| line.runs) {
            judge(member, line.number, &line.text, context, out);
        }
    }
}

/// A line without its comment: what follows a `#` outside of quotes is not run.
fn run_part(line: &str) -> &str {
    // What is quoted thrice ends elsewhere: nothing is cut off.
    if line.contains("\"\"\"") || line.contains("'''") {
        return line;
    }
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return line[..at].trim_end(),
            (None, '"' | '\'') => quote = Some(c),
            // An escaped quote makes the rest look quoted, so that nothing is cut off.
            (Some(open), _) if open == c && !line[..at].ends_with('\\') => quote = None,
            _ => {}
        }
    }
    line
}

fn judge(member: &Member, number: u32, line: &str, context: &Context<'_>, out: &mut Findings) {
    let (name, line) = (member.name(), run_part(line));
    let effect = EFFECT.as_ref().and_then(|effect| effect.find(line.as_bytes()));
    let known = MADE_BY_TOOLS.iter().any(|(known, says)| name.ends_with(known) && line.contains(says));
    let hidden = line.contains("exec") && effect.is_some();
    let is_new = context.is_new(&format!("startup:{}", member.place)) == Some(true);
    let (severity, confidence, why) = if hidden {
        (
            Severity::Critical,
            Confidence::High,
            "Code that the interpreter runs at every start decodes or fetches something and runs it.",
        )
    } else if effect.is_some() {
        (
            Severity::High,
            Confidence::High,
            "Code that the interpreter runs at every start begins processes, opens connections or decodes data.",
        )
    } else if known {
        return;
    } else if line.len() > LINE_BYTES_MAX {
        (
            Severity::High,
            Confidence::Medium,
            "Code that the interpreter runs at every start is much longer than any build tool's.",
        )
    } else if is_new {
        (
            Severity::High,
            Confidence::Medium,
            "This release begins to run code at every start of the interpreter; the one before did not.",
        )
    } else {
        (Severity::Low, Confidence::High, "The interpreter runs this line at every start, whatever is imported.")
    };
    let evidence = Evidence::new(severity, confidence, why).at_line(&member.path, number).excerpt(line);
    out.add(evidence.tag("persistence/pth"));
}
