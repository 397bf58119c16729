//! What runs is taken out of a picture or a sound.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Medium as Likely};
use crate::finding::Severity::{Critical, High, Low, Medium};
use crate::findings::Findings;
use crate::python::{EffectKind, Labels, Module, Seen};

check!(MediaCode, "media-code", 1, run);

/// Endings of files that are seen or heard, and never run.
const MEDIA: &[&str] =
    &[".png", ".jpg", ".jpeg", ".gif", ".bmp", ".ico", ".webp", ".wav", ".mp3", ".ogg", ".flac", ".mp4", ".avi"];
/// Libraries whose whole purpose is to hide something in a picture or to take it out.
const STEGO: &[&str] = &["stegano", "stepic", "stegopy", "steganography", "lsbsteg"];
/// Libraries that read the samples or points of media.
const READERS: &[&str] = &["wave", "PIL", "cv2", "imageio", "soundfile", "pydub"];

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in distribution.program.effects() {
        let runs = matches!(seen.effect.kind, EffectKind::Exec | EffectKind::Process | EffectKind::Load);
        let Some(weight) = runs.then(|| weigh(&seen, code::of(distribution, &seen))).flatten() else { continue };
        let why = "What runs here is taken out of a picture or a sound, where nobody looks for code.";
        out.add(code::at(distribution, &seen, weight, why).tag("defense-evasion/steganography"));
    }
}

fn weigh(seen: &Seen<'_>, standing: Standing) -> Option<(crate::Severity, crate::Confidence)> {
    let code = seen.effect.kind == EffectKind::Exec;
    let from_file = seen.labels.any(Labels::FILE) && opens_media(seen.module);
    let decoded = seen.labels.any(Labels::DECODED);
    let hidden = code && imports(seen.module, STEGO);
    let samples = code && decoded && imports(seen.module, READERS);
    if !(from_file && (code || decoded) || hidden || samples) {
        return None;
    }
    Some(match standing {
        Standing::Aside => (Low, Likely),
        Standing::Installed | Standing::Imported if code && from_file && decoded => (Critical, Likely),
        Standing::Installed | Standing::Imported => (High, Likely),
        Standing::Called if code && from_file => (High, Likely),
        Standing::Called if decoded => (Medium, Sure),
        Standing::Called => (Medium, Likely),
    })
}

fn opens_media(module: &Module) -> bool {
    let mut reads = module.effects().iter().filter(|effect| effect.kind == EffectKind::Read);
    reads.any(|effect| {
        let text = effect.text().to_ascii_lowercase();
        text.lines().any(|line| MEDIA.iter().any(|ending| line.trim().ends_with(ending)))
    })
}

fn imports(module: &Module, names: &[&str]) -> bool {
    module.imports().iter().any(|import| names.contains(&import.module.split('.').next().unwrap_or_default()))
}
