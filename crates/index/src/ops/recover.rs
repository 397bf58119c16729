//! `tuf recover`: after somebody had the online key, PEP 458's five steps. What is signed now is compared with the last
//! snapshot that is known to be good; what contradicts it is taken away; and a change is proposed under which every
//! online key and the holders of `targets` and `bins` are replaced, every bin is signed anew from published state, and
//! versions go on beyond what the thief can have signed. Clients follow by the new root.
//!
//! A thief of the key can sign and cannot write the ledger; whoever wrote the ledger too is found by the comparison, as
//! a file's bytes never change under one name.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use packaging::simple::time_text;
use serde::{Deserialize, Serialize};
use tuf::event::Event;
use tuf::hash::{hex, sha256};
use tuf::role::Top;
use tuf::write::BINS;
use tuf::{Root, Signed, Snapshot, Targets};

use super::ceremony::{self, Change, Outcome, Recover};
use super::signing::{InForce, expected};
use super::{verdicts, workers};
use crate::blobs::layout;
use crate::model::{Actor, Decision, IndexName};
use crate::store::{Tx, files, indexes, signing as rows};
use crate::{Error, Installation, Result};

/// Length of any role file that is read, in bytes.
const ROLE_BYTES_MAX: usize = 256 << 20;
/// Differences that are told one by one.
const TOLD_MAX: usize = 1_000;
/// Longest that a file that is held may take to disappear.
const HIDING_TIME_MAX: Duration = Duration::from_secs(60);
/// What the owners of a file that is taken away are told.
const REASON: &str = "Held during the recovery of the index's signatures: it is not the file that was signed before.";
const REASON_NEW: &str = "Held during the recovery of the index's signatures: it was published after the last state that is \
                          known to be good, and waits until a person clears it.";

/// How a target differs from the good snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Difference {
    /// Published since.
    New {
        /// The file.
        filename: String,
        /// When it was uploaded.
        uploaded: String,
    },
    /// Withdrawn since, and the ledger knows it.
    Withdrawn {
        /// The file.
        filename: String,
    },
    /// It was signed, and the ledger does not know it.
    Lost {
        /// The file.
        filename: String,
    },
    /// Other bytes under the same name: nobody can have published that.
    Altered {
        /// The file.
        filename: String,
        /// SHA-256 in the good snapshot.
        was: String,
        /// SHA-256 now.
        is: String,
    },
    /// The table of signed targets does not say what published state says; it is corrected.
    Row {
        /// The target.
        path: String,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::New { filename, uploaded } => write!(f, "new since, uploaded {uploaded}: {filename}"),
            Self::Withdrawn { filename } => write!(f, "withdrawn since: {filename}"),
            Self::Lost { filename } => write!(f, "LOST, the ledger does not know it: {filename}"),
            Self::Altered { filename, was, is } => write!(f, "ALTERED: {filename}: was {was}, is {is}"),
            Self::Row { path } => write!(f, "WRONG ROW, not what published state says: {path}"),
        }
    }
}

/// What a comparison with the good snapshot found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is to be compared with what is on paper: `paper`.
    pub paper: String,
    /// Files that are the same.
    pub same: usize,
    /// The rest.
    pub differences: Vec<Difference>,
}

/// The SHA-256 for paper of a snapshot and every bin that it names. A snapshot names bins by version alone, so whoever has the
/// online key can sign other bins of the same versions; this holds their bytes. Of the text that has for each role, in the
/// order of their names, a line `<role> <version> <SHA-256 of its file>`.
pub(super) fn paper<'a>(roles: impl IntoIterator<Item = (&'a str, u64, &'a str)>) -> String {
    let lines: BTreeMap<&str, String> =
        roles.into_iter().map(|(role, version, sha256)| (role, format!("{role} {version} {sha256}\n"))).collect();
    hex(&sha256(lines.into_values().collect::<String>().as_bytes()))
}

/// Paths with their SHA-256.
type Listed = BTreeMap<String, String>;

