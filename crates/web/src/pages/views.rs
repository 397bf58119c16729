//! What templates print. No rule is decided here; words are chosen.

use askama::Template;
use index::model::IndexName;
use index::ops::browse::{Listing, ProjectPage, Release, Shown};
use index::render;
use packaging::metadata::{CoreMetadata, Field};
use packaging::rules::Class;
use packaging::simple::{FileEntry, Yanked, file_path, time_text};
use packaging::{ProjectStatus, Rule};

use super::address::{Commands, pinned};
use super::assets::{MARK_URL, STYLE_URL};
use crate::description::Rendered;

/// What every page has around its content.
pub(super) struct Frame {
    pub(super) css: &'static str,
    pub(super) mark: &'static str,
    pub(super) index: String,
    pub(super) is_main: bool,
    pub(super) prefix: String,
    /// Whether the header has the search box; pages that show it larger do not.
    pub(super) search: bool,
    pub(super) query: String,
    /// Whether this is not the first page of a list.
    pub(super) later: bool,
}

impl Frame {
    pub(super) fn new(index: &IndexName) -> Self {
        Self {
            css: &STYLE_URL,
            mark: &MARK_URL,
            index: index.to_string(),
            is_main: index.is_main(),
            prefix: index.url_prefix(),
            search: true,
            query: String::new(),
            later: false,
        }
    }
}

#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct Home {
    pub(super) frame: Frame,
    pub(super) profile: &'static str,
    pub(super) projects: i64,
    pub(super) files: i64,
    /// Why uploads are off, when they are.
    pub(super) closed: Option<&'static str>,
    pub(super) commands: Commands,
}

#[derive(Template)]
#[template(path = "upload.html")]
pub(super) struct Upload {
    pub(super) frame: Frame,
    pub(super) closed: Option<&'static str>,
    pub(super) commands: Commands,
}

#[derive(Template)]
#[template(path = "missing.html")]
pub(super) struct Missing {
    pub(super) frame: Frame,
    pub(super) message: String,
}

#[derive(Template)]
#[template(path = "list.html")]
pub(super) struct List {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    name: String,
    display_name: String,
    version: Option<String>,
    summary: String,
    date: Option<String>,
    iso: String,
}

impl List {
    pub(super) fn new(index: &IndexName, query: String, later: bool, listing: Listing) -> Self {
        let prefix = index.url_prefix();
        let next = listing.next.map(|from| match query.as_str() {
            "" => format!("{prefix}/projects/?from={from}"),
            query => format!("{prefix}/projects/?q={}&from={from}", percent(query)),
        });
        let row = |listed: index::ops::browse::Listed| Row {
            name: listed.name,
            display_name: listed.display_name,
            version: listed.version,
            summary: listed.summary,
            date: listed.changed_us.map(date),
            iso: listed.changed_us.map(time_text).unwrap_or_default(),
        };
        let rows = listing.projects.into_iter().map(row).collect();
        Self { frame: Frame { query, later, ..Frame::new(index) }, rows, next }
    }
}

#[derive(Template)]
#[template(path = "project.html")]
pub(super) struct Project {
    frame: Frame,
    name: String,
    normal: String,
    statuses: Vec<Status>,
    shown: Option<ShownView>,
    releases: Vec<ReleaseView>,
}

struct Status {
    kind: &'static str,
    title: &'static str,
    text: String,
    reason: Option<String>,
}

struct ShownView {
    version: String,
    summary: String,
    date: String,
    iso: String,
    is_latest: bool,
    pip: String,
    uv: String,
    description: String,
    images: usize,
    with_images: bool,
    facts: Vec<Fact>,
    files: Vec<FileView>,
}

struct FileView {
    url: String,
    filename: String,
    kind: &'static str,
    size: String,
    date: String,
    iso: String,
    sha256: String,
    requires_python: Option<String>,
    yanked: bool,
    reason: Option<String>,
}

struct ReleaseView {
    version: String,
    date: String,
    iso: String,
    files: String,
    yanked: bool,
    prerelease: bool,
    current: bool,
}

/// One line of the details, as an author gave it.
struct Fact {
    label: &'static str,
    code: bool,
    values: Vec<FactValue>,
}

struct FactValue {
    text: String,
    href: Option<String>,
}

