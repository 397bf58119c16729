//! The transparency log: what an index did with whose files, in a form that nobody can change afterwards unseen.
//!
//! A static log as C2SP describes it (tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature, tlog-witness), its
//! tree as RFC 6962 hashes it. Pure: no I/O, clock, randomness or async. Times come from the caller, keys sign
//! through [`Signer`], tiles are read through [`ReadTile`].
//!
//! | who | uses |
//! |---|---|
//! | the publisher | [`Log::append`] → [`Written`]: tiles, bundles, and the checkpoint to sign |
//! | a client | [`Policy::open`], then [`follow::Remembered::advance`]; [`proof::verify_inclusion`] for one entry |
//! | a monitor | [`follow::Follower::read`]: every entry, and the root they make |
//! | a witness | [`witness::consider`], then, once stored, [`witness::Consistent::cosign`] |
//!
//! The publisher's side and a client's, whole:
//!
//! ```
//! use std::collections::BTreeMap;
//! use tlog::entry::{Act, Entry, LoggedFile, FileName, Project, Salt, commit};
//! use tlog::note::{KeyKind, KeyName, MemorySigner, Signer};
//! use tlog::{Account, Log, Origin, Policy, follow::Remembered, hash, proof};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let origin = Origin::new("index.example/main")?;
//! let signer = MemorySigner::from_seed(KeyName::new(origin.as_str())?, KeyKind::Ed25519, &[7; 32])?;
//! let account = Account { id: [1; 16], commitment: commit(&Salt([2; 32]), b"account 17") };
//! let publish = |name: &str| -> Result<Vec<u8>, tlog::EntryError> {
//!     let file = LoggedFile { name: FileName::new(name)?, sha256: hash::sha256(b"the file") };
//!     let (project, page) = (Project::new("flask")?, Some(hash::sha256(b"the page")));
//!     Ok(Entry { time: 1_700_000_000, project, act: Act::Publish(file), page, by: Some(account) }.print())
//! };
//!
//! // The publisher: write bundles and tiles, and the signed checkpoint last.
//! let mut site = BTreeMap::new();
//! let first = Log::new(origin.clone()).append(&[publish("flask-3.0.0.tar.gz")?])?;
//! site.extend(first.tiles.into_iter().chain(first.bundles));
//! let seen = first.checkpoint.sign(&[&signer])?.to_string();
//! let second = first.next.append(&[publish("flask-3.0.1.tar.gz")?, publish("flask-3.0.2.tar.gz")?])?;
//! site.extend(second.tiles.into_iter().chain(second.bundles));
//! let shown = second.checkpoint.sign(&[&signer])?.to_string();
//!
//! // A client that saw the first, and now is shown the second.
//! let policy = Policy { origin, log: vec![signer.key().clone()], witnesses: vec![], quorum: 0 };
//! let remembered = Remembered::first(policy.open(seen.as_bytes())?.checkpoint);
//! let opened = policy.open(shown.as_bytes())?;
//! let head = opened.checkpoint.head();
//! let grown = proof::prove_consistency(remembered.head().size, head.size, &site)?;
//! let remembered = remembered.advance(&opened.checkpoint, &grown)?;
//! assert_eq!(remembered.head().size, 3);
//!
//! // Is this entry in it?
//! let leaf = hash::leaf_hash(&publish("flask-3.0.2.tar.gz")?);
//! let path = proof::prove_inclusion(2, head.size, &site)?;
//! proof::verify_inclusion(&leaf, 2, &head, &path)?;
//! assert!(proof::verify_inclusion(&leaf, 1, &head, &path).is_err());
//! # Ok(())
//! # }
//! ```

pub mod checkpoint;
pub mod entry;
pub mod follow;
pub mod hash;
pub mod note;
pub mod proof;
#[cfg(test)]
mod tests;
pub mod tile;
pub mod tree;
pub mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, Opened, Origin, Policy};
pub use entry::{Account, Act, Entry, EntryError};
pub use hash::Hash;
pub use note::{Note, NoteError, Signer, VerifierKey};
pub use proof::{ProofError, TreeHead};
pub use tile::{ReadTile, TileError, TileId};
pub use tree::{Log, Peaks, TreeError, Written};
