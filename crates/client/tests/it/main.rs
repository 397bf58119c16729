//! The client against a server that does as it is told, on this machine alone.

mod fetching;
mod server;
mod sessions;
mod verified;
