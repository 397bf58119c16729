//! Changes of keys and of bins, with clients that came before: each follows from the first root on, and what the old
//! keys sign afterwards is refused.

use tuf::keys::Signer;
use tuf::write::{Recovery, Shape, WriteError};

use crate::world::{Files, World, forge, holders, key, newcomer, set, visit};

struct Clients {
    path: String,
    regular: Files,
}

impl Clients {
    fn new(world: &mut World) -> Self {
        let path = world.page("demo", "a page");
        let mut regular = newcomer(world);
        visit(&world.files, &mut regular, world.now, &path).expect("sound").expect("it is there");
        Self { path, regular }
    }

    /// Both a client that looked in before and a new one find the page.
    fn check(&mut self, world: &World) {
        for client in [&mut self.regular, &mut newcomer(world)] {
            let found = visit(&world.files, client, world.now, &self.path).expect("sound");
            assert!(found.is_some());
            assert_eq!(visit(&world.files, client, world.now, "p/00/no/no"), Ok(None));
        }
    }
}

#[test]
fn the_root_moves_to_other_holders() {
    let mut world = World::new(3);
    let mut clients = Clients::new(&mut world);
    let new = key(20);
    let expires = world.now.plus_days(365);
    let renewal = world.repository.offline().rotate_root(&holders(&new), world.now, expires);
    let alone = renewal.root.as_ref().expect("a root").sign(&[&new]).expect("it signs").bytes;
    let [targets, bins] = ["1.targets.json", "1.bins.json"].map(|name| world.files[name].clone());
    let refused = world.repository.adopt(&alone, &targets, &bins);
    assert!(matches!(refused, Err(WriteError::NotSigned { role, .. }) if role == "root"), "the old holders must sign");
    let old = key(1);
    world.adopt(&renewal, &[&old, &new]);
    assert_eq!(world.repository.unsigned().count(), 0, "nothing else changes");
    clients.check(&world);
    // The new holders alone can go on.
    let renewal = world.repository.offline().rotate_root(&holders(&key(21)), world.now, expires);
    world.adopt(&renewal, &[&new, &key(21)]);
    clients.check(&world);
}

#[test]
fn a_yearly_renewal_needs_nothing_else() {
    let mut world = World::new(3);
    let mut clients = Clients::new(&mut world);
    world.now = world.now.plus_days(360);
    world.commit(&(0..8).collect::<Vec<_>>());
    let renewal = world.repository.offline().renew(world.now, world.now.plus_days(365));
    world.adopt(&renewal, &[&key(1)]);
    world.commit(&[]);
    world.now = world.now.plus_days(10);
    world.commit(&[]);
    clients.check(&world);
    let same = world.repository.offline().expiries();
    assert!(same.iter().all(|(_, expires)| *expires > world.now.plus_days(300)));
}

#[test]
fn the_online_key_moves_and_the_old_one_is_worth_nothing() {
    let mut world = World::new(3);
    let mut clients = Clients::new(&mut world);
    // A thief of the old key pushes versions to the sky, and a client sees it.
    let thief = key(2);
    let timestamp = forge(&world.files["timestamp.json"], &[&thief], |signed| {
        set(signed, &["version"], 1_000_000_u64);
    });
    let mut forged = world.files.clone();
    forged.insert("timestamp.json".to_owned(), timestamp);
    visit(&forged, &mut clients.regular, world.now, &clients.path).expect("it is signed").expect("it is there");
    assert!(visit(&world.files, &mut clients.regular, world.now, &clients.path).is_err(), "a rollback, it must think");

    let new = key(30);
    let expires = world.now.plus_days(365);
    let renewal = world.repository.offline().rotate_online(&holders(&new), world.now, expires);
    world.adopt(&renewal, &[&key(1)]);
    assert_eq!(world.repository.unsigned().count(), 8);
    let keys: &[&dyn Signer] = &[&new];
    let online = tuf::write::Online { timestamp: keys, snapshot: keys, bins: keys };
    let early = world.repository.commit([(0, &[][..])], &world.issue(), &online).err();
    assert_eq!(early, Some(WriteError::Unsigned(7)), "no snapshot may mix keys");
    world.online = new;
    world.commit_unsigned();
    clients.check(&world);
    // What the thief signs now, nobody takes.
    for name in ["timestamp.json", "3.snapshot.json"] {
        let mut forged = world.files.clone();
        forged.insert(name.to_owned(), forge(&world.files[name], &[&thief], |_| ()));
        let refused = visit(&forged, &mut newcomer(&world), world.now, &clients.path);
        assert!(refused.is_err_and(|why| why.contains("0 of 1 keys") || why.contains("digest differs")), "{name}");
    }
}

