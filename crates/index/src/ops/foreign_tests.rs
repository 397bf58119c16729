//! Checks that operators add, in process, on both engines: rules in the sandbox, commands beside it, and the events on
//! which they run.

use ::inspect::yara::Sources;
use packaging::ProjectStatus;
use serde_json::Value;

use super::tests::{Stage, name};
use super::{checks, projects as verbs, verdicts};
use crate::model::{Actor, CheckState, FileState, IndexName, Verdict};
use crate::store::jobs;
use crate::testing::engines;
use crate::{Error, Settings, external};

const OPERATOR: Actor = Actor::Operator;
const MARK: &str = "rule mark { meta: severity = \"high\" strings: $a = \"take-all-keys\" condition: $a }";

async fn stages(rules: &[(&str, &str)], outside: &str) -> Vec<Stage> {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, text) in rules {
        std::fs::write(folder.path().join(file), text).expect("written");
    }
    let sources = Sources::read(folder.path()).expect("rules");
    let external = external::parse(outside).expect("settings").into();
    let mut all = Vec::new();
    for engine in engines().await {
        let stage =
            Stage::on(engine, Settings { external: std::sync::Arc::clone(&external), ..Settings::default() }).await;
        if !rules.is_empty() {
            stage.installation.sandbox.as_ref().expect("a sandbox").adopt(&sources).expect("good rules");
        }
        all.push(stage);
    }
    all
}

async fn put(stage: &Stage, project: &str, version: &str, content: &str) -> verdicts::Shown {
    stage.upload(project, version, content).await.expect("taken");
    stage.settle().await;
    shown(stage, &format!("{project}-{version}-py3-none-any.whl")).await
}

async fn shown(stage: &Stage, filename: &str) -> verdicts::Shown {
    verdicts::show(&stage.installation, &IndexName::main(), filename, &OPERATOR).await.expect("a verdict")
}

async fn set(stage: &Stage, check: &str, state: CheckState) -> Result<(), Error> {
    checks::set(&stage.installation, check, state, &OPERATOR).await
}

