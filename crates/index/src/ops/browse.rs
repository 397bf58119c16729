//! What pages for people show: published state only, read from the ledger in one snapshot. Nothing is decided here,
//! and nothing that waits to be published is seen.

use std::collections::btree_map::Entry;
use std::io::Read;

use packaging::metadata::{self, CoreMetadata, Field};
use packaging::simple::{self, FileEntry};
use packaging::{NormalizedName, ProjectStatus, Version};
use serde::Deserialize;

use crate::model::names::Names;
use crate::render;
use crate::store::indexes::IndexRow;
use crate::store::projects::ProjectRow;
use crate::store::publishing::ReleaseSummaryRow;
use crate::store::{Tx, files, indexes, projects, publishing};
use crate::{Error, Installation, Result};

/// Projects on one page of the list.
pub const LISTED_MAX: usize = 50;
/// How much of a metadata text is read for its summary, in bytes; a summary stands near the top.
const SUMMARY_WITHIN_BYTES: u64 = 64 << 10;

/// How much an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Published projects.
    pub projects: i64,
    /// Published files.
    pub files: i64,
}

/// One project on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Normal name, its URL.
    pub name: String,
    /// Published spelling.
    pub display_name: String,
    /// Version of the file that came last; absent when no file is shown.
    pub version: Option<String>,
    /// Summary of the file that came last.
    pub summary: String,
    /// When that file came.
    pub changed_us: Option<i64>,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// In order of the normal name.
    pub projects: Vec<Listed>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// An account with a role on a project, as published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Person {
    /// The role.
    pub role: String,
    /// The account.
    pub user: String,
}

/// One release in a project's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Normalised spelling.
    pub version: String,
    /// When its first visible file came.
    pub first_us: i64,
    /// Its visible files.
    pub files: i64,
    /// Whether each of them is yanked.
    pub yanked: bool,
    /// Whether installers skip it unless asked.
    pub prerelease: bool,
}

/// A project, and one of its releases in full.
#[derive(Debug, Clone)]
pub struct ProjectPage {
    /// Normal name.
    pub name: NormalizedName,
    /// Published spelling.
    pub display_name: String,
    /// Published status.
    pub status: ProjectStatus,
    /// Its reason.
    pub reason: Option<String>,
    /// Published roles.
    pub people: Vec<Person>,
    /// Every release with a visible file, newest version first.
    pub releases: Vec<Release>,
    /// The release that the page is about; absent when nothing is shown, as in quarantine.
    pub shown: Option<Shown>,
}

/// The release that a page is about.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its line of the history.
    pub release: Release,
    /// Whether it is the one that the project's own page shows.
    pub is_latest: bool,
    /// Its visible files, by name.
    pub files: Vec<FileEntry>,
    /// Metadata of the file that stands for it.
    pub metadata: CoreMetadata,
}

/// Published projects and files of an index.
pub async fn counts(installation: &Installation, index: &IndexRow) -> Result<Counts> {
    let mut tx = installation.store.read().await?;
    let (projects, files) = projects::counts(&mut tx, index.id).await?;
    Ok(Counts { projects, files })
}

/// Published projects whose normal name contains `part`, from a normal name on.
pub async fn list(installation: &Installation, index: &IndexRow, part: &str, from: &str) -> Result<Listing> {
    let part = normal_part(part);
    let mut tx = installation.store.read().await?;
    let mut names = search(installation, &mut tx, index.id, &part, from).await?;
    let next = names.get(LISTED_MAX).cloned();
    names.truncate(LISTED_MAX);
    let mut listed = Vec::with_capacity(names.len());
    for name in names {
        let row = match name.parse() {
            Ok(name) => projects::by_name(&mut tx, index.id, &name).await?,
            Err(_) => None,
        };
        // Another search may have brought a later state of the names than this one reads.
        let Some(row) = row.filter(ProjectRow::is_listed) else { continue };
        let newest = publishing::newest(&mut tx, row.id).await?;
        listed.push(Listed {
            name,
            display_name: row.published_name,
            summary: newest.as_ref().map(|file| summary(&file.metadata)).unwrap_or_default(),
            changed_us: newest.as_ref().map(|file| file.uploaded_us),
            version: newest.map(|file| file.version),
        });
    }
    Ok(Listing { projects: listed, next })
}

/// One more than a page has of the published names that hold `part`, from a name on. The names are held by this process,
/// and before each search those are read that changed since the last.
async fn search(
    installation: &Installation,
    tx: &mut Tx,
    index_id: i64,
    part: &str,
    from: &str,
) -> Result<Vec<String>> {
    let serial = indexes::by_id(tx, index_id).await?.serial;
    let mut held = installation.names.lock().await;
    match held.entry(index_id) {
        Entry::Vacant(empty) => {
            let mut names: Vec<String> =
                projects::listed(tx, index_id).await?.into_iter().map(|row| row.name).collect();
            // PostgreSQL's order is that of its locale.
            names.sort_unstable();
            empty.insert((serial, Names::from_sorted(names.iter().map(String::as_str))));
        }
        Entry::Occupied(mut known) => {
            let (known_serial, names) = known.get_mut();
            if *known_serial < serial {
                for (name, is_listed) in projects::changed(tx, index_id, *known_serial).await? {
                    if is_listed { names.insert(&name) } else { names.remove(&name) }
                }
                *known_serial = serial;
            }
        }
    }
    let found = held.get(&index_id).map(|(_, names)| names.holding(part, from, LISTED_MAX + 1)).unwrap_or_default();
    Ok(found.into_iter().map(str::to_owned).collect())
}

