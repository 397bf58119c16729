//! What a mirror serves: the way from the first root to every target, each role held against the ledger's; then what
//! hangs from it under plain names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::{FetchError, Fetcher};
use index::clock::Clock;
use index::ops::audit::Outline;
use packaging::NormalizedName;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tuf::hash::{hex, sha256};
use tuf::layout::{Target, role_file, target_file};
use tuf::write::BINS;
use tuf::{Limits, Lookup, Step, TargetFile, Time, Top, TrustedSet};
use url::Url;

use super::plain::{self, Listing};
use super::{Findings, Ledger};

/// Targets that are fetched side by side.
const FETCHES_MAX: usize = 8;
/// How often what is not as expected is looked at again, and after how long: plain names follow a publication, the list
/// of many projects within seconds, a shared cache within its time.
const LOOKS_MAX: usize = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// A place that serves the index. Nothing that comes from it is believed.
#[derive(Clone)]
pub(super) struct Mirror {
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) base: Url,
    pub(super) tuf: Url,
}

/// What one target led to: what is wrong, and of a page what the list of projects must say of it.
#[derive(Default)]
struct Looked {
    wrong: Vec<String>,
    listed: Option<(NormalizedName, Listing)>,
    /// A page whose plain names show something else: perhaps only later.
    unsettled: Option<NormalizedName>,
}

/// What the walk saw.
#[derive(Default)]
struct Seen {
    files: usize,
    projects: BTreeMap<NormalizedName, Listing>,
    unsettled: BTreeSet<NormalizedName>,
}

