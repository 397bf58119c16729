//! What is private is collected and sent away.

use super::Context;
use super::code::{self, Standing};
use super::wallet_secrets::{fixed_host, is_stated};
use crate::distribution::Distribution;
use crate::finding::Confidence::{High as Sure, Low as Unsure, Medium as Likely};
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::formats::text::{self, Group};
use crate::python::{self, EffectKind, Labels, Seen};

check!(PrivateSends, "private-sends", 5, run);

fn run(distribution: &Distribution, context: &Context<'_>, out: &mut Findings) {
    by_command(distribution, out);
    for seen in code::effects(distribution, EffectKind::Network) {
        let standing = code::of(distribution, &seen);
        let Some(weight) = weigh(&seen, standing, code::is_first(distribution, &seen)) else { continue };
        // Who is asked first knows of it. A comment asks nobody.
        let asks = |line: &str| line.split('#').next().is_some_and(|code| code.contains("input("));
        let asks = || distribution.member(seen.path).is_some_and(|member| member.text().lines().any(asks));
        let dropped = code::has_drop(seen.module) || code::is_first(distribution, &seen);
        let asked = standing == Standing::Imported && !dropped && weight.0 == High && asks();
        let weight = if asked { (Low, Likely) } else { weight };
        // The release before named no such address; now something private goes there.
        let hosts = python::hosts(&seen.effect.text());
        let new = |host: &String| context.is_new(&format!("host:{host}")) == Some(true);
        let newly = standing > Standing::Aside && !hosts.is_empty() && hosts.iter().all(new);
        let newly = newly && !hosts.iter().all(|host| is_own_service(&seen, host));
        let weight = if newly { (High, Sure) } else { weight };
        let weight =
            if weight.0 < Medium && takes_all(distribution, &seen, standing) { (Medium, Likely) } else { weight };
        let told = Labels::PRIVATE.with(Labels::OUTPUT);
        let sources: Vec<&str> = seen.labels.among(told).names().collect();
        let why = format!("What is private flows into the network here: {}.", sources.join(", "));
        out.add(code::at(distribution, &seen, weight, &why).tag("exfiltration/private-data"));
    }
}

/// Whether all of the environment goes, when somebody calls this, to a host of which the metadata does not speak.
fn takes_all(distribution: &Distribution, seen: &Seen<'_>, standing: Standing) -> bool {
    let host = || fixed_host(&seen.effect.text());
    standing == Standing::Called
        // What other functions hand on may be one variable of it.
        && seen.effect.taint.labels.any(Labels::ENVIRONMENT)
        && host().is_some_and(|host| !is_stated(distribution, &host))
}

/// What is private in the words of a command that sends: no request of Python is seen then.
fn by_command(distribution: &Distribution, out: &mut Findings) {
    for seen in code::effects(distribution, EffectKind::Process) {
        let Some(command) = seen.effect.args.first() else { continue };
        let text = command.shown();
        let told = command.taint.labels.any(code::LOOT.with(code::WHO));
        if !told
            || !code::mentions(&text, &["curl ", "wget ", "invoke-webrequest", "iwr ", "invoke-restmethod"])
            || !code::names_host(&text)
        {
            continue;
        }
        let weight = match code::of(distribution, &seen) {
            Standing::Installed | Standing::Imported => (High, Likely),
            Standing::Called if code::has_drop(seen.module) => (Medium, Likely),
            Standing::Called | Standing::Aside => (Low, Likely),
        };
        let why = "What is private is written into a command that sends it.";
        out.add(code::at(distribution, &seen, weight, why).tag("exfiltration/private-data"));
    }
}

fn weigh(seen: &Seen<'_>, standing: Standing, first: bool) -> Option<(crate::Severity, crate::Confidence)> {
    let loot = seen.labels.any(code::LOOT);
    let who = seen.labels.any(code::WHO);
    let param = seen.labels.any(Labels::SECRET_PARAM);
    // What a program printed is sent by tools that people call; by an installation, only to tell on somebody.
    let output = seen.labels.any(Labels::OUTPUT) && standing >= Standing::Imported;
    if !(loot || who || param || output) || is_own_lookup(seen) {
        return None;
    }
    let keyed = is_sink(&seen.effect.text());
    let sink = keyed || code::has_drop(seen.module);
    let constant = code::names_host(&seen.effect.text());
    let beyond = seen.labels.any(Labels(code::LOOT.0 & !Labels::ENV_SECRET.0));
    Some(match standing {
        Standing::Aside => (Low, Likely),
        Standing::Installed if first || sink => (High, Sure),
        // A token opens whatever address is asked for; it is told on nobody.
        Standing::Installed if beyond || who || output => (Medium, Likely),
        Standing::Installed => (Low, Likely),
        Standing::Imported if sink => (High, Sure),
        Standing::Imported if (loot || who || output) && constant => (High, Likely),
        // All of the environment, or what lies in a store of secrets: wherever it goes, nobody asked for it.
        Standing::Imported if seen.labels.any(Labels::ENVIRONMENT.with(Labels::STORE)) => (High, Likely),
        Standing::Imported if (who || loot) && first => (Medium, Sure),
        Standing::Imported => (Low, Likely),
        // The library of a service holds its address, never the key in it.
        Standing::Called if keyed && (loot || who) || sink && loot => (High, Likely),
        Standing::Called if keyed && param => (Medium, Likely),
        // What lies in a store of secrets goes to an address that nobody gave.
        Standing::Called if seen.labels.any(Labels::STORE) && constant => (Medium, Likely),
        Standing::Called => (Low, Unsure),
    })
}

/// Whether no more than a key goes to the service after which the module is named: a new client of it.
fn is_own_service(seen: &Seen<'_>, host: &str) -> bool {
    const KEYS: Labels = Labels(Labels::ENV_SECRET.0 | Labels::SECRET_PARAM.0);
    let private = seen.labels.among(Labels::PRIVATE);
    let domain = host.rsplit('.').nth(1).unwrap_or_default();
    domain.len() > 3 && seen.path.to_ascii_lowercase().contains(domain) && private.among(KEYS) == private
}

/// Whether a name is only looked up: a machine asks for its own address so. A label below a domain goes to its owner.
fn is_own_lookup(seen: &Seen<'_>) -> bool {
    let asks = ["gethostbyname", "gethostbyname_ex", "getaddrinfo"];
    let name = seen.effect.name.rsplit('.').next().unwrap_or_default();
    asks.contains(&name) && !seen.effect.args.first().is_some_and(|host| host.shown().contains('.'))
}

/// Whether a text holds an address with its key in it.
fn is_sink(text: &str) -> bool {
    text::search(text.as_bytes()).iter().any(|hit| hit.rule.group == Group::Sink)
}
