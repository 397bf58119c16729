//! Where this index is reached, and the commands to use it from there.

use axum::http::{HeaderMap, header};
use index::model::IndexName;

use crate::server::Encrypted;

/// Shown when neither the settings nor the request say where the server is.
const FALLBACK: &str = "http://localhost:8080";

/// The commands of one index, for people to copy.
#[derive(Debug, Clone)]
pub(super) struct Commands {
    /// The index's root, without a slash at its end.
    pub(super) base: String,
    index: IndexName,
    /// Host without port, when the address is plain HTTP on another machine: tools must be told to take it.
    insecure_host: Option<String>,
}

impl Commands {
    /// `public_url` where it is set. Without it the Host header serves, for display alone: pages are not shared
    /// between hosts (`Vary: Host`), and what is no plain host name is not shown.
    pub(super) fn new(
        public_url: Option<&str>,
        headers: &HeaderMap,
        encrypted: Option<&Encrypted>,
        index: &IndexName,
    ) -> Self {
        let scheme = if encrypted.is_some() { "https" } else { "http" };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| is_host(host));
        let root = match (public_url, host) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(host)) => format!("{scheme}://{host}"),
            (None, None) => FALLBACK.to_owned(),
        };
        let insecure_host =
            root.strip_prefix("http://").map(host_name).filter(|name| !is_local(name)).map(str::to_owned);
        Self { base: format!("{root}{}", index.url_prefix()), index: index.clone(), insecure_host }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.insecure_host.is_some()
    }

    pub(super) fn pip(&self, what: &str) -> String {
        let trusted = self.insecure_host.as_ref().map(|host| format!(" --trusted-host {host}")).unwrap_or_default();
        format!("pip install --index-url {}/simple/{trusted} {what}", self.base)
    }

    pub(super) fn uv(&self, what: &str) -> String {
        let insecure =
            self.insecure_host.as_ref().map(|host| format!(" --allow-insecure-host {host}")).unwrap_or_default();
        format!("uv pip install --default-index {}/simple/{insecure} {what}", self.base)
    }

    pub(super) fn twine(&self) -> String {
        format!("twine upload --repository-url {}/legacy/ -u __token__ dist/*", self.base)
    }

    pub(super) fn uv_publish(&self) -> String {
        format!("uv publish --publish-url {}/legacy/ dist/*", self.base)
    }

    pub(super) fn token(&self) -> String {
        let index = if self.index.is_main() { String::new() } else { format!(" --in {}", self.index) };
        format!("tidewaiter token create --user NAME{index}")
    }

    pub(super) fn pypirc(&self) -> String {
        format!(
            "[distutils]\nindex-servers = tidewaiter\n\n[tidewaiter]\nrepository = {}/legacy/\nusername = __token__\npassword = tidewaiter-…",
            self.base
        )
    }
}

/// A requirement for a shell: epochs hold a `!`.
pub(super) fn pinned(name: &str, version: &str) -> String {
    let text = format!("{name}=={version}");
    if text.contains('!') { format!("'{text}'") } else { text }
}

/// `name`, `name:port`, `1.2.3.4`, `[::1]:port`: nothing that means something to a shell or to HTML.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, rest)) => (name, Some(rest.strip_prefix(':').unwrap_or("none"))),
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let fits = if host.starts_with('[') {
        name.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
    } else {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
    };
    fits && (1..=253).contains(&name.len())
        && port.is_none_or(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'))
}

/// The host of an address without scheme: no port, no path.
fn host_name(rest: &str) -> &str {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.find(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Hosts that installers take plain HTTP from unasked.
fn is_local(name: &str) -> bool {
    name == "localhost"
        || name == "[::1]"
        || name.starts_with("127.") && name.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(host: &str, public_url: Option<&str>) -> Commands {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("header text"));
        Commands::new(public_url, &headers, None, &IndexName::main())
    }

    #[test]
    fn hosts_that_are_shown_and_hosts_that_are_not() {
        for host in ["localhost", "pkgs.example.org:8443", "10.0.0.1:80", "[::1]:9000", "[2001:db8::1]"] {
            assert_eq!(commands(host, None).base, format!("http://{host}"), "{host}");
        }
        for host in [
            "a b",
            "$(reboot)",
            "a;b",
            "a/b",
            "x:99999",
            "x:y",
            "-x",
            "a\"b",
            "<b>",
            "",
            "[::1",
            "[::1]x",
            "[;]",
            "u@h",
        ] {
            assert_eq!(commands(host, None).base, FALLBACK, "{host}");
        }
    }

    #[test]
    fn plain_http_on_another_host_is_said_to_the_tools() {
        assert!(commands("pkgs:8000", None).pip("x").contains(" --trusted-host pkgs x"));
        assert!(commands("pkgs:8000", None).uv("x").contains(" --allow-insecure-host pkgs x"));
        for local in ["localhost:1", "127.0.0.1:1", "[::1]:1"] {
            assert!(!commands(local, None).is_plain(), "{local}");
        }
        assert!(!commands("pkgs:8000", Some("https://pkgs.example/")).is_plain());
        assert_eq!(commands("pkgs:8000", Some("https://pkgs.example/")).base, "https://pkgs.example");
        assert_eq!(
            commands("evil", Some("http://real:1")).twine(),
            "twine upload --repository-url http://real:1/legacy/ -u __token__ dist/*"
        );
    }

    #[test]
    fn an_epoch_is_quoted_for_the_shell() {
        assert_eq!(pinned("a", "1!2.0"), "'a==1!2.0'");
        assert_eq!(pinned("a", "2.0"), "a==2.0");
    }
}
