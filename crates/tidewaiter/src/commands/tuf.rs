//! `tuf`: who signs what, how long it lasts, and how it is changed.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use index::clock::Entropy;
use index::keys::{self, Curve, KEY_FILE_BYTES_MAX, Passphrase, Token};
use index::ops::audit;
use index::ops::ceremony::{self, Change, Holder, Outcome, People, Profile, Recover};
use index::ops::log::LostKey;
use index::ops::recover::{self, Recovering};
use index::{Installation, Shape};
use tuf::event::{EVENT_BYTES_MAX, Event};

use super::execute::index;
use super::{print, send, warn};
use crate::cli::{Holders, In, KeyKind, OtherHolders, Rotate, TufCommand, Unlock};
use crate::control::{Request, TufAsk};

const OPERATOR: &str = "operator";
/// Projects in one part of an audit.
const AUDITED_AT_ONCE: i64 = 200;
/// How many of the holders must sign where nothing is said.
const THRESHOLD: u64 = 2;
/// Length of a holder's public key, in bytes.
const HOLDER_BYTES_MAX: u64 = 16 << 10;
/// Length of a root that a holder kept, in bytes.
const ROOT_BYTES_MAX: u64 = 1 << 20;

pub(super) async fn run(command: TufCommand) -> Result<ExitCode> {
    let propose = |index, change| Request::Tuf(TufAsk::Propose { index, change });
    match command {
        TufCommand::Init { profile, holders, others, index: In { index }, place } => {
            let (targets, bins) = others_of(&others)?;
            let ask = match (profile, people(&holders)?) {
                (Profile::Dev, None) if targets.is_none() && bins.is_none() => TufAsk::InitDev { index },
                (Profile::Dev, _) => {
                    bail!("the keys of the dev profile are in the data folder; nobody else holds one")
                }
                (Profile::Team | Profile::Pep458, None) => {
                    bail!("--profile {profile}: name the holders, each with --holder FILE (see `tuf key`)")
                }
                (Profile::Team | Profile::Pep458, Some(root)) => {
                    TufAsk::Propose { index, change: Change::HandOver { profile, root, targets, bins } }
                }
            };
            send(&place, Request::Tuf(ask)).await
        }
        TufCommand::Status { index, place } => send(&place, Request::Tuf(TufAsk::Status { index })).await,
        TufCommand::Rotate(what) => rotate(what).await,
        TufCommand::Standby { public, index: In { index }, place } => {
            let key = read_holder(&public)?;
            send(&place, propose(index, Change::Standby { key })).await
        }
        TufCommand::Recover {
            good_snapshot,
            from,
            paper,
            hold_new,
            jump,
            holders,
            others,
            index: In { index },
            place,
        } => {
            let (targets, bins) = others_of(&others)?;
            let change = Recover { root: people(&holders)?, targets, bins, jump };
            let folder = from.map(std::path::absolute).transpose()?;
            let ask = TufAsk::Recover { index, good: good_snapshot, folder, paper, hold_new, change };
            send(&place, Request::Tuf(ask)).await
        }
        TufCommand::Audit { mirror, certificates, index: In { index }, place } => {
            super::audit::run(&place, &index, mirror.as_deref(), certificates.as_deref()).await
        }
        TufCommand::Rebin { count, index: In { index }, place } => {
            send(&place, propose(index, Change::Rebin { count })).await
        }
        TufCommand::Renew { index: In { index }, place } => send(&place, propose(index, Change::Renew)).await,
        TufCommand::Submit { events, profile, index: In { index }, place } => {
            let read = |path: &PathBuf| {
                // Read here too, so that what is damaged is named by its file.
                read_event(path)?;
                Ok(String::from_utf8(read_file(path, EVENT_BYTES_MAX as u64)?)?)
            };
            let events = events.iter().map(read).collect::<Result<Vec<_>>>()?;
            send(&place, Request::Tuf(TufAsk::Submit { index, events, profile })).await
        }
        TufCommand::Sign { event, key, root, unlock } => sign(&event, &key, root.as_deref(), &unlock),
        TufCommand::Show { event, root } => {
            let event = read_event(&event)?;
            show(&event, &stands_on(&event, root.as_deref())?)
        }
        TufCommand::Key { file, kind } => make_key(&file, &kind),
        TufCommand::Seal { file, old_passphrase_file, unlock } => seal(&file, old_passphrase_file.as_deref(), &unlock),
    }
}

