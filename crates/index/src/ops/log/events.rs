//! From a publication to entries. Only what is or was published is in the log: a project without a page has none.

use std::collections::BTreeMap;

use attest::Publisher;
use packaging::{NormalizedName, ProjectStatus};
use tlog::entry::{Account, Act, Change as Turn, Entry, FileName, LoggedFile, Project, Role, Status};
use tlog::{EntryError, Hash};

use super::names::{self, Who};
use crate::model::ProjectRole;
use crate::store::files::FileRow;
use crate::store::log::NameRow;
use crate::store::projects::ProjectRow;
use crate::store::{Tx, accounts};
use crate::{Error, Installation, Result};

/// What happened to a project, not yet in words.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Happened {
    what: What,
    /// The account that did it.
    by: Option<i64>,
}

/// Files by name and digest, accounts by row id.
#[derive(Debug, Clone)]
enum What {
    Publish(String, Hash),
    Yank(String, Hash),
    Unyank(String, Hash),
    Remove(String, Hash),
    Status(ProjectStatus),
    Role(Turn, Role, i64),
    Publisher(Turn, Publisher),
}

/// What a set does to one project, and the page that it then has.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Change {
    pub(in crate::ops) project_id: i64,
    pub(in crate::ops) project: NormalizedName,
    pub(in crate::ops) page: Option<Hash>,
    pub(in crate::ops) happened: Vec<Happened>,
}

/// Entries to be appended, and the pseudonyms that they introduce.
#[derive(Debug, Default)]
pub(in crate::ops) struct Drafts {
    pub(super) entries: Vec<String>,
    pub(super) names: BTreeMap<(i64, String), (NameRow, bool)>,
}

impl Drafts {
    /// Pseudonyms that the ledger does not have yet.
    pub(super) fn new_names(&self) -> impl Iterator<Item = (i64, &str, &NameRow)> {
        let new = self.names.iter().filter(|(_, (_, is_new))| *is_new);
        new.map(|((project, subject), (row, _))| (*project, subject.as_str(), row))
    }
}

/// What a set does to one file of a project.
pub(in crate::ops) fn of_file(row: &ProjectRow, file: &FileRow, now_visible: bool) -> Vec<Happened> {
    let (name, sha256) = (|| file.filename.clone(), Hash(*file.sha256().as_bytes()));
    let happened = |what, by| Happened { what, by };
    let (is_yanked, was_yanked) = (file.yanked.is_some(), file.published_yanked.is_some());
    let acted = row.acted_by();
    let mut out = Vec::new();
    match (file.published, now_visible) {
        (false, true) => {
            // Where a whole project comes back, that is nobody's upload.
            let is_back = row.published && row.status() != row.published_status();
            out.push(happened(What::Publish(name(), sha256), if is_back { acted } else { file.uploaded_by }));
            out.extend(is_yanked.then(|| happened(What::Yank(name(), sha256), acted)));
        }
        (true, false) => out.push(happened(What::Remove(name(), sha256), acted)),
        (true, true) if is_yanked && !was_yanked => out.push(happened(What::Yank(name(), sha256), acted)),
        (true, true) if was_yanked && !is_yanked => out.push(happened(What::Unyank(name(), sha256), acted)),
        (true, true) | (false, false) => {}
    }
    out
}

/// What a set does to a project as a whole: status, who has which role, and who publishes it from outside. `roles` and
/// `publishers` are the JSON that is published.
pub(in crate::ops) async fn of_project(
    tx: &mut Tx,
    row: &ProjectRow,
    roles: &str,
    publishers: &str,
) -> Result<Vec<Happened>> {
    // The log knows nothing of a project before its first page.
    let (status, before, bound) = match row.published {
        true => (row.published_status(), row.published_roles.as_str(), row.published_publishers.as_str()),
        false => (ProjectStatus::Active, "[]", "[]"),
    };
    let by = row.acted_by();
    let mut out = Vec::new();
    if row.status() != status {
        out.push(Happened { what: What::Status(row.status()), by });
    }
    for (turn, (role, name)) in turns(read_roles(before)?, read_roles(roles)?) {
        if let Some(account) = accounts::by_name(tx, &name).await? {
            out.push(Happened { what: What::Role(turn, role, account.id), by });
        }
    }
    let publishers = turns(read_publishers(bound)?, read_publishers(publishers)?);
    out.extend(publishers.map(|(turn, publisher)| Happened { what: What::Publisher(turn, publisher), by }));
    Ok(out)
}

/// What is lost between two lists, then what is gained.
fn turns<T: PartialEq + Clone>(before: Vec<T>, now: Vec<T>) -> impl Iterator<Item = (Turn, T)> {
    let lost: Vec<T> = before.iter().filter(|one| !now.contains(one)).cloned().collect();
    let gained = now.into_iter().filter(move |one| !before.contains(one));
    lost.into_iter().map(|one| (Turn::Remove, one)).chain(gained.map(|one| (Turn::Add, one)))
}

