//! Prints what the Python reader sees in files; for folders, how fast it reads them.
//!
//! `pyfacts FILE…` prints effects, chains, layers and oddities; `pyfacts --speed PATH…` only the figures.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use inspect::python::{Limits, Program, link, read};

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    let speed = paths.iter().any(|path| path == "--speed");
    paths.retain(|path| path != "--speed");
    let mut files = Vec::new();
    for path in &paths {
        collect(Path::new(path), &mut files)?;
    }
    files.sort();
    let limits = Limits::default();
    let (mut bytes, mut modules, mut worst) = (0, Vec::new(), (0.0, PathBuf::new()));
    let started = Instant::now();
    for path in files {
        let source = std::fs::read(&path)?;
        bytes += source.len();
        let began = Instant::now();
        let module = read(&source, &limits);
        let took = began.elapsed().as_secs_f64();
        if took > worst.0 {
            worst = (took, path.clone());
        }
        modules.push((path.to_string_lossy().into_owned(), module));
    }
    let reading = started.elapsed().as_secs_f64();
    let count = modules.len();
    let program = link(modules, &[], &limits);
    let total = started.elapsed().as_secs_f64();
    if !speed {
        print(&program);
    }
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{count} files, {megabytes:.1} MB: read {:.1} MB/s, with link {:.1} MB/s",
        megabytes / reading,
        megabytes / total
    );
    println!("slowest {:.0} ms: {}", worst.0 * 1e3, worst.1.display());
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_symlink() {
        return Ok(());
    }
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "py") {
            collect(&path, files)?;
        }
    }
    Ok(())
}

fn print(program: &Program) {
    for seen in program.effects() {
        let labels: Vec<_> = seen.labels.names().collect();
        let effect = seen.effect;
        println!(
            "{}:{}:{} {:?} {} {} {:?} {labels:?} {:?}",
            seen.path,
            effect.place.line,
            effect.place.column,
            seen.reach,
            effect.kind.word(),
            effect.name,
            effect.text(),
            seen.layer()
        );
    }
    for chain in program.chains() {
        let end = program.chain_end(chain);
        println!("{}:{} {:?} {:?}", end.path, end.effect.place.line, chain.reach, chain.kind);
    }
    for (path, module) in program.modules() {
        for layer in module.layers() {
            println!("{path}:{} layer {:?} {:?} {} bytes", layer.place.line, layer.path, layer.kind, layer.size);
        }
        for oddity in module.oddities() {
            println!("{path}:{} {:?} {} {:?}", oddity.place.line, oddity.kind, oddity.count, oddity.what);
        }
        for sign in module.signs() {
            println!("{path}:{} {} {:?}", sign.place.line, sign.sign, sign.text);
        }
        for note in module.cuts().keys().map(|cut| cut.words()) {
            println!("{path}: {note}");
        }
    }
}
