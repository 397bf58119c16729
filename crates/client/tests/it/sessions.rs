//! Sessions over HTTP: what is stored, what is fetched again, what is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use client::{ClientError, FetchError, Fetcher, Patience, Session, Source, Store};
use tempfile::TempDir;
use tuf::hash::{hex, sha256};
use tuf::keys::{Ed25519Signer, Signer};
use tuf::layout::{Target, role_file, target_file};
use tuf::write::{Bins, Founding, Holders, Issue, Lifetimes, Offline, Online, Repository, Row, Shape};
use tuf::{Limits, Time};
use url::Url;

use crate::server::{Answer, Answers, Log, serve};

pub(crate) const NOW: Time = Time::from_seconds(1_800_000_000);
const CONTENT: &[u8] = b"a page\n";

/// A repository of two bins with one page, served below `/metadata/` and `/targets/`.
struct World {
    answers: Answers,
    base: Url,
    log: Log,
    path: String,
    folder: TempDir,
    store: Store,
}

pub(crate) fn files(path: &str, content: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let key = Ed25519Signer::from_seed(&[1; 32]).expect("a seed");
    let one = Holders { keys: vec![key.public_key().clone()], threshold: 1 };
    let founding = Founding {
        root: one.clone(),
        targets: one.clone(),
        bins: one.clone(),
        snapshot: one.clone(),
        timestamp: one.clone(),
        bin: one,
        shape: Bins::new(Shape::Succinct, 1, 1).expect("two bins"),
        issued: NOW,
        expires: NOW.plus_days(365),
    };
    let bodies = founding.bodies();
    let signed = [bodies.root, bodies.targets, bodies.bins].map(|body| body.sign(&[&key]).expect("it signs"));
    let [root, targets, bins] = &signed;
    let offline = Offline::read(&root.bytes, &targets.bytes, &bins.bytes).expect("our own roles");
    let repository = Repository::found(offline);
    let digest = sha256(content);
    let rows = [Row { path, length: content.len() as u64, sha256: &digest, custom: None }];
    let bin = repository.bins().of(path);
    let lifetimes = Lifetimes { timestamp: 86_400, snapshot: 86_400, bin: 86_400 };
    let issue = Issue { now: NOW, lifetimes, extra: BTreeMap::new() };
    let keys: &[&dyn Signer] = &[&key];
    let online = Online { timestamp: keys, snapshot: keys, bins: keys };
    let changes = [(bin, &rows[..]), (1 - bin, &[][..])];
    let commit = repository.commit(changes, &issue, &online).expect("sound");
    let all = signed.iter().chain(commit.written()).map(|written| {
        let version = (written.record.role != "timestamp").then_some(written.record.version);
        (format!("/metadata/{}", role_file(&written.record.role, version)), written.bytes.clone())
    });
    let target = target_file(path, Some(&hex(&digest))).expect("a path");
    all.chain([(format!("/targets/{target}"), content.to_vec())]).collect()
}

impl World {
    async fn new() -> Self {
        let path = Target::Page { project: "demo" }.path();
        let files = files(&path, CONTENT);
        let root = files["/metadata/1.root.json"].clone();
        let served = files.into_iter().map(|(name, bytes)| (name, Answer::ok(&bytes))).collect();
        let answers = Arc::new(Mutex::new(served));
        let (base, log) = serve(Arc::clone(&answers)).await;
        let folder = TempDir::new().expect("a folder");
        let store = Store::open(&folder.path().join("metadata")).expect("a store");
        store.write("root", &root).expect("it is stored");
        Self { answers, base, log, path, folder, store }
    }

    fn source(&self) -> Arc<Source> {
        let fetcher = Fetcher::new(None, Patience::default()).expect("a fetcher");
        // Without a slash at its end, as people write it.
        Arc::new(Source::new(self.base.join("metadata").expect("a URL"), fetcher))
    }

