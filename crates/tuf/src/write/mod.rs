//! The repository: what it signs, and how a change touches only the bins it is in, the snapshot and the timestamp.
//!
//! Bodies are pure functions of what a ledger holds anyway ([`body`]), so it keeps a [`Record`] for each role instead of
//! the file, and [`Record::rebuild`] gives the same bytes without a key. Three roles are offline and kept whole: root,
//! `targets`, and `bins`, which delegates to the bins. Their changes are made in [`offline`], signed through
//! [`crate::event`], and taken over by [`Repository::adopt`].
//!
//! ```
//! use std::collections::BTreeMap;
//! use tuf::keys::{Ed25519Signer, Signer};
//! use tuf::layout::Target;
//! use tuf::write::{Bins, Founding, Holders, Issue, Lifetimes, Offline, Online, Repository, Row, Shape};
//! use tuf::{Lookup, Step, Time, TrustedSet};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Time::from_seconds(1_800_000_000);
//! let (offline, online) = (Ed25519Signer::from_seed(&[1; 32])?, Ed25519Signer::from_seed(&[2; 32])?);
//! let holders = |signer: &Ed25519Signer| Holders { keys: vec![signer.public_key().clone()], threshold: 1 };
//!
//! // Once: the offline roles. Here one key signs at once; for several holders see `tuf::event`.
//! let founding = Founding {
//!     root: holders(&offline),
//!     targets: holders(&offline),
//!     bins: holders(&offline),
//!     snapshot: holders(&online),
//!     timestamp: holders(&online),
//!     bin: holders(&online),
//!     shape: Bins::new(Shape::Succinct, 4, 1)?,
//!     issued: now,
//!     expires: now.plus_days(365),
//! };
//! let bodies = founding.bodies();
//! let sign = |body: &tuf::write::Body| body.sign(&[&offline]).map(|written| written.bytes);
//! let [root, targets, bins] = [sign(&bodies.root)?, sign(&bodies.targets)?, sign(&bodies.bins)?];
//! let mut repository = Repository::found(Offline::read(&root, &targets, &bins)?);
//!
//! // At each set of changes: the rows of each changed bin, sorted by path. At first every bin is one.
//! let path = Target::Page { project: "demo" }.path();
//! let row = [Row { path: &path, length: 5, sha256: &tuf::hash::sha256(b"page\n"), custom: None }];
//! let bin = repository.bins().of(&path);
//! let changes = (0..repository.bins().count()).map(|n| (n, if n == bin { &row[..] } else { &[] }));
//! let issue = Issue { now, lifetimes: Lifetimes { timestamp: 86_400, snapshot: 86_400, bin: 1_209_600 },
//!     extra: BTreeMap::new() };
//! let signers = Online { timestamp: &[&online], snapshot: &[&online], bins: &[&online] };
//! let commit = repository.commit(changes, &issue, &signers)?;
//!
//! // The caller writes the records to its ledger, then the files in this order, and then:
//! assert_eq!(commit.written().last().map(|written| written.record.role.as_str()), Some("timestamp"));
//! let fetched: BTreeMap<_, _> = commit.written().map(|w| (w.record.role.clone(), w.bytes.clone())).collect();
//! repository.apply(commit)?;
//!
//! // What a client makes of it:
//! let mut client = TrustedSet::new(&root, now, Default::default())?;
//! client.finish_root()?;
//! client.update_timestamp(&fetched["timestamp"])?;
//! client.update_snapshot(&fetched["snapshot"])?;
//! let mut lookup = Lookup::new(&path);
//! let found = loop {
//!     match lookup.step(&mut client)? {
//!         Step::Need { role, delegator } => {
//!             let bytes = match role.as_str() { "targets" => &targets, "bins" => &bins, bin => &fetched[bin] };
//!             client.update_targets(&role, &delegator, bytes)?;
//!         }
//!         Step::Found(file) => break Some(file),
//!         Step::Absent => break None,
//!     }
//! };
//! assert_eq!(found.map(|file| file.length), Some(5));
//! # Ok(())
//! # }
//! ```

mod bins;
pub mod body;
pub mod offline;
mod repository;
mod snapshot;

pub use bins::{BITS_MAX, Bins, CLASSIC_BITS_MAX, Shape};
pub use body::{BIN_BYTES_MAX, Body, Custom, Record, Row, Written};
pub use offline::{Bodies, Founding, Holders, Offline, Recovery, Renewal};
pub use repository::{Commit, Issue, Lifetimes, Line, Online, Repository, SignedBin, Standing};

use crate::fields::FormatError;
use crate::keys::NotSigning;
use crate::signed::NotSigned;

/// The role that delegates to the bins (PEP 458).
pub const BINS: &str = "bins";

/// Why something was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The rows of a bin are not what a bin can hold.
    #[error("the rows of a bin: {0}")]
    Rows(&'static str),
    /// What a ledger holds as `custom` is not canonical JSON of an object.
    #[error("`custom` is no object in canonical form")]
    Custom,
    /// No such number of bins, or no such bin.
    #[error("there is no such bin: 2^1 to 2^{BITS_MAX} are possible, 2^{CLASSIC_BITS_MAX} in classic shape")]
    Bins,
    /// Those who were to sign may not, or are too few.
    #[error("{role}: the keys at hand may not sign it, or are too few")]
    Signers {
        /// For which role.
        role: String,
    },
    /// A key did not sign.
    #[error(transparent)]
    NotSigning(#[from] NotSigning),
    /// An offline role cannot be read.
    #[error("{role}: {why}")]
    Format {
        /// Which.
        role: String,
        /// Why.
        why: FormatError,
    },
    /// An offline role is not signed by those who may.
    #[error("{role}: {why}")]
    NotSigned {
        /// Which.
        role: String,
        /// How many are missing.
        why: NotSigned,
    },
    /// An offline role does not say what it must for this engine.
    #[error("{role}: {why}")]
    Offline {
        /// Which.
        role: String,
        /// What it lacks.
        why: &'static str,
    },
    /// Bins that must be signed before the next snapshot are not: at the start, after a rotation, after a rebin.
    #[error("{0} bins must be signed first")]
    Unsigned(usize),
    /// A commit or a record that belongs to another state than this one.
    #[error("does not follow on what stands: {0}")]
    Order(&'static str),
}
