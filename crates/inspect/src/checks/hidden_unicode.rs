//! Characters that hide code or make it look like other code.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use packaging::metadata::Field;

use crate::formats::unicode::{self, What};
use crate::kind::Kind;

check!(HiddenUnicode, "hidden-unicode", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in distribution.members.iter().filter(|member| member.kind.is_text()) {
        let code = matches!(member.kind, Kind::Python | Kind::Pth) || member.kind.is_script();
        if !code && !matches!(member.kind, Kind::Metadata | Kind::ToolConfig) {
            continue;
        }
        if member.text.is_ascii() {
            continue;
        }
        for hidden in unicode::read(&member.text()) {
            // Bundled scripts for browsers carry tables of direction marks; nobody reviews their one line.
            let bundled = member.kind == Kind::JavaScript;
            let (severity, why) = match hidden.what {
                What::Direction => (
                    if bundled { Severity::Low } else { Severity::Medium },
                    "Characters reverse the order in which this line is shown: what is read is not what runs.",
                ),
                What::Invisible => (
                    if code { Severity::High } else { Severity::Medium },
                    "A run of invisible characters is long enough to carry a message.",
                ),
                What::MixedScript => (Severity::Low, "A word mixes Latin letters with look-alikes of another script."),
            };
            let severity = if distribution.is_aside(member) { severity.min(Severity::Low) } else { severity };
            let evidence = Evidence::new(severity, Confidence::Medium, why).at_line(&member.path, hidden.line);
            out.add(evidence.excerpt(&hidden.shown).tag("defense-evasion/hidden-unicode"));
        }
    }
    let name = distribution.metadata.get(Field::Name).unwrap_or_default();
    if !name.is_ascii() {
        let why = "The project's name in its metadata is not the ASCII name that an index knows.";
        let evidence = Evidence::new(Severity::High, Confidence::Medium, why).at(&distribution.metadata_path);
        out.add(evidence.excerpt(name).tag("defense-evasion/hidden-unicode"));
    }
}
