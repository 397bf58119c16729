//! The seeds of the fuzz targets (`fuzz/inspect/seeds`), replayed; whatever a fuzzer found is among them for ever.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[expect(unreachable_pub, reason = "the fuzz crate's public functions, included here as a module")]
#[path = "../../../../fuzz/inspect/src/lib.rs"]
mod fuzz;

/// How long one seed may take here, unoptimised and beside other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs each seed, each with a byte changed at some places, and its first half.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"))
        .join("../../fuzz/inspect/seeds")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the seeds are committed") {
        let path = entry.expect("an entry").path();
        let seed = fs::read(&path).expect("a seed");
        let started = Instant::now();
        run(&seed);
        for at in (0..seed.len()).step_by(seed.len().div_ceil(8).max(1)) {
            let mut broken = seed.clone();
            broken[at] ^= 0x55;
            run(&broken);
        }
        run(&seed[..seed.len() / 2]);
        assert!(started.elapsed() < PATIENCE, "{} took {:?}", path.display(), started.elapsed());
        count += 1;
    }
    assert!(count >= 5, "{target} has {count} seeds");
}

#[test]
fn formats() {
    replay("formats", fuzz::formats);
}

#[test]
fn python() {
    replay("python", fuzz::python);
}

#[test]
fn layers() {
    replay("layers", fuzz::layers);
}

#[test]
fn members() {
    replay("members", fuzz::members);
}

#[test]
fn whole() {
    replay("whole", fuzz::whole);
}
