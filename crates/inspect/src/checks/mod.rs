//! The list of checks. One check is one file beside this one, one line in [`CHECKS`], and one page in `cases/`.

mod archive_framing;
mod pth_imports;

use crate::distribution::Distribution;
use crate::findings::Findings;
use crate::{Finding, Profile};

/// What a check knows besides the distribution.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'c> {
    /// The release before this one.
    pub previous: Option<&'c Profile>,
    /// The same release's other form.
    pub sibling: Option<&'c Profile>,
    /// This distribution's own profile.
    pub own: Option<&'c Profile>,
}

impl Context<'_> {
    /// Whether a word is new since the release before this one; nothing when that cannot be said.
    pub fn is_new(&self, word: &str) -> Option<bool> {
        let previous = self.previous.filter(|previous| previous.version == Profile::VERSION && !previous.cut)?;
        Some(!previous.words.contains(&crate::profile::word(word)))
    }
}

/// A check: a pure function over facts. It gets no database, no network, no clock.
pub trait Check: Sync {
    /// Stable id, as stored with each finding.
    fn id(&self) -> &'static str;
    /// Raised with every change of what the check says.
    fn version(&self) -> u32;
    /// Its page: what it means, what it must not be taken for, and the cases that hold it to that.
    fn page(&self) -> &'static str;
    /// Evidence found in the distribution.
    fn run(&self, distribution: &Distribution, context: &Context<'_>, out: &mut Findings);
}

/// Every check, in the order in which they run.
pub const CHECKS: &[&dyn Check] = &[&archive_framing::ArchiveFraming, &pth_imports::PthImports];

/// `id@version` of every check, as stored with a verdict: which evidence was looked for.
pub fn versions() -> String {
    CHECKS.iter().map(|check| format!("{}@{}", check.id(), check.version())).collect::<Vec<_>>().join(" ")
}

/// The page of a check, when there is one of this id.
pub fn page(id: &str) -> Option<&'static str> {
    CHECKS.iter().find(|check| check.id() == id).map(|check| check.page())
}

pub(crate) fn run(distribution: &Distribution, context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Findings::new();
    for check in CHECKS {
        findings.begin(check.id(), check.version());
        check.run(distribution, context, &mut findings);
    }
    findings.finish()
}
