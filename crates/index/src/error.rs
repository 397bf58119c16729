//! What can go wrong in a verb; variants are what the caller can do about it.

use packaging::Rejection;

/// The result of a verb.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a verb did not happen. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An upload broke rules: mend the package. All of them are listed.
    #[error("{}", first(.0))]
    Rejected(Vec<Rejection>),
    /// No such thing: correct the name.
    #[error("{0}")]
    NotFound(String),
    /// Not allowed: ask somebody who is.
    #[error("{0}")]
    Forbidden(String),
    /// The ledger says otherwise: look, then decide again.
    #[error("{0}")]
    Conflict(String),
    /// The request makes no sense: correct it.
    #[error("{0}")]
    Invalid(String),
    /// What was read is not so any more: somebody else was faster. Read again.
    #[error("somebody else changed this at the same time; try again")]
    Overtaken,
    /// Try again later.
    #[error("{0}")]
    Unavailable(String),
    /// The ledger failed.
    #[error("the ledger: {0}")]
    Ledger(crate::store::Failure),
    /// The blob store failed.
    #[error("the blob store: {0}")]
    Blobs(std::io::Error),
    /// Something that cannot be: a bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

// No sources besides: whoever prints the causes too would say them twice.
impl From<crate::store::Failure> for Error {
    fn from(failure: crate::store::Failure) -> Self {
        Self::Ledger(failure)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Blobs(error)
    }
}

fn first(rejections: &[Rejection]) -> String {
    rejections.first().map(ToString::to_string).unwrap_or_default()
}
