use attest::{Error, PROVENANCE_BYTES_MAX, Provenance, TEXT_BYTES_MAX, parse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{github, order, world};

fn sound() -> Value {
    world().0.attest(&order())
}

fn said(text: &str) -> String {
    match parse(text.as_bytes()) {
        Err(Error::Malformed(said)) => said,
        other => panic!("{other:?}"),
    }
}

#[test]
fn arrays_of_one_and_two_are_taken() {
    let one = sound();
    assert_eq!(parse(json!([one]).to_string().as_bytes()).expect("sound").len(), 1);
    assert_eq!(parse(json!([one, one]).to_string().as_bytes()).expect("sound").len(), 2);
    assert!(said(&json!([one, one, one]).to_string()).contains("there are 3"));
    assert!(said("[]").contains("the array is empty"));
    assert!(said(&one.to_string()).contains("no JSON array"));
    assert!(said("").contains("no JSON array"));
    assert!(said("[null]").contains("no JSON array"));
}

#[test]
fn every_part_is_held_to_its_form_and_limit() {
    let with = |path: &str, value: Value| {
        let mut changed = sound();
        *changed.pointer_mut(path).expect("sound") = value;
        json!([changed]).to_string()
    };
    assert!(said(&with("/version", json!(2))).contains("version 2"));
    assert!(said(&with("/verification_material/transparency_entries", json!([]))).contains("0 transparency entries"));
    assert!(said(&with("/verification_material/transparency_entries", json!([{}, {}]))).contains("2 transparency"));
    for (path, what, most) in [
        ("/verification_material/certificate", "certificate", attest::CERTIFICATE_BYTES_MAX),
        ("/envelope/statement", "statement", attest::STATEMENT_BYTES_MAX),
    ] {
        assert!(said(&with(path, json!("*"))).contains(&format!("the {what} is no base64")));
        assert!(said(&with(path, json!(""))).contains("has 0 bytes"));
        let at = with(path, json!(STANDARD.encode(vec![0; most])));
        assert!(parse(at.as_bytes()).is_ok(), "{what}");
        assert!(said(&with(path, json!(STANDARD.encode(vec![0; most + 1])))).contains(&format!("1 to {most}")));
    }
    assert!(said(&with("/envelope", json!({ "statement": "AA==", "signature": "AA==", "more": 1 }))).contains("more"));
}

#[test]
fn the_text_has_a_limit() {
    let text = json!([sound()]).to_string();
    let padded = format!("{text}{}", " ".repeat(TEXT_BYTES_MAX - text.len()));
    assert!(parse(padded.as_bytes()).is_ok());
    assert!(said(&format!("{padded} ")).contains("longer than"));
    // Deep nesting ends in an error, not in a stack that is full.
    assert!(said(&"[".repeat(TEXT_BYTES_MAX)).contains("no JSON array"));
}

#[test]
fn provenance_holds_what_was_taken_and_says_who() {
    let attestations = parse(json!([sound()]).to_string().as_bytes()).expect("sound");
    let bytes = Provenance::new(github(), attestations.clone()).to_bytes();
    assert_eq!(bytes, Provenance::new(github(), attestations).to_bytes());
    assert_eq!(Provenance::publisher(&bytes), Ok(github()));
    let read: Value = serde_json::from_slice(&bytes).expect("sound");
    assert_eq!(read["version"], 1);
    assert_eq!(read["attestation_bundles"][0]["publisher"]["kind"], "GitHub");
    assert_eq!(read["attestation_bundles"][0]["publisher"]["environment"], Value::Null);
    assert_eq!(read["attestation_bundles"][0]["attestations"][0]["version"], 1);
    for broken in
        [&b""[..], b"{}", br#"{"version":2,"attestation_bundles":[]}"#, br#"{"version":1,"attestation_bundles":[]}"#]
    {
        assert!(Provenance::publisher(broken).is_err());
    }
    let mut long = bytes.clone();
    long.resize(PROVENANCE_BYTES_MAX, b' ');
    assert!(Provenance::publisher(&long).is_ok());
    long.push(b' ');
    assert!(Provenance::publisher(&long).is_err());
}
