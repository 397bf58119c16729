//! New keys of a change, in the data folder: each is one that nobody had before. A key that lay there already, left by a change
//! that was never signed, or by a thief, is never taken up, and is told of.

use std::collections::BTreeSet;

use tuf::write::{Holders, Offline};

use super::super::log;
use super::super::signing::InForce;
use crate::model::IndexName;
use crate::{Installation, Result};

/// A new key in the data folder, named after the root that brings it.
pub(super) fn fresh(installation: &Installation, index: &IndexName, offline: &Offline, name: &str) -> Result<Holders> {
    let name = format!("{name}-{}", offline.root().version + 1);
    let signer = installation.signing_keys.make_new(index, &name, &installation.entropy)?;
    Ok(Holders { keys: vec![signer.public_key().clone()], threshold: 1 })
}

/// The root for which [`fresh`] made a key file of this name.
fn root_of(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("online-").or_else(|| name.strip_prefix("offline-"))?;
    rest.split('-').next()?.parse().ok()
}

/// Key files of the data folder that no role in force trusts, and that are neither the log's nor the witness's: name, key id.
pub(super) fn unused(installation: &Installation, in_force: &InForce) -> Result<Vec<(String, String)>> {
    let offline = in_force.repository.offline();
    let mut trusted: BTreeSet<String> = offline.root().keys.keys().cloned().collect();
    trusted.extend(offline.bin_keys().keyids.iter().cloned());
    trusted.extend(offline.holders().into_iter().flat_map(|of| of.keys).map(|key| key.keyid()));
    let mut named = installation.signing_keys.named(in_force.index())?;
    named.retain(|(name, keyid)| !trusted.contains(keyid) && !log::signs(in_force.log(), name, keyid));
    Ok(named)
}

/// Puts aside what was made for roots that came without it, or went again: no change brings those keys any more.
pub(super) fn put_aside_abandoned(installation: &Installation, in_force: &InForce) -> Result<()> {
    let version = in_force.repository.offline().root().version;
    let dead =
        unused(installation, in_force)?.into_iter().filter(|(name, _)| root_of(name).is_some_and(|of| of <= version));
    let dead: BTreeSet<String> = dead.map(|(_, keyid)| keyid).collect();
    if dead.is_empty() {
        return Ok(());
    }
    tracing::info!(index = %in_force.index(), keys = ?dead, "keys that no role trusts, and that no change brings any more, are put aside");
    installation.signing_keys.retire(in_force.index(), &dead)
}

#[cfg(test)]
mod tests {
    use super::root_of;

    #[test]
    fn keys_are_named_after_their_root() {
        for (name, root) in [
            ("online-2", Some(2)),
            ("offline-12-0a1b2c3d", Some(12)),
            ("online", None),
            ("online-0a1b2c3d", None),
            ("standby-2-0a1b2c3d", None),
        ] {
            assert_eq!(root_of(name), root, "{name}");
        }
    }
}
