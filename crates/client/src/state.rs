//! What is kept between runs: which root is trusted, and what was trusted since.
//!
//! The folder of trusted roles is named by the fingerprint of the root that it began with, not by a URL: whoever goes
//! to another mirror still remembers how far the index was.

use std::io;
use std::path::{Path, PathBuf};

use tuf::hash::{hex, sha256};
use tuf::{Limits, Time, TrustedSet};
use url::Url;

use crate::session::{ClientError, Source};
use crate::store::Store;

/// The trusted roles of one repository.
#[derive(Debug)]
pub struct State {
    /// The roles.
    pub store: Store,
    /// SHA-256, in hexadecimal, of the root that trust began with.
    pub fingerprint: String,
    /// Whether that root was fetched just now, on nobody's word but the index's own.
    pub is_first_use: bool,
    folder: PathBuf,
}

impl State {
    /// Opens the state for a root that the user gave, or for the one that was seen first at this index.
    pub async fn open(
        folder: &Path,
        index: &Url,
        root: Option<&[u8]>,
        source: &Source,
        now: Time,
        limits: Limits,
    ) -> Result<Self, ClientError> {
        let seen = Store::open(&folder.join("first-use"))?;
        let name = hex(&sha256(index.as_str().as_bytes()));
        let (root, is_first_use) = match root {
            Some(root) => (root.to_vec(), false),
            None => match seen.read(&name, limits.root_bytes_max)? {
                Some(root) => (root, false),
                None => (source.get("1.root.json", limits.root_bytes_max).await?, true),
            },
        };
        TrustedSet::new(&root, now, limits)?;
        if is_first_use {
            seen.write(&name, &root)?;
        }
        let fingerprint = hex(&sha256(&root));
        let folder = folder.join("trusted").join(&fingerprint);
        let store = Store::open(&folder)?;
        if store.read("root", limits.root_bytes_max)?.is_none() {
            store.write("root", &root)?;
        }
        let state = Self { store, fingerprint, is_first_use, folder };
        for store in [&state.store, &state.pages()?, &state.log()?] {
            store.clear_leftovers(now)?;
        }
        Ok(state)
    }

    /// Where what is remembered stands.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is remembered of projects' pages: a store of its own, as a project may be called like a role.
    pub fn pages(&self) -> io::Result<Store> {
        Store::open(&self.folder.join("pages"))
    }

    /// What is remembered of the index's log.
    pub fn log(&self) -> io::Result<Store> {
        Store::open(&self.folder.join("log"))
    }
}
