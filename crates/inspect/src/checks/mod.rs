//! The list of checks. One check is one file beside this one, one line in [`CHECKS`], and one page in `cases/`.

/// What every check's file begins with: its type, its id, its version, the function that is the check, and, when it is
/// not for every upload and re-inspection, the events on which it runs. `as shadow` at the end: it is tried out, and influences
/// nothing until it was measured (docs/checks.md) or an operator makes it active.
macro_rules! check {
    ($type:ident, $id:literal, $version:literal, $run:path $(, on $on:expr)? $(, as $shadow:ident)?) => {
        check!(
            $type, $id, $version, $run, page include_str!(concat!("../../cases/", $id, ".md")) $(, on $on)? $(, as $shadow)?
        );
    };
    ($type:ident, $id:literal, $version:literal, $run:path, page $page:expr $(, on $on:expr)? $(, as $shadow:ident)?) => {
        pub(crate) struct $type;

        impl super::Check for $type {
            fn id(&self) -> &'static str {
                $id
            }

            fn version(&self) -> u32 {
                $version
            }

            $(
                fn on(&self) -> &'static [crate::occasion::Event] {
                    $on
                }
            )?

            $(
                check!(@ $shadow);
            )?

            fn page(&self) -> &'static str {
                $page
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
    (@ shadow) => {
        fn is_shadow(&self) -> bool {
            true
        }
    };
}

mod archive_framing;
mod attestation_lost;
mod code;
mod dependency_tricks;
mod dns_beacons;
mod droppers;
mod entry_point_names;
mod exec_decoded;
mod exec_fetched;
mod exfil_sinks;
mod harms_machine;
mod hidden_code;
mod hidden_unicode;
mod media_code;
mod media_payload;
mod miner_settings;
mod model_instructions;
mod module_shadowing;
mod native_code;
mod past_limits;
mod patched_methods;
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
mod sibling_divergence;
mod site_customize;
mod star_jacking;
mod start_effects;
mod tool_configs;
mod version_beacon;
mod wallet_secrets;
mod watches_people;
mod whats_new;

use std::time::Instant;

use crate::distribution::Distribution;
use crate::findings::Findings;
use crate::occasion::{Event, Occasion};
use crate::{Costs, Finding, Profile};

/// What a check knows besides the distribution.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'c> {
    /// The release before this one.
    pub previous: Option<&'c Profile>,
    /// The same release's other form.
    pub sibling: Option<&'c Profile>,
    /// This distribution's own profile.
    pub own: Option<&'c Profile>,
    /// Why it is looked at, and what the index knows of its project.
    pub occasion: Option<&'c Occasion>,
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
    /// The events on which it runs.
    fn on(&self) -> &'static [Event] {
        Event::USUAL
    }
    /// Whether it comes as one that is tried out: it records, and influences nothing.
    fn is_shadow(&self) -> bool {
        false
    }
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
    &past_limits::PastLimits,
    &secret_stores::SecretStores,
    &persistence::Persistence,
    &reverse_shells::ReverseShells,
    &watches_people::WatchesPeople,
    &harms_machine::HarmsMachine,
    &registry_worms::RegistryWorms,
    &dns_beacons::DnsBeacons,
    &media_code::MediaCode,
    &miner_settings::MinerSettings,
    &patched_methods::PatchedMethods,
    &star_jacking::StarJacking,
    &wallet_secrets::WalletSecrets,
    &sibling_divergence::SiblingDivergence,
    &whats_new::WhatsNew,
    &attestation_lost::AttestationLost,
];

/// `id@version` of every check, or of those that run on an occasion: which evidence was looked for.
pub fn versions(occasion: Option<&Occasion>) -> Vec<String> {
    let runs = |check: &&&dyn Check| occasion.is_none_or(|occasion| occasion.concerns(check.on()));
    CHECKS.iter().filter(runs).map(|check| format!("{}@{}", check.id(), check.version())).collect()
}

/// Whether some check asks to be run on this event.
pub fn any_on(event: Event) -> bool {
    CHECKS.iter().any(|check| check.on().contains(&event))
}

