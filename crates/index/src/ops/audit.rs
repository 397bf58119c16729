//! `tuf audit`: walks everything that is signed, makes it again, and holds it against the ledger, as a client that knows
//! nothing but the first root would. Changes nothing. In parts, so that whoever asks can say how far it is, and so that
//! no transaction stays open for hours.

use std::collections::BTreeMap;
use std::sync::Arc;

use packaging::Sha256;
use serde::{Deserialize, Serialize};
use tuf::hash::{hex, sha256};
use tuf::role::Top;
use tuf::write::BINS;
use tuf::{Limits, TrustedSet};

use super::scrub::{Patience, digest};
use super::signing::{InForce, Roles, expected_of, targets_of_bin, time};
use crate::blobs::layout;
use crate::model::IndexName;
use crate::store::indexes::IndexRow;
use crate::store::log as log_rows;
use crate::store::signing::{self as rows, TargetRow};
use crate::store::{Tx, files, indexes, projects};
use crate::{Error, Installation, Result};

/// Entries of the log that are given at once.
const ENTRIES_MAX: u64 = 4_096;

/// What a role file of the index is: its version, its SHA-256 in hexadecimal, its length in bytes.
pub type RoleFile = (u64, String, u64);

/// What is in force, and what is wrong with the roles that everything hangs from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// How many bins there are.
    pub bins: u32,
    /// How many projects.
    pub projects: i64,
    /// Every root's SHA-256, oldest first.
    pub roots: Vec<String>,
    /// Every other role in force; `targets` and `bins` too.
    pub roles: BTreeMap<String, RoleFile>,
    /// Its transparency log.
    pub log: Option<LogOutline>,
    /// A sentence each.
    pub wrong: Vec<String>,
}

/// A log as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOutline {
    /// The first line of its checkpoints.
    pub origin: String,
    /// The key that verifies them.
    pub key: String,
    /// Entries that the checkpoint in force speaks of.
    pub size: u64,
}

/// One part of the walk over projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How many were looked at.
    pub count: usize,
    /// Where the next part begins; none after the last.
    pub next: Option<String>,
    /// A sentence each.
    pub wrong: Vec<String>,
}

async fn begin(installation: &Installation, index: &IndexName) -> Result<(Tx, IndexRow, InForce)> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    let in_force = InForce::read(&mut tx, row.id, index).await?;
    let in_force =
        in_force.ok_or_else(|| Error::Unavailable(format!("'{index}' is signed from its first start on")))?;
    Ok((tx, row, in_force))
}

/// Follows everything from the first root on, as a client does: roots, timestamp, snapshot, `targets`, `bins`.
fn follow(installation: &Installation, in_force: &InForce) -> std::result::Result<TrustedSet, String> {
    // Our own roles may be as large as they come.
    let all = usize::MAX;
    let limits = Limits {
        root_bytes_max: all,
        timestamp_bytes_max: all,
        snapshot_bytes_max: all,
        targets_bytes_max: all,
        ..Limits::default()
    };
    let told = |error: tuf::Refused| format!("a client refuses {error}");
    let files = in_force.chain().map_err(|error| error.to_string())?;
    let (first, later) = files.roots.split_first().ok_or("there is no root")?;
    let mut set = TrustedSet::new(first, time(installation.clock.now_us()), limits).map_err(told)?;
    for root in later {
        set.update_root(root).map_err(told)?;
    }
    set.finish_root().map_err(told)?;
    set.update_timestamp(&files.timestamp).map_err(told)?;
    set.update_snapshot(&files.snapshot).map_err(told)?;
    set.update_targets(Top::Targets.name(), Top::Root.name(), &files.targets).map_err(told)?;
    set.update_targets(BINS, Top::Targets.name(), &files.bins).map_err(told)?;
    Ok(set)
}

fn differing(installation: &Installation, roles: Roles) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (key, body) in roles.objects() {
        if installation.blobs.get(&key)? != body {
            wrong.push(format!("{key}: is not what the ledger says"));
        }
    }
    Ok(wrong)
}

/// Looks again while a running publisher may just be writing what looks wrong.
async fn settled<F>(installation: &Installation, index: &IndexName, mut look: impl FnMut() -> F) -> Result<Vec<String>>
where
    F: Future<Output = Result<Vec<String>>>,
{
    let mut wrong = look().await?;
    let row = indexes::named(&mut installation.store.read().await?, index).await?;
    let mut patience = Patience::new();
    while !wrong.is_empty() && patience.again(installation, row.id).await? {
        wrong = look().await?;
    }
    Ok(wrong)
}

/// The top of it: what is in force, and whether it holds together.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn outline(installation: &Arc<Installation>, index: &IndexName) -> Result<Outline> {
    let (mut tx, row, in_force) = begin(installation, index).await?;
    let (projects, _) = projects::counted(&mut tx, row.id).await?;
    drop(tx);
    let wrong = settled(installation, index, || async {
        let (_, _, in_force) = begin(installation, index).await?;
        let mut wrong: Vec<String> = follow(installation, &in_force).err().into_iter().collect();
        wrong.extend(differing(installation, in_force.top()?)?);
        Ok(wrong)
    });
    let wrong = wrong.await?;
    let (bins, roles) = (in_force.count(), in_force.role_files());
    let roots = in_force.chain()?.roots.iter().map(|root| hex(&sha256(root))).collect();
    let row = super::log::in_force(&mut installation.store.read().await?, row.id).await?;
    let log = row.map(|row| LogOutline { origin: row.origin, key: row.verifier, size: row.size.cast_unsigned() });
    Ok(Outline { bins, projects, roots, roles, log, wrong })
}

