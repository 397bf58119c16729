//! What is allowed. Pure: facts in, answers out.

pub mod attestations;
pub mod authz;
mod stdlib;
pub mod upload;
pub mod verdict;