/// The typed part of a name as it would stand inside a normal name.
fn normal_part(part: &str) -> String {
    let mut out = String::new();
    for c in part.trim().chars() {
        match c {
            '-' | '_' | '.' | ' ' if out.ends_with('-') => {}
            '-' | '_' | '.' | ' ' => out.push('-'),
            other => out.extend(other.to_lowercase()),
        }
    }
    out
}

/// A published project and one release of it: `version`, or the one that installers would most likely choose.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn project(
    installation: &Installation,
    index: &IndexRow,
    name: &NormalizedName,
    version: Option<&Version>,
) -> Result<ProjectPage> {
    let mut tx = installation.store.read().await?;
    let row = projects::by_name(&mut tx, index.id, name).await?.filter(|row| row.published);
    let row = row.ok_or_else(|| Error::NotFound(format!("There is no project '{name}' in this index.")))?;
    let mut rows: Vec<(Option<Version>, ReleaseSummaryRow)> =
        publishing::releases(&mut tx, row.id).await?.into_iter().map(|row| (row.version.parse().ok(), row)).collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0));
    let latest = rows.iter().max_by_key(|(parsed, row)| {
        // As `render::ProjectView::latest`: not yanked, then final, then highest.
        (row.usable > 0, parsed.as_ref().is_some_and(|v| !v.is_prerelease()), parsed.clone())
    });
    let latest = latest.map(|(_, row)| row.id);
    let wanted = match version {
        None => latest,
        Some(version) => {
            let found = rows.iter().find(|(parsed, _)| parsed.as_ref() == Some(version)).map(|(_, row)| row.id);
            Some(found.ok_or_else(|| Error::NotFound(format!("There is no release {version} of '{name}'.")))?)
        }
    };
    let shown = match rows.iter().find(|(_, row)| Some(row.id) == wanted) {
        None => None,
        Some((_, summary)) => Some(shown(&mut tx, summary, latest).await?),
    };
    Ok(ProjectPage {
        name: row.name(),
        display_name: row.published_name.clone(),
        status: row.published_status(),
        reason: row.published_reason.clone(),
        people: serde_json::from_str(&row.published_roles).unwrap_or_default(),
        releases: rows.iter().map(|(_, row)| release(row)).collect(),
        shown,
    })
}

async fn shown(tx: &mut Tx, row: &ReleaseSummaryRow, latest: Option<i64>) -> Result<Shown> {
    let body = files::metadata(tx, row.first_file).await?;
    let mut entries = Vec::new();
    for (entry, uploaded_us) in publishing::entries(tx, row.id).await? {
        let parsed = simple::parse_entry(&entry);
        let parsed = parsed.map_err(|e| Error::Internal(format!("an entry in the ledger is unreadable: {e}")))?;
        entries.push(FileEntry { upload_time_us: uploaded_us, ..parsed });
    }
    Ok(Shown {
        release: release(row),
        is_latest: latest == Some(row.id),
        files: entries,
        metadata: body.map(|body| render::parse_metadata(&body)).unwrap_or_default(),
    })
}

fn release(row: &ReleaseSummaryRow) -> Release {
    Release {
        version: row.version.clone(),
        first_us: row.first_us,
        files: row.files,
        yanked: row.usable == 0,
        prerelease: row.version.parse().is_ok_and(|v: Version| v.is_prerelease()),
    }
}

/// The summary of a stored metadata text, without unpacking a long description behind it.
fn summary(body: &[u8]) -> String {
    let mut head = Vec::new();
    // What is unpacked before an error still holds the summary.
    let _ = flate2::read::DeflateDecoder::new(body).take(SUMMARY_WITHIN_BYTES).read_to_end(&mut head);
    while std::str::from_utf8(&head).is_err_and(|e| e.error_len().is_none()) {
        head.pop();
    }
    metadata::parse(&head).0.get(Field::Summary).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_is_normalised_but_not_trimmed_of_separators() {
        for (typed, want) in [("Zope.Int", "zope-int"), (" a__b ", "a-b"), ("flask_", "flask-"), ("", "")] {
            assert_eq!(normal_part(typed), want, "{typed:?}");
        }
    }

    #[test]
    fn a_summary_is_found_before_a_description_of_any_length() {
        let text = format!("Metadata-Version: 2.1\nName: a\nVersion: 1\nSummary: short\n\n{}", "é".repeat(200_000));
        assert_eq!(summary(&render::pack_metadata(&text)), "short");
    }
}
