//! People's part of signing: who holds which key, what expires when, and changes of the offline roles. A change is an
//! event that its holders sign; the publisher takes it over once it has all its signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tuf::PublicKey;
use tuf::event::{Event, EventError};
use tuf::role::{RoleKeys, Top};
use tuf::write::{BINS, Holders, Offline, Recovery, Renewal};

use super::log;
use super::signing::{InForce, Pending, Signing, time};
use crate::keys::{Passphrase, keyid_of};
use crate::model::IndexName;
use crate::store::indexes::IndexRow;
use crate::store::{audit, indexes, signing as rows};
use crate::{Error, Installation, News, Result};

mod new_keys;
mod profiles;
mod standing;
#[cfg(test)]
mod tests;
use super::signing::OFFLINE_DAYS;
pub use super::signing::Profile;
use new_keys::{fresh, put_aside_abandoned};
use profiles::Parties;
pub use standing::{RoleStatus, Status, WARN_DAYS, status, warnings};

/// Versions that a recovery leaves out: a thief who signs once a second needs twelve days to come so far.
pub const JUMP: u64 = 1 << 20;
/// Longest that a change waits for the publisher.
const ADOPTION_TIME_MAX: Duration = Duration::from_secs(60);
/// How long another node's publisher is given to write what it committed.
const ELSEWHERE_TIME: Duration = Duration::from_secs(2);

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

/// People who hold a role, and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// Who.
    pub holders: Vec<Holder>,
    /// How many must sign.
    pub threshold: u64,
}

impl People {
    fn read(&self) -> Result<Holders> {
        let Self { holders, threshold } = self;
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in holders.iter().map(Holder::key) {
            if !keys.iter().any(|one| one.is_same_key(&key)) {
                keys.push(key);
            }
        }
        if *threshold == 0 || *threshold > keys.len() as u64 {
            return Err(Error::Invalid(format!("{threshold} of {} different holders cannot sign", keys.len())));
        }
        Ok(Holders { keys, threshold: *threshold })
    }
}

/// Who holds the keys after a theft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recover {
    /// New holders of the root; absent where theirs are safe (in the profile `dev`, a new key is made).
    pub root: Option<People>,
    /// Of `targets`; those of the root where absent.
    pub targets: Option<People>,
    /// Of `bins`; those of the root where absent.
    pub bins: Option<People>,
    /// How many versions are left out.
    pub jump: u64,
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
        root: Option<People>,
    },
    /// A second online key, sealed and kept elsewhere, that may sign from now on. Online keys that are not in use lose
    /// their trust.
    Standby {
        /// Its public half.
        key: Holder,
    },
    /// After a theft: every online key and the holders of `targets` and `bins` are replaced, versions leave a gap.
    Recover(Recover),
    /// Another number of bins, in the same shape.
    Rebin {
        /// How many.
        count: u64,
    },
    /// All offline roles go to people, and the online key is replaced: `team` or `pep458` after `dev`.
    HandOver {
        /// The profile.
        profile: Profile,
        /// Who holds the root.
        root: People,
        /// Who holds `targets`; absent: those of the root.
        targets: Option<People>,
        /// Who holds `bins`; absent: those of the root.
        bins: Option<People>,
    },
}

/// What came of a change.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What changes, in words.
    pub words: Vec<String>,
    /// The event, for those who must still sign; none when all had signed.
    pub event: Option<Vec<u8>>,
}

async fn in_force(installation: &Installation, index: &IndexName) -> Result<(IndexRow, InForce)> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    let in_force = InForce::read(&mut tx, row.id, index).await?;
    let in_force =
        in_force.ok_or_else(|| Error::Unavailable(format!("'{index}' is signed from its first start on")))?;
    Ok((row, in_force))
}

pub(super) fn event_error(error: EventError) -> Error {
    Error::Invalid(error.to_string())
}

/// The keys of a role as its holders.
fn holders(keys: &BTreeMap<String, PublicKey>, role: &RoleKeys) -> Holders {
    let keys = role.keyids.iter().filter_map(|keyid| keys.get(keyid).cloned()).collect();
    Holders { keys, threshold: role.threshold }
}

