//! The crate from outside: against its oracles, at its limits, and over generated values.

mod forms;
mod limits;
mod oracle;
mod properties;
mod seeds;
