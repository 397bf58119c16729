//! `tuf`: who signs what, how long it lasts, and how it is changed.

use std::fmt::Write;
use std::fs::OpenOptions;
use std::io::{Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use index::clock::Entropy;
use index::ops::ceremony::{self, Change, Holder, Outcome};
use index::{Installation, Shape};
use tuf::event::{EVENT_BYTES_MAX, Event};

use super::execute::index;
use super::{print, send};
use crate::cli::{Holders, In, TufCommand};
use crate::control::{Request, TufAsk};

const OPERATOR: &str = "operator";
/// Length of a holder's public key, in bytes.
const HOLDER_BYTES_MAX: u64 = 16 << 10;

pub(super) async fn run(command: TufCommand) -> Result<ExitCode> {
    match command {
        TufCommand::Init { profile, holders, index: In { index }, place } => {
            let Holders { holder, threshold } = holders;
            let ask = match (profile.as_str(), holder.is_empty()) {
                ("dev", true) => TufAsk::Status { index: Some(index) },
                ("dev", false) => bail!("the keys of the dev profile are in the data folder; nobody else holds one"),
                (_, true) => bail!("--profile {profile}: name the holders, each with --holder FILE (see `tuf key`)"),
                (_, false) => {
                    let change = Change::HandOver { profile, holders: read_holders(&holder)?, threshold };
                    TufAsk::Propose { index, change }
                }
            };
            send(&place, Request::Tuf(ask)).await
        }
        TufCommand::Status { index, place } => send(&place, Request::Tuf(TufAsk::Status { index })).await,
        TufCommand::Rotate { what, holders, index: In { index }, place } => {
            let Holders { holder, threshold } = holders;
            let change = match what.as_str() {
                "online" => Change::RotateOnline,
                _ => Change::RotateRoot { holders: read_holders(&holder)?, threshold },
            };
            send(&place, Request::Tuf(TufAsk::Propose { index, change })).await
        }
        TufCommand::Rebin { count, index: In { index }, place } => {
            send(&place, Request::Tuf(TufAsk::Propose { index, change: Change::Rebin { count } })).await
        }
        TufCommand::Renew { index: In { index }, place } => {
            send(&place, Request::Tuf(TufAsk::Propose { index, change: Change::Renew })).await
        }
        TufCommand::Submit { events, profile, index: In { index }, place } => {
            let read = |path: &PathBuf| Ok(String::from_utf8(read_file(path, EVENT_BYTES_MAX as u64)?)?);
            let events = events.iter().map(read).collect::<Result<Vec<_>>>()?;
            send(&place, Request::Tuf(TufAsk::Submit { index, events, profile })).await
        }
        TufCommand::Sign { event, key } => sign(&event, &key),
        TufCommand::Key { file } => make_key(&file),
    }
}

fn read_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > bytes_max {
        bail!("{} is longer than {bytes_max} bytes", path.display());
    }
    Ok(bytes)
}

fn read_holders(paths: &[PathBuf]) -> Result<Vec<Holder>> {
    let read = |path: &PathBuf| {
        let text = read_file(path, HOLDER_BYTES_MAX)?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no public key", path.display()))
    };
    paths.iter().map(read).collect()
}

/// Signs on whatever machine this is: no installation is needed. The file is replaced by one that holds the signature.
fn sign(path: &Path, key: &Path) -> Result<ExitCode> {
    let mut event = Event::from_json(&read_file(path, EVENT_BYTES_MAX as u64)?)?;
    event.sign(&*index::keys::read_key(key)?)?;
    let scratch = path.with_extension("new");
    std::fs::write(&scratch, event.to_json()).context("cannot write the event")?;
    std::fs::rename(&scratch, path).context("cannot write the event")?;
    let mut out = String::new();
    for line in event.words()? {
        let _ = writeln!(out, "{line}");
    }
    for (role, digest) in event.digests() {
        let _ = writeln!(out, "signed: {role} {digest}");
    }
    for status in event.status() {
        let _ = writeln!(out, "{} ({}): {} of {}", status.role, status.of, status.signed.len(), status.threshold);
    }
    print(&out)
}

/// Makes a key for a holder; its public half goes to standard output.
fn make_key(path: &Path) -> Result<ExitCode> {
    let private = packaging::hash::hex(&Entropy::system().bytes::<32>());
    let text = serde_json::json!({ "kind": "file", "private": private }).to_string();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let holder = Holder::from(index::keys::read_key(path)?.public_key());
    print(&format!("{}\n", serde_json::to_string(&holder)?))
}

/// Does what was asked of the installation.
pub(super) async fn attempt(installation: &Arc<Installation>, ask: TufAsk) -> index::Result<(String, u8)> {
    match ask {
        TufAsk::Status { index: only } => status(installation, only.as_deref()).await,
        TufAsk::Propose { index: name, change } => {
            Ok(told(ceremony::propose(installation, &index(&name)?, &change, OPERATOR).await?))
        }
        TufAsk::Submit { index: name, events, profile } => {
            let copies: Vec<Vec<u8>> = events.into_iter().map(String::into_bytes).collect();
            let outcome = ceremony::submit(installation, &index(&name)?, &copies, profile.as_deref(), OPERATOR).await?;
            Ok(told(outcome))
        }
    }
}

/// The event alone, where somebody must still sign: it is kept as a file. Its own words say what it is about.
fn told(outcome: Outcome) -> (String, u8) {
    let Outcome { words, event, missing: _ } = outcome;
    match event {
        Some(event) => (String::from_utf8_lossy(&event).into_owned(), 0),
        None => (words.into_iter().map(|line| format!("{line}\n")).collect(), 0),
    }
}

async fn status(installation: &Installation, only: Option<&str>) -> index::Result<(String, u8)> {
    let only = only.map(index).transpose()?;
    let now_us = installation.clock.now_us();
    let (mut out, mut bad) = (String::new(), false);
    for status in ceremony::status(installation, only.as_ref()).await? {
        let ceremony::Status { index, profile, bins: (shape, count), targets, roles, is_pending } = status;
        let shape = match shape {
            Shape::Classic => "classic",
            Shape::Succinct => "succinct",
        };
        let _ = writeln!(out, "{index}: profile {profile}, {count} {shape} bins, {targets} targets");
        for role in roles {
            let urgent = role.is_urgent(now_us);
            bad |= urgent;
            let keys = role.keys.iter().map(|(keyid, here)| {
                let short = keyid.get(..12).unwrap_or(keyid);
                if *here { format!("{short} (here)") } else { short.to_owned() }
            });
            let _ = writeln!(
                out,
                "  {:<9} version {:<6} {:>4} days left{}  {} of {}",
                role.role,
                role.version,
                role.days_left(now_us),
                if urgent { " SOON" } else { "" },
                role.threshold,
                keys.collect::<Vec<_>>().join(", ")
            );
        }
        if is_pending {
            bad = true;
            let _ = writeln!(out, "  signed roles wait for the publisher");
        }
    }
    Ok((out, u8::from(bad)))
}
