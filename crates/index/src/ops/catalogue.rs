//! Which checks there are: those of the program, the operator's rules, and those outside.

use std::collections::BTreeMap;

use ::inspect::{Event, Finding, Occasion, checks, yara};

use crate::{Installation, external};

/// `id@version` of all that is looked for, or that is looked for on an occasion. The operator's rules are named as one
/// set: each finding says the version of its own rule.
pub(super) fn versions(installation: &Installation, occasion: Option<&Occasion>) -> String {
    let mut all = checks::versions(occasion);
    if let Some(rules) = installation.rules() {
        all.push(format!("yara@{}", rules.digest));
    }
    let runs = |on: &[Event]| occasion.is_none_or(|occasion| occasion.concerns(on));
    let outside = installation.settings.external.iter().filter(|outside| runs(&outside.on));
    all.extend(outside.map(|outside| format!("{}@{}", outside.id(), outside.version)));
    all.join(" ")
}

/// Id and version of every check that can find something.
pub(super) fn known(installation: &Installation) -> BTreeMap<String, u32> {
    let own = checks::versions(None);
    let own = own.iter().filter_map(|text| text.rsplit_once('@'));
    let mut all: BTreeMap<String, u32> =
        own.filter_map(|(id, version)| Some((id.to_owned(), version.parse().ok()?))).collect();
    if let Some(rules) = installation.rules() {
        all.extend(rules.rules.iter().map(|rule| (rule.id.clone(), rule.version)));
        all.insert(yara::LIMITS.to_owned(), yara::LIMITS_VERSION);
    }
    all.extend(installation.settings.external.iter().map(|outside| (outside.id(), outside.version)));
    all
}

/// Whether a check of today is not asked on an occasion: that it says nothing then means nothing.
pub(super) fn is_left_out(installation: &Installation, check: &str, occasion: &Occasion) -> bool {
    let rule = installation.rules().and_then(|rules| rules.rules.iter().find(|rule| rule.id == check));
    if let Some(rule) = rule {
        return !occasion.concerns(&rule.on);
    }
    let of = |outside: &&external::Outside| lineage(check).any(|id| id == outside.id());
    if let Some(outside) = installation.settings.external.iter().find(of) {
        return !occasion.concerns(&outside.on);
    }
    let named = |list: Vec<String>| list.iter().any(|text| text.rsplit_once('@').is_some_and(|(id, _)| id == check));
    named(checks::versions(None)) && !named(checks::versions(Some(occasion)))
}

/// Whether a check may have been kept from saying something: its service gave no answer, or rules did not come to their
/// end. Then what it found before stands.
pub(super) fn is_silenced(found: &[Finding], check: &str) -> bool {
    let silences = |finding: &Finding| {
        finding.check == yara::LIMITS && check.starts_with(yara::PREFIX)
            || finding.tags.iter().any(|tag| tag == external::UNANSWERED)
                && lineage(check).any(|id| id == finding.check)
    };
    !found.iter().any(|finding| finding.check == check) && found.iter().any(silences)
}

/// Whether some check asks for this event. A command that works on the ledger without a sandbox does not know the rules
/// and says yes: who takes up the work asks again.
pub(super) fn any_on(installation: &Installation, event: Event) -> bool {
    installation.sandbox.is_none()
        || checks::any_on(event)
        || installation.rules().is_some_and(|rules| rules.rules.iter().any(|rule| rule.on.contains(&event)))
        || installation.settings.external.iter().any(|outside| outside.on.contains(&event))
}

/// Whether a check came from an operator and not with the program: nobody measured it before it came here.
pub(super) fn is_foreign(check: &str) -> bool {
    [yara::PREFIX, external::PREFIX].iter().any(|prefix| check.starts_with(prefix))
        || [yara::PREFIX, external::PREFIX].iter().any(|prefix| prefix.strip_suffix('/') == Some(check))
}

/// An id and what it stands below: `yara/a/b`, `yara/a`, `yara`. Whatever was said of the longest of them holds.
pub(super) fn lineage(check: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(check), |id| id.rsplit_once('/').map(|(above, _)| above))
}
