//! What a command under `run` may not choose: another place to install from, or another way there.
//!
//! Three lines of defence. What the command says itself, or a requirements file that it names, is refused in words
//! ([`stays`]). Of what the environment says, pip and uv get the settings that are known to be harmless, and of
//! configuration files nothing ([`environment`]). And whatever else names one, such as a URL in a requirement, meets our
//! proxy, which the child has for every host and port of every name, this machine's own included: it answers for its own
//! address and refuses all others by name. So the child needs no exception for it.

mod requirements;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

/// Options of pip and uv that would leave the verified index, or the way to it. pip takes any unambiguous beginning.
const OPTIONS: [&str; 12] = [
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--index",
    "--default-index",
    "--no-index",
    "--proxy",
    "--no-proxy-env",
    // It would make pip forget which index it was told.
    "--isolated",
    // Files of settings: of uv they may name proxies and hosts without one.
    "--config-file",
    "--pypi-url",
    "--pip-args",
];

/// A file of variables, such as `PIP_PROXY=…`, which `uv run` gives to what it starts. uv takes no beginnings of options.
const ENV_FILE: &str = "--env-file";

/// Short options of pip and uv that have a value, of which the rest of a word then is: `-rx`, `-tfolder`.
const WITH_VALUE: &str = "bcdeoprtwCP";

/// What an environment may say to pip, behind `PIP_`: settings that neither name a place to install from nor a way there.
/// Whatever else it says to pip does not count, so that an option which pip learns tomorrow is no way out.
const PIP_SETTINGS: &str = "
    ABI BREAK_SYSTEM_PACKAGES BUILD_CONSTRAINT CACHE_DIR CHECK_BUILD_DEPENDENCIES COMPILE CONFIG_SETTINGS CONSTRAINT DEBUG
    DEFAULT_TIMEOUT DEST DISABLE_PIP_VERSION_CHECK DRY_RUN EXCLUDE EXISTS_ACTION FORCE_REINSTALL FORMAT GLOBAL_OPTION GROUP
    IGNORE_INSTALLED IGNORE_REQUIRES_PYTHON IMPLEMENTATION KEYRING_PROVIDER LOG LOG_FILE NO_BINARY NO_BUILD_ISOLATION
    NO_CACHE_DIR NO_CLEAN NO_COLOR NO_COMPILE NO_DEPENDENCIES NO_DEPS NO_INPUT NO_PYTHON_VERSION_WARNING
    NO_REQUIRE_HASHES NO_USER NO_WARN_CONFLICTS NO_WARN_SCRIPT_LOCATION ONLY_BINARY ONLY_DEPENDENCIES ONLY_DEPS ONLY_FINAL
    PATH PLATFORM PRE PREFER_BINARY PREFIX PROGRESS_BAR PYTHON PYTHON_VERSION QUIET REFRESH_PACKAGE REPORT REQUIREMENT
    REQUIRE_HASHES REQUIRE_VENV REQUIRE_VIRTUALENV RESUME_RETRIES RETRIES ROOT ROOT_USER_ACTION SRC TARGET TIMEOUT UPGRADE
    UPGRADE_STRATEGY UPLOADED_PRIOR_TO USER USE_DEPRECATED USE_FEATURE USE_PEP517 VERBOSE WHEEL_DIR YES";

