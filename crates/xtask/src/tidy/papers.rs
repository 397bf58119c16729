//! Rules about documents, migrations, and what must not be written into either.

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::Found;
use super::tree::{File, Tree};

/// Each migration's text. Before the first release a text may change together with its line here; after it,
/// lines are only added.
const MIGRATIONS: &[(&str, &str)] = &[
    (
        "crates/index/src/store/migrations/0001_ledger.sql",
        "bb7b733d9ba5b425159a29e931870faded1fcea7faef691823114488704f15f4",
    ),
    (
        "crates/index/src/store/migrations/0002_inspection.sql",
        "382019dfbb52d0bd3d61bc27b8e08b834728825941b13daa2977b4186c0733b7",
    ),
    (
        "crates/index/src/store/migrations/0003_signing.sql",
        "226fd3e90bd6e70e05e15dd0b5e7b5e69bd8dc21f3b15a7914c42bef55dd605a",
    ),
    (
        "crates/index/src/store/migrations/0005_attestations.sql",
        "e3de4f8e421342357ac5f8ecad8c1a356f8f538fed8715acb14e5436c5e8a89c",
    ),
    (
        "crates/index/src/store/migrations/0006_publishers.sql",
        "40ac74758ed4b00c5851221608eb2d46053f12db1c6a20e2f77325b7670a3498",
    ),
    (
        "crates/index/src/store/migrations/0007_keys.sql",
        "4d98183b596e9144e0e8a79cf810d8c0d7c59e98f97da1045a147cb300e4b3e2",
    ),
    (
        "crates/index/src/store/migrations/0008_log.sql",
        "d1fdc7da81ecc1397963373f306ad9164410f24bc63899a4d04b26baaba851fa",
    ),
    (
        "crates/index/src/store/migrations/0009_rendering.sql",
        "2f217e2e9b953ccf191b0d98290e8ed09c9f4826699813c3b999eea5e76f13b6",
    ),
    (
        "crates/index/src/store/migrations/0010_witness.sql",
        "46b9d6208b7da238642dfe6549420796c6e24472e6ddf7af451f8df8915142be",
    ),
    (
        "crates/index/src/store/migrations/0011_search.sql",
        "32df7a7216f043e0583f1d17ed2751eaa86d6cf899ad105c7c1f02c8c033ff97",
    ),
    (
        "crates/index/src/store/migrations/0013_witness_key.sql",
        "189517156d36eaff84da89e02960932384b06440aa4d36f8fbc8c3aa14ac1ca2",
    ),
];

pub(super) fn migrations(tree: &Tree) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.contains("/migrations/") && file.path.ends_with(".sql")) {
        let digest = hex(&Sha256::digest(file.text.as_bytes()));
        match MIGRATIONS.iter().find(|(path, _)| *path == file.path) {
            None => found.push(Found::new(&file.path, 0, format!("has no line in the table; it would be {digest}"))),
            Some((_, pinned)) if *pinned != digest => {
                found.push(Found::new(&file.path, 0, format!("its text changed; it is now {digest}")));
            }
            Some(_) => {}
        }
    }
    for (path, _) in MIGRATIONS.iter().filter(|(path, _)| tree.get(path).is_none()) {
        found.push(Found::new(*path, 0, "is gone"));
    }
    Ok(found)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What stands at the root, and the most lines of it.
const PAPERS: &[(&str, usize)] = &[
    ("README.md", 400),
    ("ARCHITECTURE.md", 300),
    ("CONTRIBUTING.md", 250),
    ("SECURITY.md", 200),
    ("CHANGELOG.md", usize::MAX),
    ("LICENSE", usize::MAX),
    (".ci/run", 20),
];

/// The two commands by which a newcomer meets the project.
const COMMANDS: [&str; 2] = ["cargo run --release -- serve", "cargo xtask test"];

pub(super) fn papers(tree: &Tree) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (path, most) in PAPERS {
        match tree.get(path).map(|file| file.text.lines().count()) {
            None => found.push(Found::new(*path, 0, "is not there")),
            Some(lines) if lines > *most => found.push(Found::new(*path, 0, format!("{lines} lines, over {most}"))),
            Some(_) => {}
        }
    }
    if let Some(readme) = tree.get("README.md") {
        for command in COMMANDS.iter().filter(|command| !readme.text.contains(*command)) {
            found.push(Found::new("README.md", 0, format!("lacks `{command}`")));
        }
    }
    if let Some(ci) = tree.get(".ci/run").filter(|ci| !ci.text.contains(COMMANDS[1])) {
        found.push(Found::new(&ci.path, 0, format!("does not call `{}`", COMMANDS[1])));
    }
    Ok(found)
}

pub(super) fn decisions(tree: &Tree) -> Result<Vec<Found>> {
    const FOLDER: &str = "docs/adr/";
    const LIST: &str = "docs/adr/README.md";
    let list = tree.get(LIST).map_or("", |file| &file.text);
    let pages = tree.files.iter().filter(|file| file.path.starts_with(FOLDER) && file.path != LIST);
    let lost = pages.filter(|page| !list.contains(&format!("]({})", &page.path[FOLDER.len()..])));
    Ok(lost.map(|page| Found::new(&page.path, 0, format!("{LIST} has no link to it"))).collect())
}

