//! What comes out of the sandbox: facts of bounded size.

use packaging::{Rejection, Rule};
use serde::{Deserialize, Serialize};

/// Most rejections reported for one archive; after these an uploader has enough to mend.
pub(crate) const REJECTIONS_MAX: usize = 100;

/// The outcome of reading one archive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Rules broken, in the order found; at most `REJECTIONS_MAX`.
    pub rejections: Vec<Rejection>,
    /// The text of METADATA or PKG-INFO, when there was one and it is UTF-8.
    pub metadata: Option<String>,
    /// Members read.
    pub members: u64,
    /// Bytes of all members together, unpacked.
    pub unpacked_bytes: u64,
}

impl Report {
    pub(crate) fn reject(&mut self, rule: Rule, message: impl Into<String>) {
        self.push(Rejection::new(rule, message));
    }

    pub(crate) fn push(&mut self, rejection: Rejection) {
        if self.rejections.len() < REJECTIONS_MAX {
            self.rejections.push(rejection);
        }
    }
}
