//! What a mirror, or somebody with a key of one role, may try: each is refused, and the message says what it was.

use tuf::json::{Object, Value};
use tuf::keys::{Ed25519Signer, Signer};
use tuf::trusted::Timestamped;
use tuf::{Limits, Time, TrustedSet, Why};

use crate::world::{Files, NOW, World, forge, key, newcomer, set, update, visit};

/// One attack on a client that has seen the state before: what it does to the files, and what is said of it.
struct Attack {
    name: &'static str,
    file: &'static str,
    /// Signs what was edited; `None` leaves the old signatures, as a mirror must.
    by: Option<fn() -> Ed25519Signer>,
    edit: fn(&mut Object),
    says: &'static str,
}

fn online() -> Ed25519Signer {
    key(2)
}

fn offline() -> Ed25519Signer {
    key(1)
}

fn stranger() -> Ed25519Signer {
    key(99)
}

const PAST: &str = "2020-01-01T00:00:00Z";

fn version(signed: &mut Object, to: u64) {
    set(signed, &["version"], to);
}

/// The repository: root 1, timestamp 3, snapshot 3, and the bin of the page at version 2.
const ATTACKS: &[Attack] = &[
    Attack {
        name: "a mirror edits the timestamp",
        file: "timestamp.json",
        by: None,
        edit: |signed| version(signed, 9),
        says: "timestamp: 0 of 1 keys have signed",
    },
    Attack {
        name: "a stranger signs the timestamp",
        file: "timestamp.json",
        by: Some(stranger),
        edit: |signed| version(signed, 9),
        says: "timestamp: 0 of 1 keys have signed",
    },
    Attack {
        name: "the timestamp goes back",
        file: "timestamp.json",
        by: Some(online),
        edit: |signed| version(signed, 1),
        says: "timestamp: timestamp goes back from version 2 to 1",
    },
    Attack {
        name: "the snapshot goes back",
        file: "timestamp.json",
        by: Some(online),
        edit: |signed| set(signed, &["meta", "snapshot.json", "version"], 1_u64),
        says: "timestamp: snapshot goes back from version 2 to 1",
    },
    Attack {
        name: "freeze: a timestamp past its expiry",
        file: "timestamp.json",
        by: Some(online),
        edit: |signed| set(signed, &["expires"], PAST),
        says: "timestamp: expired at 2020-01-01T00:00:00Z",
    },
    Attack {
        name: "a timestamp at the moment of its expiry",
        file: "timestamp.json",
        by: Some(online),
        edit: |signed| set(signed, &["expires"], NOW.to_string().as_str()),
        says: "timestamp: expired at",
    },
    Attack {
        name: "a timestamp of another type",
        file: "timestamp.json",
        by: Some(online),
        edit: |signed| set(signed, &["_type"], "snapshot"),
        says: "timestamp: `_type` is not `timestamp`",
    },
    Attack {
        name: "a timestamp of another specification",
        file: "timestamp.json",
        by: Some(online),
        edit: |signed| set(signed, &["spec_version"], "2.0.0"),
        says: "timestamp: `spec_version` is none of 1.x",
    },
    Attack {
        name: "a timestamp that names more",
        file: "timestamp.json",
        by: Some(online),
        edit: |signed| set(signed, &["meta", "root.json"], Object::from([("version".to_owned(), Value::Int(1))])),
        says: "timestamp: a timestamp names the snapshot, and nothing else",
    },
    Attack {
        name: "mix and match: another snapshot than was signed for",
        file: "3.snapshot.json",
        by: Some(online),
        edit: |signed| set(signed, &["x"], 1_u64),
        says: "snapshot: is not the file that was signed for",
    },
    Attack {
        name: "another bin under a version that stands",
        file: "BIN",
        by: None,
        edit: |signed| set(signed, &["x"], 1_u64),
        says: ": 0 of 1 keys have signed",
    },
    Attack {
        name: "a bin that a stranger signed",
        file: "BIN",
        by: Some(stranger),
        edit: |_| (),
        says: ": 0 of 1 keys have signed",
    },
    Attack {
        name: "an old bin under a new name",
        file: "BIN",
        by: Some(online),
        edit: |signed| version(signed, 1),
        says: ": is version 1 where 2 belongs",
    },
    Attack {
        name: "an expired bin",
        file: "BIN",
        by: Some(online),
        edit: |signed| set(signed, &["expires"], PAST),
        says: ": expired at",
    },
    Attack {
        name: "the holder of the bins' key signs `bins`",
        file: "1.bins.json",
        by: Some(online),
        edit: |_| (),
        says: "bins: 0 of 1 keys have signed",
    },
    Attack {
        name: "`bins` as `targets`",
        file: "1.targets.json",
        by: Some(online),
        edit: |_| (),
        says: "targets: 0 of 1 keys have signed",
    },
    Attack {
        name: "`targets` without delegations hides nothing that is signed for",
        file: "1.targets.json",
        by: None,
        edit: |signed| {
            signed.remove("delegations");
        },
        says: "targets: 0 of 1 keys have signed",
    },
];

