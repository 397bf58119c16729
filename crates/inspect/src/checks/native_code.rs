//! Programs of the machine where none belongs, or under a name that hides them.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use packaging::DistFilename;

use crate::distribution::{Facts, Member};
use crate::formats::native::Native;

check!(NativeCode, "native-code", 1, run);

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
    for member in distribution.members.iter().filter(|member| member.kind.is_native()) {
        let Facts::Native(native) = &member.facts else { continue };
        judge(distribution, context, member, native, out);
    }
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
    let pure = matches!(&distribution.filename, Some(DistFilename::Wheel(wheel)) if wheel.platform_tags.iter().all(|tag| tag == "any"));
    if !pure || LAUNCHERS.contains(&name.as_str()) || distribution.is_aside(member) {
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