#[test]
fn a_standby_signs_at_once_and_the_first_key_is_revoked_later() {
    let mut world = World::new(3);
    let mut clients = Clients::new(&mut world);
    let (first, standby) = (key(2), key(33));
    let keys = [&first, &standby].map(|signer| signer.public_key().clone()).to_vec();
    let both = tuf::write::Holders { keys, threshold: 1 };
    let expires = world.now.plus_days(365);
    let renewal = world.repository.offline().rotate_online(&both, world.now, expires);
    world.adopt(&renewal, &[&key(1)]);
    assert_eq!(world.repository.unsigned().count(), 0, "what the first key signed stays good");
    world.commit(&[]);
    clients.check(&world);
    // The first key is lost: the standby goes on, beside bins that the first one signed.
    world.online = key(33);
    world.commit(&[0]);
    clients.check(&world);
    // Its holders revoke the first key: then every bin is signed anew.
    let renewal = world.repository.offline().rotate_online(&holders(&standby), world.now, expires);
    world.adopt(&renewal, &[&key(1)]);
    assert_eq!(world.repository.unsigned().count(), 8);
    world.commit_unsigned();
    clients.check(&world);
    let mut forged = world.files.clone();
    forged.insert("timestamp.json".to_owned(), forge(&world.files["timestamp.json"], &[&first], |_| ()));
    assert!(visit(&forged, &mut newcomer(&world), world.now, &clients.path).is_err_and(|why| why.contains("0 of 1")));
}

#[test]
fn a_rebin_is_no_rollback() {
    for (shape, bits) in [(Shape::Succinct, 5), (Shape::Classic, 4), (Shape::Succinct, 2)] {
        let mut world = World::new(3);
        let mut clients = Clients::new(&mut world);
        let offline = world.repository.offline();
        let (new, expires) = (key(40), world.now.plus_days(365));
        let same = offline.rebin(shape, bits, &holders(&key(2)), world.now, expires);
        assert!(matches!(same, Err(WriteError::Offline { .. })), "the snapshot key must change");
        let renewal = offline.rebin(shape, bits, &holders(&new), world.now, expires).expect("another key");
        world.adopt(&renewal, &[&key(1)]);
        let bins: Vec<u32> = world.repository.unsigned().collect();
        assert_eq!(bins.len(), 1 << bits);
        // The bins keep their key, timestamp and snapshot have the new one.
        let rows: Vec<_> = bins.iter().map(|bin| (*bin, world.rows(*bin))).collect();
        let (old, fresh): (&[&dyn Signer], &[&dyn Signer]) = (&[&world.online], &[&new]);
        let online = tuf::write::Online { timestamp: fresh, snapshot: fresh, bins: old };
        let changes = rows.iter().map(|(bin, rows)| (*bin, rows.borrow()));
        let borrowed: Vec<(u32, Vec<tuf::write::Row<'_>>)> = changes.collect();
        let changes = borrowed.iter().map(|(bin, rows)| (*bin, &rows[..]));
        let commit = world.repository.commit(changes, &world.issue(), &online).expect("sound");
        let written: Vec<_> = commit.written().cloned().collect();
        world.repository.apply(commit).expect("it follows");
        written.iter().for_each(|written| world.publish(written));
        assert!(written[0].record.role.starts_with("bin2-"), "names are never used again");
        clients.check(&world);
    }
}

#[test]
fn recovery_after_everything_but_the_root_was_stolen() {
    let mut world = World::new(3);
    let mut clients = Clients::new(&mut world);
    let [targets, bins, online] = [key(50), key(51), key(52)];
    let recovery =
        Recovery { root: None, targets: holders(&targets), bins: holders(&bins), online: holders(&online), jump: 100 };
    let renewal = world.repository.offline().recover(&recovery, world.now, world.now.plus_days(365));
    let before = world.repository.line(0).expect("a line").version;
    world.adopt(&renewal, &[&key(1), &targets, &bins]);
    world.online = online;
    world.commit_unsigned();
    assert_eq!(world.repository.line(0).map(|line| line.version), Some(before + 101));
    clients.check(&world);
    // `targets` by its old holder is refused from now on.
    let mut forged = world.files.clone();
    forged.insert("2.targets.json".to_owned(), forge(&world.files["2.targets.json"], &[&key(1)], |_| ()));
    assert!(visit(&forged, &mut newcomer(&world), world.now, &clients.path).is_err());
}

#[test]
fn offline_roles_change_with_a_new_version_only() {
    let world = World::new(3);
    let [root, targets, bins] = ["1.root.json", "1.targets.json", "1.bins.json"].map(|name| world.files[name].clone());
    let edit = |bytes: &[u8], version: u64| {
        forge(bytes, &[&key(1)], |signed| {
            set(signed, &["version"], version);
            set(signed, &["expires"], "2040-01-01T00:00:00Z");
        })
    };
    let adopt = |root: &[u8], targets: &[u8], bins: &[u8]| world.repository.adopt(root, targets, bins).map(|_| ());
    assert_eq!(adopt(&root, &targets, &bins), Ok(()));
    assert_eq!(adopt(&edit(&root, 2), &edit(&targets, 2), &edit(&bins, 9)), Ok(()));
    for (root, targets, bins) in [
        (edit(&root, 3), targets.clone(), bins.clone()),
        (edit(&root, 1), targets.clone(), bins.clone()),
        (root.clone(), edit(&targets, 1), bins.clone()),
        (root, targets, edit(&bins, 1)),
    ] {
        assert!(matches!(adopt(&root, &targets, &bins), Err(WriteError::Order(_))));
    }
}