#[test]
fn each_attack_is_refused_and_named() {
    let mut world = World::new(3);
    let other = world.page("other", "seen before");
    let mut seen = newcomer(&world);
    update(&world.files, &mut seen, world.now).expect("sound");
    let path = world.page("demo", "a page");
    let bin = format!("2.{}.json", world.repository.bins().name(world.repository.bins().of(&path)));
    assert_ne!(world.repository.bins().of(&path), world.repository.bins().of(&other), "another bin");
    for Attack { name, file, by, edit, says } in ATTACKS {
        let file = if *file == "BIN" { &bin } else { *file };
        let bytes = match by {
            Some(signer) => forge(&world.files[file], &[&signer()], edit),
            None => keeping_signatures(&world.files[file], edit),
        };
        let mut served = world.files.clone();
        served.insert(file.to_owned(), bytes);
        let mut stored = seen.clone();
        let refused = visit(&served, &mut stored, world.now, &path).expect_err(name);
        assert!(refused.contains(says), "{name}: {refused}");
        visit(&world.files, &mut stored, world.now, &path).expect("the truth is still believed").expect("and found");
    }
}

fn keeping_signatures(bytes: &[u8], edit: impl FnOnce(&mut Object)) -> Vec<u8> {
    let Ok(Value::Object(mut all)) = Value::parse(bytes, bytes.len()) else { panic!("no role") };
    let Some(Value::Object(signed)) = all.get_mut("signed") else { panic!("no role") };
    edit(signed);
    let mut out = Vec::new();
    tuf::json::to_stored(&Value::Object(all).to_canonical(), &mut out);
    out
}

/// A thief of the online key signs a snapshot and a timestamp over it.
fn snapshot_and_timestamp(world: &World, edit: impl FnOnce(&mut Object)) -> Files {
    let mut served = world.files.clone();
    let snapshot = forge(&world.files["3.snapshot.json"], &[&online()], edit);
    let (length, sha256) = (snapshot.len() as u64, tuf::hash::hex(&tuf::hash::sha256(&snapshot)));
    let timestamp = forge(&world.files["timestamp.json"], &[&online()], |signed| {
        set(signed, &["meta", "snapshot.json", "length"], length);
        set(signed, &["meta", "snapshot.json", "hashes", "sha256"], sha256.as_str());
    });
    served.insert("3.snapshot.json".to_owned(), snapshot);
    served.insert("timestamp.json".to_owned(), timestamp);
    served
}

