//! What signing costs where bytes reach a disk, for `cargo xtask bench tuf`. Each prints one JSON object.
//!
//! - `bulk durable DIR BITS EACH SECONDS`: commits whose files are synced before the next one, one change each and 64.
//! - `bulk import DIR BITS TARGETS`: sorted targets to signed roles in files, on every core, synced at the end.
//! - `bulk repository DIR BITS EACH LIST NOW`: a repository for clients, dated NOW (seconds since 1970). LIST: `path length
//!   sha256` a line. Every bin that one of them is in holds EACH targets; the others are empty, as no client of these paths asks
//!   for them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tuf::Time;
use tuf::hash::{Sha256, sha256, unhex};
use tuf::keys::{Ed25519Signer, Signer};
use tuf::layout::{Target, role_file};
use tuf::write::{Bins, Founding, Holders, Issue, Lifetimes, Line, Offline, Online, Repository, Row, Shape, Written};

type Failure = Box<dyn Error + Send + Sync>;
type Rows = Vec<(String, u64, Sha256)>;

/// As in a public index: a project has some twenty files.
const FILES_OF_A_PROJECT: u64 = 20;

fn borrow(rows: &Rows) -> Vec<Row<'_>> {
    rows.iter().map(|(path, length, sha256)| Row { path, length: *length, sha256, custom: None }).collect()
}

/// Sorted paths, as an import reads them from a ledger. They belong to other bins, which changes nothing in their cost.
fn rows(bin: u64, count: u64) -> Rows {
    let one = |n: u64| {
        let project = format!("project-{bin:05}-{:03}", n / FILES_OF_A_PROJECT);
        let filename = format!("project_{bin:05}_{:03}-1.{}.0-py3-none-any.whl", n / FILES_OF_A_PROJECT, n);
        let mut digest = [7; 32];
        digest[..8].copy_from_slice(&(bin << 20 | n).to_be_bytes());
        (Target::Distribution { project: &project, filename: &filename }.path(), 123_456, digest)
    };
    let mut rows: Rows = (0..count).map(one).collect();
    rows.sort_unstable();
    rows
}

struct Stage {
    repository: Repository,
    online: Ed25519Signer,
    issue: Issue,
    offline: Vec<Written>,
}

impl Stage {
    fn new(bits: u32, now: Time) -> Result<Self, Failure> {
        let (offline, online) = (Ed25519Signer::from_seed(&[1; 32])?, Ed25519Signer::from_seed(&[2; 32])?);
        let holders = |signer: &Ed25519Signer| Holders { keys: vec![signer.public_key().clone()], threshold: 1 };
        let founding = Founding {
            root: holders(&offline),
            targets: holders(&offline),
            bins: holders(&offline),
            snapshot: holders(&online),
            timestamp: holders(&online),
            bin: holders(&online),
            shape: Bins::new(Shape::Succinct, bits, 1)?,
            issued: now,
            expires: now.plus_days(365),
        };
        let bodies = founding.bodies();
        let [root, targets, bins] = [bodies.root, bodies.targets, bodies.bins].map(|body| body.sign(&[&offline]));
        let offline = vec![root?, targets?, bins?];
        let [root, targets, bins] = [0, 1, 2].map(|n: usize| offline[n].bytes.as_slice());
        let repository = Repository::found(Offline::read(root, targets, bins)?);
        let lifetimes = Lifetimes { timestamp: 86_400, snapshot: 86_400, bin: 14 * 86_400 };
        Ok(Self { repository, online, issue: Issue { now, lifetimes, extra: BTreeMap::new() }, offline })
    }

    fn found_empty(&mut self) -> Result<(), Failure> {
        let keys: &[&dyn Signer] = &[&self.online];
        let online = Online { timestamp: keys, snapshot: keys, bins: keys };
        let all = (0..self.repository.bins().count()).map(|bin| (bin, &[][..]));
        let commit = self.repository.commit(all, &self.issue, &online)?;
        Ok(self.repository.apply(commit)?)
    }
}

fn write(folder: &Path, written: &Written, is_synced: bool) -> Result<(), Failure> {
    let version = (written.record.role != "timestamp").then_some(written.record.version);
    let mut file = File::create(folder.join(role_file(&written.record.role, version)))?;
    file.write_all(&written.bytes)?;
    if is_synced {
        file.sync_data()?;
    }
    Ok(())
}