fn read_publishers(json: &str) -> Result<Vec<Publisher>> {
    serde_json::from_str(json).map_err(super::broken)
}

pub(super) fn read_roles(json: &str) -> Result<Vec<(Role, String)>> {
    #[derive(serde::Deserialize)]
    struct One {
        role: String,
        user: String,
    }
    let all: Vec<One> = serde_json::from_str(json).map_err(super::broken)?;
    let role = |text: &str| match ProjectRole::of_shown(text) {
        Some(ProjectRole::Owner) => Ok(Role::Owner),
        Some(ProjectRole::Maintainer) => Ok(Role::Maintainer),
        // In the log for ever: no guess.
        None => Err(super::broken(format!("the role {text} has no word in it"))),
    };
    all.into_iter().map(|One { role: text, user }| Ok((role(&text)?, user))).collect()
}

fn status(status: ProjectStatus) -> Status {
    match status {
        ProjectStatus::Active => Status::Active,
        ProjectStatus::Archived => Status::Archived,
        ProjectStatus::Deprecated => Status::Deprecated,
        ProjectStatus::Quarantined => Status::Quarantined,
    }
}

/// The entries of a set. A project's acts stand together.
pub(in crate::ops) async fn drafts(
    installation: &Installation,
    tx: &mut Tx,
    changes: &[Change],
    now_us: i64,
) -> Result<Drafts> {
    let mut drafts = Drafts::default();
    for change in changes {
        for Happened { what, by } in &change.happened {
            let by = by.map(Who::Account);
            let whom = match what {
                What::Role(_, _, account) => Some(Who::Account(*account)),
                What::Publisher(_, publisher) => Some(Who::Publisher(publisher.clone())),
                What::Publish(..) | What::Yank(..) | What::Unyank(..) | What::Remove(..) | What::Status(_) => None,
            };
            let (by, whom) = (
                names::said(installation, tx, &mut drafts, change.project_id, by).await?,
                names::said(installation, tx, &mut drafts, change.project_id, whom).await?,
            );
            // What is shown to anybody is in the log first. Names and digests are parsed before they come into the ledger, so what
            // has no spelling here is a mistake of ours, which would else be in front of everybody and in no log.
            let entry = entry(change, what, by, whom, now_us)
                .map_err(|error| super::broken(format!("{} has no entry: {error}", change.project)))?;
            drafts.entries.push(entry.to_string());
        }
    }
    Ok(drafts)
}

fn entry(
    change: &Change,
    what: &What,
    by: Option<Account>,
    whom: Option<Account>,
    now_us: i64,
) -> std::result::Result<Entry, EntryError> {
    let file = |name: &str, sha256: &Hash| Ok(LoggedFile { name: FileName::new(name)?, sha256: *sha256 });
    let act = match (what, whom) {
        (What::Publish(name, sha256), _) => Act::Publish(file(name, sha256)?),
        (What::Yank(name, sha256), _) => Act::Yank(file(name, sha256)?),
        (What::Unyank(name, sha256), _) => Act::Unyank(file(name, sha256)?),
        (What::Remove(name, sha256), _) => Act::Remove(file(name, sha256)?),
        (What::Status(new), _) => Act::Status(status(*new)),
        (What::Role(turn, role, _), Some(whom)) => Act::Owner(*turn, *role, whom),
        (What::Publisher(turn, _), Some(whom)) => Act::Publisher(*turn, whom),
        (What::Role(..) | What::Publisher(..), None) => return Err(EntryError::Field("whom")),
    };
    let time = now_us.div_euclid(1_000_000).cast_unsigned();
    Ok(Entry { time, project: Project::new(change.project.as_str())?, act, page: change.page, by })
}

/// What stands published of a project when its index's log begins: nobody's acts.
pub(super) async fn standing(tx: &mut Tx, row: &ProjectRow) -> Result<Vec<Happened>> {
    let mut out = Vec::new();
    let by = None;
    if row.published_status() != ProjectStatus::Active {
        out.push(Happened { what: What::Status(row.published_status()), by });
    }
    for (role, name) in read_roles(&row.published_roles)? {
        if let Some(account) = accounts::by_name(tx, &name).await? {
            out.push(Happened { what: What::Role(Turn::Add, role, account.id), by });
        }
    }
    let bound = read_publishers(&row.published_publishers)?.into_iter();
    out.extend(bound.map(|publisher| Happened { what: What::Publisher(Turn::Add, publisher), by }));
    let mut files = crate::store::publishing::published(tx, row.id).await?;
    files.sort_unstable_by(|one, two| one.filename.cmp(&two.filename));
    for file in files {
        let sha256 = Hash::from_hex(&file.sha256).ok_or_else(|| Error::Internal("no digest".into()))?;
        out.push(Happened { what: What::Publish(file.filename.clone(), sha256), by });
        if file.yanked {
            out.push(Happened { what: What::Yank(file.filename, sha256), by });
        }
    }
    Ok(out)
}
