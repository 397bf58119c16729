//! One look at one stored file: its bytes, what its neighbours could do, a pass in the sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::inspect::{
    Cause, Failure, Finding, Inspection, Occasion, Profile, Publishing, Request, Response, Subject, checks, yara,
};
use packaging::Version;
use packaging::metadata::CoreMetadata;
use packaging::simple::time_text;

use super::catalogue;
use crate::blobs::layout;
use crate::model::{CheckState, FileKind, FileState, IndexName, Verdict};
use crate::policy::verdict::conclude;
use crate::store::files::FileRow;
use crate::store::verdicts::ProfileRow;
use crate::store::{Tx, attestations, files, projects, verdicts};
use crate::{Error, Gate, Installation, Result, external, render};

/// Most bytes of one neighbour's profile in a request, as JSON; the request has to hold two of them and the rest.
const PROFILE_BYTES_MAX: usize = 90 << 10;
/// How many releases are asked for a predecessor's profile; more without one are no neighbours.
const NEIGHBOURS_MAX: usize = 20;

/// How many earlier files are asked who attested them: more than a release has, mostly.
const PUBLISHED_MAX: i64 = 300;

/// What came of a look.
#[derive(Debug)]
pub(super) struct Look {
    /// The evidence, or why there is none.
    pub(super) answer: Result<Inspection, Failure>,
    /// Why, and what the ledger knew.
    pub(super) occasion: Occasion,
    /// How long the pass took, in milliseconds.
    pub(super) cost_ms: i64,
}

/// Which checks may influence what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct States {
    set: BTreeMap<String, CheckState>,
    /// Whether some rule of the operator counts.
    rules_count: bool,
}

impl States {
    /// From the ledger.
    pub(super) async fn load(installation: &Installation, tx: &mut Tx) -> Result<Self> {
        let mut states = Self { set: verdicts::check_states(tx).await?.into_iter().collect(), rules_count: false };
        let rules = installation.rules().into_iter().flat_map(|rules| &rules.rules);
        states.rules_count = rules.into_iter().any(|rule| states.of(&rule.id) == CheckState::Active);
        Ok(states)
    }

    /// What was said of a check, or of what it stands below. Of which nobody said anything: what came with the program
    /// is active, as it was measured before, unless it says that it is tried out; so is what an operator added. That rules
    /// could not be run to their end counts when one of them does.
    pub(super) fn of(&self, check: &str) -> CheckState {
        let said = catalogue::lineage(check).find_map(|id| self.set.get(id).copied());
        said.unwrap_or(match catalogue::is_foreign(check) {
            true if check == yara::LIMITS && self.rules_count => CheckState::Active,
            true => CheckState::Shadow,
            false if checks::is_shadow(check) => CheckState::Shadow,
            false => CheckState::Active,
        })
    }

    /// Whether what a check says counts. An outside check counts as soon as something of what it says does.
    pub(super) fn counts(&self, id: &str) -> bool {
        let below = |(set, state): (&String, &CheckState)| {
            *state == CheckState::Active && catalogue::lineage(set).any(|above| above == id)
        };
        self.of(id) == CheckState::Active || self.set.iter().any(below)
    }

    /// What counts, as `id@version` and the ids that were made active.
    pub(super) fn counting(&self, installation: &Installation) -> BTreeSet<String> {
        let known = catalogue::known(installation).into_iter();
        let versions = known.filter(|(id, _)| id != yara::LIMITS && self.counts(id));
        let versions = versions.map(|(id, version)| format!("{id}@{version}"));
        let set = self.set.iter().filter(|(_, state)| **state == CheckState::Active).map(|(id, _)| id.clone());
        versions.chain(set).collect()
    }

    /// Findings that count, and findings that are only recorded; those of disabled checks are thrown away.
    pub(super) fn split(&self, findings: Vec<Finding>) -> (Vec<Finding>, Vec<Finding>) {
        let (mut active, mut shadow) = (Vec::new(), Vec::new());
        for finding in findings {
            match self.of(&finding.check) {
                CheckState::Active => active.push(finding),
                CheckState::Shadow => shadow.push(finding),
                CheckState::Disabled => {}
            }
        }
        (active, shadow)
    }
}

