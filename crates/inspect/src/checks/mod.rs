//! The list of checks. One check is one file beside this one, one line in [`CHECKS`], and one page in `cases/`.

/// What every check's file begins with: its type, its id, its version, and the function that is the check.
macro_rules! check {
    ($type:ident, $id:literal, $version:literal, $run:path) => {
        pub(crate) struct $type;

        impl super::Check for $type {
            fn id(&self) -> &'static str {
                $id
            }

            fn version(&self) -> u32 {
                $version
            }

            fn page(&self) -> &'static str {
                include_str!(concat!("../../cases/", $id, ".md"))
            }

            fn run(
                &self,
                distribution: &crate::distribution::Distribution,
                context: &super::Context<'_>,
                out: &mut crate::findings::Findings,
            ) {
                $run(distribution, context, out);
            }
        }
    };
}

mod archive_framing;
mod attestation_lost;
mod code;
mod dependency_tricks;
mod droppers;
mod entry_point_names;
mod exec_decoded;
mod exec_fetched;
mod exfil_sinks;
mod harms_machine;
mod hidden_code;
mod hidden_unicode;
mod media_payload;
mod model_instructions;
mod module_shadowing;
mod native_code;
mod persistence;
mod pickle_code;
mod private_sends;
mod pth_imports;
mod pyc_mismatch;
mod record_mismatch;
mod registry_worms;
mod reverse_shells;
mod script_commands;
mod secret_stores;
mod site_customize;
mod start_effects;
mod tool_configs;
mod version_beacon;
mod watches_people;
mod whats_new;

use crate::distribution::Distribution;
use crate::findings::Findings;
use crate::{Finding, Profile, Publishing};

/// What a check knows besides the distribution.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'c> {
    /// The release before this one.
    pub previous: Option<&'c Profile>,
    /// The same release's other form.
    pub sibling: Option<&'c Profile>,
    /// This distribution's own profile.
    pub own: Option<&'c Profile>,
    /// Who published it and those before it.
    pub publishing: Option<&'c Publishing>,
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
pub const CHECKS: &[&dyn Check] = &[
    &archive_framing::ArchiveFraming,
    &pth_imports::PthImports,
    &site_customize::SiteCustomize,
    &entry_point_names::EntryPointNames,
    &module_shadowing::ModuleShadowing,
    &dependency_tricks::DependencyTricks,
    &native_code::NativeCode,
    &pyc_mismatch::PycMismatch,
    &pickle_code::PickleCode,
    &media_payload::MediaPayload,
    &script_commands::ScriptCommands,
    &tool_configs::ToolConfigs,
    &hidden_unicode::HiddenUnicode,
    &version_beacon::VersionBeacon,
    &exfil_sinks::ExfilSinks,
    &model_instructions::ModelInstructions,
    &record_mismatch::RecordMismatch,
    &exec_decoded::ExecDecoded,
    &exec_fetched::ExecFetched,
    &droppers::Droppers,
    &private_sends::PrivateSends,
    &start_effects::StartEffects,
    &hidden_code::HiddenCode,
    &secret_stores::SecretStores,
    &persistence::Persistence,
    &reverse_shells::ReverseShells,
    &watches_people::WatchesPeople,
    &harms_machine::HarmsMachine,
    &registry_worms::RegistryWorms,
    &whats_new::WhatsNew,
    &attestation_lost::AttestationLost,
];

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
