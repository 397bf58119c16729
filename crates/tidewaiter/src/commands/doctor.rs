//! `doctor`: what would trouble this installation, and what to do about it.

use std::fmt::Write;
use std::sync::Arc;

use index::ops::{ceremony, verdicts, workers};
use index::{Installation, Result};

/// Examines an installation; exit code 1 when something needs a person.
pub(super) async fn examine(installation: &Arc<Installation>) -> Result<(String, u8)> {
    let mut out = String::new();
    let mut bad = false;
    let _ = writeln!(out, "ledger: {}", installation.store.engine());
    if let Some(warning) = installation.store.durability_warning().await? {
        bad = true;
        let _ = writeln!(out, "ledger: {warning}");
    }
    let confinement = installation.confinement();
    if confinement.layers.is_empty() {
        let _ = writeln!(out, "sandbox: not running in this process; `serve` probes it when it starts");
    } else if confinement.is_strong() {
        let _ = writeln!(
            out,
            "sandbox: files, network, processes and programs are out of reach ({})",
            confinement.layers.join(", ")
        );
    } else {
        bad = true;
        let _ = writeln!(
            out,
            "sandbox: WEAK. files denied: {}, network denied: {}, signals denied: {}, programs denied: {}. Uploads are {}. Run on Linux with \
             seccomp, or set sandbox.allow_weak for a trial.",
            confinement.files_denied,
            confinement.network_denied,
            confinement.signals_denied,
            confinement.exec_denied,
            if installation.settings.allow_weak_sandbox {
                "taken all the same (sandbox.allow_weak)"
            } else {
                "refused"
            }
        );
    }
    if let Some(rules) = installation.rules() {
        let (count, files, digest) = (rules.rules.len(), rules.files, &rules.digest);
        let _ = writeln!(out, "inspection.yara: {count} rules of {files} files ({digest})");
        for note in &rules.notes {
            let _ = writeln!(out, "inspection.yara: {note}");
        }
    }
    for outside in installation.settings.external.iter() {
        let _ = writeln!(out, "inspection.external: {}, version {}", outside.id(), outside.version);
    }
    for (kind, state, count) in workers::queue(installation).await? {
        if state == "dead" {
            bad = true;
            let _ = writeln!(out, "jobs: {count} {kind} jobs were given up; see `tidewaiter jobs list`");
        } else {
            let _ = writeln!(out, "jobs: {count} {kind} {state}");
        }
    }
    pages(installation, &mut out).await?;
    for warning in ceremony::warnings(installation).await? {
        bad = true;
        let _ = writeln!(out, "signing: {warning}");
    }
    let open = verdicts::open_count(installation).await?;
    if open > 0 {
        let _ = writeln!(out, "verdicts: {open} wait for a person; see `tidewaiter verdicts list --open`");
    }
    if installation.settings.public_url.is_none() {
        let _ = writeln!(out, "server.public_url is not set; links in what `serve` prints use the listening address");
    }
    let _ = writeln!(out, "{}", if bad { "something needs attention" } else { "all well" });
    Ok((out, u8::from(bad)))
}

/// Pages that wait to be rendered again: nothing that needs a person.
async fn pages(installation: &Installation, out: &mut String) -> Result<()> {
    for left in workers::behind(installation).await? {
        let (index, version, address) = (&left.index, left.version, left.address);
        if version > 0 {
            let _ = writeln!(
                out,
                "pages: {version} projects of '{index}' are as another version of this program made them"
            );
        }
        if address > 0 {
            let _ = writeln!(out, "pages: {address} projects of '{index}' name another address than server.public_url");
        }
        let _ = writeln!(out, "pages: `serve` renders them again, a few at a time");
    }
    Ok(())
}
