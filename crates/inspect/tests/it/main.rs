//! The crate from outside.

mod seeds;