#[test]
fn snapshots_do_not_go_back() {
    let mut world = World::new(3);
    let path = world.page("demo", "seen before");
    let mut seen = newcomer(&world);
    update(&world.files, &mut seen, world.now).expect("sound");
    let bin = world.repository.bins().name(world.repository.bins().of(&path));
    world.page("demo", "newer");
    let file = format!("{bin}.json");
    type Edit<'a> = Box<dyn FnOnce(&mut Object) + 'a>;
    let meta = |signed: &mut Object| match signed.get_mut("meta") {
        Some(Value::Object(meta)) => std::mem::take(meta),
        _ => panic!("no meta"),
    };
    let cases: [(Edit<'_>, String); 6] = [
        (Box::new(|_| ()), String::new()),
        (
            Box::new(|signed| set(signed, &["meta", &file, "version"], 1_u64)),
            format!("snapshot: {bin} goes back from version 2 to 1"),
        ),
        (
            Box::new(|signed| {
                let mut kept = meta(signed);
                kept.remove(&file);
                set(signed, &["meta"], kept);
            }),
            format!("snapshot: no longer lists {bin}"),
        ),
        (Box::new(|signed| version(signed, 4)), "snapshot: is version 4 where 3 belongs".to_owned()),
        (Box::new(|signed| set(signed, &["expires"], PAST)), "snapshot: expired at".to_owned()),
        (Box::new(|signed| set(signed, &["meta", "x"], Object::new())), "snapshot: `x` is no role's file".to_owned()),
    ];
    for (edit, says) in cases {
        let served = snapshot_and_timestamp(&world, edit);
        match visit(&served, &mut seen.clone(), world.now, &path) {
            Ok(found) => assert!(says.is_empty() && found.is_some(), "{says}"),
            Err(refused) => assert!(!says.is_empty() && refused.contains(&says), "{says}: {refused}"),
        }
    }
    // A role that is delegated to but listed nowhere is not fetched at all.
    let served = snapshot_and_timestamp(&world, |signed| {
        let mut kept = meta(signed);
        kept.remove(&file);
        set(signed, &["meta"], kept);
    });
    let refused = visit(&served, &mut newcomer(&world), world.now, &path).expect_err("not listed");
    assert_eq!(refused, format!("{bin}: the snapshot does not list it"));
}

/// A root after the first: who signs it, and what it says.
type RootCase = (&'static str, &'static [u8], fn(&mut Object), &'static str);

#[test]
fn roots_come_one_after_another() {
    let world = World::new(3);
    let first = world.files["1.root.json"].clone();
    let cases: [RootCase; 9] = [
        ("the next", &[1], |signed| version(signed, 2), ""),
        ("the next, expired", &[1], |signed| (version(signed, 2), set(signed, &["expires"], PAST)).1, ""),
        ("the same", &[1], |_| (), "root: is version 1 where 2 belongs"),
        ("one after the next", &[1], |signed| version(signed, 3), "root: is version 3 where 2 belongs"),
        ("by a stranger", &[99], |signed| version(signed, 2), "root: 0 of 1 keys have signed"),
        (
            "threshold of zero",
            &[1],
            |signed| set(signed, &["roles", "root", "threshold"], 0_u64),
            "root: `threshold` is missing or no number in range",
        ),
        (
            "a threshold that its own keys do not meet",
            &[1],
            |signed| (version(signed, 2), set(signed, &["roles", "root", "threshold"], 2_u64)).1,
            "root: 1 of 2 keys have signed",
        ),
        (
            "a key twice",
            &[1],
            |signed| {
                let keyid = Value::from(key(1).keyid());
                set(signed, &["roles", "root", "keyids"], Value::List(vec![keyid.clone(), keyid]));
            },
            "root: a role names a key twice",
        ),
        (
            "no timestamp role",
            &[1],
            |signed| {
                let Some(Value::Object(roles)) = signed.get_mut("roles") else { panic!("roles") };
                roles.remove("timestamp");
            },
            "root: root names no keys for timestamp",
        ),
    ];
    for (name, by, edit, says) in cases {
        let signers: Vec<Ed25519Signer> = by.iter().map(|seed| key(*seed)).collect();
        let signers: Vec<&dyn Signer> = signers.iter().map(|signer| signer as &dyn Signer).collect();
        let mut set_ = TrustedSet::new(&first, NOW, Limits::default()).expect("our own root");
        let outcome = set_.update_root(&forge(&first, &signers, edit)).map_err(|refused| refused.to_string());
        match outcome {
            Ok(_) => assert!(says.is_empty(), "{name}"),
            Err(refused) => assert_eq!(refused, says, "{name}"),
        }
    }
    let unsigned = forge(&first, &[&stranger()], |_| ());
    assert!(TrustedSet::new(&unsigned, NOW, Limits::default()).is_err(), "the first root verifies itself");
    let mut late = TrustedSet::new(&first, NOW.plus_days(365), Limits::default()).expect("a start at least");
    assert_eq!(late.finish_root().map_err(|refused| refused.why), Err(Why::Expired(NOW.plus_days(365))));
    let mut in_time = TrustedSet::new(&first, NOW.plus_days(365).plus(-1), Limits::default()).expect("our own root");
    assert_eq!(in_time.finish_root(), Ok(()));
}

#[test]
fn nothing_is_read_past_its_limit() {
    let world = World::new(3);
    let [root, timestamp] = ["1.root.json", "timestamp.json"].map(|name| world.files[name].clone());
    let at = Limits { root_bytes_max: root.len(), timestamp_bytes_max: timestamp.len(), ..Limits::default() };
    let mut set = TrustedSet::new(&root, NOW, at).expect("as long as it may be");
    set.finish_root().expect("not expired");
    set.update_timestamp(&timestamp).expect("as long as it may be");
    let (meta, bytes_max) = set.wanted_snapshot().expect("a timestamp is there");
    assert_eq!(meta.length, Some(bytes_max as u64), "what was signed for is the limit");
    assert!(TrustedSet::new(&root, NOW, Limits { root_bytes_max: root.len() - 1, ..at }).is_err());
    let over = Limits { timestamp_bytes_max: timestamp.len() - 1, ..at };
    let mut set = TrustedSet::new(&root, NOW, over).expect("the root fits");
    set.finish_root().expect("not expired");
    assert!(set.update_timestamp(&timestamp).is_err());

    let mut many = newcomer(&world);
    let few = Limits { lookup_roles_max: 3, ..Limits::default() };
    for (limits, fits) in [(few, true), (Limits { lookup_roles_max: 2, ..few }, false)] {
        let set = update(&world.files, &mut many, NOW).expect("sound");
        let mut limited = TrustedSet::new(&root, NOW, limits).expect("our own root");
        limited.finish_root().expect("not expired");
        limited.update_timestamp(&timestamp).expect("sound");
        limited.update_snapshot(&world.files["1.snapshot.json"]).expect("sound");
        drop(set);
        let mut lookup = tuf::Lookup::new("p/00/no/no");
        let outcome = loop {
            match lookup.step(&mut limited) {
                Ok(tuf::Step::Need { role, delegator }) => {
                    let bytes = &world.files[&format!("1.{role}.json")];
                    limited.update_targets(&role, &delegator, bytes).expect("sound");
                }
                other => break other,
            }
        };
        assert_eq!(outcome.is_ok(), fits, "targets, bins and one bin are three roles");
    }
}

#[test]
fn the_order_is_kept() {
    let world = World::new(3);
    let [root, timestamp, snapshot, targets] =
        ["1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"].map(|name| &world.files[name]);
    let mut set = TrustedSet::new(root, NOW, Limits::default()).expect("our own root");
    assert!(set.update_timestamp(timestamp).is_err() && set.load_timestamp(timestamp).is_err());
    assert!(set.update_snapshot(snapshot).is_err() && set.update_targets("targets", "root", targets).is_err());
    set.finish_root().expect("not expired");
    assert!(set.update_root(root).is_err(), "no root after the roots");
    assert!(set.update_snapshot(snapshot).is_err());
    assert_eq!(set.update_timestamp(timestamp), Ok(Timestamped::Newer));
    assert_eq!(set.update_timestamp(timestamp), Ok(Timestamped::Same));
    assert!(set.update_targets("targets", "root", targets).is_err());
    set.update_snapshot(snapshot).expect("sound");
    assert!(set.update_timestamp(timestamp).is_err(), "one timestamp a session");
    let bins = &world.files["1.bins.json"];
    assert!(set.update_targets("bins", "targets", bins).is_err(), "its delegator first");
    assert!(set.update_targets("bins", "root", bins).is_err(), "the root delegates to four");
    set.update_targets("targets", "root", targets).expect("sound");
    set.update_targets("bins", "targets", bins).expect("sound");
    assert!(set.update_targets("bin-0", "targets", &world.files["1.bin-0.json"]).is_err(), "not its delegator");
    assert!(set.update_targets("nobody", "targets", bins).is_err());
}

#[test]
fn a_stored_timestamp_of_the_same_version_stays() {
    let mut world = World::new(3);
    let path = world.page("demo", "a page");
    let mut stored = newcomer(&world);
    visit(&world.files, &mut stored, NOW, &path).expect("sound");
    let before = stored["timestamp"].clone();
    let mut served = world.files.clone();
    let other = forge(&world.files["timestamp.json"], &[&offline(), &online()], |signed| {
        set(signed, &["meta", "snapshot.json", "version"], 100_u64);
    });
    served.insert("timestamp.json".to_owned(), other);
    visit(&served, &mut stored, NOW, &path).expect("what is stored is the truth");
    assert_eq!(stored["timestamp"], before);
    let late = Time::from_seconds(NOW.seconds() + 86_400);
    let refused = visit(&served, &mut stored, late, &path).expect_err("but not for ever");
    assert!(refused.contains("timestamp: expired"), "{refused}");
}
