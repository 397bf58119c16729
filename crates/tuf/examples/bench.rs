//! What signing costs: commits at a full-size repository in memory, a founding, single steps. Prints one JSON object.
//! `bench [BITS [TARGETS_PER_BIN [SECONDS]]]`; one thread.
//!
//! Figures are of processor time, so that they are those of one core whatever else the machine does; `wall_over_cpu`
//! says how much longer it took by the clock.

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use tuf::hash::{Sha256, sha256};
use tuf::keys::{Ed25519Signer, Signer};
use tuf::layout::Target;
use tuf::write::{Bins, Founding, Holders, Issue, Lifetimes, Offline, Online, Repository, Row, Shape, body};
use tuf::{Snapshot, Targets, Time};

type Rows = Vec<(String, Sha256)>;

fn borrow(rows: &Rows) -> Vec<Row<'_>> {
    rows.iter().map(|(path, sha256)| Row { path, length: 123_456, sha256, custom: None }).collect()
}

/// As many paths as a bin holds. They belong to other bins, which changes nothing in what they cost.
fn rows(bin: u32, count: u32) -> Rows {
    let path = |n: u32| {
        let (project, filename) = (format!("project-{bin}-{n}"), format!("project_{bin}_{n}-1.2.3-py3-none-any.whl"));
        Target::Distribution { project: &project, filename: &filename }.path()
    };
    let mut rows: Rows = (0..count).map(|n| (path(n), sha256(&n.to_be_bytes()))).collect();
    rows.sort_unstable();
    rows
}

fn found(bits: u32, offline: &Ed25519Signer, online: &Ed25519Signer, now: Time) -> Result<Repository, Box<dyn Error>> {
    let holders = |signer: &Ed25519Signer| Holders { keys: vec![signer.public_key().clone()], threshold: 1 };
    let founding = Founding {
        root: holders(offline),
        targets: holders(offline),
        bins: holders(offline),
        snapshot: holders(online),
        timestamp: holders(online),
        bin: holders(online),
        shape: Bins::new(Shape::Succinct, bits, 1)?,
        issued: now,
        expires: now.plus_days(365),
    };
    let bodies = founding.bodies();
    let [root, targets, bins] = [&bodies.root, &bodies.targets, &bodies.bins].map(|body| body.sign(&[offline]));
    Ok(Repository::found(Offline::read(&root?.bytes, &targets?.bytes, &bins?.bytes)?))
}

/// Processor time of this thread, in seconds, as Linux counts it in nanoseconds.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().ok_or("no first field")?.parse::<f64>()? / 1e9)
}

/// Mean microseconds of processor time of one call, over at least the given time by the clock.
fn micros<T>(at_least: Duration, mut call: impl FnMut() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let (started, cpu, mut count) = (Instant::now(), cpu_seconds()?, 0_u32);
    while started.elapsed() < at_least || count == 0 {
        black_box(call()?);
        count += 1;
    }
    Ok((cpu_seconds()? - cpu) * 1e6 / f64::from(count))
}

#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| arguments.next().map_or(Ok(default), |text| text.parse());
    let (bits, each, seconds) = (number(14)?, number(1_000)?, Duration::from_secs(u64::from(number(3)?)));
    let now = Time::from_seconds(1_800_000_000);
    let (offline, online) = (Ed25519Signer::from_seed(&[1; 32])?, Ed25519Signer::from_seed(&[2; 32])?);
    let keys: &[&dyn Signer] = &[&online];
    let signers = Online { timestamp: keys, snapshot: keys, bins: keys };
    let lifetimes = Lifetimes { timestamp: 86_400, snapshot: 86_400, bin: 14 * 86_400 };
    let issue = Issue { now, lifetimes, extra: BTreeMap::new() };

    let mut repository = found(bits, &offline, &online, now)?;
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    let commit = repository.commit((0..repository.bins().count()).map(|bin| (bin, &[][..])), &issue, &signers)?;
    repository.apply(commit)?;
    let found_ms = (cpu_seconds()? - cpu) * 1e3;

    // A few full bins stand for all: a publisher reads the rows of a bin from its ledger, not from memory.
    let full: Vec<Rows> = (0..64).map(|bin| rows(bin, each)).collect();
    let borrowed: Vec<Vec<Row<'_>>> = full.iter().map(borrow).collect();
    let mut next = 0_u32;
    let mut commits = |bins: u32| {
        micros(seconds, || {
            let changes: Vec<(u32, &[Row<'_>])> = (0..bins)
                .map(|n| next.wrapping_mul(7_919).wrapping_add(n) % repository.bins().count())
                .map(|bin| (bin, &borrowed[(bin % 64) as usize][..]))
                .collect();
            next = next.wrapping_add(1);
            let commit = repository.commit(changes, &issue, &signers)?;
            Ok(repository.apply(commit)?)
        })
    };
    let (one_us, two_us) = (commits(1)?, commits(2)?);

    let short = seconds / 3;
    let expires = now.plus_days(14);
    let render_us = micros(short, || Ok(body::bin(7, expires, black_box(&borrowed[0]))?))?;
    let signed = repository.sign_bin(0, &borrowed[0], &issue, &signers)?;
    let bin_bytes = signed.written.bytes.len();
    let parse = || tuf::Signed::<Targets>::parse(&signed.written.bytes, usize::MAX);
    let parse_us = micros(short, || Ok(parse()?))?;
    let commit = repository.commit([], &issue, &signers)?;
    let parse = || tuf::Signed::<Snapshot>::parse(&commit.snapshot.bytes, usize::MAX);
    let parse_snapshot_us = micros(short, || Ok(parse()?))?;
    let due_us = micros(short, || Ok(repository.due(now.plus_days(8), 14 * 86_400, 60)))?;
    let wall_over_cpu = started.elapsed().as_secs_f64() / (cpu_seconds()? - cpu);
    println!(
        "{{\"bins\":{},\"targets_per_bin\":{each},\"commits_per_second_one_bin\":{:.0},\
         \"commits_per_second_two_bins\":{:.0},\"found_ms\":{found_ms:.0},\"render_bin_us\":{render_us:.1},\
         \"bin_bytes\":{bin_bytes},\"snapshot_bytes\":{},\"parse_bin_us\":{parse_us:.0},\
         \"parse_snapshot_us\":{parse_snapshot_us:.0},\"due_us\":{due_us:.0},\"wall_over_cpu\":{wall_over_cpu:.2}}}",
        repository.bins().count(),
        1e6 / one_us,
        1e6 / two_us,
        commit.snapshot.bytes.len(),
    );
    Ok(())
}
