//! A role and the signatures over it: reading, verifying, and putting a file together.

use std::collections::{BTreeMap, BTreeSet};

use crate::fields::{Fields, FormatError, content};
use crate::hash::hex;
use crate::json::{Value, to_stored, write_text};
use crate::keys::{NotSigning, PublicKey, Signer};
use crate::role::{Role, RoleKeys};

/// How many signatures a file may carry.
pub const SIGNATURES_MAX: usize = 1_024;

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who says to have made it.
    pub keyid: String,
    /// Hexadecimal; whatever else stands there verifies nothing.
    pub sig: String,
}

/// A role, read but not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<R> {
    /// Its signatures; no key id twice.
    pub signatures: Vec<Signature>,
    /// The canonical form that they are over, with all that we do not know.
    pub canonical: Vec<u8>,
    /// What it says.
    pub role: R,
}

/// Too few of the keys that count have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{valid} of {threshold} keys have signed")]
pub struct NotSigned {
    /// Different keys whose signatures verify.
    pub valid: u64,
    /// How many there must be.
    pub threshold: u64,
}

impl<R: Role> Signed<R> {
    /// Reads a file of at most `bytes_max` bytes.
    pub fn parse(bytes: &[u8], bytes_max: usize) -> Result<Self, FormatError> {
        let mut fields = Fields::new(Value::parse(bytes, bytes_max)?, "the file")?;
        let signatures = read_signatures(fields.list("signatures")?)?;
        let signed = Value::Object(fields.object("signed")?);
        let canonical = signed.to_canonical();
        Ok(Self { signatures, canonical, role: R::read(signed)? })
    }

    /// Whether enough of a role's keys have signed.
    pub fn verify(&self, keys: &BTreeMap<String, PublicKey>, role: &RoleKeys) -> Result<(), NotSigned> {
        verify(&self.canonical, &self.signatures, keys, role)
    }
}

pub(crate) fn read_signatures(values: Vec<Value>) -> Result<Vec<Signature>, FormatError> {
    if values.len() > SIGNATURES_MAX {
        return content(format!("more than {SIGNATURES_MAX} signatures"));
    }
    let mut signatures = Vec::with_capacity(values.len());
    let mut seen = BTreeSet::new();
    for value in values {
        let mut fields = Fields::new(value, "signatures")?;
        let signature = Signature { keyid: fields.text("keyid")?, sig: fields.text("sig")? };
        if !seen.insert(signature.keyid.clone()) {
            return content("two signatures of one key id");
        }
        signatures.push(signature);
    }
    Ok(signatures)
}

/// Counts different keys: neither a signature under two ids nor a key under two spellings counts twice.
pub(crate) fn verify(
    message: &[u8],
    signatures: &[Signature],
    keys: &BTreeMap<String, PublicKey>,
    role: &RoleKeys,
) -> Result<(), NotSigned> {
    let mut valid = BTreeSet::new();
    for keyid in &role.keyids {
        let Some(signature) = signatures.iter().find(|signature| signature.keyid == *keyid) else { continue };
        let Some(material) = keys.get(keyid).and_then(PublicKey::material) else { continue };
        if !valid.contains(&material) && material.verify(message, &signature.sig) {
            valid.insert(material);
        }
    }
    let valid = valid.len() as u64;
    if valid < role.threshold {
        return Err(NotSigned { valid, threshold: role.threshold });
    }
    Ok(())
}

/// Has each signer sign the canonical form; in the order of their key ids, so that the same signers give the same file.
pub fn sign(canonical: &[u8], signers: &[&dyn Signer]) -> Result<Vec<Signature>, NotSigning> {
    let by_keyid: BTreeMap<&str, &&dyn Signer> = signers.iter().map(|signer| (signer.keyid(), signer)).collect();
    by_keyid
        .into_iter()
        .map(|(keyid, signer)| Ok(Signature { keyid: keyid.to_owned(), sig: hex(&signer.sign(canonical)?) }))
        .collect()
}

/// The file of a role: the same bytes for the same signatures and the same canonical form.
pub fn file(canonical: &[u8], signatures: &[Signature]) -> Vec<u8> {
    let room: usize = signatures.iter().map(|signature| signature.keyid.len() + signature.sig.len() + 32).sum();
    let mut out = Vec::with_capacity(canonical.len() + room + 32);
    out.extend_from_slice(b"{\"signatures\":[");
    for (n, Signature { keyid, sig }) in signatures.iter().enumerate() {
        out.extend_from_slice(if n > 0 { b",{\"keyid\":" } else { b"{\"keyid\":" });
        quote(keyid, &mut out);
        out.extend_from_slice(b",\"sig\":");
        quote(sig, &mut out);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"signed\":");
    to_stored(canonical, &mut out);
    out.push(b'}');
    out
}

fn quote(text: &str, out: &mut Vec<u8>) {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    write_text(text, &mut quoted);
    to_stored(&quoted, out);
}
