//! The provenance object, version 1 (PEP 740, "Provenance objects"): who published a file, and the attestations that
//! were verified.

use serde::{Deserialize, Serialize};

use crate::object::TEXT_BYTES_MAX;
use crate::{Attestation, Publisher};

/// Longest provenance that a client takes, in bytes: all attestations, and the publisher around them.
pub const PROVENANCE_BYTES_MAX: usize = TEXT_BYTES_MAX + (8 << 10);

/// The provenance of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    version: u32,
    attestation_bundles: Vec<Bundle>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Bundle {
    publisher: Publisher,
    attestations: Vec<Attestation>,
}

impl Provenance {
    /// Of attestations that were verified as this publisher's.
    pub fn new(publisher: Publisher, attestations: Vec<Attestation>) -> Self {
        Self { version: 1, attestation_bundles: vec![Bundle { publisher, attestations }] }
    }

    /// As it is kept, served and signed: one line of JSON, the same bytes for the same content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("provenance is text");
        bytes.push(b'\n');
        bytes
    }

    /// Who published a file, from the bytes of its provenance.
    ///
    /// # Errors
    /// When these are no provenance of a kind that is known here, or over [`PROVENANCE_BYTES_MAX`].
    pub fn publisher(bytes: &[u8]) -> Result<Publisher, String> {
        if bytes.len() > PROVENANCE_BYTES_MAX {
            return Err(format!("it is longer than {PROVENANCE_BYTES_MAX} bytes"));
        }
        let parsed: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match parsed.attestation_bundles.into_iter().next() {
            Some(bundle) if parsed.version == 1 && !bundle.attestations.is_empty() => Ok(bundle.publisher),
            _ => Err("it is no provenance of version 1 with attestations".to_owned()),
        }
    }
}
