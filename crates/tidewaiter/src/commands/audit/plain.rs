//! What installers that verify nothing fetch from a mirror: pages, files and metadata under plain names, provenance, and
//! the list of projects. All of it follows from the signed page, so a mirror is held against its own signed word.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use client::FetchError;
use client::verified::METADATA_BYTES_MAX;
use index::blobs::layout;
use packaging::simple::{
    CONTENT_TYPE_HTML, CONTENT_TYPE_JSON, FileEntry, ListEntry, PageHead, file_path, last_serial, list_html, page_html,
    read_page,
};
use packaging::{DistFilename, NormalizedName, ProjectName, ProjectStatus, Sha256};
use serde::Deserialize;
use serde_json::{Value, json};
use tuf::hash::Hasher;
use tuf::layout::Target;
use url::Url;

use super::mirror::Mirror;

/// Length of a list of projects, in bytes, beside that of the names in it: of its head, and of each project's entry. A name
/// stands there twice in HTML, and as people spell it, with a run of separators for one.
const LIST_HEAD_BYTES_MAX: usize = 64 << 10;
const LIST_ENTRY_BYTES_MAX: usize = 256;
/// Projects that a mirror may list more than there are: what came while it was walked, and a few wrong ones to be told of.
const LISTED_BESIDE_MAX: usize = 1_000;

/// The project whose page a target path names.
pub(super) fn project_of(path: &str) -> Option<NormalizedName> {
    let name: NormalizedName = path.split('/').nth(2)?.parse().ok()?;
    (Target::Page { project: name.as_str() }.path() == path).then_some(name)
}

/// What the list of projects must say of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) serial: Option<i64>,
    pub(super) is_listed: bool,
}

/// A signed page, and what follows from it.
pub(super) struct Page {
    json: Vec<u8>,
    head: PageHead,
    files: Vec<FileEntry>,
}

impl Page {
    pub(super) fn read(json: Vec<u8>, project: &NormalizedName) -> Option<Self> {
        let (head, files) = read_page(&json)?;
        (head.name == *project).then_some(Self { json, head, files })
    }

    /// Nobody is led to a project in quarantine.
    pub(super) fn listing(&self) -> Listing {
        let is_listed = self.head.status != ProjectStatus::Quarantined;
        Listing { serial: Some(self.head.last_serial), is_listed }
    }
}

/// An answer; nothing where there is none.
async fn get(mirror: &Mirror, path: &str, bytes_max: usize, accept: Option<&'static str>) -> Result<Option<Vec<u8>>> {
    let url = mirror.base.join(path)?;
    match mirror.fetcher.get_as(&url, bytes_max, accept).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FetchError::Missing) => Ok(None),
        Err(FetchError::TooLong(_)) => Ok(Some(Vec::new())),
        Err(error) => bail!("{url} {error}"),
    }
}

/// Everything under the plain names of a project that is not as its signed page says.
pub(super) async fn project(mirror: &Mirror, page: &Page) -> Result<Vec<String>> {
    let project = &page.head.name;
    let html = page_html(&page.head, page.files.iter());
    let mut wrong = Vec::new();
    for (kind, accept) in [("JSON", CONTENT_TYPE_JSON), ("HTML", "text/html"), ("HTML", CONTENT_TYPE_HTML)] {
        let path = format!("simple/{project}/");
        // Whichever form it answers with: static hosts have one for everybody.
        let bytes_max = page.json.len().max(html.len());
        match get(mirror, &path, bytes_max, Some(accept)).await? {
            Some(bytes) if bytes == page.json || bytes == html => {}
            Some(_) => wrong.push(format!("mirror: {path} as {kind}: is not the page that is signed")),
            None => wrong.push(format!("mirror: {path} as {kind}: is not there")),
        }
    }
    wrong.dedup();
    let path = format!("tuf/paths/{project}.json");
    let expected = expected_paths(page);
    // Spelt otherwise it is the same, and no more than that is read.
    let bytes_max = expected.to_string().len() * 2 + 1_024;
    let paths: Option<Value> =
        get(mirror, &path, bytes_max, None).await?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if paths != Some(expected) {
        wrong.push(format!("mirror: {path}: does not name the targets of the page"));
    }
    for file in &page.files {
        wrong.extend(beside(mirror, file).await?);
    }
    Ok(wrong)
}

