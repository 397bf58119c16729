//! Every key in the blob store, in one place.
//!
//! ```text
//! <index>/vault/incoming/<random>                    an upload being received
//! <index>/vault/<aa>/<sha256>/<filename>             a file that nobody may see
//! <index>/site/files/<aa>/<sha256>/<filename>        a file that everybody may see
//! <index>/site/files/<aa>/<sha256>/<filename>.metadata
//! <index>/site/simple/index.{json,html}[.gz]         the list of projects
//! <index>/site/simple/<project>/index.{json,html}[.gz]
//! <index>/site/pypi/<project>/json[.gz]
//! <index>/site/pypi/<project>/<version>/json[.gz]
//! <index>/site/integrity/<project>/<version>/<filename>/provenance
//! <index>/site/tuf/<version>.<role>.json[.gz]        a signed role
//! <index>/site/tuf/timestamp.json                    names all of them, written after them
//! <index>/site/tuf/targets/simple/<hh>/<project>/<sha256>.index.json[.gz]
//! <index>/site/tuf/paths/<project>.json              the target paths of a project, for clients' convenience
//! <index>/site/tlog/tile/...[.gz]                   the transparency log (C2SP tlog-tiles), written before its checkpoint
//! <index>/site/tlog/checkpoint                       its signed head
//! <index>/site/head.json                             written last
//! ```

use std::fmt;

use packaging::simple::file_path;
use packaging::{DistFilename, NormalizedName, Sha256};
use tuf::layout::Target;

use crate::model::IndexName;

