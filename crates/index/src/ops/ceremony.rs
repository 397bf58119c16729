//! People's part of signing: who holds which key, what expires when, and changes of the offline roles. A change is an
//! event that its holders sign; the publisher takes it over once it has all its signatures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tuf::event::{Event, EventError};
use tuf::role::RoleKeys;
use tuf::write::{BINS, Holders, Recovery, Renewal};
use tuf::{PublicKey, Time};

use super::signing::{InForce, Pending, time};
use crate::model::IndexName;
use crate::store::indexes::IndexRow;
use crate::store::{audit, indexes, signing as rows};
use crate::{Error, Installation, Result, Shape};

/// How long people's signatures are good for, in days.
const OFFLINE_DAYS: i64 = 365;
/// Days before the end at which people are warned of an offline role.
const WARN_DAYS: i64 = 30;
/// Longest that a change waits for the publisher.
const ADOPTION_TIME_MAX: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400;

/// A holder's public key, as `tidewaiter tuf key` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// `ed25519` or `ecdsa`.
    pub keytype: String,
    /// `ed25519` or `ecdsa-sha2-nistp256`.
    pub scheme: String,
    /// Hexadecimal, or PEM.
    pub public: String,
}

impl From<&PublicKey> for Holder {
    fn from(key: &PublicKey) -> Self {
        let PublicKey { keytype, scheme, public, .. } = key;
        Self { keytype: keytype.clone(), scheme: scheme.clone(), public: public.clone() }
    }
}

impl Holder {
    fn key(&self) -> PublicKey {
        let Self { keytype, scheme, public } = self.clone();
        PublicKey { keytype, scheme, public, keyval_extra: BTreeMap::new(), extra: BTreeMap::new() }
    }
}

/// A change of the offline roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The same again for another year.
    Renew,
    /// A new online key, made here.
    RotateOnline,
    /// Other holders of the root; without any, a new key in the data folder.
    RotateRoot {
        /// Who.
        holders: Vec<Holder>,
        /// How many must sign.
        threshold: u64,
    },
    /// Another number of bins, in the same shape.
    Rebin {
        /// How many.
        count: u64,
    },
    /// All offline roles go to people, and the online key is replaced: `team` or `pep458` after `dev`.
    HandOver {
        /// The profile.
        profile: String,
        /// Who.
        holders: Vec<Holder>,
        /// How many must sign.
        threshold: u64,
    },
}

/// What came of a change.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What changes, in words.
    pub words: Vec<String>,
    /// The event, for those who must still sign; none when all had signed.
    pub event: Option<Vec<u8>>,
    /// Whose signatures are still missing.
    pub missing: Vec<String>,
}

/// How one role stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleStatus {
    /// Its name; `bin` for all bins.
    pub role: String,
    /// Its version; of the bins, the highest.
    pub version: u64,
    /// When it expires; of the bins, the first.
    pub expires: Time,
    /// How many must sign.
    pub threshold: u64,
    /// Key ids that may, and whether the key is in the data folder.
    pub keys: Vec<(String, bool)>,
    /// Whether people renew it.
    pub offline: bool,
}

impl RoleStatus {
    /// Whole days until it expires; negative when it has.
    pub fn days_left(&self, now_us: i64) -> i64 {
        (self.expires.seconds() - time(now_us).seconds()).div_euclid(DAY)
    }

    /// Whether somebody must see to it: people within a month, the publisher before a client notices.
    pub fn is_urgent(&self, now_us: i64) -> bool {
        let left = self.expires.seconds() - time(now_us).seconds();
        left < if self.offline { WARN_DAYS * DAY } else { DAY / 4 }
    }
}

/// How the repository of an index stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// The index.
    pub index: IndexName,
    /// Who holds its keys.
    pub profile: String,
    /// Shape and number of the bins.
    pub bins: (Shape, u32),
    /// Targets that are signed.
    pub targets: i64,
    /// Its roles.
    pub roles: Vec<RoleStatus>,
    /// Whether signed offline roles wait for the publisher.
    pub is_pending: bool,
}

