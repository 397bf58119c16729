//! entry_points.txt: INI as Python's configparser reads it with `=` alone as the delimiter.

use std::collections::BTreeSet;

use packaging::Rule;

use crate::Report;
use crate::contents::printable;

/// Groups whose names become files in the folder of programs.
const SCRIPTS: &[&str] = &["console_scripts", "gui_scripts"];

pub(super) fn check(bytes: &[u8], filename: &str, report: &mut Report) {
    let outcome = match std::str::from_utf8(bytes) {
        Ok(text) => read(text),
        Err(_) => Err("it is not UTF-8".to_owned()),
    };
    if let Err(what) = outcome {
        report.reject(
            Rule::EntryPointsInvalid,
            format!("Wheel '{filename}' contains an invalid entry_points.txt file: {what}."),
        );
    }
}

fn read(text: &str) -> Result<(), String> {
    let mut section: Option<&str> = None;
    let mut sections = BTreeSet::new();
    let mut keys = BTreeSet::new();
    let mut value_open = false;
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        // An indented line continues the value before it.
        if line.starts_with(char::is_whitespace) && value_open {
            continue;
        }
        if let Some(rest) = bare.strip_prefix('[') {
            let name = rest.split_once(']').map(|(name, _)| name).filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| format!("{} is no section", printable(line.as_bytes())))?;
            if !sections.insert(name) {
                return Err(format!("the section {} stands twice", printable(name.as_bytes())));
            }
            section = Some(name);
            keys.clear();
            value_open = false;
            continue;
        }
        let Some(section) = section else { return Err("it does not begin with a section".to_owned()) };
        let (key, _) = bare.split_once('=').ok_or_else(|| format!("{} has no '='", printable(line.as_bytes())))?;
        let key = key.trim();
        if key.is_empty() || !keys.insert(key) {
            return Err(format!("the name {} is empty or stands twice", printable(key.as_bytes())));
        }
        if SCRIPTS.contains(&section) && !script_name(key) {
            return Err(format!("{} is no name of a script", printable(key.as_bytes())));
        }
        value_open = true;
    }
    Ok(())
}

/// `[\w.-]+`; names of dots alone would not name a file.
fn script_name(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-')) && !name.bytes().all(|b| b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_configparser_reads_them() {
        for text in [
            "",
            "[console_scripts]\nfoo = a:b\n",
            "# c\n[console_scripts]\nfoo-bar.baz = a:b [extra]\n\n[x.y]\nany name: here = a\n",
            "[x]\na = 1\n  2\n  3\nb = 4\n",
            "[x]\r\na=b\r\n",
        ] {
            assert_eq!(read(text), Ok(()), "{text:?}");
        }
        for text in [
            "foo = a:b\n",
            "[console_scripts\n",
            "[]\n",
            "[console_scripts]\nfoo: a\n",
            "[console_scripts]\nfo/o = a:b\n",
            "[gui_scripts]\n.. = a:b\n",
            "[console_scripts]\nfo o = a:b\n",
            "[a]\nx = 1\nx = 2\n",
            "[a]\n[a]\n",
            "[a]\n= 1\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
