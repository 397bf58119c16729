//! Tests of the crate as a whole: one call of a builder per attack, and the rule that must find it.

mod build;
mod limits;
mod members;
mod mutations;
mod packed;
mod sdists;
mod seeds;
mod tars;
mod wheels;
mod zips;
