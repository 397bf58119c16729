//! Sentences that are written for a language model, where people do not look.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::Findings;
use crate::formats::text::Group;
use crate::kind::Kind;

check!(ModelInstructions, "model-instructions", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in distribution.members.iter().filter(|member| member.depth == 0) {
        let config = member.kind == Kind::ToolConfig;
        if !config && member.kind != Kind::Metadata {
            continue;
        }
        for found in member.found.iter().filter(|found| found.rule.group == Group::Instruction) {
            let hidden = is_in_comment(&member.text(), found.line);
            let severity = if config || hidden { Severity::Medium } else { Severity::Low };
            let confidence = Confidence::Medium;
            let why =
                "A sentence tells a language model to ignore its instructions or to keep something from its user.";
            out.at_found(member, found, (severity, confidence), why, "defense-evasion");
        }
    }
}

/// Whether the line stands in a comment of HTML, which a rendered page does not show.
fn is_in_comment(text: &str, line: u32) -> bool {
    let before: String = text.lines().take(line as usize).collect::<Vec<_>>().join("\n");
    match (before.rfind("<!--"), before.rfind("-->")) {
        (Some(open), Some(closed)) => open > closed || before[open..].lines().count() == 1,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
