//! The verifying client: fetches, stores, and believes only what `tuf` says may be believed.

pub mod cache;
pub mod download;
pub mod fetch;
pub mod guard;
pub mod log;
pub mod page;
pub mod post;
pub mod proxy;
pub mod publishers;
pub mod refusal;
pub mod session;
pub mod state;
pub mod store;
pub mod verified;
pub mod witnesses;

pub use cache::Cache;
pub use fetch::{FetchError, Fetcher, Patience};
pub use guard::OnRegression;
pub use proxy::Proxy;
pub use publishers::Attestations;
pub use refusal::{Kind, Refusal};
pub use session::{ClientError, Session, Source};
pub use store::Store;
pub use verified::{Index, Options, Policy};
pub use witnesses::{Sighting, Witnesses};