/// A key: relative, with `/`, made only here from checked parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of this key's gzip form.
    pub fn gzip(&self) -> Self {
        Self(format!("{}.gz", self.0))
    }

    /// Whether this is the list of projects, which no head names.
    pub fn is_list(&self) -> bool {
        self.0.ends_with("/site/simple/index.json") || self.0.ends_with("/site/simple/index.html")
    }

    /// Whether this object's name holds its hash and nothing takes it away in the same set: a page as a target.
    pub fn is_page_target(&self) -> bool {
        self.0.split_once('/').is_some_and(|(_, rest)| rest.starts_with("site/tuf/targets/"))
    }

    /// Whether this stands beside a file: it comes before whatever names it, and goes after.
    pub fn is_beside_file(&self) -> bool {
        let below = self.0.split_once("/site/").map_or("", |(_, path)| path);
        below.starts_with("files/") && below.ends_with(".metadata") || below.starts_with("integrity/")
    }

    /// Whether this is a file or its metadata in the public zone, which never change.
    pub fn is_site_file(&self) -> bool {
        self.0.split_once('/').is_some_and(|(_, rest)| rest.starts_with("site/files/"))
    }

    /// A key found by listing the store itself.
    pub(super) fn listed(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder of uploads being received.
pub fn incoming(index: &IndexName) -> Key {
    Key(format!("{index}/vault/incoming"))
}

/// The folders that divide both zones by the first two digits of digests.
pub fn shards(index: &IndexName) -> impl Iterator<Item = Key> {
    let zones = [format!("{index}/vault"), format!("{index}/site/files")];
    zones.into_iter().flat_map(|zone| (0..=u8::MAX).map(move |n| Key(format!("{zone}/{n:02x}"))))
}

/// The private zone.
pub fn vault(index: &IndexName) -> Key {
    Key(format!("{index}/vault"))
}

/// The public zone.
pub fn site(index: &IndexName) -> Key {
    Key(format!("{index}/site"))
}

/// A file in the private zone.
pub fn vault_file(index: &IndexName, sha256: &Sha256, filename: &str) -> Key {
    let hex = sha256.to_string();
    Key(format!("{index}/vault/{}/{hex}/{filename}", &hex[..2]))
}

/// A file in the public zone.
pub fn site_file(index: &IndexName, sha256: &Sha256, filename: &str) -> Key {
    Key(format!("{index}/site/{}", file_path(sha256, filename)))
}

/// PEP 658: the metadata beside a file in the public zone.
pub fn site_metadata(index: &IndexName, sha256: &Sha256, filename: &str) -> Key {
    Key(format!("{index}/site/{}.metadata", file_path(sha256, filename)))
}

/// PEP 740: below an index, where the provenance of a file is. The name says it all, so that clients find it without
/// asking.
pub fn provenance_path(file: &DistFilename, filename: &str) -> String {
    format!("integrity/{}/{}/{filename}/provenance", file.project(), file.version())
}

/// PEP 740: the provenance of a file; `None` for what is no name of one.
pub fn provenance(index: &IndexName, filename: &str) -> Option<Key> {
    let file: DistFilename = filename.parse().ok()?;
    Some(Key(format!("{index}/site/{}", provenance_path(&file, filename))))
}

/// A project page, `json` or `html`.
pub fn page(index: &IndexName, project: &NormalizedName, form: &str) -> Key {
    Key(format!("{index}/site/simple/{project}/index.{form}"))
}

/// The list of projects, `json` or `html`.
pub fn list(index: &IndexName, form: &str) -> Key {
    Key(format!("{index}/site/simple/index.{form}"))
}

/// The older JSON API: a project.
pub fn legacy_project(index: &IndexName, project: &NormalizedName) -> Key {
    Key(format!("{index}/site/pypi/{project}/json"))
}

/// The older JSON API: a release. `version` is a normalised version, which holds no `/`.
pub fn legacy_release(index: &IndexName, project: &NormalizedName, version: &str) -> Key {
    Key(format!("{index}/site/pypi/{project}/{version}/json"))
}

/// The file of a signed role; the timestamp's has no version. Role names of ours need no quoting.
pub fn role(index: &IndexName, role: &str, version: u64) -> Key {
    let version = (role != "timestamp").then_some(version);
    Key(format!("{index}/site/tuf/{}", tuf::layout::role_file(role, version)))
}

/// An object below `tuf/` by the name of a role's file, `3.bin-07.json`: `None` for what cannot be one.
pub fn role_file(index: &IndexName, name: &str) -> Option<Key> {
    let stem = name.strip_suffix(".json")?;
    let fits = |role: &str| {
        (1..=64).contains(&role.len())
            && role.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_role = match stem.split_once('.') {
        None => stem == "timestamp",
        Some((version, role)) => version.len() <= 20 && version.bytes().all(|byte| byte.is_ascii_digit()) && fits(role),
    };
    is_role.then(|| Key(format!("{index}/site/tuf/{name}")))
}

/// A project page by its content: write-once, the target that clients of TUF fetch.
pub fn page_target(index: &IndexName, project: &NormalizedName, sha256: &Sha256) -> Key {
    let path = Target::Page { project: project.as_str() }.path();
    Key(format!("{index}/site/{}", superseded_page(&path, &sha256.to_string())))
}

/// Below the site: the page of a target path by its content.
pub fn superseded_page(path: &str, sha256: &str) -> String {
    let folder = path.strip_suffix("index.json").unwrap_or(path);
    format!("tuf/targets/{folder}{sha256}.index.json")
}

/// The target paths of a project.
pub fn target_paths(index: &IndexName, project: &NormalizedName) -> Key {
    Key(format!("{index}/site/tuf/paths/{project}.json"))
}

/// An object of the site by its path below it.
pub fn site_object(index: &IndexName, path: &str) -> Key {
    Key(format!("{index}/site/{path}"))
}

/// The signed head of an index's log.
pub fn log_checkpoint(index: &IndexName) -> Key {
    Key(format!("{index}/site/tlog/checkpoint"))
}

/// The last checkpoint of an index's log that witnesses cosigned.
pub fn log_witnessed(index: &IndexName) -> Key {
    Key(format!("{index}/site/tlog/witnessed"))
}

/// A tile or bundle of an index's log.
pub fn log_tile(index: &IndexName, id: tlog::TileId) -> Key {
    Key(format!("{index}/site/tlog/{id}"))
}

/// A tile or bundle by its path below the log, `tile/0/000.p/17`: `None` for what is no name of one.
pub fn log_path(index: &IndexName, path: &str) -> Option<Key> {
    tlog::TileId::parse(path).ok().map(|id| log_tile(index, id))
}

/// The head.
pub fn head(index: &IndexName) -> Key {
    Key(format!("{index}/site/head.json"))
}

/// What a cache is told of an object of the site: what it changes with, and its index. `None` for any other object.
pub fn surrogate_keys(key: &Key) -> Option<String> {
    let (index, path) = key.as_str().split_once("/site/")?;
    let index: IndexName = index.parse().ok()?;
    Some(format!("{index} {}", surrogate_key(&index, path)))
}

/// What a cache is told to drop when a path below the site changes: one name for what changes together, and the index's
/// own for all of it. A file has one of its own, so that a new release does not make caches forget the old ones.
pub fn surrogate_key(index: &IndexName, path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["simple", page] if page.starts_with("index.") => format!("{index}/list"),
        ["simple" | "pypi" | "integrity", project, ..] | ["tuf", "targets", "simple", _, project, _] => {
            format!("{index}/project/{project}")
        }
        ["tuf", "paths", file] => format!("{index}/project/{}", file.strip_suffix(".json").unwrap_or(file)),
        ["files", _, sha256, ..] => format!("{index}/file/{sha256}"),
        ["tuf", "timestamp.json"] | ["tlog", "checkpoint"] => format!("{index}/head"),
        ["tuf", ..] => format!("{index}/roles"),
        ["tlog", ..] => format!("{index}/log"),
        _ => index.to_string(),
    }
}

/// The folder of the public zone in which a shard's files are.
pub fn site_shard(index: &IndexName, shard: u8) -> Key {
    Key(format!("{index}/site/files/{shard:02x}"))
}

/// Content and name of a file in the public zone, from its key or that of its metadata; `None` for anything else.
pub fn parse_site_file(index: &IndexName, key: &Key) -> Option<(Sha256, String)> {
    let rest = key.as_str().strip_prefix(site(index).as_str())?.strip_prefix("/files/")?;
    let (shard, rest) = rest.split_once('/')?;
    let (hex, name) = rest.split_once('/')?;
    let filename = name.strip_suffix(".metadata").unwrap_or(name);
    hex.starts_with(shard).then_some(())?;
    Some((hex.parse().ok()?, filename.to_owned()))
}

/// Content and name of a file in the private zone, from its key; `None` for anything else.
pub fn parse_vault_file(index: &IndexName, key: &Key) -> Option<(Sha256, String)> {
    let rest = key.as_str().strip_prefix(vault(index).as_str())?.strip_prefix('/')?;
    let (_, rest) = rest.split_once('/')?;
    let (hex, filename) = rest.split_once('/')?;
    Some((hex.parse().ok()?, filename.to_owned()))
}
