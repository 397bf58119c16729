//! The roles whose keys are not on the machine: root, `targets`, `bins`. What they say at the start, and how each
//! planned or forced change of keys rewrites them. Everything here makes bodies; people sign them (`crate::event`).

use std::collections::{BTreeMap, BTreeSet};

use super::body::Body;
use super::{BINS, Bins, WriteError};
use crate::delegation::{DelegatedRole, DelegatedTo, Delegations, Paths};
use crate::json::{Object, Value};
use crate::keys::PublicKey;
use crate::role::{Role, RoleKeys, Root, Targets, Top};
use crate::signed::Signed;
use crate::time::Time;

/// What is read of an offline role that we wrote ourselves: `bins` in classic shape takes 3 MB at 16,384.
const OFFLINE_BYTES_MAX: usize = 256 << 20;

/// Who holds a role's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders {
    /// Their public keys.
    pub keys: Vec<PublicKey>,
    /// How many must sign.
    pub threshold: u64,
}

impl Holders {
    pub(crate) fn role_keys(&self) -> RoleKeys {
        RoleKeys::new(self.keys.iter().map(PublicKey::keyid).collect(), self.threshold)
    }

    pub(crate) fn by_keyid(&self) -> BTreeMap<String, PublicKey> {
        self.keys.iter().map(|key| (key.keyid(), key.clone())).collect()
    }
}

impl Root {
    /// Gives a role to other holders. Keys that no role names any more are dropped.
    pub fn set_holders(&mut self, top: Top, holders: &Holders) {
        self.roles.insert(top, holders.role_keys());
        self.keys.extend(holders.by_keyid());
        let roles = &self.roles;
        self.keys.retain(|keyid, _| roles.values().any(|role| role.keyids.contains(keyid)));
    }

    /// The body of this root.
    pub fn body(&self, issued: Time) -> Body {
        body(Top::Root.name(), self.version, issued, self.expires, &self.to_value())
    }
}

fn body(role: &str, version: u64, issued: Time, expires: Time, signed: &Value) -> Body {
    Body { role: role.to_owned(), version, issued, expires, canonical: signed.to_canonical() }
}

fn targets_body(name: &str, targets: &Targets, issued: Time) -> Body {
    body(name, targets.version, issued, targets.expires, &targets.to_value())
}

/// `targets` delegates everything to `bins`. By hash prefixes, as a pattern covers paths of one depth only; not
/// terminating, so that delegations to developers can come before it.
pub(crate) fn to_bins(holders: &Holders) -> Delegations {
    let prefixes = "0123456789abcdef".chars().map(String::from).collect();
    let role = DelegatedRole {
        name: BINS.to_owned(),
        keys: holders.role_keys(),
        terminating: false,
        paths: Paths::HashPrefixes(prefixes),
    };
    Delegations { keys: holders.by_keyid(), to: DelegatedTo::Roles(vec![role]), extra: Object::new() }
}

pub(crate) fn delegating(version: u64, expires: Time, delegations: Delegations) -> Targets {
    let (targets, extra) = (BTreeMap::new(), Object::new());
    Targets { version, expires, targets, delegations: Some(delegations), extra }
}

/// A repository at its founding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// Holders of the root.
    pub root: Holders,
    /// Holders of `targets`.
    pub targets: Holders,
    /// Holders of `bins`.
    pub bins: Holders,
    /// The online snapshot key; with a standby, two of which one must sign.
    pub snapshot: Holders,
    /// The online timestamp key.
    pub timestamp: Holders,
    /// The online key of every bin.
    pub bin: Holders,
    /// The bins.
    pub shape: Bins,
    /// Now.
    pub issued: Time,
    /// When the three offline roles expire.
    pub expires: Time,
}

/// The bodies of the three offline roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bodies {
    /// Root.
    pub root: Body,
    /// `targets`.
    pub targets: Body,
    /// `bins`.
    pub bins: Body,
}

