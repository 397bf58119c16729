//! The pure function from published state to pages. No I/O, no clock: the same state gives the same bytes, in
//! a publication, in its replay after a crash, and in a rebuild.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use packaging::metadata::{self, CoreMetadata, Field};
use packaging::simple::{self, FileEntry, PageHead, Yanked};
use packaging::{NormalizedName, ProjectStatus, Sha256, Version};
use serde_json::{Value, json};
use sha2::Digest;
use tuf::layout::Target;

use crate::blobs::{Key, layout};
use crate::model::{FileKind, IndexName};
use crate::store::files::FileRow;
use crate::store::publishing::PublishedRow;

/// Raised whenever [`project_pages`], [`release_pages`], an entry or the list changes for the same state: what another version made is then
/// rendered again, in steps, under new serials (ADR 0019).
pub const RENDER_VERSION: i64 = 1;
/// Pages over this many bytes have a gzip form.
pub const GZIP_OVER_BYTES: usize = 400;
/// Pages over this many bytes are compressed fast rather than well.
const GZIP_FAST_OVER_BYTES: usize = 1 << 20;

/// A project as the site shows it, or is about to.
#[derive(Debug, Clone)]
pub struct ProjectView {
    /// Its index.
    pub index: IndexName,
    /// Normal name.
    pub name: NormalizedName,
    /// Published status.
    pub status: ProjectStatus,
    /// Its reason.
    pub reason: Option<String>,
    /// Roles, as JSON: `[{"role","user"}]`.
    pub roles: String,
    /// The serial under which this state was or will be published.
    pub serial: i64,
    /// Visible files; [`sort_files`] orders them.
    pub files: Vec<PublishedRow>,
}

/// One object to be written (`Some`) or taken away (`None`).
pub type Object = (Key, Option<Vec<u8>>);

/// Orders files as pages list them: by version, then by name.
pub fn sort_files(files: &mut [PublishedRow]) {
    let mut versions: BTreeMap<String, Option<Version>> = BTreeMap::new();
    for file in files.iter() {
        if !versions.contains_key(&file.version) {
            versions.insert(file.version.clone(), file.version.parse().ok());
        }
    }
    files.sort_by(|a, b| versions[&a.version].cmp(&versions[&b.version]).then_with(|| a.filename.cmp(&b.filename)));
}

impl ProjectView {
    /// The visible files of each release, by version, ascending. Files are in page order, so a release is a run.
    pub fn releases(&self) -> Vec<(&str, &[PublishedRow])> {
        self.files.chunk_by(|a, b| a.version == b.version).map(|run| (run[0].version.as_str(), run)).collect()
    }

    /// Versions that have a visible file, ascending.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.releases().into_iter().map(|(version, _)| version)
    }

    /// The version that the older JSON API shows first: not yanked before yanked, final before pre-release,
    /// then the highest.
    pub fn latest(&self) -> Option<&str> {
        let releases = self.releases().into_iter();
        let ranked = releases.map(|(version, files)| {
            let parsed: Option<Version> = version.parse().ok();
            let rank = (!files.iter().all(|file| file.yanked), parsed.as_ref().is_some_and(|v| !v.is_prerelease()));
            (rank, parsed, version)
        });
        ranked.max_by(|(a, a_version, _), (b, b_version, _)| (a, a_version).cmp(&(b, b_version))).map(|(_, _, v)| v)
    }

    /// The visible files of each release, to be looked up by its version.
    pub fn by_version(&self) -> BTreeMap<&str, &[PublishedRow]> {
        self.releases().into_iter().collect()
    }
}

/// The file whose metadata stands for a release: the first that was uploaded.
pub fn representative(release: &[PublishedRow]) -> Option<&PublishedRow> {
    release.iter().min_by_key(|file| file.id)
}

