//! The file that says which outside checks there are: TOML, like the policy.

use inspect::{Event, Severity};
use serde::Deserialize;

use super::{How, Outside};

/// Largest file of settings, in bytes.
pub const OUTSIDE_BYTES_MAX: usize = 64 << 10;
/// Most outside checks.
pub const OUTSIDE_MAX: usize = 20;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 40;
/// Most words of a command, and longest of them, in bytes.
const WORDS_MAX: usize = 50;
const WORD_BYTES_MAX: usize = 4_096;
/// Longest answering time, in seconds: an inspection's lease is longer than this and its turn.
const TIMEOUT_SECONDS_MAX: u64 = 120;
/// Most questions at once.
const PARALLEL_MAX: usize = 32;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default, rename = "check")]
    checks: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    url: Option<String>,
    command: Option<Vec<String>>,
    #[serde(default = "one")]
    version: u32,
    on: Option<Vec<Event>>,
    #[serde(default = "ten")]
    timeout_seconds: u64,
    #[serde(default = "two")]
    parallel: usize,
    #[serde(default = "high")]
    severity_max: Severity,
    #[serde(default)]
    bytes: bool,
}

const fn one() -> u32 {
    1
}
const fn ten() -> u64 {
    10
}
const fn two() -> usize {
    2
}
const fn high() -> Severity {
    Severity::High
}

/// Reads the settings.
///
/// # Errors
/// What is wrong with them, in words.
pub fn parse(text: &str) -> Result<Vec<Outside>, String> {
    if text.len() > OUTSIDE_BYTES_MAX {
        return Err(format!("at most {OUTSIDE_BYTES_MAX} bytes, this has {}", text.len()));
    }
    let Text { checks } = toml::from_str(text).map_err(|error| error.to_string())?;
    if checks.len() > OUTSIDE_MAX {
        return Err(format!("at most {OUTSIDE_MAX} checks, this has {}", checks.len()));
    }
    let mut all: Vec<Outside> = Vec::new();
    for row in checks {
        let name = row.name.clone();
        let outside = row.checked().map_err(|what| format!("check '{name}': {what}"))?;
        if all.iter().any(|known| known.name == outside.name) {
            return Err(format!("check '{name}': there are two of this name"));
        }
        all.push(outside);
    }
    Ok(all)
}

impl Row {
    fn checked(self) -> Result<Outside, String> {
        let Self { name, url, command, version, on, timeout_seconds, parallel, severity_max, bytes } = self;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
            return Err(format!("a name is 1 to {NAME_BYTES_MAX} of a-z, 0-9, '-'"));
        }
        let how = match (url, command) {
            (Some(url), None) => {
                let is_http = url.starts_with("http://") || url.starts_with("https://");
                if !is_http || url.len() > WORD_BYTES_MAX {
                    return Err(format!("'url' = '{url}' must start with http:// or https://"));
                }
                How::Service(url)
            }
            (None, Some(words)) => {
                let fits = |word: &String| word.len() <= WORD_BYTES_MAX && !word.contains('\0');
                // Found by its path alone: what PATH says where a server was started is nobody's decision.
                let absolute = words.first().is_some_and(|program| program.starts_with('/'));
                if !absolute || words.len() > WORDS_MAX || !words.iter().all(fits) {
                    return Err(format!(
                        "'command' is the program's full path and its arguments, at most {WORDS_MAX} words"
                    ));
                }
                How::Command(words)
            }
            (Some(_), Some(_)) | (None, None) => return Err("either 'url' or 'command'".to_owned()),
        };
        if !(1..=TIMEOUT_SECONDS_MAX).contains(&timeout_seconds) {
            return Err(format!("'timeout_seconds' is 1 to {TIMEOUT_SECONDS_MAX}"));
        }
        if !(1..=PARALLEL_MAX).contains(&parallel) {
            return Err(format!("'parallel' is 1 to {PARALLEL_MAX}"));
        }
        let on = on.unwrap_or_else(|| Event::USUAL.to_vec());
        Ok(Outside { name, how, version, on, timeout_ms: timeout_seconds * 1_000, parallel, severity_max, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str) -> String {
        format!("[[check]]\nname = \"a\"\n{lines}\n")
    }

    #[test]
    fn what_is_left_out_has_a_value() {
        let text = check("url = \"http://127.0.0.1:1/\"");
        let want = Outside {
            name: "a".into(),
            how: How::Service("http://127.0.0.1:1/".into()),
            version: 1,
            on: Event::USUAL.to_vec(),
            timeout_ms: 10_000,
            parallel: 2,
            severity_max: Severity::High,
            bytes: false,
        };
        assert_eq!(parse(&text), Ok(vec![want]));
        assert_eq!(parse(""), Ok(vec![]));
        let all = check(
            "command = [\"/bin/x\", \"y\"]\nversion = 3\non = [\"status-changed\"]\ntimeout_seconds = 120\n\
             parallel = 32\nseverity_max = \"low\"\nbytes = true",
        );
        let all = parse(&all).expect("good").remove(0);
        assert_eq!((all.how, all.on), (How::Command(vec!["/bin/x".into(), "y".into()]), vec![Event::StatusChanged]));
        assert_eq!((all.version, all.timeout_ms, all.severity_max, all.bytes), (3, 120_000, Severity::Low, true));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for bad in [
            "",
            "url = \"http://h/\"\ncommand = [\"/bin/x\"]",
            "url = \"file:///etc\"",
            "command = []",
            "command = [\"x\"]",
            "command = [\"/bin/x\", \"a\\u0000b\"]",
            "url = \"http://h/\"\ntimeout_seconds = 0",
            "url = \"http://h/\"\ntimeout_seconds = 121",
            "url = \"http://h/\"\nparallel = 0",
            "url = \"http://h/\"\nparallel = 33",
            "url = \"http://h/\"\non = [\"sunday\"]",
            "url = \"http://h/\"\nseverity_max = \"worse\"",
            "url = \"http://h/\"\nsecret = 1",
        ] {
            assert!(parse(&check(bad)).is_err(), "{bad}");
        }
        let named = |name: &str| parse(&format!("[[check]]\nname = \"{name}\"\nurl = \"http://h/\""));
        assert!(named(&"n".repeat(NAME_BYTES_MAX)).is_ok() && named(&"n".repeat(NAME_BYTES_MAX + 1)).is_err());
        assert!(named("").is_err() && named("A/b").is_err());
        let many = |count: usize| {
            let rows = (0..count).map(|n| format!("[[check]]\nname = \"n{n}\"\nurl = \"http://h/\"\n"));
            parse(&rows.collect::<String>())
        };
        assert!(many(OUTSIDE_MAX).is_ok() && many(OUTSIDE_MAX + 1).is_err());
        let twice = check("url = \"http://h/\"").repeat(2);
        assert!(parse(&twice).expect_err("twice").contains("two of this name"));
        let padded = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
        assert!(parse(&padded(OUTSIDE_BYTES_MAX)).is_ok() && parse(&padded(OUTSIDE_BYTES_MAX + 1)).is_err());
    }
}
