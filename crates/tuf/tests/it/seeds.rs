//! The seeds of the fuzz target (`fuzz/tuf/seeds`), replayed: they must not break what it asserts, and be up to date.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tuf::write::Shape;

use crate::events::an_event;
use crate::world::World;

#[expect(unreachable_pub, reason = "the fuzz crate's public function, included here as a module")]
#[path = "../../../../fuzz/tuf/src/lib.rs"]
mod fuzz;

fn folder() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../fuzz/tuf/seeds/role")
}

fn good() -> BTreeMap<String, Vec<u8>> {
    let mut seeds = BTreeMap::from([("event".to_owned(), an_event().to_json())]);
    for (shape, name) in [(Shape::Classic, "classic"), (Shape::Succinct, "succinct")] {
        let mut world = World::shaped(shape, 2);
        world.page("demo", "a page");
        for (file, bytes) in world.files {
            seeds.insert(format!("{name}-{file}"), bytes);
        }
    }
    seeds
}

/// `UPDATE_SEEDS=1 cargo test -p tuf seeds` writes them anew.
#[test]
fn seeds_are_what_we_write() {
    for (name, bytes) in good() {
        let path = folder().join(name);
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            fs::create_dir_all(folder()).expect("the folder can be made");
            fs::write(&path, &bytes).expect("the seed can be written");
        }
        assert_eq!(fs::read(&path).expect("the seed is there"), bytes, "{}", path.display());
    }
}

/// Whatever a fuzzer found is kept beside the seeds and runs here for ever; and each seed with a byte changed.
#[test]
fn seeds_hold() {
    let mut count = 0;
    for seed in fs::read_dir(folder()).expect("the seeds are there") {
        let bytes = fs::read(seed.expect("it can be listed").path()).expect("it can be read");
        fuzz::role(&bytes);
        for at in (0..bytes.len()).step_by(7) {
            let mut broken = bytes.clone();
            broken[at] = broken[at].wrapping_add(1);
            fuzz::role(&broken);
        }
        fuzz::role(&bytes[..bytes.len() / 2]);
        count += 1;
    }
    assert!(count >= good().len());
}