impl Founding {
    /// Version 1 of root, `targets` and `bins`.
    pub fn bodies(&self) -> Bodies {
        let Self { root, targets, bins, snapshot, timestamp, bin, shape, issued, expires } = self;
        let mut first = Root {
            version: 1,
            expires: *expires,
            consistent_snapshot: true,
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
            other_roles: Object::new(),
            extra: Object::new(),
        };
        let holders =
            [(Top::Root, root), (Top::Targets, targets), (Top::Snapshot, snapshot), (Top::Timestamp, timestamp)];
        for (top, holders) in holders {
            first.set_holders(top, holders);
        }
        let top = delegating(1, *expires, to_bins(bins));
        let all = delegating(1, *expires, shape.delegations(bin.by_keyid(), &bin.role_keys()));
        Bodies {
            root: first.body(*issued),
            targets: targets_body(Top::Targets.name(), &top, *issued),
            bins: targets_body(BINS, &all, *issued),
        }
    }
}

/// The offline roles in force: read from their files, and verified against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    pub(crate) root: Root,
    pub(crate) targets: Targets,
    pub(crate) bins_role: Targets,
    pub(super) bins: Bins,
    /// Who signs for the bins.
    pub(super) bin_keys: RoleKeys,
}

fn read<R: Role>(bytes: &[u8], name: &str) -> Result<Signed<R>, WriteError> {
    Signed::parse(bytes, OFFLINE_BYTES_MAX).map_err(|why| WriteError::Format { role: name.to_owned(), why })
}

/// An id under which another key lies would be read as that other key, by people and by whoever compares ids. Clients do
/// not ask (`PublicKey::keyid`); of our own roles it must hold.
fn check_keyids(keys: &BTreeMap<String, PublicKey>, name: &str) -> Result<(), WriteError> {
    if keys.iter().any(|(keyid, key)| key.keyid() != *keyid) {
        return Err(WriteError::Offline { role: name.to_owned(), why: "holds a key under the id of another one" });
    }
    Ok(())
}

fn check<R: Role>(
    signed: &Signed<R>,
    keys: &BTreeMap<String, PublicKey>,
    role: Option<&RoleKeys>,
    name: &str,
) -> Result<(), WriteError> {
    let Some(role) = role else {
        return Err(WriteError::Offline { role: name.to_owned(), why: "nobody delegates to it" });
    };
    signed.verify(keys, role).map_err(|why| WriteError::NotSigned { role: name.to_owned(), why })
}

impl Offline {
    /// From the files of root, `targets` and `bins`.
    pub fn read(root: &[u8], targets: &[u8], bins: &[u8]) -> Result<Self, WriteError> {
        let (root_signed, targets_name) = (read::<Root>(root, "root")?, Top::Targets.name());
        let root = &root_signed.role;
        check_keyids(&root.keys, "root")?;
        check(&root_signed, &root.keys, root.roles.get(&Top::Root), "root")?;
        if !root.consistent_snapshot {
            return Err(WriteError::Offline { role: "root".to_owned(), why: "has no consistent snapshots" });
        }
        let targets_signed = read::<Targets>(targets, targets_name)?;
        check(&targets_signed, &root.keys, root.roles.get(&Top::Targets), targets_name)?;
        let lacking = |role: &str, why| WriteError::Offline { role: role.to_owned(), why };
        let delegations = targets_signed.role.delegations.as_ref();
        let delegations = delegations.ok_or_else(|| lacking(targets_name, "delegates to nobody"))?;
        check_keyids(&delegations.keys, targets_name)?;
        let bins_signed = read::<Targets>(bins, BINS)?;
        check(&bins_signed, &delegations.keys, delegations.keys_of(BINS), BINS)?;
        let read = bins_signed.role.delegations.as_ref().and_then(Bins::read);
        let (bins, bin_keys) = read.ok_or_else(|| lacking(BINS, "delegates to no bins of ours"))?;
        check_keyids(&bins_signed.role.delegations.as_ref().map(|all| all.keys.clone()).unwrap_or_default(), BINS)?;
        let (targets, bins_role) = (targets_signed.role, bins_signed.role);
        Ok(Self { root: root_signed.role, targets, bins_role, bins, bin_keys })
    }

    /// The root in force.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The bins in force.
    pub fn bins(&self) -> &Bins {
        &self.bins
    }