/// Looks at a file. Waits for a free place first.
///
/// # Errors
/// When its bytes cannot be opened, or the ledger cannot be read.
pub(super) async fn look(
    installation: &Arc<Installation>,
    index: &IndexName,
    file: &FileRow,
    cause: Cause,
) -> Result<Look> {
    let (previous, sibling, known) = {
        let mut tx = installation.store.read().await?;
        let (previous, sibling) = neighbours(&mut tx, file).await?;
        (previous, sibling, known(&mut tx, file, cause).await?)
    };
    let occasion = known.occasion.clone();
    let request = Request::Checks {
        subject: Subject::Distribution(file.filename.clone()),
        limits: installation.settings.archive.clone(),
        previous,
        sibling,
        occasion: occasion.clone(),
        costs: true,
    };
    let path = || {
        let vault = installation.blobs.path(&layout::vault_file(index, &file.sha256(), &file.filename));
        let site = installation.blobs.path(&layout::site_file(index, &file.sha256(), &file.filename));
        if vault.exists() { vault } else { site }
    };
    let place = Arc::clone(&installation.checks)
        .acquire_owned()
        .await
        .map_err(|_| Error::Unavailable("the server is stopping".into()))?;
    let begun = tokio::time::Instant::now();
    let mut answer = match installation.pass(&path(), request).await? {
        Ok(Response::Checks(mut inspection)) => planted(&file.filename).map(|found| {
            inspection.findings.extend(found);
            inspection
        }),
        Ok(Response::Rules(_) | Response::Probe(_) | Response::Scan(_) | Response::Compiled(_)) => {
            Err(Failure::Unavailable("the sandbox answered another question".into()))
        }
        Err(failure) => Err(failure),
    };
    let cost_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    // Whoever is slow outside keeps nobody from the sandbox.
    drop(place);
    if let Ok(inspection) = &mut answer
        && !(cause == Cause::Upload && is_to_be_taken_away(installation, inspection).await?)
    {
        let outside = outside(installation, index, file, &known, &inspection.profile, path).await;
        for (id, cost_us, found) in outside {
            inspection.costs.insert(id, cost_us);
            inspection.findings.extend(found);
        }
    }
    Ok(Look { answer, occasion, cost_ms })
}

/// Whether a file that may be shown by now has to go for what was found already: then nobody outside is waited for. What they
/// would add is asked for by the next inspection.
async fn is_to_be_taken_away(installation: &Installation, inspection: &mut Inspection) -> Result<bool> {
    if installation.settings.gate != Gate::After || installation.settings.external.is_empty() {
        return Ok(false);
    }
    let states = States::load(installation, &mut installation.store.read().await?).await?;
    let (active, _) = states.split(inspection.findings.clone());
    let goes = conclude(&installation.settings.policy, &active).verdict >= Verdict::Hold;
    if goes {
        inspection
            .degraded
            .push("Checks outside were not asked: what was found without them takes the file away.".into());
    }
    Ok(goes)
}

/// What the ledger knows of a file that its bytes do not say.
struct Known {
    project: String,
    occasion: Occasion,
    metadata: CoreMetadata,
}

async fn known(tx: &mut Tx, file: &FileRow, cause: Cause) -> Result<Known> {
    let (first_of_project, first_of_release) = files::is_first(tx, file).await?;
    let project = projects::by_id(tx, file.project_id).await?;
    let publishing = Some(publishing(tx, file).await?);
    let status = Some(project.status());
    let occasion = Occasion { cause, first_of_project, first_of_release, status, publishing };
    let metadata = files::metadata(tx, file.id).await?.map(|body| render::parse_metadata(&body)).unwrap_or_default();
    Ok(Known { project: project.name().as_str().to_owned(), occasion, metadata })
}

async fn outside(
    installation: &Installation,
    index: &IndexName,
    file: &FileRow,
    known: &Known,
    profile: &Profile,
    path: impl Fn() -> std::path::PathBuf,
) -> Vec<external::Asked> {
    let described = external::Described {
        index: index.as_str(),
        project: &known.project,
        version: &file.version,
        filename: &file.filename,
        kind: file.kind().as_str(),
        sha256: &file.sha256().to_string(),
        size: file.size_bytes,
        uploaded: &time_text(file.uploaded_us),
        occasion: &known.occasion,
        metadata: &known.metadata,
        profile,
    };
    external::ask_all(installation, &described, path).await
}

/// What a test wants found here; nothing in a release build.
fn planted(filename: &str) -> Result<Option<Finding>, Failure> {
    #[cfg(debug_assertions)]
    {
        let Some((severity, confidence)) = crate::failpoint::planted(filename) else { return Ok(None) };
        if severity == "dies" {
            return Err(Failure::Died);
        }
        let (Ok(severity), Ok(confidence)) =
            (serde_json::from_value(severity.into()), serde_json::from_value(confidence.into()))
        else {
            return Ok(None);
        };
        Ok(Some(Finding {
            check: "planted".into(),
            severity,
            confidence,
            why: "A test planted it.".into(),
            tags: vec!["test/planted".into()],
            ..::inspect::of_failure(&Failure::Died)
        }))
    }
    #[cfg(not(debug_assertions))]
    {
        let _ = filename;
        Ok(None)
    }
}

