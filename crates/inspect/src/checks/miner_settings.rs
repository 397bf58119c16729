//! A miner's command line or settings, in what is no Python.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::Findings;
use crate::formats::text::Group;
use crate::kind::Kind;

check!(MinerSettings, "miner-settings", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in &distribution.members {
        for found in member.found.iter().filter(|found| found.rule.group == Group::Miner) {
            let severity = match member.kind {
                _ if distribution.is_aside(member) => Severity::Low,
                // Python is judged by what it starts.
                Kind::Python | Kind::Metadata => Severity::Low,
                Kind::Text if member.name().ends_with(".json") => Severity::Medium,
                Kind::Text => Severity::Low,
                Kind::Pyc | Kind::Pickle | Kind::Elf | Kind::Pe | Kind::MachO | Kind::Pth => Severity::Medium,
                Kind::Shell | Kind::PowerShell | Kind::Batch | Kind::JavaScript => Severity::Medium,
                Kind::ToolConfig | Kind::Media | Kind::Archive | Kind::Data => Severity::Medium,
            };
            let why = "A pool and a wallet stand here: something mines coins for somebody.";
            out.at_found(member, found, (severity, Confidence::Medium), why, "impact");
        }
    }
}
