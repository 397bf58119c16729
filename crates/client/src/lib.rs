//! The verifying client: fetches, stores, and believes only what `tuf` says may be believed.

pub mod fetch;
pub mod session;
pub mod store;

pub use fetch::{FetchError, Fetcher, Patience};
pub use session::{ClientError, Session, Source};
pub use store::Store;
