//! `cargo xtask new-check NAME`: what every new check begins with.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::run;

const FOLDER: &str = "crates/inspect/src/checks";

const CHECK: &str = r#"//! What this check sees, why that matters, and what it must not be taken for.

use std::fs::File;

use archive::{Limits, Subject};

use super::Check;
use crate::Finding;

pub(crate) struct TYPE;

impl Check for TYPE {
    fn id(&self) -> &'static str {
        "ID"
    }

    fn version(&self) -> u32 {
        1
    }

    fn run(&self, _file: &File, _subject: &Subject, _limits: &Limits) -> Vec<Finding> {
        Vec::new()
    }
}
"#;

pub(crate) fn new_check(name: &str) -> Result<ExitCode> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
        bail!("usage: cargo xtask new-check NAME, with a NAME like `pth_imports`: lower case, digits, `_`");
    }
    let folder = run::root().join(FOLDER);
    let path = folder.join(format!("{name}.rs"));
    if path.exists() {
        bail!("{} exists already", path.display());
    }
    let list = folder.join("mod.rs");
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let listed = enlist(&text, name).context("the list of checks does not look as expected; add the line by hand")?;
    let check = CHECK.replace("TYPE", &type_name(name)).replace("ID", &name.replace('_', "-"));
    fs::write(&path, check)?;
    fs::write(&list, listed)?;
    run::must(&mut run::cargo(&["fmt", "-p", "inspect"]))?;
    println!("wrote {}\nand its lines in {}", path.display(), list.display());
    Ok(ExitCode::SUCCESS)
}

fn type_name(name: &str) -> String {
    let capital =
        |word: &str| word.get(..1).unwrap_or_default().to_ascii_uppercase() + word.get(1..).unwrap_or_default();
    name.split('_').map(capital).collect()
}

/// The list with `mod` and entry of one more check; the formatter orders the modules.
fn enlist(text: &str, name: &str) -> Option<String> {
    let at = text.find("mod ")?;
    let mut text = text.to_owned();
    text.insert_str(at, &format!("mod {name};\n"));
    let list = text.find("pub const CHECKS")?;
    let open = list + text[list..].find("= &[")? + "= &[".len();
    let close = open + text[open..].find(']')?;
    let inside = text[open..close].trim_end();
    let comma = if inside.is_empty() || inside.ends_with(',') { "" } else { "," };
    let entry = format!("{inside}{comma} &{name}::{}", type_name(name));
    text.replace_range(open..close, &entry);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_put_on_the_list() {
        let before = "//! x\n\nmod always_clear;\n\npub const CHECKS: &[&dyn Check] = &[&always_clear::AlwaysClear];\n";
        let after = enlist(before, "pth_imports").expect("the list is as expected");
        assert!(after.contains("mod pth_imports;\nmod always_clear;\n"), "{after}");
        assert!(after.contains("&[&always_clear::AlwaysClear, &pth_imports::PthImports];"), "{after}");
    }
}