fn found(shown: &verdicts::Shown) -> Vec<(&str, bool)> {
    shown.findings.iter().map(|one| (one.finding.check.as_str(), one.shadow)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_tried_out_promoted_and_retired() {
    for stage in stages(&[("theft.yar", MARK)], "").await {
        let id = "yara/theft/mark";
        let first = put(&stage, "one", "1.0", "x = 'take-all-keys'").await;
        assert_eq!((first.state, found(&first)), (FileState::Visible, vec![(id, true)]));
        assert!(first.checks.contains(" yara@"), "{}", first.checks);
        let finding = &first.findings[0].finding;
        assert!(finding.version > 0 && finding.excerpt.contains("take-all-keys"), "{finding:?}");
        let list = checks::list(&stage.installation, &OPERATOR).await.expect("a list");
        let row = list.iter().find(|row| row.check == id).expect("listed");
        assert_eq!((row.state, row.version, row.files), (CheckState::Shadow, Some(finding.version), 1));
        let trial = checks::evaluate(&stage.installation, &IndexName::main(), Some(id), None).await.expect("evaluated");
        assert_eq!((trial.checks[id].fired, trial.checks[id].held), (1, 1));
        // A whole file of rules at once; then one of them again by itself.
        set(&stage, "yara/theft", CheckState::Active).await.expect("known");
        let second = put(&stage, "two", "1.0", "x = 'take-all-keys'").await;
        assert_eq!((second.state, second.verdict, found(&second)), (FileState::Held, Verdict::Hold, vec![(id, false)]));
        set(&stage, id, CheckState::Disabled).await.expect("known");
        assert_eq!(found(&put(&stage, "three", "1.0", "x = 'take-all-keys'").await), vec![]);
        for unknown in ["yara/other", "yara/theft/none", "exec", "yara/theft/mark/x"] {
            assert!(matches!(set(&stage, unknown, CheckState::Active).await, Err(Error::NotFound(_))), "{unknown}");
        }
        assert_eq!(put(&stage, "fine", "1.0", "x = 1").await.verdict, Verdict::Clear);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_are_tried_out_hold_up_nothing() {
    const SLOW: &str = "rule slow { meta: path_include = \"*.py\" condition: for all i in (0..filesize) : \
                        (for all j in (0..filesize) : (i + j >= 0)) }";
    for stage in stages(&[("slow.yar", SLOW)], "").await {
        let content = "x = 1\n".repeat(20_000);
        let tried = put(&stage, "one", "1.0", &content).await;
        assert_eq!((tried.state, found(&tried)), (FileState::Visible, vec![("yara/limits", true)]));
        set(&stage, "yara/slow/slow", CheckState::Active).await.expect("known");
        let counts = put(&stage, "two", "1.0", &content).await;
        assert_eq!((counts.state, found(&counts)), (FileState::Held, vec![("yara/limits", false)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_run_on_the_events_that_they_ask_for() {
    let on = |name: &str, event: &str| {
        format!("rule {name} {{ meta: on = \"{event}\" strings: $a = \"take-all-keys\" condition: $a }}\n")
    };
    let text = [
        on("born", "project-created"),
        on("cut", "release-created"),
        on("moved", "status-changed"),
        on("again", "again"),
    ];
    for stage in stages(&[("on.yar", &text.concat())], "").await {
        let ids = |shown: &verdicts::Shown| {
            let mut ids: Vec<String> =
                shown.findings.iter().map(|one| one.finding.check.trim_start_matches("yara/on/").to_owned()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&put(&stage, "foo", "1.0", "'take-all-keys'").await), ["born", "cut"]);
        assert_eq!(ids(&put(&stage, "foo", "2.0", "'take-all-keys'").await), ["cut"]);
        let (main, foo) = (IndexName::main(), name("foo"));
        let archive = ProjectStatus::Archived;
        for _ in 0..2 {
            // The second time it is no change, and no event.
            verbs::set_status(&stage.installation, &main, &foo, archive, None, &OPERATOR).await.expect("set");
        }
        stage.settle().await;
        assert_eq!(verdicts::reinspect_changed(&stage.installation).await.expect("looked"), 1);
        assert_eq!(verdicts::reinspect_changed(&stage.installation).await.expect("looked"), 0);
        // What did not run this time is as it was found.
        let moved = shown(&stage, "foo-1.0-py3-none-any.whl").await;
        assert_eq!(
            (moved.cause.as_str(), ids(&moved)),
            ("again", ["born", "cut", "moved"].map(str::to_owned).to_vec())
        );
        verdicts::reinspect(&stage.installation, &main, &OPERATOR).await.expect("begun");
        while verdicts::reinspect_some(&stage.installation).await.expect("looked") > 0 {}
        let again = shown(&stage, "foo-1.0-py3-none-any.whl").await;
        assert_eq!(ids(&again), ["again", "born", "cut", "moved"]);
        assert_eq!(again.state, FileState::Visible);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_nobody_asks_about_is_no_work() {
    for stage in stages(&[("theft.yar", MARK)], "").await {
        put(&stage, "foo", "1.0", "x = 1").await;
        let archive = ProjectStatus::Archived;
        let main = IndexName::main();
        verbs::set_status(&stage.installation, &main, &name("foo"), archive, None, &OPERATOR).await.expect("set");
        stage.settle().await;
        let mut tx = stage.installation.store.read().await.expect("a transaction");
        assert_eq!(jobs::depth(&mut tx, 0).await.expect("sql"), vec![]);
    }
}

/// A command that keeps what it was told, and says what `answer` says.
fn command(folder: &std::path::Path, answer: &str, more: &str) -> String {
    let script =
        format!("printf %s \"$TIDEWAITER_FILE\" > {0}/told; sha256sum > {0}/bytes; {answer}", folder.display());
    format!("[[check]]\nname = \"lab\"\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n{more}\n")
}

const FOUND: &str = r#"echo '{"file": "x", "verdict": "clear", "findings": [
    {"check": "odd-name", "version": 3, "severity": "critical", "confidence": "high",
     "location": {"member": "pkg/a.py", "line": 2}, "excerpt": "x", "why": "It is odd."}]}'"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_told_of_a_file_and_answers_findings() {
    let folder = tempfile::tempdir().expect("a folder");
    let lab = command(folder.path(), FOUND, "bytes = true\nseverity_max = \"high\"\nversion = 2");
    for stage in stages(&[], &lab).await {
        let tried = put(&stage, "foo", "1.0", "x = 1").await;
        assert_eq!((tried.state, found(&tried)), (FileState::Visible, vec![("external/lab/odd-name", true)]));
        let finding = &tried.findings[0].finding;
        assert_eq!((finding.version, finding.severity), (3, ::inspect::Severity::High), "it is capped");
        assert!(tried.checks.ends_with(" external/lab@2"), "{}", tried.checks);
        let main = IndexName::main();
        let trial = checks::evaluate(&stage.installation, &main, Some("external/lab"), None).await.expect("evaluated");
        assert_eq!((trial.checks["external/lab/odd-name"].fired, trial.checks["external/lab"].fired), (1, 0));
        assert!(trial.checks["external/lab"].cost_us > 0, "what it takes to ask is told");
        let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).expect("written");
        let told: Value = serde_json::from_str(&read("told")).expect("JSON");
        let digest = tried.sha256.to_string();
        assert!(read("bytes").starts_with(&digest), "the bytes are on its standard input");
        for (key, want) in [
            ("index", Value::from("main")),
            ("project", "foo".into()),
            ("version", "1.0".into()),
            ("filename", "foo-1.0-py3-none-any.whl".into()),
            ("sha256", digest.clone().into()),
            ("status", "active".into()),
            ("first_of_project", true.into()),
            ("events", ["project-created", "release-created", "file-added"].map(Value::from).to_vec().into()),
        ] {
            assert_eq!(told[key], want, "{key}");
        }
        assert_eq!(told["metadata"]["Name"][0], "foo");
        assert!(told["size"].as_i64().is_some_and(|size| size > 0) && told["profile"].is_array());
        set(&stage, "external/lab", CheckState::Active).await.expect("known");
        let counts = put(&stage, "bar", "1.0", "x = 1").await;
        assert_eq!((counts.state, counts.verdict), (FileState::Held, Verdict::Hold), "capped, it cannot say malicious");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_a_finding_that_holds_only_where_the_policy_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = "[[rule]]\nid = \"silent\"\ntags = [\"inspection/unanswered\"]\nverdict = \"hold\"\nwhy = \"w\"";
    let holds = format!("name = \"t\"\nversion = 1\n{rule}");
    for (answer, why) in [
        ("exit 1", "exit status: 1"),
        ("yes", "longer than"),
        ("echo nonsense", "not what was asked for"),
        ("sleep 30", "longer than 1000 ms"),
    ] {
        let lab = command(folder.path(), answer, "timeout_seconds = 1");
        let stage = stages(&[], &lab).await.swap_remove(0);
        put(&stage, "zero", "1.0", "x = 1").await;
        set(&stage, "external/lab", CheckState::Active).await.expect("known");
        let silent = put(&stage, "foo", "1.0", "x = 1").await;
        assert_eq!((silent.state, found(&silent)), (FileState::Visible, vec![("external/lab", false)]), "{answer}");
        assert!(silent.findings[0].finding.why.contains(why), "{}", silent.findings[0].finding.why);
        let strict = crate::policy::verdict::Policy::parse(&holds).expect("a policy");
        let replayed = verdicts::replay(&stage.installation, &IndexName::main(), &strict).await.expect("replayed");
        assert_eq!(replayed.held, 2, "with such a rule");
        // What is held for another reason stays held.
        let evil = put(&stage, "evil", "1.0", "x = 1").await;
        assert_eq!(evil.state, FileState::Held, "{:?}", found(&evil));
    }
}

/// Goal: a service that found something and then falls silent has not taken it back.
#[tokio::test(flavor = "multi_thread")]
async fn silence_takes_back_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let once = format!("[ ! -e {0}/once ] || exit 1; touch {0}/once; {FOUND}", folder.path().display());
    for stage in stages(&[], &command(folder.path(), &once, "")).await.into_iter().take(1) {
        set(&stage, "external/lab", CheckState::Active).await.expect("known");
        let first = put(&stage, "foo", "1.0", "x = 1").await;
        assert_eq!((first.state, first.verdict), (FileState::Held, Verdict::Hold));
        verdicts::reinspect(&stage.installation, &IndexName::main(), &OPERATOR).await.expect("begun");
        while verdicts::reinspect_some(&stage.installation).await.expect("looked") > 0 {}
        let again = shown(&stage, &first.filename).await;
        assert_eq!((again.state, again.verdict, again.cause.as_str()), (FileState::Held, Verdict::Hold, "again"));
        assert_eq!(found(&again), [("external/lab", false), ("external/lab/odd-name", false)]);
    }
}