/// Keys that one of is enough for every online role, and that are neither in the data folder nor were put aside. Not the
/// key that signed what is in force: where that is not at hand, it is lost.
fn standbys(in_force: &InForce, here: &BTreeSet<String>) -> Vec<PublicKey> {
    let offline = in_force.repository.offline();
    let root = offline.root();
    let of = [Top::Timestamp, Top::Snapshot].map(|top| root.roles.get(&top));
    let [Some(timestamp), Some(snapshot)] = of else { return Vec::new() };
    let roles = [timestamp, snapshot, offline.bin_keys()];
    let signed = in_force.signed_last();
    let is_standby = |keyid: &&String| {
        roles.iter().all(|role| role.threshold == 1 && role.keyids.contains(keyid))
            && !here.contains(*keyid)
            && !in_force.retired.contains(*keyid)
            && !signed.contains(*keyid)
    };
    timestamp.keyids.iter().filter(is_standby).filter_map(|keyid| root.keys.get(keyid).cloned()).collect()
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
        Change::HandOver { profile, .. } => *profile,
        Change::Renew
        | Change::RotateOnline
        | Change::RotateRoot { .. }
        | Change::Rebin { .. }
        | Change::Standby { .. }
        | Change::Recover(_) => in_force.profile,
    };
    let (of, name, change) = (Arc::clone(installation), index.clone(), change.clone());
    let made = tokio::task::spawn_blocking(move || make(&of, &name, &in_force, &change));
    let event = made.await.map_err(|e| Error::Internal(e.to_string()))??;
    let words = event.words();
    if event.is_complete() {
        return take_over(installation, index, &event, profile, actor).await;
    }
    Ok(Outcome { words, event: Some(event.to_json()) })
}

/// A standby is a key that nobody here had: whoever breaks into the server has what lies in the data folder, and what the
/// root trusted once and does not any more was taken away for a reason.
fn is_untouched(in_force: &InForce, here: &BTreeSet<String>, keyid: &str) -> Result<()> {
    let why = if here.contains(keyid) {
        "lies in the data folder"
    } else if in_force.had(keyid) && !in_force.repository.offline().root().keys.contains_key(keyid) {
        "was trusted before, and taken away"
    } else {
        return Ok(());
    };
    Err(Error::Invalid(format!("The key {keyid} {why}: make another one for the standby (`tidewaiter tuf key`).")))
}

/// Other holders of the root, beside those of `targets` and `bins`, who stay.
fn next_root(
    in_force: &InForce,
    here: &BTreeSet<String>,
    people: Option<&People>,
    made: impl Fn(&str) -> Result<Holders>,
) -> Result<Holders> {
    let offline = in_force.repository.offline();
    let [root, targets, bins] = offline.holders();
    let is_dev = in_force.profile == Profile::Dev;
    let Some(people) = people else {
        if is_dev {
            return made("offline");
        }
        return Err(Error::Invalid(format!(
            "People hold the root ({} of {}, profile {}): name who holds it from now on, each with --holder FILE, and how \
             many of them must sign, --threshold N.",
            root.threshold,
            root.keys.len(),
            in_force.profile
        )));
    };
    if is_dev {
        return Err(Error::Invalid(
            "The keys of the profile dev are in the data folder, and nobody else holds one: people get the root, targets \
             and bins by `tidewaiter tuf init --profile team` or `pep458`."
                .to_owned(),
        ));
    }
    let next = people.read()?;
    let online = offline.online_keys();
    let holders = [&next, &targets, &bins];
    Parties { profile: in_force.profile, holders, online: &online, here }.fit()?;
    Ok(next)
}

/// Keys of the profile dev that hold an offline role and are not in the data folder: lost, as nobody else holds one.
fn lost_holders(in_force: &InForce, here: &BTreeSet<String>) -> BTreeSet<String> {
    if in_force.profile != Profile::Dev {
        return BTreeSet::new();
    }
    let keys = in_force.repository.offline().holders().into_iter().flat_map(|of| of.keys);
    keys.map(|key| key.keyid()).filter(|keyid| !here.contains(keyid)).collect()
}