/// How the repositories stand; of one index, or of all.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn status(installation: &Installation, only: Option<&IndexName>) -> Result<Vec<Status>> {
    let mut out = Vec::new();
    for row in super::indexes::list(installation).await? {
        let name = row.name();
        if only.is_some_and(|only| *only != name) {
            continue;
        }
        let mut tx = installation.store.read().await?;
        let Some(in_force) = InForce::read(&mut tx, row.id, &name).await? else { continue };
        let targets = rows::count_targets(&mut tx, row.id).await?;
        let pending = rows::repository(&mut tx, row.id).await?.is_some_and(|row| row.pending.is_some());
        let keys = installation.signing_keys.load(&name).unwrap_or_default();
        let at_hand = |role: &RoleKeys| {
            role.keyids.iter().map(|keyid| (keyid.clone(), keys.contains_key(keyid))).collect::<Vec<_>>()
        };
        let bins = (in_force.repository.bins().shape(), in_force.repository.bins().count());
        let mut roles = Vec::new();
        for (role, version, expires, keys, offline) in in_force.roles() {
            roles.push(RoleStatus { role, version, expires, threshold: keys.threshold, keys: at_hand(&keys), offline });
        }
        let profile = in_force.profile.clone();
        out.push(Status { index: name, profile, bins, targets, roles, is_pending: pending });
    }
    Ok(out)
}

/// What needs a person, a sentence each; empty when all is well.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn warnings(installation: &Installation) -> Result<Vec<String>> {
    let now_us = installation.clock.now_us();
    let mut out = Vec::new();
    for Status { index, roles, is_pending, .. } in status(installation, None).await? {
        for role in roles.iter().filter(|role| role.is_urgent(now_us)) {
            let what =
                if role.offline { "sign it anew with `tidewaiter tuf renew`" } else { "is the publisher running?" };
            let days = role.days_left(now_us);
            out.push(format!("'{index}': the role {} expires in {days} days; {what}", role.role));
        }
        if is_pending {
            out.push(format!("'{index}': signed roles wait for the publisher"));
        }
    }
    Ok(out)
}

async fn in_force(installation: &Installation, index: &IndexName) -> Result<(IndexRow, InForce)> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    let in_force = InForce::read(&mut tx, row.id, index).await?;
    let in_force =
        in_force.ok_or_else(|| Error::Unavailable(format!("'{index}' is signed from its first start on")))?;
    Ok((row, in_force))
}

fn event_error(error: EventError) -> Error {
    Error::Invalid(error.to_string())
}

fn people(holders: &[Holder], threshold: u64) -> Result<Holders> {
    let keys: Vec<PublicKey> = holders.iter().map(Holder::key).collect();
    if threshold == 0 || threshold > keys.len() as u64 {
        return Err(Error::Invalid(format!("{threshold} of {} holders cannot sign", keys.len())));
    }
    Ok(Holders { keys, threshold })
}

/// Proposes a change. Keys in the data folder sign at once; where that is enough, it is taken over.
///
/// # Errors
/// [`Error::Conflict`] when it does not fit what is in force, or another change waits.
pub async fn propose(
    installation: &Arc<Installation>,
    index: &IndexName,
    change: &Change,
    actor: &str,
) -> Result<Outcome> {
    let (_, in_force) = in_force(installation, index).await?;
    let profile = match change {
        Change::HandOver { profile, .. } => profile.clone(),
        Change::Renew | Change::RotateOnline | Change::RotateRoot { .. } | Change::Rebin { .. } => {
            in_force.profile.clone()
        }
    };
    let (of, name, change) = (Arc::clone(installation), index.clone(), change.clone());
    let made = tokio::task::spawn_blocking(move || make(&of, &name, &in_force, &change));
    let event = made.await.map_err(|e| Error::Internal(e.to_string()))??;
    let words = event.words().map_err(event_error)?;
    if event.is_complete() {
        take_over(installation, index, &event, &profile, actor).await?;
        return Ok(Outcome { words, event: None, missing: Vec::new() });
    }
    let missing = event.status().into_iter().filter(|status| !status.is_met());
    let missing = missing
        .map(|status| {
            let lacking = status.threshold - status.signed.len() as u64;
            format!("{} ({}): {lacking} of {}", status.role, status.of, status.waiting.join(", "))
        })
        .collect();
    Ok(Outcome { words, event: Some(event.to_json()), missing })
}