/// A file's two stored entries: for the project page, and for the older JSON API. `public_url`: without one no page can
/// name provenance, which PEP 740 wants absolute.
pub fn entries(index: &IndexName, file: &FileRow, public_url: Option<&str>) -> (String, String) {
    let sha256 = file.sha256();
    let metadata = file.metadata_sha256();
    let yanked = Yanked::from_reason(file.yanked.as_deref());
    let entry = FileEntry {
        filename: file.filename.clone(),
        sha256,
        size: file.size_bytes.max(0) as u64,
        upload_time_us: file.uploaded_us,
        requires_python: file.requires_python.clone(),
        core_metadata: metadata,
        yanked: yanked.clone(),
        provenance: file.provenance_sha256().and(public_url).and_then(|root| {
            let path = layout::provenance_path(&file.filename.parse().ok()?, &file.filename);
            Some(format!("{root}{}/{path}", index.url_prefix()))
        }),
        provenance_sha256: file.provenance_sha256(),
    };
    let time = simple::time_text(file.uploaded_us);
    let legacy = json!({
        "comment_text": file.comment,
        "core-metadata": metadata.map_or(json!(false), |hash| json!({ "sha256": hash })),
        "digests": { "blake2b_256": file.blake2, "md5": file.md5, "sha256": sha256 },
        "downloads": -1,
        "filename": file.filename,
        "has_sig": false,
        "md5_digest": file.md5,
        "packagetype": match file.kind() { FileKind::Sdist => "sdist", FileKind::Wheel => "bdist_wheel" },
        "python_version": file.python_tag,
        "requires_python": file.requires_python,
        "size": file.size_bytes,
        "upload_time": time.split('.').next().unwrap_or(&time).trim_end_matches('Z'),
        "upload_time_iso_8601": time,
        "url": format!("{}/{}", index.url_prefix(), simple::file_path(&sha256, &file.filename)),
        "yanked": yanked.is_yanked(),
        "yanked_reason": match &yanked { Yanked::Because(reason) => json!(reason), Yanked::No | Yanked::Yes => Value::Null },
    });
    (simple::entry_json(&entry), legacy.to_string())
}

/// A project's own pages: those of the Simple API, its page of the older JSON API, and what is signed. `latest`: the metadata
/// of [`ProjectView::latest`].
pub fn project_pages(view: &ProjectView, latest: Option<&CoreMetadata>) -> Vec<Object> {
    let ProjectView { index, name, status, reason, roles: _, serial, files } = view;
    let head = PageHead {
        name: name.clone(),
        last_serial: *serial,
        status: *status,
        status_reason: reason.clone(),
        versions: view.versions().map(str::to_owned).collect(),
    };
    let texts: Vec<&str> = files.iter().map(|file| file.entry.as_str()).collect();
    let parsed: Vec<FileEntry> =
        texts.iter().map(|text| simple::parse_entry(text).expect("the ledger holds entries of `entries`")).collect();
    let mut pages = vec![
        (layout::page(index, name, "json"), Some(simple::page_json(&head, &texts))),
        (layout::page(index, name, "html"), Some(simple::page_html(&head, parsed.iter()))),
    ];
    drop(parsed);
    let body = view.latest().zip(latest).map(|(version, metadata)| {
        let files = view.by_version().get(version).copied().unwrap_or_default();
        legacy_json(view, version, files, metadata, true)
    });
    pages.push((layout::legacy_project(index, name), body));
    let mut objects = with_gzip(pages);
    // The page once more under its content: who follows an older snapshot goes on finding the page it names.
    let page = layout::page(index, name, "json");
    let signed: Vec<Object> = objects
        .iter()
        .find_map(|(key, body)| Some(Sha256::new(sha2::Sha256::digest(body.as_ref().filter(|_| *key == page)?).into())))
        .map(|sha256| layout::page_target(index, name, &sha256))
        .into_iter()
        .flat_map(|target| {
            let body = |of: &Key| objects.iter().find(|(key, _)| key == of).and_then(|(_, body)| body.clone());
            [(target.gzip(), body(&page.gzip())), (target, body(&page))]
        })
        .collect();
    objects.extend(signed);
    objects.push((layout::target_paths(index, name), Some(target_paths(view))));
    objects
}

