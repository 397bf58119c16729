//! The engine: what a commit touches, that bodies are rendered again byte for byte, and that clients follow.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tuf::json::Value;
use tuf::keys::Signer;
use tuf::layout::role_file;
use tuf::write::{
    BIN_BYTES_MAX, BITS_MAX, Bins, CLASSIC_BITS_MAX, Custom, Issue, Line, Offline, Online, Repository, Row, Shape,
    Standing, WriteError, body,
};
use tuf::{Time, Top};

use crate::world::{Files, LIFETIMES, NOW, World, key, newcomer, visit};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is published in whatever order, a client that looks in now and then finds each page and no other.
    #[test]
    fn clients_follow(
        is_classic in any::<bool>(),
        bits in 1_u32..7,
        pages in proptest::collection::vec((0_u8..30, any::<u16>(), any::<bool>()), 1..24),
    ) {
        let mut world = World::shaped(if is_classic { Shape::Classic } else { Shape::Succinct }, bits);
        let mut stored = newcomer(&world);
        for (project, content, looks) in pages {
            world.now = world.now.plus(60);
            let path = world.page(&format!("demo-{project}"), &content.to_string());
            if looks {
                let file = visit(&world.files, &mut stored, world.now, &path).expect("a sound repository");
                prop_assert_eq!(file.expect("just published").length, content.to_string().len() as u64);
                prop_assert_eq!(visit(&world.files, &mut stored, world.now, "p/00/no/no"), Ok(None));
            }
        }
        for path in world.targets.keys() {
            prop_assert!(visit(&world.files, &mut stored, world.now, path).expect("sound").is_some());
        }
    }
}

#[test]
fn a_commit_touches_its_bins_the_snapshot_and_the_timestamp() {
    let mut world = World::new(4);
    let before: Files = world.files.clone();
    let path = world.page("demo", "a page");
    let bin = world.repository.bins().name(world.repository.bins().of(&path));
    let new: Vec<&String> = world.files.keys().filter(|name| !before.contains_key(*name)).collect();
    assert_eq!(new, [&format!("2.{bin}.json"), "2.snapshot.json"]);
    let roles: Vec<&str> = world.records.iter().rev().take(3).map(|record| record.role.as_str()).collect();
    assert_eq!(roles, ["timestamp", "snapshot", &bin], "the timestamp last");
}

#[test]
fn the_word_that_nothing_changed_is_a_timestamp_alone() {
    let mut world = World::new(3);
    let path = world.page("demo", "a page");
    let mut stored = newcomer(&world);
    visit(&world.files, &mut stored, world.now, &path).expect("sound").expect("it is there");
    world.now = world.now.plus(1_200);
    let snapshot = world.records.iter().rev().find(|record| record.role == "snapshot").expect("a snapshot").clone();
    let own = key(2);
    let keys: &[&dyn Signer] = &[&own];
    let online = Online { timestamp: keys, snapshot: keys, bins: keys };
    let stamped = world.repository.restamp(&snapshot, &world.issue(), &online).expect("sound");
    let (old, repeated) = (world.repository.clone(), stamped.clone());
    world.repository.apply_timestamp(&stamped).expect("it follows");
    let files = world.files.len();
    world.publish(&stamped);
    assert_eq!(world.files.len(), files, "one file was replaced, none is new");
    let found = visit(&world.files, &mut stored, world.now, &path).expect("sound");
    assert_eq!(found.expect("still there").length, 6);
    // Only once, only by who may, and only over the snapshot that stands.
    assert!(matches!(world.repository.apply_timestamp(&repeated), Err(WriteError::Order(_))));
    let other = key(77);
    let strangers: &[&dyn Signer] = &[&other];
    let strange = Online { timestamp: strangers, snapshot: keys, bins: keys };
    assert!(matches!(old.restamp(&snapshot, &world.issue(), &strange), Err(WriteError::Signers { .. })));
    let stale = tuf::write::Record { version: snapshot.version - 1, ..snapshot };
    assert!(matches!(old.restamp(&stale, &world.issue(), &online), Err(WriteError::Order(_))));
    world.page("demo", "another page");
}

