//! Attestations (PEP 740): what a build service says about a distribution file, signed by it.
//!
//! Pure: bytes in, answers out. An upload's attestations are [`parse`]d within limits, verified against a
//! [`TrustRoot`] and held against the [`Publisher`] that the operator bound to the project; what was verified is kept
//! and served as [`Provenance`].
//!
//! What an attestation proves is where a file was built and that somebody at that place wanted it published. It does
//! not say that the file is good.

mod object;
mod provenance;
mod publisher;
#[cfg(feature = "testing")]
pub mod testing;
mod verify;

pub use object::{ATTESTATIONS_MAX, Attestation, CERTIFICATE_BYTES_MAX, STATEMENT_BYTES_MAX, TEXT_BYTES_MAX, parse};
pub use provenance::{PROVENANCE_BYTES_MAX, Provenance};
pub use publisher::{PART_BYTES_MAX, Publisher};
pub use verify::{Claims, Predicate, TrustRoot, Verified};

/// Why attestations are not taken. Each is a sentence for whoever made them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not what PEP 740 describes, or over a limit.
    #[error("{0}")]
    Malformed(String),
    /// It does not verify against the trusted root, or speaks of another file.
    #[error("{0}")]
    Unverified(String),
    /// It verifies, but somebody else signed it than who publishes the project.
    #[error("{0}")]
    OtherPublisher(String),
}

/// Why a trusted root cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("this is no usable Sigstore trusted root (JSON, as `trusted_root.json` of a Sigstore instance): {0}")]
pub struct TrustRootError(String);