/// Pages of the older JSON API of some releases, each with the metadata of its representative; `None` for a release that has
/// no visible file any more.
pub fn release_pages(view: &ProjectView, releases: &BTreeMap<String, Option<CoreMetadata>>) -> Vec<Object> {
    let runs = view.by_version();
    let page = |(version, metadata): (&String, &Option<CoreMetadata>)| {
        let files = runs.get(version.as_str()).copied().unwrap_or_default();
        let body = metadata.as_ref().map(|metadata| legacy_json(view, version, files, metadata, false));
        (layout::legacy_release(&view.index, &view.name, version), body)
    };
    with_gzip(releases.iter().map(page).collect())
}

/// Which targets a project has: a convenience that nobody trusts.
fn target_paths(view: &ProjectView) -> Vec<u8> {
    let project = view.name.as_str();
    let files = view.files.iter().map(|file| Target::Distribution { project, filename: &file.filename }.path());
    let paths: Vec<String> = std::iter::once(Target::Page { project }.path()).chain(files).collect();
    let mut out = json!({ "targets": paths }).to_string().into_bytes();
    out.push(b'\n');
    out
}

/// Each page and its gzip form. A large page is compressed on a thread of its own: a project of 15,000 files has
/// three of them, and they are most of the work of publishing it.
fn with_gzip(pages: Vec<Object>) -> Vec<Object> {
    let compressed: Vec<Option<Vec<u8>>> = std::thread::scope(|scope| {
        let started: Vec<_> = pages
            .iter()
            .map(|(_, body)| {
                let body = body.as_ref().filter(|body| body.len() > GZIP_OVER_BYTES)?;
                Some(if body.len() > GZIP_FAST_OVER_BYTES {
                    Compressing::Apart(scope.spawn(|| gzip(body)))
                } else {
                    Compressing::Done(gzip(body))
                })
            })
            .collect();
        let finish = |one| match one {
            Compressing::Done(body) => body,
            Compressing::Apart(thread) => thread.join().expect("compressing does not panic"),
        };
        started.into_iter().map(|one| one.map(finish)).collect()
    });
    let forms = pages.iter().map(|(key, _)| key.gzip()).zip(compressed).collect::<Vec<_>>();
    pages.into_iter().zip(forms).flat_map(|(page, form)| [form, page]).collect()
}

enum Compressing<'scope> {
    Done(Vec<u8>),
    Apart(std::thread::ScopedJoinHandle<'scope, Vec<u8>>),
}

/// A page, its gzip form and their keys, for pages that are not a project's.
pub fn page_objects(key: Key, body: Vec<u8>) -> Vec<Object> {
    with_gzip(vec![(key, Some(body))])
}

/// The gzip form of a body: the same for the same body.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let level =
        if body.len() > GZIP_FAST_OVER_BYTES { flate2::Compression::fast() } else { flate2::Compression::new(6) };
    // No name and no time in the header: the same body gives the same bytes.
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), level);
    encoder.write_all(body).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// The older JSON API (pypi-behaviour §2.2). URLs are absolute paths on this server: the same entry stands on pages at
/// two depths, and no host is known here.
fn legacy_json(
    view: &ProjectView,
    version: &str,
    files: &[PublishedRow],
    metadata: &CoreMetadata,
    whole: bool,
) -> Vec<u8> {
    let join = |files: &[PublishedRow]| {
        let texts: Vec<&str> = files.iter().map(|file| file.legacy_entry.as_str()).collect();
        texts.join(",")
    };
    let representative: Value =
        representative(files).and_then(|file| serde_json::from_str(&file.legacy_entry).ok()).unwrap_or(Value::Null);
    let yanked = files.iter().all(|file| file.yanked);
    let reason = if yanked { representative["yanked_reason"].clone() } else { Value::Null };
    // A release's own page carries the serial that last changed it, so that an upload to one release leaves those of
    // the others as they are.
    let serial = if whole { view.serial } else { files.first().map_or(view.serial, |file| file.release_serial) };
    let mut out = Vec::new();
    let info = info_json(view, version, metadata, yanked, reason).to_string();
    let roles: Value = serde_json::from_str(&view.roles).unwrap_or_else(|_| json!([]));
    let ownership = json!({ "organization": null, "roles": roles });
    let _ = write!(out, "{{\"info\":{info},\"last_serial\":{},\"ownership\":{ownership}", serial);
    if whole {
        out.extend_from_slice(b",\"releases\":{");
        for (n, (version, files)) in view.releases().into_iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let _ = write!(out, "{comma}{}:[{}]", json!(version), join(files));
        }
        out.push(b'}');
    }
    let _ = write!(out, ",\"urls\":[{}],\"vulnerabilities\":[]}}", join(files));
    out.push(b'\n');
    out
}

