//! An index as installers see it: who asks, how often, how old it may be.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use client::verified::base;
use client::{Fetcher, Index, Kind, Options, Patience, Policy, Refusal};
use packaging::name::NormalizedName;
use tempfile::TempDir;
use tuf::Time;
use tuf::layout::Target;
use url::Url;

use crate::server::{Answer, Answers, Log, serve};
use crate::sessions::{NOW, files};

const PAGE: &[u8] = br#"{"files":[],"meta":{"api-version":"1.4"},"name":"demo","versions":[]}"#;

struct World {
    answers: Answers,
    base: Url,
    log: Log,
    folder: TempDir,
    clock: Arc<AtomicI64>,
}

impl World {
    async fn new() -> Self {
        let signed = files(&Target::Page { project: "demo" }.path(), PAGE);
        let place = |name: String| name.replace("/metadata/", "/tuf/").replace("/targets/", "/tuf/targets/");
        let served = signed.into_iter().map(|(name, bytes)| (place(name), Answer::ok(&bytes))).collect();
        let answers = Arc::new(Mutex::new(served));
        let (base, log) = serve(Arc::clone(&answers)).await;
        let clock = Arc::new(AtomicI64::new(NOW.seconds()));
        Self { answers, base, log, folder: TempDir::new().expect("a folder"), clock }
    }

    async fn open(&self, policy: Policy) -> Result<Arc<Index>, Refusal> {
        let clock = Arc::clone(&self.clock);
        let options = Options {
            index: self.base.clone(),
            root: None,
            state: self.folder.path().to_owned(),
            policy,
            attestations: client::Attestations::Off,
            witnesses: client::Witnesses::default(),
            fetcher: Fetcher::new(None, Patience::default()).expect("a fetcher"),
            now: Arc::new(move || Time::from_seconds(clock.load(Ordering::SeqCst))),
        };
        Index::open(options).await
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.paths.lock().expect("no panic"))
    }
}

fn demo() -> NormalizedName {
    "demo".parse().expect("a name")
}

#[tokio::test]
async fn many_who_ask_at_once_cost_one_look_up() {
    let world = World::new().await;
    let index = world.open(Policy::default()).await.expect("it is there");
    assert!(index.state().is_first_use);
    assert_eq!(world.asked(), ["/tuf/1.root.json"]);
    let all: Vec<_> = (0..20)
        .map(|_| {
            let index = Arc::clone(&index);
            tokio::spawn(async move { index.page(&demo()).await.is_ok() })
        })
        .collect();
    for one in all {
        assert!(one.await.expect("no panic"));
    }
    let asked = world.asked();
    let roles = asked.iter().filter(|path| !path.contains("/targets/")).count();
    assert_eq!(roles, 6, "no further root, timestamp, snapshot, targets, bins, one bin: {asked:?}");

    // Unchanged, the next session costs two requests; and none while a session is young.
    let hasty = world.open(Policy { refresh_ms: 0, ..Policy::default() }).await.expect("it is there");
    assert!(!hasty.state().is_first_use);
    hasty.page(&demo()).await.expect("signed");
    hasty.page(&demo()).await.expect("signed");
    assert_eq!(world.asked(), ["/tuf/2.root.json", "/tuf/timestamp.json"].repeat(2));
    index.page(&demo()).await.expect("signed");
    assert!(world.asked().is_empty());
    let absent = index.page(&"none".parse().expect("a name")).await.expect_err("it is absent");
    assert_eq!(absent.kind, Kind::Absent);
}

#[tokio::test]
async fn a_word_grows_old() {
    let world = World::new().await;
    let policy = Policy { refresh_ms: 0, refuse_age_s: 7_200, ..Policy::default() };
    let index = world.open(policy).await.expect("it is there");
    for (age, warnings, is_served) in [(0, 0, true), (3_600, 0, true), (3_601, 1, true), (7_200, 2, true)] {
        world.clock.store(NOW.seconds() + age, Ordering::SeqCst);
        assert_eq!(index.page(&demo()).await.is_ok(), is_served, "{age} s");
        assert_eq!(index.notices().1.len(), warnings, "{age} s");
    }
    world.clock.store(NOW.seconds() + 7_201, Ordering::SeqCst);
    let refusal = index.page(&demo()).await.expect_err("too old");
    assert_eq!(refusal.kind, Kind::Refused);
    assert!(refusal.to_string().contains("at most 2 h are allowed"), "{refusal}");
    // The same while nothing can be asked.
    let offline = world.open(Policy { is_offline: true, ..policy }).await.expect("it is stored");
    assert!(offline.page(&demo()).await.is_err());
    world.clock.store(NOW.seconds() + 7_200, Ordering::SeqCst);
    world.asked();
    assert!(offline.page(&demo()).await.is_ok());
    assert!(world.asked().is_empty());
    // At its expiry it ends whatever the policy says.
    world.clock.store(NOW.seconds() + 86_400, Ordering::SeqCst);
    let patient = world.open(Policy { refuse_age_s: i64::MAX, ..policy }).await.expect("it is stored");
    let refusal = patient.page(&demo()).await.expect_err("expired").to_string();
    assert!(refusal.contains("timestamp: expired at"), "{refusal}");
}

#[tokio::test]
async fn a_page_that_is_none_and_one_that_is_too_long() {
    let world = World::new().await;
    let index = world.open(Policy::default()).await.expect("it is there");
    let page = world.answers.lock().expect("no panic").keys().find(|path| path.contains("index.json")).cloned();
    let page = page.expect("it is served");
    world.answers.lock().expect("no panic").insert(page, Answer::ok(&[PAGE, b" "].concat()));
    let refusal = index.page(&demo()).await.expect_err("too long").to_string();
    // Other bytes than those signed for, as any alteration is; nobody sends endless data here.
    let cause =
        format!("its length or digest is not the one that was signed for: it is longer than {} bytes", PAGE.len());
    assert!(refusal.contains(&cause) && !refusal.contains("endless"), "{refusal}");
    assert_eq!(index.notices().0.len(), 1);
}

#[test]
fn bases() {
    for text in ["https://x.example", "https://x.example/", "https://x.example/simple", "https://x.example/simple/"] {
        assert_eq!(base(text).expect("a URL").as_str(), "https://x.example/", "{text}");
    }
    assert_eq!(base("http://x/i/team/simple/").expect("a URL").path(), "/i/team/");
    assert!(base("x").is_err());
}
