//! The inspection's part of the path, in process, on both engines: verdicts, decisions, notices, walks.

use super::tests::{Stage, name, stages, wheel};
use super::upload::Accepted;
use super::{checks, inspect, jobs as job_verbs, notices, rebuild, verdicts, workers};
use crate::model::{Actor, CheckState, Decision, FileState, IndexName, Verdict};
use crate::policy::verdict::Policy;
use crate::store::files;
use crate::testing::engines;
use crate::{Backlog, Error, Gate, Settings};

const OPERATOR: Actor = Actor::Operator;

async fn decide(stage: &Stage, which: &str, decision: Decision) -> Result<verdicts::Decided, Error> {
    let main = IndexName::main();
    let done = verdicts::decide(&stage.installation, &main, which, decision, Some("because"), &OPERATOR).await;
    workers::drain_publications(&stage.installation).await.expect("published");
    done
}

async fn show(stage: &Stage, which: &str) -> verdicts::Shown {
    verdicts::show(&stage.installation, &IndexName::main(), which, &OPERATOR).await.expect("a verdict")
}

async fn open(stage: &Stage) -> Vec<(String, Verdict)> {
    let list = verdicts::list(&stage.installation, &IndexName::main(), true, None, 100, &OPERATOR).await;
    list.expect("a list").into_iter().map(|row| (row.filename, row.verdict)).collect()
}

async fn state(stage: &Stage, filename: &str) -> FileState {
    let mut tx = stage.installation.store.read().await.expect("a transaction");
    files::by_name(&mut tx, stage.index.id, filename).await.expect("sql").expect("a file").state()
}

async fn status(stage: &Stage, filename: &str) -> notices::Status {
    let status = notices::status_of(&stage.installation, stage.index.id, filename, &stage.actor).await;
    status.expect("read").expect("an upload")
}

fn shown_files(stage: &Stage, project: &str) -> Vec<String> {
    let key = crate::blobs::layout::page(&stage.index.name(), &name(project), "json");
    match stage.installation.blobs.get(&key).expect("readable") {
        Some(_) => stage.filenames(project),
        None => Vec::new(),
    }
}

const EVIL: &str = "evil-1.0-py3-none-any.whl";

