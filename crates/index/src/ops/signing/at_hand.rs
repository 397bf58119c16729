//! The keys of an index that sign by themselves, as far as they are at hand.

use std::collections::BTreeSet;

use tuf::Signer;
use tuf::role::{RoleKeys, Top};
use tuf::write::{Offline, Online, Repository};

use super::write_error;
use crate::keys::Keys;
use crate::model::IndexName;
use crate::{Installation, Result};

/// Keys, and nothing that prints them.
#[derive(Default)]
pub(super) struct KeysAtHand(pub(super) Keys);

impl std::fmt::Debug for KeysAtHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl KeysAtHand {
    /// The keys in an index's folder that still sign.
    pub(super) async fn load(
        installation: &Installation,
        index: &IndexName,
        retired: &BTreeSet<String>,
    ) -> Result<Self> {
        let of = index.clone();
        let mut keys = installation.signing_keys.blocking(move |folder| folder.load(&of)).await?;
        keys.retain(|keyid, _| !retired.contains(keyid));
        Ok(Self(keys))
    }

    pub(super) fn of(&self, role: &RoleKeys) -> Vec<&dyn Signer> {
        let known = role.keyids.iter().filter_map(|keyid| self.0.get(keyid));
        known.take(role.threshold as usize).map(|signer| &**signer).collect()
    }

    /// An online role whose keys are not all at hand.
    pub(super) fn missing(&self, offline: &Offline) -> Option<&'static str> {
        let lacks = |role: &RoleKeys| (self.of(role).len() as u64) < role.threshold;
        if lacks(offline.bin_keys()) {
            return Some("the bins");
        }
        let roles = &offline.root().roles;
        let top = [Top::Snapshot, Top::Timestamp].into_iter().find(|top| roles.get(top).is_none_or(lacks));
        top.map(Top::name)
    }
}

pub(super) fn with_online<T>(
    repository: &Repository,
    keys: &KeysAtHand,
    work: impl FnOnce(&Online<'_>) -> std::result::Result<T, tuf::write::WriteError>,
) -> Result<T> {
    let (offline, none) = (repository.offline(), RoleKeys::new(Vec::new(), 1));
    let of = |top: Top| keys.of(offline.root().roles.get(&top).unwrap_or(&none));
    let (timestamp, snapshot, bins) = (of(Top::Timestamp), of(Top::Snapshot), keys.of(offline.bin_keys()));
    work(&Online { timestamp: &timestamp, snapshot: &snapshot, bins: &bins }).map_err(write_error)
}
