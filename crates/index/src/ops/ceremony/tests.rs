//! What becomes of signed roles that wait, on both engines, with a clock that is moved: lateness, the hour until a missing
//! key is given up, and a rule of the ledger that is broken for good.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::log::{LostKey, witness};
use super::super::tests::stages;
use super::super::workers;
use super::*;
use crate::keys::make_key;
use crate::ops::tests::Stage;
use crate::store::{Failure, publishing};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;

async fn now(installation: &Installation) -> Status {
    status(installation, None).await.expect("a status").remove(0)
}

async fn told(installation: &Installation) -> Vec<String> {
    warnings(installation).await.expect("warnings")
}

/// Goal: who waits for the publisher is told so, and after a minute that it is late.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_and_after_a_minute_that_it_is_late() {
    for stage in stages().await {
        let (installation, name) = (&stage.installation, stage.index.name());
        stage.settle().await;
        propose(installation, &name, &Change::Renew, "test").await.expect("left for the publisher");
        let begun = installation.clock.now_us();
        assert_eq!(now(installation).await.pending_us, Some(begun));
        for (elapsed, is_late) in [(0, false), (MINUTE_US, false), (MINUTE_US + 1, true)] {
            installation.clock.advance(begun + elapsed - installation.clock.now_us());
            let said = told(installation).await;
            assert!(said.iter().any(|line| line.contains("signed roles wait for the publisher")), "{said:?}");
            assert_eq!(said.iter().any(|line| line.contains("for more than a minute; its log says why")), is_late);
        }
        // Another one does not take its place.
        let second = propose(installation, &name, &Change::RotateRoot { root: None }, "test").await;
        assert!(matches!(&second, Err(Error::Conflict(why)) if why.contains("waits for the publisher")), "{second:?}");
        workers::drain_publications(installation).await.expect("taken over");
        assert_eq!((now(installation).await.pending_us, told(installation).await), (None, Vec::new()));
        stage.assert_sound().await;
    }
}

/// Goal: a change whose new key is not at hand is tried for an hour, then put aside with its reason; the next one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_waited_for_an_hour() {
    for stage in stages().await {
        let (installation, name) = (&stage.installation, stage.index.name());
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let folder = installation.signing_keys.of(&name);
        propose(installation, &name, &Change::RotateOnline, "test").await.expect("left for the publisher");
        let begun = installation.clock.now_us();
        let (key, kept) = (folder.join("online-2.key"), folder.join("kept"));
        fs::rename(&key, &kept).expect("moved");
        for elapsed in [0, MINUTE_US, HOUR_US] {
            installation.clock.advance(begun + elapsed - installation.clock.now_us());
            workers::drain_publications(installation).await.expect("what is in force goes on");
            let status = now(installation).await;
            assert_eq!((status.pending_us, status.put_aside), (Some(begun), None), "after {elapsed} us");
        }
        installation.clock.advance(1);
        workers::drain_publications(installation).await.expect("what is in force goes on");
        let status = now(installation).await;
        let why = status.put_aside.expect("given up");
        assert_eq!(status.pending_us, None);
        assert!(why.contains("the new key that signs the bins is not in"), "{why}");
        let said = told(installation).await;
        assert!(said.iter().any(|line| line.contains("was put aside: ") && line.contains(&why)), "{said:?}");
        // Nothing else waited for it, and the next change takes its place.
        stage.upload("foo", "2.0", "x = 2").await.expect("taken");
        stage.settle().await;
        assert_eq!(stage.filenames("foo").len(), 2);
        fs::rename(&kept, &key).expect("moved back");
        propose(installation, &name, &Change::RotateOnline, "test").await.expect("left for the publisher");
        workers::drain_publications(installation).await.expect("taken over");
        assert_eq!((now(installation).await.put_aside, told(installation).await), (None, Vec::new()));
        stage.assert_sound().await;
    }
}

