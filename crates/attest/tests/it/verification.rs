use attest::testing::{Authority, Order, SIGNED_AT};
use attest::{Error, Predicate, TrustRoot};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{FILE, SHA256, github, order, parse_one, world};

/// What is done to a statement.
type Change<'c> = &'c dyn Fn(&mut Value);

fn refusal(root: &TrustRoot, attestation: &Value) -> String {
    match root.verify(&parse_one(attestation), &SHA256) {
        Ok(verified) => panic!("verified: {verified:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_sound_attestation_verifies_and_says_who_signed_it() {
    let (authority, root) = world();
    for (predicate, by_commit) in [(Predicate::Publish, false), (Predicate::Slsa, true)] {
        let made = authority.attest(&Order { predicate, by_commit, ..order() });
        let verified = root.verify(&parse_one(&made), &SHA256).expect("sound");
        assert_eq!((verified.predicate, verified.subject.as_str()), (predicate, FILE));
        github().matches(&verified.claims).expect("sound");
    }
}

#[test]
fn another_instance_is_not_believed() {
    let (_, root) = world();
    let said = refusal(&root, &Authority::new(2).attest(&order()));
    assert!(said.starts_with("The attestation cannot be verified: "), "{said}");
    // Nor does the public one believe ours.
    let (authority, _) = world();
    refusal(&TrustRoot::public_good(), &authority.attest(&order()));
}

#[test]
fn the_certificate_log_must_have_seen_the_certificate() {
    let (authority, root) = world();
    let said = refusal(&root, &authority.attest(&Order { with_sct: false, ..order() }));
    assert!(said.contains("SCT"), "{said}");
}

#[test]
fn it_must_be_signed_while_the_certificate_was_valid() {
    let (authority, root) = world();
    let at = |valid_from: i64| authority.attest(&Order { valid_from, ..order() });
    root.verify(&parse_one(&at(SIGNED_AT - 600)), &SHA256).expect("sound");
    refusal(&root, &at(SIGNED_AT - 601));
    root.verify(&parse_one(&at(SIGNED_AT)), &SHA256).expect("sound");
    refusal(&root, &at(SIGNED_AT + 1));
}

/// Every value in which a byte can be turned, by its path.
#[test]
fn no_byte_can_be_turned() {
    let (authority, root) = world();
    let sound = authority.attest(&order());
    let entry = "/verification_material/transparency_entries/0";
    for path in [
        "/verification_material/certificate".to_owned(),
        "/envelope/statement".to_owned(),
        "/envelope/signature".to_owned(),
        format!("{entry}/canonicalizedBody"),
        format!("{entry}/logId/keyId"),
        format!("{entry}/inclusionPromise/signedEntryTimestamp"),
        format!("{entry}/inclusionProof/rootHash"),
        format!("{entry}/inclusionProof/hashes/0"),
    ] {
        let bytes = STANDARD.decode(sound.pointer(&path).expect("sound").as_str().unwrap()).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut turned = bytes.clone();
            turned[at] ^= 1;
            let mut broken = sound.clone();
            *broken.pointer_mut(&path).expect("sound") = json!(STANDARD.encode(turned));
            refusal(&root, &broken);
        }
    }
    for (path, value) in [
        ("integratedTime", json!((SIGNED_AT + 1).to_string())),
        ("logIndex", json!("0")),
        ("inclusionPromise", Value::Null),
        ("inclusionProof", Value::Null),
    ] {
        let mut broken = sound.clone();
        *broken.pointer_mut(&format!("{entry}/{path}")).expect("sound") = value;
        refusal(&root, &broken);
    }
}

#[test]
fn an_entry_of_another_signature_does_not_do() {
    let (authority, root) = world();
    let (mut one, other) = (authority.attest(&order()), authority.attest(&order()));
    let path = "/verification_material/transparency_entries";
    *one.pointer_mut(path).expect("sound") = other.pointer(path).unwrap().clone();
    refusal(&root, &one);
}

#[test]
fn statements() {
    let (authority, root) = world();
    let digest = "07".repeat(32);
    let of = |change: &dyn Fn(&mut Value)| {
        let mut statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": FILE, "digest": { "sha256": digest } }],
            "predicateType": Predicate::Publish.uri(),
            "predicate": {},
        });
        change(&mut statement);
        parse_one(&authority.sign(&order(), statement.to_string().as_bytes()))
    };
    assert!(root.verify(&of(&|_| {}), &SHA256).is_ok());
    let cases: [(Change<'_>, &str); 8] = [
        (&|s| s["_type"] = json!("https://in-toto.io/Statement/v0.1"), "its type is not"),
        (&|s| s["subject"] = json!([]), "0 subjects"),
        (&|s| s["subject"] = json!([s["subject"][0], s["subject"][0]]), "2 subjects"),
        (&|s| s["subject"][0]["name"] = Value::Null, "no name"),
        (&|s| s["subject"][0]["digest"] = json!({ "sha512": "00" }), "no SHA-256"),
        (&|s| s["subject"][0]["digest"]["sha256"] = json!("00".repeat(32)), "speaks of another file"),
        (&|s| s["predicateType"] = json!("https://example.invalid/p"), "predicate type is unknown"),
        (&|s| s["predicate"] = json!({ "a": 1 }), "has no content"),
    ];
    for (change, want) in cases {
        let said = root.verify(&of(change), &SHA256).unwrap_err().to_string();
        assert!(said.contains(want), "{said}");
    }
    let garbage = parse_one(&authority.sign(&order(), b"not JSON"));
    assert!(matches!(root.verify(&garbage, &SHA256), Err(Error::Malformed(_))));
}

#[test]
fn roots_that_believe_nobody_are_refused() {
    let root: Value = serde_json::from_str(&Authority::new(1).trusted_root()).expect("sound");
    for (key, want) in [
        ("certificateAuthorities", "no certificate authority"),
        ("tlogs", "no transparency log"),
        ("ctlogs", "no certificate transparency log"),
    ] {
        let mut less = root.clone();
        less[key] = json!([]);
        let said = TrustRoot::from_json(&less.to_string()).unwrap_err().to_string();
        assert!(said.contains(want), "{said}");
    }
    assert!(TrustRoot::from_json("{").is_err());
    TrustRoot::public_good();
}