async fn rotate(what: Rotate) -> Result<ExitCode> {
    let (place, ask) = match what {
        Rotate::Online { standby: None, unlock, .. } if unlock.passphrase_file.is_some() || unlock.passphrase_stdin => {
            bail!("a passphrase opens the standby's key: name its file too, --standby FILE")
        }
        Rotate::Online { standby: None, unlock: _, index: In { index }, place } => {
            (place, TufAsk::Propose { index, change: Change::RotateOnline })
        }
        Rotate::Online { standby: Some(key), unlock, index: In { index }, place } => {
            let key = String::from_utf8(read_file(&key, KEY_FILE_BYTES_MAX)?).context("is no key")?;
            (place, TufAsk::UseStandby { index, key, passphrase: passphrase(&unlock)? })
        }
        Rotate::Root { holders, index: In { index }, place } => {
            (place, TufAsk::Propose { index, change: Change::RotateRoot { root: people(&holders)? } })
        }
    };
    send(&place, Request::Tuf(ask)).await
}

fn seal(file: &Path, old: Option<&Path>, unlock: &Unlock) -> Result<ExitCode> {
    let old = old.map(Passphrase::read_file).transpose()?;
    let new = passphrase(unlock)?.context("say under which passphrase: --passphrase-file or -stdin")?;
    keys::seal_key(file, old.as_ref(), &new, &Entropy::system())?;
    Ok(ExitCode::SUCCESS)
}

fn passphrase(unlock: &Unlock) -> Result<Option<Passphrase>> {
    let Unlock { passphrase_file, passphrase_stdin } = unlock;
    Ok(match (passphrase_file, passphrase_stdin) {
        (Some(path), _) => Some(Passphrase::read_file(path)?),
        (None, true) => Some(Passphrase::read(std::io::stdin())?),
        (None, false) => None,
    })
}

fn people(Holders { holder, threshold }: &Holders) -> Result<Option<People>> {
    people_of(holder, *threshold)
}

fn people_of(holders: &[PathBuf], threshold: Option<u64>) -> Result<Option<People>> {
    let holders = holders.iter().map(|path| read_holder(path)).collect::<Result<Vec<_>>>()?;
    let threshold = threshold.unwrap_or(THRESHOLD);
    Ok((!holders.is_empty()).then_some(People { holders, threshold }))
}

