//! Where things are: the paths of targets, which are for ever, and the names of role files.

use crate::hash::{hex, sha256};

/// The paths under which a project's page and files are targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `simple/<hh>/<project>/index.json`: the exact bytes of the PEP 691 page.
    Page {
        /// The normalized name of the project.
        project: &'a str,
    },
    /// `p/<hh>/<project>/<filename>`.
    Distribution {
        /// The normalized name of the project.
        project: &'a str,
        /// The name of the distribution file.
        filename: &'a str,
    },
}

impl Target<'_> {
    /// The target path. `<hh>` is the first byte of the SHA-256 of the project's normalized name: it lets a role be
    /// trusted with a part of all projects by a pattern alone (`p/3f/*/*`).
    pub fn path(self) -> String {
        let shard = |project: &str| hex(&sha256(project.as_bytes())[..1]);
        match self {
            Self::Page { project } => format!("simple/{}/{project}/index.json", shard(project)),
            Self::Distribution { project, filename } => format!("p/{}/{project}/{filename}", shard(project)),
        }
    }
}

/// A name as one segment of a URL or one name in a folder: what is not unreserved (RFC 3986) is percent-encoded.
pub fn quote(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.push_str(&hex(&[byte]).to_ascii_uppercase());
            }
        }
    }
    out
}

/// The name of a role's file in a repository: `VERSION.ROLE.json`, or `ROLE.json` where names bear no version.
pub fn role_file(role: &str, version: Option<u64>) -> String {
    match version {
        Some(version) => format!("{version}.{}.json", quote(role)),
        None => format!("{}.json", quote(role)),
    }
}

/// The quoted path of a target below `targets/`; with a digest, `dir/DIGEST.name`. Nothing for a path that leaves its
/// place: empty segments, `.` and `..`.
pub fn target_file(path: &str, digest: Option<&str>) -> Option<String> {
    let mut segments: Vec<String> = path.split('/').map(quote).collect();
    if segments.iter().any(|segment| matches!(segment.as_str(), "" | "." | "..")) {
        return None;
    }
    if let (Some(digest), Some(name)) = (digest, segments.last_mut()) {
        *name = format!("{digest}.{name}");
    }
    Some(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_never_change() {
        // sha256("demo") begins with 2a.
        assert_eq!(Target::Page { project: "demo" }.path(), "simple/2a/demo/index.json");
        let file = Target::Distribution { project: "demo", filename: "demo-1.0.tar.gz" };
        assert_eq!(file.path(), "p/2a/demo/demo-1.0.tar.gz");
    }

    #[test]
    fn names_stay_in_their_place() {
        assert_eq!(role_file("../x", Some(3)), "3...%2Fx.json");
        assert_eq!(role_file("timestamp", None), "timestamp.json");
        assert_eq!(target_file("a/b c", Some("ff")), Some("a/ff.b%20c".to_owned()));
        assert_eq!(target_file("a+b", None), Some("a%2Bb".to_owned()));
        for path in ["", "/a", "a//b", "../a", "a/..", "./a", "a/"] {
            assert_eq!(target_file(path, None), None, "{path}");
        }
    }
}
