//! Requirements that fetch from somewhere else than an index, or that name the package itself.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use packaging::Requirement;
use packaging::metadata::Field;

check!(DependencyTricks, "dependency-tricks", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for text in distribution.metadata.all(Field::RequiresDist) {
        direct(text, &distribution.metadata_path, out);
    }
    let Some(build) = &distribution.build else { return };
    for text in &build.requires {
        direct(text, &build.path, out);
        let named = text.parse::<Requirement>().ok().map(|requirement| requirement.name.normalized());
        if named.is_some() && named == distribution.project() {
            let why =
                "Building this requires an earlier release of itself: whoever holds that one runs code in the build.";
            let evidence = Evidence::new(Severity::Medium, Confidence::Medium, why).at(&build.path).excerpt(text);
            out.add(evidence.tag("execution/self-build-requirement"));
        }
    }
}

/// A requirement with an address of its own: what stands there can change, and no index inspects it.
fn direct(text: &str, path: &str, out: &mut Findings) {
    let Some(url) = text.parse::<Requirement>().ok().and_then(|requirement| requirement.url) else { return };
    let plain = url.starts_with("http://") || url.contains("://127.") || is_numeric_host(&url);
    let (severity, confidence) =
        if plain { (Severity::High, Confidence::Medium) } else { (Severity::Medium, Confidence::Medium) };
    let why = "A requirement is fetched from an address instead of an index: what stands there can change at any time.";
    out.add(Evidence::new(severity, confidence, why).at(path).excerpt(text).tag("execution/direct-url-dependency"));
}

fn is_numeric_host(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, rest)| rest).split(['/', ':', '?']).next().unwrap_or_default();
    host.contains('.') && host.chars().all(|c| c.is_ascii_digit() || c == '.')
}
