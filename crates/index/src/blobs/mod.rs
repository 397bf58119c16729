//! The blob store: one store, two zones. `site/` is what anybody may read, `vault/` is everything else; the
//! bytes of a file are in one of them.
//!
//! There is one implementation, the local folder, so there is no trait yet: the second one, object
//! storage, brings it (docs/adr/0004).

pub mod layout;
mod local;

pub use layout::Key;
pub use local::{Blobs, Incoming};