/// Commits a second of `bins` changed bins each.
fn durable(stage: &mut Stage, folder: &Path, full: &[Rows], bins: u32, time: Duration) -> Result<f64, Failure> {
    let borrowed: Vec<Vec<Row<'_>>> = full.iter().map(borrow).collect();
    let count = stage.repository.bins().count();
    let (started, mut commits) = (Instant::now(), 0_u32);
    while started.elapsed() < time {
        let changes: Vec<(u32, &[Row<'_>])> = (0..bins)
            .map(|n| commits.wrapping_mul(7_919).wrapping_add(n * 131) % count)
            .map(|bin| (bin, &borrowed[(bin % 64) as usize][..]))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect();
        let keys: &[&dyn Signer] = &[&stage.online];
        let online = Online { timestamp: keys, snapshot: keys, bins: keys };
        let commit = stage.repository.commit(changes, &stage.issue, &online)?;
        for written in commit.written() {
            write(folder, written, true)?;
        }
        File::open(folder)?.sync_all()?;
        stage.repository.apply(commit)?;
        commits += 1;
    }
    Ok(f64::from(commits) / started.elapsed().as_secs_f64())
}

/// What one core signed: its bins, their targets, their bytes.
type Part = (Vec<(u32, Line)>, u64, u64);

/// Signs and writes every bin, on every core; then snapshot and timestamp. Returns targets and bytes.
fn import(stage: &mut Stage, folder: &Path, targets: u64) -> Result<(u64, u64), Failure> {
    let count = u64::from(stage.repository.bins().count());
    let cores = std::thread::available_parallelism()?.get() as u64;
    let (repository, online, issue) = (&stage.repository, &stage.online, &stage.issue);
    let part = move |core: u64| -> Result<Part, Failure> {
        let keys: &[&dyn Signer] = &[online];
        let signers = Online { timestamp: keys, snapshot: keys, bins: keys };
        let (mut lines, mut all, mut bytes) = (Vec::new(), 0, 0);
        for bin in (0..count).filter(|bin| bin % cores == core) {
            let held = rows(bin, targets / count + u64::from(bin < targets % count));
            let signed = repository.sign_bin(bin as u32, &borrow(&held), issue, &signers)?.written;
            write(folder, &signed, false)?;
            all += held.len() as u64;
            bytes += signed.bytes.len() as u64;
            lines.push((bin as u32, Line { version: signed.record.version, expires: signed.record.expires }));
        }
        Ok((lines, all, bytes))
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|core| scope.spawn(move || part(core))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| Failure::from("a thread ended"))).collect()
    });
    let (mut lines, mut all, mut bytes) = (Vec::new(), 0, 0);
    for part in done {
        let (some, targets, length) = part??;
        lines.extend(some);
        all += targets;
        bytes += length;
    }
    lines.sort_unstable_by_key(|(bin, _)| *bin);
    let keys: &[&dyn Signer] = &[&stage.online];
    let signers = Online { timestamp: keys, snapshot: keys, bins: keys };
    let commit = stage.repository.commit_signed(&lines, &stage.issue, &signers)?;
    for written in commit.written() {
        write(folder, written, false)?;
    }
    // The whole file system, once: what a publisher does before it lets anybody see the timestamp.
    let synced = std::process::Command::new("sync").arg("-f").arg(folder).status()?;
    if !synced.success() {
        return Err("sync failed".into());
    }
    Ok((all, bytes))
}

/// A repository whose touched bins are full.
fn repository(stage: &mut Stage, folder: &Path, each: u64, list: &str) -> Result<(), Failure> {
    let mut bins: BTreeMap<u32, Rows> = (0..stage.repository.bins().count()).map(|bin| (bin, Rows::new())).collect();
    for line in list.lines() {
        let [path, length, digest] = line.split(' ').collect::<Vec<_>>()[..] else { return Err("not a target".into()) };
        let digest = unhex(digest).and_then(|digest| digest.try_into().ok()).ok_or("no digest")?;
        bins.entry(stage.repository.bins().of(path)).or_default().push((path.to_owned(), length.parse()?, digest));
    }
    for (bin, held) in bins.iter_mut().filter(|(_, held)| !held.is_empty()) {
        // Digests as of files: what does not repeat does not get smaller.
        let filler = rows(u64::from(*bin), each.saturating_sub(held.len() as u64));
        held.extend(filler.into_iter().map(|(path, length, _)| (path.clone(), length, sha256(path.as_bytes()))));
        held.sort_unstable();
    }
    let keys: &[&dyn Signer] = &[&stage.online];
    let online = Online { timestamp: keys, snapshot: keys, bins: keys };
    let borrowed: Vec<(u32, Vec<Row<'_>>)> = bins.iter().map(|(bin, held)| (*bin, borrow(held))).collect();
    let commit =
        stage.repository.commit(borrowed.iter().map(|(bin, rows)| (*bin, &rows[..])), &stage.issue, &online)?;
    for written in commit.written().chain(&stage.offline) {
        write(folder, written, false)?;
    }
    Ok(stage.repository.apply(commit)?)
}

#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, folder, bits, more @ ..] = &arguments[..] else { return Err("MODE DIR BITS ...".into()) };
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    // Nobody asks those that no client reads when they are of.
    let now = if let ("repository", [_, _, now]) = (mode.as_str(), more) { now.parse()? } else { 1_800_000_000 };
    let mut stage = Stage::new(bits.parse()?, Time::from_seconds(now))?;
    match (mode.as_str(), more) {
        ("durable", [each, seconds]) => {
            stage.found_empty()?;
            let (each, time) = (each.parse()?, Duration::from_secs(seconds.parse()?));
            let full: Vec<Rows> = (0..64).map(|bin| rows(bin, each)).collect();
            let one = durable(&mut stage, folder, &full, 1, time)?;
            let many = durable(&mut stage, folder, &full, 64, time)?;
            println!("{{\"one\":{one:.1},\"sets_of_64\":{many:.2},\"changes_in_sets\":{:.0}}}", many * 64.0);
        }
        ("import", [targets]) => {
            let started = Instant::now();
            let (targets, bytes) = import(&mut stage, folder, targets.parse()?)?;
            let seconds = started.elapsed().as_secs_f64();
            println!("{{\"targets\":{targets},\"bytes\":{bytes},\"seconds\":{seconds:.1}}}");
        }
        ("repository", [each, list, _]) => {
            repository(&mut stage, folder, each.parse()?, &fs::read_to_string(list)?)?;
            println!("{{\"bins\":{}}}", stage.repository.bins().count());
        }
        _ => return Err("no such mode".into()),
    }
    Ok(())
}
