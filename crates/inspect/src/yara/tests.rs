//! Rules over archives that are built here, and folders that hold too much, too little, or nonsense.

use std::fs;

use super::*;
use crate::cases;
use crate::limits::InspectionLimits;
use crate::occasion::{Cause, Occasion};

fn sources(files: &[(&str, &str)]) -> Sources {
    Sources { files: files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect() }
}

fn engine(files: &[(&str, &str)]) -> (Engine, Catalogue) {
    compile(&sources(files)).expect("good rules")
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    compile(&sources(files)).expect_err("bad rules")
}

fn scanned(files: &[(&str, &str)], members: &[(&str, &[u8])], occasion: &Occasion) -> Scan {
    let members: Vec<(String, Vec<u8>)> =
        members.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
    let file = cases::file(&cases::zip(&members));
    let (engine, _) = engine(files);
    let mut scan = Scan::default();
    let request = crate::Request::Checks {
        subject: crate::Subject::AnyArchive,
        limits: crate::Limits::default(),
        previous: None,
        sibling: None,
        occasion: occasion.clone(),
        costs: false,
    };
    crate::work(&file, &request, Some(&engine), |response| {
        if let crate::Response::Scan(found) = response {
            scan = found.clone();
        }
        Ok::<(), ()>(())
    })
    .expect("no answer fails");
    scan
}

fn places(scan: &Scan) -> Vec<String> {
    let place = |finding: &Finding| {
        let location = finding.location.as_ref().expect("a place");
        let line = location.line.map_or(String::new(), |line| format!(":{line}"));
        let layer = location.layer.iter().map(|step| format!(" {step}")).collect::<String>();
        format!("{} {}{line}{layer}", finding.check, location.member)
    };
    let mut all: Vec<String> = scan.findings.iter().map(place).collect();
    all.sort();
    all
}

const MARK: (&str, &str) = ("marks.yar", "rule mark { strings: $a = \"take-all-keys\" condition: $a }");

#[test]
fn what_a_rule_says_of_itself_becomes_a_check() {
    let text = r#"
import "math"
private rule helper { strings: $a = "x" condition: $a }
global rule small { condition: filesize < 100MB }
rule steals : theft keys {
    meta:
        description = "It reads keys."
        why = "It takes keys."
        severity = "High"
        confidence = "low"
        tags = "collection/keys, exfiltration/webhook"
        on = "project-created, again"
        path_include = "*.py, setup.cfg"
        path_exclude = "tests/*"
    condition: helper
}
rule plain { meta: severity = 7 condition: helper and math.entropy(0, filesize) > 1.0 }
"#;
    let (_, catalogue) = engine(&[("theft.yar", text)]);
    let ids: Vec<&str> = catalogue.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["yara/theft/plain", "yara/theft/small", "yara/theft/steals"], "a private rule is no check");
    let (plain, steals) = (&catalogue.rules[0], &catalogue.rules[2]);
    assert_eq!(
        (steals.severity, steals.confidence, steals.why.as_str()),
        (Severity::High, Confidence::Low, "It takes keys.")
    );
    assert_eq!(steals.tags, ["collection/keys", "exfiltration/webhook", "yara/theft", "yara/keys"]);
    assert_eq!(steals.on, [Event::ProjectCreated, Event::Again]);
    assert_eq!(
        (steals.include.as_slice(), steals.exclude.as_slice()),
        (&["*.py".to_owned(), "setup.cfg".to_owned()][..], &["tests/*".to_owned()][..])
    );
    assert_eq!(
        (plain.severity, plain.confidence, plain.on.as_slice()),
        (Severity::Medium, Confidence::Medium, Event::USUAL)
    );
    assert_eq!(plain.why, "The rule 'plain' of 'theft' matches.");
    assert_eq!(catalogue.notes, ["theft: rule 'plain': its severity '7' is none of ours and taken for medium"]);
    let sources = sources(&[("theft.yar", text)]);
    assert_eq!(
        sources.text_of("yara/theft/helper").expect("there"),
        "private rule helper { strings: $a = \"x\" condition: $a }\n"
    );
    assert!(sources.text_of("yara/theft/steals").expect("there").ends_with("condition: helper\n}\n"));
    assert_eq!(sources.text_of("yara/theft/none"), None);
    assert_eq!(compile::heads(text), ["helper", "small", "steals", "plain"]);
}