/// Goal: a rule of the ledger that a change breaks is broken for good; a ledger that is away is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_the_ledger_that_is_broken_is_no_failure_that_passes() {
    for stage in stages().await {
        let (installation, id) = (&stage.installation, stage.index.id);
        stage.settle().await;
        let begun = installation.clock.now_us();
        let pending = Pending { since_us: begun, ..Pending::new(Profile::Dev, "test") };
        let root = in_force(installation, &stage.index.name()).await.expect("founded").1;
        let version = root.repository.offline().root().version;
        // Twice the same version of a role, as two publishers would write it.
        let mut tx = installation.store.write().await.expect("a transaction");
        rows::insert_offline(&mut tx, id, "root", version, b"{}");
        let broken = tx.commit().await.expect_err("a version is there once");
        assert!(matches!(broken, Error::Ledger(_)), "{broken:?}");
        assert!(pending.is_hopeless(&broken, begun), "at once, not after an hour");
        // And twice the same serial.
        let serial = indexes::named(&mut installation.store.read().await.expect("read"), &stage.index.name()).await;
        let serial = serial.expect("there").serial;
        let mut tx = installation.store.write().await.expect("a transaction");
        publishing::insert_commit(&mut tx, id, serial, begun, "{}");
        publishing::insert_commit(&mut tx, id, serial, begun, "{}");
        let broken = tx.commit().await.expect_err("a serial is there once");
        assert!(pending.is_hopeless(&broken, begun), "{broken:?}");
        for passing in [Error::Overtaken, Error::Unavailable(String::new())] {
            assert!(!pending.is_hopeless(&passing, begun + HOUR_US), "{passing:?}");
        }
        let away = Error::Ledger(Failure::PoolTimedOut);
        assert!(!pending.is_hopeless(&away, begun + 24 * HOUR_US), "a ledger that is away comes back");
        assert!(pending.is_hopeless(&Error::Unavailable(String::new()), begun + HOUR_US + 1));
        // Nothing of it stayed.
        stage.assert_sound().await;
    }
}

/// Goal: a key of the log's that is gone is said to be, before anybody misses what it signs; and the witness's key, which others
/// count on, is replaced by nobody but the operator.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_of_the_log_is_told_and_no_other_witness_takes_its_place() {
    for stage in stages().await {
        let (installation, name) = (&stage.installation, stage.index.name());
        stage.settle().await;
        let folder = installation.signing_keys.of(&name);
        // One that an older version made, which is in no row yet.
        let early = installation.signing_keys.make(&name, "witness", &installation.entropy).expect("made");
        witness::replace(installation, &name, "test").await.expect("replaced");
        let (log, ours) = witness::keys(installation, &name).await.expect("a key");
        assert_ne!(tuf::hash::hex(ours.public()), early.public_key().public);
        assert!(folder.join("witness.retired").is_file());
        assert_eq!((now(installation).await.lost_notes, told(installation).await), (Vec::new(), Vec::new()));
        let (log, ours) = (log.name().as_str().to_owned(), ours.name().as_str().to_owned());
        for (file, lost) in [("log", LostKey::Log(log.clone())), ("witness", LostKey::Witness(ours.clone()))] {
            let (key, kept) = (folder.join(format!("{file}.key")), folder.join("kept"));
            fs::rename(&key, &kept).expect("moved");
            let status = now(installation).await;
            assert_eq!((status.lost_notes, status.lost), (vec![lost], Vec::new()));
            let said = told(installation).await;
            assert!(matches!(&said[..], [one] if one.contains("is not in the data folder")), "{said:?}");
            fs::rename(&kept, &key).expect("moved back");
        }
        // As after a start.
        fs::remove_file(folder.join("witness.key")).expect("lost");
        installation.witnesses.lock().await.clear();
        let refused = witness::keys(installation, &name).await;
        assert!(matches!(&refused, Err(Error::Unavailable(why)) if why.contains("--new-witness")), "{refused:?}");
        assert!(!folder.join("witness.key").exists(), "nothing is made in its place");
        witness::replace(installation, &name, "test").await.expect("replaced");
        let (_, another) = witness::keys(installation, &name).await.expect("made");
        assert_ne!(another.name().as_str(), ours);
        // One that is in wrong hands is put aside.
        witness::replace(installation, &name, "test").await.expect("replaced");
        installation.witnesses.lock().await.clear();
        let (_, third) = witness::keys(installation, &name).await.expect("kept");
        assert_ne!(third, another);
        assert_eq!((now(installation).await.lost_notes, told(installation).await), (Vec::new(), Vec::new()));
        // Nor does one that somebody put in its place take it.
        fs::copy(folder.join("witness.retired"), folder.join("witness.key")).expect("planted");
        witness::replace(installation, &name, "test").await.expect("replaced");
        installation.witnesses.lock().await.clear();
        let (_, last) = witness::keys(installation, &name).await.expect("kept");
        assert_ne!(tuf::hash::hex(last.public()), early.public_key().public);
        assert!(told(installation).await.is_empty());
        stage.assert_sound().await;
    }
}

