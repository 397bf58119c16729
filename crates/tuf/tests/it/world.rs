//! A repository in memory and a client of it, for the other tests.

use std::collections::BTreeMap;

use tuf::hash::sha256;
use tuf::json::{Object, Value};
use tuf::keys::{Ed25519Signer, Signer};
use tuf::layout::{Target, role_file};
use tuf::signed::{file, sign};
use tuf::trusted::{Rotation, Timestamped};
use tuf::write::{
    Bins, Body, Founding, Holders, Issue, Lifetimes, Offline, Online, Record, Renewal, Repository, Row, Shape, Written,
};
use tuf::{Limits, Lookup, Refused, Step, TargetFile, Time, Top, TrustedSet, Why};

/// Files by name: what a server serves, or a client stores.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) const NOW: Time = Time::from_seconds(1_800_000_000);
pub(crate) const LIFETIMES: Lifetimes = Lifetimes { timestamp: 86_400, snapshot: 86_400, bin: 14 * 86_400 };

pub(crate) fn key(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[seed; 32]).expect("any 32 bytes are a seed")
}

pub(crate) fn holders(signer: &Ed25519Signer) -> Holders {
    Holders { keys: vec![signer.public_key().clone()], threshold: 1 }
}

/// Paths, lengths and digests.
pub(crate) struct Rows(Vec<(String, u64, [u8; 32])>);

impl Rows {
    pub(crate) fn borrow(&self) -> Vec<Row<'_>> {
        self.0.iter().map(|(path, length, sha256)| Row { path, length: *length, sha256, custom: None }).collect()
    }
}

/// A repository, its keys, what its ledger knows and what it serves.
pub(crate) struct World {
    pub(crate) offline: Ed25519Signer,
    pub(crate) online: Ed25519Signer,
    pub(crate) repository: Repository,
    pub(crate) files: Files,
    pub(crate) records: Vec<Record>,
    /// Path to content.
    pub(crate) targets: BTreeMap<String, Vec<u8>>,
    pub(crate) now: Time,
}

impl World {
    /// 2^bits succinct bins, without a target.
    pub(crate) fn new(bits: u32) -> Self {
        Self::shaped(Shape::Succinct, bits)
    }

    pub(crate) fn shaped(shape: Shape, bits: u32) -> Self {
        let (offline, online) = (key(1), key(2));
        let founding = Founding {
            root: holders(&offline),
            targets: holders(&offline),
            bins: holders(&offline),
            snapshot: holders(&online),
            timestamp: holders(&online),
            bin: holders(&online),
            shape: Bins::new(shape, bits, 1).expect("a number of bins"),
            issued: NOW,
            expires: NOW.plus_days(365),
        };
        let bodies = founding.bodies();
        let written = [bodies.root, bodies.targets, bodies.bins].map(|body| body.sign(&[&offline]).expect("it signs"));
        let [root, targets, bins] = &written;
        let read = Offline::read(&root.bytes, &targets.bytes, &bins.bytes).expect("our own roles");
        let repository = Repository::found(read);
        let (files, records, targets) = (Files::new(), Vec::new(), BTreeMap::new());
        let mut world = Self { offline, online, repository, files, records, targets, now: NOW };
        written.iter().for_each(|written| world.publish(written));
        world.commit_unsigned();
        world
    }

    pub(crate) fn publish(&mut self, written: &Written) {
        let Record { role, version, .. } = &written.record;
        let version = (role != Top::Timestamp.name()).then_some(*version);
        let old = self.files.insert(role_file(role, version), written.bytes.clone());
        assert!(version.is_none() || old.is_none(), "{role} {version:?} is written once");
        self.records.push(written.record.clone());
    }

    pub(crate) fn issue(&self) -> Issue {
        Issue { now: self.now, lifetimes: LIFETIMES, extra: BTreeMap::new() }
    }

    /// The rows of a bin as the targets now are.
    pub(crate) fn rows(&self, bin: u32) -> Rows {
        let of = self.targets.iter().filter(|(path, _)| self.repository.bins().of(path) == bin);
        Rows(of.map(|(path, content)| (path.clone(), content.len() as u64, sha256(content))).collect())
    }