pub(super) fn lives(tree: &Tree) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for page in tree.files.iter().filter(|file| file.path.starts_with("docs/life-of-") && file.path.ends_with(".md")) {
        for (n, line) in page.text.lines().enumerate() {
            for name in line.split('`').skip(1).step_by(2).filter(|span| is_name(span)) {
                if !exists(tree, name.trim_end_matches("()")) {
                    found.push(Found::new(&page.path, n + 1, format!("there is no `{name}`")));
                }
            }
        }
    }
    Ok(found)
}

/// `ops::publish::write_site`, `index/src/ops/publish.rs::write_site`, `Publisher::recover()`.
fn is_name(span: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_:/.()-".contains(c);
    span.contains("::") && span.chars().all(fits)
}

fn exists(tree: &Tree, name: &str) -> bool {
    let Some((path, item)) = name.rsplit_once("::") else { return false };
    let owner = path.rsplit("::").next().unwrap_or(path);
    // A type's function: any file that has both. A type's variant: the same.
    if owner.starts_with(|c: char| c.is_ascii_uppercase()) {
        let has_both = |file: &File| defines(file, owner) && (defines(file, item) || has_word(file, item));
        return tree.files.iter().any(has_both);
    }
    let wanted = path.strip_suffix(".rs").unwrap_or(path).replace("::", "/");
    let ends_so = |file: &File| {
        let plain = file.path.replace("/src/", "/");
        let stem = plain.strip_suffix(".rs").unwrap_or(&plain);
        let stems = [stem, stem.strip_suffix("/mod").unwrap_or(stem), stem.strip_suffix("/lib").unwrap_or(stem)];
        let wanted = wanted.replace("/src/", "/");
        stems.iter().any(|stem| *stem == wanted || stem.ends_with(&format!("/{wanted}")))
    };
    tree.files.iter().any(|file| file.rust.is_some() && ends_so(file) && defines(file, item))
}

fn defines(file: &File, item: &str) -> bool {
    const KINDS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "macro_rules"];
    let Some(source) = &file.rust else { return false };
    let words = source.words();
    words.windows(2).any(|pair| KINDS.contains(&&*pair[0].text) && pair[1].text == item)
}

fn has_word(file: &File, item: &str) -> bool {
    file.rust.as_ref().is_some_and(|source| source.words().iter().any(|word| word.text == item))
}

pub(super) fn machines(tree: &Tree) -> Result<Vec<Found>> {
    // In two parts, so that this file does not find itself.
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "tw-bench")];
    // Only the public registries, and only by their own clients' defaults.
    let registries = [concat!("artifact", "ory"), concat!("nexus", "/repository"), concat!("replace", "-with")];
    let options = ["--index-url", "--extra-index-url", "--find-links", "--trusted-host"];
    let mut found = Vec::new();
    for file in &tree.files {
        let is_requirements = file.path.ends_with("requirements.txt");
        for (n, line) in file.text.lines().enumerate() {
            let path = paths.iter().find(|path| {
                // A path from the root, not the end of a longer one.
                let inner = |c: char| c.is_alphanumeric() || "_-.~}*".contains(c);
                line.match_indices(**path).any(|(at, _)| !line[..at].ends_with(inner))
            });
            let registry = registries.iter().find(|word| line.contains(**word));
            let option = options.iter().filter(|_| is_requirements).find(|option| line.contains(**option));
            if let Some(what) = path.or(registry).or(option) {
                found.push(Found::new(&file.path, n + 1, *what));
            }
            let is_foreign = file.path == "Cargo.lock" && line.starts_with("source = ");
            if is_foreign && line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"" {
                found.push(Found::new(&file.path, n + 1, line));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_lives_are_looked_up() {
        let text = "struct Publisher;\nimpl Publisher { fn recover() {} }\nfn write_site() {}";
        let tree = Tree { files: vec![File::new("crates/index/src/ops/publish.rs", text)] };
        let there = [
            "ops::publish::write_site",
            "index/src/ops/publish.rs::write_site",
            "Publisher::recover",
            "publish::Publisher",
            "ops/publish.rs::write_site",
        ];
        for name in there {
            assert!(is_name(name) && exists(&tree, name), "{name}");
        }
        for name in ["ops::publish::gone", "ops::upload::write_site", "Nobody::recover", "sh::write_site"] {
            assert!(!exists(&tree, name), "{name}");
        }
        assert!(!is_name("a == b::c"));
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        let path = concat!("/wo", "rk/");
        let text = format!("see {path}x\nhttps://e.example/a{path}\ncd \"{path}\"\n");
        let tree = Tree { files: vec![File::new("README.md", &text)] };
        let lines: Vec<usize> = machines(&tree).expect("counts").into_iter().map(|one| one.line).collect();
        assert_eq!(lines, [1, 3]);
    }
}
