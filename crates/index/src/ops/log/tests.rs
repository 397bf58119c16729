//! What is done to an index is in its log, names nobody, and is made again byte for byte.

use std::collections::BTreeMap;

use attest::Publisher;
use tlog::entry::{Act, Change as Turn, Role, Salt, Status, commit};
use tlog::{Entry, Hash, Log, Origin, Policy, VerifierKey};

use super::super::publish::Lease;
use super::super::signing::{InForce, Signing};
use super::super::tests::{Stage, name, stages};
use super::super::{accounts, indexes, projects as verbs};
use super::{Book, Whom, erase, in_force, mapping, rows, walk};
use crate::blobs::layout;
use crate::model::{Actor, IndexName, ProjectRole};
use crate::ops::projects::Target;
use crate::store::log::LogRow;
use crate::store::{publishing, signing};

impl Stage {
    async fn entries(&self) -> Vec<Entry> {
        let mut tx = self.installation.store.read().await.expect("a transaction");
        let count = rows::count(&mut tx, self.index.id).await.expect("counted");
        let bodies = rows::entries(&mut tx, self.index.id, 0, count).await.expect("entries");
        bodies.iter().map(|body| Entry::parse(body.as_bytes()).expect("an entry")).collect()
    }

    async fn row(&self) -> LogRow {
        let mut tx = self.installation.store.read().await.expect("a transaction");
        in_force(&mut tx, self.index.id).await.expect("read").expect("founded")
    }

    /// Everything that anybody can read of the log.
    fn published_bytes(&self) -> Vec<u8> {
        let site = layout::site(&self.index.name());
        let keys = self.installation.blobs.list(&site).expect("listed");
        let log = keys.iter().filter(|key| key.as_str().contains("/site/tlog/") && !key.as_str().ends_with(".gz"));
        log.flat_map(|key| self.installation.blobs.get(key).expect("read").expect("there")).collect()
    }