/// Whether a check of this program comes as one that is tried out.
pub fn is_shadow(id: &str) -> bool {
    CHECKS.iter().any(|check| check.id() == id && check.is_shadow())
}

/// The page of a check, when there is one of this id.
pub fn page(id: &str) -> Option<&'static str> {
    CHECKS.iter().find(|check| check.id() == id).map(|check| check.page())
}

pub(crate) fn run(distribution: &Distribution, context: &Context<'_>, costs: &mut Costs) -> Vec<Finding> {
    run_some(CHECKS, distribution, context, costs)
}

fn run_some(
    list: &[&dyn Check],
    distribution: &Distribution,
    context: &Context<'_>,
    costs: &mut Costs,
) -> Vec<Finding> {
    let mut findings = Findings::new();
    let wanted = |check: &&&dyn Check| context.occasion.is_none_or(|occasion| occasion.concerns(check.on()));
    for check in list.iter().filter(wanted) {
        let begun = Instant::now();
        findings.begin(check.id(), check.version());
        check.run(distribution, context, &mut findings);
        costs.insert(check.id().to_owned(), crate::micros(begun));
    }
    findings.finish()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::occasion::Cause;
    use crate::{Confidence, Limits, Severity, Subject};

    fn notes(_: &Distribution, context: &Context<'_>, out: &mut Findings) {
        let occasion = context.occasion.expect("every pass has one");
        let why = format!("first: {}, status: {:?}", occasion.first_of_project, occasion.status);
        out.add(crate::findings::Evidence::new(Severity::Note, Confidence::High, why));
    }

    mod beginnings {
        const PAGE: &str = "";
        check!(Beginnings, "beginnings", 1, super::notes, page PAGE, on &[crate::occasion::Event::ProjectCreated]);
        check!(Moves, "moves", 1, super::notes, page PAGE, on &[crate::occasion::Event::StatusChanged]);
        check!(Usual, "usual", 1, super::notes, page PAGE);
        check!(Tried, "tried", 1, super::notes, page PAGE, as shadow);
        check!(Both, "both", 1, super::notes, page PAGE, on &[crate::occasion::Event::ProjectCreated], as shadow);
    }

    #[test]
    fn a_check_says_that_it_is_tried_out() {
        let shadow = |check: &dyn Check| (check.is_shadow(), check.on());
        assert_eq!(shadow(&beginnings::Usual), (false, Event::USUAL));
        assert_eq!(shadow(&beginnings::Tried), (true, Event::USUAL));
        assert_eq!(shadow(&beginnings::Both), (true, &[Event::ProjectCreated][..]));
    }

    /// Goal: a check runs on the events that it asks for, and is told the facts that no archive holds.
    #[test]
    fn checks_run_on_their_events() {
        let list: [&dyn Check; 3] = [&beginnings::Beginnings, &beginnings::Moves, &beginnings::Usual];
        let file: File = crate::cases::file(&crate::cases::zip(&[("a.txt".to_owned(), b"x".to_vec())]));
        let limits = crate::limits::InspectionLimits::default();
        let distribution = crate::distribution::read(&file, &Subject::AnyArchive, &Limits::default(), &limits, false);
        let run = |occasion: &Occasion| {
            let found = run_some(
                &list,
                &distribution,
                &Context { occasion: Some(occasion), ..Context::default() },
                &mut Costs::new(),
            );
            let mut ids: Vec<String> = found.iter().map(|finding| finding.check.clone()).collect();
            ids.sort();
            (ids, found.first().map(|finding| finding.why.clone()).unwrap_or_default())
        };
        let first = Occasion { first_of_project: true, first_of_release: true, ..Occasion::default() };
        assert_eq!(run(&first), (vec!["beginnings".into(), "usual".into()], "first: true, status: None".into()));
        assert_eq!(run(&Occasion::default()).0, ["usual"]);
        let status = Some(packaging::ProjectStatus::Archived);
        let moved = Occasion { cause: Cause::Status, status, ..Occasion::default() };
        assert_eq!(run(&moved), (vec!["moves".into()], "first: false, status: Some(Archived)".into()));
        assert_eq!(run(&Occasion { cause: Cause::Again, ..Occasion::default() }).0, ["usual"]);
    }
}
