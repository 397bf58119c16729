//! The crate from outside: what it reads, whom it believes, what it writes.

mod attacks;
mod changes;
mod delegations;
mod events;
mod json;
mod keys;
mod seeds;
mod time;
mod world;
mod writer;
