//! The Update Framework (TUF specification 1.0.x, PEP 458, TAP 15): what is signed, by whom, and whom to believe.
//!
//! Pure: no I/O, clock, randomness or async. Times come from the caller; keys sign through [`keys::Signer`].

pub mod delegation;
pub mod event;
mod fields;
pub mod hash;
pub mod json;
pub mod keys;
pub mod layout;
pub mod lookup;
pub mod role;
pub mod signed;
pub mod time;
pub mod trusted;
pub mod write;

pub use fields::FormatError;
pub use keys::{PublicKey, Signer};
pub use lookup::{Lookup, Step};
pub use role::{Root, Snapshot, TargetFile, Targets, Timestamp, Top};
pub use signed::{Signature, Signed};
pub use time::Time;
pub use trusted::{Limits, Refused, TrustedSet, Why};