/// Goal: who cannot read one file of the folder knows of no key that it is lost, and is told of the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_key_makes_no_key_a_lost_one() {
    for stage in stages().await {
        let (installation, name) = (&stage.installation, stage.index.name());
        stage.settle().await;
        let before = now(installation).await;
        let junk = installation.signing_keys.of(&name).join("junk.key");
        fs::write(&junk, "junk").expect("written");
        let status = now(installation).await;
        assert!(status.unreadable.is_some_and(|why| why.contains("junk.key: is no key")));
        assert_eq!((status.lost, status.unheld, status.standbys), (Vec::new(), Vec::new(), Vec::new()));
        assert_eq!(status.lost_notes, Vec::new());
        let said = told(installation).await;
        assert!(matches!(&said[..], [one] if one.contains("junk.key") && one.contains("revoke nothing")), "{said:?}");
        fs::remove_file(&junk).expect("removed");
        assert_eq!((now(installation).await.roles, told(installation).await), (before.roles, Vec::new()));
        let unknown = status_of(installation, "nosuch").await;
        assert!(matches!(&unknown, Err(Error::NotFound(why)) if why.contains("no index 'nosuch'")), "{unknown:?}");
    }
}

async fn status_of(installation: &Installation, index: &str) -> Result<Vec<Status>> {
    status(installation, Some(&index.parse().expect("a name"))).await
}

/// The keys of a folder.
fn keys(folder: &Path) -> BTreeSet<PathBuf> {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "key")).collect()
}

/// Makes another process the holder of an Ed25519 key in clear: it signs once there is a file `go` beside the key.
fn held_by_a_process(key: &Path, public: &PublicKey) {
    let folder = key.parent().expect("a folder");
    let held: serde_json::Value = serde_json::from_slice(&fs::read(key).expect("read")).expect("JSON");
    let seed = tuf::hash::unhex(held["private"].as_str().expect("a seed")).expect("hexadecimal");
    // PKCS #8 of an Ed25519 seed (RFC 8410).
    let prefix = tuf::hash::unhex("302e020100300506032b657004220420").expect("hexadecimal");
    fs::write(folder.join("key.der"), [prefix, seed].concat()).expect("written");
    let script = "cd \"$0\"; cat > message; for n in $(seq 1500); do [ -e go ] && break; sleep 0.02; done; \
                  openssl pkeyutl -sign -rawin -keyform DER -inkey key.der -in message | od -An -v -tx1 | tr -d ' \\n'";
    let command = ["sh", "-c", script, folder.to_str().expect("text")];
    let PublicKey { keytype, scheme, public, .. } = public;
    let text = serde_json::json!({
        "kind": "process", "keytype": keytype, "scheme": scheme, "public": public, "command": command,
    });
    fs::write(key, text.to_string()).expect("written");
}

