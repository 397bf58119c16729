//! Commands of a package that are named like commands everybody types.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::known::owners_of_command;

check!(EntryPointNames, "entry-point-names", 1, run);

/// Commands whose copy stands before the system's own is dangerous at once.
const OF_THE_SYSTEM: &[&str] = &[
    "sudo", "su", "ssh", "scp", "ls", "cat", "ps", "git", "bash", "sh", "zsh", "python", "python3", "pip", "pip3",
    "gpg",
];

fn run(distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    let project = distribution.project();
    let commands = distribution.entry_points.iter();
    for entry in commands.filter(|entry| matches!(entry.group.as_str(), "console_scripts" | "gui_scripts" | "scripts"))
    {
        let name = entry.name.trim_end_matches(".exe");
        let Some(owners) = owners_of_command(name) else { continue };
        if project.as_ref().is_some_and(|project| owners.contains(&project.as_str()) || project.as_str() == name) {
            continue;
        }
        let is_new = context.is_new(&format!("entry:{}:{}", entry.group, entry.name)) == Some(true);
        let severity = if OF_THE_SYSTEM.contains(&name) || is_new { Severity::High } else { Severity::Medium };
        let why = format!("Installing this puts a command `{name}` before the one that people mean when they type it.");
        let evidence = Evidence::new(severity, Confidence::Medium, why).at_line(&entry.path, entry.line);
        out.add(evidence.excerpt(&format!("{} = {}", entry.name, entry.target)).tag("execution/command-shadowing"));
    }
}