impl Project {
    pub(super) fn new(
        index: &IndexName,
        page: &ProjectPage,
        is_release: bool,
        description: Option<&Rendered>,
        images: bool,
        commands: &Commands,
    ) -> Self {
        let ProjectPage { name, display_name, status, reason, people, releases, shown } = page;
        // Nothing installable is shown of a quarantined project, whatever the ledger holds.
        let shown = shown.as_ref().filter(|_| *status != ProjectStatus::Quarantined);
        let mut statuses = Vec::from_iter(project_status(*status, reason.as_deref()));
        match shown {
            Some(shown) => statuses.extend(release_status(shown)),
            None if *status != ProjectStatus::Quarantined => statuses.push(Status {
                kind: "info",
                title: "Nothing to install",
                text: "This project has no files any more.".into(),
                reason: None,
            }),
            None => {}
        }
        let view = shown.map(|shown| {
            let what = if is_release { pinned(name.as_str(), &shown.release.version) } else { name.to_string() };
            let mut facts = facts(&shown.metadata);
            if !people.is_empty() {
                let values = people.iter().map(|person| text(&format!("{} ({})", person.user, person.role))).collect();
                facts.push(Fact { label: "Roles in this index", code: false, values });
            }
            ShownView {
                version: shown.release.version.clone(),
                summary: shown.metadata.get(Field::Summary).unwrap_or_default().to_owned(),
                date: date(shown.release.first_us),
                iso: time_text(shown.release.first_us),
                is_latest: shown.is_latest,
                pip: commands.pip(&what),
                uv: commands.uv(&what),
                description: described(shown, description, images),
                images: description.map_or(0, |rendered| rendered.images),
                with_images: images,
                facts,
                files: shown.files.iter().map(|file| file_view(index, file)).collect(),
            }
        });
        let current = shown.map(|shown| shown.release.version.as_str());
        Self {
            frame: Frame::new(index),
            name: display_name.clone(),
            normal: name.to_string(),
            statuses,
            shown: view,
            releases: releases.iter().map(|release| release_view(release, current)).collect(),
        }
    }
}

fn described(shown: &Shown, description: Option<&Rendered>, images: bool) -> String {
    let blank = shown.metadata.get(Field::Description).unwrap_or_default().trim().is_empty();
    match description {
        Some(rendered) if !blank => rendered.html(images).to_owned(),
        _ => String::new(),
    }
}

fn project_status(status: ProjectStatus, reason: Option<&str>) -> Option<Status> {
    let (kind, title, text) = match status {
        ProjectStatus::Active => return None,
        ProjectStatus::Archived => {
            ("warn", "Archived", "No further releases are expected. Existing files can still be installed.")
        }
        ProjectStatus::Deprecated => {
            ("warn", "Deprecated", "Its owners advise against using this project in new work.")
        }
        ProjectStatus::Quarantined => (
            "danger",
            "Quarantined",
            "This project may be unsafe. None of its files can be installed until the case is decided.",
        ),
    };
    Some(Status { kind, title, text: text.into(), reason: reason.filter(|r| !r.is_empty()).map(str::to_owned) })
}

fn release_status(shown: &Shown) -> Vec<Status> {
    let mut out = Vec::new();
    if shown.release.yanked {
        let reason = shown.files.iter().find_map(|file| match &file.yanked {
            Yanked::Because(reason) => Some(reason.clone()),
            Yanked::No | Yanked::Yes => None,
        });
        let text = "Installers pass this release over unless it is asked for by its exact version.";
        out.push(Status { kind: "warn", title: "Yanked", text: text.into(), reason });
    }
    if shown.release.prerelease {
        let text = "Installers pass it over unless pre-releases are asked for, or nothing else is there.";
        out.push(Status { kind: "info", title: "Pre-release", text: text.into(), reason: None });
    }
    out
}

fn file_view(index: &IndexName, file: &FileEntry) -> FileView {
    let reason = match &file.yanked {
        Yanked::Because(reason) => Some(reason.clone()),
        Yanked::No | Yanked::Yes => None,
    };
    FileView {
        url: format!("{}/{}", index.url_prefix(), file_path(&file.sha256, &file.filename)),
        kind: if file.filename.ends_with(".whl") { "wheel" } else { "source" },
        filename: file.filename.clone(),
        size: size(file.size),
        date: date(file.upload_time_us),
        iso: time_text(file.upload_time_us),
        sha256: file.sha256.to_string(),
        requires_python: file.requires_python.clone().filter(|text| !text.is_empty()),
        yanked: file.yanked.is_yanked(),
        reason,
    }
}

fn release_view(release: &Release, current: Option<&str>) -> ReleaseView {
    ReleaseView {
        version: release.version.clone(),
        date: date(release.first_us),
        iso: time_text(release.first_us),
        files: if release.files == 1 { "1 file".into() } else { format!("{} files", release.files) },
        yanked: release.yanked,
        prerelease: release.prerelease,
        current: current == Some(release.version.as_str()),
    }
}

fn text(text: &str) -> FactValue {
    FactValue { text: text.to_owned(), href: None }
}

