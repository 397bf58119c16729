//! The attestation object, version 1 (PEP 740, "Attestation objects").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// Most attestations of one file: one for each predicate that is known.
pub const ATTESTATIONS_MAX: usize = 2;
/// Longest text of all attestations of a file, in bytes. Real ones are about 6 kB each; a SLSA predicate may be long.
pub const TEXT_BYTES_MAX: usize = 256 << 10;
/// Longest certificate, in bytes of DER. Real ones are about 2 kB.
pub const CERTIFICATE_BYTES_MAX: usize = 16 << 10;
/// Longest statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 128 << 10;
/// Longest signature, in bytes. ECDSA P-256 in DER has at most 72.
const SIGNATURE_BYTES_MAX: usize = 256;

/// One attestation. What is in it was decoded but not verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    version: u32,
    verification_material: VerificationMaterial,
    envelope: Envelope,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VerificationMaterial {
    certificate: String,
    /// As the log gave it: Sigstore's own form.
    transparency_entries: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    statement: String,
    signature: String,
}

/// Attestations of one file, from the upload field `attestations`: a JSON array.
///
/// # Errors
/// [`Error::Malformed`]: what is wrong, with the limit where it is one.
pub fn parse(text: &[u8]) -> Result<Vec<Attestation>, Error> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(malformed(format!("they are longer than {TEXT_BYTES_MAX} bytes")));
    }
    let found: Vec<Attestation> =
        serde_json::from_slice(text).map_err(|error| malformed(format!("they are no JSON array of them ({error})")))?;
    if found.is_empty() {
        return Err(malformed("the array is empty; leave the field out instead".into()));
    }
    if found.len() > ATTESTATIONS_MAX {
        let many = format!("there are {}; a file has at most {ATTESTATIONS_MAX}, one for each predicate", found.len());
        return Err(malformed(many));
    }
    for attestation in &found {
        attestation.check()?;
    }
    Ok(found)
}

fn malformed(why: String) -> Error {
    Error::Malformed(format!("These are no attestations as PEP 740 describes them: {why}."))
}

/// Standard base64, of a value that is named for the message.
fn decode(text: &str, what: &str, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let bytes = STANDARD.decode(text).map_err(|_| malformed(format!("the {what} is no base64")))?;
    if bytes.is_empty() || bytes.len() > bytes_max {
        return Err(malformed(format!("the {what} has {} bytes, not 1 to {bytes_max}", bytes.len())));
    }
    Ok(bytes)
}

impl Attestation {
    fn check(&self) -> Result<(), Error> {
        if self.version != 1 {
            return Err(malformed(format!("version {} is unknown here, only 1 is", self.version)));
        }
        // The standard allows several. One is what every client makes, and with one there is no question which of
        // them says when it was signed.
        if self.verification_material.transparency_entries.len() != 1 {
            let count = self.verification_material.transparency_entries.len();
            return Err(malformed(format!("there are {count} transparency entries, not exactly one")));
        }
        decode(&self.verification_material.certificate, "certificate", CERTIFICATE_BYTES_MAX)?;
        decode(&self.envelope.signature, "signature", SIGNATURE_BYTES_MAX)?;
        self.statement().map(|_| ())
    }

    /// The signed statement's bytes.
    pub(crate) fn statement(&self) -> Result<Vec<u8>, Error> {
        decode(&self.envelope.statement, "statement", STATEMENT_BYTES_MAX)
    }

    /// The same as a Sigstore bundle, version 0.3: PEP 740 leaves out what can be derived.
    pub(crate) fn bundle(&self) -> Value {
        serde_json::json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": { "rawBytes": self.verification_material.certificate },
                "tlogEntries": self.verification_material.transparency_entries,
            },
            "dsseEnvelope": {
                "payload": self.envelope.statement,
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{ "sig": self.envelope.signature }],
            },
        })
    }
}