    async fn download(&self, path: &str) -> Result<Option<Vec<u8>>, ClientError> {
        let source = self.source();
        let session = Session::start(&source, &self.store, NOW, Limits::default()).await?;
        let Some(file) = session.target(path).await? else { return Ok(None) };
        let base = self.base.join("targets").expect("a URL");
        let place = session.download(path, &file, &base, self.folder.path()).await?;
        Ok(Some(std::fs::read(place)?))
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.paths.lock().expect("no panic"))
    }

    fn serve(&self, path: &str, answer: Answer) {
        self.answers.lock().expect("no panic").insert(path.to_owned(), answer);
    }

    fn target(&self) -> String {
        format!("/targets/{}", target_file(&self.path, Some(&hex(&sha256(CONTENT)))).expect("a path"))
    }
}

#[tokio::test]
async fn only_what_is_needed_is_fetched_and_only_once() {
    let world = World::new().await;
    assert_eq!(world.download(&world.path).await.expect("sound").as_deref(), Some(CONTENT));
    assert_eq!(world.asked().len(), 7, "no further root, timestamp, snapshot, targets, bins, one bin, the page");
    assert_eq!(world.download(&world.path).await.expect("sound").as_deref(), Some(CONTENT));
    assert_eq!(world.asked(), ["/metadata/2.root.json", "/metadata/timestamp.json"]);
    assert_eq!(world.download("p/00/no/no").await.expect("proven absent"), None);
}

#[tokio::test]
async fn a_broken_store_is_fetched_anew() {
    let world = World::new().await;
    world.download(&world.path).await.expect("sound");
    for role in ["timestamp", "snapshot", "targets", "bins"] {
        world.store.write(role, b"{}").expect("it is stored");
        world.asked();
        assert!(world.download(&world.path).await.expect("sound").is_some(), "{role}");
        assert_eq!(world.asked().len(), if role == "timestamp" { 2 } else { 3 }, "{role} alone is fetched");
    }
    std::fs::remove_dir_all(world.folder.path().join("metadata")).expect("it is there");
    let store = Store::open(&world.folder.path().join("metadata")).expect("a store");
    let source = world.source();
    let refused = Session::start(&source, &store, NOW, Limits::default()).await;
    assert!(matches!(refused, Err(ClientError::NoRoot)));
}

#[tokio::test]
async fn a_file_that_was_not_signed_for_never_gets_its_name() {
    let world = World::new().await;
    for content in [&b"a PAGE\n"[..], b"short", b""] {
        world.serve(&world.target(), Answer::ok(content));
        assert!(matches!(world.download(&world.path).await, Err(ClientError::Mismatch(path)) if path == world.path));
    }
    world.serve(&world.target(), Answer::ok(b"a page\nand more"));
    let refused = world.download(&world.path).await;
    assert!(matches!(refused, Err(ClientError::Fetch { why: FetchError::TooLong(7), .. })));
    let there = |folder: &Path| std::fs::read_dir(folder).expect("a folder").count();
    assert_eq!(there(world.folder.path()), 1, "the store alone");

    // One that was swapped on the disk is fetched again.
    world.serve(&world.target(), Answer::ok(CONTENT));
    world.download(&world.path).await.expect("sound");
    let place = world.folder.path().join(tuf::layout::quote(&world.path));
    std::fs::write(&place, b"a PAGE\n").expect("it can be swapped");
    assert_eq!(world.download(&world.path).await.expect("sound").as_deref(), Some(CONTENT));
}

#[tokio::test]
async fn refusals_say_what_they_refuse() {
    let world = World::new().await;
    world.serve("/metadata/timestamp.json", Answer::ok(b"{}"));
    let refused = world.download(&world.path).await.expect_err("no timestamp");
    assert_eq!(refused.to_string(), "refused: timestamp: `signatures` is missing or no array");
    world.serve("/metadata/timestamp.json", Answer::raw("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"));
    let refused = world.download(&world.path).await.expect_err("no timestamp").to_string();
    assert!(refused.ends_with("/metadata/timestamp.json answers 500"), "{refused}");
    // A root that cannot be had is no proof that there is none.
    world.serve("/metadata/2.root.json", Answer::raw("HTTP/1.1 503 Oh\r\ncontent-length: 0\r\n\r\n"));
    let refused = world.download(&world.path).await.expect_err("no root").to_string();
    assert!(refused.ends_with("/metadata/2.root.json answers 503"), "{refused}");
}