fn facts(metadata: &CoreMetadata) -> Vec<Fact> {
    let mut out = Vec::new();
    let mut push = |label, code, values: Vec<FactValue>| {
        if !values.is_empty() {
            out.push(Fact { label, code, values });
        }
    };
    let one = |field| metadata.get(field).map(str::trim).filter(|value| !value.is_empty());
    let all = |field| metadata.all(field).iter().map(|value| text(value)).collect::<Vec<_>>();
    let links = render::project_urls(metadata);
    let links = links.as_object().into_iter().flatten();
    let links = links.map(|(label, url)| link(label, url.as_str().unwrap_or_default())).collect();
    push("Links", false, links);
    push("Requires Python", true, one(Field::RequiresPython).map(text).into_iter().collect());
    match one(Field::LicenseExpression) {
        Some(expression) => push("Licence", true, vec![text(expression)]),
        // Older metadata may hold the whole licence here; its first line names it.
        None => push(
            "Licence",
            false,
            one(Field::License).and_then(|all| all.lines().next()).map(text).into_iter().collect(),
        ),
    }
    push("Author", false, person(one(Field::Author), one(Field::AuthorEmail)));
    push("Maintainer", false, person(one(Field::Maintainer), one(Field::MaintainerEmail)));
    let keywords = one(Field::Keywords).map(|all| {
        all.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
    });
    push("Keywords", false, keywords.iter().map(|all| text(all)).collect());
    push("Requires", true, all(Field::RequiresDist));
    push("Extras", true, all(Field::ProvidesExtra));
    push("Classifiers", false, all(Field::Classifier));
    out
}

/// A link where the address is one for the web; anything else is shown as text.
fn link(label: &str, url: &str) -> FactValue {
    let safe = ["https://", "http://"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)));
    if safe {
        FactValue { text: label.to_owned(), href: Some(url.to_owned()) }
    } else {
        text(&format!("{label}: {url}"))
    }
}

fn person(name: Option<&str>, address: Option<&str>) -> Vec<FactValue> {
    [name, address].into_iter().flatten().map(text).collect()
}

#[derive(Template)]
#[template(path = "rules.html")]
pub(super) struct Rules {
    frame: Frame,
    groups: Vec<Group>,
}

struct Group {
    anchor: &'static str,
    title: &'static str,
    about: &'static str,
    rules: Vec<RuleView>,
}

struct RuleView {
    id: &'static str,
    anchor: String,
    status: u16,
    public_only: bool,
    sentence: Vec<Piece>,
    help: Vec<Piece>,
}

/// A part of a sentence of the catalogue, which marks code as Markdown does.
struct Piece {
    is_code: bool,
    text: &'static str,
}

fn pieces(sentence: &'static str) -> Vec<Piece> {
    sentence.split('`').enumerate().map(|(number, text)| Piece { is_code: number % 2 == 1, text }).collect()
}

impl Rules {
    pub(super) fn new() -> Self {
        let groups = [
            (Class::Access, "class-access", "Who may upload", "Asked of uploads only."),
            (
                Class::Form,
                "class-form",
                "How a request and a package are written",
                "Refused in an upload; noted in an import or a mirror.",
            ),
            (Class::State, "class-state", "What the index already holds", "Asked of uploads and imports."),
            (
                Class::Safety,
                "class-safety",
                "What could harm who installs",
                "Refused everywhere, whatever the profile.",
            ),
        ];
        let groups = groups.map(|(class, anchor, title, about)| {
            let rules =
                Rule::ALL.iter().filter(|rule| rule.row().class == class).map(|rule| rule_view(*rule)).collect();
            Group { anchor, title, about, rules }
        });
        Self { frame: Frame::new(&IndexName::main()), groups: groups.into() }
    }
}

fn rule_view(rule: Rule) -> RuleView {
    let row = rule.row();
    RuleView {
        id: row.id,
        anchor: row.id.replace('.', "-"),
        status: row.status,
        public_only: row.public_only,
        sentence: pieces(row.sentence),
        help: pieces(row.help),
    }
}

/// `22 Nov 2026`, in UTC.
fn date(unix_us: i64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let iso = time_text(unix_us);
    let mut parts = iso.split(['-', 'T']);
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let month = month.and_then(|month| month.parse::<usize>().ok()).and_then(|n| MONTHS.get(n.wrapping_sub(1)));
    match (year, month, day.and_then(|day| day.parse::<u8>().ok())) {
        (Some(year), Some(month), Some(day)) => format!("{day} {month} {year}"),
        _ => iso,
    }
}

/// Bytes for people, in powers of a thousand.
fn size(bytes: u64) -> String {
    match bytes {
        0..=999 => format!("{bytes} B"),
        1_000..=999_949 => format!("{:.1} kB", bytes as f64 / 1e3),
        999_950..=999_949_999 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Text for the query of an address.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