fn expected_paths(page: &Page) -> Value {
    let project = page.head.name.as_str();
    let file = |file: &FileEntry| Target::Distribution { project, filename: &file.filename }.path();
    let all: Vec<String> =
        std::iter::once(Target::Page { project }.path()).chain(page.files.iter().map(file)).collect();
    json!({ "targets": all })
}

/// A file under its plain name, and what stands beside it.
async fn beside(mirror: &Mirror, file: &FileEntry) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let path = file_path(&file.sha256, &file.filename);
    wrong.extend(differs(mirror, &path, file.size, &file.sha256).await?);
    if let Some(sha256) = &file.core_metadata {
        wrong.extend(differs(mirror, &format!("{path}.metadata"), METADATA_BYTES_MAX, sha256).await?);
    }
    let Ok(name) = file.filename.parse::<DistFilename>() else { return Ok(wrong) };
    let path = layout::provenance_path(&name, &file.filename);
    match &file.provenance_sha256 {
        Some(sha256) => wrong.extend(differs(mirror, &path, attest::PROVENANCE_BYTES_MAX as u64, sha256).await?),
        None if get(mirror, &path, attest::PROVENANCE_BYTES_MAX, None).await?.is_some() => {
            wrong.push(format!("mirror: {path}: is served, and nobody signed for it"));
        }
        None => {}
    }
    Ok(wrong)
}

/// Whether what stands under a plain name is something else than was signed for.
async fn differs(mirror: &Mirror, path: &str, bytes_max: u64, sha256: &Sha256) -> Result<Option<String>> {
    let (url, mut hasher): (Url, _) = (mirror.base.join(path)?, Hasher::new(false));
    let sink = |piece: &[u8]| {
        hasher.update(piece);
        Ok(())
    };
    Ok(match mirror.fetcher.get_into(&url, bytes_max, sink).await {
        Ok(_) if Sha256::new(hasher.finish().0) == *sha256 => None,
        Ok(_) | Err(FetchError::TooLong(_)) => Some(format!("mirror: {path}: is not the file that is signed")),
        Err(error) => Some(format!("mirror: {path}: {error}")),
    })
}

#[derive(Deserialize)]
struct List {
    projects: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    /// Which HTML has no place for.
    #[serde(rename = "_last-serial")]
    last_serial: Option<i64>,
}

