//! `cargo xtask test`: everything that must pass, in one command on a fresh Debian machine with Rust and Python.
//!
//! A step that fails does not stop the later ones; a step that cannot run has failed. The last line is
//! `N passed, M failed`, over every Rust and Python test and each other step as one.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::run;
use crate::tidy;

/// What a step came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    /// Tests that said that they cannot run here.
    skipped: u64,
}

impl Count {
    fn of(ok: bool) -> Self {
        Self { passed: u64::from(ok), failed: u64::from(!ok), skipped: 0 }
    }
}

struct Step {
    name: &'static str,
    /// `rust` or `python`.
    group: &'static str,
    run: fn() -> Result<Count>,
}

const STEPS: &[Step] = &[
    Step { name: "packages", group: "all", run: packages },
    Step { name: "fmt", group: "rust", run: fmt },
    Step { name: "tidy", group: "rust", run: tidy_rules },
    Step { name: "clippy", group: "rust", run: clippy },
    Step { name: "cargo-test", group: "rust", run: cargo_test },
    Step { name: "doc", group: "rust", run: doc },
    Step { name: "oracle", group: "python", run: oracle },
    Step { name: "pytest", group: "python", run: pytest },
];

/// Debian packages, and the program by which each is known to be there.
const PACKAGES: &[(&str, &str)] = &[
    ("nginx-light", "nginx"),
    ("strace", "strace"),
    ("softhsm2", "softhsm2-util"),
    ("chromium", "chromium"),
    ("chromium-driver", "chromedriver"),
    ("python3", "python3"),
    ("nodejs", "node"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    ("curl", "curl"),
];

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut only = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let known = |name: &&String| STEPS.iter().any(|step| step.name == *name || step.group == *name);
        match (argument.as_str(), arguments.next().filter(known)) {
            ("--only", Some(name)) => only.push(name.as_str()),
            _ => bail!("usage: cargo xtask test [--only rust|python|{}]...", STEPS.map_names()),
        }
    }
    let started = Instant::now();
    let mut total = Count::default();
    let mut report = Vec::new();
    for step in STEPS.iter().filter(|step| only.is_empty() || only.contains(&step.name) || only.contains(&step.group)) {
        println!("\n== {}", step.name);
        let began = Instant::now();
        let count = (step.run)().unwrap_or_else(|error| {
            eprintln!("{}: {error:#}", step.name);
            Count::of(false)
        });
        let Count { passed, failed, skipped } = count;
        total =
            Count { passed: total.passed + passed, failed: total.failed + failed, skipped: total.skipped + skipped };
        report.push(format!(
            "{:12} {:7.1} s  {passed:6} passed {failed:4} failed {skipped:4} skipped",
            step.name,
            began.elapsed().as_secs_f64()
        ));
    }
    println!("\n{}\n{:12} {:7.1} s", report.join("\n"), "all", started.elapsed().as_secs_f64());
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

trait Names {
    fn map_names(&self) -> String;
}

impl Names for [Step] {
    fn map_names(&self) -> String {
        self.iter().map(|step| step.name).collect::<Vec<_>>().join("|")
    }
}

/// Whether the command succeeds, as one step.
fn passes(command: &mut Command) -> Result<Count> {
    Ok(Count::of(command.status()?.success()))
}

fn packages() -> Result<Count> {
    let mut missing: Vec<&str> =
        PACKAGES.iter().filter(|(_, program)| !run::is_on_path(program)).map(|(package, _)| *package).collect();
    // Debian keeps the server's programs off the path, one folder for each version.
    let versions = std::fs::read_dir("/usr/lib/postgresql").map(|folder| folder.flatten().collect::<Vec<_>>());
    let has_cluster = versions.is_ok_and(|all| all.iter().any(|version| version.path().join("bin/initdb").is_file()));
    if !has_cluster && !run::is_on_path("initdb") {
        missing.push("postgresql");
    }
    // Debian's python3 comes without what makes an environment.
    let can_make_venv = run::program("python3", &["-c", "import venv, ensurepip"]).output();
    if !can_make_venv.is_ok_and(|out| out.status.success()) {
        missing.push("python3-venv");
    }
    run::apt_install(&missing)?;
    Ok(Count::of(true))
}

fn fmt() -> Result<Count> {
    passes(&mut run::cargo(&["fmt", "--all", "--check"]))
}

fn tidy_rules() -> Result<Count> {
    Ok(Count::of(tidy::run()? == ExitCode::SUCCESS))
}

