//! The one way to the terminal of text that others had a part in: names, notes, answers of mirrors and of witnesses. What a
//! terminal would act on, or show as nothing, is spelled out, so that nobody paints over what the operator reads. It is spelled
//! as JSON does it (RFC 8259 §7), so that JSON stays what it is.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};

/// Spells out control characters and what hides or turns text around. Lines and tabs stay: whoever makes lines of outside text
/// takes care of those (`one_line`).
pub(crate) fn safe(text: &str) -> String {
    spelled(text, |c| c == '\n' || c == '\t')
}

/// The same for text that is to stay within its line.
pub(crate) fn one_line(text: &str) -> String {
    spelled(text, |c| c == '\t')
}

fn spelled(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hides = matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'
        );
        if c.is_control() && !stays(c) || hides {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Results go to standard output alone. A reader that has seen enough and went (`| head`) is no failure: what was asked for
/// is done, and the exit code says how it ended.
pub(crate) fn print(text: &str) -> Result<ExitCode> {
    print_painted(&safe(text))
}

/// What is coloured, and safe by itself.
pub(crate) fn print_painted(text: &str) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

/// What is no result goes to standard error.
pub(crate) fn warn(text: impl Display) {
    eprintln!("{}", safe(&text.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_spelled_out() {
        for (text, said) in [
            ("plain, \u{e9}\u{4e2d}\n\tok", "plain, \u{e9}\u{4e2d}\n\tok"),
            ("\u{1b}[2J\u{1b}[H", "\\u001b[2J\\u001b[H"),
            ("a\rb\u{8}\u{7f}\u{9b}2K", "a\\u000db\\u0008\\u007f\\u009b2K"),
            ("x\u{202e}y\u{200b}\u{2028}z\u{61c}", "x\\u202ey\\u200b\\u2028z\\u061c"),
        ] {
            assert_eq!(safe(text), said);
        }
        assert_eq!(one_line("a\nb\tc"), "a\\u000ab\tc");
        let text = "\u{7f}\u{e0041}\u{202e}\u{e9}\u{1b}";
        let json = serde_json::to_string(text).expect("JSON");
        assert_ne!(safe(&json), json);
        assert_eq!(serde_json::from_str::<String>(&safe(&json)).expect("still JSON"), text);
    }
}