/// The same for uv, behind `UV_`.
const UV_SETTINGS: &str = "
    BREAK_SYSTEM_PACKAGES BUILD_CONSTRAINT CACHE_DIR COMPILE_BYTECODE COMPILE_BYTECODE_TIMEOUT CONCURRENT_BUILDS
    CONCURRENT_DOWNLOADS CONCURRENT_INSTALLS CONSTRAINT CUSTOM_COMPILE_COMMAND DEV EXCLUDE EXCLUDE_NEWER FORK_STRATEGY FROZEN
    GIT_LFS HIDE_BUILD_OUTPUT HTTP_CONNECT_TIMEOUT HTTP_RETRIES HTTP_TIMEOUT INDEX_STRATEGY INIT_BARE INIT_BUILD_BACKEND
    ISOLATED KEYRING_PROVIDER LINK_MODE LOCKED LOCK_TIMEOUT LOG_CONTEXT MANAGED_PYTHON NATIVE_TLS NO_BINARY NO_BINARY_PACKAGE
    NO_BUILD NO_BUILD_ISOLATION NO_BUILD_PACKAGE NO_CACHE NO_DEFAULT_GROUPS NO_DEV NO_EDITABLE NO_ENV_FILE NO_GROUP
    NO_INSTALLER_METADATA NO_INSTALL_LOCAL NO_INSTALL_PROJECT NO_INSTALL_WORKSPACE NO_MANAGED_PYTHON NO_MODIFY_PATH
    NO_PROGRESS NO_SOURCES NO_SOURCES_PACKAGE NO_SYNC NO_VERIFY_HASHES NO_WRAP OVERRIDE PRERELEASE PREVIEW PREVIEW_FEATURES
    PROJECT PROJECT_ENVIRONMENT PYTHON PYTHON_BIN_DIR PYTHON_CACHE_DIR PYTHON_DOWNLOADS PYTHON_INSTALL_BIN
    PYTHON_INSTALL_DIR PYTHON_INSTALL_REGISTRY PYTHON_PREFERENCE PYTHON_SEARCH_PATH REQUEST_TIMEOUT REQUIRE_HASHES RESOLUTION
    RUN_MAX_RECURSION_DEPTH RUN_RECURSION_DEPTH SHOW_RESOLUTION STACK_SIZE SYSTEM_CERTS SYSTEM_PYTHON TOOL_BIN_DIR TOOL_DIR
    VENV_CLEAR VENV_RELOCATABLE VENV_SEED VERIFY_HASHES WORKING_DIR WORKING_DIRECTORY";

/// Through what an environment has other hosts asked.
const PROXIES: [&str; 6] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// How requirements name repositories, which are fetched by programs that know no proxy of ours.
const REPOSITORIES: [&str; 4] = ["git+", "hg+", "svn+", "bzr+"];

/// Whether a variable may lead pip, uv or what they start to another place or by another way. As loosely as they read it:
/// in any case, with `-` for `_`. Every `…_proxy` is a proxy, or an exception from one: of a scheme, or as requests have it
/// of one host (`http://127.0.0.1_proxy`). The CGI word makes clients pass a proxy over.
fn may_lead_away(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let is_unknown = |settings: &str, setting: &str| !settings.split_whitespace().any(|one| one == setting);
    match (name.strip_prefix("PIP_"), name.strip_prefix("UV_")) {
        (Some(setting), _) => is_unknown(PIP_SETTINGS, setting),
        (None, Some(setting)) => is_unknown(UV_SETTINGS, setting),
        (None, None) => name.ends_with("_PROXY") || name == "REQUEST_METHOD",
    }
}

/// The environment in which pip and uv know one index: ours. `guard`: our proxy, through which every host is asked for.
/// Without it, proxies and exceptions that the user made hold on.
pub(super) fn environment(child: &mut Command, url: &str, guard: Option<&String>) {
    let kept = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).ok();
    // Configuration files may name further indexes, and pip reads an empty variable as none.
    let mut ours = vec![("PIP_CONFIG_FILE", if cfg!(windows) { "nul" } else { "/dev/null" }), ("UV_NO_CONFIG", "1")];
    ours.extend([("PIP_INDEX_URL", url), ("UV_DEFAULT_INDEX", url)]);
    let direct = kept.map_or("127.0.0.1".to_owned(), |others| format!("127.0.0.1,{others}"));
    match guard {
        Some(host) => {
            ours.extend(PROXIES.map(|name| (name, host.as_str())));
            // The same once more, for a pip that was told to look at none of the above.
            ours.push(("PIP_PROXY", host));
            // git has settings of its own for proxies: nothing but what lies on this machine.
            ours.push(("GIT_ALLOW_PROTOCOL", "file"));
        }
        None => ours.extend([("NO_PROXY", direct.as_str()), ("no_proxy", direct.as_str())]),
    }
    let mut taken = BTreeSet::new();
    for (name, value) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_users_proxy = guard.is_none() && PROXIES.contains(&&*text);
        if is_users_proxy || !may_lead_away(&text) {
            continue;
        }
        if !value.is_empty() && !ours.iter().any(|(own, _)| *own == text) {
            taken.insert(text.escape_debug().to_string());
        }
        child.env_remove(&name);
    }
    if !taken.is_empty() {
        let names = taken.into_iter().collect::<Vec<_>>().join(", ");
        eprintln!("tidewaiter: not handed on, as it may lead past the verified index: {names}");
    }
    child.envs(ours);
}