/// Who attested this file and the visible ones that came before it.
async fn publishing(tx: &mut Tx, file: &FileRow) -> Result<Publishing> {
    let own = attestations::publisher(tx, file.id).await?.map(|publisher| publisher.to_string());
    let before = attestations::before(tx, file.project_id, file.id, PUBLISHED_MAX).await?;
    let last = before.iter().find_map(|(_, publisher)| publisher.as_ref()).map(ToString::to_string);
    let mut streak = 0;
    let mut seen = BTreeSet::new();
    let broken = before.iter().find(|(_, publisher)| publisher.is_none()).map(|(release, _)| *release);
    for (release, _) in before.iter().take_while(|(release, _)| Some(*release) != broken) {
        streak += u32::from(seen.insert(*release));
    }
    Ok(Publishing { own, streak, last })
}

/// The predecessor's profile, and that of the release's other form.
///
/// The predecessor is the highest *version* below this one that has a visible file, as that is what an installer
/// would replace; the time of upload says nothing where two branches are maintained. Where none is below, it is the lowest above:
/// a first file with a low number in a known project is compared too.
async fn neighbours(tx: &mut Tx, file: &FileRow) -> Result<(Option<Profile>, Option<Profile>)> {
    let own = verdicts::profiles_of_release(tx, file.release_id).await?;
    let other = own.iter().find(|row| {
        row.kind != file.kind().as_str()
            && ![FileState::Removed, FileState::Refused].map(FileState::as_str).contains(&row.state.as_str())
    });
    let sibling = other.and_then(|row| profile(&row.body));
    let Ok(version) = file.version.parse::<Version>() else { return Ok((None, sibling)) };
    let mut releases: Vec<(Version, i64)> = verdicts::releases(tx, file.project_id)
        .await?
        .into_iter()
        .filter(|(id, _)| *id != file.release_id)
        .filter_map(|(id, text)| Some((text.parse().ok()?, id)))
        .collect();
    releases.sort();
    let split = releases.partition_point(|(known, _)| *known < version);
    let (below, above) = releases.split_at(split);
    for (_, release) in below.iter().rev().chain(above).take(NEIGHBOURS_MAX) {
        let rows = verdicts::profiles_of_release(tx, *release).await?;
        if let Some(found) = most_alike(&rows, file).and_then(|row| profile(&row.body)) {
            return Ok((Some(found), sibling));
        }
    }
    Ok((None, sibling))
}

/// Of a release's visible files: the one with the same tags, else one of the same kind, else any.
fn most_alike<'a>(rows: &'a [ProfileRow], file: &FileRow) -> Option<&'a ProfileRow> {
    let tags = |filename: &str| filename.splitn(3, '-').nth(2).map(str::to_owned);
    let kind = |row: &&ProfileRow| row.kind == file.kind().as_str();
    let same = |row: &&ProfileRow| {
        kind(row) && (file.kind() == FileKind::Sdist || tags(&row.filename) == tags(&file.filename))
    };
    let visible = || rows.iter().filter(|row| row.state == FileState::Visible.as_str());
    visible().find(same).or_else(|| visible().find(kind)).or_else(|| visible().next())
}

/// A stored profile, when it speaks the words of today, cut to what a request can carry.
fn profile(body: &str) -> Option<Profile> {
    let profile: Profile = serde_json::from_str(body).ok()?;
    (profile.version == Profile::VERSION).then(|| trimmed(profile))
}

