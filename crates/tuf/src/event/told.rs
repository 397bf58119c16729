//! An offline role as it is told to the people who sign it: everything that it says. A file that says anything else is
//! refused, so nobody signs what no words are about.

use std::collections::BTreeMap;

use crate::delegation::DelegatedTo;
use crate::fields::{FormatError, content};
use crate::json::{Object, Value};
use crate::keys::PublicKey;
use crate::role::{Role, RoleKeys, Root, Targets, Top};
use crate::time::Time;
use crate::write::offline::{delegating, to_bins};
use crate::write::{BINS, Bins, Holders, Shape};

/// Keys of one role in an event: what people can still read.
pub const HOLDERS_MAX: usize = 64;

/// All that an offline role of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    role: String,
    pub(super) version: u64,
    pub(super) expires: Time,
    /// Who is trusted with what, in the order in which it is told.
    trusts: Vec<(String, Holders)>,
    /// The canonical form of a role that says this and nothing else.
    plain: Vec<u8>,
}

/// The keys of a role, each under its own id: whoever reads an id has read the key.
fn holders(name: &str, keys: &BTreeMap<String, PublicKey>, role: &RoleKeys) -> Result<Holders, FormatError> {
    let mut held: Vec<PublicKey> = Vec::new();
    for keyid in &role.keyids {
        let Some(key) = keys.get(keyid) else { return content(format!("{name} names a key that is not in the file")) };
        if key.keyid() != *keyid {
            return content(format!(
                "the key of {name} under the id {keyid:?} is another one: its id is {}",
                key.keyid()
            ));
        }
        if key.material().is_none() || !key.extra.is_empty() || !key.keyval_extra.is_empty() {
            return content(format!("the key {keyid} of {name} is of no kind that is known here"));
        }
        if held.iter().any(|other| other.is_same_key(key)) {
            return content(format!("{name} names one key in two spellings, such as {keyid}"));
        }
        held.push(key.clone());
    }
    if held.len() > HOLDERS_MAX {
        return content(format!("{name} has more than {HOLDERS_MAX} keys"));
    }
    if role.threshold > held.len() as u64 {
        return content(format!("{name} needs {} of {} keys, which nobody can give", role.threshold, held.len()));
    }
    Ok(Holders { keys: held, threshold: role.threshold })
}

fn bins_in_words(bins: &Bins) -> String {
    let shape = match bins.shape() {
        Shape::Classic => "classic",
        Shape::Succinct => "succinct",
    };
    format!("{} {shape} bins from {}", bins.count(), bins.name(0))
}

impl Told {
    /// What stood before, which others have signed: it is told, and need not be all of its file.
    pub(super) fn read(role: &str, signed: &Value) -> Result<Self, FormatError> {
        if role == Top::Root.name() { Self::of_root(signed) } else { Self::of_targets(role, signed) }
    }

    /// What is to be signed.
    pub(super) fn whole(role: &str, signed: &Value, canonical: &[u8]) -> Result<Self, FormatError> {
        let told = Self::read(role, signed)?;
        if told.plain != canonical {
            return content(format!("the file of {role} says something that it is not told in words"));
        }
        Ok(told)
    }

    fn of_root(signed: &Value) -> Result<Self, FormatError> {
        let Root { version, expires, keys, roles, .. } = Root::read(signed.clone())?;
        let mut plain = Root {
            version,
            expires,
            consistent_snapshot: true,
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
            other_roles: Object::new(),
            extra: Object::new(),
        };
        let mut trusts = Vec::new();
        for top in Top::ALL {
            let Some(role) = roles.get(&top) else { return content(format!("root names no keys for {}", top.name())) };
            let holders = holders(top.name(), &keys, role)?;
            plain.set_holders(top, &holders);
            trusts.push((top.name().to_owned(), holders));
        }
        let plain = plain.to_value().to_canonical();
        Ok(Self { role: Top::Root.name().to_owned(), version, expires, trusts, plain })
    }

    fn of_targets(role: &str, signed: &Value) -> Result<Self, FormatError> {
        let Targets { version, expires, delegations, .. } = Targets::read(signed.clone())?;
        let Some(all) = delegations else { return content(format!("{role} delegates to nobody")) };
        let (name, holders, plain) = if role == BINS {
            let Some((bins, keys)) = Bins::read(&all) else { return content("bins delegates to no bins of ours") };
            let name = bins_in_words(&bins);
            let holders = holders(&name, &all.keys, &keys)?;
            let plain = bins.delegations(holders.by_keyid(), &holders.role_keys());
            (name, holders, plain)
        } else {
            let DelegatedTo::Roles(roles) = &all.to else { return content("targets delegates to bins itself") };
            let [to] = &roles[..] else { return content("targets delegates to others than the role bins") };
            let holders = holders(BINS, &all.keys, &to.keys)?;
            let plain = to_bins(&holders);
            (BINS.to_owned(), holders, plain)
        };
        let plain = delegating(version, expires, plain).to_value().to_canonical();
        Ok(Self { role: role.to_owned(), version, expires, trusts: vec![(name, holders)], plain })
    }

    /// Everything that the role says, a line each, and how it differs from what stood before.
    pub(super) fn words(&self, old: Option<&Self>, out: &mut Vec<String>) {
        let Self { role, version, expires, trusts, plain: _ } = self;
        let was = old.map_or("new".to_owned(), |old| format!("was version {}", old.version));
        out.push(format!("{role} becomes version {version} ({was}), good until {expires}"));
        let jump = old.map_or(0, |old| version.saturating_sub(old.version).saturating_sub(1));
        if role == BINS && jump > 0 {
            out.push(format!("{role}: the versions of every bin, snapshot and timestamp leave out {jump}"));
        }
        let trusted = |name: &str| {
            let found = old.and_then(|old| old.trusts.iter().find(|(one, _)| one == name));
            found.map(|(_, holders)| holders)
        };
        let has = |holders: &Holders, key: &PublicKey| holders.keys.iter().any(|one| one.keyid() == key.keyid());
        for (name, holders) in trusts {
            let before = trusted(name);
            let changed = match before {
                Some(before) if before.threshold != holders.threshold => format!(" (before: {})", before.threshold),
                Some(_) | None => String::new(),
            };
            out.push(format!("{role}: {name} needs {} of {} keys{changed}", holders.threshold, holders.keys.len()));
            for key in &holders.keys {
                let verb = if before.is_some_and(|before| has(before, key)) { "keeps" } else { "gets" };
                out.push(format!("{role}: {name} {verb} the key {}", key.keyid()));
            }
            let lost = before.into_iter().flat_map(|before| &before.keys).filter(|key| !has(holders, key));
            out.extend(lost.map(|key| format!("{role}: {name} loses the key {}", key.keyid())));
        }
        let gone = old.into_iter().flat_map(|old| &old.trusts);
        for (name, _) in gone.filter(|(name, _)| !trusts.iter().any(|(one, _)| one == name)) {
            out.push(format!("{role}: {name} is no longer trusted"));
        }
    }
}
