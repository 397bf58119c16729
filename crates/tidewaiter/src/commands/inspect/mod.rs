//! `inspect`: what the index would say of these files, on anybody's machine. The same sandbox and checks as the
//! server's, and the policy that one may give; no server, no network, nothing kept.

mod folder;
mod sarif;
mod text;

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, bail};
use index::model::Verdict;
use index::policy::verdict::{Conclusion, Policy, conclude};
use inspect::checks::{CHECKS, is_shadow, page};
use inspect::yara::Sources;
use inspect::{
    Failure, Finding, Inspection, Limits, Occasion, Profile, Request, Response, Sandbox, SandboxLimits, Subject,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cli::{FailOn, Inspect, InspectFormat};
use crate::settings::read_policy;
use crate::{place, say};

/// What a child may use here: nobody else waits for this machine. By the clock it may take what it takes where other work
/// has the processors.
const LIMITS: SandboxLimits =
    SandboxLimits { memory_bytes_max: 256 << 20, cpu_seconds_max: 60, wall_ms_max: 1_200_000 };

/// One file, judged.
struct Judged {
    path: String,
    sha256: Option<String>,
    conclusion: Conclusion,
    inspection: Inspection,
}

impl Judged {
    /// Whether its inspection failed, or found no archive that could be read to its end.
    fn is_unreadable(&self) -> bool {
        let fails = |finding: &Finding| {
            let tells = |tag: &String| ["evasion/breaks-inspection", "evasion/unreadable"].contains(&tag.as_str());
            finding.tags.iter().any(tells) && !finding.check.starts_with(inspect::yara::PREFIX)
        };
        self.inspection.profile.words.is_empty() || self.inspection.findings.iter().any(fails)
    }
}

/// What files are judged by.
struct Judge {
    sandbox: Sandbox,
    policy: Policy,
}

/// What is known of other files of the project.
#[derive(Default)]
struct Others {
    previous: Option<Profile>,
    sibling: Option<Profile>,
}

pub(super) fn run(arguments: &Inspect) -> Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let sandbox = Sandbox::start(program, LIMITS)?;
    let sources = match &arguments.yara {
        None => Sources::default(),
        Some(folder) => match place::adopt(&sandbox, folder) {
            Ok((sources, _)) => sources,
            Err(error) => {
                eprintln!("tidewaiter: {}: {error:#}", folder.display());
                return Ok(ExitCode::from(2));
            }
        },
    };
    if let Some(check) = &arguments.explain {
        return explain(check, &sandbox, &sources);
    }
    let policy = match &arguments.policy {
        None => Policy::built_in(),
        Some(path) => match read_policy(path) {
            Ok(policy) => policy,
            Err(error) => {
                eprintln!("tidewaiter: {error:#}");
                return Ok(ExitCode::from(2));
            }
        },
    };
    let judge = Judge { sandbox, policy };
    let (names, files) = (arguments.name.len(), arguments.files.len());
    if names > 0 && names != files {
        eprintln!("tidewaiter: --name is given {names} times for {files} files: once for each of them, or not at all");
        return Ok(ExitCode::from(2));
    }
    let mut others = Others::default();
    for (path, profile) in [(&arguments.previous, &mut others.previous), (&arguments.sibling, &mut others.sibling)] {
        let Some(path) = path else { continue };
        match judge.file(path, None, &Others::default()) {
            // Against nothing everything would be new.
            Ok(judged) if judged.is_unreadable() => {
                eprintln!("tidewaiter: {}: it cannot be read, so nothing can be compared with it", path.display());
                return Ok(ExitCode::from(2));
            }
            Ok(judged) => *profile = Some(judged.inspection.profile),
            Err(error) => {
                eprintln!("tidewaiter: {}: {error:#}", path.display());
                return Ok(ExitCode::from(2));
            }
        }
    }
    let (judged, mut code) = judge_all(&judge, arguments, &others)?;
    if arguments.format == InspectFormat::Sarif {
        super::print(&sarif::document(&judged, &judge.policy))?;
    }
    if judged.iter().any(|judged| fails(judged.conclusion.verdict, arguments.fail_on)) {
        code = code.max(1);
    }
    Ok(ExitCode::from(code))
}

/// The page of a check; of an operator's rule, what is made of it and the rule itself.
fn explain(check: &str, sandbox: &Sandbox, sources: &Sources) -> Result<ExitCode> {
    if let Some(page) = page(check) {
        return super::print(page);
    }
    let rules = sandbox.rules().map_or(&[][..], |catalogue| &catalogue.rules);
    let Some(rule) = rules.iter().find(|rule| rule.id == check) else {
        let own = CHECKS.iter().map(|check| check.id());
        let known: Vec<_> = own.chain(rules.iter().map(|rule| rule.id.as_str())).collect();
        eprintln!("tidewaiter: there is no check `{check}`; there are: {}", known.join(", "));
        return Ok(ExitCode::from(2));
    };
    let on: Vec<&str> = rule.on.iter().map(|event| event.as_str()).collect();
    let weight = format!("{:?} severity, {:?} confidence", rule.severity, rule.confidence).to_lowercase();
    super::print(&format!(
        "# {}\n\n{}\n\nVersion {}. {weight}. Runs on {}. Tags: {}.\n\n```yara\n{}```\n",
        rule.id,
        rule.why,
        rule.version,
        on.join(", "),
        if rule.tags.is_empty() { "none".to_owned() } else { rule.tags.join(", ") },
        sources.text_of(check).unwrap_or_default(),
    ))
}

