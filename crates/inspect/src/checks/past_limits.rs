//! Code past the limits of reading: nobody knows what it does.
//!
//! Each limit is far above what honest code reaches. A file that is too large to be read is not released for that.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::{Evidence, Findings};
use crate::kind::Kind;
use crate::python::{Cut, Limits};

check!(PastLimits, "past-limits", 1, run);

/// What is said of each, and what was left out.
const WHY: &str = "This code is more than inspection reads; what stands past the limit may do anything";
const TAG: &str = "defense-evasion/past-limits";

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for (path, module) in distribution.program.modules() {
        for (cut, place) in module.cuts() {
            // An effect whose argument is not known tells as much.
            if matches!(cut, Cut::Folding) {
                continue;
            }
            let aside = code::of_module(distribution, path) == Standing::Aside;
            let severity = if cut.hides() && !aside { High } else { Low };
            let why = format!("{WHY}: {}.", cut.words());
            out.add(code::at_place(distribution, (path, module), *place, (severity, Likely), &why).tag(TAG));
        }
    }
    for cut in &distribution.program.cuts {
        out.add(Evidence::new(High, Likely, format!("{WHY}: {}.", cut.words())).tag(TAG));
    }
    // Large collections that import whatever stands in them meet this one, too: worth a look.
    if distribution.reaches_more {
        let why = format!("{WHY}: more imports, or more files of one name, than are followed.");
        out.add(Evidence::new(Medium, Likely, why).tag(TAG));
    }
    // One source that is longer by itself; of many that are, `archive-framing` tells.
    let longest = Limits::default().source_bytes_max;
    let cut = distribution.members.iter().filter(|member| !member.whole && member.text.len() >= longest);
    for member in cut.filter(|member| member.kind == Kind::Python && crate::code::is_source(&member.path)) {
        if member.unread_speaks && !distribution.is_aside(member) {
            out.add(Evidence::new(High, Likely, format!("{WHY}: {}.", Cut::Source.words())).at(&member.path).tag(TAG));
        }
    }
}
