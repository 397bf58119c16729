//! `cargo xtask new-check NAME`: what every new check begins with.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::run;

const FOLDER: &str = "crates/inspect/src/checks";
const PAGES: &str = "crates/inspect/cases";

const CHECK: &str = r#"//! What this check sees, why that matters, and what it must not be taken for.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::Findings;
use crate::python::EffectKind;

// `as shadow`: it records and influences nothing. Without it once it was measured (docs/checks.md).
check!(TYPE, "ID", 1, run, as shadow);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    // What code does, wherever it stands; what files are is in `distribution.members`, where `distribution.is_aside` says
    // which are there to test and to show.
    let named = |seen: &crate::python::Seen<'_>| seen.effect.text().contains("ID");
    for seen in code::effects(distribution, EffectKind::Process).filter(named) {
        // At medium confidence or above the built-in policy sends medium severity to review and holds high; critical at high
        // confidence is malicious. Two checks at medium in one member are held together: what honest packages do is low.
        let weight = match code::of(distribution, &seen) {
            Standing::Installed | Standing::Imported => (Severity::Low, Confidence::Medium),
            Standing::Called | Standing::Aside => (Severity::Note, Confidence::Medium),
        };
        out.add(code::at(distribution, &seen, weight, "Why it matters.").tag("execution/ID"));
    }
}
"#;

/// Fails until somebody writes it: a page that passes as it is would be a check that nobody thought about.
const PAGE: &str = r#"# ID

What it means, in a few sentences.

**Not to be taken for it:** what looks like it and is honest.

```fires wheel
--- pkg/what_must_fire.py
=== low/medium pkg/what_must_fire.py:1
```

```quiet wheel
--- pkg/near_miss.py
```
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
    let id = name.replace('_', "-");
    let page = run::root().join(PAGES).join(format!("{id}.md"));
    fs::write(&path, CHECK.replace("TYPE", &type_name(name)).replace("ID", &id))?;
    fs::write(&page, PAGE.replace("ID", &id))?;
    fs::write(&list, listed)?;
    run::must(&mut run::cargo(&["fmt", "-p", "inspect"]))?;
    println!("wrote {}\nand {}\nand its lines in {}", path.display(), page.display(), list.display());
    println!("`cargo test -p inspect` fails until the page's cases and the check agree");
    println!("it is tried out (`shadow`): docs/checks.md says how it is measured and promoted");
    Ok(ExitCode::SUCCESS)
}

fn type_name(name: &str) -> String {
    let capital =
        |word: &str| word.get(..1).unwrap_or_default().to_ascii_uppercase() + word.get(1..).unwrap_or_default();
    name.split('_').map(capital).collect()
}

/// The list with `mod` and entry of one more check; the formatter orders the modules.
fn enlist(text: &str, name: &str) -> Option<String> {
    let at = text.find("\nmod ")? + 1;
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
        let before = "//! x\n\nmod media;\n\npub const CHECKS: &[&dyn Check] = &[&media::Media];\n";
        let after = enlist(before, "pth_imports").expect("the list is as expected");
        assert!(after.contains("mod pth_imports;\nmod media;\n"), "{after}");
        assert!(after.contains("&[&media::Media, &pth_imports::PthImports];"), "{after}");
    }
}