/// Whether an index is in the profile dev.
///
/// # Errors
/// [`Error::Conflict`] where it is not: there is no way back.
pub async fn is_dev(installation: &Installation, index: &IndexName) -> Result<()> {
    let (_, in_force) = in_force(installation, index).await?;
    if in_force.profile == Profile::Dev {
        return Ok(());
    }
    let [root, ..] = in_force.repository.offline().holders();
    Err(Error::Conflict(format!(
        "People hold the root of '{index}' ({} of {}, profile {}), and there is no way back to dev, whose keys lie in the \
         data folder: other people get it by `tidewaiter tuf init --profile team` or `pep458`, another online key is made \
         by `tidewaiter tuf rotate online`.",
        root.threshold,
        root.keys.len(),
        in_force.profile
    )))
}

/// What a change makes of the offline roles.
fn renewal(installation: &Installation, index: &IndexName, in_force: &InForce, change: &Change) -> Result<Renewal> {
    let offline = in_force.repository.offline();
    let now = time(installation.clock.now_us());
    let expires = now.plus_days(OFFLINE_DAYS);
    let made = |name: &str| fresh(installation, index, offline, name);
    let here = installation.signing_keys.keyids(index)?;
    let other =
        |people: &Option<People>, else_: &Holders| people.as_ref().map_or_else(|| Ok(else_.clone()), People::read);
    Ok(match change {
        Change::Renew => offline.renew(now, expires),
        Change::RotateOnline => {
            let mut online = made("online")?;
            online.keys.extend(standbys(in_force, &here));
            offline.rotate_online(&online, now, expires)
        }
        Change::Standby { key } => {
            let timestamp = offline.root().roles.get(&Top::Timestamp).cloned();
            let mut online = holders(&offline.root().keys, &timestamp.unwrap_or(RoleKeys::new(Vec::new(), 1)));
            online.keys.retain(|key| here.contains(&key.keyid()) && !in_force.retired.contains(&key.keyid()));
            if online.keys.is_empty() || online.threshold != 1 {
                return Err(Error::Conflict("A standby stands beside one online key in the data folder.".to_owned()));
            }
            let standby = key.key();
            profiles::is_nobodys(&standby, offline)?;
            is_untouched(in_force, &here, &standby.keyid())?;
            online.keys.push(standby);
            offline.rotate_online(&online, now, expires)
        }
        Change::RotateRoot { root } => {
            offline.rotate_root(&next_root(in_force, &here, root.as_ref(), made)?, now, expires)
        }
        Change::Rebin { count } => {
            let bits = count.checked_ilog2().filter(|_| count.is_power_of_two());
            let bits = bits.ok_or_else(|| Error::Invalid(format!("{count} is no power of two")))?;
            let next = offline.rebin(offline.bins().shape(), bits, &made("online")?, now, expires);
            next.map_err(|error| Error::Invalid(error.to_string()))?
        }
        Change::HandOver { profile, root, targets, bins } => {
            let root = root.read()?;
            let (targets, bins) = (other(targets, &root)?, other(bins, &root)?);
            let online = offline.online_keys();
            if *profile == Profile::Dev {
                return Err(Error::Invalid("People hold no key of the profile dev: choose team or pep458.".to_owned()));
            }
            Parties { profile: *profile, holders: [&root, &targets, &bins], online: &online, here: &here }.fit()?;
            let recovery = Recovery { root: Some(root), targets, bins, online: made("online")?, jump: 0 };
            offline.recover(&recovery, now, expires)
        }
        Change::Recover(Recover { root, targets, bins, jump }) => {
            let is_dev = in_force.profile == Profile::Dev;
            if is_dev && [root, targets, bins].into_iter().any(Option::is_some) {
                return Err(profiles::none_in_dev());
            }
            let next = if is_dev { Some(made("offline")?) } else { root.as_ref().map(People::read).transpose()? };
            let standing = offline.root().roles.get(&Top::Root).map(|role| holders(&offline.root().keys, role));
            let theirs = next.clone().or(standing).ok_or(Error::Internal("nobody holds the root".to_owned()))?;
            let (targets, bins) = (other(targets, &theirs)?, other(bins, &theirs)?);
            if !is_dev {
                let (holders, online) = ([&theirs, &targets, &bins], offline.online_keys());
                Parties { profile: in_force.profile, holders, online: &online, here: &here }.fit()?;
            }
            let recovery = Recovery { root: next, targets, bins, online: made("online")?, jump: *jump };
            offline.recover(&recovery, now, expires)
        }
    })
}

