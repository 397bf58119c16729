//! Installing or importing reaches out, or starts something.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Medium as Likely};
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{EffectKind, Reach, Seen};

check!(StartEffects, "start-effects", 1, run);

/// Commands that fetch, hide, or run what was given on the line.
const COMMANDS: &[&str] = &[
    "http://",
    "https://",
    "powershell",
    "pwsh",
    "curl ",
    "wget ",
    "mshta",
    "certutil",
    "bitsadmin",
    "/dev/tcp",
    "nslookup",
    "base64",
    "-enc",
    "| sh",
    "| bash",
    "nohup",
    "schtasks",
    "reg add",
    "crontab",
    "chmod +x",
    ".exe",
    "start /b",
    "attrib +h",
];
/// Commands by which a package installs others.
const INSTALLS: &[&str] = &["pip install", "-m pip", "pip3 install", "easy_install", "npm install", "apt-get install"];

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in distribution.program.effects() {
        let standing = code::of(distribution, &seen);
        let weight = if matches!(seen.effect.kind, EffectKind::Network | EffectKind::Download) {
            network(distribution, &seen, standing)
        } else if seen.effect.kind == EffectKind::Process {
            process(distribution, &seen, standing)
        } else {
            None
        };
        let Some(weight) = weight else { continue };
        let when = match seen.reach {
            Reach::InstallTime => "Building or installing this",
            Reach::StartUp => "Every start of the interpreter",
            Reach::OnCall | Reach::Script | Reach::EntryPoint | Reach::ImportTime => "Importing this",
        };
        let what = if seen.effect.kind == EffectKind::Process { "starts a program" } else { "reaches the network" };
        let why = format!("{when} {what}.");
        out.add(code::at(distribution, &seen, weight, &why).tag("execution/runs-by-itself"));
    }
}

fn network(
    distribution: &Distribution,
    seen: &Seen<'_>,
    standing: Standing,
) -> Option<(crate::Severity, crate::Confidence)> {
    let text = seen.effect.text();
    let fixed = text.contains("://") && !code::mentions(&text, &["localhost", "127.0.0.1", "+unix"]);
    let first = code::is_first(distribution, seen);
    match standing {
        Standing::Installed if first && (code::has_drop(seen.module) || seen.effect.swallowed) => Some((High, Likely)),
        Standing::Installed if first => Some((Medium, Sure)),
        Standing::Imported if fixed && code::has_drop(seen.module) => Some((High, Likely)),
        Standing::Installed | Standing::Imported if fixed => Some((Medium, Sure)),
        Standing::Installed | Standing::Imported => Some((Low, Likely)),
        Standing::Called | Standing::Aside => None,
    }
}

fn process(
    distribution: &Distribution,
    seen: &Seen<'_>,
    standing: Standing,
) -> Option<(crate::Severity, crate::Confidence)> {
    let first = code::is_first(distribution, seen);
    let text = seen.effect.text();
    let reaches = code::mentions(&text, COMMANDS);
    match standing {
        Standing::Installed | Standing::Imported if reaches && seen.effect.hidden => Some((High, Sure)),
        Standing::Installed if reaches => Some((High, Likely)),
        Standing::Imported if reaches => Some((Medium, Sure)),
        // What the build installs, or runs in another interpreter, is not what was inspected.
        Standing::Installed if seen.effect.name.starts_with("pip.") && text.is_empty() => Some((High, Likely)),
        Standing::Installed | Standing::Imported if code::mentions(&text, INSTALLS) => Some((Medium, Likely)),
        Standing::Imported if first && code::mentions(&text, &["python -c", "python3 -c"]) => Some((Medium, Sure)),
        Standing::Installed | Standing::Imported => Some((Low, Likely)),
        Standing::Called | Standing::Aside => None,
    }
}
