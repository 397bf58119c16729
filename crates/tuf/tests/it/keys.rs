//! Keys and signatures of another implementation, and what a threshold counts.

use std::collections::BTreeMap;

use tuf::keys::{Ed25519Signer, PublicKey, Signer, ecdsa_der};
use tuf::role::RoleKeys;
use tuf::signed::{file, sign};
use tuf::{Root, Signed};

use crate::world::World;

fn fixtures() -> (Vec<u8>, Vec<(PublicKey, String, String)>) {
    let all: serde_json::Value = serde_json::from_str(include_str!("keys.json")).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let keys = all["keys"].as_array().expect("keys").iter().map(|key| {
        let key_ = PublicKey {
            keytype: text(&key["keytype"]),
            scheme: text(&key["scheme"]),
            public: text(&key["public"]),
            keyval_extra: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        (key_, text(&key["keyid"]), text(&key["signature"]))
    });
    (text(&all["message"]).into_bytes(), keys.collect())
}

#[test]
fn keys_of_securesystemslib() {
    let (message, keys) = fixtures();
    assert_eq!(keys.len(), 3);
    for (key, keyid, signature) in keys {
        assert_eq!(key.keyid(), keyid, "{}", key.keytype);
        assert!(key.verify(&message, &signature), "{}", key.keytype);
        assert!(key.verify(&message, &signature.to_uppercase()), "hexadecimal of either case");
        assert!(!key.verify(b"what is not", &signature));
        for bad in ["", "00", "zz", "é", &signature[2..], &format!("{signature}00"), &"00".repeat(64)] {
            assert!(!key.verify(&message, bad), "{} {bad}", key.keytype);
        }
        let unknown = PublicKey { scheme: "none".to_owned(), ..key.clone() };
        assert!(!unknown.verify(&message, &signature));
        for public in ["", "00", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
            let broken = PublicKey { public: public.to_owned(), ..key.clone() };
            assert!(!broken.verify(&message, &signature), "{public}");
        }
        let extra = [("keyid_hash_algorithms".to_owned(), tuf::json::Value::from("md5"))].into();
        assert_eq!(PublicKey { extra, ..key }.keyid(), keyid, "what stands beside is no part of the id");
    }
}

#[test]
fn both_spellings_of_ecdsa() {
    let (message, keys) = fixtures();
    let (key, _, signature) = keys.into_iter().find(|(key, ..)| key.keytype == "ecdsa").expect("it is there");
    let old = PublicKey { keytype: key.scheme.clone(), ..key };
    assert!(old.verify(&message, &signature));
}

#[test]
fn thresholds_count_keys_and_not_ids() {
    let world = World::new(4);
    let mut root: Signed<Root> = Signed::parse(&world.files["1.root.json"], 1 << 20).expect("our own root");
    let signer = Ed25519Signer::from_seed(&[9; 32]).expect("a seed");
    let mut shouting = signer.public_key().clone();
    shouting.public = shouting.public.to_uppercase();
    root.role.keys = BTreeMap::from([("a".to_owned(), signer.public_key().clone()), ("b".to_owned(), shouting)]);
    let sig = sign(&root.canonical, &[&signer]).expect("it signs").remove(0);
    for keyid in ["a", "b"] {
        root.signatures.push(tuf::Signature { keyid: keyid.to_owned(), ..sig.clone() });
    }
    let both = vec!["a".to_owned(), "b".to_owned()];
    root.verify(&root.role.keys, &RoleKeys::new(both.clone(), 1)).expect("one key is one");
    let refused = root.verify(&root.role.keys, &RoleKeys::new(both, 2)).expect_err("it is not two");
    assert_eq!((refused.valid, refused.threshold), (1, 2));
}

#[test]
fn a_key_id_signs_once() {
    let world = World::new(4);
    let root: Signed<Root> = Signed::parse(&world.files["1.root.json"], 1 << 20).expect("our own root");
    let twice = file(&root.canonical, &[root.signatures.clone(), root.signatures].concat());
    assert!(Signed::<Root>::parse(&twice, 1 << 20).is_err());
}

/// Goal: what a token gives becomes what clients read, whatever its numbers begin with.
#[test]
fn two_numbers_become_one_signature() {
    let number = |head: &[u8]| {
        let mut out = [0; 32];
        out[..head.len()].copy_from_slice(head);
        out
    };
    let joined = |one: [u8; 32], two: [u8; 32]| <[u8; 64]>::try_from([one, two].concat()).expect("64 bytes");
    let plain = ecdsa_der(&joined(number(&[0x7f]), number(&[0x01])));
    assert_eq!((&plain[..4], plain.len()), (&[0x30, 68, 0x02, 32][..], 70));
    let high = ecdsa_der(&joined(number(&[0x80]), number(&[0xff])));
    assert_eq!((&high[..5], high.len()), (&[0x30, 70, 0x02, 33, 0][..], 72), "a high bit would make it negative");
    let low = ecdsa_der(&joined(number(&[0, 0, 0x80]), [0; 32]));
    assert_eq!((&low[..6], low.len()), (&[0x30, 36, 0x02, 31, 0, 0x80][..], 38), "no zeros but the sign's");
    assert_eq!(low[35..], [0x02, 1, 0]);
}