fn make(installation: &Installation, index: &IndexName, in_force: &InForce, change: &Change) -> Result<Event> {
    let folder = &installation.signing_keys;
    if let Some(lost) = lost_holders(in_force, &folder.keyids(index)?).first() {
        return Err(Error::Unavailable(format!(
            "The key {lost}, which holds offline roles of '{index}' (profile dev), is not in {}: bring it back from a \
             backup, nobody else can sign this. Until the roles that it signed expire, the index goes on without it.",
            folder.of(index).display()
        )));
    }
    put_aside_abandoned(installation, in_force)?;
    let renewal = renewal(installation, index, in_force, change)?;
    let mut event = Event::change(in_force.before()?, &renewal).map_err(event_error)?;
    if let Change::HandOver { profile, .. } = change {
        event.set_profile(profile.as_str());
    }
    for signer in folder.load(index)?.values() {
        match event.sign(&**signer) {
            Ok(()) | Err(EventError::NotAsked(_)) => {}
            Err(other) => return Err(Error::Unavailable(other.to_string())),
        }
    }
    Ok(event)
}

/// Takes the copies of an event back from its holders. Returns the event where signatures are still missing; where none are, the
/// change has been taken over.
///
/// # Errors
/// [`Error::Invalid`] when these are no copies of one event, [`Error::Conflict`] when it does not fit what is in force.
pub async fn submit(
    installation: &Arc<Installation>,
    index: &IndexName,
    copies: &[Vec<u8>],
    profile: Option<Profile>,
    actor: &str,
) -> Result<Outcome> {
    let (_, in_force) = in_force(installation, index).await?;
    let mut all: Option<Event> = None;
    for copy in copies {
        let event = Event::from_json(copy).map_err(event_error)?;
        match &mut all {
            None => all = Some(event),
            Some(first) => first.merge(&event).map_err(event_error)?,
        }
    }
    let event = all.ok_or_else(|| Error::Invalid("no event was given".to_owned()))?;
    let made = event.profile().map(Profile::from_str).transpose().map_err(Error::Invalid)?;
    let profile = match (profile, made) {
        (Some(named), Some(made)) if named != made => {
            return Err(Error::Invalid(format!(
                "The event was made for the profile {made}, not for {named}: leave --profile away, or begin anew with \
                 `tidewaiter tuf init --profile {named}`."
            )));
        }
        (named, made) => named.or(made).unwrap_or(in_force.profile),
    };
    let words = event.words();
    if !event.is_complete() {
        return Ok(Outcome { words, event: Some(event.to_json()) });
    }
    take_over(installation, index, &event, profile, actor).await
}

/// Whether the roles that were signed fit their profile. What stays as it is may stay: a renewal or another online key must
/// not fail because of who holds the root since long.
fn judge(in_force: &InForce, next: &Offline, profile: Profile, here: &BTreeSet<String>) -> Result<()> {
    let old = in_force.repository.offline();
    let [root, targets, bins] = &next.holders();
    let holders = [root, targets, bins];
    if old.holders() != next.holders() || in_force.profile != profile {
        // Who was online until now may be in a thief's hands.
        let online: Vec<PublicKey> = old.online_keys().into_iter().chain(next.online_keys()).collect();
        return Parties { profile, holders, online: &online, here }.fit();
    }
    if old.online_keyids() != next.online_keyids() { profiles::apart(holders, &next.online_keys()) } else { Ok(()) }
}