fn info_json(view: &ProjectView, version: &str, metadata: &CoreMetadata, yanked: bool, reason: Value) -> Value {
    let one = |field: Field| json!(metadata.get(field));
    let text = |field: Field| json!(metadata.get(field).unwrap_or_default());
    let many = |field: Field| match metadata.all(field) {
        [] => Value::Null,
        values => json!(values),
    };
    let (name, root) = (&view.name, view.index.url_prefix());
    json!({
        "author": text(Field::Author),
        "author_email": text(Field::AuthorEmail),
        "bugtrack_url": null,
        "classifiers": metadata.all(Field::Classifier),
        "description": text(Field::Description),
        "description_content_type": one(Field::DescriptionContentType),
        "docs_url": null,
        "download_url": text(Field::DownloadUrl),
        "downloads": { "last_day": -1, "last_month": -1, "last_week": -1 },
        "dynamic": many(Field::Dynamic),
        "home_page": text(Field::HomePage),
        "keywords": text(Field::Keywords),
        "license": text(Field::License),
        "license_expression": one(Field::LicenseExpression),
        "license_files": many(Field::LicenseFile),
        "maintainer": text(Field::Maintainer),
        "maintainer_email": text(Field::MaintainerEmail),
        "name": metadata.get(Field::Name).unwrap_or(name.as_str()),
        "package_url": format!("{root}/project/{name}/"),
        "platform": one(Field::Platform),
        "project_url": format!("{root}/project/{name}/"),
        "project_urls": project_urls(metadata),
        "provides_extra": many(Field::ProvidesExtra),
        "release_url": format!("{root}/project/{name}/{version}/"),
        "requires_dist": many(Field::RequiresDist),
        "requires_python": one(Field::RequiresPython),
        "summary": text(Field::Summary),
        "version": version,
        "yanked": yanked,
        "yanked_reason": reason,
    })
}

/// Labels to URLs; Home-page and Download-URL join under their well-known labels (PEP 753).
pub fn project_urls(metadata: &CoreMetadata) -> Value {
    let mut urls = serde_json::Map::new();
    for value in metadata.all(Field::ProjectUrl) {
        if let Some((label, url)) = value.split_once(',') {
            urls.insert(label.trim().to_owned(), json!(url.trim()));
        }
    }
    let known: BTreeSet<String> = urls.keys().map(|label| label.to_ascii_lowercase()).collect();
    for (label, field) in [("Homepage", Field::HomePage), ("Download", Field::DownloadUrl)] {
        if let Some(url) = metadata.get(field).filter(|_| !known.contains(&label.to_ascii_lowercase())) {
            urls.insert(label.to_owned(), json!(url));
        }
    }
    if urls.is_empty() { Value::Null } else { Value::Object(urls) }
}

/// Bytes as the ledger keeps them: deflated.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// Metadata text as the ledger keeps it.
pub fn pack_metadata(text: &str) -> Vec<u8> {
    pack(text.as_bytes())
}

/// What was packed, again.
pub fn unpack_metadata(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoder = flate2::write::DeflateDecoder::new(&mut out);
    decoder.write_all(body).and_then(|()| decoder.try_finish()).expect("the ledger holds what `pack` made");
    drop(decoder);
    out
}

/// Metadata of a stored body.
pub fn parse_metadata(body: &[u8]) -> CoreMetadata {
    metadata::parse(&unpack_metadata(body)).0
}

/// The head: the serial, and which paths the latest serials changed. Nodes drop those from their caches.
pub fn head_json(serial: i64, recent: &[(i64, Vec<String>)]) -> Vec<u8> {
    let changed: Vec<Value> =
        recent.iter().map(|(serial, paths)| json!({ "paths": paths, "serial": serial })).collect();
    let mut out = json!({ "changed": changed, "serial": serial }).to_string().into_bytes();
    out.push(b'\n');
    out
}
