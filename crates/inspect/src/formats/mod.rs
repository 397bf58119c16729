//! Readers of what distributions hold besides Python: one format a file, bytes in, bounded facts out.
//!
//! They are functions of their input alone, fail on nothing, and never recurse deeper than a named limit.

pub mod media;
pub mod native;
pub mod pickle;
pub mod pth;
pub mod pyc;
pub mod text;
pub mod unicode;

#[cfg(test)]
mod tests;
