//! Code past the limits of reading: nobody knows what it does.
//!
//! Each limit is far above what honest code reaches. A file that is too large to be read is not released for that.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::{Distribution, Member, Shape};
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::{Evidence, Findings};
use crate::formats::pth;
use crate::kind::Kind;
use crate::python::{Cut, Limits};
use crate::settings;

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
    for (member, what) in distribution.members.iter().filter_map(|member| Some((member, unread(distribution, member)?)))
    {
        out.add(Evidence::new(High, Likely, format!("{WHY}: {what}.")).at(&member.path).tag(TAG));
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

/// What of a file that installing, building, starting or another tool runs was too much to be read. Nothing honest comes near.
fn unread(distribution: &Distribution, member: &Member) -> Option<&'static str> {
    /// What a tool's own settings may have.
    const SETTINGS_BYTES_MAX: u64 = 1 << 20;
    let own = member.depth == 0;
    let path_file = member.kind == Kind::Pth && own && (!member.whole || pth::is_cut(&member.text));
    let of_tool = member.kind == Kind::ToolConfig && !distribution.is_aside(member);
    let of_build = own && distribution.shape == Shape::Sdist && member.place == "pyproject.toml";
    let too_long = !member.whole || member.text.len() > settings::SETTINGS_BYTES_MAX;
    let entries = own && member.place.ends_with("/entry_points.txt");
    let words = [
        (path_file, "a path file of more lines than are read"),
        (
            of_tool && !member.whole && member.bytes > SETTINGS_BYTES_MAX,
            "a tool's settings that are longer than is read",
        ),
        (of_build && too_long, "settings of the build that are longer than is read"),
        (entries && distribution.entry_points.len() >= settings::ENTRY_POINTS_MAX, "more entry points than are read"),
    ];
    words.into_iter().find(|(is_so, _)| *is_so).map(|(_, words)| words)
}