fn others_of(others: &OtherHolders) -> Result<(Option<People>, Option<People>)> {
    let OtherHolders { targets_holder, targets_threshold, bins_holder, bins_threshold } = others;
    Ok((people_of(targets_holder, *targets_threshold)?, people_of(bins_holder, *bins_threshold)?))
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

fn read_holder(path: &Path) -> Result<Holder> {
    let text = read_file(path, HOLDER_BYTES_MAX)?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no public key", path.display()))
}

fn read_event(path: &Path) -> Result<Event> {
    // The reason says all of its causes by itself.
    let read = Event::from_json(&read_file(path, EVENT_BYTES_MAX as u64)?);
    read.map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// Whoever keeps the event in a file sees nothing of it: what was found, and who must still sign, goes to standard error.
pub(super) fn tell(answer: &str) {
    let Ok(event) = Event::from_json(answer.as_bytes()) else { return };
    event.notes().iter().chain(&event.standing()).for_each(warn);
    warn("nothing is changed yet: people must sign this event (`tuf sign`), then `tuf submit` its copies");
}

/// Holds an event against a root that its reader trusts, and says what that is worth.
fn stands_on(event: &Event, root: Option<&Path>) -> Result<String> {
    let Some(path) = root else {
        return Ok(match event.before() {
            None => "a founding: there is nothing that it goes on from".to_owned(),
            Some(_) => "NOT CHECKED: whether the index stood as the event says, from which `keeps` and `loses` come; give a root \
                        that you trust, --root FILE"
                .to_owned(),
        });
    };
    let version = event.stands_on(&read_file(path, ROOT_BYTES_MAX)?);
    let version = version.map_err(|error| anyhow!("{}: {error}", path.display()))?;
    Ok(format!("checked: what stood before goes on from your root, version {version}"))
}

/// Signs on whatever machine this is: no installation is needed. The file is replaced by one that holds the signature.
fn sign(path: &Path, key: &Path, root: Option<&Path>, unlock: &Unlock) -> Result<ExitCode> {
    let mut event = read_event(path)?;
    let stands = stands_on(&event, root)?;
    event.sign(&*keys::read_key(key, passphrase(unlock)?.as_ref())?)?;
    // Readable by whom it is passed on to; it holds no secret.
    keys::write_whole(path, &event.to_json(), 0o644, &Entropy::system()).context("cannot write the event")?;
    show(&event, &stands)
}

/// All that is signed, digests to be written on paper, and who has signed.
fn show(event: &Event, stands: &str) -> Result<ExitCode> {
    let mut out = String::new();
    for line in event.words() {
        let _ = writeln!(out, "{line}");
    }
    let _ = writeln!(out, "{stands}");
    if let Some(profile) = event.profile() {
        let _ = writeln!(out, "the profile becomes {profile}");
    }
    for note in event.notes() {
        let _ = writeln!(out, "noted by the server, not signed: {note}");
    }
    for (role, digest) in event.digests() {
        let _ = writeln!(out, "for paper: {role} SHA-256 {digest}");
    }
    for line in event.standing() {
        let _ = writeln!(out, "{line}");
    }
    print(&out)
}

/// Makes a key; its public half goes to standard output.
fn make_key(path: &Path, kind: &KeyKind) -> Result<ExitCode> {
    let KeyKind { unlock, plain, pkcs11, token, name, curve, keep_pin_file } = kind;
    let (known, entropy) = (passphrase(unlock)?, Entropy::system());
    let signer = match (pkcs11, token, &known) {
        (Some(library), Some(label), Some(pin)) => {
            let pin_file = unlock.passphrase_file.as_deref().filter(|_| *keep_pin_file);
            let pin_file = pin_file.map(std::path::absolute).transpose()?;
            let curve = if curve == "ecdsa" { Curve::P256 } else { Curve::Ed25519 };
            let token = Token { library, label, pin, pin_file: pin_file.as_deref() };
            keys::make_token_key(path, token, name, curve, &entropy)?
        }
        (None, ..) if curve != "ed25519" => {
            bail!("a key in a file is an Ed25519 key: --curve {curve} is for a key in a token, --pkcs11 (docs/keys.md)")
        }
        (Some(_), ..) => bail!("a token wants its PIN: --passphrase-file or --passphrase-stdin"),
        (None, _, None) if !plain => {
            bail!("say how the key is sealed, --passphrase-file or --passphrase-stdin; or --plain for a trial")
        }
        (None, ..) => keys::make_key(path, known.as_ref(), &entropy)?,
    };
    warn(format_args!("key id {}", signer.keyid()));
    print(&format!("{}\n", serde_json::to_string(&Holder::from(signer.public_key()))?))
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
            let outcome = ceremony::submit(installation, &index(&name)?, &copies, profile, OPERATOR).await?;
            Ok(told(outcome))
        }
        TufAsk::UseStandby { index: name, key, passphrase } => {
            let (index, key) = (index(&name)?, key.as_bytes());
            Ok(lines(&ceremony::use_standby(installation, &index, key, passphrase.as_ref(), OPERATOR).await?))
        }
        TufAsk::Recover { index: name, good, folder, paper, hold_new, change } => {
            let (folder, paper) = (folder.as_deref(), paper.as_deref());
            let how = Recovering { good, folder, paper, hold_new, change: &change };
            let (words, outcome) = recover::recover(installation, &index(&name)?, &how, OPERATOR).await?;
            Ok(if outcome.event.is_some() { told(outcome) } else { lines(&words) })
        }
        TufAsk::AuditOutline { index: name } => json(&audit::outline(installation, &index(&name)?).await?),
        TufAsk::AuditBins { index: name, from, to } => {
            json(&audit::bins(installation, &index(&name)?, from, to).await?)
        }
        TufAsk::AuditProjects { index: name, after } => {
            json(&audit::projects(installation, &index(&name)?, &after, AUDITED_AT_ONCE).await?)
        }
        TufAsk::AuditPage { index: name, project } => json(&audit::page(installation, &index(&name)?, &project).await?),
        TufAsk::AuditLog { index: name, from, to } => {
            json(&audit::entries(installation, &index(&name)?, from, to).await?)
        }
        TufAsk::InitDev { index: name } => {
            ceremony::is_dev(installation, &index(&name)?).await?;
            status(installation, Some(&name)).await
        }
    }
}

fn lines(words: &[String]) -> (String, u8) {
    (words.iter().map(|line| format!("{line}\n")).collect(), 0)
}

