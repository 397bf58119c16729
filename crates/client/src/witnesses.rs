//! Which witnesses must have seen the index's log: others who only cosign a log that grew (C2SP tlog-cosignature). Whoever
//! has the index's keys can show two people two logs; not, if each of them asks for the word of somebody who saw one.

use std::collections::BTreeSet;

use tlog::note::{KeyKind, KeyName, NOTE_BYTES_MAX};
use tlog::proof;
use tlog::{Policy, VerifierKey};
use tuf::Time;

use crate::log::{Bound, Tiles, bad};
use crate::refusal::Refusal;
use crate::verified::AHEAD_MAX_S;

/// Witnesses that can be named; a checkpoint holds no more signatures.
const WITNESSES_MAX: usize = 32;
/// The oldest word of a witness that counts, in seconds. Our servers ask for a new one every ten minutes, and at once when
/// the log grew: what came after it is seen by nobody yet, and may be what only this client is shown.
pub const WORD_AGE_MAX_S: u64 = 1_800;

/// Which witnesses are believed, and how many of them must have seen the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witnesses {
    keys: Vec<VerifierKey>,
    required: usize,
}

/// A witness's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Whose.
    pub witness: KeyName,
    /// Entries of the log that it saw.
    pub size: u64,
    /// When, in seconds since 1970.
    pub seconds: u64,
}

impl std::str::FromStr for Witnesses {
    type Err = String;

    /// `off`, or `2:KEY,KEY,KEY`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::default());
        }
        let (required, keys) = text.split_once(':').ok_or("write off, or NUMBER:KEY,KEY")?;
        let required: usize = required.parse().map_err(|_| format!("'{required}' is no number of witnesses"))?;
        let key = |text: &str| {
            let key = VerifierKey::parse(text.trim()).map_err(|error| format!("'{text}': {error}"))?;
            if key.kind() == KeyKind::Cosigner {
                Ok(key)
            } else {
                Err(format!("'{text}' is a log's key, no witness's"))
            }
        };
        let keys = keys.split(',').map(key).collect::<Result<Vec<_>, _>>()?;
        let distinct: BTreeSet<_> = keys.iter().map(VerifierKey::public).collect();
        let names: BTreeSet<_> = keys.iter().map(VerifierKey::name).collect();
        if distinct.len() != keys.len() || names.len() != keys.len() {
            return Err("a witness is named twice".to_owned());
        }
        if !(1..=keys.len()).contains(&required) || keys.len() > WITNESSES_MAX {
            return Err(format!(
                "ask for 1 to {} of the {} witnesses; {WITNESSES_MAX} are the most",
                keys.len(),
                keys.len()
            ));
        }
        Ok(Self { keys, required })
    }
}

impl Witnesses {
    /// Whether nobody is asked.
    pub fn is_off(&self) -> bool {
        self.required == 0
    }

    /// How many of them are among these.
    fn among(&self, known: &[String]) -> usize {
        self.keys.iter().filter(|key| known.iter().any(|one| *one == key.to_string())).count()
    }

    /// Whether enough of them had seen a tree when it was fetched.
    pub(crate) fn had_seen(&self, known: &[String]) -> Result<(), Refusal> {
        let found = self.among(known);
        if found >= self.required { Ok(()) } else { Err(self.too_few(found, "when the log was fetched")) }
    }

    fn too_few(&self, found: usize, when: &str) -> Refusal {
        let Self { keys, required } = self;
        Refusal::unwitnessed(format!(
            "refused: {found} of {} witnesses had seen the log {when}, and {required} are asked for (--witnesses)",
            keys.len()
        ))
    }

    /// What the known witnesses say of the log, and the tree that they saw, which is proven to be of one past with the one that
    /// the timestamp names.
    pub(crate) async fn sightings(&self, tiles: &Tiles, bound: &Bound) -> Result<Vec<Sighting>, Refusal> {
        let Some(note) = tiles.small("witnessed", NOTE_BYTES_MAX).await? else { return Ok(Vec::new()) };
        let policy = Policy {
            origin: bound.origin().clone(),
            log: vec![bound.key().clone()],
            witnesses: self.keys.clone(),
            quorum: 0,
        };
        let opened = policy.open(&note).map_err(|error| bad(&error))?;
        let (seen, now) = (opened.checkpoint.head(), bound.head());
        let (old, new) = if seen.size <= now.size { (seen, now) } else { (now, seen) };
        let proof = match old.size {
            0 => Vec::new(),
            size if size == new.size => Vec::new(),
            size => tiles.consistency(size, new.size).await?,
        };
        proof::verify_consistency(&old, &new, &proof).map_err(|error| bad(&error))?;
        let said = opened.witnessed.into_iter();
        Ok(said.map(|(witness, seconds)| Sighting { witness, size: seen.size, seconds }).collect())
    }

    /// Makes sure that enough of them have seen the log a short while ago. Returns the keys of those that have, and the size
    /// of the tree that they saw.
    pub(crate) async fn have_seen(
        &self,
        tiles: &Tiles,
        bound: &Bound,
        now: Time,
    ) -> Result<(Vec<String>, u64), Refusal> {
        let now = u64::try_from(now.seconds()).unwrap_or(0);
        // A word that is dated ahead would count for longer than it may.
        let counts = now.saturating_sub(WORD_AGE_MAX_S)..=now.saturating_add(AHEAD_MAX_S.unsigned_abs());
        let mut sightings = self.sightings(tiles, bound).await?;
        sightings.retain(|sighting| counts.contains(&sighting.seconds));
        let recent: BTreeSet<&KeyName> = sightings.iter().map(|sighting| &sighting.witness).collect();
        let keys: Vec<String> =
            self.keys.iter().filter(|key| recent.contains(key.name())).map(VerifierKey::to_string).collect();
        if keys.len() < self.required {
            return Err(self.too_few(keys.len(), "within the last half hour"));
        }
        // They stand under one note, so they saw one tree.
        Ok((keys, sightings.first().map_or(0, |sighting| sighting.size)))
    }
}