fn fails(verdict: Verdict, from: FailOn) -> bool {
    verdict
        >= match from {
            FailOn::Review => Verdict::Review,
            FailOn::Hold => Verdict::Hold,
            FailOn::Malicious => Verdict::Malicious,
        }
}

/// Judges all files, some side by side, and prints each in its turn. The code is 2 when one cannot be opened.
fn judge_all(judge: &Judge, arguments: &Inspect, others: &Others) -> Result<(Vec<Judged>, u8)> {
    let bar = indicatif::ProgressBar::new(arguments.files.len() as u64);
    if arguments.files.len() < 2 || !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let side_by_side = thread::available_parallelism().map_or(1, usize::from);
    let (mut all, mut code) = (Vec::new(), 0);
    let names = arguments.name.iter().map(|name| Some(name.as_str())).chain(iter::repeat(None));
    let named: Vec<_> = arguments.files.iter().zip(names).collect();
    for some in named.chunks(side_by_side) {
        let outcomes: Vec<_> = thread::scope(|scope| {
            let start = |(path, name): (&PathBuf, _)| judge.file(path, name, others);
            let running: Vec<_> = some.iter().map(|&one| scope.spawn(move || start(one))).collect();
            running.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for ((path, _), outcome) in some.iter().zip(outcomes) {
            bar.inc(1);
            match outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that inspected it ended"))) {
                Ok(judged) => {
                    bar.suspend(|| tell(&judged, arguments.format))?;
                    // Only what is told at the end is kept to the end.
                    let kept = arguments.format == InspectFormat::Sarif;
                    all.push(if kept { judged } else { Judged { inspection: Inspection::default(), ..judged } });
                }
                Err(error) => {
                    bar.suspend(|| {
                        say::warn(format_args!("tidewaiter: {}: {error:#}", say::one_line(&path.to_string_lossy())))
                    });
                    code = 2;
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok((all, code))
}

impl Judge {
    fn file(&self, path: &Path, name: Option<&str>, others: &Others) -> Result<Judged> {
        let opened = place::open_file(path)?;
        let folder = opened.metadata()?.is_dir();
        let mut file = if folder { folder::packed(path)? } else { opened };
        let sha256 = if folder { None } else { Some(sha256(&mut file)?) };
        let subject = match name.or_else(|| path.file_name().and_then(|name| name.to_str())) {
            Some(name) if !folder && name.parse::<packaging::DistFilename>().is_ok() => {
                Subject::Distribution(name.into())
            }
            _ => Subject::AnyArchive,
        };
        let (previous, sibling) = (others.previous.clone(), others.sibling.clone());
        let (limits, occasion) = (Limits::default(), Occasion::default());
        let request = Request::Checks { subject, limits, previous, sibling, occasion, costs: false };
        let mut floor = None;
        let inspection = match self.sandbox.run(&file, request) {
            Ok(Response::Checks(inspection)) => inspection,
            Ok(Response::Rules(_) | Response::Probe(_) | Response::Scan(_) | Response::Compiled(_)) => {
                bail!("the sandbox answered another question")
            }
            Err(Failure::Unavailable(why)) => bail!("the sandbox is not available: {why}"),
            Err(failure) => {
                floor = Some(Conclusion::failed(&failure));
                Inspection { findings: vec![inspect::of_failure(&failure)], ..Inspection::default() }
            }
        };
        // As on an index where nobody made them active. Rules of operators count here: whoever names them tries them.
        let counts = |finding: &&Finding| !is_shadow(&finding.check);
        let counting: Vec<Finding> = inspection.findings.iter().filter(counts).cloned().collect();
        let concluded = conclude(&self.policy, &counting);
        let conclusion = match floor {
            Some(floor) => concluded.at_least(floor),
            None => concluded,
        };
        Ok(Judged { path: path.to_string_lossy().into_owned(), sha256, conclusion, inspection })
    }
}

fn sha256(file: &mut File) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(packaging::hash::hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// On a terminal, unless its owner wants none (no-color.org).
fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn tell(judged: &Judged, format: InspectFormat) -> Result<()> {
    match format {
        InspectFormat::Text => super::print_painted(&text::report(judged, colours()))?,
        InspectFormat::Json => super::print(&format!("{}\n", object(judged)?))?,
        InspectFormat::Sarif => ExitCode::SUCCESS,
    };
    Ok(())
}

fn object(judged: &Judged) -> Result<Value> {
    let Judged { path, sha256, conclusion: Conclusion { verdict, reasons }, inspection } = judged;
    Ok(json!({
        "file": path,
        "sha256": sha256,
        "verdict": verdict.as_str(),
        "reasons": serde_json::to_value(reasons)?,
        "findings": serde_json::to_value(&inspection.findings)?,
        "degraded": inspection.degraded,
    }))
}