fn make(installation: &Installation, index: &IndexName, in_force: &InForce, change: &Change) -> Result<Event> {
    let offline = in_force.repository.offline();
    let now = time(installation.clock.now_us());
    let expires = now.plus_days(OFFLINE_DAYS);
    let folder = &installation.signing_keys;
    let fresh = |name: &str| -> Result<Holders> {
        // Named after the root that brings it, so that no rotation takes up a key of an earlier one.
        let signer = folder.make(index, &format!("{name}-{}", offline.root().version + 1), &installation.entropy)?;
        Ok(Holders { keys: vec![signer.public_key().clone()], threshold: 1 })
    };
    let renewal: Renewal = match change {
        Change::Renew => offline.renew(now, expires),
        Change::RotateOnline => offline.rotate_online(&fresh("online")?, now, expires),
        Change::RotateRoot { holders, .. } if holders.is_empty() => {
            offline.rotate_root(&fresh("offline")?, now, expires)
        }
        Change::RotateRoot { holders, threshold } => offline.rotate_root(&people(holders, *threshold)?, now, expires),
        Change::Rebin { count } => {
            let bits = count.checked_ilog2().filter(|_| count.is_power_of_two());
            let bits = bits.ok_or_else(|| Error::Invalid(format!("{count} is no power of two")))?;
            let next = offline.rebin(offline.bins().shape(), bits, &fresh("online")?, now, expires);
            next.map_err(|error| Error::Invalid(error.to_string()))?
        }
        Change::HandOver { holders, threshold, .. } => {
            let people = people(holders, *threshold)?;
            let (targets, bins) = (people.clone(), people.clone());
            offline.recover(&Recovery { root: Some(people), targets, bins, online: fresh("online")? }, now, expires)
        }
    };
    let mut event = Event::change(offline, &renewal).map_err(event_error)?;
    for signer in folder.load(index)?.values() {
        match event.sign(&**signer) {
            Ok(()) | Err(EventError::NotAsked(_)) => {}
            Err(other) => return Err(Error::Unavailable(other.to_string())),
        }
    }
    Ok(event)
}

/// Takes the copies of an event back from its holders. Returns whose signatures are still missing; when nobody's are,
/// the change has been taken over.
///
/// # Errors
/// [`Error::Invalid`] when these are no copies of one event, [`Error::Conflict`] when it does not fit what is in force.
pub async fn submit(
    installation: &Arc<Installation>,
    index: &IndexName,
    copies: &[Vec<u8>],
    profile: Option<&str>,
    actor: &str,
) -> Result<Outcome> {
    let (_, in_force) = in_force(installation, index).await?;
    let profile = profile.unwrap_or(&in_force.profile).to_owned();
    let mut all: Option<Event> = None;
    for copy in copies {
        let event = Event::from_json(copy).map_err(event_error)?;
        match &mut all {
            None => all = Some(event),
            Some(first) => first.merge(&event).map_err(event_error)?,
        }
    }
    let event = all.ok_or_else(|| Error::Invalid("no event was given".to_owned()))?;
    let words = event.words().map_err(event_error)?;
    if !event.is_complete() {
        let missing = event.status().into_iter().filter(|status| !status.is_met());
        let missing = missing.map(|status| format!("{} ({})", status.role, status.of)).collect();
        return Ok(Outcome { words, event: Some(event.to_json()), missing });
    }
    take_over(installation, index, &event, &profile, actor).await?;
    Ok(Outcome { words, event: None, missing: Vec::new() })
}

async fn take_over(
    installation: &Arc<Installation>,
    index: &IndexName,
    event: &Event,
    profile: &str,
    actor: &str,
) -> Result<()> {
    let (row, in_force) = in_force(installation, index).await?;
    let mut pending = Pending { profile: profile.to_owned(), actor: actor.to_owned(), ..Pending::default() };
    for written in event.finish().map_err(event_error)? {
        let body = String::from_utf8(written.bytes).map_err(|e| Error::Internal(e.to_string()))?;
        match written.record.role.as_str() {
            "root" => pending.root = Some(body),
            "targets" => pending.targets = Some(body),
            BINS => pending.bins = Some(body),
            other => return Err(Error::Invalid(format!("{other} is no offline role"))),
        }
    }
    // Refused here rather than by the publisher, whom nobody asks.
    pending.adopt(&in_force)?;
    let now = installation.clock.now_us();
    let text = serde_json::to_string(&pending).map_err(|e| Error::Internal(e.to_string()))?;
    let mut tx = installation.store.write().await?;
    rows::set_pending(&mut tx, row.id, &text);
    let detail = serde_json::json!({ "words": event.words().map_err(event_error)? });
    audit::note(&mut tx, Some(row.id), now, actor, "tuf.change", index.as_str(), detail);
    tx.commit().await.map_err(|error| {
        if matches!(error, Error::Overtaken) {
            Error::Conflict("Another change of the roles waits for the publisher.".to_owned())
        } else {
            error
        }
    })?;
    installation.wake_publishers();
    wait(installation, row.id).await
}

/// Until the publisher took it over; not where this process has no publisher, which then works when the command is done.
async fn wait(installation: &Installation, index_id: i64) -> Result<()> {
    if installation.settings.upload_wait_ms == 0 {
        return Ok(());
    }
    let started = tokio::time::Instant::now();
    loop {
        let mut tx = installation.store.read().await?;
        if rows::repository(&mut tx, index_id).await?.is_none_or(|row| row.pending.is_none()) {
            return Ok(());
        }
        drop(tx);
        if started.elapsed() > ADOPTION_TIME_MAX {
            return Err(Error::Unavailable("the publisher has not taken it over yet; see its log".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
