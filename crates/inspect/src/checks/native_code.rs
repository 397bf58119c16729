//! Programs of the machine where none belongs, or under a name that hides them.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use packaging::DistFilename;

use crate::distribution::{Facts, Member};
use crate::formats::native::Native;
use crate::python::EffectKind;

check!(NativeCode, "native-code", 2, run);

/// Endings that say a file is something else.
const DISGUISES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "bmp", "ico", "svg", "wav", "mp3", "mp4", "txt", "md", "rst", "json", "csv", "log",
    "css", "html", "py", "xml", "yml", "yaml", "toml", "ini", "pdf", "ttf",
];
/// Launchers that setuptools, distlib and pip carry for Windows, in wheels for any platform.
const LAUNCHERS: &[&str] = &[
    "cli.exe",
    "gui.exe",
    "cli-32.exe",
    "cli-64.exe",
    "cli-arm64.exe",
    "gui-32.exe",
    "gui-64.exe",
    "gui-arm64.exe",
    "t32.exe",
    "t64.exe",
    "t64-arm.exe",
    "w32.exe",
    "w64.exe",
    "w64-arm.exe",
];

fn run(distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    for member in &distribution.members {
        let Facts::Native(native) = &member.facts else { continue };
        judge(distribution, context, member, native, out);
    }
    started(distribution, out);
}

/// Programs of the distribution itself that are started when it is imported or built.
fn started(distribution: &Distribution, out: &mut Findings) {
    let native = |member: &&Member| member.depth == 0 && matches!(member.facts, Facts::Native(_));
    let own: Vec<&str> = distribution.members.iter().filter(native).map(Member::name).collect();
    if own.is_empty() || !is_pure(distribution) {
        return;
    }
    for seen in code::effects(distribution, EffectKind::Process) {
        let text = seen.effect.text();
        let mut names = text.split(['/', '\\', ' ', '\n']).map(|word| word.trim_matches(['"', '\'']));
        let is_own = names.any(|word| own.contains(&word) && !LAUNCHERS.contains(&word));
        if is_own && code::of(distribution, &seen) >= Standing::Imported {
            let why =
                "A wheel that says it is for any platform brings a program of one, and starts it when it is imported.";
            let weight = (Severity::Medium, Confidence::Medium);
            out.add(code::at(distribution, &seen, weight, why).tag("execution/native-started"));
        }
    }
}

/// Whether the wheel says that it is for any platform.
fn is_pure(distribution: &Distribution) -> bool {
    matches!(&distribution.filename, Some(DistFilename::Wheel(wheel)) if wheel.platform_tags.iter().all(|tag| tag == "any"))
}

fn judge(distribution: &Distribution, context: &Context<'_>, member: &Member, native: &Native, out: &mut Findings) {
    let mut tell = |severity, confidence, why: &str, tag: &str| {
        out.add(Evidence::new(severity, confidence, why).at(&member.path).excerpt(&native.packed.join(" ")).tag(tag));
    };
    let name = member.name().to_ascii_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if DISGUISES.contains(&extension) && !distribution.is_aside(member) {
        tell(
            Severity::High,
            Confidence::High,
            "A program of the machine is disguised as another kind of file.",
            "defense-evasion/disguised-program",
        );
        return;
    }
    if !native.packed.is_empty() && !distribution.is_aside(member) {
        tell(
            Severity::Medium,
            Confidence::Medium,
            "A program of the machine is packed: what it does cannot be read.",
            "defense-evasion/packed-program",
        );
    }
    if !is_pure(distribution) || LAUNCHERS.contains(&name.as_str()) || distribution.is_aside(member) {
        return;
    }
    let is_new = context.is_new(&format!("type:{}", member.kind.as_str())) == Some(true);
    let severity = if is_new { Severity::High } else { Severity::Low };
    tell(
        severity,
        Confidence::Medium,
        "A wheel that says it is for any platform holds a program of one.",
        "execution/native-in-pure-wheel",
    );
}
