//! Attestations of an authority of our own, sound and broken in every part.

mod objects;
mod publishers;
mod verification;

use attest::testing::{Authority, Order};
use attest::{Attestation, Publisher, TrustRoot};
use serde_json::Value;

const FILE: &str = "demo-1.0-py3-none-any.whl";
const SHA256: [u8; 32] = [7; 32];

fn github() -> Publisher {
    Publisher::GitHub { repository: "team/demo".into(), workflow: "release.yml".into(), environment: None }
}

fn order() -> Order {
    Order::new(github(), FILE, SHA256)
}

fn world() -> (Authority, TrustRoot) {
    let authority = Authority::new(1);
    let root = TrustRoot::from_json(&authority.trusted_root()).expect("a root");
    (authority, root)
}

fn parse_one(attestation: &Value) -> Attestation {
    attest::parse(serde_json::json!([attestation]).to_string().as_bytes()).expect("one").remove(0)
}
