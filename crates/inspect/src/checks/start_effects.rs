//! Installing or importing reaches out, or starts something.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Medium as Likely};
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{Effect, EffectKind, Labels, Reach, Seen};

check!(StartEffects, "start-effects", 6, run);

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
    "pythonw",
    "chmod +x",
    "start /b",
    "attrib +h",
    "twine upload",
    "npm publish",
];
/// Commands that ask who and where this is, or open it to somebody: no build needs to know.
const ASKS: &[&str] = &[
    "whoami",
    "systeminfo",
    "ipconfig",
    "ifconfig",
    "net user",
    "net localgroup",
    "useradd",
    "/etc/passwd",
    "hostname",
    "tasklist",
    "pwned",
];
/// Commands that leave a mark outside of what is built, to show that they ran.
const MARKS: &[&str] = &["touch /tmp", "touch /var/tmp", "touch ~", "> /tmp/", ">/tmp/"];
/// Ways in which what was fetched is run, in the same command.
const RUNS: &[&str] = &[
    "&&",
    "nohup",
    "chmod",
    "| sh",
    "| bash",
    "; python",
    "iex",
    "start-process",
    "invoke-expression",
    "start ",
    ".pyw",
];
/// Commands by which a package installs others.
const INSTALLS: &[&str] = &["pip install", "-m pip", "pip3 install", "easy_install", "npm install", "apt-get install"];

fn run(distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    for seen in distribution.program.effects() {
        let standing = code::of(distribution, &seen);
        let weight = if matches!(seen.effect.kind, EffectKind::Network | EffectKind::Download) {
            network(distribution, &seen, standing)
        } else if seen.effect.kind == EffectKind::Process {
            process(distribution, &seen, standing)
        } else if writes(distribution, &seen, standing) {
            let hidden = standing == Standing::Imported && seen.effect.taint.labels.any(Labels::DECODED);
            Some(if hidden { (High, Likely) } else { (Medium, Likely) })
        } else {
            None
        };
        let Some(weight) = weight else { continue };
        // The release before did nothing of the kind.
        let word = format!("startup:{}:{}", seen.reach.word(), seen.effect.kind.word());
        let weight = if weight.0 == Medium && context.is_new(&word) == Some(true) { (High, Likely) } else { weight };
        let when = match seen.reach {
            Reach::InstallTime => "Building or installing this",
            Reach::StartUp => "Every start of the interpreter",
            Reach::OnCall | Reach::Script | Reach::EntryPoint | Reach::ImportTime => "Importing this",
        };
        let what = if seen.effect.kind == EffectKind::Process {
            "starts a program"
        } else if seen.effect.kind != EffectKind::Write {
            "reaches the network"
        } else if standing == Standing::Installed {
            "writes into somebody's home"
        } else {
            "writes a program"
        };
        let why = format!("{when} {what}.");
        out.add(code::at(distribution, &seen, weight, &why).tag("execution/runs-by-itself"));
    }
}

/// Whether a write is none that a build or an import has a reason for.
fn writes(distribution: &Distribution, seen: &Seen<'_>, standing: Standing) -> bool {
    match standing {
        Standing::Installed => writes_outside(seen) && code::is_first(distribution, seen),
        Standing::Imported => seen.effect.kind == EffectKind::Write && writes_program(seen),
        Standing::Called | Standing::Aside => false,
    }
}

/// Whether a program is written that came from the network or out of an encoding, where nobody hears of it.
fn writes_program(seen: &Seen<'_>) -> bool {
    let path = seen.effect.args.first().map(|arg| arg.shown().to_ascii_lowercase()).unwrap_or_default();
    let program = [".py", ".pyw", ".exe", ".bat", ".vbs", ".ps1", ".sh"].iter().any(|ending| path.ends_with(ending));
    program && seen.effect.swallowed && seen.effect.taint.labels.any(Labels::NETWORK.with(Labels::DECODED))
}

/// Whether a file is written to a person's own folders.
fn writes_outside(seen: &Seen<'_>) -> bool {
    const HOMES: [&str; 8] =
        ["~", "%APPDATA%", "%USERPROFILE%", "%LOCALAPPDATA%", "/home/", concat!("/", "root/"), "C:/Users", "C:\\Users"];
    let path = seen.effect.args.first().map(|arg| arg.shown()).unwrap_or_default();
    seen.effect.kind == EffectKind::Write && HOMES.iter().any(|home| path.starts_with(home))
}

fn network(
    distribution: &Distribution,
    seen: &Seen<'_>,
    standing: Standing,
) -> Option<(crate::Severity, crate::Confidence)> {
    let text = seen.effect.text();
    let fixed = code::names_host(&text) && !code::mentions(&text, &["+unix", "inproc:", "ipc:"]);
    // `get` of something unknown may look up a key that is an address.
    let fixed = fixed && &*seen.effect.name != "?.get";
    let first = code::is_first(distribution, seen);
    match standing {
        Standing::Installed if first && (code::has_drop(seen.module) || seen.effect.swallowed) => Some((High, Likely)),
        // Nothing decides whether it is asked, and what is asked is fixed: it is told of every installation.
        Standing::Installed if first && fixed && seen.effect.certain && !uses_answer(seen) => Some((High, Likely)),
        Standing::Installed if first => Some((Medium, Sure)),
        Standing::Imported if fixed && code::has_drop(seen.module) => Some((High, Likely)),
        // Whoever knows where a secret lies, and talks to an address of his own at once, has not come for the weather.
        Standing::Imported if fixed && code::has_sign(seen.module, "store:") => Some((High, Likely)),
        Standing::Installed | Standing::Imported if fixed => Some((Medium, Sure)),
        Standing::Installed | Standing::Imported => Some((Low, Likely)),
        Standing::Called | Standing::Aside => None,
    }
}

