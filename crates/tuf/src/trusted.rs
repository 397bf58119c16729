//! What a client trusts, and how it comes to trust more: the client workflow of the TUF specification §5, without a
//! transport. The caller fetches and stores; this decides.
//!
//! Order: [`TrustedSet::new`] with the root that came with the client, [`TrustedSet::update_root`] with each next
//! version until there is none, [`TrustedSet::finish_root`], a timestamp, a snapshot, and then
//! [`Lookup`](crate::lookup::Lookup) for each path. Stored files are offered first, through the `load` functions: they
//! may be expired or outdated, and then still guard against a rollback.

use std::collections::{BTreeMap, BTreeSet};

use crate::fields::FormatError;
use crate::keys::PublicKey;
use crate::role::{Meta, Role, RoleKeys, Root, Snapshot, Targets, Timestamp, Top};
use crate::signed::{NotSigned, Signed};
use crate::time::Time;

/// What a client reads at most, in bytes, and how far it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of a root file.
    pub root_bytes_max: usize,
    /// Of a timestamp file.
    pub timestamp_bytes_max: usize,
    /// Of a snapshot file, where the timestamp does not say its length: 65,536 bins take 2.3 MB.
    pub snapshot_bytes_max: usize,
    /// Of a targets file, where the snapshot does not say its length: 16,384 classic bins take 3 MB.
    pub targets_bytes_max: usize,
    /// How many roots are followed in one update.
    pub root_rotations_max: u64,
    /// How many roles are asked for one path.
    pub lookup_roles_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root_bytes_max: 512 << 10,
            timestamp_bytes_max: 16 << 10,
            snapshot_bytes_max: 4 << 20,
            targets_bytes_max: 8 << 20,
            root_rotations_max: 256,
            lookup_roles_max: 32,
        }
    }
}

/// Why something is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{role}: {why}")]
pub struct Refused {
    /// Which role.
    pub role: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Not signed by those who may.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// Another version than was asked for.
    #[error("is version {found} where {wanted} belongs")]
    Version {
        /// What it says.
        found: u64,
        /// What it should say.
        wanted: u64,
    },
    /// Older than what was trusted before.
    #[error("{what} goes back from version {trusted} to {found}")]
    Rollback {
        /// Of what role the version is.
        what: String,
        /// What was trusted.
        trusted: u64,
        /// What it says.
        found: u64,
    },
    /// A role that was listed is no longer.
    #[error("no longer lists {0}")]
    Unlisted(String),
    /// Length or digests differ from what the role above says.
    #[error("is not the file that was signed for: its length or digest differs")]
    Mismatch,
    /// Too old.
    #[error("expired at {0}")]
    Expired(Time),
    /// Nobody delegated to it.
    #[error("nobody delegates to it")]
    NotDelegated,
    /// The snapshot does not name it.
    #[error("the snapshot does not list it")]
    NotInSnapshot,
    /// Something that must be trusted first is not.
    #[error("{0} comes first")]
    OutOfOrder(&'static str),
    /// The search for a path went on for too long.
    #[error("a path is delegated over more than {0} roles")]
    TooManyRoles(usize),
}

pub(crate) fn refuse<T>(role: &str, why: impl Into<Why>) -> Result<T, Refused> {
    Err(Refused { role: role.to_owned(), why: why.into() })
}

/// What a new root means for stored files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Nothing.
    None,
    /// A timestamp or snapshot key was taken away: the stored timestamp and snapshot are to be deleted, so that versions
    /// may start anew (§5.3.11, recovery from a fast-forward attack).
    Online,
}

/// What came of a new timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamped {
    /// It is the trusted one now, and to be stored.
    Newer,
    /// Of the version that is trusted already, which stays; not to be stored.
    Same,
}

#[derive(Debug, Clone)]
struct Verified {
    signed: Signed<Targets>,
    /// By whose keys it was verified: another delegator may name others.
    delegators: BTreeSet<String>,
}

/// What is trusted now.
#[derive(Debug, Clone)]
pub struct TrustedSet {
    now: Time,
    limits: Limits,
    root: Root,
    root_is_final: bool,
    timestamp: Option<Timestamp>,
    snapshot: Option<Snapshot>,
    snapshot_is_final: bool,
    targets: BTreeMap<String, Verified>,
}

fn parse<R: Role>(bytes: &[u8], bytes_max: usize, name: &str) -> Result<Signed<R>, Refused> {
    Signed::parse(bytes, bytes_max).or_else(|error| refuse(name, error))
}

fn by<R: Role>(
    signed: &Signed<R>,
    keys: &BTreeMap<String, PublicKey>,
    role: &RoleKeys,
    name: &str,
) -> Result<(), Refused> {
    signed.verify(keys, role).or_else(|error| refuse(name, error))
}

