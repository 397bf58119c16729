//! `cargo xtask tidy`: the rules of DESIGN.md and CONTRIBUTING.md that no compiler holds. `cargo test` runs them
//! too. A rule is one line of [`RULES`]; what it finds is printed with its name and why it is there.

mod code;
mod papers;
mod shape;
mod source;
mod tree;
mod workspace;

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::docs;
use tree::Tree;

/// Something that a rule refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    path: String,
    /// Counted from 1; 0 when it is about the whole file.
    line: usize,
    what: String,
}

impl Found {
    fn new(path: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into() }
    }
}

struct Rule {
    name: &'static str,
    why: &'static str,
    check: fn(&Tree) -> Result<Vec<Found>>,
}

const fn rule(name: &'static str, why: &'static str, check: fn(&Tree) -> Result<Vec<Found>>) -> Rule {
    Rule { name, why, check }
}

const RULES: &[Rule] = &[
    rule(
        "sql-in-store",
        "SQL stands only in index/src/store (and events/src/store): there every statement is prepared on both engines by a test, and elsewhere nobody would look for one (rule 1)",
        code::sql_in_store,
    ),
    rule(
        "http-in-web",
        "HTTP types stand only in web (and client): the domain never sees a status code, so every surface gives the same answers (rule 2)",
        code::http_in_web,
    ),
    rule(
        "pure",
        "these files do no I/O, read no clock and no randomness, and never wait: the same input gives the same answer, which replay and rebuild rest on (rule 3)",
        code::pure,
    ),
    rule(
        "one-door",
        "time and randomness enter through index/src/clock.rs alone, so that tests can turn the one and seed the other (rule 3)",
        code::one_door,
    ),
    rule(
        "addresses",
        "the address of someone who connected may be named only by the files listed with this rule: whatever does not know it cannot leak it (rule 10)",
        code::addresses,
    ),
    rule(
        "unsafe",
        "unsafe code stands only in inspect/src/sandbox/zygote.rs, where fork and a received descriptor have no safe form",
        code::unsafe_code,
    ),
    rule(
        "blob-keys",
        "keys of the blob store are made only in index/src/blobs/layout.rs, from checked parts: a key made elsewhere can leave its index or its zone",
        code::blob_keys,
    ),
    rule(
        "site-writers",
        "only the publisher and rebuild write, move or delete what stands in the blob store: whatever else wrote the site would be undone by a replay, or undo one (rule 7)",
        code::site_writers,
    ),
    rule(
        "one-way",
        "crates depend on each other as DESIGN.md's graph says, one way: a new edge is an architecture decision",
        workspace::one_way,
    ),
    rule(
        "manifests",
        "every crate takes toolchain, edition, licence and lints from the workspace: one that does not is held by none of them",
        workspace::manifests,
    ),
    rule(
        "licences",
        "everything that is linked may be passed on under Apache-2.0: other licences need a person's decision first",
        workspace::licences,
    ),
    rule(
        "banned-crates",
        "one TLS stack (rustls on aws-lc), no C library of the machine: a second one doubles what must be patched on the day it matters",
        workspace::banned,
    ),
    rule(
        "one-version",
        "two versions of these in one program do not talk to each other, and double its build",
        workspace::one_version,
    ),
    rule(
        "dependencies",
        "every package is somebody who can push code into this program; the number only grows unless it is looked at",
        workspace::package_count,
    ),
    rule(
        "file-length",
        "a file over 800 lines holds more than one thing; split it where its parts stop talking to each other",
        shape::file_length,
    ),
    rule(
        "function-length",
        "a function over 70 lines cannot be seen whole; its parent should own the control flow and its leaves the work",
        shape::function_length,
    ),
    rule(
        "leftovers",
        "what is left to do is an issue, and what helped to find a bug is taken out again: in the source nobody finds it",
        shape::leftovers,
    ),
    rule(
        "told-twice",
        "an error whose sentence holds its cause names no source besides (`transparent`, or a `From` by hand): whoever prints the causes too would say it twice",
        shape::told_twice,
    ),
    rule("ignored-tests", "a test that is not run proves nothing and looks as if it did", shape::ignored_tests),
    rule(
        "migrations",
        "a migration that was released is never edited, or ledgers of one version differ: the checksums stand in tidy/papers.rs",
        papers::migrations,
    ),
    rule("papers", "whoever comes new finds these, and finds them short enough to read", papers::papers),
    rule("adr", "a decision that the list does not name is not found again", papers::decisions),
    rule(
        "life-of",
        "the pages that tell a life of something name functions; one that is gone sends the reader astray",
        papers::lives,
    ),
    rule(
        "machines",
        "nothing in the repository may depend on the machine it was written on, or on a registry of its own",
        papers::machines,
    ),
];

/// Every rule over the tree, as text; empty when all hold.
fn report(tree: &Tree) -> Result<String> {
    let mut out = String::new();
    for Rule { name, why, check } in RULES {
        tell(&mut out, name, why, &check(tree)?);
    }
    Ok(out)
}

fn tell(out: &mut String, name: &str, why: &str, found: &[Found]) {
    if found.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{name}: {why}.");
    for Found { path, line, what } in found {
        let _ = match line {
            0 => writeln!(out, "  {path}: {what}"),
            line => writeln!(out, "  {path}:{line}: {what}"),
        };
    }
}

pub(crate) fn run() -> Result<ExitCode> {
    let tree = Tree::read()?;
    let mut out = report(&tree)?;
    // Needs the program, so it is no part of the test, which a build of all tests runs in.
    let stale: Vec<Found> = docs::stale_pages()?.into_iter().map(|(path, what)| Found::new(path, 0, what)).collect();
    tell(&mut out, "generated-pages", "pages made from tables are made again with `cargo xtask docs`", &stale);
    if out.is_empty() {
        println!("{} rules hold over {} files", RULES.len() + 1, tree.files.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", out.trim_start());
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let tree = Tree::read().expect("the repository can be read");
        let report = report(&tree).expect("every rule can be asked");
        assert!(report.is_empty(), "{report}");
    }
}
