//! Finding who speaks for a path: delegations in pre-order, depth first, until one is found or a terminating
//! delegation ends it (§5.6.7). Roles are asked for one at a time, so only those on the way are fetched.

use std::collections::BTreeSet;

use crate::role::{TARGET_PATH_BYTES_MAX, TargetFile, Top};
use crate::trusted::{Refused, TrustedSet, Why, refuse};

/// The search for one path.
#[derive(Debug, Clone)]
pub struct Lookup {
    path: String,
    /// Roles to visit and their delegators; the next one is the last.
    ahead: Vec<(String, String)>,
    visited: BTreeSet<String>,
}

/// What the search needs or has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This role is needed: give it to [`TrustedSet::update_targets`] and go on.
    Need {
        /// The role.
        role: String,
        /// Who delegates to it.
        delegator: String,
    },
    /// The file.
    Found(TargetFile),
    /// No such path: every role that could speak for it was asked, at the versions that the snapshot names. It is proven
    /// that the repository does not have it.
    Absent,
}

impl Lookup {
    /// The search for a path.
    pub fn new(path: &str) -> Self {
        let start = (Top::Targets.name().to_owned(), Top::Root.name().to_owned());
        // What is longer than any role may hold is not there.
        let ahead = if path.len() > TARGET_PATH_BYTES_MAX { Vec::new() } else { vec![start] };
        Self { path: path.to_owned(), ahead, visited: BTreeSet::new() }
    }

    /// Goes on as far as what is trusted reaches.
    pub fn step(&mut self, set: &mut TrustedSet) -> Result<Step, Refused> {
        while let Some((role, delegator)) = self.ahead.last().cloned() {
            if self.visited.contains(&role) {
                self.ahead.pop();
                continue;
            }
            let most = set.limits().lookup_roles_max;
            if self.visited.len() >= most {
                return refuse(&role, Why::TooManyRoles(most));
            }
            if !set.is_trusted_by(&role, &delegator)? {
                return Ok(Step::Need { role, delegator });
            }
            self.ahead.pop();
            let Some(targets) = set.targets(&role) else { return refuse(&role, Why::NotDelegated) };
            if let Some(file) = targets.targets.get(&self.path) {
                return Ok(Step::Found(file.clone()));
            }
            let mut children = Vec::new();
            for (child, is_terminating) in targets.delegations.iter().flat_map(|all| all.roles_for(&self.path)) {
                children.push((child, role.clone()));
                if is_terminating {
                    self.ahead.clear();
                    break;
                }
            }
            self.ahead.extend(children.into_iter().rev());
            self.visited.insert(role);
        }
        Ok(Step::Absent)
    }
}