fn clippy() -> Result<Count> {
    passes(&mut run::cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

fn doc() -> Result<Count> {
    let mut command = run::cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
    passes(command.env("RUSTDOCFLAGS", "-Dwarnings"))
}

fn cargo_test() -> Result<Count> {
    let mut count = Count::default();
    let mut command = run::cargo(&["test", "--workspace", "--no-fail-fast", "--locked"]);
    let ok = run::stream(&mut command, &mut |line| {
        if let Some((passed, failed, skipped)) = rust_summary(line) {
            count.passed += passed;
            count.failed += failed;
            count.skipped += skipped;
        }
    })?;
    // What does not compile, or dies, prints no summary.
    if !ok && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; …`
fn rust_summary(line: &str) -> Option<(u64, u64, u64)> {
    let rest = line.strip_prefix("test result: ")?;
    let number =
        |word: &str| rest.split([';', '.']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok());
    Some((number(" passed")?, number(" failed")?, number(" ignored").unwrap_or(0)))
}

/// `3 failed, 12 passed, 1 skipped, 2 errors in 4.56s`, with or without decoration.
fn python_summary(line: &str) -> Option<(u64, u64, u64)> {
    let line = line.trim().trim_matches('=').trim();
    let (counts, _) = line.rsplit_once(" in ")?;
    let mut found = (0, 0, 0);
    for part in counts.split(", ") {
        let (number, word) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match word {
            "passed" | "xfailed" => found.0 += number,
            "failed" | "error" | "errors" | "xpassed" => found.1 += number,
            "skipped" => found.2 += number,
            "deselected" | "warning" | "warnings" | "rerun" => {}
            _ => return None,
        }
    }
    Some(found)
}

/// Whether to run what needs `path`: an error when it is part of the repository and not there. What git does not
/// know and nobody wrote yet is no step.
fn is_part(path: &str) -> Result<bool> {
    if run::root().join(path).exists() {
        return Ok(true);
    }
    let known = run::output(&mut run::program("git", &["ls-files", "--", path]))?;
    if known.is_empty() {
        println!("{path} is not part of the repository yet");
        return Ok(false);
    }
    bail!("{path} is part of the repository, but not there")
}

fn tests_python() -> Result<std::path::PathBuf> {
    let requirements = std::fs::read_to_string(run::root().join("tests/requirements.txt"))?;
    run::venv(&requirements, &["-r", "tests/requirements.txt"])
}

/// Our answers beside those of Python's own library, over a generated corpus.
fn oracle() -> Result<Count> {
    let parts = ["crates/packaging/examples/oracle.rs", "tests/oracle/packaging_cases.py", "tests/requirements.txt"];
    for part in parts {
        if !is_part(part)? {
            return Ok(Count::default());
        }
    }
    let python = tests_python()?;
    run::must(&mut run::cargo(&["build", "-p", "packaging", "--example", "oracle", "--locked"]))?;
    let ours = run::target().join("debug/examples/oracle");
    let mut command = run::program(python, &["tests/oracle/packaging_cases.py", "--count", "40000", "--compare"]);
    passes(command.arg(ours))
}

/// The outside view: real clients against the program.
fn pytest() -> Result<Count> {
    if !is_part("tests/requirements.txt")? {
        return Ok(Count::default());
    }
    let python = tests_python()?;
    run::must(&mut run::cargo(&["build", "-p", "tidewaiter", "--locked"]))?;
    // What signs attestations for the tests, and is no part of the program.
    let authority = ["build", "-p", "attest", "--features", "testing", "--example", "authority", "--locked"];
    run::must(&mut run::cargo(&authority))?;
    // Stock TUF clients, each apart: the daily build does without them.
    let mut second = run::cargo(&["build", "--manifest-path", "tests/second-client/Cargo.toml", "--locked"]);
    run::must(second.env("CARGO_TARGET_DIR", run::target()))?;
    run::npm(&run::root().join("tests/third-client/package.json"), &run::target().join("debug/third-client"))?;
    let mut command = run::program(python, &["-m", "pytest", "tests"]);
    command.env("TIDEWAITER_BIN", run::target().join("debug/tidewaiter")).env("PYTHONUNBUFFERED", "1");
    let mut found = None;
    let ok = run::stream(&mut command, &mut |line| found = python_summary(line).or(found))?;
    let (passed, failed, skipped) = found.unwrap_or_default();
    // A run that could not begin prints no summary.
    let failed = if !ok && failed == 0 { 1 } else { failed };
    Ok(Count { passed, failed, skipped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read() {
        let line = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(rust_summary(line), Some((5, 2, 1)));
        assert_eq!(rust_summary("test tests::a ... ok"), None);
        assert_eq!(python_summary("== 3 failed, 12 passed, 1 skipped, 2 errors in 4.56s =="), Some((12, 5, 1)));
        assert_eq!(python_summary("12 passed in 64.56s (0:01:04)"), Some((12, 0, 0)));
        assert_eq!(python_summary("written in 4 languages, in 5"), None);
    }
}
