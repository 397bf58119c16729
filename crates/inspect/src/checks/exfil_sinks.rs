//! Addresses to which only their owner has the key: what is sent there is gone.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::Findings;
use crate::formats::text::Group;
use crate::kind::Kind;

check!(ExfilSinks, "exfil-sinks", 1, run);

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
            let weight = if member.is_aside() || !runs || comment {
                (Severity::Low, Confidence::Medium)
            } else if found.rule.name == "telegram-token" {
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
}
