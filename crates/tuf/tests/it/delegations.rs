//! Who is asked for a path, in which order, and on whose word.

use std::collections::{BTreeMap, BTreeSet};

use tuf::delegation::{DelegatedRole, DelegatedTo, Delegations, Paths};
use tuf::json::Object;
use tuf::keys::Signer;
use tuf::role::{RoleKeys, Snapshot};
use tuf::signed::{file, sign};
use tuf::write::Body;
use tuf::{Limits, Lookup, Root, Signed, Step, Targets, Top, TrustedSet};

use crate::world::{NOW, World, forge, key, set};

/// Who delegates to whom: delegator, role, whether it is terminating, pattern, seed of the role's key.
type Edge = (&'static str, &'static str, bool, &'static str, u8);

/// A repository whose targets roles are these, each signed by the key of the first edge to it.
struct Graph {
    files: BTreeMap<String, Vec<u8>>,
    set: TrustedSet,
}

fn signed(body: &Body, seed: u8) -> Vec<u8> {
    body.sign(&[&key(seed)]).expect("it signs").bytes
}

fn targets(name: &str, edges: &[Edge]) -> Body {
    let mine = edges.iter().filter(|(delegator, ..)| *delegator == name);
    let roles: Vec<DelegatedRole> = mine
        .clone()
        .map(|(_, role, terminating, pattern, seed)| DelegatedRole {
            name: (*role).to_owned(),
            keys: RoleKeys::new(vec![key(*seed).keyid().to_owned()], 1),
            terminating: *terminating,
            paths: Paths::Patterns(vec![(*pattern).to_owned()]),
        })
        .collect();
    let keys = mine.map(|(.., seed)| (key(*seed).keyid().to_owned(), key(*seed).public_key().clone())).collect();
    let delegations = Some(Delegations { keys, to: DelegatedTo::Roles(roles), extra: Object::new() });
    let (expires, extra) = (NOW.plus_days(1), Object::new());
    let role = Targets { version: 1, expires, targets: BTreeMap::new(), delegations, extra };
    Body { role: name.to_owned(), version: 1, issued: NOW, expires, canonical: role.to_value().to_canonical() }
}

impl Graph {
    fn new(edges: &[Edge]) -> Self {
        let world = World::new(1);
        let mut files = BTreeMap::from([("targets".to_owned(), signed(&targets("targets", edges), 1))]);
        for (_, role, .., seed) in edges {
            files.entry((*role).to_owned()).or_insert_with(|| signed(&targets(role, edges), *seed));
        }
        let snapshot = forge(&world.files["1.snapshot.json"], &[&key(2)], |signed| {
            set(signed, &["meta"], Object::new());
            for role in files.keys() {
                let line = Object::from([("version".to_owned(), 1_u64.into())]);
                set(signed, &["meta", &format!("{role}.json")], line);
            }
        });
        let timestamp = forge(&world.files["timestamp.json"], &[&key(2)], |signed| {
            let line = Object::from([("version".to_owned(), 1_u64.into())]);
            set(signed, &["meta", "snapshot.json"], line);
        });
        let mut set = TrustedSet::new(&world.files["1.root.json"], NOW, Limits::default()).expect("our own root");
        set.finish_root().expect("not expired");
        set.update_timestamp(&timestamp).expect("sound");
        set.update_snapshot(&snapshot).expect("sound");
        Self { files, set }
    }

    /// The roles that are asked for a path that nobody has.
    fn visited(&mut self, path: &str) -> Result<Vec<String>, String> {
        let (mut lookup, mut visited) = (Lookup::new(path), Vec::new());
        loop {
            match lookup.step(&mut self.set).map_err(|refused| refused.to_string())? {
                Step::Need { role, delegator } => {
                    self.set
                        .update_targets(&role, &delegator, &self.files[&role])
                        .map_err(|refused| refused.to_string())?;
                    visited.push(role);
                }
                Step::Absent => return Ok(visited),
                Step::Found(_) => return Err("found".to_owned()),
            }
        }
    }
}

#[test]
fn pre_order_depth_first_until_a_terminating_one() {
    let cases: [(&[Edge], &[&str]); 7] = [
        (&[("targets", "a", false, "*", 5), ("targets", "b", false, "*", 5)], &["a", "b"]),
        (
            &[("targets", "a", false, "*", 5), ("targets", "b", false, "*", 5), ("a", "c", false, "*", 5)],
            &["a", "c", "b"],
        ),
        (&[("targets", "a", true, "*", 5), ("targets", "b", false, "*", 5), ("a", "c", false, "*", 5)], &["a", "c"]),
        (
            &[
                ("targets", "a", false, "*", 5),
                ("targets", "b", false, "*", 5),
                ("a", "c", true, "*", 5),
                ("a", "d", false, "*", 5),
            ],
            &["a", "c"],
        ),
        (&[("targets", "a", true, "x*", 5), ("targets", "b", false, "*", 5)], &["b"]),
        (&[("targets", "a", false, "*", 5), ("a", "b", false, "*", 5), ("b", "a", false, "*", 5)], &["a", "b"]),
        (
            &[
                ("targets", "a", false, "*", 5),
                ("targets", "b", false, "*", 5),
                ("b", "c", false, "*", 5),
                ("a", "c", false, "*", 5),
            ],
            &["a", "c", "b"],
        ),
    ];
    for (edges, expected) in cases {
        let visited = Graph::new(edges).visited("path").expect("a sound graph");
        assert_eq!(visited.iter().map(String::as_str).skip(1).collect::<Vec<_>>(), expected, "{edges:?}");
    }
}

#[test]
fn trust_does_not_carry_over_to_another_delegator() {
    let edges: [Edge; 4] = [
        ("targets", "one", false, "a/*", 5),
        ("targets", "two", false, "b/*", 5),
        ("one", "shared", false, "a/*", 6),
        ("two", "shared", false, "b/*", 7),
    ];
    let mut graph = Graph::new(&edges);
    assert_eq!(graph.visited("a/x"), Ok(["targets", "one", "shared"].map(String::from).into()));
    assert_eq!(graph.visited("a/x"), Ok(Vec::new()), "nothing is asked for twice");
    assert_eq!(graph.visited("b/x"), Err("shared: 0 of 1 keys have signed".to_owned()));
    // Where both delegators name the same key, there is nothing to fetch.
    let mut same = edges;
    same[3].4 = 6;
    let mut graph = Graph::new(&same);
    graph.visited("a/x").expect("sound");
    assert_eq!(graph.visited("b/x"), Ok(vec!["two".to_owned()]));
}

#[test]
fn a_search_over_too_many_roles_ends() {
    const NAMES: [&str; 40] = {
        let mut names = [""; 40];
        let all = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";
        let mut n = 0;
        while n < 40 {
            names[n] = all.split_at(n).1.split_at(1).0;
            n += 1;
        }
        names
    };
    // Together with `targets` as many as may be asked, and one more.
    for (count, fits) in [(31, true), (32, false)] {
        let edges: Vec<Edge> = NAMES[..count].iter().map(|name| ("targets", *name, false, "*", 5)).collect();
        let outcome = Graph::new(&edges).visited("path");
        assert_eq!(outcome.is_ok(), fits, "{outcome:?}");
    }
    assert_eq!(NAMES.iter().collect::<BTreeSet<_>>().len(), 40);
}

/// A key that is taken away while another one stays: what that other one signed still verifies, and must be dropped
/// all the same, or the recovery from a fast-forward attack would look like a rollback.
#[test]
fn losing_one_of_two_online_keys_drops_what_is_stored() {
    let world = World::new(1);
    let first: Signed<Root> = Signed::parse(&world.files["1.root.json"], 1 << 20).expect("our own root");
    let (stays, goes) = (key(2), key(3));
    let both = tuf::write::Holders { keys: [&stays, &goes].map(|key| key.public_key().clone()).into(), threshold: 1 };
    let with = |version: u64, top: Top, holders: &tuf::write::Holders| {
        let mut root = Root { version, ..first.role.clone() };
        root.set_holders(top, holders);
        signed(&root.body(NOW), 1)
    };
    for top in [Top::Timestamp, Top::Snapshot] {
        let one = crate::world::holders(&stays);
        let mut set = TrustedSet::new(&world.files["1.root.json"], NOW, Limits::default()).expect("our own root");
        assert_eq!(set.update_root(&with(2, top, &both)), Ok(tuf::trusted::Rotation::None), "one more harms nobody");
        assert_eq!(set.update_root(&with(3, top, &one)), Ok(tuf::trusted::Rotation::Online));
    }
    let mut set = TrustedSet::new(&world.files["1.root.json"], NOW, Limits::default()).expect("our own root");
    let other = with(2, Top::Targets, &both);
    assert_eq!(set.update_root(&other), Ok(tuf::trusted::Rotation::None));
}

/// A snapshot that this crate writes is one that it reads, and a file is what its parts are.
#[test]
fn a_file_is_its_parts() {
    let world = World::new(2);
    let bytes = &world.files["1.snapshot.json"];
    let read: Signed<Snapshot> = Signed::parse(bytes, bytes.len()).expect("our own snapshot");
    assert_eq!(&file(&read.canonical, &read.signatures), bytes);
    assert_eq!(sign(&read.canonical, &[&key(2)]), Ok(read.signatures));
}
