//! A file without attestations, or with another publisher's, where the ones before it had them.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};

check!(AttestationLost, "attestation-lost", 1, run);

/// From so many wholly attested releases on it is a habit, and breaking it holds the file.
const HABIT_RELEASES_MIN: u32 = 3;

fn run(_distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    let Some(publishing) = context.occasion.and_then(|occasion| occasion.publishing.as_ref()) else { return };
    let Some(last) = &publishing.last else { return };
    match &publishing.own {
        None if publishing.streak >= HABIT_RELEASES_MIN => {
            let why = "It has no attestation, and every file of the releases before it had one: it did not come from \
                       where this project publishes.";
            out.add(
                Evidence::new(Severity::High, Confidence::High, why).excerpt(last).tag("identity/attestation-lost"),
            );
        }
        None if publishing.streak > 0 => {
            let why = "It has no attestation, and every file of the release before it had one.";
            let evidence = Evidence::new(Severity::Medium, Confidence::Medium, why);
            out.add(evidence.excerpt(last).tag("identity/attestation-lost"));
        }
        Some(own) if own != last => {
            let change = format!("{last} -> {own}");
            let why = "Another publisher attested it than the files before it.";
            let evidence = Evidence::new(Severity::Medium, Confidence::Medium, why);
            out.add(evidence.excerpt(&change).tag("identity/publisher-changed"));
        }
        None | Some(_) => {}
    }
}