fn json(value: &impl serde::Serialize) -> index::Result<(String, u8)> {
    let text = serde_json::to_string(value).map_err(|error| index::Error::Internal(error.to_string()))?;
    Ok((text, 0))
}

/// The event alone, where somebody must still sign: it is kept as a file. Its own words say what it is about.
fn told(outcome: Outcome) -> (String, u8) {
    let Outcome { words, event } = outcome;
    match event {
        Some(event) => (String::from_utf8_lossy(&event).into_owned(), 0),
        None => lines(&words),
    }
}

/// How urgent it is, in words that grow.
fn alarm(level: u8) -> &'static str {
    match level {
        0 => "",
        1 => " SOON",
        2 => " SOON!",
        3 => " SOON!!",
        4 => " NOW",
        _ => " EXPIRED",
    }
}

fn short(keyid: &str) -> String {
    keyid.get(..12).unwrap_or(keyid).to_owned()
}

/// Keys that should be in the data folder and are not, a line each.
fn lost_lines(lost: &[String], unheld: &[String], notes: &[LostKey]) -> String {
    let signed = lost.iter().map(|keyid| (short(keyid), "signed last"));
    let held = unheld.iter().map(|keyid| (short(keyid), "holds offline roles"));
    let notes = notes.iter().map(|key| match key {
        LostKey::Log(name) => (name.clone(), "signs the log"),
        LostKey::Witness(name) => (name.clone(), "witnesses other logs"),
    });
    let all = signed.chain(held).chain(notes);
    all.map(|(key, what)| format!("  LOST      {key}: {what}, and is not in the data folder\n")).collect()
}

fn role_line(role: &ceremony::RoleStatus, now_us: i64) -> String {
    let here = |(keyid, here): &(String, bool)| if *here { format!("{} (here)", short(keyid)) } else { short(keyid) };
    let keys: Vec<String> = role.keys.iter().map(here).collect();
    format!(
        "  {:<9} version {:<6} {:>4} days left{}  {} of {}\n",
        role.role,
        role.version,
        role.days_left(now_us),
        alarm(role.alarm(now_us)),
        role.threshold,
        keys.join(", ")
    )
}

async fn status(installation: &Installation, only: Option<&str>) -> index::Result<(String, u8)> {
    let only = only.map(index).transpose()?;
    let now_us = installation.clock.now_us();
    let (mut out, mut bad) = (String::new(), false);
    for status in ceremony::status(installation, only.as_ref()).await? {
        let ceremony::Status { index, profile, bins: (shape, count), targets, roles, pending_us, put_aside, .. } =
            status;
        let ceremony::Status { standbys, retired, lost, unheld, lost_notes, unreadable, unused, paper, .. } = status;
        let shape = match shape {
            Shape::Classic => "classic",
            Shape::Succinct => "succinct",
        };
        let _ = writeln!(out, "{index}: profile {profile}, {count} {shape} bins, {targets} targets");
        for role in roles {
            bad |= role.is_urgent(now_us);
            out.push_str(&role_line(&role, now_us));
        }
        let standing: Vec<String> = standbys.iter().map(|keyid| short(keyid)).collect();
        match unreadable {
            Some(why) => {
                bad = true;
                let _ = writeln!(out, "  UNKNOWN   which keys are here: {why}");
            }
            None if standing.is_empty() => out.push_str("  standby   none; see `tuf standby`\n"),
            None => {
                let _ = writeln!(out, "  standby   {}", standing.join(", "));
            }
        }
        let gone = lost_lines(&lost, &unheld, &lost_notes);
        bad |= !gone.is_empty();
        out.push_str(&gone);
        for keyid in &retired {
            bad = true;
            let _ = writeln!(out, "  put aside {}: still trusted; revoke it", short(keyid));
        }
        let _ = writeln!(out, "  for paper snapshot {} and its bins: SHA-256 {}", paper.0, paper.1);
        for (name, keyid) in &unused {
            let _ = writeln!(
                out,
                "  unused    {}: {name}.key, which no role trusts; delete it once no event waits",
                short(keyid)
            );
        }
        if let Some(since_us) = pending_us {
            bad = true;
            let _ = writeln!(out, "  signed roles wait for the publisher, {} s", (now_us - since_us) / 1_000_000);
        }
        if let Some(why) = put_aside {
            bad = true;
            let _ = writeln!(out, "  the last change was put aside: {why}; make it anew");
        }
    }
    Ok((out, u8::from(bad)))
}
