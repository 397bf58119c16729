//! The one place that says who may do what.

use crate::model::{ProjectRole, SiteRole};

/// An act on one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectAct {
    /// Add files.
    Upload,
    /// Yank and unyank.
    Yank,
    /// Take files away for good.
    Remove,
    /// Archive, deprecate, activate.
    Status,
    /// Quarantine, and lift a quarantine.
    Quarantine,
    /// Give and take roles.
    Roles,
    /// Bind publishers, and take bindings back.
    Publishers,
}

/// Whether somebody with these roles may do it. The operator at the command line is not asked here.
pub fn may(act: ProjectAct, project: Option<ProjectRole>, site: Option<SiteRole>) -> bool {
    if site == Some(SiteRole::Admin) {
        return true;
    }
    match act {
        ProjectAct::Upload | ProjectAct::Yank => project.is_some(),
        ProjectAct::Remove | ProjectAct::Status | ProjectAct::Roles | ProjectAct::Publishers => {
            project == Some(ProjectRole::Owner)
        }
        ProjectAct::Quarantine => site == Some(SiteRole::Moderator),
    }
}

/// An act on the installation's inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteAct {
    /// Read verdicts, findings, decisions, the states of checks, and jobs.
    ReadVerdicts,
    /// Decide about files.
    Decide,
    /// Set the state of a check, have files inspected again, and try failed jobs again.
    Checks,
}

/// Whether somebody with this role may do it. The operator at the command line is not asked here.
pub fn may_site(act: SiteAct, site: Option<SiteRole>) -> bool {
    match site {
        Some(SiteRole::Admin) => true,
        Some(SiteRole::Moderator) => matches!(act, SiteAct::ReadVerdicts | SiteAct::Decide),
        Some(SiteRole::Auditor) => act == SiteAct::ReadVerdicts,
        Some(SiteRole::Support) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_site_acts() {
        use SiteAct::*;
        let allowed = |site| [ReadVerdicts, Decide, Checks].map(|act| may_site(act, site));
        assert_eq!(allowed(None), [false; 3]);
        assert_eq!(allowed(Some(SiteRole::Support)), [false; 3]);
        assert_eq!(allowed(Some(SiteRole::Auditor)), [true, false, false]);
        assert_eq!(allowed(Some(SiteRole::Moderator)), [true, true, false]);
        assert_eq!(allowed(Some(SiteRole::Admin)), [true; 3]);
    }

    #[test]
    fn the_whole_table() {
        use ProjectAct::*;
        let projects = [None, Some(ProjectRole::Maintainer), Some(ProjectRole::Owner)];
        let allowed = |act| projects.map(|role| may(act, role, None));
        assert_eq!(allowed(Upload), [false, true, true]);
        assert_eq!(allowed(Yank), [false, true, true]);
        assert_eq!(allowed(Remove), [false, false, true]);
        assert_eq!(allowed(Status), [false, false, true]);
        assert_eq!(allowed(Roles), [false, false, true]);
        assert_eq!(allowed(Publishers), [false, false, true]);
        assert_eq!(allowed(Quarantine), [false, false, false]);
        for act in [Upload, Yank, Remove, Status, Quarantine, Roles, Publishers] {
            assert!(may(act, None, Some(SiteRole::Admin)));
            assert!(!may(act, None, Some(SiteRole::Support)));
            assert!(!may(act, None, Some(SiteRole::Auditor)));
            assert_eq!(may(act, None, Some(SiteRole::Moderator)), act == Quarantine);
        }
    }
}
