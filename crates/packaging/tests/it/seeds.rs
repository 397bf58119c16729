//! The seeds of the fuzz targets (`fuzz/corpus`), replayed.

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the seeds are committed") {
        run(&fs::read(entry.expect("an entry").path()).expect("a seed"));
        count += 1;
    }
    assert!(count >= 5, "{target} has {count} seeds");
}

#[expect(unreachable_pub, reason = "the fuzz crate's public functions, included here as a module")]
#[path = "../../../../fuzz/src/lib.rs"]
mod fuzz;

#[test]
fn metadata_seeds() {
    replay("metadata", fuzz::metadata);
}

#[test]
fn grammar_seeds() {
    replay("grammars", fuzz::grammars);
}
