//! How the repositories stand: who signs what, how long it lasts, and what needs a person.

use std::collections::BTreeSet;

use tuf::Time;
use tuf::role::{RoleKeys, Top};
use tuf::write::BINS;

use super::super::log::{self, LostKey, witness};
use super::super::recover;
use super::super::signing::{InForce, Signing, time};
use super::{Profile, lost_holders, new_keys, standbys};
use crate::model::IndexName;
use crate::store::{indexes, signing as rows};
use crate::{Installation, Result, Shape};

/// Days before the end of an offline role at which people are warned, more urgently each time.
pub const WARN_DAYS: [i64; 4] = [30, 14, 7, 1];
/// Longest that a change waits before it is said to be late.
const PENDING_US_MAX: i64 = 60_000_000;
const DAY: i64 = 86_400;

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

    /// How urgently somebody must see to it, from 0 for not at all. Of an offline role, how many of [`WARN_DAYS`] are
    /// reached, and 5 once it has expired. Of what the publisher renews, 4 when it should have long since.
    pub fn alarm(&self, now_us: i64) -> u8 {
        let left = self.expires.seconds() - time(now_us).seconds();
        if left <= 0 {
            return 5;
        }
        if self.offline {
            return WARN_DAYS.iter().filter(|days| left <= **days * DAY).count() as u8;
        }
        // An hour after its last word clients are uneasy.
        let least = if self.role == Top::Timestamp.name() { DAY - 3_600 } else { DAY / 4 };
        if left < least { 4 } else { 0 }
    }

    /// Whether somebody must see to it.
    pub fn is_urgent(&self, now_us: i64) -> bool {
        self.alarm(now_us) > 0
    }
}

/// How the repository of an index stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// The index.
    pub index: IndexName,
    /// Who holds its keys.
    pub profile: Profile,
    /// Shape and number of the bins.
    pub bins: (Shape, u32),
    /// Targets that are signed.
    pub targets: i64,
    /// Its roles.
    pub roles: Vec<RoleStatus>,
    /// Since when signed offline roles wait for the publisher, in microseconds.
    pub pending_us: Option<i64>,
    /// Why signed offline roles were put aside; until the next change.
    pub put_aside: Option<String>,
    /// Key ids of standbys: trusted with every online role, and not in use.
    pub standbys: Vec<String>,
    /// Key ids that sign nothing any more and that roles still trust: to be revoked.
    pub retired: Vec<String>,
    /// Key ids that signed what is in force and that are not in the data folder.
    pub lost: Vec<String>,
    /// Key ids of the profile dev that hold offline roles and are not in the data folder.
    pub unheld: Vec<String>,
    /// Keys of the log and of the witness that are not in the data folder.
    pub lost_notes: Vec<LostKey>,
    /// Why it is not known which keys are in the data folder: none is said to be lost then, and none to be a standby.
    pub unreadable: Option<String>,
    /// The snapshot in force and what to write on paper of it: `recover::paper`.
    pub paper: (u64, String),
    /// Key files of the data folder that no role trusts, by name, with their key ids: left by changes that were never signed,
    /// or by somebody else.
    pub unused: Vec<(String, String)>,
}

fn paper(in_force: &InForce) -> Result<(u64, String)> {
    let (snapshot, files) = (in_force.record(Top::Snapshot.name())?.version, in_force.role_files());
    let others = [Top::Timestamp.name(), Top::Targets.name(), BINS];
    let files = files.iter().filter(|(role, _)| !others.contains(&role.as_str()));
    let files = files.map(|(role, (version, sha256, _))| (role.as_str(), *version, sha256.as_str()));
    Ok((snapshot, recover::paper(files)))
}

