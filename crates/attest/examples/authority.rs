//! The authority of tests at the command line, for clients that are not ours.
//!
//! `authority root SEED` prints its trusted root; `authority sign SEED OWNER/REPOSITORY WORKFLOW FILE...` writes
//! `FILE.publish.attestation` beside each file, as upload clients look for it.

use std::path::Path;

use attest::Publisher;
use attest::testing::{Authority, Order};
use aws_lc_rs::digest::{SHA256, digest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["root", seed] => {
            use std::io::Write;
            std::io::stdout().write_all(Authority::new(seed.parse()?).trusted_root().as_bytes())?;
        }
        ["sign", seed, repository, workflow, files @ ..] if !files.is_empty() => {
            let authority = Authority::new(seed.parse()?);
            for file in files {
                let publisher = Publisher::GitHub {
                    repository: (*repository).to_owned(),
                    workflow: (*workflow).to_owned(),
                    environment: None,
                };
                let sha256 = digest(&SHA256, &std::fs::read(file)?).as_ref().try_into()?;
                let name = Path::new(file).file_name().ok_or("a file has a name")?.to_string_lossy();
                let made = authority.attest(&Order::new(publisher, &name, sha256));
                std::fs::write(format!("{file}.publish.attestation"), made.to_string())?;
            }
        }
        _ => return Err("usage: authority root SEED | authority sign SEED OWNER/REPOSITORY WORKFLOW FILE...".into()),
    }
    Ok(())
}