/// The page of a project, as JSON, that published state makes; `None` where it has none.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn page(installation: &Installation, index: &IndexName, project: &str) -> Result<Option<String>> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    let Ok(name) = project.parse() else { return Ok(None) };
    let Some(found) = projects::by_name(&mut tx, row.id, &name).await?.filter(|row| row.published) else {
        return Ok(None);
    };
    let (expected, key) = (expected_of(&mut tx, index, found.id).await?, layout::page(index, &name, "json"));
    let body = expected.objects.into_iter().find(|(at, _)| *at == key).and_then(|(_, body)| body);
    Ok(body.and_then(|body| String::from_utf8(body).ok()))
}

/// Entries of the log from one on, the last not included; fewer where it has no more.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn entries(installation: &Installation, index: &IndexName, from: u64, to: u64) -> Result<Vec<String>> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    let to = to.min(from.saturating_add(ENTRIES_MAX));
    log_rows::entries(&mut tx, row.id, from.cast_signed(), to.cast_signed()).await
}

/// These bins, the last not included: made again from their rows, signed by whom they must be, as they stand in the
/// site; and every row says what published state says.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn bins(installation: &Arc<Installation>, index: &IndexName, from: u32, to: u32) -> Result<Vec<String>> {
    settled(installation, index, || some_bins(installation, index, from, to)).await
}

async fn some_bins(installation: &Arc<Installation>, index: &IndexName, from: u32, to: u32) -> Result<Vec<String>> {
    let (mut tx, row, in_force) = begin(installation, index).await?;
    // What is wrong at the top was said there.
    let base = follow(installation, &in_force).ok();
    let mut wrong = Vec::new();
    for bin in from..to.min(in_force.count()) {
        match in_force.bin(&mut tx, bin).await {
            Err(error) => wrong.push(format!("bin {bin}: {error}")),
            Ok((key, bytes)) => {
                if let Some(mut set) = base.clone() {
                    let refused = set.update_targets(&in_force.bin_name(bin), BINS, &bytes).err();
                    wrong.extend(refused.map(|error| format!("a client refuses {error}")));
                }
                wrong.extend(differing(installation, Roles { files: vec![(key, bytes)], ..Roles::default() })?);
            }
        }
        for target in targets_of_bin(&mut tx, &in_force, bin).await? {
            wrong.extend(stray(&mut tx, row.id, &target).await?);
        }
    }
    Ok(wrong)
}

/// A target that published state knows nothing of, in words.
async fn stray(tx: &mut Tx, index_id: i64, target: &TargetRow) -> Result<Option<String>> {
    let path = &target.path;
    let parts: Vec<&str> = path.split('/').collect();
    let is_known = match parts[..] {
        ["simple", _, project, "index.json"] => match project.parse() {
            Ok(name) => projects::by_name(tx, index_id, &name).await?.is_some_and(|row| row.published),
            Err(_) => false,
        },
        ["p", _, _, filename] => {
            let file = files::by_name(tx, index_id, filename).await?;
            file.is_some_and(|file| file.published && file.sha256().to_string() == target.sha256)
        }
        _ => false,
    };
    Ok((!is_known).then(|| format!("{path}: is signed, and published state knows nothing of it")))
}

/// The next `most` projects after a name: each page and file is signed as published state has it, and its bytes are in
/// the site.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn projects(installation: &Arc<Installation>, index: &IndexName, after: &str, most: i64) -> Result<Part> {
    let listed = {
        let (mut tx, row, _) = begin(installation, index).await?;
        projects::published_after(&mut tx, row.id, after, most).await?
    };
    let mut wrong = Vec::new();
    for one in &listed {
        wrong.extend(settled(installation, index, || project(installation, index, one.id)).await?);
    }
    let is_last = (listed.len() as i64) < most;
    let next = listed.last().filter(|_| !is_last).map(|last| last.name.clone());
    Ok(Part { count: listed.len(), next, wrong })
}

async fn project(installation: &Arc<Installation>, index: &IndexName, id: i64) -> Result<Vec<String>> {
    let mut tx = installation.store.read().await?;
    let index_id = projects::by_id(&mut tx, id).await?.index_id;
    let expected = expected_of(&mut tx, index, id).await?;
    let (mut wrong, mut held) = (Vec::new(), Vec::new());
    for target in &expected.targets {
        let path = &target.path;
        if rows::target(&mut tx, index_id, path).await?.as_ref().is_none_or(|row| !row.is_of(target)) {
            wrong.push(format!("{path}: is published, and not signed as published state has it"));
        }
        if let Some((_, filename)) = path.rsplit_once('/').filter(|_| path.starts_with("p/")) {
            let sha256: Sha256 = target.sha256.parse().map_err(|_| Error::Internal(format!("the digest of {path}")))?;
            held.push((path.clone(), layout::site_file(index, &sha256, filename), sha256));
        }
    }
    drop(tx);
    let blobs = Arc::clone(&installation.blobs);
    let pages = expected.objects;
    let look = move || -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        for (path, key, sha256) in &held {
            match digest(&blobs, key)? {
                Some(found) if found == *sha256 => {}
                Some(found) => wrong.push(format!("{path}: its bytes have the SHA-256 {found}, not {sha256}")),
                None => wrong.push(format!("{path}: its bytes are not in the site")),
            }
        }
        for (key, body) in pages.iter().filter(|(key, _)| key.is_page_target()) {
            if blobs.get(key)? != *body {
                wrong.push(format!("{key}: is not the page that is signed"));
            }
        }
        Ok(wrong)
    };
    wrong.extend(tokio::task::spawn_blocking(look).await.map_err(|e| Error::Internal(e.to_string()))??);
    Ok(wrong)
}
