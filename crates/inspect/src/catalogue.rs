//! The pages in `catalogue/`: what attackers do, how they hide it, and what honest projects do that looks like it, each
//! inspected as a whole. A page of `cases/` holds one check to its word; these hold all of them together to theirs.
//!
//! The words are those of `cases`, but for the last lines of a case that fires: `=== hold CHECK` or `=== review CHECK`
//! asks for findings of that check which weigh enough by the built-in policy. A quiet case is clear, of all checks together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::built_in::{Verdict, verdict};
use crate::cases::{Case, Others, cases};
use crate::{Finding, Inspection, Severity};

fn meets(inspection: &Inspection, line: &str) -> bool {
    let (level, check) = line.split_once(' ').expect("a level and a check");
    let level = match level {
        "hold" => Verdict::Hold,
        "review" => Verdict::Review,
        other => panic!("no level `{other}`"),
    };
    let own: Vec<&Finding> = inspection.findings.iter().filter(|finding| finding.check == check).collect();
    verdict(&own) >= level
}

fn told(inspection: &Inspection) -> Vec<String> {
    let mut told: Vec<String> = inspection
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note)
        .map(|finding| format!("{} {:?}/{:?} {}", finding.check, finding.severity, finding.confidence, finding.excerpt))
        .collect();
    told.truncate(8);
    told
}

fn judge(case: &Case, inspection: &Inspection) -> Result<(), String> {
    let complaint =
        |what: String| Err(format!("line {} ({}): {what}; told: {:#?}", case.line, case.title, told(inspection)));
    if case.what == "quiet" {
        let all: Vec<&Finding> = inspection.findings.iter().collect();
        return if verdict(&all) == Verdict::Clear { Ok(()) } else { complaint("it is not quiet".into()) };
    }
    match case.expected.iter().find(|line| !meets(inspection, line)) {
        _ if case.expected.is_empty() => complaint("nothing is expected of it".into()),
        Some(line) => complaint(format!("lacks `{line}`")),
        None => Ok(()),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue")
}

fn pages() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder()).expect("the pages are committed");
    let mut pages: Vec<(String, String)> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a page"))
        })
        .collect();
    pages.sort_unstable();
    pages
}

#[test]
fn every_case_is_judged_as_its_page_says() {
    let mut wrong = vec![];
    for (name, page) in pages() {
        let mut others = Others::default();
        for case in cases(&page) {
            let Some(inspection) = others.next(&case) else { continue };
            if let Err(complaint) = judge(&case, &inspection) {
                wrong.push(format!("{name}.md, {complaint}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table in docs/catalogue.md names every section as `page/title`, and none that is not there.
#[test]
fn the_table_names_every_section() {
    let table = std::fs::read_to_string(folder().join("../../../docs/catalogue.md")).expect("the table");
    let mut there = BTreeSet::new();
    for (name, page) in pages() {
        there.extend(cases(&page).iter().map(|case| format!("{name}/{}", case.title)));
    }
    let names: Vec<String> = pages().into_iter().map(|(name, _)| format!("{name}/")).collect();
    let named: BTreeSet<String> = table
        .split('`')
        .filter(|word| names.iter().any(|name| word.starts_with(name.as_str())) && !word.ends_with(".md"))
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = there.difference(&named).collect();
    let gone: Vec<_> = named.difference(&there).collect();
    assert!(missing.is_empty() && gone.is_empty(), "the table lacks {missing:?}, and names {gone:?}");
}