impl TrustedSet {
    /// Starts from a root that came by a way that is trusted. It may be expired, as long as a later one is not. `now` is
    /// fixed for the whole update (§5.1).
    pub fn new(root: &[u8], now: Time, limits: Limits) -> Result<Self, Refused> {
        let signed: Signed<Root> = parse(root, limits.root_bytes_max, "root")?;
        let keys = signed.role.role(Top::Root).or_else(|error| refuse("root", error))?;
        by(&signed, &signed.role.keys, keys, "root")?;
        Ok(Self {
            now,
            limits,
            root: signed.role,
            root_is_final: false,
            timestamp: None,
            snapshot: None,
            snapshot_is_final: false,
            targets: BTreeMap::new(),
        })
    }

    /// The limits that hold.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The trusted root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The trusted timestamp.
    pub fn timestamp(&self) -> Option<&Timestamp> {
        self.timestamp.as_ref()
    }

    /// The trusted snapshot, once it is the one that the timestamp names.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref().filter(|_| self.snapshot_is_final)
    }

    /// A targets role that was verified for one of its delegators at least.
    pub fn targets(&self, name: &str) -> Option<&Targets> {
        self.targets.get(name).map(|verified| &verified.signed.role)
    }

    /// The next root: signed by the old and by the new root keys, one version on (§5.3.4, §5.3.5). It may be expired.
    pub fn update_root(&mut self, bytes: &[u8]) -> Result<Rotation, Refused> {
        if self.root_is_final {
            return refuse("root", Why::OutOfOrder("a root"));
        }
        let signed: Signed<Root> = parse(bytes, self.limits.root_bytes_max, "root")?;
        let old = self.root.role(Top::Root).or_else(|error| refuse("root", error))?;
        let new = signed.role.role(Top::Root).or_else(|error| refuse("root", error))?;
        by(&signed, &self.root.keys, old, "root")?;
        by(&signed, &signed.role.keys, new, "root")?;
        let wanted = self.root.version.saturating_add(1);
        if signed.role.version != wanted {
            return refuse("root", Why::Version { found: signed.role.version, wanted });
        }
        let is_online = [Top::Timestamp, Top::Snapshot].iter().any(|top| lost_a_key(&self.root, &signed.role, *top));
        self.root = signed.role;
        Ok(if is_online { Rotation::Online } else { Rotation::None })
    }

    /// No further root: the last one must not be expired (§5.3.10).
    pub fn finish_root(&mut self) -> Result<(), Refused> {
        self.fresh("root", self.root.expires)?;
        self.root_is_final = true;
        Ok(())
    }

    fn fresh(&self, role: &str, expires: Time) -> Result<(), Refused> {
        if expires <= self.now {
            return refuse(role, Why::Expired(expires));
        }
        Ok(())
    }

    fn top_keys(&self, top: Top) -> Result<&RoleKeys, Refused> {
        if !self.root_is_final {
            return refuse(top.name(), Why::OutOfOrder("the root"));
        }
        self.root.role(top).or_else(|error| refuse(top.name(), error))
    }

    /// The stored timestamp: it may be expired, and then only says how far back a new one must not go.
    pub fn load_timestamp(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let signed: Signed<Timestamp> = parse(bytes, self.limits.timestamp_bytes_max, "timestamp")?;
        by(&signed, &self.root.keys, self.top_keys(Top::Timestamp)?, "timestamp")?;
        self.timestamp = Some(signed.role);
        Ok(())
    }

    /// A fetched timestamp (§5.4).
    pub fn update_timestamp(&mut self, bytes: &[u8]) -> Result<Timestamped, Refused> {
        if self.snapshot.is_some() {
            return refuse("timestamp", Why::OutOfOrder("a timestamp"));
        }
        let signed: Signed<Timestamp> = parse(bytes, self.limits.timestamp_bytes_max, "timestamp")?;
        by(&signed, &self.root.keys, self.top_keys(Top::Timestamp)?, "timestamp")?;
        let new = signed.role;
        if let Some(trusted) = &self.timestamp {
            not_back("timestamp", "timestamp", trusted.version, new.version)?;
            if trusted.version == new.version {
                // Whatever else it says (§5.4.3.1).
                return self.fresh("timestamp", trusted.expires).map(|()| Timestamped::Same);
            }
            not_back("timestamp", "snapshot", trusted.snapshot.version, new.snapshot.version)?;
        }
        self.fresh("timestamp", new.expires)?;
        self.timestamp = Some(new);
        Ok(Timestamped::Newer)
    }

    /// Which snapshot to fetch, and how long it may be at most.
    pub fn wanted_snapshot(&self) -> Result<(&Meta, usize), Refused> {
        let Some(timestamp) = &self.timestamp else { return refuse("snapshot", Why::OutOfOrder("a timestamp")) };
        self.fresh("timestamp", timestamp.expires)?;
        Ok((&timestamp.snapshot, bytes_max(&timestamp.snapshot, self.limits.snapshot_bytes_max)))
    }

    /// The stored snapshot. True if it is the one that the timestamp names, so that none need be fetched; if not, it
    /// only says how far back a new one must not go.
    pub fn load_snapshot(&mut self, bytes: &[u8]) -> Result<bool, Refused> {
        let signed: Signed<Snapshot> = parse(bytes, self.limits.snapshot_bytes_max, "snapshot")?;
        by(&signed, &self.root.keys, self.top_keys(Top::Snapshot)?, "snapshot")?;
        let (meta, _) = self.wanted_snapshot()?;
        let is_named = meta.version == signed.role.version && meta.describes(bytes);
        self.snapshot_is_final = is_named && self.fresh("snapshot", signed.role.expires).is_ok();
        self.snapshot = Some(signed.role);
        Ok(self.snapshot_is_final)
    }

    /// A fetched snapshot (§5.5).
    pub fn update_snapshot(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let (meta, bytes_max) = self.wanted_snapshot()?;
        if !meta.describes(bytes) {
            return refuse("snapshot", Why::Mismatch);
        }
        let wanted = meta.version;
        let signed: Signed<Snapshot> = parse(bytes, bytes_max, "snapshot")?;
        by(&signed, &self.root.keys, self.top_keys(Top::Snapshot)?, "snapshot")?;
        let new = signed.role;
        if new.version != wanted {
            return refuse("snapshot", Why::Version { found: new.version, wanted });
        }
        if let Some(trusted) = &self.snapshot {
            // Bytes of a name that was trusted with a version must not change under it, nor may it go back.
            not_back("snapshot", "snapshot", trusted.version, new.version)?;
            for (name, old) in &trusted.meta {
                match new.meta.get(name) {
                    None => return refuse("snapshot", Why::Unlisted(name.clone())),
                    Some(meta) => not_back("snapshot", name, old.version, meta.version)?,
                }
            }
        }
        self.fresh("snapshot", new.expires)?;
        (self.snapshot, self.snapshot_is_final) = (Some(new), true);
        Ok(())
    }

    /// Which version of a targets role to fetch, and how long it may be at most.
    pub fn wanted_targets(&self, name: &str) -> Result<(&Meta, usize), Refused> {
        let Some(snapshot) = self.snapshot() else { return refuse(name, Why::OutOfOrder("the snapshot")) };
        let Some(meta) = snapshot.meta.get(name) else { return refuse(name, Why::NotInSnapshot) };
        Ok((meta, bytes_max(meta, self.limits.targets_bytes_max)))
    }

    /// A targets role, fetched or stored, as this delegator (`root` for `targets`) delegates to it (§5.6).
    pub fn update_targets(&mut self, name: &str, delegator: &str, bytes: &[u8]) -> Result<(), Refused> {
        let (meta, bytes_max) = self.wanted_targets(name)?;
        if !meta.describes(bytes) {
            return refuse(name, Why::Mismatch);
        }
        let wanted = meta.version;
        let signed: Signed<Targets> = parse(bytes, bytes_max, name)?;
        self.verify_targets(&signed, name, delegator)?;
        if signed.role.version != wanted {
            return refuse(name, Why::Version { found: signed.role.version, wanted });
        }
        self.fresh(name, signed.role.expires)?;
        let delegators = BTreeSet::from([delegator.to_owned()]);
        self.targets.insert(name.to_owned(), Verified { signed, delegators });
        Ok(())
    }

    fn verify_targets(&self, signed: &Signed<Targets>, name: &str, delegator: &str) -> Result<(), Refused> {
        if delegator == Top::Root.name() {
            if name != Top::Targets.name() {
                return refuse(name, Why::NotDelegated);
            }
            return by(signed, &self.root.keys, self.top_keys(Top::Targets)?, name);
        }
        let delegations = self.targets(delegator).and_then(|targets| targets.delegations.as_ref());
        let Some((delegations, keys)) = delegations.and_then(|all| Some((all, all.keys_of(name)?))) else {
            return refuse(name, Why::NotDelegated);
        };
        by(signed, &delegations.keys, keys, name)
    }

    /// Whether a targets role is trusted on this delegator's word. What another's word brought is verified again.
    pub(crate) fn is_trusted_by(&mut self, name: &str, delegator: &str) -> Result<bool, Refused> {
        let Some(verified) = self.targets.get(name) else { return Ok(false) };
        if !verified.delegators.contains(delegator) {
            self.verify_targets(&verified.signed, name, delegator)?;
            if let Some(verified) = self.targets.get_mut(name) {
                verified.delegators.insert(delegator.to_owned());
            }
        }
        Ok(true)
    }
}

fn bytes_max(meta: &Meta, limit: usize) -> usize {
    // A length that was signed for is no licence to fill memory.
    meta.length.and_then(|length| usize::try_from(length).ok()).map_or(limit, |length| length.min(limit))
}

fn not_back(role: &str, what: &str, trusted: u64, found: u64) -> Result<(), Refused> {
    if found < trusted {
        return refuse(role, Why::Rollback { what: what.to_owned(), trusted, found });
    }
    Ok(())
}

fn lost_a_key(old: &Root, new: &Root, top: Top) -> bool {
    let keyids = |root: &Root| root.roles.get(&top).map(|keys| keys.keyids.clone()).unwrap_or_default();
    let new = keyids(new);
    keyids(old).iter().any(|keyid| !new.contains(keyid))
}