/// The command must not name other places itself: it would be verified nowhere.
///
/// # Errors
/// With the word that does.
pub(super) fn stays(command: &[String], allow_other_hosts: bool) -> Result<()> {
    let is_installer = |word: &String| is_pip(word) || matches!(&*file_name(word), "uv" | "uvx");
    let installer = command.iter().position(is_installer).unwrap_or(command.len());
    let pip = command.iter().enumerate().position(|(at, word)| is_pip(word) && !is_of_uv(command, at));
    for (at, word) in command.iter().enumerate() {
        let is_abbreviated = pip.is_some_and(|pip| at > pip);
        if names_a_place(word, is_abbreviated) || (at > installer && is_short_place(word)) {
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
    if installer < command.len() { requirements::stay(command, allow_other_hosts) } else { Ok(()) }
}

fn file_name(word: &str) -> String {
    Path::new(word).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_pip(word: &str) -> bool {
    file_name(word).starts_with("pip") || word == "-mpip"
}

/// Whether a word is uv's command `pip`, which is no pip.
fn is_of_uv(command: &[String], at: usize) -> bool {
    let before = command[..at].iter().rev().find(|word| !word.starts_with('-'));
    command[at] == "pip" && before.is_some_and(|word| file_name(word) == "uv")
}

/// `--index-url`, `--index-url=…`, and what pip takes for it: `--index-u`.
fn names_a_place(word: &str, is_abbreviated: bool) -> bool {
    let name = word.split('=').next().unwrap_or(word);
    let is_one = |option: &&str| if is_abbreviated { option.starts_with(name) } else { *option == name };
    name == ENV_FILE || name.len() > 2 && name.starts_with("--") && OPTIONS.iter().any(is_one)
}

/// Whether a short option has a value, of which the rest of a word then is.
fn has_value(letter: char) -> bool {
    "if".contains(letter) || WITH_VALUE.contains(letter)
}

/// `-i`, `-f`, also behind flags (`-qi`) and with their value (`-ihttp://…`).
fn is_short_place(word: &str) -> bool {
    let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else { return false };
    letters.chars().find(|letter| has_value(*letter)).is_some_and(|letter| "if".contains(letter))
}

/// Anywhere in a word and in any case, as pip reads it: `-eHG+http://…`.
fn names_a_repository(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    REPOSITORIES.iter().any(|scheme| word.contains(scheme))
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
            "uv sync -v --frozen --extra dev",
            "uv pip compile --extra dev --all-extras x.in",
            "hatch --env test run pip install demo",
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
            "uv run pip install --extra x demo",
            "python -mpip install --extra x demo",
            "pip --prox http://x install demo",
            "pip --isolated install demo",
            "pip install --no-proxy-env demo",
            "uv run --env-file=x pip install demo",
            "uv run --env-file x pip install demo",
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
            "HG+http://x",
            "-eHg+http://x",
        ] {
            assert!(stays(&say(word), false).is_err(), "{word}");
            assert!(stays(&say(word), true).is_ok(), "{word}");
        }
    }

    #[test]
    fn only_settings_that_lead_nowhere_are_handed_on() {
        for name in ["PIP_INDEX_URL", "PIP_index_url", "PIP_Extra-Index_URL", "PIP_NO_PROXY_ENV", "PIP_OF_TOMORROW"] {
            assert!(may_lead_away(name), "{name}");
        }
        for name in ["no_proxy", "HTTP_PROXY", "http://127.0.0.1_proxy", "all://x_PROXY", "UV_INDEX", "UV_ENV_FILE"] {
            assert!(may_lead_away(name), "{name}");
        }
        for name in ["PIP_TARGET", "PIP_default-timeout", "UV_CACHE_DIR", "UV_PYTHON", "HOME", "PIPX_HOME", "UV"] {
            assert!(!may_lead_away(name), "{name}");
        }
    }
}
