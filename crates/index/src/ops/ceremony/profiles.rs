//! What each profile asks of those who hold the offline roles. A key is either a person's or the server's: whoever breaks
//! into the server must not find there what the roles above it are signed with.

use std::collections::BTreeSet;

use tuf::PublicKey;
use tuf::write::{Holders, Offline};

use super::Profile;
use crate::{Error, Result};

/// The offline roles, in the order of [`Offline::holders`].
const ROLES: [&str; 3] = ["root", "targets", "bins"];

/// Who holds root, `targets` and `bins` from then on, and which keys the server has.
pub(super) struct Parties<'a> {
    pub(super) profile: Profile,
    pub(super) holders: [&'a Holders; 3],
    /// Keys that sign by themselves, now and from then on.
    pub(super) online: &'a [PublicKey],
    /// Key ids of the data folder.
    pub(super) here: &'a BTreeSet<String>,
}

fn invalid(text: String) -> Error {
    Error::Invalid(text)
}

impl Parties<'_> {
    /// # Errors
    /// With what the profile asks for, and the first key that stands in two places.
    pub(super) fn fit(&self) -> Result<()> {
        let Self { profile, holders, online, here } = self;
        apart(*holders, online)?;
        match *profile {
            Profile::Dev => dev(*holders),
            Profile::Team => team(*holders).and_then(|()| away(*holders, here)),
            Profile::Pep458 => pep458(*holders).and_then(|()| away(*holders, here)),
        }
    }
}

/// Where people are named for what the profile dev keeps to itself.
pub(super) fn none_in_dev() -> Error {
    let text = "The keys of the profile dev are in the data folder, and new ones are made there: leave the holders away, or \
                hand over first (`tidewaiter tuf init --profile team`).";
    invalid(text.to_owned())
}

/// No key both holds an offline role and signs by itself.
pub(super) fn apart(holders: [&Holders; 3], online: &[PublicKey]) -> Result<()> {
    for (role, of) in ROLES.into_iter().zip(holders) {
        if let Some(key) = of.keys.iter().find(|key| online.iter().any(|one| one.is_same_key(key))) {
            return Err(invalid(format!(
                "The key {} is an online key, and cannot hold {role} too: whoever breaks into the server has it.",
                key.keyid()
            )));
        }
    }
    Ok(())
}

/// A key that is to sign by itself belongs to nobody.
pub(super) fn is_nobodys(key: &PublicKey, offline: &Offline) -> Result<()> {
    for (role, of) in ROLES.into_iter().zip(offline.holders()) {
        if of.keys.iter().any(|one| one.is_same_key(key)) {
            return Err(invalid(format!(
                "The key {} holds {role}, and cannot be an online key too: make another one for the standby.",
                key.keyid()
            )));
        }
    }
    Ok(())
}

/// People's keys lie with people.
fn away(holders: [&Holders; 3], here: &BTreeSet<String>) -> Result<()> {
    let found = holders.into_iter().flat_map(|of| &of.keys).find(|key| here.contains(&key.keyid()));
    found.map_or(Ok(()), |key| {
        Err(invalid(format!(
            "The key {} lies in the data folder, and cannot be a person's: each makes one on a machine of their own \
             (`tidewaiter tuf key`).",
            key.keyid()
        )))
    })
}

/// One key in the data folder for each role; it may be the same.
fn dev(holders: [&Holders; 3]) -> Result<()> {
    if holders.into_iter().all(|of| of.keys.len() == 1) {
        return Ok(());
    }
    Err(invalid(
        "The profile dev has one key for each offline role, in the data folder: several people are the profile team \
         (`tidewaiter tuf init --profile team`)."
            .to_owned(),
    ))
}

/// Nobody alone, and one may be lost.
fn team(holders: [&Holders; 3]) -> Result<()> {
    for (role, of) in ROLES.into_iter().zip(holders) {
        let (threshold, count) = (of.threshold, of.keys.len() as u64);
        if threshold < 2 || count <= threshold {
            return Err(invalid(format!(
                "The profile team wants two signatures at least, and one holder more than must sign, who may be lost: two \
                 of three for instance. For {role} these are {threshold} of {count} (--holder, --threshold)."
            )));
        }
    }
    Ok(())
}

