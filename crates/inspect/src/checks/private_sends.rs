//! What is private is collected and sent away.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Low as Unsure, Medium as Likely};
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::formats::text::{self, Group};
use crate::python::{EffectKind, Labels, Seen};

check!(PrivateSends, "private-sends", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in code::effects(distribution, EffectKind::Network) {
        let Some(weight) = weigh(&seen, code::of(distribution, &seen), code::is_first(distribution, &seen)) else {
            continue;
        };
        let sources: Vec<&str> = seen.labels.among(Labels::PRIVATE).names().collect();
        let why = format!("What is private flows into the network here: {}.", sources.join(", "));
        out.add(code::at(distribution, &seen, weight, &why).tag("exfiltration/private-data"));
    }
}

fn weigh(seen: &Seen<'_>, standing: Standing, first: bool) -> Option<(crate::Severity, crate::Confidence)> {
    let loot = seen.labels.any(code::LOOT);
    let who = seen.labels.any(code::WHO);
    let param = seen.labels.any(Labels::SECRET_PARAM);
    if !(loot || who || param) {
        return None;
    }
    let keyed = is_sink(&seen.effect.text());
    let sink = keyed || code::has_drop(seen.module);
    let constant = !code::mentions(&seen.effect.text(), &["{}://"]) && seen.effect.text().contains("://");
    Some(match standing {
        Standing::Aside => (Low, Likely),
        Standing::Installed if first || sink => (High, Sure),
        Standing::Installed if loot || who => (Medium, Likely),
        Standing::Installed => (Low, Likely),
        Standing::Imported if sink => (High, Sure),
        Standing::Imported if loot && constant => (High, Likely),
        Standing::Imported if (who || loot) && (constant || first) => (Medium, Sure),
        Standing::Imported => (Low, Likely),
        // The library of a service holds its address, never the key in it.
        Standing::Called if keyed && (loot || who) || sink && loot => (High, Likely),
        Standing::Called if keyed && param => (Medium, Likely),
        Standing::Called => (Low, Unsure),
    })
}

/// Whether a text holds an address with its key in it.
fn is_sink(text: &str) -> bool {
    text::search(text.as_bytes()).iter().any(|hit| hit.rule.group == Group::Sink)
}
