//! Reads cases of `tests/oracle/packaging_cases.py` on stdin, prints our answers as JSON lines on stdout and the
//! count of differences on stderr. Exit status 1 when one is not in the table of differences.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

#[path = "../tests/it/oracle.rs"]
mod oracle;

fn main() -> io::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut compared: BTreeMap<String, usize> = BTreeMap::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut undecided = 0usize;
    for line in io::stdin().lock().lines() {
        let case: oracle::Case = serde_json::from_str(&line?)?;
        let ours = oracle::answer(&case);
        let shown = serde_json::json!({ "kind": case.kind, "in": case.given, "ok": ours.ok, "norm": ours.norm });
        writeln!(out, "{shown}")?;
        match oracle::judge(&case, &ours) {
            Ok(None) => {}
            Ok(Some(name)) => *known.entry(name).or_default() += 1,
            Err(message) => {
                undecided += 1;
                if undecided <= 2000 {
                    eprintln!("{message}");
                }
            }
        }
        *compared.entry(case.kind).or_default() += 1;
    }
    out.flush()?;
    for (kind, count) in &compared {
        eprintln!("compared  {count:6}  {kind}");
    }
    for (name, reason, _) in oracle::DIFFERENCES {
        eprintln!("differs   {:6}  {name}: {reason}", known.get(name).copied().unwrap_or(0));
    }
    eprintln!("undecided {undecided:6}");
    Ok(if undecided == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
