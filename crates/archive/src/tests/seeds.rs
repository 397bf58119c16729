//! The fuzzers' seeds (`fuzz/archive/seeds`), replayed: they must not panic, and be up to date.

use std::fs;
use std::path::{Path, PathBuf};

use super::build::file;
use super::mutations::good;
use crate::{Limits, Subject, examine};

fn folder() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../fuzz/archive/seeds")
}

/// What the seeds are made from; `UPDATE_SEEDS=1 cargo test -p archive seeds` writes them anew.
#[test]
fn seeds_are_the_good_archives_of_the_tests() {
    for (index, bytes) in good().iter().enumerate() {
        let target = if bytes.starts_with(b"PK") { "zip" } else { "tar" };
        let path = folder().join(target).join(format!("good-{index}"));
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be made");
            fs::write(&path, bytes).expect("the seed can be written");
        }
        assert_eq!(&fs::read(&path).expect("the seed is there"), bytes, "{}", path.display());
    }
}

/// Whatever a fuzzer found is kept beside the seeds and runs here for ever.
#[test]
fn seeds_are_read_without_a_panic() {
    let mut count = 0;
    for target in ["zip", "tar"] {
        for seed in fs::read_dir(folder().join(target)).expect("the seeds are there") {
            let bytes = fs::read(seed.expect("it can be listed").path()).expect("it can be read");
            for subject in [
                Subject::AnyArchive,
                Subject::Distribution("pkg-1.0-py3-none-any.whl".into()),
                Subject::Distribution("pkg-1.0.tar.gz".into()),
            ] {
                examine(&file(&bytes), &subject, &Limits::default());
            }
            count += 1;
        }
    }
    assert!(count >= good().len());
}