impl Mirror {
    /// A role's file; nothing if it is not there.
    async fn get(&self, role: &str, version: Option<u64>) -> Result<Option<Vec<u8>>> {
        let name = role_file(role, version);
        match self.fetcher.get(&self.tuf.join(&name)?, Limits::default().targets_bytes_max).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(FetchError::Missing) => Ok(None),
            Err(error) => bail!("{}{name} {error}", self.tuf),
        }
    }

    /// Follows the mirror's roles and compares each with the ledger's; then every file that they list, and what stands
    /// under plain names. Returns how many files were listed.
    pub(super) async fn walk(&self, ledger: &Ledger<'_>, found: &mut Findings) -> Result<usize> {
        let Some((set, ours)) = self.begin(ledger, found).await? else { return Ok(0) };
        let listed = set.snapshot().map(|snapshot| snapshot.meta.clone()).unwrap_or_default();
        let mut seen = Seen::default();
        for (role, meta) in listed.iter().filter(|(role, _)| ![Top::Targets.name(), BINS].contains(&role.as_str())) {
            found.bar.inc(1);
            let Some(bytes) = self.get(role, Some(meta.version)).await? else {
                found.tell([format!("mirror: {role}: version {} is not there", meta.version)])?;
                continue;
            };
            found.tell(differs(&ours, role, meta.version, &bytes))?;
            let mut bin = set.clone();
            if let Err(refused) = bin.update_targets(role, BINS, &bytes) {
                found.tell([format!("mirror: a client refuses {refused}")])?;
                continue;
            }
            let targets = bin.targets(role).map(|targets| targets.targets.clone()).unwrap_or_default();
            seen.files += targets.len();
            for looked in self.files(targets).await? {
                let Looked { wrong, listed, unsettled } = looked;
                if unsettled.is_none() {
                    found.tell(wrong)?;
                }
                seen.projects.extend(listed);
                seen.unsettled.extend(unsettled);
            }
        }
        let files = seen.files;
        let wrong = self.settle(ledger, set, ours, seen).await?;
        found.tell(wrong)?;
        Ok(files)
    }

    /// The top of what the mirror shows, if a client can follow it at all; and what the ledger has.
    async fn begin(&self, ledger: &Ledger<'_>, found: &mut Findings) -> Result<Option<(TrustedSet, Outline)>> {
        // What came meanwhile is in force there perhaps, and here surely.
        let stamp = self.get(Top::Timestamp.name(), None).await?;
        let ours = ledger.outline().await?;
        Ok(match self.top(&ours, stamp).await? {
            Ok((set, wrong)) => {
                found.tell(wrong)?;
                Some((set, ours))
            }
            Err(wrong) => {
                found.tell([format!("mirror: {wrong}")])?;
                None
            }
        })
    }

    /// What is wrong under plain names, in the log and on the list, once the mirror had time to catch up with itself: it may
    /// be written to while it is walked.
    async fn settle(
        &self,
        ledger: &Ledger<'_>,
        mut set: TrustedSet,
        mut ours: Outline,
        mut seen: Seen,
    ) -> Result<Vec<String>> {
        let mut look = 1;
        loop {
            let mut wrong = super::log::differences(self, ledger, &ours, &set).await?;
            for project in &seen.unsettled {
                let Looked { wrong: other, listed, unsettled: _ } = self.again(ledger, &mut set, project).await?;
                seen.projects.remove(project);
                seen.projects.extend(listed);
                wrong.extend(other);
            }
            let list = plain::list(self, &seen.projects).await?;
            seen.unsettled.extend(list.iter().filter_map(|(project, _)| project.clone()));
            wrong.extend(list.into_iter().map(|(_, text)| text));
            if wrong.is_empty() || look == LOOKS_MAX {
                return Ok(wrong);
            }
            look += 1;
            tokio::time::sleep(PAUSE).await;
            let stamp = self.get(Top::Timestamp.name(), None).await?;
            ours = ledger.outline().await?;
            match self.top(&ours, stamp).await? {
                Ok((newer, _)) => set = newer,
                // It was there a moment ago: what it shows now is told as it is.
                Err(refused) => return Ok(wrong.into_iter().chain([format!("mirror: {refused}")]).collect()),
            }
        }
    }

    /// A project once more. Plain names may be ahead of the mirror's roles: they are right as the ledger has them, too.
    async fn again(&self, ledger: &Ledger<'_>, set: &mut TrustedSet, project: &NormalizedName) -> Result<Looked> {
        let looked = self.signed(set, project).await?;
        if looked.listed.is_some() && looked.wrong.is_empty() {
            return Ok(looked);
        }
        let ours = ledger.page(project).await?.and_then(|json| plain::Page::read(json.into_bytes(), project));
        Ok(match ours {
            Some(page) if plain::project(self, &page).await?.is_empty() => {
                Looked { listed: Some((project.clone(), page.listing())), ..Looked::default() }
            }
            Some(_) | None => looked,
        })
    }

    /// The page of a project as a snapshot has it, with its plain names.
    async fn signed(&self, set: &mut TrustedSet, project: &NormalizedName) -> Result<Looked> {
        let path = Target::Page { project: project.as_str() }.path();
        let mut lookup = Lookup::new(&path);
        loop {
            let wrong = |text: String| Looked { wrong: vec![format!("mirror: {text}")], ..Looked::default() };
            match lookup.step(set) {
                Err(refused) => return Ok(wrong(format!("a client refuses {refused}"))),
                Ok(Step::Absent) => return Ok(Looked::default()),
                Ok(Step::Found(file)) => return self.page(&path, project, &file).await,
                Ok(Step::Need { role, delegator }) => {
                    let version = match set.wanted_targets(&role) {
                        Ok((meta, _)) => meta.version,
                        Err(refused) => return Ok(wrong(format!("a client refuses {refused}"))),
                    };
                    let Some(bytes) = self.get(&role, Some(version)).await? else {
                        return Ok(wrong(format!("{role}: version {version} is not there")));
                    };
                    if let Err(refused) = set.update_targets(&role, &delegator, &bytes) {
                        return Ok(wrong(format!("a client refuses {refused}")));
                    }
                }
            }
        }
    }

    /// The mirror's way from the first root to `bins`, and what of it is not the ledger's.
    async fn top(
        &self,
        ours: &Outline,
        stamp: Option<Vec<u8>>,
    ) -> Result<std::result::Result<(TrustedSet, Vec<String>), String>> {
        let mut roots = Vec::new();
        for (version, want) in (1_u64..).zip(&ours.roots) {
            match self.get(Top::Root.name(), Some(version)).await? {
                Some(bytes) if hex(&sha256(&bytes)) == *want => roots.push(bytes),
                Some(_) => return Ok(Err(format!("root version {version} is another one than the ledger's"))),
                None => return Ok(Err(format!("root version {version} is not there"))),
            }
        }
        if self.get(Top::Root.name(), Some(roots.len() as u64 + 1)).await?.is_some() {
            return Ok(Err(format!("there is a root version {} that the ledger does not know", roots.len() + 1)));
        }
        let Some(stamp) = stamp else { return Ok(Err("timestamp: is not there".to_owned())) };
        let now = Time::from_seconds(Clock::system().now_us().div_euclid(1_000_000));
        let mut set = match TrustedSet::new(&roots[0], now, Limits::default()) {
            Ok(set) => set,
            Err(refused) => return Ok(Err(refused.to_string())),
        };
        let begun = roots[1..].iter().try_for_each(|root| set.update_root(root).map(drop));
        if let Err(refused) =
            begun.and_then(|()| set.finish_root()).and_then(|()| set.update_timestamp(&stamp).map(drop))
        {
            return Ok(Err(format!("a client refuses {refused}")));
        }
        let version = set.timestamp().map_or(0, |timestamp| timestamp.version);
        let mut wrong = differs(ours, Top::Timestamp.name(), version, &stamp);
        let (snapshot, bins) = (Top::Snapshot.name(), BINS);
        for (role, delegator) in [(snapshot, ""), (Top::Targets.name(), Top::Root.name()), (bins, Top::Targets.name())]
        {
            let wanted = if role == snapshot { set.wanted_snapshot() } else { set.wanted_targets(role) };
            let version = match wanted {
                Ok((meta, _)) => meta.version,
                Err(refused) => return Ok(Err(refused.to_string())),
            };
            let Some(bytes) = self.get(role, Some(version)).await? else {
                return Ok(Err(format!("{role}: version {version} is not there")));
            };
            wrong.extend(differs(ours, role, version, &bytes));
            let taken = match role == snapshot {
                true => set.update_snapshot(&bytes),
                false => set.update_targets(role, delegator, &bytes),
            };
            if let Err(refused) = taken {
                return Ok(Err(format!("a client refuses {refused}")));
            }
        }
        Ok(Ok((set, wrong)))
    }

    /// Fetches files, and says which are not those that are signed.
    async fn files(&self, targets: BTreeMap<String, TargetFile>) -> Result<Vec<Looked>> {
        let (places, mut tasks) = (Arc::new(Semaphore::new(FETCHES_MAX)), JoinSet::new());
        for (path, file) in targets {
            let place = Arc::clone(&places).acquire_owned().await.context("nobody closes it")?;
            let mirror = self.clone();
            tasks.spawn(async move {
                let looked = match plain::project_of(&path) {
                    Some(project) => mirror.page(&path, &project, &file).await,
                    None => mirror.file(&path, &file).await,
                };
                drop(place);
                looked
            });
        }
        tasks.join_all().await.into_iter().collect()
    }

    /// Where a target is.
    fn target(&self, path: &str, file: &TargetFile) -> Option<Url> {
        let name = target_file(path, file.hashes.prefix().as_deref())?;
        self.tuf.join(&format!("targets/{name}")).ok()
    }

    async fn file(&self, path: &str, file: &TargetFile) -> Result<Looked> {
        let looked = |wrong: &str| Looked { wrong: vec![format!("mirror: {path}: {wrong}")], ..Looked::default() };
        let Some(url) = self.target(path, file) else { return Ok(looked("makes no URL")) };
        let mut hasher = file.hashes.hasher();
        let sink = |piece: &[u8]| {
            hasher.update(piece);
            Ok(())
        };
        Ok(match self.fetcher.get_into(&url, file.length, sink).await {
            Ok(length) if length == file.length && file.hashes.matches(hasher) => Looked::default(),
            Ok(_) => looked("is not the file that is signed"),
            Err(error) => looked(&error.to_string()),
        })
    }

    /// A page, and everything that it says of plain names.
    async fn page(&self, path: &str, project: &NormalizedName, file: &TargetFile) -> Result<Looked> {
        let looked = |wrong: &str| Looked { wrong: vec![format!("mirror: {path}: {wrong}")], ..Looked::default() };
        let Some(url) = self.target(path, file) else { return Ok(looked("makes no URL")) };
        let bytes = match self.fetcher.get(&url, usize::try_from(file.length).unwrap_or(usize::MAX)).await {
            Ok(bytes) => bytes,
            Err(error) => return Ok(looked(&error.to_string())),
        };
        let mut hasher = file.hashes.hasher();
        hasher.update(&bytes);
        if bytes.len() as u64 != file.length || !file.hashes.matches(hasher) {
            return Ok(looked("is not the file that is signed"));
        }
        let Some(page) = plain::Page::read(bytes, project) else {
            return Ok(looked("is signed, and no page of this project"));
        };
        let listed = Some((project.clone(), page.listing()));
        let wrong = plain::project(self, &page).await?;
        let unsettled = (!wrong.is_empty()).then(|| project.clone());
        Ok(Looked { wrong, listed, unsettled })
    }
}

/// Whether a role's file is another than the ledger's of that version, or of a version that the ledger has not made. An
/// older one is a mirror that is behind: clients judge that by its age.
fn differs(ours: &Outline, role: &str, version: u64, bytes: &[u8]) -> Vec<String> {
    match ours.roles.get(role) {
        None => vec![format!("mirror: {role}: the ledger knows no such role")],
        Some((own, ..)) if version > *own => {
            vec![format!("mirror: {role}: version {version} was never made here: the ledger is at {own}")]
        }
        Some((own, want, _)) if version == *own && hex(&sha256(bytes)) != *want => {
            vec![format!("mirror: {role}: version {version} is another one than the ledger's")]
        }
        Some(_) => Vec::new(),
    }
}
