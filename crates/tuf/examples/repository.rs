//! Writes a small repository into a folder, for other implementations to read: `repository DIR classic|succinct BITS
//! ed25519|p256 [rebin]`. With `rebin` it goes on to twice as many bins under another snapshot and timestamp key. Its
//! keys are published here and good for nothing else.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use tuf::hash::{hex, sha256, unhex};
use tuf::keys::{Ed25519Signer, P256Signer, Signer};
use tuf::layout::{Target, role_file, target_file};
use tuf::write::{Bins, Custom, Founding, Holders, Issue, Lifetimes, Offline, Online, Repository, Row, Shape, Written};
use tuf::{Time, json};

/// What every target holds.
const CONTENT: &[u8] = b"a page\n";

/// PKCS #8 of a P-256 key.
const P256: &str = "\
    308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420770f37bcba73b1507add2d750000\
    1cf93bd3c508332eacee306ec432493515e6a14403420004e376e60a793227e180732926d13be022622dc60320b04fba77b5\
    0759255132c3923499d66c7075f12643a0f5101ee99594ef996ecb4d07618bb9d4f65397a6f1";

fn signer(kind: &str, seed: u8) -> Result<Box<dyn Signer>, Box<dyn Error>> {
    Ok(match kind {
        "p256" => Box::new(P256Signer::from_pkcs8(&unhex(P256).ok_or("no key")?)?),
        _ => Box::new(Ed25519Signer::from_seed(&[seed; 32])?),
    })
}

/// A page and a file of each of a hundred projects.
fn paths() -> Vec<String> {
    let mut paths: Vec<String> = (0..100)
        .flat_map(|n| {
            let (project, filename) = (format!("demo-{n}"), format!("demo_{n}-1.0+local.tar.gz"));
            let file = Target::Distribution { project: &project, filename: &filename };
            [Target::Page { project: &project }.path(), file.path()]
        })
        .collect();
    paths.sort_unstable();
    paths
}

fn write(metadata: &Path, written: &Written) -> Result<(), Box<dyn Error>> {
    let version = (written.record.role != "timestamp").then_some(written.record.version);
    Ok(fs::write(metadata.join(role_file(&written.record.role, version)), &written.bytes)?)
}

/// Commits every bin with these paths, and writes the files.
fn commit(
    repository: &mut Repository,
    paths: &[String],
    now: Time,
    online: &Online<'_>,
    metadata: &Path,
) -> Result<(), Box<dyn Error>> {
    let digest = sha256(CONTENT);
    let custom = Custom::new([("x".to_owned(), json::Value::from("a \"quoted\" \u{e9} \\ text"))].into());
    let mut rows: BTreeMap<u32, Vec<Row<'_>>> = (0..repository.bins().count()).map(|bin| (bin, Vec::new())).collect();
    for path in paths {
        let row = Row { path, length: CONTENT.len() as u64, sha256: &digest, custom: Some(&custom) };
        rows.entry(repository.bins().of(path)).or_default().push(row);
    }
    let lifetimes = Lifetimes { timestamp: 86_400, snapshot: 86_400, bin: 14 * 86_400 };
    let issue = Issue { now, lifetimes, extra: BTreeMap::new() };
    let commit = repository.commit(rows.iter().map(|(bin, rows)| (*bin, &rows[..])), &issue, online)?;
    for written in commit.written() {
        write(metadata, written)?;
    }
    Ok(repository.apply(commit)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, shape, bits, kind, more @ ..] = &arguments[..] else { return Err("DIR SHAPE BITS KIND".into()) };
    let shape = if shape == "classic" { Shape::Classic } else { Shape::Succinct };
    let bits = bits.parse()?;
    let offline = [Ed25519Signer::from_seed(&[1; 32])?, Ed25519Signer::from_seed(&[2; 32])?];
    let online = signer(kind, 3)?;
    let two = Holders { keys: offline.iter().map(|signer| signer.public_key().clone()).collect(), threshold: 2 };
    let one = Holders { keys: vec![online.public_key().clone()], threshold: 1 };
    // Far ahead, so that what is read today is read in years.
    let now = Time::from_seconds(4_000_000_000);
    let expires = now.plus_days(365);
    let founding = Founding {
        root: two.clone(),
        targets: two.clone(),
        bins: two,
        snapshot: one.clone(),
        timestamp: one.clone(),
        bin: one,
        shape: Bins::new(shape, bits, 1)?,
        issued: now,
        expires,
    };
    let holders: Vec<&dyn Signer> = offline.iter().map(|signer| signer as &dyn Signer).collect();
    let bodies = founding.bodies();
    let [root, targets, bins] = [bodies.root, bodies.targets, bodies.bins].map(|body| body.sign(&holders));
    let (root, targets, bins) = (root?, targets?, bins?);
    let mut repository = Repository::found(Offline::read(&root.bytes, &targets.bytes, &bins.bytes)?);

    let (metadata, files) = (Path::new(folder).join("metadata"), Path::new(folder).join("targets"));
    fs::create_dir_all(&metadata)?;
    let paths = paths();
    for path in &paths {
        let place = files.join(target_file(path, Some(&hex(&sha256(CONTENT)))).ok_or("a path")?.replace("%2B", "+"));
        fs::create_dir_all(place.parent().ok_or("a folder")?)?;
        fs::write(place, CONTENT)?;
    }
    for written in [&root, &targets, &bins] {
        write(&metadata, written)?;
    }
    let key: &[&dyn Signer] = &[&*online];
    commit(&mut repository, &paths, now, &Online { timestamp: key, snapshot: key, bins: key }, &metadata)?;
    if more.iter().any(|word| word == "rebin") {
        let next = Ed25519Signer::from_seed(&[4; 32])?;
        let one = Holders { keys: vec![next.public_key().clone()], threshold: 1 };
        let renewal = repository.offline().rebin(shape, bits + 1, &one, now, expires)?;
        let root = renewal.root.ok_or("a root")?.sign(&holders)?;
        let bins = renewal.bins.ok_or("bins")?.sign(&holders)?;
        repository = repository.adopt(&root.bytes, &targets.bytes, &bins.bytes)?;
        write(&metadata, &bins)?;
        write(&metadata, &root)?;
        let new: &[&dyn Signer] = &[&next];
        commit(&mut repository, &paths, now, &Online { timestamp: new, snapshot: new, bins: key }, &metadata)?;
    }
    Ok(())
}