#[test]
fn records_and_rows_are_enough() {
    let mut world = World::new(3);
    for n in 0..20 {
        world.now = world.now.plus(1);
        world.page(&format!("demo-{}", n % 7), &n.to_string());
    }
    let newest: BTreeMap<&str, _> = world.records.iter().map(|record| (record.role.as_str(), record)).collect();
    for bin in 0..8 {
        let record = newest[world.repository.bins().name(bin).as_str()];
        let rows = world.rows(bin);
        let body = body::bin(record.version, record.expires, &rows.borrow()).expect("sound rows");
        assert_eq!(record.rebuild(&body).as_ref(), Ok(&world.files[&role_file(&record.role, Some(record.version))]));
        assert!(record.rebuild(&body[1..]).is_err());
    }
    // A process that starts anew knows lines and versions from its ledger, and renders the same.
    let file = |role: &str| &world.files[&role_file(role, Some(1))];
    let offline = Offline::read(file("root"), file("targets"), file("bins")).expect("our own roles");
    let (snapshot, timestamp) = (newest["snapshot"], newest["timestamp"]);
    let bins = (0..8).map(|bin| world.repository.line(bin).expect("a line")).collect();
    let standing = Standing { bins, snapshot: snapshot.version, timestamp: timestamp.version };
    let resumed = Repository::resume(offline, standing).expect("as many bins");
    let body = resumed.snapshot_body(snapshot.version, snapshot.expires);
    assert_eq!(body, world.repository.snapshot_body(snapshot.version, snapshot.expires));
    let snapshot_file = &world.files[&role_file("snapshot", Some(snapshot.version))];
    assert_eq!(snapshot.rebuild(&body).as_ref(), Ok(snapshot_file));
    let body = body::timestamp(timestamp.version, timestamp.issued, timestamp.expires, snapshot, &BTreeMap::new());
    assert_eq!(timestamp.rebuild(&body).as_ref(), Ok(&world.files["timestamp.json"]));
}

#[test]
fn a_commit_that_was_dropped_left_no_trace() {
    let mut world = World::new(3);
    let keys: &[&dyn Signer] = &[&world.online];
    let online = Online { timestamp: keys, snapshot: keys, bins: keys };
    let before = world.repository.clone();
    let [dropped, late] =
        [0, 1].map(|bin| world.repository.commit([(bin, &[][..])], &world.issue(), &online).expect("sound"));
    assert_eq!(world.repository, before);
    drop(dropped);
    let twice = world.repository.commit([(1, &[][..]), (1, &[][..])], &world.issue(), &online);
    assert!(matches!(twice, Err(WriteError::Order(_))));
    assert_eq!(world.repository.commit([(8, &[][..])], &world.issue(), &online).err(), Some(WriteError::Bins));
    world.page("demo", "another commit comes first");
    assert!(matches!(world.repository.apply(late), Err(WriteError::Order(_))));
}

#[test]
fn only_those_who_may_sign_do() {
    let world = World::new(3);
    let (thief, none): (&[&dyn Signer], &[&dyn Signer]) = (&[&world.offline], &[]);
    let good: &[&dyn Signer] = &[&world.online];
    for bad in [thief, none] {
        for (online, role) in [
            (Online { timestamp: bad, snapshot: good, bins: good }, "timestamp"),
            (Online { timestamp: good, snapshot: bad, bins: good }, "snapshot"),
            (Online { timestamp: good, snapshot: good, bins: bad }, "bin-0"),
        ] {
            let refused = world.repository.commit([(0, &[][..])], &world.issue(), &online).err();
            assert_eq!(refused, Some(WriteError::Signers { role: role.to_owned() }));
        }
    }
}

#[test]
fn rows_that_no_bin_can_hold() {
    let (sha256, long) = ([0; 32], "a".repeat(4_097));
    let row = |path| Row { path, length: 0, sha256: &sha256, custom: None };
    for (rows, why) in [
        (vec![row("b"), row("a")], "they are not sorted, or a path is there twice"),
        (vec![row("a"), row("a")], "they are not sorted, or a path is there twice"),
        (vec![row("")], "they are not sorted, or a path is there twice"),
        (vec![row("a\nb")], "a path holds a control character"),
        (vec![row(&long)], "a path is too long"),
    ] {
        assert_eq!(body::bin(1, NOW, &rows), Err(WriteError::Rows(why)));
    }
    assert!(body::bin(1, NOW, &[row(&long[1..])]).is_ok());
    assert!(Custom::read("{\"a\":1}").is_ok());
    for text in ["", "1", "{\"a\": 1}", "{\"b\":1,\"a\":1}"] {
        assert_eq!(Custom::read(text), Err(WriteError::Custom), "{text}");
    }
}

