//! Names are looked up that carry data: the resolver of whoever owns the domain reads them.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{EffectKind, Labels, Seen};

check!(DnsBeacons, "dns-beacons", 1, run);

/// Programs that look a name up.
const PROGRAMS: &[&str] = &["nslookup ", "dig ", "host ", "ping ", "resolve-dnsname "];
/// Ends of names that stay within a network.
const INSIDE: &[&str] = &["local", "internal", "lan", "localdomain", "home", "corp", "intranet", "arpa", "test", "svc"];
/// What nobody puts into a name by chance.
const CARRIED: Labels = Labels(code::WHO.0 | code::LOOT.0 | Labels::OUTPUT.0 | Labels::ENCODED.0);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in distribution.program.effects() {
        if !looks_up(&seen) || !seen.labels.any(CARRIED) {
            continue;
        }
        let weight = match code::of(distribution, &seen) {
            Standing::Aside => (Low, Likely),
            Standing::Installed | Standing::Imported => (High, Likely),
            Standing::Called => (Medium, Likely),
        };
        let why = "A name is looked up that holds what was collected here: whoever owns the domain reads it, past every \
                   wall that lets names through.";
        out.add(code::at(distribution, &seen, weight, why).tag("exfiltration/dns"));
    }
}

/// A look-up of a name that is made of data and ends in somebody's domain.
fn looks_up(seen: &Seen<'_>) -> bool {
    let text = seen.effect.text();
    if seen.effect.kind == EffectKind::Network {
        let name = &*seen.effect.name;
        let resolves = name.starts_with("socket.geth") || name == "socket.getaddrinfo" || name.starts_with("dns.");
        return resolves && text.lines().next().is_some_and(is_carrier);
    }
    let at = PROGRAMS.iter().filter_map(|program| text.to_ascii_lowercase().find(program)).min();
    seen.effect.kind == EffectKind::Process
        && at.is_some_and(|at| text.get(at..).unwrap_or_default().split_whitespace().any(is_carrier))
}

/// `{}.example.org`: something that is not known before it runs, below a domain that is.
fn is_carrier(name: &str) -> bool {
    let Some((_, domain)) = name.trim().rsplit_once("{}.") else { return false };
    let labels: Vec<&str> = domain.trim_end_matches('.').split('.').collect();
    let sound = |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let last = labels.last().copied().unwrap_or_default();
    labels.len() >= 2
        && labels.iter().all(sound)
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !INSIDE.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::is_carrier;

    #[test]
    fn carriers_are_names_below_somebodys_domain() {
        for name in ["{}.example.org", "a-{}-{}.c.example.org", "{}.x.y.example.org."] {
            assert!(is_carrier(name), "{name}");
        }
        for name in
            ["{}", "example.org", "{}.local", "{}.svc.cluster.local", "{}.org", "{}.example.{}", "{}.in-addr.arpa"]
        {
            assert!(!is_carrier(name), "{name}");
        }
    }
}
