//! `cargo xtask bench`: builds the release binary and hands over to the Python program below `bench/`, which
//! starts servers, loads them, and prints tables. It needs the standard library of Python alone.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::run;

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let what = arguments.first().map_or("--help", String::as_str);
    let mut command = run::program("python3", &["-B", "crates/xtask/bench"]);
    if what == "build" {
        return build();
    }
    if what != "--help" {
        // An inspection has no server, and the client under test loads what signing serves.
        let needed: &[_] =
            if ["inspect", "tuf"].contains(&what) { &[] } else { &[("wrk", "wrk"), ("nginx-light", "nginx")] };
        let missing: Vec<&str> =
            needed.iter().filter(|(_, program)| !run::is_on_path(program)).map(|(package, _)| *package).collect();
        run::apt_install(&missing)?;
        run::must(&mut run::cargo(&["build", "--release", "--locked", "-p", "tidewaiter"]))?;
        command.env("TIDEWAITER_BIN", run::target().join("release/tidewaiter"));
        if what == "tuf" {
            run::must(&mut run::cargo(&["build", "--release", "--locked", "-p", "tuf", "--examples"]))?;
            command.env("TIDEWAITER_TUF_BENCH", run::target().join("release/examples/bench"));
            command.env("TIDEWAITER_TUF_BULK", run::target().join("release/examples/bulk"));
        }
    }
    let status = command.args(arguments).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A release build into a fresh folder: how long, and how large the program is.
fn build() -> Result<ExitCode> {
    let folder = run::target().join("bench-build");
    let _ = std::fs::remove_dir_all(&folder);
    run::must(&mut run::cargo(&["fetch", "--locked"]))?;
    let started = Instant::now();
    let mut cargo = run::cargo(&["build", "--release", "--locked", "-p", "tidewaiter"]);
    run::must(cargo.env("CARGO_TARGET_DIR", &folder))?;
    let seconds = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(folder.join("release/tidewaiter"))?.len();
    let kernel = String::from_utf8_lossy(&run::output(&mut run::program("uname", &["-sr"]))?).trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("\n$ cargo xtask bench build\n{kernel}, {cores} cores");
    println!("cold release build   {seconds:7.0} s    (at most 480)");
    println!("program, stripped    {:7.1} MB   (at most 60)", bytes as f64 / 1e6);
    std::fs::remove_dir_all(&folder)?;
    Ok(ExitCode::SUCCESS)
}