async fn take_over(
    installation: &Arc<Installation>,
    index: &IndexName,
    event: &Event,
    profile: Profile,
    actor: &str,
) -> Result<Outcome> {
    let (row, in_force) = in_force(installation, index).await?;
    let words = event.words();
    let mut pending = Pending::new(profile, actor);
    for written in event.finish().map_err(event_error)? {
        let body = String::from_utf8(written.bytes).map_err(|e| Error::Internal(e.to_string()))?;
        match written.record.role.as_str() {
            "root" => pending.root = Some(body),
            "targets" => pending.targets = Some(body),
            BINS => pending.bins = Some(body),
            other => return Err(Error::Invalid(format!("{other} is no offline role"))),
        }
    }
    // The event does not sign its profile.
    let here = {
        let (folder, of) = (installation.signing_keys.clone(), index.clone());
        let read = tokio::task::spawn_blocking(move || folder.keyids(&of)).await;
        read.map_err(|e| Error::Internal(e.to_string()))??
    };
    judge(&in_force, pending.adopt(&in_force)?.offline(), profile, &here)?;
    if !pending.trim(&in_force)? {
        let words = vec!["this change is in force already; nothing was done".to_owned()];
        return Ok(Outcome { words, event: None });
    }
    // What its holders were told stood before is what stands.
    if event.before() != Some(in_force.repository.offline()) {
        return Err(Error::Conflict(
            "The event was made for other roles than those in force: make it anew.".to_owned(),
        ));
    }
    if pending.is_recovery(&in_force)? && in_force.log().is_some() {
        // It lies where the online key lay.
        let (of, name) = (Arc::clone(installation), index.clone());
        let made = tokio::task::spawn_blocking(move || log::new_key(&of, &name)).await;
        pending.log = Some(made.map_err(|e| Error::Internal(e.to_string()))??);
    }
    let detail = serde_json::json!({ "words": words });
    let heard = leave(installation, &row, &in_force, pending, detail).await?;
    wait(installation, &row, heard).await?;
    Ok(Outcome { words, event: None })
}

/// News of what is published, heard from before a change was left on.
type Heard = tokio::sync::broadcast::Receiver<News>;

/// Leaves a change for the publisher, whom [`wait`] then waits for. After an error nothing was left.
async fn leave(
    installation: &Arc<Installation>,
    row: &IndexRow,
    in_force: &InForce,
    mut pending: Pending,
    detail: serde_json::Value,
) -> Result<Heard> {
    // Refused here rather than by the publisher, whom nobody asks.
    pending.adopt(in_force)?;
    let now = installation.clock.now_us();
    pending.since_us = now;
    let text = serde_json::to_string(&pending).map_err(|e| Error::Internal(e.to_string()))?;
    let news = installation.news.subscribe();
    let mut tx = installation.store.read().await?;
    let left = rows::repository(&mut tx, row.id).await?;
    drop(tx);
    let is_refused =
        left.as_ref().map(Signing::pending).transpose()?.flatten().is_some_and(|old| old.refused.is_some());
    let mut tx = installation.store.write().await?;
    match left.and_then(|row| row.pending).filter(|_| is_refused) {
        Some(old) => rows::replace_pending(&mut tx, row.id, &text, &old),
        None => rows::set_pending(&mut tx, row.id, &text),
    }
    audit::note(&mut tx, Some(row.id), now, &pending.actor, "tuf.change", row.name().as_str(), detail);
    tx.commit().await.map_err(|error| {
        if matches!(error, Error::Overtaken) {
            Error::Conflict("Another change of the roles waits for the publisher.".to_owned())
        } else {
            error
        }
    })?;
    installation.wake_publishers();
    Ok(news)
}

