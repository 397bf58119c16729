//! `cargo xtask`: what people and machines run on this repository. Each command is one file.

#![expect(clippy::print_stdout, reason = "a program for people: standard output is its interface")]

mod bench;
mod docs;
mod run;
mod scaffold;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;

const HELP: &str = "\
cargo xtask COMMAND

  test [--only STEP]...   everything that must pass: style, rules, Rust and Python tests, documentation;
                          installs what is missing with apt-get; prints `N passed, M failed` last.
                          STEP: one of its steps, or `rust`, or `python`
  tidy                    the rules of the source that no compiler holds
  docs                    write docs/config.md and docs/rules.md from the program's tables
  classifiers             write the table of classifiers from the Python package trove-classifiers
  new-check NAME          a check of archives: its file and its line in the list
  bench WHAT [OPTION]...  read, upload, start, scale, large, inspect, tuf or build, measured beside other indexes;
                          `bench --help` lists the options
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    match dispatch(command, rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: &str, rest: &[String]) -> Result<ExitCode> {
    let argument = rest.first().map(String::as_str);
    match command {
        "test" => test::run(rest),
        "tidy" => tidy::run(),
        "docs" => docs::write_pages(),
        "classifiers" => docs::write_classifiers(),
        "new-check" => scaffold::new_check(argument.unwrap_or_default()),
        "bench" => bench::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => anyhow::bail!("there is no command '{other}'; `cargo xtask help` lists them"),
    }
}
