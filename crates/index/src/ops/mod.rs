//! The verbs. Each loads, asks the rules, changes the ledger in one transaction, and causes what follows.

pub mod accounts;
#[cfg(test)]
mod again_tests;
pub mod audit;
pub mod browse;
mod catalogue;
pub mod ceremony;
pub mod checks;
#[cfg(test)]
mod foreign_tests;
pub mod indexes;
mod inspect;
#[cfg(test)]
mod inspection_tests;
pub mod jobs;
pub mod log;
mod look;
pub mod notices;
pub mod projects;
mod publish;
pub mod rebuild;
pub mod recover;
pub mod scrub;
mod signing;
mod site;
#[cfg(test)]
mod tests;
pub mod upload;
pub mod verdicts;
pub mod workers;