    /// The versions of `targets` and `bins`.
    pub fn versions(&self) -> (u64, u64) {
        (self.targets.version, self.bins_role.version)
    }

    /// Who holds root, `targets` and `bins`, with their keys.
    pub fn holders(&self) -> [Holders; 3] {
        let nobody = RoleKeys::new(Vec::new(), 1);
        let of = |keys: &BTreeMap<String, PublicKey>, role: Option<&RoleKeys>| {
            let role = role.unwrap_or(&nobody);
            let keys = role.keyids.iter().filter_map(|keyid| keys.get(keyid).cloned()).collect();
            Holders { keys, threshold: role.threshold }
        };
        let (root, delegations) = (&self.root, self.targets.delegations.as_ref());
        let bins = delegations.map(|all| of(&all.keys, all.keys_of(BINS)));
        [
            of(&root.keys, root.roles.get(&Top::Root)),
            of(&root.keys, root.roles.get(&Top::Targets)),
            bins.unwrap_or_else(|| of(&root.keys, None)),
        ]
    }

    /// Keys that sign by themselves: timestamp, snapshot and bins.
    pub fn online_keyids(&self) -> BTreeSet<String> {
        let tops = [Top::Timestamp, Top::Snapshot].into_iter().filter_map(|top| self.root.roles.get(&top));
        tops.chain([&self.bin_keys]).flat_map(|role| role.keyids.iter().cloned()).collect()
    }

    /// The same as keys.
    pub fn online_keys(&self) -> Vec<PublicKey> {
        let bins = self.bins_role.delegations.as_ref().map(|delegations| &delegations.keys);
        let find =
            |keyid: &String| self.root.keys.get(keyid).or_else(|| bins.and_then(|keys| keys.get(keyid))).cloned();
        self.online_keyids().iter().filter_map(find).collect()
    }

    /// Who signs `bins`.
    pub fn holders_of_bins(&self) -> Option<&RoleKeys> {
        self.targets.delegations.as_ref().and_then(|delegations| delegations.keys_of(BINS))
    }

    /// Who signs for the bins.
    pub fn bin_keys(&self) -> &RoleKeys {
        &self.bin_keys
    }