/// Whether the module writes what the network answers to a file: builds fetch what they build.
fn uses_answer(seen: &Seen<'_>) -> bool {
    let writes = |effect: &Effect| effect.kind == EffectKind::Write && effect.taint.labels.any(Labels::NETWORK);
    seen.effect.kind == EffectKind::Download || seen.module.effects().iter().any(writes)
}

/// Whether a command fetches something and runs it, or installs from an address.
fn fetches_and_runs(text: &str) -> bool {
    let addressed = code::mentions(text, &["http://", "https://", "git+"]);
    let fetches = code::mentions(text, &["curl", "wget", "iwr", "invoke-webrequest", "downloadstring", "downloadfile"]);
    addressed && (fetches && code::mentions(text, RUNS) || code::mentions(text, INSTALLS))
}

/// Whether a command installs the tree that it stands in: what is inspected here.
fn installs_itself(text: &str) -> bool {
    let mut words = text.split_whitespace().skip_while(|word| *word != "install").skip(1);
    let targets: Vec<&str> = words.by_ref().filter(|word| !word.starts_with('-')).collect();
    !targets.is_empty() && targets.iter().all(|word| matches!(*word, "." | "./"))
}

/// Whether a program that a command names may have been brought here: fetched, written out, or put into a home.
fn brings_programs(seen: &Seen<'_>, text: &str) -> bool {
    let brings = |effect: &Effect| {
        matches!(effect.kind, EffectKind::Network | EffectKind::Download)
            || effect.kind == EffectKind::Write && effect.taint.labels.any(Labels::DECODED.with(Labels::NETWORK))
    };
    code::mentions(text, &["appdata", "%temp%", "userprofile", "c:\\users", "c:/users", "start ", "programdata"])
        || !text.contains(['/', '\\', '{']) && seen.effect.hidden
        || seen.module.effects().iter().any(brings)
}

fn process(
    distribution: &Distribution,
    seen: &Seen<'_>,
    standing: Standing,
) -> Option<(crate::Severity, crate::Confidence)> {
    let first = code::is_first(distribution, seen);
    let text = seen.effect.text();
    let command = seen.effect.args.first().map(|arg| arg.shown()).unwrap_or_default();
    if standing >= Standing::Imported && code::is_given_nothing(&command) {
        return Some((Low, Likely));
    }
    let reaches = code::mentions(&text, COMMANDS) || code::mentions(&text, &[".exe"]) && brings_programs(seen, &text);
    match standing {
        Standing::Installed | Standing::Imported if reaches && seen.effect.hidden => Some((High, Sure)),
        Standing::Installed if reaches => Some((High, Likely)),
        Standing::Imported if fetches_and_runs(&text) => Some((High, Likely)),
        // An interpreter without a window, for a script of one's own.
        Standing::Imported if first && code::mentions(&text, &["pythonw"]) => Some((High, Likely)),
        Standing::Imported if reaches => Some((Medium, Sure)),
        Standing::Installed if first && code::mentions(&text, ASKS) => Some((Medium, Sure)),
        Standing::Installed if first && code::mentions(&text, MARKS) => Some((Medium, Likely)),
        // Another interpreter, with code that it finds somewhere else, and nobody reads what it says.
        Standing::Installed
            if first
                && &*seen.effect.name == "subprocess.Popen"
                && code::mentions(&text, &["python -c", "python3 -c"]) =>
        {
            Some((Medium, Likely))
        }
        // What the build installs, or runs in another interpreter, is not what was inspected.
        Standing::Installed if seen.effect.name.starts_with("pip.") && text.is_empty() => Some((High, Likely)),
        Standing::Installed | Standing::Imported if code::mentions(&text, INSTALLS) && !installs_itself(&text) => {
            Some((Medium, Likely))
        }
        // Another interpreter with code of its own, which nobody asked for and nobody waits for.
        Standing::Imported if first && code::mentions(&text, &["python -c", "python3 -c"]) => Some((High, Likely)),
        // A script or program that is brought along, and left to itself where nobody sees it.
        Standing::Imported if seen.effect.hidden && is_left_alone(seen, &text) => Some((Medium, Likely)),
        Standing::Installed | Standing::Imported => Some((Low, Likely)),
        Standing::Called | Standing::Aside => None,
    }
}

/// Whether a program is started and not waited for: an interpreter, or something of which a part of the path is known.
fn is_left_alone(seen: &Seen<'_>, text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    let interpreter = ["node", "bun", "deno", "python", "python3", "{}"].contains(&first) && text.trim().contains(' ');
    &*seen.effect.name == "subprocess.Popen" && (interpreter || first.contains("{}/"))
}