    async fn operate(&self, act: &str) {
        let (main, foo, operator) = (IndexName::main(), name("foo"), Actor::Operator);
        let release = Target::Release("1.0".parse().expect("a version"));
        let of = &self.installation;
        let done = match act {
            "yank" => {
                verbs::yank(of, &main, &foo, &release, Some("secret words"), &Actor::Token(self.actor.clone())).await
            }
            "unyank" => verbs::yank(of, &main, &foo, &release, None, &operator).await,
            "remove" => verbs::remove(of, &main, &foo, &release, Some("more words"), &operator).await.map(|_| ()),
            "bob" => verbs::set_role(of, &main, &foo, "bob", Some(ProjectRole::Maintainer), &operator).await,
            "bind" => verbs::set_publisher(of, &main, &foo, workflow(), true, &Actor::Token(self.actor.clone())).await,
            "unbind" => verbs::set_publisher(of, &main, &foo, workflow(), false, &operator).await,
            "no bob" => verbs::set_role(of, &main, &foo, "bob", None, &operator).await,
            status => {
                let status = status.parse().expect("a status");
                verbs::set_status(of, &main, &foo, status, Some("and words"), &operator).await
            }
        };
        done.unwrap_or_else(|error| panic!("{act}: {error}"));
        self.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_is_an_entry_of_its_publication_and_names_nobody() {
    for stage in stages().await {
        accounts::create(&stage.installation, "bob", "bob@example.org", None, None, "test").await.expect("an account");
        for version in ["1.0", "2.0"] {
            stage.upload("foo", version, version).await.expect("taken");
            stage.settle().await;
        }
        for act in ["yank", "unyank", "bob", "no bob", "deprecated", "quarantined", "active", "remove"] {
            stage.operate(act).await;
        }
        let entries = stage.entries().await;
        let files = |file: &tlog::entry::LoggedFile| file.name.as_str()[4..7].to_owned();
        let said: Vec<String> = entries
            .iter()
            .map(|entry| match &entry.act {
                Act::Publish(file) => format!("publish {}", files(file)),
                Act::Yank(file) => format!("yank {}", files(file)),
                Act::Unyank(file) => format!("unyank {}", files(file)),
                Act::Remove(file) => format!("remove {}", files(file)),
                Act::Status(status) => format!("{status:?}").to_lowercase(),
                Act::Owner(turn, role, _) => format!("{turn:?} {role:?}").to_lowercase(),
                Act::Publisher(turn, _) => format!("publisher {turn:?}"),
            })
            .collect();
        let mut quarantine = said[8..12].to_vec();
        quarantine.sort();
        assert_eq!(
            [&said[..8], &said[12..]].concat(),
            [
                "add owner",
                "publish 1.0",
                "publish 2.0",
                "yank 1.0",
                "unyank 1.0",
                "add maintainer",
                "remove maintainer",
                "deprecated",
                "publish 1.0",
                "publish 2.0",
                "remove 1.0"
            ],
            "{said:?}"
        );
        assert_eq!(quarantine, ["active", "quarantined", "remove 1.0", "remove 2.0"], "{said:?}");
        // Who did it: the uploader and whoever yanked are one account, under one id; the operator is nobody.
        let ann = entries[1].by.expect("uploaded by somebody");
        assert_eq!((entries[3].by, entries[4].by), (Some(ann), None));
        assert!(matches!(&entries[0].act, Act::Owner(Turn::Add, Role::Owner, whom) if *whom == ann));
        assert!(matches!(&entries[7].act, Act::Status(Status::Deprecated)));
        assert_eq!(entries.last().and_then(|entry| entry.page).map(|page| page.to_hex().len()), Some(64));
        let text = String::from_utf8_lossy(&stage.published_bytes()).into_owned();
        for word in ["ann", "bob", "example.org", "words", "operator"] {
            assert!(!text.contains(word), "the log says {word}");
        }
        stage.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timestamp_names_the_checkpoint_that_the_logs_key_signed() {
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let (row, main) = (stage.row().await, IndexName::main());
        let key = VerifierKey::parse(&row.verifier).expect("a key");
        let policy =
            Policy { origin: Origin::new(&row.origin).expect("one"), log: vec![key], witnesses: vec![], quorum: 0 };
        let note = stage.installation.blobs.get(&layout::log_checkpoint(&main)).expect("read").expect("there");
        let head = policy.open(&note).expect("signed").checkpoint.head();
        let timestamp = stage.installation.blobs.get(&layout::role(&main, "timestamp", 0)).expect("read");
        let timestamp: serde_json::Value = serde_json::from_slice(&timestamp.expect("there")).expect("JSON");
        let bound = &timestamp["signed"]["x-log"];
        assert_eq!(bound["size"].as_u64(), Some(head.size));
        assert_eq!(bound["root"].as_str(), Some(head.root.to_hex().as_str()));
        assert_eq!((head.size, bound["origin"].as_str()), (2, Some(row.origin.as_str())));
        // What was never published is not in it: nor is a second file of the same project that is held.
        stage.upload_bytes(&super::super::tests::wheel("foo", "2.0", "y").0, b"no archive").await.expect_err("refused");
        stage.settle().await;
        assert_eq!(stage.row().await.size, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_mapping_is_gone_for_good() {
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.upload("bar", "1.0", "x = 2").await.expect("taken");
        stage.settle().await;
        let (of, main, foo) = (&stage.installation, IndexName::main(), name("foo"));
        let ann = Whom::Account("ann".to_owned());
        let known = mapping(of, &main, &foo, &ann).await.expect("known");
        let other = mapping(of, &main, &name("bar"), &ann).await.expect("known");
        assert_ne!(known.pseudonym, other.pseudonym, "each project has its own");
        let salt = tuf::hash::unhex(&known.salt).and_then(|salt| salt.try_into().ok()).expect("32 bytes");
        assert_eq!(commit(&Salt(salt), b"ann").0.to_hex(), known.commitment, "what its owner can show");
        erase(of, &main, &foo, &ann, "operator").await.expect("erased");
        assert!(mapping(of, &main, &foo, &ann).await.is_err());
        assert!(erase(of, &main, &foo, &ann, "operator").await.is_err());
        stage.operate("yank").await;
        let anew = mapping(of, &main, &foo, &ann).await.expect("another one");
        assert_ne!((&anew.pseudonym, &anew.salt), (&known.pseudonym, &known.salt));
        assert!(mapping(of, &main, &name("bar"), &ann).await.is_ok(), "one project's alone was erased");
        stage.assert_sound().await;
    }
}

fn workflow() -> Publisher {
    let (repository, workflow) = ("secret-owner/secret-repository".to_owned(), "secret.yml".to_owned());
    Publisher::GitHub { repository, workflow, environment: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_publishes_from_outside_is_in_the_log_and_is_not_named() {
    for stage in stages().await {
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        // Bound before there is a page: the log hears of it with the page.
        stage.operate("bind").await;
        stage.settle().await;
        for act in ["unbind", "bind", "bind"] {
            stage.operate(act).await;
        }
        let entries = stage.entries().await;
        let by: Vec<_> = entries.iter().map(|entry| entry.by.is_some()).collect();
        let turns: Vec<_> = entries
            .iter()
            .filter_map(|entry| if let Act::Publisher(turn, whom) = &entry.act { Some((*turn, *whom)) } else { None })
            .collect();
        assert_eq!(turns.iter().map(|(turn, _)| *turn).collect::<Vec<_>>(), [Turn::Add, Turn::Remove, Turn::Add]);
        assert_eq!(by, [true, true, true, false, true], "by the account, then by the operator: {entries:?}");
        assert!(turns.iter().all(|(_, whom)| *whom == turns[0].1), "one publisher under one id");
        let text = String::from_utf8_lossy(&stage.published_bytes()).into_owned();
        assert!(!text.contains("secret"), "the log names who publishes");
        // What its owner can show, and its erasure.
        let (of, main, foo, whom) = (&stage.installation, IndexName::main(), name("foo"), Whom::Publisher(workflow()));
        let known = mapping(of, &main, &foo, &whom).await.expect("known");
        let salt = tuf::hash::unhex(&known.salt).and_then(|salt| salt.try_into().ok()).expect("32 bytes");
        assert_eq!(known.identity, workflow().to_json());
        assert_eq!(commit(&Salt(salt), known.identity.as_bytes()), turns[0].1.commitment);
        erase(of, &main, &foo, &whom, "operator").await.expect("erased");
        assert!(mapping(of, &main, &foo, &whom).await.is_err());
        stage.assert_sound().await;
    }
}

/// Makes the index one of before there was a log: its timestamp names none.
async fn before_the_log(stage: &Stage) {
    let (of, main) = (&stage.installation, IndexName::main());
    let mut tx = of.store.read().await.expect("a transaction");
    let in_force = InForce::read(&mut tx, stage.index.id, &main).await.expect("read").expect("founded");
    let mut signing = Signing::new(in_force).expect("resumed");
    assert!(signing.has_keys(of, true).await.expect("keys"));
    let (now, mut lease) = (of.clock.now_us(), Lease::of_nobody(of));
    let signed = signing.sign(&mut tx, vec![], None, now, BTreeMap::new(), &mut lease).await.expect("signed");
    let serial = indexes::list(of).await.expect("list")[0].serial + 1;
    drop(tx);
    let mut tx = of.store.write().await.expect("a transaction");
    publishing::next_serial(&mut tx, stage.index.id, serial);
    signed.store(&mut tx, stage.index.id, of.clock.now_us());
    let record = r#"{"moves":[],"projects":[],"paths":[],"bins":[]}"#;
    publishing::insert_commit(&mut tx, stage.index.id, serial, of.clock.now_us(), record);
    rows::unbegun(&mut tx, stage.index.id).await.expect("forgotten");
    tx.commit().await.expect("committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_from_before_the_log_begins_it_with_what_is_published() {
    for (n, stage) in stages().await.into_iter().chain(stages().await).enumerate() {
        for version in ["1.0", "2.0"] {
            stage.upload("foo", version, version).await.expect("taken");
        }
        stage.upload("bar", "1.0", "x").await.expect("taken");
        stage.settle().await;
        stage.operate("yank").await;
        let site = layout::site(&stage.index.name());
        if n < 2 {
            before_the_log(&stage).await;
        } else {
            // Nothing was signed either.
            let mut tx = stage.installation.store.write().await.expect("a transaction");
            signing::unfound(&mut tx, stage.index.id).await.expect("forgotten");
            rows::unbegun(&mut tx, stage.index.id).await.expect("forgotten");
            tx.commit().await.expect("committed");
        }
        // Nothing of the later time may stand there.
        for key in stage.installation.blobs.list(&site).expect("listed") {
            if key.as_str().contains("/site/tlog/") || n >= 2 && key.as_str().contains("/site/tuf/") {
                stage.installation.blobs.delete(&key).expect("deleted");
            }
        }
        stage.settle().await;
        let entries = stage.entries().await;
        let count = |which: fn(&Act) -> bool| entries.iter().filter(|entry| which(&entry.act)).count();
        assert_eq!(count(|act| matches!(act, Act::Publish(_))), 3);
        assert_eq!(count(|act| matches!(act, Act::Yank(_))), 1);
        assert_eq!(count(|act| matches!(act, Act::Owner(Turn::Add, Role::Owner, _))), 2);
        assert_eq!((entries.len(), stage.row().await.size), (6, 6));
        assert!(entries.iter().all(|entry| entry.by.is_none() && entry.page.is_some()));
        let before = stage.published_bytes();
        stage.operate("unyank").await;
        assert_eq!(stage.row().await.size, 7);
        assert_ne!(before, stage.published_bytes());
        stage.assert_sound().await;
    }
}

/// A log of many entries in the ledger alone, under a made-up head.
async fn many(stage: &Stage, count: usize) -> (LogRow, Log) {
    let row = stage.row().await;
    let first = usize::try_from(row.size).expect("few");
    let bodies: Vec<String> = (first..count).map(|n| format!("entry {n}\n")).collect();
    let mut tx = stage.installation.store.write().await.expect("a transaction");
    for (seq, body) in (row.size..).zip(&bodies) {
        rows::append(&mut tx, stage.index.id, seq, body);
    }
    let all = rows::entries(&mut tx, stage.index.id, 0, count as i64).await.expect("entries");
    let (log, _) = super::append(&Log::new(row.origin().expect("one")), &all).expect("appended");
    let root = log.head().root.to_hex();
    rows::grow(&mut tx, stage.index.id, row.size, count as i64, &root, "note");
    tx.commit().await.expect("committed");
    (stage.row().await, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_is_read_back_from_the_site_or_from_the_ledger() {
    // Past a whole tile of tiles, and past what is read at once.
    const COUNT: usize = 70_000;
    let stage = stages().await.remove(0);
    stage.upload("foo", "1.0", "x").await.expect("taken");
    stage.settle().await;
    let (row, log) = many(&stage, COUNT).await;
    let (of, main, index_id) = (&stage.installation, IndexName::main(), stage.index.id);
    let mut tx = of.store.read().await.expect("a transaction");
    let mut objects = BTreeMap::new();
    let mut visit = |key, bytes| {
        assert!(objects.insert(key, bytes).is_none(), "each once");
        Ok(())
    };
    let walked = walk(&mut tx, index_id, &main, &row, &mut visit).await.expect("walked");
    assert_eq!(walked, log);
    // 273 full tiles and bundles of hashes, one of tiles, the edges of four rows.
    assert_eq!(objects.len(), 273 * 2 + 1 + 4);
    // Nothing of it is in the site: it comes from the ledger, and stands in the site then.
    let (book, files) = Book::open(of, &mut tx, index_id, &main, Some(2)).await.expect("opened").expect("founded");
    assert_eq!((book.log.head(), files.len()), (log.head(), 551));
    for (key, bytes) in &files {
        assert_eq!(objects.get(key), Some(bytes));
        super::put(&of.blobs, key, bytes).expect("put");
    }
    let (book, files) = Book::open(of, &mut tx, index_id, &main, None).await.expect("opened").expect("founded");
    assert_eq!((book.log.head(), files.len()), (log.head(), 0));
    // A tile of the edge is damaged: from the ledger again, which mends it.
    let edge = objects.keys().find(|key| key.as_str().contains("/tile/1/")).expect("one");
    of.blobs.put(edge, b"damage").expect("put");
    let (book, _) = Book::open(of, &mut tx, index_id, &main, None).await.expect("opened").expect("founded");
    assert_eq!(book.log.head(), log.head());
    // The ledger was altered: nothing goes on.
    drop(tx);
    let other = LogRow { root: Hash([0; 32]).to_hex(), ..row };
    let mut tx = of.store.read().await.expect("a transaction");
    assert!(walk(&mut tx, index_id, &main, &other, &mut |_, _| Ok(())).await.is_err());
}

/// Goal: whatever file name an upload may have, the log has a spelling for it: what has none is shown to nobody, and would stop
/// the publication of everything else.
#[test]
fn every_file_name_that_is_taken_has_a_spelling_in_the_log() {
    let mut taken = 0;
    for name in ["foo_bar-1!1.0rc1.post2.dev3+local.7.tar.gz", "foo_bar-1!1.0+local.7-1a_b.c-cp311.py3-abi3-any.whl"] {
        for (at, byte) in (0..=name.len()).flat_map(|at| (0..=0x7f).map(move |byte: u8| (at, byte))) {
            let put = format!("{}{}{}", &name[..at], char::from(byte), &name[at..]);
            if put.parse::<packaging::DistFilename>().is_ok() {
                assert!(tlog::entry::FileName::new(&put).is_ok(), "{put:?}");
                taken += 1;
            }
        }
    }
    assert!(taken > 1_000, "{taken}");
    for role in crate::model::ProjectRole::ALL {
        let text = format!(r#"[{{"role":"{}","user":"ann"}}]"#, role.shown());
        let read = super::events::read_roles(&text).expect("a word");
        assert_eq!(read.iter().map(|(role, _)| role.as_str()).collect::<Vec<_>>(), [role.as_str()]);
    }
    // A role that the log has no word for is in it as no other.
    assert!(super::events::read_roles(r#"[{"role":"Guest","user":"ann"}]"#).is_err());
}
