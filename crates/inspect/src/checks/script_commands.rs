//! Commands that fetch and run, open a shell to somebody, hide what they run, or come again.

use super::Context;
use crate::distribution::Distribution;
use crate::distribution::{Member, Shape};
use crate::finding::{Confidence, Severity};
use crate::findings::Findings;
use crate::formats::text::Group;
use crate::kind::Kind;

check!(ScriptCommands, "script-commands", 2, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in &distribution.members {
        for found in &member.found {
            let told = || member.place != "pyproject.toml" || found.excerpt.contains("describe_command");
            if is_recipe(distribution, member) && !told() {
                continue;
            }
            if let Some((severity, confidence)) = weight(distribution, member, found.rule.group) {
                let (tactic, why) = words(found.rule.group);
                out.at_found(member, found, (severity, confidence), why, tactic);
            }
        }
    }
}

fn words(group: Group) -> (&'static str, &'static str) {
    match group {
        Group::FetchRun => ("execution", "A command fetches a program and runs it."),
        Group::ReverseShell => {
            ("command-and-control", "A command gives a shell of this machine to somebody elsewhere.")
        }
        Group::HiddenCommand => ("defense-evasion", "A command hides what it runs."),
        Group::Persistence => ("persistence", "A command makes itself run again."),
        Group::Sink | Group::Instruction | Group::BuildSecrets | Group::Miner => ("", ""),
    }
}

/// Whether a member is what a build system other than Python's own is told, and runs.
fn is_recipe(distribution: &Distribution, member: &Member) -> bool {
    const RECIPES: [&str; 4] = ["meson.build", "CMakeLists.txt", "build.rs", "pyproject.toml"];
    let own = distribution.shape == Shape::Sdist && member.depth == 0;
    own && RECIPES.iter().any(|recipe| member.name() == *recipe) && !distribution.is_aside(member)
}

/// By where it stands: what runs by itself, a script for somebody to run, code that has to be called, prose.
fn weight(distribution: &Distribution, member: &Member, group: Group) -> Option<(Severity, Confidence)> {
    use Confidence::{Low as Unsure, Medium as Likely};
    let startup = distribution.is_startup(member) || distribution.started.contains(&member.path);
    let script = member.kind.is_script();
    let python = matches!(member.kind, Kind::Python | Kind::Pyc | Kind::Pth);
    let init = python && matches!(member.name(), "__init__.py" | "__main__.py");
    let startup = startup || is_recipe(distribution, member);
    if distribution.is_aside(member) || !(startup || script || python) {
        return None;
    }
    match group {
        Group::HiddenCommand | Group::ReverseShell if startup => Some((Severity::Critical, Likely)),
        Group::FetchRun | Group::Persistence if startup => Some((Severity::High, Likely)),
        Group::HiddenCommand if init || script => Some((Severity::High, Likely)),
        Group::HiddenCommand => Some((Severity::Medium, Likely)),
        Group::ReverseShell if script => Some((Severity::High, Likely)),
        Group::ReverseShell => Some((Severity::Medium, Unsure)),
        // Installers of honest tools are written so.
        Group::FetchRun => Some((Severity::Low, Likely)),
        Group::Persistence if script => Some((Severity::Medium, Likely)),
        Group::Persistence => Some((Severity::Low, Likely)),
        Group::Sink | Group::Instruction | Group::BuildSecrets | Group::Miner => None,
    }
}
