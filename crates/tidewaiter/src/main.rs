//! The program: command line, configuration, wiring. What it does is in `index` and `web`.

mod cli;
mod commands;
mod config;
mod control;
mod outside;
mod place;
mod purge;
mod say;
mod serve;
mod settings;
mod witnesses;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // The sandbox's zygote is this program again; it must stay single-threaded, so it comes before everything.
    if std::env::args_os().nth(1).is_some_and(|first| first == inspect::sandbox::ZYGOTE_ARGUMENT) {
        return ExitCode::from(inspect::sandbox::zygote_main() as u8);
    }
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::anyhow!("cannot start: {error}")),
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    say::warn(format_args!("tidewaiter: {error:#}"));
    ExitCode::from(1)
}
