//! Role files on their way to the site: write-once ones first, the timestamp that names them last.

use super::super::log;
use crate::Result;
use crate::blobs::{Blobs, Key};
use crate::render::{self, Object};

/// Role files over this many bytes have a gzip form.
pub(super) const GZIP_OVER_BYTES: usize = 4 << 10;
/// Role files, ready to be written.
#[derive(Debug, Default)]
pub(in super::super) struct Roles {
    /// Tiles of the log and its checkpoint, which come before the timestamp that names their root.
    pub(in super::super) log: Vec<(Key, Vec<u8>)>,
    /// Those whose names hold a version.
    pub(in super::super) files: Vec<(Key, Vec<u8>)>,
    /// The one that names them.
    pub(in super::super) timestamp: Option<(Key, Vec<u8>)>,
}

impl Roles {
    /// Writes the log's files, the checkpoint last.
    pub(in super::super) fn write_log(&self, blobs: &Blobs) -> Result<()> {
        self.log.iter().try_for_each(|(key, bytes)| log::put(blobs, key, bytes))
    }

    /// Writes what is write-once.
    pub(in super::super) fn write_files(&self, blobs: &Blobs) -> Result<()> {
        self.files.iter().try_for_each(|(key, bytes)| put(blobs, key, bytes))
    }

    /// Writes the timestamp, after everything that it leads to.
    pub(in super::super) fn write_timestamp(&self, blobs: &Blobs) -> Result<()> {
        self.timestamp.iter().try_for_each(|(key, bytes)| put(blobs, key, bytes))
    }

    /// Everything as objects of the site, with gzip forms.
    pub(in super::super) fn objects(self) -> impl Iterator<Item = Object> {
        let log = self.log.into_iter().flat_map(|(key, bytes)| {
            let gzip = log::compressed(&key, &bytes).map(|gzip| (key.gzip(), Some(gzip)));
            gzip.into_iter().chain([(key, Some(bytes))])
        });
        let roles = self.files.into_iter().chain(self.timestamp).flat_map(|(key, bytes)| {
            let gzip = compressed(&bytes).map(|gzip| (key.gzip(), Some(gzip)));
            gzip.into_iter().chain([(key, Some(bytes))])
        });
        log.chain(roles)
    }
}

pub(super) fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    (bytes.len() > GZIP_OVER_BYTES).then(|| render::gzip(bytes))
}

pub(super) fn put(blobs: &Blobs, key: &Key, bytes: &[u8]) -> Result<()> {
    if let Some(gzip) = compressed(bytes) {
        blobs.put(&key.gzip(), &gzip)?;
    }
    Ok(blobs.put(key, bytes)?)
}
