//! The vocabulary of Python packaging: names, versions, filenames, core metadata, the Simple API.
//!
//! Everything here is pure: no I/O, clock, randomness or async. It says what a value *is* and which
//! rules it breaks; whether an upload may proceed is decided in `index::policy`.

pub mod filename;
pub mod hash;
pub mod metadata;
pub mod name;
pub mod requirement;
pub mod rules;
pub mod simple;
pub mod specifier;
pub mod status;
pub mod tag;
pub mod version;

pub use filename::{DistFilename, FilenameError, SdistFilename, WheelFilename};
pub use hash::Sha256;
pub use metadata::{CoreMetadata, Field};
pub use name::{NormalizedName, ProjectName};
pub use requirement::Requirement;
pub use rules::{Profile, Rejection, Rule};
pub use specifier::Specifiers;
pub use status::ProjectStatus;
pub use version::Version;