impl List {
    /// In either form; nothing for what is none, or has more in it than an index writes, or more entries than these.
    fn read(bytes: &[u8], entries_max: usize) -> Option<Self> {
        // Counted before anything is built of them: whatever makes an entry opens it with one of these, and the document one
        // or two more. HTML has an end of each and a dozen of its own.
        let opened = bytes.iter().filter(|byte| matches!(byte, b'{' | b'[' | b'<')).count();
        if opened > entries_max.saturating_mul(2) + 32 {
            return None;
        }
        if let Ok(list) = serde_json::from_slice(bytes) {
            return Some(list);
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let name = |line: &str| {
            Some(line.trim().strip_prefix("<a href=\"")?.split_once("/\">")?.1.strip_suffix("</a>")?.to_owned())
        };
        let projects = text.lines().filter_map(name).map(|name| Listed { name, last_serial: None }).collect();
        let list = Self { projects };
        (list.html(last_serial(bytes)?) == bytes).then_some(list)
    }

    fn html(&self, serial: i64) -> Vec<u8> {
        let entries: Vec<ListEntry> = self.projects.iter().filter_map(Listed::entry).collect();
        list_html(serial, entries.iter())
    }
}

impl Listed {
    fn entry(&self) -> Option<ListEntry> {
        let Self { name, last_serial } = self;
        let normalized = name.parse::<ProjectName>().ok()?.normalized();
        Some(ListEntry { name: name.clone(), normalized, last_serial: last_serial.unwrap_or(0) })
    }
}

/// The longest list that these projects can make.
fn list_bytes_max(projects: &BTreeMap<NormalizedName, Listing>) -> usize {
    let names: usize = projects.keys().map(|name| 4 * name.as_str().len() + LIST_ENTRY_BYTES_MAX).sum();
    LIST_HEAD_BYTES_MAX + names + LISTED_BESIDE_MAX * LIST_ENTRY_BYTES_MAX
}

/// What is wrong with the list of projects, each with the project that it is about.
pub(super) async fn list(
    mirror: &Mirror,
    projects: &BTreeMap<NormalizedName, Listing>,
) -> Result<Vec<(Option<NormalizedName>, String)>> {
    let bytes_max = list_bytes_max(projects);
    let bytes = get(mirror, "simple/", bytes_max, Some(CONTENT_TYPE_JSON)).await?.unwrap_or_default();
    let Some(list) = List::read(&bytes, projects.len() + LISTED_BESIDE_MAX) else {
        return Ok(vec![(None, "mirror: simple/ as JSON: is no list of projects, or a much longer one".to_owned())]);
    };
    let (mut wrong, mut named) = (Vec::new(), BTreeSet::new());
    for listed in &list.projects {
        let Some(ListEntry { normalized, .. }) = listed.entry() else {
            wrong.push((None, format!("mirror: simple/: {:?} is listed, and no name of a project", listed.name)));
            continue;
        };
        let is_other = |listing: &Listing| listed.last_serial.is_some() && listing.serial != listed.last_serial;
        let why = match projects.get(&normalized) {
            None => Some("is listed, and nobody signed for such a project"),
            Some(listing) if !listing.is_listed => Some("is listed, and its signed page says that it is in quarantine"),
            Some(listing) if is_other(listing) => Some("is listed with another serial than its page's"),
            Some(_) if named.contains(&normalized) => Some("is listed twice"),
            Some(_) => None,
        };
        wrong.extend(why.map(|why| (Some(normalized.clone()), format!("mirror: simple/: {normalized} {why}"))));
        named.insert(normalized);
    }
    let missing = projects.iter().filter(|(name, listing)| listing.is_listed && !named.contains(*name));
    wrong.extend(missing.map(|(name, _)| (Some(name.clone()), format!("mirror: simple/: {name} is not listed"))));
    let html = list.html(last_serial(&bytes).unwrap_or_default());
    for accept in ["text/html", CONTENT_TYPE_HTML] {
        let shown = get(mirror, "simple/", bytes_max, Some(accept)).await?.unwrap_or_default();
        if shown != html && shown != bytes {
            wrong.push((None, "mirror: simple/ as HTML: does not list what it lists as JSON".to_owned()));
            break;
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use packaging::simple::list_json;

    #[test]
    fn a_list_is_read_in_either_form_and_nothing_beside_it() {
        let entry = |name: &str| ListEntry {
            name: name.to_owned(),
            normalized: name.parse::<ProjectName>().expect("a name").normalized(),
            last_serial: 3,
        };
        let entries = [entry("Demo"), entry("my_project")];
        for (bytes, serial) in [(list_json(7, entries.iter()), Some(3)), (list_html(7, entries.iter()), None)] {
            let list = List::read(&bytes, 2).expect("a list");
            let read: Vec<_> = list.projects.iter().map(|listed| (listed.name.as_str(), listed.last_serial)).collect();
            assert_eq!(read, [("Demo", serial), ("my_project", serial)]);
            assert_eq!(list.html(7), list_html(7, entries.iter()));
        }
        let html = String::from_utf8(list_html(7, entries.iter())).expect("text");
        for other in
            ["", "[]", &html.replace("</a>", "</a> "), &html.replace("demo/", "https://evil.example/"), &html[1..]]
        {
            assert!(List::read(other.as_bytes(), 2).is_none(), "{other}");
        }
    }

    #[test]
    fn a_list_of_far_more_entries_is_not_built() {
        for item in ["{\"name\":\"a\"}", "[\"a\",1]", "{\"n\\u0061me\":\"a\"}"] {
            let list = |count: usize| format!("{{\"projects\":[{}]}}", vec![item; count].join(","));
            let most = (1..).find(|count| List::read(list(*count).as_bytes(), 100).is_none()).expect("there is an end");
            assert!((200..=240).contains(&most), "{item}: {most}");
        }
        let name: NormalizedName = "demo".parse().expect("a name");
        let listing = Listing { serial: Some(1), is_listed: true };
        assert_eq!(list_bytes_max(&BTreeMap::from([(name, listing)])), (64 << 10) + 4 * 4 + 1_001 * 256);
    }

    #[test]
    fn pages_are_known_by_their_target_path() {
        let name: NormalizedName = "demo".parse().expect("a name");
        let path = Target::Page { project: "demo" }.path();
        assert_eq!(project_of(&path), Some(name));
        for other in
            [path.replace("simple/", "p/"), path.replace("index.json", "x.json"), format!("{path}/x"), String::new()]
        {
            assert_eq!(project_of(&other), None, "{other}");
        }
    }
}