/// Nobody alone, and the keys of `targets` and of `bins` are nobody else's (PEP 458, "Key management").
fn pep458(holders: [&Holders; 3]) -> Result<()> {
    let keys: Vec<&PublicKey> = holders.into_iter().flat_map(|of| &of.keys).collect();
    let is_shared = keys.iter().enumerate().any(|(at, key)| keys[..at].iter().any(|one| one.is_same_key(key)));
    if is_shared || holders.into_iter().any(|of| of.threshold < 2) {
        return Err(invalid(
            "The profile pep458 wants two signatures at least for root, targets and bins each, of keys that none of \
             them shares: see --targets-holder and --bins-holder."
                .to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tuf::Signer;
    use tuf::keys::Ed25519Signer;

    fn key(seed: u8) -> PublicKey {
        Ed25519Signer::from_seed(&[seed; 32]).expect("a key").public_key().clone()
    }

    fn holders(seeds: &[u8], threshold: u64) -> Holders {
        Holders { keys: seeds.iter().map(|seed| key(*seed)).collect(), threshold }
    }

    fn fit(profile: &str, all: [(&[u8], u64); 3], online: &[u8], here: &[u8]) -> std::result::Result<(), String> {
        let [root, targets, bins] = all.map(|(seeds, threshold)| holders(seeds, threshold));
        let online: Vec<PublicKey> = online.iter().map(|seed| key(*seed)).collect();
        let here = here.iter().map(|seed| key(*seed).keyid()).collect();
        let profile = profile.parse()?;
        let parties = Parties { profile, holders: [&root, &targets, &bins], online: &online, here: &here };
        parties.fit().map_err(|error| error.to_string())
    }

    #[test]
    fn each_profile_has_its_rules() {
        let same = |seeds: &'static [u8], threshold: u64| [(seeds, threshold); 3];
        let apart: [(&[u8], u64); 3] = [(&[1, 2], 2), (&[3, 4], 2), (&[5, 6], 2)];
        /// Profile, keys and threshold of each role, online keys, keys of the data folder, what is said.
        type Row<'a> = (&'a str, [(&'a [u8], u64); 3], &'a [u8], &'a [u8], Option<&'a str>);
        let table: [Row<'_>; 15] = [
            ("dev", same(&[1], 1), &[9], &[1, 9], None),
            ("dev", same(&[1, 2], 1), &[9], &[1, 9], Some("are the profile team")),
            ("dev", same(&[9], 1), &[9], &[9], Some("is an online key")),
            ("team", same(&[1, 2, 3], 2), &[9], &[9], None),
            ("team", same(&[1, 2, 3], 1), &[9], &[9], Some("1 of 3")),
            ("team", same(&[1, 2], 2), &[9], &[9], Some("2 of 2")),
            ("team", same(&[1, 2, 3], 2), &[3], &[3], Some("cannot hold root")),
            ("team", [(&[1, 2, 3], 2), (&[1, 2, 3], 2), (&[4, 5, 9], 2)], &[9], &[9], Some("cannot hold bins")),
            ("team", same(&[1, 2, 3], 2), &[9], &[2, 9], Some("lies in the data folder")),
            ("pep458", apart, &[9], &[9], None),
            ("pep458", same(&[1, 2, 3], 2), &[9], &[9], Some("none of them shares")),
            ("pep458", [(&[1, 2], 2), (&[3, 4], 2), (&[5, 6], 1)], &[9], &[9], Some("two signatures")),
            ("pep458", apart, &[4], &[4], Some("cannot hold targets")),
            ("pep458", apart, &[9], &[6, 9], Some("lies in the data folder")),
            ("home", apart, &[9], &[9], Some("no profile 'home'")),
        ];
        for (profile, all, online, here, wanted) in table {
            let said = fit(profile, all, online, here).err();
            match wanted {
                None => assert_eq!(said, None, "{profile} {all:?}"),
                Some(word) => {
                    assert!(said.as_ref().is_some_and(|text| text.contains(word)), "{profile} {all:?}: {said:?}")
                }
            }
        }
    }

    /// A key is what it verifies with, not how its file spells it.
    #[test]
    fn one_key_in_two_spellings_is_one_key() {
        let online = key(9);
        let twin = PublicKey { public: online.public.to_ascii_uppercase(), ..online.clone() };
        assert_ne!(twin.keyid(), online.keyid());
        let (people, none) = (Holders { keys: vec![key(1), key(2), twin], threshold: 2 }, BTreeSet::new());
        let parties = Parties { profile: Profile::Team, holders: [&people; 3], online: &[online], here: &none };
        assert!(parties.fit().is_err_and(|error| error.to_string().contains("is an online key")));
    }
}