#[test]
fn a_version_is_that_of_the_text_and_of_what_it_includes() {
    let version = |text: &str, included: &str| {
        let (_, catalogue) = engine(&[("a.yar", text), ("shared.inc", included), MARK]);
        (catalogue.rules[0].version, catalogue.rules[1].version, catalogue.digest)
    };
    let (text, more) = ("include \"shared.inc\"\nrule a { condition: shared }", "\n// a word");
    let shared = "private rule shared { condition: true }";
    let (a, mark, digest) = version(text, shared);
    assert_eq!(version(text, shared), (a, mark, digest.clone()));
    for (text, included) in [(format!("{text}{more}"), shared.to_owned()), (text.to_owned(), format!("{shared}{more}"))]
    {
        let (other, same, set) = version(&text, &included);
        assert!(other != a && same == mark && set != digest, "one file changed, and the rules of the other did not");
    }
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    for (text, wants) in [
        ("rule a {\n condition: $b }", "bad.yar:2:13: error: "),
        ("rule a {\n strings: $x = /(/\n condition: $x }", "bad.yar:2:"),
        ("rule", "bad.yar:1:"),
        ("include \"other.yar\"\nrule a { condition: true }", "bad.yar:1:1: error: cannot include `other.yar`"),
        ("include \"bad.yar\"\nrule a { condition: true }", "included twice"),
        ("import \"net\"\nrule a { condition: true }", "bad.yar:1:1: error: unknown import net"),
        (
            "rule a { meta: on = \"sunday\" condition: true }",
            "bad: rule 'a': on: 'sunday' is no event; there are: project-created",
        ),
    ] {
        let found = problems(&[("bad.yar", text), MARK]);
        assert!(found.len() == 1 && found[0].contains(wants), "{text}: {found:?}");
    }
    let many: Vec<(String, String)> = (0..NAMED + 200).map(|n| (format!("f{n:03}.yar"), "rule".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let found = problems(&many);
    assert!(found.len() <= 101 && found.last().expect("some").starts_with("and "), "{found:?}");
}

const NAMED: usize = 100;

#[test]
fn rules_are_as_many_and_as_long_as_they_may_be() {
    let rules = |count: usize| (0..count).map(|n| format!("rule r{n} {{ condition: true }}\n")).collect::<String>();
    assert_eq!(engine(&[("many.yar", &rules(RULES_MAX))]).1.rules.len(), RULES_MAX);
    assert_eq!(
        problems(&[("many.yar", &rules(RULES_MAX + 1))]),
        [format!("{} rules, of which at most {RULES_MAX} can be in force", RULES_MAX + 1)]
    );
    let named = |length: usize| format!("rule {} {{ condition: true }}", "n".repeat(length));
    assert_eq!(engine(&[("long.yar", &named(RULE_BYTES_MAX))]).1.rules.len(), 1);
    assert!(compile(&sources(&[("long.yar", &named(RULE_BYTES_MAX + 1))])).is_err());
    let strings = |count: usize| {
        let strings: String = (0..count).map(|n| format!("$s{n} = \"text-{n}\" ")).collect();
        format!("rule s {{ strings: {strings} condition: any of them }}")
    };
    assert!(compile(&sources(&[("s.yar", &strings(2_000))])).is_ok());
    assert!(compile(&sources(&[("s.yar", &strings(2_001))])).is_err());
    let pattern =
        |length: usize| format!("rule p {{ meta: path_include = \"{}\" condition: true }}", "p".repeat(length));
    assert!(compile(&sources(&[("p.yar", &pattern(100))])).is_ok());
    assert!(compile(&sources(&[("p.yar", &pattern(101))])).is_err());
    // Nested beyond what its parser takes: an error, not an end of the stack.
    let deep = format!("rule d {{ condition: {}true{} }}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(problems(&[("deep.yar", &deep)])[0].starts_with("deep.yar:1:"));
}

#[test]
fn a_folder_is_read_within_its_limits() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).expect("written");
    let read = || Sources::read(folder.path());
    for (name, text) in [
        ("a.yar", "A"),
        ("b.yara", "B"),
        ("c.meta", "C"),
        ("d.inc", "D"),
        (".e.yar", "E"),
        ("README.md", "F"),
        ("noend", "G"),
    ] {
        write(name, text.as_bytes());
    }
    fs::create_dir(folder.path().join("deeper.yar")).expect("made");
    std::os::unix::fs::symlink(folder.path().join("a.yar"), folder.path().join("link.yar")).expect("made");
    let names: Vec<String> = read().expect("read").files.into_keys().collect();
    assert_eq!(names, ["a.yar", "b.yara", "c.meta", "d.inc", "link.yar"]);
    let wrong = |name: &str, text: &[u8], wants: &str| {
        write(name, text);
        let error = read().expect_err(wants);
        assert!(error.contains(wants) && error.contains(name), "{error}");
        fs::remove_file(folder.path().join(name)).expect("removed");
    };
    wrong("bad.yar", b"\xff", "is not UTF-8");
    wrong("two words.yar", b"", "is named by");
    wrong(&format!("{}.yar", "n".repeat(STEM_BYTES_MAX + 1)), b"", "is named by");
    write(&format!("{}.yar", "n".repeat(STEM_BYTES_MAX)), b"");
    wrong("large.yar", &vec![b' '; FILE_BYTES_MAX + 1], "is larger than");
    write("large.yar", &vec![b' '; FILE_BYTES_MAX]);
    assert!(read().is_ok());
    write("a.yara", b"");
    assert!(read().expect_err("one id twice").contains("'a.yar' and 'a.yara'"));
    fs::remove_file(folder.path().join("a.yara")).expect("removed");
    let known = read().expect("read").files.len();
    for n in known..FILES_MAX {
        write(&format!("f{n}.inc"), b"");
    }
    assert_eq!(read().expect("at the limit").files.len(), FILES_MAX);
    write("one-more.inc", b"");
    assert!(read().expect_err("one past it").contains("more than"));
    for n in known..FILES_MAX {
        let _ = fs::remove_file(folder.path().join(format!("f{n}.inc")));
    }
    for n in 0..7 {
        write(&format!("l{n}.inc"), &vec![b' '; FILE_BYTES_MAX]);
    }
    assert!(read().expect_err("more than all may be").contains("together"));
    assert!(Sources::read(&folder.path().join("none")).is_err());
}

#[test]
fn places_are_members_lines_nested_archives_and_layers() {
    let inner = cases::zip(&[("deep.txt".to_owned(), b"take-all-keys".to_vec())]);
    let text = b"import os\n\nx = 1; send('take-all-keys')\n";
    // `print("take-all-keys")` packed twice.
    let hidden = b"import base64\nexec(base64.b64decode('cHJpbnQoMSkKcHJpbnQoInRha2UtYWxsLWtleXMiKQ=='))\n";
    let members: [(&str, &[u8]); 5] = [
        ("pkg/a.py", text),
        ("pkg/data.bin", b"\x00\x01\x02take-all-keys\xff"),
        ("pkg/inner.zip", &inner),
        ("pkg/hidden.py", hidden),
        ("pkg/fine.py", b"x = 1\n"),
    ];
    let scan = scanned(&[MARK], &members, &Occasion::default());
    assert_eq!(
        places(&scan),
        [
            "yara/marks/mark pkg/a.py:3",
            "yara/marks/mark pkg/data.bin",
            "yara/marks/mark pkg/hidden.py:2 base64",
            "yara/marks/mark pkg/inner.zip!deep.txt:1",
        ]
    );
    let of = |member: &str| {
        scan.findings.iter().find(|f| f.location.as_ref().is_some_and(|l| l.member == member)).expect("found")
    };
    assert_eq!(of("pkg/a.py").excerpt, "x = 1; send('take-all-keys')");
    assert_eq!(of("pkg/data.bin").excerpt, "at byte 3: take-all-keys.");
    assert_eq!(of("pkg/hidden.py").decoded.as_deref(), Some("print(\"take-all-keys\")"));
    assert!(scan.degraded.is_empty());
}

#[test]
fn paths_and_events_say_which_rules_run() {
    let rule = |meta: &str| format!("rule mark {{ meta: {meta} strings: $a = \"take-all-keys\" condition: $a }}");
    let members: [(&str, &[u8]); 3] =
        [("pkg/a.py", b"take-all-keys"), ("pkg/tests/b.py", b"take-all-keys"), ("setup.cfg", b"take-all-keys")];
    let count = |meta: &str, occasion: &Occasion| scanned(&[("m.yar", &rule(meta))], &members, occasion).findings.len();
    let upload = Occasion::default();
    for (meta, expected) in [
        ("n = 1", 3),
        ("path_include = \"*.py\"", 2),
        ("path_include = \"*.py\" path_exclude = \"*/tests/*\"", 1),
        ("path_include = \"setup.???\"", 1),
        ("path_include = \"pkg/*\"", 2),
        ("path_include = \"*.js\"", 0),
        ("on = \"project-created\"", 0),
        ("on = \"status-changed\"", 0),
    ] {
        assert_eq!(count(meta, &upload), expected, "{meta}");
    }
    let first = Occasion { first_of_project: true, ..Occasion::default() };
    assert_eq!(count("on = \"project-created\"", &first), 3);
    let moved = Occasion { cause: Cause::Status, ..Occasion::default() };
    assert_eq!((count("on = \"status-changed\"", &moved), count("n = 1", &moved)), (3, 0));
}

#[test]
fn patterns_of_paths() {
    for (pattern, path, is) in [
        ("*", "", true),
        ("*.py", "a/b.py", true),
        ("*.py", "a/b.pyc", false),
        ("a*b*c", "aXXbYYc", true),
        ("a*b*c", "aXXbYY", false),
        ("?.py", "a/b.py", true),
        ("b.py", "x!a/b.py", true),
        ("a/?.py", "b/b.py", false),
        ("", "", true),
        ("", "a", false),
    ] {
        assert_eq!(is_like(pattern, path), is, "{pattern} {path}");
    }
    let begun = std::time::Instant::now();
    assert!(!is_like(&"*a".repeat(50), &("a".repeat(1_000) + "b")));
    assert!(begun.elapsed().as_secs() < 1);
}

#[test]
fn a_rule_that_is_too_slow_is_a_finding_and_takes_nothing_from_the_others() {
    let slow = "rule slow { condition: for all i in (0..filesize) : (for all j in (0..filesize) : (i + j >= 0)) }";
    let members: [(&str, &[u8]); 1] = [("pkg/a.py", &[b"take-all-keys\n".as_slice(); 60_000].concat())];
    let begun = std::time::Instant::now();
    let scan = scanned(&[MARK, ("slow.yar", slow)], &members, &Occasion::default());
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    let limits = scan.findings.iter().find(|finding| finding.check == LIMITS).expect("told");
    assert!(limits.why.contains("1 members were not scanned to their end (pkg/a.py)"), "{}", limits.why);
    assert!(scan.findings.iter().any(|finding| finding.check == "yara/marks/mark"), "{:?}", scan.findings);
}

#[test]
fn many_places_are_counted_and_each_rule_keeps_one() {
    let many: Vec<(String, Vec<u8>)> =
        (0..300).map(|n| (format!("f{n}.txt"), b"loud take-all-keys".to_vec())).collect();
    let file = cases::file(&cases::zip(&many));
    let loud: String = (0..20)
        .map(|n| format!("rule loud{n} {{ meta: severity = \"critical\" strings: $a = \"loud\" condition: $a }}\n"))
        .collect();
    let (engine, _) = engine(&[("loud.yar", &loud), MARK]);
    let scan = scan(&engine, &file, &[], &Occasion::default(), &InspectionLimits::default());
    assert_eq!(scan.findings.len(), crate::FINDINGS_MAX);
    let quiet = scan.findings.iter().filter(|finding| finding.check == "yara/marks/mark").count();
    assert_eq!((quiet, scan.degraded.len()), (1, 1), "{:?}", scan.degraded);
    let limits = InspectionLimits { member_bytes_max: 4, ..InspectionLimits::default() };
    let cut = super::scan(&engine, &file, &[], &Occasion::default(), &limits);
    assert!(cut.degraded.iter().any(|text| text.contains("of 300 members")), "{:?}", cut.degraded);
}
