//! A key or the words of a wallet, given by a caller, goes to an address that the package chose.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::Confidence::Medium as Likely;
use crate::finding::Severity::{High, Low, Medium};
use crate::findings::Findings;
use crate::python::{EffectKind, Labels, Seen};
use packaging::metadata::Field;

check!(WalletSecrets, "wallet-secrets", 1, run);

/// Parameters whose value signs for its owner: a client uses it, and never sends it anywhere.
const NAMES: &[&str] = &[
    "private_key",
    "privatekey",
    "priv_key",
    "privkey",
    "mnemonic",
    "seed_phrase",
    "seedphrase",
    "secret_phrase",
    "recovery_phrase",
    "keypair",
    "wallet_key",
    "ssh_key",
    "signing_key",
];

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for seen in code::effects(distribution, EffectKind::Network) {
        let secret = seen.labels.any(Labels::SECRET_PARAM) && takes_key(&seen);
        let Some(host) = fixed_host(&seen.effect.text()).filter(|_| secret) else { continue };
        let stated = is_stated(distribution, &host);
        let weight = match code::of(distribution, &seen) {
            Standing::Aside => (Low, Likely),
            _ if code::has_drop(seen.module) || code::is_bare_address(&host) => (High, Likely),
            _ if stated => (Low, Likely),
            Standing::Called | Standing::Imported | Standing::Installed => (Medium, Likely),
        };
        let why = format!("A key that its owner alone should hold is sent to {host}, which the package chose.");
        out.add(code::at(distribution, &seen, weight, &why).tag("exfiltration/signing-key"));
    }
}

/// Whether the function at hand takes a parameter of such a name.
fn takes_key(seen: &Seen<'_>) -> bool {
    seen.function.params.iter().any(|param| {
        let lower = param.to_ascii_lowercase();
        NAMES.iter().any(|secret| lower.contains(secret))
    })
}

/// The host of an address whose beginning is known.
pub(super) fn fixed_host(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    let host = rest.split(['/', ':', '?', '\n', ' ']).next()?.to_ascii_lowercase();
    let known = !host.contains('{') && host.contains('.') && !host.starts_with("127.") && !host.ends_with(".local");
    known.then_some(host)
}

/// Whether the metadata names the host or its domain: who signs by a service says so.
pub(super) fn is_stated(distribution: &Distribution, host: &str) -> bool {
    let domain = host.rsplitn(3, '.').take(2).collect::<Vec<_>>();
    let domain: Vec<&str> = domain.into_iter().rev().collect();
    let domain = domain.join(".");
    [Field::HomePage, Field::ProjectUrl, Field::Summary, Field::Description, Field::DownloadUrl]
        .into_iter()
        .flat_map(|field| distribution.metadata.all(field))
        .any(|text| text.to_ascii_lowercase().contains(&domain))
}
