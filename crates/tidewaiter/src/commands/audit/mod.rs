//! `tuf audit`: the walk over everything that is signed, with a progress bar; and over what a mirror serves.
//!
//! What is asked of the installation comes in parts, so that a running server goes on serving and the bar moves. The
//! mirror is walked here, as a client would who trusts the ledger's roots: `mirror` its roles and targets, `plain` what
//! unverified installers fetch there under plain names, `log` its copy of the transparency log.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use client::verified::base;
use client::{Fetcher, Patience};
use index::ops::audit::{Outline, Part};
use indicatif::{ProgressBar, ProgressStyle};
use packaging::NormalizedName;

use super::Door;
use crate::cli::Place;
use crate::control::{Answer, Request, TufAsk};

mod log;
mod mirror;
mod plain;

use mirror::Mirror;

/// Bins that are looked at in one part.
const BINS_AT_ONCE: u32 = 64;
/// Differences that are told one by one.
const TOLD_MAX: usize = 10_000;

/// What is wrong, told as it is found.
struct Findings {
    bar: ProgressBar,
    count: usize,
}

impl Findings {
    /// Past [`TOLD_MAX`] they are counted alone: a mirror can be wrong as often as it likes.
    fn tell(&mut self, wrong: impl IntoIterator<Item = String>) -> Result<()> {
        for line in wrong {
            self.count += 1;
            if self.count > TOLD_MAX {
                continue;
            }
            self.bar.suspend(|| super::print(&format!("{line}\n")).map(drop))?;
        }
        Ok(())
    }
}

pub(super) async fn run(
    place: &Place,
    index: &str,
    mirror: Option<&str>,
    certificates: Option<&std::path::Path>,
) -> Result<ExitCode> {
    let door = Door::open(place, false, false).await?;
    let ended = walk(&door, index, mirror, certificates).await;
    // Neither before nor after it is anything repaired: what is told is what is there.
    door.leave().await?;
    ended
}

async fn ask<T: serde::de::DeserializeOwned>(door: &Door, ask: TufAsk) -> Result<T> {
    let Answer { output, error, .. } = door.ask(Request::Tuf(ask), &mut |_| {}).await?;
    match error {
        Some(error) => bail!(error),
        None => serde_json::from_str(&output).context("the server answered something else than a part of an audit"),
    }
}

async fn outline(door: &Door, index: &str) -> Result<Outline> {
    ask(door, TufAsk::AuditOutline { index: index.to_owned() }).await
}

/// What the mirror is held against.
struct Ledger<'a> {
    door: &'a Door,
    index: &'a str,
}

impl Ledger<'_> {
    async fn outline(&self) -> Result<Outline> {
        outline(self.door, self.index).await
    }

    /// The page of a project as it is published now; nothing where there is none.
    async fn page(&self, project: &NormalizedName) -> Result<Option<String>> {
        let project = project.as_str().to_owned();
        ask(self.door, TufAsk::AuditPage { index: self.index.to_owned(), project }).await
    }

    /// Entries of its log, the last not included.
    async fn entries(&self, from: u64, to: u64) -> Result<Vec<String>> {
        ask(self.door, TufAsk::AuditLog { index: self.index.to_owned(), from, to }).await
    }
}

async fn walk(
    door: &Door,
    index: &str,
    mirror: Option<&str>,
    certificates: Option<&std::path::Path>,
) -> Result<ExitCode> {
    let begun = outline(door, index).await?;
    let bins = u64::from(begun.bins);
    let bar = ProgressBar::new(bins * if mirror.is_some() { 2 } else { 1 } + begun.projects.unsigned_abs());
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos} of {len} bins and projects, {eta} left  {msg}")?);
    let mut found = Findings { bar, count: 0 };
    found.tell(begun.wrong.iter().cloned())?;
    for from in (0..begun.bins).step_by(BINS_AT_ONCE as usize) {
        let to = from.saturating_add(BINS_AT_ONCE).min(begun.bins);
        let wrong: Vec<String> = ask(door, TufAsk::AuditBins { index: index.to_owned(), from, to }).await?;
        found.tell(wrong)?;
        found.bar.inc(u64::from(to - from));
    }
    let (mut after, mut projects) = (Some(String::new()), 0);
    while let Some(last) = after {
        let part: Part = ask(door, TufAsk::AuditProjects { index: index.to_owned(), after: last }).await?;
        let Part { count, next, wrong } = part;
        found.tell(wrong)?;
        found.bar.inc(count as u64);
        projects += count;
        after = next;
    }
    let mut text = format!("{index}: {bins} bins, {projects} projects");
    if let Some(mirror) = mirror {
        let fetcher = Arc::new(Fetcher::new(certificates, Patience::default())?);
        let base = base(mirror).with_context(|| format!("--mirror {mirror} is no URL"))?;
        let mirror = Mirror { fetcher, tuf: base.join("tuf/")?, base };
        let files = mirror.walk(&Ledger { door, index }, &mut found).await?;
        text.push_str(&format!(", {files} files at the mirror"));
    }
    found.bar.finish_and_clear();
    if let Some(more) = found.count.checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        super::print(&format!("and {more} more\n"))?;
    }
    super::print(&format!("{text}, {} wrong\n", found.count))?;
    Ok(ExitCode::from(u8::from(found.count > 0)))
}