/// What the snapshot of this version listed: from a folder that holds role files (a backup, a mirror's `tuf/`), or from
/// the site, which keeps them for `tuf.superseded`. Every file is verified against the ledger's own offline roles.
async fn good(
    installation: &Installation,
    tx: &mut Tx,
    in_force: &InForce,
    index_id: i64,
    index: &IndexName,
    version: u64,
    folder: Option<&Path>,
) -> Result<(String, Listed)> {
    let read = |role: &str, version: u64| -> Result<Vec<u8>> {
        let missing = |why: String| Error::NotFound(format!("version {version} of {role}: {why}"));
        match folder {
            None => installation.blobs.get(&layout::role(index, role, version))?.ok_or_else(|| {
                missing("is not in the site any more; say where there is a copy, --from FOLDER".to_owned())
            }),
            Some(folder) => {
                let path = folder.join(tuf::layout::role_file(role, Some(version)));
                let mut bytes = Vec::new();
                let file =
                    std::fs::File::open(&path).map_err(|error| missing(format!("{}: {error}", path.display())))?;
                file.take(ROLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    };
    let bad = |role: &str, why: String| Error::Invalid(format!("version {version} of the snapshot: {role}: {why}"));
    let name = Top::Snapshot.name();
    let bytes = read(name, version)?;
    let snapshot: Signed<Snapshot> =
        Signed::parse(&bytes, ROLE_BYTES_MAX).map_err(|error| bad(name, error.to_string()))?;
    let is_signed = in_force.roots().any(|root| {
        Signed::<Root>::parse(root, ROLE_BYTES_MAX).is_ok_and(|root| {
            root.role.role(Top::Snapshot).is_ok_and(|role| snapshot.verify(&root.role.keys, role).is_ok())
        })
    });
    if !is_signed || snapshot.role.version != version {
        return Err(bad(name, "no root of this index's ledger trusts who signed it".to_owned()));
    }
    let of = |role: &str| snapshot.role.meta.get(role).map(|meta| meta.version);
    let bins = of(BINS).ok_or_else(|| bad(BINS, "is not listed".to_owned()))?;
    let bins = rows::offline_version(tx, index_id, BINS, bins).await?;
    let bins = bins.ok_or_else(|| bad(BINS, "is of a version that the ledger does not know".to_owned()))?;
    let bins: Signed<Targets> = Signed::parse(&bins, ROLE_BYTES_MAX).map_err(|error| bad(BINS, error.to_string()))?;
    let delegations = bins.role.delegations.ok_or_else(|| bad(BINS, "delegates to nobody".to_owned()))?;
    let mut listed = Listed::new();
    let mut files = vec![(name, version, hex(&sha256(&bytes)))];
    for (role, meta) in
        snapshot.role.meta.iter().filter(|(role, _)| ![Top::Targets.name(), BINS].contains(&role.as_str()))
    {
        let bytes = read(role, meta.version)?;
        files.push((role, meta.version, hex(&sha256(&bytes))));
        let bin: Signed<Targets> =
            Signed::parse(&bytes, ROLE_BYTES_MAX).map_err(|error| bad(role, error.to_string()))?;
        let keys = delegations.keys_of(role).ok_or_else(|| bad(role, "nobody delegates to it".to_owned()))?;
        bin.verify(&delegations.keys, keys).map_err(|error| bad(role, error.to_string()))?;
        if bin.role.version != meta.version {
            return Err(bad(role, "is of another version than the snapshot says".to_owned()));
        }
        let targets = bin.role.targets.into_iter();
        listed
            .extend(targets.map(|(path, file)| (path, file.hashes.sha256.map(|hash| hex(&hash)).unwrap_or_default())));
    }
    Ok((paper(files.iter().map(|(role, version, hash)| (*role, *version, hash.as_str()))), listed))
}

/// Compares what published state says must be signed with the good snapshot, and with the table of signed targets. Pages
/// are made of their files and decisions, and differ with them; they are not told.
///
/// # Errors
/// [`Error::NotFound`] where a file of the good snapshot is gone, [`Error::Invalid`] where one is not ours.
pub async fn compare(
    installation: &Installation,
    index: &IndexName,
    version: u64,
    folder: Option<&Path>,
) -> Result<Comparison> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    let in_force = InForce::read(&mut tx, row.id, index).await?;
    let in_force = in_force.ok_or_else(|| Error::Unavailable(format!("'{index}' is not signed yet")))?;
    let (paper, mut good) = good(installation, &mut tx, &in_force, row.id, index, version, folder).await?;
    let expected = expected(&mut tx, row.id, index, in_force.bins()).await?;
    let signed = rows::targets(&mut tx, row.id, 0, 1 << rows::SLOT_BITS).await?;
    let mut signed: BTreeMap<String, rows::TargetRow> = signed.into_iter().map(|row| (row.path.clone(), row)).collect();
    let (mut same, mut differences) = (0, Vec::new());
    for now in expected.into_values().flat_map(BTreeMap::into_values) {
        let was = good.remove(&now.path);
        if signed.remove(&now.path).is_none_or(|row| !row.is_of(&now)) {
            differences.push(Difference::Row { path: now.path.clone() });
        }
        let Some(filename) = file_of(&now.path) else { continue };
        match was {
            Some(was) if was == now.sha256 => same += 1,
            Some(was) => {
                differences.push(Difference::Altered { filename: filename.to_owned(), was, is: now.sha256.clone() });
            }
            None => {
                let uploaded = files::by_name(&mut tx, row.id, filename).await?.map(|file| time_text(file.uploaded_us));
                let uploaded = uploaded.unwrap_or_default();
                differences.push(Difference::New { filename: filename.to_owned(), uploaded });
            }
        }
    }
    for (path, was) in good {
        let Some(filename) = file_of(&path) else { continue };
        let known = files::by_name(&mut tx, row.id, filename).await?;
        let filename = filename.to_owned();
        differences.push(match known {
            Some(file) if file.sha256().to_string() == was => Difference::Withdrawn { filename },
            Some(_) | None => Difference::Lost { filename },
        });
    }
    differences.extend(signed.into_keys().map(|path| Difference::Row { path }));
    differences.sort();
    Ok(Comparison { paper, same, differences })
}

fn file_of(path: &str) -> Option<&str> {
    path.strip_prefix("p/").and_then(|path| path.rsplit_once('/')).map(|(_, filename)| filename)
}

/// How to recover.
#[derive(Debug, Clone)]
pub struct Recovering<'a> {
    /// The version of the last snapshot that is known to be good.
    pub good: u64,
    /// Where its files are; the site where absent.
    pub folder: Option<&'a Path>,
    /// What stands on paper of it, where somebody wrote it down.
    pub paper: Option<&'a str>,
    /// Whether every file that was published since is held until a person clears it.
    pub hold_new: bool,
    /// Who holds the keys from then on.
    pub change: &'a Recover,
}

/// Compares, holds what contradicts the good snapshot, and proposes the change of keys.
///
/// # Errors
/// As [`compare`] and [`ceremony::propose`].
pub async fn recover(
    installation: &Arc<Installation>,
    index: &IndexName,
    how: &Recovering<'_>,
    actor: &str,
) -> Result<(Vec<String>, Outcome)> {
    let Recovering { good, folder, paper: wanted, hold_new, change } = how;
    let compared = compare(installation, index, *good, *folder).await?;
    let Comparison { paper, same, differences } = &compared;
    if let Some(wanted) = wanted.filter(|wanted| !wanted.trim().eq_ignore_ascii_case(paper)) {
        return Err(Error::Invalid(format!(
            "Snapshot {good} and its bins have the SHA-256 {paper}, and {wanted} is on paper: these are not the files that \
             were written down."
        )));
    }
    let mut words =
        vec![format!("snapshot {good} and its bins have the SHA-256 {paper}; {same} files are as they list them")];
    words.extend(differences.iter().take(TOLD_MAX).map(ToString::to_string));
    if differences.len() > TOLD_MAX {
        words.push(format!("and {} more", differences.len() - TOLD_MAX));
    }
    for difference in differences {
        let (filename, reason) = match difference {
            Difference::Altered { filename, .. } => (filename, REASON),
            Difference::New { filename, .. } if *hold_new => (filename, REASON_NEW),
            Difference::New { .. }
            | Difference::Withdrawn { .. }
            | Difference::Lost { .. }
            | Difference::Row { .. } => {
                continue;
            }
        };
        verdicts::decide(installation, index, filename, Decision::Hold, Some(reason), &Actor::Operator).await?;
        until_hidden(installation, index, filename).await?;
        words.push(format!("held: {filename}"));
    }
    let change = Change::Recover((*change).clone());
    let mut outcome = ceremony::propose(installation, index, &change, actor).await?;
    if let Some(file) = &mut outcome.event {
        // Whoever signs must know what was found, on a machine that knows nothing else.
        let mut event = Event::from_json(file).map_err(ceremony::event_error)?;
        event.set_notes(words.clone());
        *file = event.to_json();
    }
    words.extend(outcome.words.iter().cloned());
    Ok((words, outcome))
}

/// What is held must be out of published state before everything in it is signed anew.
async fn until_hidden(installation: &Arc<Installation>, index: &IndexName, filename: &str) -> Result<()> {
    // Where this process has no publisher of its own, nobody else would do it.
    if installation.settings.upload_wait_ms == 0 {
        return workers::drain_publications(installation).await;
    }
    let started = tokio::time::Instant::now();
    loop {
        let mut tx = installation.store.read().await?;
        let row = indexes::named(&mut tx, index).await?;
        if files::by_name(&mut tx, row.id, filename).await?.is_none_or(|file| !file.published) {
            return Ok(());
        }
        drop(tx);
        if started.elapsed() > HIDING_TIME_MAX {
            return Err(Error::Unavailable(format!("{filename} is held, and the publisher has not hidden it yet")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