    /// Commits these bins as the targets now are.
    pub(crate) fn commit(&mut self, bins: &[u32]) {
        let keys: &[&dyn Signer] = &[&self.online];
        let online = Online { timestamp: keys, snapshot: keys, bins: keys };
        let rows: Vec<(u32, Rows)> = bins.iter().map(|bin| (*bin, self.rows(*bin))).collect();
        let rows: Vec<(u32, Vec<Row<'_>>)> = rows.iter().map(|(bin, rows)| (*bin, rows.borrow())).collect();
        let changes = rows.iter().map(|(bin, rows)| (*bin, &rows[..]));
        let commit = self.repository.commit(changes, &self.issue(), &online).expect("a sound commit");
        let written: Vec<Written> = commit.written().cloned().collect();
        self.repository.apply(commit).expect("it follows");
        written.iter().for_each(|written| self.publish(written));
    }

    /// Commits the bins that the next commit must have.
    pub(crate) fn commit_unsigned(&mut self) {
        let bins: Vec<u32> = self.repository.unsigned().collect();
        self.commit(&bins);
    }

    /// Gives a project a page, and commits it. Returns its path.
    pub(crate) fn page(&mut self, project: &str, content: &str) -> String {
        let path = Target::Page { project }.path();
        self.targets.insert(path.clone(), content.as_bytes().to_vec());
        self.commit(&[self.repository.bins().of(&path)]);
        path
    }

    /// Takes over offline roles, signed by these, and commits every bin that then must be.
    pub(crate) fn adopt(&mut self, renewal: &Renewal, signers: &[&dyn Signer]) {
        let sign = |body: &Option<Body>| body.as_ref().map(|body| body.sign(signers).expect("they sign"));
        let Renewal { root, targets, bins } = renewal;
        let new = [sign(root), sign(targets), sign(bins)];
        let in_force = |name: &str| {
            let newest = self.records.iter().rev().find(|record| record.role == name).expect("it was founded");
            self.files[&role_file(name, Some(newest.version))].clone()
        };
        let mut bytes = ["root", "targets", "bins"].map(in_force);
        for (bytes, new) in bytes.iter_mut().zip(&new) {
            if let Some(written) = new {
                bytes.clone_from(&written.bytes);
            }
        }
        let [root, targets, bins] = &bytes;
        self.repository = self.repository.adopt(root, targets, bins).expect("it follows");
        new.iter().flatten().for_each(|written| self.publish(written));
    }
}

/// Reads a file, changes its `signed`, and signs it anew: what a thief of the keys could do.
pub(crate) fn forge(bytes: &[u8], signers: &[&dyn Signer], edit: impl FnOnce(&mut Object)) -> Vec<u8> {
    let Ok(Value::Object(mut all)) = Value::parse(bytes, bytes.len()) else { panic!("no role") };
    let Some(Value::Object(mut signed)) = all.remove("signed") else { panic!("no role") };
    edit(&mut signed);
    let canonical = Value::Object(signed).to_canonical();
    file(&canonical, &sign(&canonical, signers).expect("they sign"))
}

pub(crate) fn set(signed: &mut Object, path: &[&str], value: impl Into<Value>) {
    let [inner @ .., last] = path else { panic!("a path") };
    let mut at = signed;
    for name in inner {
        let Some(Value::Object(next)) = at.get_mut(*name) else { panic!("no {name}") };
        at = next;
    }
    at.insert((*last).to_owned(), value.into());
}

/// The workflow of a client over files in memory: updates what it stores, and looks a path up.
pub(crate) fn visit(served: &Files, stored: &mut Files, now: Time, path: &str) -> Result<Option<TargetFile>, String> {
    let mut set = update(served, stored, now).map_err(|refused| refused.to_string())?;
    let mut lookup = Lookup::new(path);
    loop {
        match lookup.step(&mut set).map_err(|refused| refused.to_string())? {
            Step::Found(file) => return Ok(Some(file)),
            Step::Absent => return Ok(None),
            Step::Need { role, delegator } => {
                let old = stored.get(&role).is_some_and(|old| set.update_targets(&role, &delegator, old).is_ok());
                if !old {
                    let (meta, _) = set.wanted_targets(&role).map_err(|refused| refused.to_string())?;
                    let name = role_file(&role, Some(meta.version));
                    let bytes = served.get(&name).ok_or(format!("{name} is not there"))?;
                    set.update_targets(&role, &delegator, bytes).map_err(|refused| refused.to_string())?;
                    stored.insert(role, bytes.clone());
                }
            }
        }
    }
}

pub(crate) fn update(served: &Files, stored: &mut Files, now: Time) -> Result<TrustedSet, Refused> {
    let missing = |role: &str| Refused { role: role.to_owned(), why: Why::OutOfOrder("it is not there; it") };
    let mut set = TrustedSet::new(&stored["root"], now, Limits::default())?;
    while let Some(bytes) = served.get(&role_file("root", Some(set.root().version + 1))) {
        let rotation = set.update_root(bytes)?;
        stored.insert("root".to_owned(), bytes.clone());
        if rotation == Rotation::Online {
            stored.remove("timestamp");
            stored.remove("snapshot");
        }
    }
    set.finish_root()?;
    if let Some(old) = stored.get("timestamp") {
        let _ = set.load_timestamp(old);
    }
    let bytes = served.get("timestamp.json").ok_or_else(|| missing("timestamp"))?;
    if set.update_timestamp(bytes)? == Timestamped::Newer {
        stored.insert("timestamp".to_owned(), bytes.clone());
    }
    if !stored.get("snapshot").is_some_and(|old| set.load_snapshot(old).unwrap_or(false)) {
        let name = role_file("snapshot", Some(set.wanted_snapshot()?.0.version));
        let bytes = served.get(&name).ok_or_else(|| missing("snapshot"))?;
        set.update_snapshot(bytes)?;
        stored.insert("snapshot".to_owned(), bytes.clone());
    }
    Ok(set)
}

/// A client that has only the first root.
pub(crate) fn newcomer(world: &World) -> Files {
    Files::from([("root".to_owned(), world.files["1.root.json"].clone())])
}