/// How the repositories stand; of one index, or of all.
///
/// # Errors
/// When the ledger cannot be read; [`crate::Error::NotFound`] where there is no such index.
pub async fn status(installation: &Installation, only: Option<&IndexName>) -> Result<Vec<Status>> {
    let mut out = Vec::new();
    if let Some(only) = only {
        indexes::named(&mut installation.store.read().await?, only).await?;
    }
    for row in super::super::indexes::list(installation).await? {
        let name = row.name();
        if only.is_some_and(|only| *only != name) {
            continue;
        }
        let mut tx = installation.store.read().await?;
        let Some(in_force) = InForce::read(&mut tx, row.id, &name).await? else { continue };
        let targets = rows::count_targets(&mut tx, row.id).await?;
        let pending = rows::repository(&mut tx, row.id).await?.map(|row| Signing::pending(&row)).transpose()?.flatten();
        let pending_us = pending.as_ref().filter(|left| left.refused.is_none()).map(|left| left.since_us);
        let put_aside = pending.and_then(|left| left.refused);
        let of = name.clone();
        let (here, unreadable) = match installation.signing_keys.blocking(move |folder| folder.keyids(&of)).await {
            Ok(here) => (here, None),
            Err(error) => (BTreeSet::new(), Some(error.to_string())),
        };
        let is_known = unreadable.is_none();
        let paper = paper(&in_force)?;
        let unused = new_keys::unused(installation, &in_force).unwrap_or_default();
        let at_hand =
            |role: &RoleKeys| role.keyids.iter().map(|keyid| (keyid.clone(), here.contains(keyid))).collect::<Vec<_>>();
        let standbys = standbys(&in_force, &here).into_iter().filter(|_| is_known).map(|key| key.keyid()).collect();
        let retired = in_force.retired.iter().cloned().collect();
        let lost = in_force.signed_last().difference(&here).filter(|_| is_known).cloned().collect();
        let unheld = lost_holders(&in_force, &here).into_iter().filter(|_| is_known).collect();
        let lost_notes = if is_known { log::lost(&mut tx, row.id, &here).await? } else { Vec::new() };
        let bins = (in_force.repository.bins().shape(), in_force.repository.bins().count());
        let mut roles = Vec::new();
        for (role, version, expires, keys, offline) in in_force.roles() {
            roles.push(RoleStatus { role, version, expires, threshold: keys.threshold, keys: at_hand(&keys), offline });
        }
        let profile = in_force.profile;
        out.push(Status {
            index: name,
            profile,
            bins,
            targets,
            roles,
            pending_us,
            put_aside,
            standbys,
            retired,
            lost,
            unheld,
            lost_notes,
            unreadable,
            unused,
            paper,
        });
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
    for status in status(installation, None).await? {
        let Status { index, roles, pending_us, put_aside, retired, lost, unheld, lost_notes, unreadable, .. } = status;
        for role in roles.iter().filter(|role| role.is_urgent(now_us)) {
            let what =
                if role.offline { "sign it anew with `tidewaiter tuf renew`" } else { "is the publisher running?" };
            let when = match (role.alarm(now_us), role.days_left(now_us)) {
                (5, _) => "has expired".to_owned(),
                (_, 0) => "expires within a day".to_owned(),
                (_, days) => format!("expires in {days} days"),
            };
            out.push(format!("'{index}': the role {} {when}; {what}", role.role));
        }
        for keyid in lost {
            out.push(format!(
                "'{index}': the online key {keyid}, which signed last, is not in the data folder, and nothing can be \
                 published with it; put it back, or let a standby take over (`tidewaiter tuf rotate online --standby \
                 FILE`), or revoke it by another one (`tidewaiter tuf rotate online`)"
            ));
        }
        for keyid in unheld {
            out.push(format!(
                "'{index}': the key {keyid}, which holds offline roles, is not in the data folder, and nobody can sign them \
                 anew without it; bring it back from a backup before they expire"
            ));
        }
        for key in lost_notes {
            out.push(match key {
                LostKey::Log(name) => format!(
                    "'{index}': the key of its log, {name}, is not in the data folder, and nothing can be published without \
                     it; bring it back from a backup (docs/keys.md)"
                ),
                LostKey::Witness(name) => format!(
                    "'{index}': the key by which it witnesses other logs, {name}, is not in the data folder; bring it back \
                     from a backup, or make another one with `tidewaiter log keys --new-witness`"
                ),
            });
        }
        if let Some(why) = unreadable {
            out.push(format!(
                "'{index}': the keys in the data folder cannot be read, and nothing can be signed after the next start: {why}; \
                 mend that file or put it elsewhere, and revoke nothing because of it"
            ));
        }
        if !retired.is_empty() {
            out.push(format!(
                "'{index}': a key that was put aside is still trusted; revoke it with `tidewaiter tuf standby` or \
                 `tidewaiter tuf rotate online`"
            ));
        }
        if let Some(since_us) = pending_us {
            let late = if now_us - since_us > PENDING_US_MAX {
                " for more than a minute; its log says why it does not take them over"
            } else {
                ""
            };
            out.push(format!("'{index}': signed roles wait for the publisher{late}"));
        }
        if let Some(why) = put_aside {
            out.push(format!("'{index}': the last change of the roles was put aside: {why}; make the change anew"));
        }
    }
    for (index, witness, why) in witness::silent(installation) {
        out.push(format!("'{index}': the witness {witness} does not cosign the log: {why}"));
    }
    Ok(out)
}
