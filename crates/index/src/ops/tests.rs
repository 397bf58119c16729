//! The path, in process, on both engines: from bytes to head and back.

use std::io::Write;
use std::sync::Arc;

use packaging::metadata::{CoreMetadata, Field};
use packaging::{NormalizedName, ProjectStatus, Rule};

use super::projects::{self as verbs, Target};
use super::upload::{Accepted, Upload, receive, upload};
use super::{accounts, indexes, inspect, rebuild, scrub, workers};
use crate::blobs::layout;
use crate::model::{Actor, FileState, IndexName, TokenActor};
use crate::policy::upload::Form;
use crate::store::indexes::IndexRow;
use crate::store::projects;
use crate::testing::{Engine, engines, installation};
use crate::{Error, Installation, Settings};

/// Few, as every installation of a test signs them all.
const BINS: crate::Bins = crate::Bins { shape: crate::Shape::Succinct, bits: 4 };

/// A story's stage: an installation whose uploads do not wait, `main`, and the token of an account.
pub(super) struct Stage {
    pub(super) installation: Arc<Installation>,
    pub(super) index: IndexRow,
    pub(super) actor: TokenActor,
    _engine: Engine,
}

impl Stage {
    pub(super) async fn on(engine: Engine, settings: Settings) -> Self {
        let installation = installation(&engine, Settings { upload_wait_ms: 0, bins: BINS, ..settings }).await;
        accounts::create(&installation, "ann", "ann@example.org", None, None, "test").await.expect("an account");
        let main = IndexName::main();
        let token = accounts::create_token(&installation, &main, "ann", &[], None, "test").await.expect("a token");
        let actor = installation.verify_token(&main, &token).expect("good");
        let index = indexes::list(&installation).await.expect("list").remove(0);
        Self { installation, index, actor, _engine: engine }
    }

    /// Uploads a tiny wheel whose module holds `content`.
    pub(super) async fn upload(&self, project: &str, version: &str, content: &str) -> Result<Accepted, Error> {
        let (filename, bytes) = wheel(project, version, content);
        self.upload_bytes(&filename, &bytes).await
    }

    pub(super) async fn upload_bytes(&self, filename: &str, bytes: &[u8]) -> Result<Accepted, Error> {
        let mut receiving = receive(&self.installation, &self.index).expect("room");
        receiving.write(bytes).expect("written");
        let form = Form {
            filetype: Some("bdist_wheel".into()),
            pyversion: Some("py3".into()),
            sha256: Some(receiving.sha256_so_far()),
            ..Form::default()
        };
        let body = Some(receiving);
        let candidate = Upload { form, filename: filename.into(), content_type: None, body };
        upload(&self.installation, &self.index, &self.actor, candidate).await
    }

    /// Does everything that waits in the background.
    pub(super) async fn settle(&self) {
        while inspect::run_once(&self.installation).await.expect("inspected") > 0 {}
        workers::drain_publications(&self.installation).await.expect("published");
    }

    fn page(&self, project: &str) -> serde_json::Value {
        let key = layout::page(&self.index.name(), &name(project), "json");
        let body = self.installation.blobs.get(&key).expect("readable").expect("a page");
        serde_json::from_slice(&body).expect("JSON")
    }

    pub(super) fn filenames(&self, project: &str) -> Vec<String> {
        let page = self.page(project);
        let files = page["files"].as_array().expect("files");
        files.iter().map(|file| file["filename"].as_str().expect("text").to_owned()).collect()
    }

    pub(super) async fn assert_sound(&self) {
        let row = indexes::list(&self.installation).await.expect("list").remove(0);
        let wrong = scrub::scrub(&self.installation, &row, &mut |_| {}).await.expect("scrubbed");
        assert_eq!(wrong, Vec::<String>::new());
        let rebuilt = rebuild::rebuild(&self.installation, &row, &mut |_| {}).await.expect("rebuilt");
        let untouched = rebuild::Rebuilt { unchanged: rebuilt.unchanged, ..rebuild::Rebuilt::default() };
        assert_eq!(rebuilt, untouched, "a rebuild of a sound site changes nothing");
        let mut tx = self.installation.store.read().await.expect("read");
        let kept = projects::counts(&mut tx, row.id).await.expect("kept");
        assert_eq!(kept, projects::counted(&mut tx, row.id).await.expect("counted"), "what is shown was kept count of");
    }
}

pub(super) fn name(text: &str) -> NormalizedName {
    text.parse().expect("a name")
}