/// The profile within [`PROFILE_BYTES_MAX`]: the longest words go first, as that loses the fewest, and of equals the
/// last in order, so that the same profile is always cut to the same.
fn trimmed(mut profile: Profile) -> Profile {
    let cost = |word: &String| serde_json::to_string(word).map_or(word.len(), |text| text.len()) + 1;
    let mut total: usize = profile.words.iter().map(cost).sum();
    if total <= PROFILE_BYTES_MAX {
        return profile;
    }
    let mut words: Vec<(usize, String)> = profile.words.iter().map(|word| (cost(word), word.clone())).collect();
    words.sort();
    while total > PROFILE_BYTES_MAX {
        let Some((bytes, word)) = words.pop() else { break };
        profile.words.remove(&word);
        total -= bytes;
    }
    profile.cut = true;
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_cut_to_what_a_request_carries() {
        let of = |n: usize, bytes: usize| Profile {
            version: Profile::VERSION,
            words: (0..n).map(|i| format!("{i:0bytes$}")).collect(),
            cut: false,
        };
        // Each word costs its bytes, two quotes and a comma.
        let fits = of(PROFILE_BYTES_MAX / 128, 125);
        assert_eq!(trimmed(fits.clone()), fits);
        let over = of(PROFILE_BYTES_MAX / 128 + 1, 125);
        let cut = trimmed(over.clone());
        assert!(cut.cut && cut.words.len() == PROFILE_BYTES_MAX / 128 && cut == trimmed(over));
        let evil = Profile {
            version: Profile::VERSION,
            words: (0..1_000).map(|i| format!("{i:03}{}", "\u{1}".repeat(97))).collect(),
            cut: false,
        };
        let json = serde_json::to_string(&trimmed(evil)).expect("JSON");
        assert!(json.len() < PROFILE_BYTES_MAX + 100, "{}", json.len());
    }

    #[test]
    fn findings_go_where_their_check_stands() {
        let states = set(&[("s", CheckState::Shadow), ("d", CheckState::Disabled)]);
        let finding = |check: &str| Finding { check: check.into(), ..::inspect::of_failure(&Failure::Died) };
        let (active, shadow) = states.split(vec![finding("a"), finding("s"), finding("d"), finding("yara/f/r")]);
        assert_eq!((active, shadow), (vec![finding("a")], vec![finding("s"), finding("yara/f/r")]));
    }

    fn set(states: &[(&str, CheckState)]) -> States {
        let set = states.iter().map(|(id, state)| ((*id).to_owned(), *state)).collect();
        States { set, rules_count: false }
    }

    #[test]
    fn what_an_operator_added_is_tried_out_until_it_is_promoted() {
        use CheckState::{Active, Disabled, Shadow};
        let fresh = set(&[]);
        for (check, state) in [
            ("exec-decoded", Active),
            ("yara/f/r", Shadow),
            ("external/av/x", Shadow),
            ("external/av", Shadow),
            (yara::LIMITS, Shadow),
        ] {
            assert_eq!(fresh.of(check), state, "{check}");
        }
        // What comes with the program says itself that it is tried out.
        for check in checks::CHECKS {
            assert_eq!(fresh.of(check.id()), if check.is_shadow() { Shadow } else { Active }, "{}", check.id());
        }
        // The longest says what holds.
        let said = set(&[("yara", Active), ("yara/f", Disabled), ("yara/f/r", Shadow), ("external/av", Active)]);
        let found = ["yara/g/r", "yara/f/q", "yara/f/r", "external/av/x", "external/other/x", "yaraish"];
        assert_eq!(found.map(|check| said.of(check)), [Active, Disabled, Shadow, Active, Shadow, Active]);
        let counting = States { rules_count: true, ..States::default() };
        assert_eq!((counting.of(yara::LIMITS), counting.of("yara/f/r")), (Active, Shadow));
        let silenced = States { rules_count: true, ..set(&[(yara::LIMITS, Shadow)]) };
        assert_eq!(silenced.of(yara::LIMITS), Shadow);
    }

    /// Goal: a file is held against what an installer would replace by it, and against its other form.
    #[tokio::test(flavor = "multi_thread")]
    async fn neighbours_are_found_by_version_and_form() {
        for stage in crate::ops::tests::stages().await {
            for (n, version) in ["2.0", "1.0", "1.10", "1.9", "3.0rc1"].iter().enumerate() {
                stage.upload("foo", version, &format!("x = {n}")).await.expect("taken");
            }
            stage.settle().await;
            let mut tx = stage.installation.store.write().await.expect("a transaction");
            let files = crate::store::files::of_index(&mut tx, stage.index.id, 0, 10).await.expect("sql");
            for file in files.iter().filter(|file| file.version != "3.0rc1") {
                let words = [file.version.clone()].into();
                let profile = Profile { version: Profile::VERSION, words, cut: false };
                let body = serde_json::to_string(&profile).expect("JSON");
                verdicts::set_profile(&mut tx, stage.index.id, file.id, &body, 0);
            }
            let mut before = BTreeMap::new();
            for file in &files {
                let (previous, sibling) = neighbours(&mut tx, file).await.expect("sql");
                assert_eq!(sibling, None, "a release of one wheel");
                before.insert(file.version.clone(), previous.and_then(|p| p.words.into_iter().next()));
            }
            let want = [("1.0", "1.9"), ("1.10", "1.9"), ("1.9", "1.0"), ("2.0", "1.10"), ("3.0rc1", "2.0")];
            let want = want.map(|(version, previous)| (version.to_owned(), Some(previous.to_owned())));
            assert_eq!(before, BTreeMap::from(want), "{}", stage.installation.store.engine());
            let held = files.iter().find(|file| file.version == "1.9").expect("uploaded");
            crate::store::files::set_state(&mut tx, held.id, FileState::Held);
            let next = files.iter().find(|file| file.version == "1.10").expect("uploaded");
            let (previous, _) = neighbours(&mut tx, next).await.expect("sql");
            assert!(previous.expect("one").words.contains("1.0"), "what nobody can install is no predecessor");
            let old = Profile { version: Profile::VERSION + 1, ..Profile::default() };
            assert_eq!(profile(&serde_json::to_string(&old).expect("JSON")), None, "other words are not compared");
        }
    }
}
