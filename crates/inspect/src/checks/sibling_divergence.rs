//! A wheel that can do what the source of the same release cannot.

use super::Context;
use crate::Profile;
use crate::distribution::{Distribution, Shape};
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use packaging::DistFilename;

check!(SiblingDivergence, "sibling-divergence", 1, run);

fn run(distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    let (Some(own), Some(sibling)) = (context.own, context.sibling) else { return };
    // Whichever came second: what the wheel has and the source lacks was put in by the build, or by somebody.
    let (wheel, source) = match distribution.shape {
        Shape::Wheel => (own, sibling),
        Shape::Sdist => (sibling, own),
        Shape::Other => return,
    };
    let comparable = |profile: &Profile| profile.version == Profile::VERSION && !profile.cut;
    if !comparable(wheel) || !comparable(source) {
        return;
    }
    for word in wheel.words.difference(&source.words) {
        let Some(weight) = weight(word, distribution) else { continue };
        let why = "The wheel of this release can do this, and the source that it should be built from cannot.";
        out.add(Evidence::new(weight.0, weight.1, why).excerpt(word).tag("change/wheel-is-not-its-source"));
    }
}

fn weight(word: &str, distribution: &Distribution) -> Option<(Severity, Confidence)> {
    use Confidence::Medium as Likely;
    let (area, rest) = word.split_once(':')?;
    match (area, rest) {
        ("sink" | "reverse-shell" | "hidden-command", _) => Some((Severity::High, Likely)),
        ("fetch-run", _) => Some((Severity::Medium, Likely)),
        ("sign", rest) if rest.starts_with("drop:") || rest == "miner" => Some((Severity::Medium, Likely)),
        ("startup", "import:network" | "import:download" | "import:process" | "start-up:exec") => {
            Some((Severity::Medium, Likely))
        }
        ("chain", "decodeexec" | "fetchexec" | "fetchwriterun" | "environmentsend" | "storesend") => {
            Some((Severity::Medium, Likely))
        }
        ("type", "pe" | "elf" | "mach-o") if is_pure(distribution) => Some((Severity::Medium, Likely)),
        // Builds write versions, compile, bundle and vendor: this is told, and weighs nothing.
        ("cap" | "host" | "type" | "startup" | "top", _) => Some((Severity::Note, Confidence::High)),
        _ => None,
    }
}

fn is_pure(distribution: &Distribution) -> bool {
    matches!(&distribution.filename, Some(DistFilename::Wheel(wheel)) if wheel.platform_tags.iter().all(|tag| tag == "any"))
}