pub(super) fn wheel(project: &str, version: &str, content: &str) -> (String, Vec<u8>) {
    let part = name(project).in_filename();
    let info = format!("{part}-{version}.dist-info");
    let members = [
        (format!("{part}/__init__.py"), content.to_owned()),
        (format!("{info}/METADATA"), format!("Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n")),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
        ),
    ];
    let mut record: String = members
        .iter()
        .map(|(path, body)| {
            use base64::Engine;
            use sha2::Digest;
            let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(body.as_bytes()));
            format!("{path},sha256={digest},{}\n", body.len())
        })
        .collect();
    record.push_str(&format!("{info}/RECORD,,\n"));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (path, body) in members.iter().chain([&(format!("{info}/RECORD"), record)]) {
        zip.start_file(path, options).expect("started");
        zip.write_all(body.as_bytes()).expect("written");
    }
    (format!("{part}-{version}-py3-none-any.whl"), zip.finish().expect("finished").into_inner())
}

pub(super) async fn stages() -> Vec<Stage> {
    let mut out = Vec::new();
    for engine in engines().await {
        out.push(Stage::on(engine, Settings::default()).await);
    }
    out
}

fn rules(outcome: Result<Accepted, Error>) -> Vec<Rule> {
    match outcome {
        Err(Error::Rejected(rejections)) => rejections.into_iter().map(|rejection| rejection.rule).collect(),
        other => panic!("not rejected: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_walks_the_whole_path() {
    for stage in stages().await {
        let accepted = stage.upload("Foo", "1.0", "x = 1").await.expect("taken");
        assert!(matches!(accepted, Accepted::Staged { state: FileState::Staged, published: false, .. }));
        let key = layout::page(&stage.index.name(), &name("foo"), "json");
        assert!(!stage.installation.blobs.exists(&key), "nothing is visible before the inspection");
        stage.settle().await;
        assert_eq!(stage.filenames("foo"), ["foo-1.0-py3-none-any.whl"]);
        assert_eq!(stage.page("foo")["meta"]["_last-serial"], 1);
        stage.assert_sound().await;
        assert_eq!(stage.upload("Foo", "1.0", "x = 1").await.expect("the same"), Accepted::AlreadyHere);
        assert_eq!(rules(stage.upload("Foo", "1.0", "x = 2").await), [Rule::FileExists]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_uploads_to_one_project_are_few_sets() {
    for stage in stages().await {
        let stage = Arc::new(stage);
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..16 {
            let stage = Arc::clone(&stage);
            tasks.spawn(async move { stage.upload("foo", &format!("1.{n}"), &format!("x = {n}")).await.map(|_| ()) });
        }
        for outcome in tasks.join_all().await {
            outcome.expect("taken");
        }
        stage.settle().await;
        assert_eq!(stage.filenames("foo").len(), 16);
        let serial = indexes::list(&stage.installation).await.expect("list")[0].serial;
        assert!(serial <= 3, "sixteen uploads took {serial} sets");
        stage.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_takes_bytes_out_of_the_site_and_the_name_stays_used() {
    for stage in stages().await {
        let files = [stage.upload("foo", "1.0", "x = 1").await, stage.upload("foo", "2.0", "x = 2").await];
        assert!(files.iter().all(Result::is_ok));
        stage.settle().await;
        let (main, foo) = (IndexName::main(), name("foo"));
        let target = Target::Release("1.0".parse().expect("a version"));
        let operator = Actor::Operator;
        assert_eq!(
            verbs::remove(&stage.installation, &main, &foo, &target, None, &operator).await.expect("removed"),
            1
        );
        stage.settle().await;
        assert_eq!(stage.filenames("foo"), ["foo-2.0-py3-none-any.whl"]);
        assert!(!stage.installation.blobs.exists(&layout::legacy_release(&main, &foo, "1.0")));
        stage.assert_sound().await;
        assert_eq!(rules(stage.upload("foo", "1.0", "x = 1").await), [Rule::FilenameReused]);
        let again = verbs::remove(&stage.installation, &main, &foo, &target, None, &operator).await;
        assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantine_hides_everything_and_lifting_it_brings_the_same_bytes_back() {
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let before = stage.page("foo");
        let (main, foo) = (IndexName::main(), name("foo"));
        let set = async |status| {
            verbs::set_status(&stage.installation, &main, &foo, status, Some("why"), &Actor::Operator)
                .await
                .expect("set");
            stage.settle().await;
        };
        set(ProjectStatus::Quarantined).await;
        let page = stage.page("foo");
        assert_eq!(page["files"], serde_json::json!([]));
        assert_eq!(page["project-status"], serde_json::json!({ "reason": "why", "status": "quarantined" }));
        stage.assert_sound().await;
        assert_eq!(rules(stage.upload("foo", "2.0", "x = 2").await), [Rule::ProjectStatusRefuses]);
        set(ProjectStatus::Active).await;
        assert_eq!(stage.page("foo")["files"], before["files"]);
        stage.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_the_ledgers_rules_hold_at_the_limit_and_one_past_it() {
    let size = wheel("foo", "1.0", "x = 1").1.len() as u64;
    for engine in engines().await {
        let settings = Settings { project_bytes_max: 2 * size, release_open_seconds: 60, ..Settings::default() };
        let stage = Stage::on(engine, settings).await;
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.upload("foo", "1.1", "x = 2").await.expect("exactly the project's limit");
        assert_eq!(rules(stage.upload("foo", "1.2", "x = 3").await), [Rule::ProjectTooLarge]);
        let build = |n: u32| {
            let (_, bytes) = wheel("bar", "1.0", &format!("x = {n}"));
            (format!("bar-1.0-{n}-py3-none-any.whl"), bytes)
        };
        let (first, bytes) = build(1);
        stage.upload_bytes(&first, &bytes).await.expect("taken");
        stage.installation.clock.advance(60 * 1_000_000);
        let (second, other) = build(2);
        stage.upload_bytes(&second, &other).await.expect("open to its last second");
        stage.installation.clock.advance(1_000_000);
        let (third, more) = build(3);
        assert!(rules(stage.upload_bytes(&third, &more).await).contains(&Rule::ReleaseClosed));
        assert_eq!(stage.upload_bytes(&first, &bytes).await.expect("the same is always fine"), Accepted::AlreadyHere);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_would_be_confused_are_refused_once_and_for_new_projects_only() {
    for stage in stages().await {
        stage.upload("zope-lib", "1.0", "x = 1").await.expect("taken");
        assert_eq!(rules(stage.upload("z0pe.l1b", "1.0", "x = 2").await), [Rule::NameSimilar]);
        assert_eq!(rules(stage.upload("json", "1.0", "x = 3").await), [Rule::NameStdlib]);
        stage.upload("Zope_Lib", "1.1", "x = 4").await.expect("another spelling of the same project");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_spellings_of_one_file_are_one_name() {
    for stage in stages().await {
        let (_, bytes) = wheel("Foo-Bar", "1.0", "x = 1");
        // The builder's folder is spelled as its own file name, so the spellings differ where folders need not.
        stage.upload_bytes("foo_bar-1.0-py3-none-any.whl", &bytes).await.expect("taken");
        let (_, other) = wheel("Foo-Bar", "1.0", "x = 2");
        assert!(rules(stage.upload_bytes("foo_bar-1.0-PY3-none-any.whl", &other).await).contains(&Rule::FileExists));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn form_and_archive_must_agree() {
    for stage in stages().await {
        let (filename, bytes) = wheel("foo", "1.0", "x = 1");
        let mut receiving = receive(&stage.installation, &stage.index).expect("room");
        receiving.write(&bytes).expect("written");
        let mut metadata = CoreMetadata::default();
        metadata.push(Field::Name, "foo".into());
        metadata.push(Field::Version, "1.1".into());
        metadata.push(Field::RequiresDist, "evil".into());
        let form = Form {
            filetype: Some("bdist_wheel".into()),
            pyversion: Some("py3".into()),
            md5: Some("0".repeat(32)),
            metadata,
            ..Form::default()
        };
        let candidate = Upload { form, filename, content_type: None, body: Some(receiving) };
        let outcome = upload(&stage.installation, &stage.index, &stage.actor, candidate).await;
        assert_eq!(rules(outcome), [Rule::Mismatch, Rule::Mismatch, Rule::DigestMismatch]);
        let kept = stage.installation.blobs.list(&layout::vault(&stage.index.name())).expect("listed");
        assert_eq!(kept, [], "a refused upload leaves no bytes");
        let mut tx = stage.installation.store.read().await.expect("a transaction");
        let project = crate::store::projects::by_name(&mut tx, stage.index.id, &name("foo")).await.expect("sql");
        assert_eq!(project, None, "and claims no name");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_index_shares_nothing() {
    for stage in stages().await {
        let other: IndexName = "other".parse().expect("a name");
        indexes::create(&stage.installation, &other, packaging::Profile::Public, "test").await.expect("made");
        let rows = indexes::list(&stage.installation).await.expect("list");
        let token =
            accounts::create_token(&stage.installation, &other, "ann", &[], None, "test").await.expect("a token");
        assert!(stage.installation.verify_token(&IndexName::main(), &token).is_err(), "a token is good for its index");
        let second = Stage {
            installation: Arc::clone(&stage.installation),
            actor: stage.installation.verify_token(&other, &token).expect("good"),
            index: rows[1].clone(),
            _engine: Engine {
                store: stage.installation.store.clone(),
                folder: tempfile::TempDir::new().expect("a folder"),
            },
        };
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        second.upload("foo", "1.0", "x = 2").await.expect("the same name with other bytes");
        stage.settle().await;
        let hash = |stage: &Stage| stage.page("foo")["files"][0]["hashes"]["sha256"].clone();
        assert_ne!(hash(&stage), hash(&second));
        let serials: Vec<i64> =
            indexes::list(&stage.installation).await.expect("list").iter().map(|row| row.serial).collect();
        assert_eq!(serials, [1, 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_named_nowhere_before_its_first_visible_file() {
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        let (main, foo) = (IndexName::main(), name("foo"));
        let removed = verbs::remove(&stage.installation, &main, &foo, &Target::Project, None, &Actor::Operator).await;
        assert_eq!(removed.expect("removed"), 1);
        stage.settle().await;
        assert!(!stage.installation.blobs.exists(&layout::page(&main, &foo, "json")));
        let list = stage.installation.blobs.get(&layout::list(&main, "json")).expect("readable").expect("a list");
        assert!(!String::from_utf8_lossy(&list).contains("foo"));
        stage.assert_sound().await;
    }
}

/// Goal: one file that the disk lost stops nothing but itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_file_can_be_removed_and_others_are_still_published() {
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let (main, foo) = (IndexName::main(), name("foo"));
        let sha256 =
            stage.page("foo")["files"][0]["hashes"]["sha256"].as_str().expect("hex").parse().expect("a digest");
        let key = layout::site_file(&main, &sha256, "foo-1.0-py3-none-any.whl");
        stage.installation.blobs.delete(&key).expect("deleted");
        verbs::remove(&stage.installation, &main, &foo, &Target::Project, None, &Actor::Operator)
            .await
            .expect("removed");
        stage.upload("bar", "1.0", "x = 2").await.expect("taken");
        stage.settle().await;
        assert_eq!(stage.filenames("foo"), Vec::<String>::new());
        assert_eq!(stage.filenames("bar").len(), 1);
        let row = indexes::list(&stage.installation).await.expect("list").remove(0);
        let wrong = scrub::scrub(&stage.installation, &row, &mut |_| {}).await.expect("scrubbed");
        assert_eq!(wrong, ["foo-1.0-py3-none-any.whl: missing from the vault"]);
    }
}

/// Goal: no surface shows a file that another hides (rule 6). Method: every wanted state × every project status, set
/// straight in the ledger, published, and every object of the site asked whether it shows the file.
#[tokio::test(flavor = "multi_thread")]
async fn every_surface_agrees_on_what_is_visible() {
    use crate::model::is_visible;
    use crate::store::jobs::{self, JobKind};
    use crate::store::{files, projects, publishing};
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let (main, foo) = (IndexName::main(), name("foo"));
        let filename = "foo-1.0-py3-none-any.whl";
        let blobs = &stage.installation.blobs;
        for state in FileState::ALL {
            for status in ProjectStatus::ALL {
                let mut tx = stage.installation.store.write().await.expect("a transaction");
                let file = files::by_name(&mut tx, stage.index.id, filename).await.expect("sql").expect("a file");
                files::set_state(&mut tx, file.id, *state);
                projects::set_status(&mut tx, file.project_id, status, None);
                jobs::enqueue(&mut tx, JobKind::Publish, stage.index.id, file.project_id, None, 0);
                tx.commit().await.expect("commit");
                workers::drain_publications(&stage.installation).await.expect("published");
                let shows = |key: &crate::blobs::Key| {
                    let body = blobs.get(key).expect("readable").unwrap_or_default();
                    String::from_utf8_lossy(&body).contains(filename)
                };
                let sha256 = file.sha256();
                let surfaces = [
                    ("page, JSON", shows(&layout::page(&main, &foo, "json"))),
                    ("page, HTML", shows(&layout::page(&main, &foo, "html"))),
                    ("older JSON, project", shows(&layout::legacy_project(&main, &foo))),
                    ("older JSON, release", shows(&layout::legacy_release(&main, &foo, "1.0"))),
                    ("file", blobs.exists(&layout::site_file(&main, &sha256, filename))),
                    ("metadata", blobs.exists(&layout::site_metadata(&main, &sha256, filename))),
                    ("out of the vault", !blobs.exists(&layout::vault_file(&main, &sha256, filename))),
                    ("published rows", {
                        let mut tx = stage.installation.store.read().await.expect("a transaction");
                        !publishing::published(&mut tx, file.project_id).await.expect("sql").is_empty()
                    }),
                ];
                for (surface, shown) in surfaces {
                    assert_eq!(shown, is_visible(*state, status), "{surface}: {state:?}, {status:?}");
                }
                stage.assert_sound().await;
            }
        }
    }
}

/// Goal: the memory of a set is bounded whatever it touches, and the bins that it does not hold are written all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_touches_every_bin_holds_few_of_them() {
    use super::publish::Lease;
    use super::signing::{HELD_BYTES_MAX, InForce, Signing, TargetChange};
    for stage in stages().await {
        for version in 0..12 {
            stage.upload("foo", &format!("1.{version}"), "x = 1").await.expect("taken");
        }
        stage.settle().await;
        stage.assert_sound().await;
        let (of, main, foo) = (&stage.installation, IndexName::main(), name("foo"));
        verbs::set_status(of, &main, &foo, ProjectStatus::Quarantined, None, &Actor::Operator).await.expect("set");
        stage.settle().await;
        stage.assert_sound().await;
        let mut tx = of.store.read().await.expect("a transaction");
        let in_force = InForce::read(&mut tx, stage.index.id, &main).await.expect("read").expect("founded");
        let mut signing = Signing::new(in_force).expect("resumed");
        assert!(signing.has_keys(of, true).await.expect("keys"));
        let sha256 = packaging::Sha256::new([1; 32]);
        let changes = (0..100).map(|n| TargetChange::file(&foo, &format!("foo-{n}.tar.gz"), Some((&sha256, 1)), None));
        let (now, mut lease) = (of.clock.now_us(), Lease::of_nobody(of));
        let set = signing.sign(&mut tx, changes.collect(), None, now, Default::default(), &mut lease);
        let set = set.await.expect("signed");
        assert_eq!(set.bins, (0..1 << BINS.bits).collect::<Vec<u32>>());
        let roles = set.roles(&main);
        let held = roles.files.iter().filter(|(key, _)| key.as_str().contains(".bin")).map(|(_, bytes)| bytes.len());
        let (count, bytes) = held.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
        assert!(bytes <= HELD_BYTES_MAX && count > 0, "{count} bins of {bytes} bytes");
        assert_eq!(count + set.late.len(), set.bins.len());
    }
}

/// Goal: roles are renewed long before they expire, bins spread out, and nothing else changes by it.
#[tokio::test(flavor = "multi_thread")]
async fn roles_are_renewed_in_time_without_a_change() {
    use super::ceremony;
    const HOUR_US: i64 = 3_600_000_000;
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let page = stage.page("foo");
        for _ in 0..30 {
            stage.installation.clock.advance(12 * HOUR_US);
            workers::drain_publications(&stage.installation).await.expect("published");
            let now_us = stage.installation.clock.now_us();
            let status = ceremony::status(&stage.installation, None).await.expect("a status").remove(0);
            for role in status.roles {
                assert!(!role.is_urgent(now_us), "{} has {} days left", role.role, role.days_left(now_us));
            }
        }
        assert_eq!(stage.page("foo"), page);
        stage.assert_sound().await;
        stage.installation.clock.advance(340 * 24 * HOUR_US);
        let warnings = ceremony::warnings(&stage.installation).await.expect("warnings");
        assert!(warnings.iter().any(|warning| warning.contains("root")), "{warnings:?}");
    }
}

/// Goal: no client of a healthy, idle index ever thinks it frozen, and it costs a timestamp alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_index_says_often_that_nothing_changed() {
    use super::ceremony;
    const MINUTE_US: i64 = 60_000_000;
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let versions = async |at_us: i64| {
            let status = ceremony::status(&stage.installation, None).await.expect("a status").remove(0);
            let stamp = status.roles.iter().find(|role| role.role == "timestamp").expect("a timestamp");
            let age_s = at_us / 1_000_000 - (stamp.expires.seconds() - 86_400);
            assert!(age_s <= 30 * 60, "half of what makes a client uneasy: {age_s} s");
            assert!(status.roles.iter().all(|role| !role.is_urgent(at_us)));
            let of = |name: &str| status.roles.iter().find(|role| role.role == name).expect("a role").version;
            (of("timestamp"), of("snapshot"), of("bin"))
        };
        let before = versions(stage.installation.clock.now_us()).await;
        // Ten hours, looked at every ten minutes: a snapshot is renewed after twelve.
        for _ in 0..60 {
            stage.installation.clock.advance(10 * MINUTE_US);
            workers::drain_publications(&stage.installation).await.expect("published");
            versions(stage.installation.clock.now_us()).await;
        }
        let after = versions(stage.installation.clock.now_us()).await;
        assert_eq!((after.0 - before.0, after.1 - before.1, after.2 - before.2), (30, 0, 0));
        let stamp = layout::role(&stage.index.name(), "timestamp", after.0);
        let length = stage.installation.blobs.get(&stamp).expect("readable").expect("there").len();
        assert!(length < 1_500, "a timestamp has {length} bytes");
        stage.assert_sound().await;
    }
}

/// Goal: the alarm grows at 30, 14, 7 days and one; what has expired can still be renewed.
#[tokio::test(flavor = "multi_thread")]
async fn alarms_grow_and_an_expired_role_is_renewed() {
    use super::ceremony::{self, Change, WARN_DAYS};
    const DAY_US: i64 = 86_400_000_000;
    for stage in stages().await {
        stage.settle().await;
        let status = async || ceremony::status(&stage.installation, None).await.expect("a status").remove(0);
        let begun = stage.installation.clock.now_us();
        let root = status().await.roles.into_iter().find(|role| role.role == "root").expect("a root");
        let ends_us = root.expires.seconds() * 1_000_000;
        for (days, alarm) in [(31, 0), (30, 1), (15, 1), (14, 2), (8, 2), (7, 3), (2, 3), (1, 4), (0, 5)] {
            assert_eq!(root.alarm(ends_us - days * DAY_US), alarm, "{days} days before");
        }
        assert_eq!(root.alarm(ends_us - 30 * DAY_US - 1_000_000), 0);
        assert_eq!(WARN_DAYS, [30, 14, 7, 1], "docs/keys.md says so");
        stage.installation.clock.advance(366 * DAY_US);
        workers::drain_publications(&stage.installation).await.expect("online roles are renewed");
        let expired: Vec<String> = ceremony::warnings(&stage.installation).await.expect("warnings");
        assert!(expired.iter().any(|warning| warning.contains("root has expired")), "{expired:?}");
        let name = stage.index.name();
        let renewed = ceremony::propose(&stage.installation, &name, &Change::Renew, "test").await.expect("signed");
        assert!(renewed.event.is_none(), "dev signs by itself");
        workers::drain_publications(&stage.installation).await.expect("taken over");
        assert_eq!(ceremony::warnings(&stage.installation).await.expect("warnings"), Vec::<String>::new());
        assert!(stage.installation.clock.now_us() > begun);
        stage.assert_sound().await;
    }
}

/// Goal: an index that an older version filled is signed whole at its first start.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_before_signing_becomes_targets() {
    use crate::store::signing;
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.upload("bar", "2.0", "x = 2").await.expect("taken");
        stage.settle().await;
        let all = async || {
            let mut tx = stage.installation.store.read().await.expect("a transaction");
            signing::targets(&mut tx, stage.index.id, 0, 1 << signing::SLOT_BITS).await.expect("targets")
        };
        let before = all().await;
        assert_eq!(before.len(), 4, "two pages and two files");
        // As an older ledger is: published, and nothing signed.
        let mut tx = stage.installation.store.write().await.expect("a transaction");
        signing::unfound(&mut tx, stage.index.id).await.expect("forgotten");
        tx.commit().await.expect("commit");
        let site = layout::site(&stage.index.name());
        for key in stage.installation.blobs.list(&site).expect("listed") {
            if key.as_str().contains("/tuf/") {
                stage.installation.blobs.delete(&key).expect("deleted");
            }
        }
        workers::drain_publications(&stage.installation).await.expect("founded");
        assert_eq!(all().await, before);
        stage.assert_sound().await;
    }
}