/// The standby signs from now on; the key that did so until now is put aside. Needs nobody's signature: the standby was
/// authorised in advance. `key` is its file, which is sealed anew under the installation's own passphrase.
///
/// # Errors
/// [`Error::Invalid`] when it is no key or does not open, [`Error::Conflict`] when it is no standby.
pub async fn use_standby(
    installation: &Arc<Installation>,
    index: &IndexName,
    key: &[u8],
    passphrase: Option<&Passphrase>,
    actor: &str,
) -> Result<Vec<String>> {
    let (row, in_force) = in_force(installation, index).await?;
    let root = in_force.repository.offline().root().version;
    let here = installation.signing_keys.keyids(index)?;
    let (text, opens) = (key.to_vec(), passphrase.cloned());
    let standby = tokio::task::spawn_blocking(move || keyid_of(&text, "the standby", opens.as_ref())).await;
    let standby = standby.map_err(|e| Error::Internal(e.to_string()))??;
    // An attempt that was broken off may have left the key here: it is the standby all the same.
    let (elsewhere, is_here) = (here.iter().filter(|id| **id != standby).cloned().collect(), here.contains(&standby));
    if !standbys(&in_force, &elsewhere).iter().any(|key| key.keyid() == standby) {
        return Err(Error::Conflict(format!("The key {standby} is no standby of '{index}': see `tuf status`.")));
    }
    let file = format!("standby-{root}-{}", &standby[..8]);
    if !is_here {
        let (of, name, file) = (Arc::clone(installation), index.clone(), file.clone());
        let (key, passphrase) = (key.to_vec(), passphrase.cloned());
        let taken = tokio::task::spawn_blocking(move || {
            of.signing_keys.take_in(&name, &file, &key, passphrase.as_ref(), &of.entropy).map(drop)
        });
        taken.await.map_err(|e| Error::Internal(e.to_string()))??;
    }
    // Who signed until now: by the ledger where the key itself is lost.
    let offline = in_force.repository.offline();
    let online = offline.root().roles.get(&Top::Timestamp).map(|role| role.keyids.as_slice()).unwrap_or_default();
    let signed = in_force.record(Top::Timestamp.name())?.signatures.iter().map(|signature| &signature.keyid);
    let used: BTreeSet<String> = signed
        .chain(online.iter().filter(|keyid| here.contains(*keyid)))
        .filter(|id| **id != standby)
        .cloned()
        .collect();
    let pending = Pending { retired: used.clone(), ..Pending::new(in_force.profile, actor) };
    let detail = serde_json::json!({ "standby": standby, "retired": used });
    let left = leave(installation, &row, &in_force, pending, detail).await;
    if left.is_err() && !is_here {
        // What the ledger did not take left nothing behind: a standby that lies here is none.
        installation.signing_keys.give_back(index, &file)?;
    }
    wait(installation, &row, left?).await?;
    installation.signing_keys.retire(index, &used)?;
    let mut words = vec![format!("the standby {standby} signs from now on")];
    words.extend(
        used.iter().map(|keyid| format!("the key {keyid} is put aside, and still trusted until it is revoked")),
    );
    Ok(words)
}

/// Until the publisher took it over and wrote it; not where this process has no publisher, which then works when the
/// command is done.
async fn wait(installation: &Installation, row: &IndexRow, mut news: Heard) -> Result<()> {
    if installation.settings.upload_wait_ms == 0 {
        return Ok(());
    }
    let (started, mut taken) = (Instant::now(), None);
    while started.elapsed() < ADOPTION_TIME_MAX {
        let heard = tokio::time::timeout(Duration::from_millis(50), news.recv()).await;
        let is_written = matches!(&heard, Ok(Ok(News::Published(what))) if what.index == row.name());
        let mut tx = installation.store.read().await?;
        match rows::repository(&mut tx, row.id).await?.as_ref().map(Signing::pending).transpose()?.flatten() {
            Some(Pending { refused: Some(why), .. }) => {
                return Err(Error::Conflict(format!("The publisher put the change aside: {why}.")));
            }
            Some(_) => continue,
            None => {}
        }
        // What is announced after the commit has been written. Another node's publisher is not heard here.
        let since = *taken.get_or_insert_with(Instant::now);
        if is_written || since.elapsed() > ELSEWHERE_TIME {
            return Ok(());
        }
    }
    Err(Error::Unavailable("the publisher has not taken it over yet; see its log".to_owned()))
}