/// Moves the clock on until little of the lease is left, and waits for it to be extended.
async fn is_kept(stage: &Stage) -> bool {
    stage.installation.clock.advance(25 * SECOND_US);
    for _ in 0..1_000 {
        let mut tx = stage.installation.store.write().await.expect("a transaction");
        let now = stage.installation.clock.now_us();
        // Another node asks for it, long before the signature is there; what it was given it does not keep.
        let taken = publishing::take_lease(&mut tx, stage.index.id, "another", now + 10 * SECOND_US, now).await;
        drop(tx);
        if taken.expect("asked").is_none() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// Goal: signing may take longer than a lease stands, and no other node takes it meanwhile: else two nodes with slow tokens would
/// begin every bin anew for ever.
#[tokio::test(flavor = "multi_thread")]
async fn the_lease_is_kept_while_a_slow_signer_signs() {
    for stage in stages().await {
        let (installation, name) = (&stage.installation, stage.index.name());
        stage.upload("foo", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let folder = installation.signing_keys.of(&name);
        let before = keys(&folder);
        propose(installation, &name, &Change::RotateOnline, "test").await.expect("left for the publisher");
        let after = keys(&folder);
        let [key] = after.difference(&before).collect::<Vec<_>>()[..] else { panic!("one key is made: {after:?}") };
        let public = crate::keys::read_key(key, None).expect("a key").public_key().clone();
        held_by_a_process(key, &public);
        let working = tokio::spawn({
            let installation = Arc::clone(installation);
            async move { workers::drain_publications(&installation).await }
        });
        // The publisher is at it.
        for _ in 0..1_000 {
            if folder.join("message").exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for round in 0..4 {
            assert!(is_kept(&stage).await, "round {round}: another node can have the lease while bins are signed");
            assert!(!working.is_finished());
        }
        fs::write(folder.join("go"), "").expect("written");
        working.await.expect("no panic").expect("taken over");
        let (status, said) = (now(installation).await, told(installation).await);
        assert_eq!((status.pending_us, status.put_aside, said), (None, None, Vec::new()));
        let [bin] = status.roles.iter().filter(|role| role.role == "bin").collect::<Vec<_>>()[..] else {
            panic!("bins")
        };
        assert_eq!(bin.keys, [(public.keyid(), true)]);
        stage.upload("foo", "2.0", "x = 2").await.expect("taken");
        stage.settle().await;
        stage.assert_sound().await;
    }
}

async fn signs_last(installation: &Installation, name: &IndexName) -> BTreeSet<String> {
    in_force(installation, name).await.expect("founded").1.signed_last()
}

/// Goal: a take-over by the standby that the ledger refuses leaves nothing behind, and one that was broken off can be done again.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_meets_a_waiting_change_stays_one() {
    for stage in stages().await {
        let (installation, name) = (&stage.installation, stage.index.name());
        stage.settle().await;
        let safe = tempfile::TempDir::new().expect("a folder");
        let path = safe.path().join("standby.key");
        let standby = make_key(&path, None, &installation.entropy).expect("made");
        let text = fs::read(&path).expect("there");
        let key = Holder::from(standby.public_key());
        propose(installation, &name, &Change::Standby { key }, "test").await.expect("left for the publisher");
        workers::drain_publications(installation).await.expect("taken over");
        let is_one = [standby.keyid().to_owned()];
        assert_eq!(now(installation).await.standbys, is_one);
        propose(installation, &name, &Change::Renew, "test").await.expect("left for the publisher");
        let before = installation.signing_keys.named(&name).expect("listed");
        for _ in 0..2 {
            let refused = use_standby(installation, &name, &text, None, "test").await;
            assert!(
                matches!(&refused, Err(Error::Conflict(why)) if why.contains("waits for the publisher")),
                "{refused:?}"
            );
            assert_eq!(now(installation).await.standbys, is_one);
            assert_eq!(installation.signing_keys.named(&name).expect("listed"), before);
        }
        workers::drain_publications(installation).await.expect("taken over");
        // As a crash leaves it between the key and the ledger.
        let left = installation.signing_keys.take_in(&name, "standby-left", &text, None, &installation.entropy);
        left.expect("taken in");
        use_standby(installation, &name, &text, None, "test").await.expect("the standby all the same");
        workers::drain_publications(installation).await.expect("taken over");
        assert_eq!(signs_last(installation, &name).await, BTreeSet::from(is_one));
        let again = use_standby(installation, &name, &text, None, "test").await;
        assert!(matches!(&again, Err(Error::Conflict(why)) if why.contains("is no standby")), "{again:?}");
        stage.assert_sound().await;
    }
}

/// Goal: whoever left a key in the data folder signs nothing by it; it is told of, and put aside once it can bring nothing.
#[tokio::test(flavor = "multi_thread")]
async fn no_change_takes_up_a_key_that_lies_there() {
    let recover = Change::Recover(Recover { root: None, targets: None, bins: None, jump: JUMP });
    let changes = [Change::RotateOnline, Change::RotateRoot { root: None }, recover, Change::Rebin { count: 32 }];
    for stage in stages().await {
        let (installation, name) = (&stage.installation, stage.index.name());
        stage.settle().await;
        assert_eq!(now(installation).await.unused, []);
        for (change, root) in changes.iter().zip(2..) {
            let plant = |kind: &str| {
                let name_of = format!("{kind}-{root}");
                let key = installation.signing_keys.make_new(&name, &name_of, &installation.entropy).expect("planted");
                (name_of, key.keyid().to_owned())
            };
            let planted = BTreeSet::from(["offline", "online"].map(plant));
            propose(installation, &name, change, "test").await.expect("left for the publisher");
            workers::drain_publications(installation).await.expect("taken over");
            let (_, in_force) = in_force(installation, &name).await.expect("founded");
            let offline = in_force.repository.offline();
            assert_eq!(offline.root().version, root);
            for (_, keyid) in &planted {
                let is_trusted = offline.root().keys.contains_key(keyid) || offline.bin_keys().keyids.contains(keyid);
                assert!(!is_trusted, "{change:?}");
            }
            let unused: BTreeSet<_> = now(installation).await.unused.into_iter().collect();
            assert!(planted.is_subset(&unused), "{change:?}: {unused:?}");
            put_aside_abandoned(installation, &in_force).expect("put aside");
            let unused: BTreeSet<_> = now(installation).await.unused.into_iter().collect();
            assert!(planted.is_disjoint(&unused), "{change:?}: {unused:?}");
        }
        stage.assert_sound().await;
    }
}