proptest! {
    /// The bin's writer gives what the plain canonical writer gives.
    #[test]
    fn bins_are_canonical(
        rows in proptest::collection::btree_map("[ -~é]{1,40}", (0..1_u64 << 60, any::<[u8; 32]>(), any::<bool>()), 0..20),
        version in 1..1_u64 << 40,
    ) {
        let custom = Custom::new([("é\"".to_owned(), Value::from("\\"))].into());
        let borrowed: Vec<Row<'_>> = rows
            .iter()
            .map(|(path, (length, sha256, has))| {
                Row { path, length: *length, sha256, custom: has.then_some(&custom) }
            })
            .collect();
        let bytes = body::bin(version, NOW, &borrowed).expect("sound rows");
        let value = Value::parse(&bytes, bytes.len()).expect("JSON");
        prop_assert_eq!(value.to_canonical(), bytes);
    }
}

#[test]
fn a_bin_is_as_long_as_clients_read() {
    let sha256 = [0; 32];
    let path = |n: usize| format!("{n:0>1000}");
    let paths: Vec<String> = (0..4_700).map(path).collect();
    let rows: Vec<Row<'_>> = paths.iter().map(|path| Row { path, length: 0, sha256: &sha256, custom: None }).collect();
    let fits = |count: usize| body::bin(1, NOW, &rows[..count]).map(|body| body.len());
    let counts: Vec<usize> = (4_400..4_700).collect();
    let most = counts[counts.partition_point(|count| fits(*count).is_ok()) - 1];
    let each = fits(4_401).expect("it fits") - fits(4_400).expect("it fits");
    let length = fits(most).expect("it fits");
    assert!(length <= BIN_BYTES_MAX && length + each > BIN_BYTES_MAX, "{length}");
    assert!(matches!(fits(most + 1), Err(WriteError::Rows(_))));
}

#[test]
fn numbers_of_bins() {
    for (shape, most) in [(Shape::Succinct, BITS_MAX), (Shape::Classic, CLASSIC_BITS_MAX)] {
        assert_eq!(Bins::new(shape, most, 1).map(|bins| bins.count()), Ok(1 << most));
        for bits in [0, most + 1] {
            assert_eq!(Bins::new(shape, bits, 1), Err(WriteError::Bins));
        }
        assert!(Bins::new(shape, 1, 0).is_err());
    }
    let bins = Bins::new(Shape::Classic, 10, 3).expect("bins");
    assert_eq!((bins.name(0), bins.name(1_023)), ("bin3-000".to_owned(), "bin3-3ff".to_owned()));
}

#[test]
fn re_signing_is_spread_and_never_late() {
    const BINS: i64 = 256;
    const LIFETIME: i64 = LIFETIMES.bin;
    let mut world = World::new(8);
    let keys: &[&dyn Signer] = &[&world.online];
    let online = Online { timestamp: keys, snapshot: keys, bins: keys };
    // All were signed at once; an hour at a time for two lifetimes.
    let (mut most, mut signed) = (0, 0);
    for _ in 0..2 * LIFETIME / 3_600 {
        world.now = world.now.plus(3_600);
        let due = world.repository.due(world.now, LIFETIME, 3_600);
        (most, signed) = (most.max(due.len()), signed + due.len());
        let issue = Issue { now: world.now, lifetimes: LIFETIMES, extra: BTreeMap::new() };
        let commit = world.repository.commit(due.iter().map(|bin| (*bin, &[][..])), &issue, &online).expect("sound");
        world.repository.apply(commit).expect("it follows");
        let alive = |bin| world.repository.line(bin).is_some_and(|line: Line| line.expires > world.now.plus(86_400));
        assert!((0..256).all(alive), "nothing comes near its expiry");
    }
    assert!(most <= 2, "{most} at once");
    assert!((2 * BINS as usize..5 * BINS as usize).contains(&signed), "{signed} signatures");
    // After a long pause all that is urgent is taken at once.
    let late = Time::from_seconds(world.now.seconds() + LIFETIME);
    assert_eq!(world.repository.due(late, LIFETIME, 60).len(), 256);
}

#[test]
fn offline_roles_must_fit_each_other() {
    let world = World::new(3);
    let file = |role: &str| world.files[&role_file(role, Some(1))].clone();
    let [root, targets, bins] = [Top::Root.name(), "targets", "bins"].map(file);
    assert!(Offline::read(&root, &targets, &bins).is_ok());
    assert!(Offline::read(&root, &bins, &targets).is_err());
    assert!(Offline::read(&targets, &root, &bins).is_err());
    let stranger = key(77);
    let forged = crate::world::forge(&bins, &[&stranger], |_| ());
    assert!(
        matches!(Offline::read(&root, &targets, &forged), Err(WriteError::NotSigned { role, .. }) if role == "bins")
    );
    let standing = Standing { bins: Vec::new(), snapshot: 1, timestamp: 1 };
    let offline = Offline::read(&root, &targets, &bins).expect("our own roles");
    assert!(Repository::resume(offline, standing).is_err());
}
