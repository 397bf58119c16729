//! What a command under `run` may not choose: another place to install from, or another way there.
//!
//! Three lines of defence. What the command says itself is refused in words ([`stays`]). What the environment and
//! configuration files say of places does not count ([`environment`]). And whatever else names one, such as a line of a
//! requirements file, meets our proxy, which the child has for every host and port of every name, this machine's own
//! included: it answers for its own address and refuses all others by name. So the child needs no exception for it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

/// Options of pip and uv that would leave the verified index, or the way to it. pip takes any unambiguous beginning.
const OPTIONS: [&str; 11] = [
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--index",
    "--default-index",
    "--no-index",
    "--proxy",
    // It would make pip forget which index it was told.
    "--isolated",
    // Files of settings: of uv they may name proxies and hosts without one.
    "--config-file",
    "--pypi-url",
    "--pip-args",
];

/// Short options of pip and uv that have a value, of which the rest of a word then is: `-rx`, `-tfolder`.
const WITH_VALUE: &str = "bcdeoprtwCP";

/// What an environment may say of other places to install from, or of other ways there.
const PLACES: [&str; 26] = [
    "PIP_INDEX_URL",
    "PIP_PYPI_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "PIP_ISOLATED",
    "PIP_PROXY",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_TRUSTED_HOST",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_OFFLINE",
    "UV_CONFIG_FILE",
    "UV_INSECURE_HOST",
    "UV_HTTP_PROXY",
    "UV_HTTPS_PROXY",
    "UV_ALL_PROXY",
    "UV_NO_PROXY",
    // A proxy of one scheme or of none would be gone to before ours; the CGI word makes clients pass ours over.
    "FTP_PROXY",
    "NO_PROXY",
    "REQUEST_METHOD",
];

/// Through what an environment has other hosts asked.
const PROXIES: [&str; 6] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// How requirements name repositories, which are fetched by programs that know no proxy of ours.
const REPOSITORIES: [&str; 4] = ["git+", "hg+", "svn+", "bzr+"];

/// Whether a variable is one of [`PLACES`], as loosely as pip reads them: in any case, with `-` for `_`.
fn is_place(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase().replace('-', "_");
    PLACES.contains(&name.as_str())
}

/// The environment in which pip and uv know one index: ours. `guard`: our proxy, through which every host is asked for.
/// Without it, proxies and exceptions that the user made hold on.
pub(super) fn environment(child: &mut Command, url: &str, guard: Option<&String>) {
    let kept = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).ok();
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_place(name)) {
        child.env_remove(name);
    }
    // Configuration files may name further indexes, and pip reads an empty variable as none.
    child.env("PIP_CONFIG_FILE", if cfg!(windows) { "nul" } else { "/dev/null" });
    child.env("UV_NO_CONFIG", "1");
    child.env("PIP_INDEX_URL", url).env("UV_DEFAULT_INDEX", url);
    match guard {
        Some(host) => {
            for name in PROXIES {
                child.env(name, host);
            }
            // git has settings of its own for proxies: nothing but what lies on this machine.
            child.env("GIT_ALLOW_PROTOCOL", "file");
        }
        None => {
            let direct = kept.map_or("127.0.0.1".to_owned(), |others| format!("127.0.0.1,{others}"));
            child.env("NO_PROXY", &direct).env("no_proxy", &direct);
        }
    }
}

/// The command must not name other places itself: it would be verified nowhere.
///
/// # Errors
/// With the word that does.
pub(super) fn stays(command: &[String], allow_other_hosts: bool) -> Result<()> {
    let is_installer = |word: &String| {
        let name = Path::new(word).file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.starts_with("pip") || name == "uv" || name == "uvx")
    };
    let installer = command.iter().position(is_installer).unwrap_or(command.len());
    for (at, word) in command.iter().enumerate() {
        if names_a_place(word) || (at > installer && is_short_place(word)) {
            bail!(
                "the command says {word}: under `run` there is one place to install from, the --index, and one way to it; \
                 leave it away"
            );
        }
        if !allow_other_hosts && names_a_repository(word) {
            bail!(
                "the command says {word}: nobody signs for what is in a repository; take it away, or let it through \
                 unverified by --allow-other-hosts"
            );
        }
    }
    Ok(())
}

/// `--index-url`, `--index-url=…`, and what pip takes for it: `--index-u`.
fn names_a_place(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or(word);
    name.len() > 2 && name.starts_with("--") && OPTIONS.iter().any(|option| option.starts_with(name))
}

/// `-i`, `-f`, also behind flags (`-qi`) and with their value (`-ihttp://…`).
fn is_short_place(word: &str) -> bool {
    let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else { return false };
    let first = letters.chars().find(|letter| "if".contains(*letter) || WITH_VALUE.contains(*letter));
    first.is_some_and(|letter| "if".contains(letter))
}

/// A whole word, or what follows `name @` or an option's `=`.
fn names_a_repository(word: &str) -> bool {
    let is_start = |at: usize| at.checked_sub(1).is_none_or(|before| b"@ =".contains(&word.as_bytes()[before]));
    REPOSITORIES.iter().any(|scheme| word.match_indices(scheme).any(|(at, _)| is_start(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn commands_that_name_other_places_are_not_run() {
        for text in [
            "pip install demo",
            "python -m pip install -r x.txt -c c.txt -tfolder",
            "python -i -m pip install -U demo",
            "uv pip install demo",
            "uv sync -v --frozen",
            "pip install --no-input --ignore-installed --progress-bar off --in-project demo",
            "pip download -dfolder -Cif=x demo",
            "pip install digit demo[git] ./demo-1.0.tar.gz",
        ] {
            assert!(stays(&words(text), false).is_ok(), "{text}");
        }
        for text in [
            "pip install -i x demo",
            "pip3 install -fx demo",
            "pip install -qi x demo",
            "pip install -Uqf x demo",
            "/usr/bin/pip3.11 install --index-u=x demo",
            "pip install --extra x demo",
            "pip --prox http://x install demo",
            "pip --isolated install demo",
            "python -m pip install --find=x demo",
            "uv pip install --index=x y",
            "uv --config-file x sync",
            "uv add -f x y",
            "pip install --extra-index-url x y",
        ] {
            assert!(stays(&words(text), true).is_err(), "{text}");
        }
    }

    #[test]
    fn repositories_are_named_before_anything_runs() {
        let say = |word: &str| ["pip", "install", word].map(str::to_owned);
        for word in [
            "git+https://x.example/y",
            "y @ git+ssh://x.example/y",
            "y@git+https://git@x.example/y",
            "--editable=git+file:///y",
            "hg+http://x",
        ] {
            assert!(stays(&say(word), false).is_err(), "{word}");
            assert!(stays(&say(word), true).is_ok(), "{word}");
        }
    }

    #[test]
    fn variables_are_known_as_loosely_as_pip_reads_them() {
        for name in ["PIP_INDEX_URL", "PIP_index_url", "PIP_Extra-Index_URL", "PIP_PROXY", "no_proxy", "UV_INDEX"] {
            assert!(is_place(OsStr::new(name)), "{name}");
        }
        for name in ["PIP_TARGET", "UV_CACHE_DIR", "HOME", "PIP_INDEX", "http_proxy"] {
            assert!(!is_place(OsStr::new(name)), "{name}");
        }
    }
}