#[tokio::test(flavor = "multi_thread")]
async fn a_held_file_is_decided_and_a_decision_reversed() {
    for stage in stages().await {
        stage.upload("evil", "1.0", "x = 1").await.expect("taken");
        assert_eq!(status(&stage, EVIL).await.state, "staged");
        stage.settle().await;
        let told = status(&stage, EVIL).await;
        assert_eq!((told.state, told.reasons.is_empty()), ("held", false));
        assert_eq!(shown_files(&stage, "evil"), Vec::<String>::new());
        assert_eq!(open(&stage).await, [(EVIL.into(), Verdict::Malicious)]);
        let shown = show(&stage, EVIL).await;
        assert_eq!((shown.findings.len(), shown.findings[0].finding.check.as_str()), (1, "planted"));
        assert!(shown.policy.starts_with("built-in-2@") && shown.reasons[0].rule == "harm-and-nothing-else");
        let again = wheel("evil", "1.0", "x = 1").1;
        assert_eq!(stage.upload_bytes(EVIL, &again).await.expect("the same"), Accepted::AlreadyHere);
        let refused = decide(&stage, EVIL, Decision::Refuse).await.expect("decided");
        assert_eq!((refused.state, refused.reverses), (FileState::Refused, None));
        assert_eq!((open(&stage).await, status(&stage, EVIL).await.state), (Vec::new(), "refused"));
        assert!(stage.upload_bytes(EVIL, &again).await.is_err(), "refused stays refused, whoever sends it again");
        let twice = decide(&stage, EVIL, Decision::Refuse).await.expect_err("no such step");
        assert!(matches!(twice, Error::Conflict(_)), "{twice}");
        let cleared = decide(&stage, &shown.id.to_string(), Decision::Clear).await.expect("by the verdict's id");
        assert_eq!((cleared.state, cleared.reverses), (FileState::Visible, Some(refused.id)));
        assert_eq!(shown_files(&stage, "evil"), [EVIL]);
        let back = decide(&stage, EVIL, Decision::Hold).await.expect("held back");
        assert_eq!((back.state, back.reverses), (FileState::Held, Some(cleared.id)));
        assert_eq!(shown_files(&stage, "evil"), Vec::<String>::new());
        assert_eq!(show(&stage, EVIL).await.decisions.len(), 3);
        let list = notices::list(&stage.installation, &IndexName::main(), &stage.actor, true, None).await;
        let list = list.expect("notices");
        let kinds: Vec<&str> = list.iter().map(|notice| notice.kind.as_str()).collect();
        assert_eq!(kinds, ["file.held-back", "file.cleared", "file.refused", "file.held"]);
        notices::read(&stage.installation, &IndexName::main(), &stage.actor, list[0].id).await.expect("read");
        let left = notices::list(&stage.installation, &IndexName::main(), &stage.actor, true, None).await;
        assert_eq!(left.expect("notices").len(), 3);
        stage.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_review_is_published_and_queued() {
    for stage in stages().await {
        stage.upload("odd", "1.0", "x = 1").await.expect("taken");
        stage.upload("fine", "1.0", "x = 2").await.expect("taken");
        stage.settle().await;
        let odd = "odd-1.0-py3-none-any.whl";
        assert_eq!((shown_files(&stage, "odd").len(), shown_files(&stage, "fine").len()), (1, 1));
        assert_eq!(open(&stage).await, [(odd.into(), Verdict::Review)]);
        let fine = show(&stage, "fine-1.0-py3-none-any.whl").await;
        assert_eq!((fine.verdict, fine.findings.len(), fine.reasons.len()), (Verdict::Clear, 0, 0));
        decide(&stage, odd, Decision::Clear).await.expect("it is fine");
        assert_eq!((open(&stage).await, state(&stage, odd).await), (Vec::new(), FileState::Visible));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_faster_than_the_inspection_wins() {
    for stage in stages().await {
        for (decision, want, waits) in
            [(Decision::Clear, FileState::Visible, 1), (Decision::Refuse, FileState::Refused, 0)]
        {
            let version = if decision == Decision::Clear { "1.0" } else { "2.0" };
            let filename = format!("evil-{version}-py3-none-any.whl");
            stage.upload("evil", version, version).await.expect("taken");
            decide(&stage, &filename, decision).await.expect("decided without a verdict");
            stage.settle().await;
            assert_eq!(state(&stage, &filename).await, want);
            assert_eq!(open(&stage).await.len(), waits, "evidence about a visible file is asked again, once");
            let _ =
                verdicts::decide(&stage.installation, &IndexName::main(), &filename, decision, None, &OPERATOR).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shadows_are_recorded_and_influence_nothing() {
    for stage in stages().await {
        let set = async |state| checks::set(&stage.installation, "planted", state, &OPERATOR).await;
        assert!(matches!(set(CheckState::Shadow).await, Err(Error::NotFound(_))), "nobody knows it yet");
        stage.upload("odd", "0.1", "x = 0").await.expect("taken");
        stage.settle().await;
        set(CheckState::Shadow).await.expect("known now");
        stage.upload("evil", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let shown = show(&stage, EVIL).await;
        assert_eq!((shown.verdict, shown.state), (Verdict::Clear, FileState::Visible));
        assert!(shown.findings.len() == 1 && shown.findings[0].shadow);
        set(CheckState::Disabled).await.expect("known");
        stage.upload("harm", "1.0", "x = 2").await.expect("taken");
        stage.settle().await;
        assert_eq!(show(&stage, "harm-1.0-py3-none-any.whl").await.findings.len(), 0);
        let found = checks::evaluate(&stage.installation, &IndexName::main(), Some("planted"), None).await;
        let found = found.expect("evaluated");
        let trial = &found.checks["planted"];
        assert_eq!((found.files, trial.fired, trial.held, trial.undecided), (3, 3, 2, 2));
        let few = checks::evaluate(&stage.installation, &IndexName::main(), None, Some(2)).await.expect("evaluated");
        assert_eq!(few.files, 2);
        assert!(few.reading_us > 0, "facts are read once, for all checks");
        let costs = few.checks.values().map(|trial| (trial.cost_us, trial.cost_us_max));
        assert!(
            costs.clone().all(|(all, most)| most <= all && all <= 2 * most)
                && costs.map(|cost| cost.0).sum::<u64>() > 0
        );
        assert!(few.checks.contains_key("start-effects"), "one that never fired is told of, too");
        set(CheckState::Active).await.expect("known");
        assert_eq!(show(&stage, EVIL).await.verdict, Verdict::Clear, "what was concluded stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_tried_on_history() {
    for stage in stages().await {
        for (project, decision) in [("evil", Some(Decision::Refuse)), ("harm", Some(Decision::Clear)), ("odd", None)] {
            stage.upload(project, "1.0", project).await.expect("taken");
            stage.settle().await;
            if let Some(decision) = decision {
                decide(&stage, &format!("{project}-1.0-py3-none-any.whl"), decision).await.expect("decided");
            }
        }
        let replay = async |policy: &Policy| {
            let done = verdicts::replay(&stage.installation, &IndexName::main(), policy).await.expect("replayed");
            (done.files, done.held, done.right, done.wrong, done.undecided, done.review, done.missed)
        };
        assert_eq!(replay(&Policy::built_in()).await, (3, 2, 1, 1, 0, 1, 0));
        let strict = "name = \"strict\"\nversion = 1\n[[rule]]\nid = \"all\"\nverdict = \"hold\"\nwhy = \"w\"";
        assert_eq!(replay(&Policy::parse(strict).expect("a policy")).await, (3, 3, 1, 1, 1, 0, 0));
        let blind = Policy::parse("name = \"blind\"\nversion = 1").expect("a policy");
        assert_eq!(replay(&blind).await, (3, 0, 0, 0, 0, 0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_inspection_asks_a_person_and_hides_nothing() {
    for stage in stages().await {
        stage.upload("odd", "0.1", "x = 0").await.expect("taken");
        stage.settle().await;
        checks::set(&stage.installation, "planted", CheckState::Disabled, &OPERATOR).await.expect("known");
        for n in 0..6 {
            stage.upload("evil", &format!("1.{n}"), &format!("x = {n}")).await.expect("taken");
        }
        stage.settle().await;
        checks::set(&stage.installation, "planted", CheckState::Active, &OPERATOR).await.expect("known");
        let main = IndexName::main();
        verdicts::reinspect(&stage.installation, &main, &OPERATOR).await.expect("begun");
        assert!(verdicts::reinspect_some(&stage.installation).await.expect("a step") > 0);
        let (done, _) = verdicts::reinspection(&stage.installation, &main).await.expect("read").expect("under way");
        assert!((1..7).contains(&done), "it stopped in between and remembers where: {done}");
        while verdicts::reinspect_some(&stage.installation).await.expect("a step") > 0 {}
        assert_eq!(verdicts::reinspection(&stage.installation, &main).await.expect("read"), None);
        assert_eq!(open(&stage).await.len(), 7, "six that are worse now, and the one that waited before");
        assert_eq!((shown_files(&stage, "evil").len(), show(&stage, EVIL).await.cause.as_str()), (6, "again"));
        verdicts::reinspect(&stage.installation, &main, &OPERATOR).await.expect("begun");
        while verdicts::reinspect_some(&stage.installation).await.expect("a step") > 0 {}
        assert_eq!(open(&stage).await.len(), 7, "what is known asks nobody twice");
    }
}

async fn stages_with(settings: Settings) -> Vec<Stage> {
    let mut out = Vec::new();
    for engine in engines().await {
        out.push(Stage::on(engine, settings.clone()).await);
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_late_is_held_and_released_by_its_inspection() {
    let settings = || Settings { inspection_budget_ms: 60_000, ..Settings::default() };
    for stage in stages_with(settings()).await {
        let fine = "fine-1.0-py3-none-any.whl";
        stage.upload("fine", "1.0", "x = 1").await.expect("taken");
        stage.upload("evil", "1.0", "x = 2").await.expect("taken");
        stage.installation.clock.advance(60_000_000);
        assert_eq!(inspect::overdue(&stage.installation).await.expect("looked"), 0, "to its last moment");
        stage.installation.clock.advance(1);
        assert_eq!(inspect::overdue(&stage.installation).await.expect("looked"), 2);
        assert_eq!((status(&stage, fine).await.state, open(&stage).await.len()), ("held", 2));
        let said = status(&stage, fine).await.message;
        assert!(
            said.contains("goes on") && !said.contains("person"),
            "nobody has to look at what is only late: {said}"
        );
        assert_eq!(show(&stage, fine).await.reasons[0].rule, "not-inspected-in-time");
        let replay = async || {
            let (main, policy) = (IndexName::main(), Policy::built_in());
            let done = verdicts::replay(&stage.installation, &main, &policy).await.expect("replayed");
            (done.files, done.changed.len())
        };
        assert_eq!(replay().await, (0, 0), "nothing was found yet, so no policy would clear it");
        stage.settle().await;
        assert_eq!(replay().await, (2, 0));
        assert_eq!((status(&stage, fine).await.state, status(&stage, EVIL).await.state), ("published", "held"));
        assert_eq!(open(&stage).await, [(EVIL.into(), Verdict::Malicious)]);
    }
    // Published meanwhile only when that was chosen, and never what somebody began to inspect.
    for stage in stages_with(Settings { backlog: Backlog::Publish, ..settings() }).await {
        stage.upload("evil", "1.0", "x = 1").await.expect("taken");
        stage.upload("fine", "1.0", "x = 2").await.expect("taken");
        let mut tx = stage.installation.store.write().await.expect("a transaction");
        let now = stage.installation.clock.now_us();
        let kind = crate::store::jobs::JobKind::Inspect;
        let begun = crate::store::jobs::claim(&mut tx, kind, now, now, 1).await.expect("claimed");
        let begun = files::by_id(&mut tx, begun[0].file_id.expect("a file")).await.expect("a file").filename;
        tx.commit().await.expect("commit");
        stage.installation.clock.advance(60_000_001);
        assert_eq!(inspect::overdue(&stage.installation).await.expect("looked"), 2);
        assert_eq!((begun.as_str(), state(&stage, EVIL).await), (EVIL, FileState::Held));
        assert_eq!(state(&stage, "fine-1.0-py3-none-any.whl").await, FileState::Visible);
        stage.settle().await;
        assert_eq!(state(&stage, EVIL).await, FileState::Held);
        assert_eq!(open(&stage).await, [(EVIL.into(), Verdict::Malicious)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_after_publication_takes_away_what_is_held() {
    for stage in stages_with(Settings { gate: Gate::After, ..Settings::default() }).await {
        stage.upload("evil", "1.0", "x = 1").await.expect("taken");
        workers::drain_publications(&stage.installation).await.expect("published");
        assert_eq!((shown_files(&stage, "evil").len(), state(&stage, EVIL).await), (1, FileState::Visible));
        stage.settle().await;
        assert_eq!((shown_files(&stage, "evil").len(), state(&stage, EVIL).await), (0, FileState::Held));
        let row = super::indexes::list(&stage.installation).await.expect("list").remove(0);
        rebuild::rebuild(&stage.installation, &row, &mut |_| {}).await.expect("rebuilt");
        stage.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_wait_while_the_queue_is_full() {
    for stage in stages_with(Settings { inspections_waiting_max: 2, ..Settings::default() }).await {
        for n in 0..2 {
            *stage.installation.full.lock().expect("a lock") = None;
            stage.upload("foo", &format!("1.{n}"), &format!("x = {n}")).await.expect("there is room");
        }
        *stage.installation.full.lock().expect("a lock") = None;
        let refused = stage.upload("foo", "1.2", "x = 2").await.expect_err("no room");
        assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
        assert_eq!(job_verbs::list(&stage.installation, &IndexName::main(), &OPERATOR).await.expect("jobs").len(), 2);
        stage.settle().await;
        *stage.installation.full.lock().expect("a lock") = None;
        stage.upload("foo", "1.2", "x = 2").await.expect("room again");
    }
}

/// Goal: what breaks its inspection is held after three attempts, under any policy and in any backlog.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_its_inspection_is_held() {
    let lenient = std::sync::Arc::new(Policy::parse("name = \"lenient\"\nversion = 1").expect("a policy"));
    for stage in
        stages_with(Settings { policy: lenient.clone(), backlog: Backlog::Publish, ..Settings::default() }).await
    {
        let bomb = "bomb-1.0-py3-none-any.whl";
        stage.upload("bomb", "1.0", "x = 1").await.expect("taken");
        for attempt in 1..=3 {
            assert_eq!(state(&stage, bomb).await, FileState::Staged, "before attempt {attempt}");
            assert_eq!(inspect::run_once(&stage.installation).await.expect("run"), 1);
            stage.installation.clock.advance(3_000_000);
        }
        let shown = show(&stage, bomb).await;
        assert_eq!((shown.state, shown.verdict), (FileState::Held, Verdict::Hold));
        assert_eq!((shown.reasons[0].rule.as_str(), shown.findings.len()), ("inspection-failed", 1));
        assert_eq!(open(&stage).await, [(bomb.into(), Verdict::Hold)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_begins_a_walk_when_it_is_due() {
    for stage in stages_with(Settings { reinspect_every_seconds: 3_600, ..Settings::default() }).await {
        stage.upload("fine", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        let main = IndexName::main();
        let under_way = async || verdicts::reinspection(&stage.installation, &main).await.expect("read").is_some();
        verdicts::reinspect_when_due(&stage.installation).await.expect("looked");
        assert!(!under_way().await, "the first one is due after the first interval");
        stage.installation.clock.advance(3_600_000_000 - 1);
        verdicts::reinspect_when_due(&stage.installation).await.expect("looked");
        assert!(!under_way().await, "to its last moment");
        stage.installation.clock.advance(1);
        verdicts::reinspect_when_due(&stage.installation).await.expect("looked");
        assert!(under_way().await);
        while verdicts::reinspect_some(&stage.installation).await.expect("a step") > 0 {}
        verdicts::reinspect_when_due(&stage.installation).await.expect("looked");
        assert!(!under_way().await, "once an interval");
    }
}

/// Goal: what begins to count is looked for in what is there, without anybody asking; what ceases to count asks for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_begins_to_count_looks_again_at_what_is_there() {
    for stage in stages().await {
        let main = IndexName::main();
        let under_way = async || verdicts::reinspection(&stage.installation, &main).await.expect("read").is_some();
        let tick = async || verdicts::reinspect_when_due(&stage.installation).await.expect("looked");
        stage.upload("odd", "0.1", "x = 0").await.expect("taken");
        stage.settle().await;
        tick().await;
        checks::set(&stage.installation, "planted", CheckState::Disabled, &OPERATOR).await.expect("known");
        stage.upload("evil", "1.0", "x = 1").await.expect("taken");
        stage.settle().await;
        tick().await;
        assert!(!under_way().await, "what was taken away finds nothing new");
        assert_eq!(state(&stage, EVIL).await, FileState::Visible);
        checks::set(&stage.installation, "planted", CheckState::Active, &OPERATOR).await.expect("known");
        tick().await;
        assert!(under_way().await);
        tick().await;
        while verdicts::reinspect_some(&stage.installation).await.expect("a step") > 0 {}
        assert_eq!((state(&stage, EVIL).await, show(&stage, EVIL).await.cause.as_str()), (FileState::Visible, "again"));
        assert!(open(&stage).await.contains(&(EVIL.into(), Verdict::Malicious)), "a person is asked");
        tick().await;
        assert!(!under_way().await, "once for each change");
    }
}