    /// When root, `targets` and `bins` expire, for whoever must raise the alarm in time.
    pub fn expiries(&self) -> [(&'static str, Time); 3] {
        [
            (Top::Root.name(), self.root.expires),
            (Top::Targets.name(), self.targets.expires),
            (BINS, self.bins_role.expires),
        ]
    }

    fn next_root(&self, expires: Time) -> Root {
        Root { version: self.root.version + 1, expires, ..self.root.clone() }
    }

    fn next_targets(&self, expires: Time) -> Targets {
        Targets { version: self.targets.version + 1, expires, ..self.targets.clone() }
    }

    fn next_bins(&self, expires: Time, bins: &Bins, keys: BTreeMap<String, PublicKey>, role: &RoleKeys) -> Targets {
        let delegations = Some(bins.delegations(keys, role));
        Targets { version: self.bins_role.version + 1, expires, delegations, ..self.bins_role.clone() }
    }

    fn bin_key_map(&self) -> BTreeMap<String, PublicKey> {
        self.bins_role.delegations.as_ref().map(|all| all.keys.clone()).unwrap_or_default()
    }

    /// The same again, with a later expiry: what must be signed once a year.
    pub fn renew(&self, issued: Time, expires: Time) -> Renewal {
        let bins = self.next_bins(expires, &self.bins, self.bin_key_map(), &self.bin_keys);
        Renewal {
            root: Some(self.next_root(expires).body(issued)),
            targets: Some(targets_body(Top::Targets.name(), &self.next_targets(expires), issued)),
            bins: Some(targets_body(BINS, &bins, issued)),
        }
    }

    /// Other holders of the root. The old and the new ones must sign it.
    pub fn rotate_root(&self, root: &Holders, issued: Time, expires: Time) -> Renewal {
        let mut next = self.next_root(expires);
        next.set_holders(Top::Root, root);
        Renewal { root: Some(next.body(issued)), ..Renewal::default() }
    }

    /// Other online keys for timestamp, snapshot and bins: a new root and a new `bins`. With two keys of which one must
    /// sign, the second is a standby. After it every bin must be signed again, unless all old keys are still among
    /// them; where one is not, clients drop their timestamp and snapshot, so an attacker's high versions do no harm.
    pub fn rotate_online(&self, online: &Holders, issued: Time, expires: Time) -> Renewal {
        let bins = self.next_bins(expires, &self.bins, online.by_keyid(), &online.role_keys());
        Renewal {
            root: Some(self.online_root(online, expires).body(issued)),
            targets: None,
            bins: Some(targets_body(BINS, &bins, issued)),
        }
    }

    fn online_root(&self, online: &Holders, expires: Time) -> Root {
        let mut next = self.next_root(expires);
        next.set_holders(Top::Timestamp, online);
        next.set_holders(Top::Snapshot, online);
        next
    }

    /// Another number or shape of bins. A snapshot must go on listing every role that it listed, unless the snapshot
    /// key changes: so timestamp and snapshot get another key (`online`) under a new root, and no client sees a
    /// rollback. The bins keep their key. Their names are new ones.
    pub fn rebin(
        &self,
        shape: super::Shape,
        bits: u32,
        online: &Holders,
        issued: Time,
        expires: Time,
    ) -> Result<Renewal, WriteError> {
        let same = |top| {
            self.root
                .roles
                .get(&top)
                .is_some_and(|old| online.role_keys().keyids.iter().any(|id| old.keyids.contains(id)))
        };
        if same(Top::Timestamp) || same(Top::Snapshot) {
            return Err(WriteError::Offline {
                role: "root".to_owned(),
                why: "a rebin needs another snapshot and timestamp key",
            });
        }
        let bins = Bins::new(shape, bits, self.bins.generation() + 1)?;
        let next = self.next_bins(expires, &bins, self.bin_key_map(), &self.bin_keys);
        Ok(Renewal {
            root: Some(self.online_root(online, expires).body(issued)),
            targets: None,
            bins: Some(targets_body(BINS, &next, issued)),
        })
    }

    /// After a compromise, PEP 458's first two steps: a root that revokes the keys of timestamp, snapshot and
    /// `targets`, a `targets` that revokes those of `bins`, and a `bins` that revokes those of the bins. `root` are new
    /// holders of the root, if those were compromised too (below their threshold: else only a new first root helps).
    /// Steps three to five are [`super::Repository::adopt`], which makes the versions jump, every bin signed again from
    /// rows that somebody compared with the last good snapshot, and a commit.
    pub fn recover(&self, holders: &Recovery, issued: Time, expires: Time) -> Renewal {
        let Recovery { root, targets, bins, online, jump } = holders;
        let mut next_root = self.online_root(online, expires);
        next_root.set_holders(Top::Targets, targets);
        if let Some(root) = root {
            next_root.set_holders(Top::Root, root);
        }
        let next_targets = Targets { delegations: Some(to_bins(bins)), ..self.next_targets(expires) };
        let mut next_bins = self.next_bins(expires, &self.bins, online.by_keyid(), &online.role_keys());
        next_bins.version = next_bins.version.saturating_add(*jump);
        Renewal {
            root: Some(next_root.body(issued)),
            targets: Some(targets_body(Top::Targets.name(), &next_targets, issued)),
            bins: Some(targets_body(BINS, &next_bins, issued)),
        }
    }
}

/// Who holds the keys after a compromise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Of the root, if it changes.
    pub root: Option<Holders>,
    /// Of `targets`.
    pub targets: Holders,
    /// Of `bins`.
    pub bins: Holders,
    /// Of timestamp, snapshot and every bin.
    pub online: Holders,
    /// How many versions are left out, beyond what a thief of the online key may have signed; 0 if nobody stole it.
    pub jump: u64,
}

/// Offline roles that are to be signed anew; those that are absent stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renewal {
    /// Root.
    pub root: Option<Body>,
    /// `targets`.
    pub targets: Option<Body>,
    /// `bins`.
    pub bins: Option<Body>,
}
