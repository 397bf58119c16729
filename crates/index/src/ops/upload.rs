//! An upload, from bytes received to commit 1, and the bounded wait for publication.
//!
//! 1. The body is in `vault/incoming`, hashed while it came ([`receive`]).
//! 2. The sandboxed child reads the archive. Meanwhile the ledger is asked, and bytes and folders are synced under their
//!    key in the vault, unless somebody has the name.
//! 3. The rules return all rejections; with any, the bytes are taken back.
//! 4. **Commit 1**: one transaction with the file staged, its name and, where new, its project's name claimed,
//!    the inspection job, the audit row. From here on a 200 is true whatever happens.
//! 5. The inspection and the publisher are woken; the answer waits for them, bounded.
//!
//! A crash before 4 leaves at most bytes that no row knows: swept at the next start. A crash after 4 leaves a
//! job: done at the next start.

use std::path::Path;
use std::sync::Arc;

use blake2::{Blake2b, digest::consts::U32};
use md5::Md5;
use packaging::metadata::{self, CoreMetadata, Field};
use packaging::{DistFilename, NormalizedName, Rejection, Rule, Sha256, Version, hash};
use serde_json::json;
use sha2::Digest;
use tokio::sync::OwnedMutexGuard;

use crate::blobs::{Blobs, Incoming, Key, layout};
use crate::failpoint;
use crate::model::lifecycle::step;
use crate::model::{FileInput, FileKind, FileState, ProjectRole, TokenActor};
use crate::policy::attestations::{self, About, Attested};
use crate::policy::upload::{self as rules, Candidate, Facts, Form, KnownProject, KnownRelease, Received, Uploader};
use crate::render;
use crate::store::attestations::{NewProvenance, Waiting};
use crate::store::indexes::IndexRow;
use crate::store::jobs::JobKind;
use crate::store::{self, Tx, audit, files, jobs, notices, projects, uploads};
use crate::{Error, Gate, Installation, News, Result};

/// A body on its way in: written to the vault and hashed in one pass. Memory does not grow with it.
pub struct Receiving {
    incoming: Incoming,
    sha256: sha2::Sha256,
    blake2: Blake2b<U32>,
    md5: Md5,
    size: u64,
}

impl std::fmt::Debug for Receiving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiving").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Begins to receive a body.
pub fn receive(installation: &Installation, index: &IndexRow) -> Result<Receiving> {
    Ok(Receiving {
        incoming: installation.blobs.incoming(&index.name(), &installation.entropy)?,
        sha256: sha2::Sha256::new(),
        blake2: Blake2b::new(),
        md5: Md5::new(),
        size: 0,
    })
}

impl Receiving {
    /// Appends bytes. Blocks.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.incoming.write(bytes)?;
        self.sha256.update(bytes);
        self.blake2.update(bytes);
        self.md5.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of what came so far, hex.
    pub fn sha256_so_far(&self) -> String {
        hash::hex(&self.sha256.clone().finalize())
    }

    fn finish(self) -> (Incoming, Received) {
        let Self { incoming, sha256, blake2, md5, size } = self;
        failpoint::reach("upload.received");
        let sha256 = Sha256::new(sha256.finalize().into());
        let received =
            Received { size, sha256, blake2: hash::hex(&blake2.finalize()), md5: hash::hex(&md5.finalize()) };
        (incoming, received)
    }
}

/// An upload as the web layer received it.
#[derive(Debug)]
pub struct Upload {
    /// Its form.
    pub form: Form,
    /// The name of the `content` part; empty when there was none.
    pub filename: String,
    /// Its content type.
    pub content_type: Option<String>,
    /// The body, when there was one within the limit.
    pub body: Option<Receiving>,
}

/// What became of an upload that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The same bytes were there under this name: nothing was written.
    AlreadyHere,
    /// Staged, and by now in this state.
    Staged {
        /// The file's name.
        filename: String,
        /// The id of its status, for the uploader alone.
        status_id: String,
        /// Visible, held, or still staged when the wait ended.
        state: FileState,
        /// Whether the site shows it already.
        published: bool,
    },
}

/// Takes an upload, or returns every rule that it breaks.
///
/// # Errors
/// [`Error::Rejected`] with all rejections; nothing was kept.
pub async fn upload(
    installation: &Arc<Installation>,
    index: &IndexRow,
    actor: &TokenActor,
    upload: Upload,
) -> Result<Accepted> {
    if let Some(reason) = installation.uploads_refused() {
        return Err(Error::Rejected(vec![Rejection::new(Rule::UploadsOff, reason)]));
    }
    // The folders of a new index are made and synced by its founding.
    installation.until_founded().await;
    installation.room_for_inspection().await?;
    let judged = judge(installation, index, upload, Some(actor), Purpose::Upload).await?;
    if judged.identical {
        return Ok(Accepted::AlreadyHere);
    }
    let Judged { candidate, bytes: Some(bytes), metadata_text: Some(metadata_text), uploader, .. } = judged else {
        return Err(Error::Rejected(judged.rejections));
    };
    if !judged.rejections.is_empty() {
        return Err(Error::Rejected(judged.rejections));
    }
    let uploader = uploader.ok_or_else(|| Error::Internal("an upload has an uploader".into()))?;
    let mut published = installation.news.subscribe();
    // Without a wait, what follows may be gathered with what other uploads lead to.
    let _waiting = (installation.settings.upload_wait_ms > 0).then(|| installation.wait());
    let accepting = Accepting {
        installation: Arc::clone(installation),
        index: index.clone(),
        actor: actor.clone(),
        uploader,
        candidate: candidate.clone(),
        metadata_text,
    };
    // On its own: a client that hangs up now must not leave bytes stored without the commit that owns them.
    let accepted = tokio::spawn(accepting.store_and_commit(bytes));
    let (file_id, status_id) = match accepted.await.map_err(|e| Error::Internal(e.to_string()))?? {
        Committed::Staged { file_id, status_id } => (file_id, status_id),
        Committed::AlreadyHere => return Ok(Accepted::AlreadyHere),
    };
    failpoint::reach("upload.committed");
    installation.inspect_wake.notify_one();
    if installation.settings.gate == Gate::After {
        installation.wake_publishers();
    }
    let state = wait_for(installation, &mut published, file_id).await?;
    Ok(Accepted::Staged { filename: candidate.filename, status_id, state: state.0, published: state.1 })
}

/// Received bytes, and the turn at their key in the vault: another upload of the same bytes under the same name waits for
/// it, from before the ledger is asked until commit 1. Dropped before [`Bytes::hand_over`], what this upload put under the
/// key is taken back, and only then is the turn the next one's.
struct Bytes {
    blobs: Arc<Blobs>,
    incoming: Incoming,
    key: Key,
    is_stored: bool,
    /// Whether the name in the vault is this upload's work, and nobody else's to rely on yet.
    is_ours: bool,
    /// A dry run takes no turn: it keeps nothing, and nobody should wait for it.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Bytes {
    /// Keeps them under their key: synced, with the folders that lead there. Once; a second call finds it done.
    async fn store(mut self) -> Result<Self> {
        if self.is_stored {
            return Ok(self);
        }
        let work = move || -> std::io::Result<Self> {
            self.is_ours = self.blobs.store(&self.incoming, &self.key)?;
            self.is_stored = true;
            failpoint::reach("upload.stored");
            Ok(self)
        };
        Ok(tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))??)
    }

    /// From here on it is for the ledger to say whose they are: a commit that is reported as failed may have come to last.
    /// Returns whether they are this upload's to take back when the ledger does not know them.
    fn hand_over(&mut self) -> bool {
        std::mem::take(&mut self.is_ours)
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // What cannot be taken back now is swept at the next start.
        if self.is_ours
            && let Err(error) = self.blobs.discard(&self.key)
        {
            tracing::warn!(%error, "bytes of an upload that was not accepted stay until the next start");
        }
    }
}

/// An upload that the rules let pass, between its bytes and commit 1.
struct Accepting {
    installation: Arc<Installation>,
    index: IndexRow,
    actor: TokenActor,
    uploader: Uploader,
    candidate: Candidate,
    metadata_text: String,
}

impl Accepting {
    async fn store_and_commit(self, bytes: Bytes) -> Result<Committed> {
        let Self { installation, index, actor, uploader, candidate, metadata_text } = &self;
        // Synced before commit 1: a row must never promise bytes that a power cut can take.
        let mut bytes = bytes.store().await?;
        let ours = bytes.hand_over();
        let outcome = commit(installation, index, actor, uploader, candidate, metadata_text).await;
        if ours
            && !matches!(outcome, Ok(Committed::Staged { .. }))
            && let Err(error) = self.discard(&bytes.key).await
        {
            tracing::warn!(%error, "bytes of an upload that was not accepted stay until the next start");
        }
        outcome
    }

    /// Takes back bytes that no row came to own. What a row of theirs says is left to the publisher.
    async fn discard(&self, key: &Key) -> Result<()> {
        let mut tx = self.installation.store.read().await?;
        let row = files::by_name(&mut tx, self.index.id, &self.candidate.filename).await?;
        let sha256 = self.candidate.received.as_ref().map(|received| received.sha256);
        if row.is_none_or(|file| Some(file.sha256()) != sha256) {
            self.installation.blobs.discard(key)?;
        }
        Ok(())
    }
}

/// The dry run: the same rules over the same facts, and nothing kept. `actor` absent: offline or anonymous, so
/// rules about the uploader are not asked.
///
/// # Errors
/// Only when the server itself fails; rejections are the answer.
pub async fn check(
    installation: &Arc<Installation>,
    index: &IndexRow,
    actor: Option<&TokenActor>,
    upload: Upload,
) -> Result<Vec<Rejection>> {
    let judged = judge(installation, index, upload, actor, Purpose::DryRun).await?;
    Ok(if judged.identical { Vec::new() } else { judged.rejections })
}

/// Whether what passes is to be kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Upload,
    DryRun,
}

/// What the rules said of an upload.
struct Judged {
    candidate: Candidate,
    /// Absent where none came.
    bytes: Option<Bytes>,
    /// The text of the archive's metadata; absent where it cannot be read.
    metadata_text: Option<String>,
    /// Absent where nobody is named.
    uploader: Option<Uploader>,
    /// The very same bytes are here under this name, and the request is right: whatever rules about content say by now,
    /// nothing needs to be done.
    identical: bool,
    /// All of them, in the order of the rules.
    rejections: Vec<Rejection>,
}

/// Every rule, in one place for uploads and dry runs. While the child reads the archive the ledger is asked for the names
/// in the form, and where that breaks no rule and nobody has the file's name its bytes are stored: most uploads are
/// accepted, and wait for neither then.
async fn judge(
    installation: &Arc<Installation>,
    index: &IndexRow,
    upload: Upload,
    actor: Option<&TokenActor>,
    purpose: Purpose,
) -> Result<Judged> {
    let Upload { form, filename, content_type, body } = upload;
    let mut candidate = Candidate { form, filename, content_type, received: None, metadata: None, attested: None };
    let mut bytes = None;
    if let Some(body) = body {
        let (incoming, received) = body.finish();
        let key = layout::vault_file(&index.name(), &received.sha256, &candidate.filename);
        let turn = match purpose {
            Purpose::Upload => Some(installation.turns.lock(key.as_str()).await),
            Purpose::DryRun => None,
        };
        let blobs = Arc::clone(&installation.blobs);
        bytes = Some(Bytes { blobs, incoming, key, is_stored: false, is_ours: false, _turn: turn });
        candidate.received = Some(received);
    }
    let archive = bytes.as_ref().map(|bytes| bytes.incoming.path().to_owned());
    let meanwhile = async {
        let facts = facts(installation, index, &candidate, actor).await?;
        let is_new = candidate.project().is_some() && facts.registered.is_none();
        // A form that breaks a rule by itself names nothing that bytes could be kept under, and who may not upload writes
        // nothing that has to be synced.
        let hopeful = || -> Result<bool> {
            let uploader = actor.map(|actor| uploader(&facts, &candidate, actor)).transpose()?;
            let now = installation.clock.now_us();
            let ledger = rules::ledger_rules(&candidate, &facts, uploader.as_ref(), &installation.settings, now);
            Ok(ledger.is_empty() && rules::form_rules(&candidate, index.profile()).is_empty())
        };
        Ok::<_, Error>(match bytes {
            Some(bytes) if purpose == Purpose::Upload && is_new && hopeful()? => (facts, Some(bytes.store().await?)),
            bytes => (facts, bytes),
        })
    };
    let (examined, meanwhile) = tokio::join!(examine(installation, &candidate, archive.as_deref()), meanwhile);
    let (mut facts, bytes) = meanwhile?;
    let Examined { metadata, mut rejections } = examined?;
    let asked = named(&candidate);
    let metadata_text = metadata.map(|(parsed, text)| {
        candidate.metadata = Some(parsed);
        text
    });
    // The archive is the truth about its names.
    if named(&candidate) != asked {
        facts = self::facts(installation, index, &candidate, actor).await?;
    }
    rejections.extend(rules::form_rules(&candidate, index.profile()));
    let uploader = match actor {
        None => None,
        Some(actor) => Some(uploader(&facts, &candidate, actor)?),
    };
    match attested(installation, &candidate, &facts).await? {
        Ok(found) => candidate.attested = found,
        Err(found) => rejections.extend(found),
    }
    let now = installation.clock.now_us();
    let ledger = rules::ledger_rules(&candidate, &facts, uploader.as_ref(), &installation.settings, now);
    let identical = candidate.is_already_here(&facts)
        && rules::request_rules(&candidate).is_empty()
        && ledger.iter().all(|rejection| !matches!(rejection.rule, Rule::TokenScope | Rule::Permission));
    rejections.extend(ledger);
    rejections.retain(|rejection| rejection.rule.applies(index.profile()));
    let rejections = rules::in_order(rejections);
    Ok(Judged { candidate, bytes, metadata_text, uploader, identical, rejections })
}

/// What the ledger is asked for besides the file's own name.
fn named(candidate: &Candidate) -> (Option<NormalizedName>, Option<Version>) {
    (candidate.project(), candidate.version())
}

/// What the sandboxed child says of the archive.
#[derive(Default)]
struct Examined {
    /// Its metadata, parsed and as text.
    metadata: Option<(CoreMetadata, String)>,
    rejections: Vec<Rejection>,
}

async fn examine(installation: &Installation, candidate: &Candidate, archive: Option<&Path>) -> Result<Examined> {
    // Without a file name that says what it is, there is nothing to hold the archive against.
    let (Some(archive), Some(_)) = (archive, candidate.dist()) else { return Ok(Examined::default()) };
    let request = inspect::Request::Rules {
        subject: inspect::Subject::Distribution(candidate.filename.clone()),
        limits: installation.settings.archive.clone(),
    };
    match installation.pass(archive, request).await? {
        Ok(inspect::Response::Rules(report)) => {
            let mut rejections = report.rejections;
            let metadata = report.metadata.map(|text| {
                let (parsed, problems) = metadata::parse(text.as_bytes());
                rejections.extend(problems);
                (parsed, text)
            });
            Ok(Examined { metadata, rejections })
        }
        Ok(_) => Err(Error::Internal("the sandbox answered another question".into())),
        Err(inspect::Failure::Unavailable(why)) => Err(Error::Unavailable(why)),
        Err(failure) => {
            let why = format!("Invalid distribution file. It cannot be read: {failure}.");
            Ok(Examined { metadata: None, rejections: vec![Rejection::new(Rule::InspectionFailed, why)] })
        }
    }
}

/// What the upload's attestations are; `None` without any, and where there is no file that they could be of.
async fn attested(
    installation: &Installation,
    candidate: &Candidate,
    facts: &Facts,
) -> Result<std::result::Result<Option<Attested>, Vec<Rejection>>> {
    let (Some(text), Some(dist), Some(received)) =
        (candidate.form.attestations.clone(), candidate.dist(), &candidate.received)
    else {
        return Ok(Ok(None));
    };
    let project = candidate.project().unwrap_or_else(|| dist.project());
    let (root, sha256, publishers) =
        (installation.settings.trust_root.clone(), received.sha256, facts.publishers.clone());
    // Several signatures are verified; a worker of the server has other things to do meanwhile.
    let work = move || {
        let about = About { project: &project, dist: &dist, sha256: &sha256, publishers: &publishers };
        attestations::judge(root.as_deref(), &text, &about).map(Some)
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))
}

fn uploader(facts: &Facts, candidate: &Candidate, actor: &TokenActor) -> Result<Uploader> {
    let name = facts.account.clone();
    let name = name.ok_or_else(|| Error::Forbidden("Invalid or non-existent authentication information.".into()))?;
    let token_covers = candidate.project().is_none_or(|project| actor.covers(&project));
    Ok(Uploader { name, token_covers })
}

/// What the ledger knows about the candidate's names, as of now.
async fn facts(
    installation: &Installation,
    index: &IndexRow,
    candidate: &Candidate,
    actor: Option<&TokenActor>,
) -> Result<Facts> {
    // One statement, but for an upload with attestations; what counts is asked again inside the write.
    facts_in(&mut installation.store.glance().await?, index, candidate, actor).await
}

/// As [`facts`], as a transaction sees it.
async fn facts_in(tx: &mut Tx, index: &IndexRow, candidate: &Candidate, actor: Option<&TokenActor>) -> Result<Facts> {
    let project = candidate.project();
    let asked = uploads::Asked {
        account_id: actor.map(|actor| actor.account_id),
        project: project.as_ref(),
        canonical: candidate.version().map(|version| version.canonical()),
        meaning: candidate.dist().map(|dist| dist.meaning()),
        filename: &candidate.filename,
        sha256: candidate.received.as_ref().map(|received| &received.sha256),
    };
    let row = uploads::facts(tx, index.id, &asked).await?;
    if project.is_none() {
        return Ok(Facts { account: row.account, ..Facts::default() });
    }
    let state: Option<FileState> = word(row.registered_state)?;
    let registered = row.registered_name.zip(word(row.registered_sha256)?);
    let publishers = match (&candidate.form.attestations, row.project_id, &project) {
        (None, ..) | (_, None, None) => Vec::new(),
        (Some(_), Some(project_id), _) => store::attestations::publishers(tx, project_id).await?,
        (Some(_), None, Some(name)) => {
            let account_id = actor.map_or(0, |actor| actor.account_id);
            store::attestations::pending(tx, Waiting { index_id: index.id, name, account_id }).await?
        }
    };
    Ok(Facts {
        account: row.account,
        site_role: row.site_role.and_then(|role| role.parse().ok()),
        role: word(row.role)?,
        project: match (row.project_id, word(row.status)?, row.files_bytes) {
            (Some(id), Some(status), Some(files_bytes)) => Some(KnownProject { id, status, files_bytes }),
            _ => None,
        },
        release: row.release_id.zip(row.release_us).map(|(id, created_us)| KnownRelease { id, created_us }),
        was_removed: registered.is_some() && state.is_none_or(|state| state == FileState::Removed),
        was_refused: state == Some(FileState::Refused),
        registered,
        look_alike: row.look_alike,
        other_sdist: row.other_sdist,
        same_content: row.same_content,
        publishers: publishers.into_iter().map(|bound| bound.publisher).collect(),
    })
}

/// A word of the ledger's as what it means.
fn word<T: std::str::FromStr>(text: Option<String>) -> Result<Option<T>> {
    let unknown = |text: &str| Error::Internal(format!("the ledger holds only known words, not '{text}'"));
    text.map(|text| text.parse().map_err(|_| unknown(&text))).transpose()
}

enum Committed {
    Staged { file_id: i64, status_id: String },
    AlreadyHere,
}

/// Commit 1. The ledger's rules are asked again inside the write, where no other writer can get in between.
async fn commit(
    installation: &Installation,
    index: &IndexRow,
    actor: &TokenActor,
    uploader: &Uploader,
    candidate: &Candidate,
    metadata_text: &str,
) -> Result<Committed> {
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let facts = facts_in(&mut tx, index, candidate, Some(actor)).await?;
    if candidate.is_already_here(&facts) {
        return Ok(Committed::AlreadyHere);
    }
    let rejections = rules::ledger_rules(candidate, &facts, Some(uploader), &installation.settings, now);
    if !rejections.is_empty() {
        return Err(Error::Rejected(rules::in_order(rejections)));
    }
    let claim = Claim::of(candidate)?;
    let display = candidate.truth().get(Field::Name).unwrap_or(claim.project.as_str()).to_owned();
    let is_new = facts.project.is_none();
    if is_new {
        projects::insert(&mut tx, index.id, &claim.project, &display, now);
    }
    let (project_id, release_id) = match (facts.project, facts.release) {
        (Some(project), Some(release)) => (project.id, release.id),
        _ => {
            let (version, canonical) = (claim.version.to_string(), claim.version.canonical());
            projects::insert_release(&mut tx, index.id, &claim.project, &version, &canonical, now).await?
        }
    };
    if is_new {
        projects::set_role(&mut tx, project_id, actor.account_id, index.id, ProjectRole::Owner);
        let waiting = Waiting { index_id: index.id, name: &claim.project, account_id: actor.account_id };
        store::attestations::settle_pending(&mut tx, waiting, project_id);
        let name = claim.project.as_str();
        audit::note(&mut tx, Some(index.id), now, &uploader.name, "project.create", name, json!({}));
    }
    let subject = files::subject(&claim.project, &candidate.filename);
    let publisher = candidate.attested.as_ref().map(|attested| &attested.publisher);
    let detail = json!({ "sha256": claim.received.sha256, "token": actor.token_id, "publisher": publisher });
    let bytes = claim.received.size as i64;
    let new = claim.into_file(candidate, metadata_text, (index.id, project_id, release_id), now, actor.account_id);
    let file_id = files::insert(&mut tx, new).await?;
    projects::uploaded(&mut tx, project_id, &display, bytes);
    jobs::enqueue(&mut tx, JobKind::Inspect, index.id, project_id, Some(file_id), now);
    let status_id = hash::hex(&installation.entropy.bytes::<16>());
    notices::insert_upload(&mut tx, &status_id, index.id, file_id, actor.account_id, now);
    if installation.settings.gate == Gate::After {
        let next = step(FileState::Staged, FileInput::Admitted).map_err(|e| Error::Internal(e.to_string()))?;
        files::set_state(&mut tx, file_id, next);
        projects::touch(&mut tx, project_id, Some(actor.account_id));
        jobs::enqueue(&mut tx, JobKind::Publish, index.id, project_id, None, now);
    }
    audit::note(&mut tx, Some(index.id), now, &uploader.name, "file.stage", &subject, detail);
    tx.commit().await?;
    Ok(Committed::Staged { file_id, status_id })
}

/// What an accepted upload is known to have; the rules refused it otherwise.
struct Claim {
    project: NormalizedName,
    version: Version,
    received: Received,
    dist: DistFilename,
}

impl Claim {
    fn of(candidate: &Candidate) -> Result<Self> {
        let lacks = |what: &str| Error::Internal(format!("an accepted upload lacks {what}"));
        Ok(Self {
            project: candidate.project().ok_or_else(|| lacks("a project"))?,
            version: candidate.version().ok_or_else(|| lacks("a version"))?,
            received: candidate.received.clone().ok_or_else(|| lacks("bytes"))?,
            dist: candidate.dist().ok_or_else(|| lacks("a file name"))?,
        })
    }

    /// The file's row. `ids`: index, project, release.
    fn into_file(
        self,
        candidate: &Candidate,
        metadata_text: &str,
        ids: (i64, i64, i64),
        now_us: i64,
        account_id: i64,
    ) -> files::NewFile {
        let Self { project: _, version: _, received, dist } = self;
        let (index_id, project_id, release_id) = ids;
        let (kind, python_tag, metadata_sha256) = match &dist {
            DistFilename::Wheel(_) => {
                let digest = Sha256::new(sha2::Sha256::digest(metadata_text.as_bytes()).into());
                (FileKind::Wheel, candidate.form.pyversion.clone().unwrap_or_default(), Some(digest))
            }
            DistFilename::Sdist(_) => (FileKind::Sdist, "source".to_owned(), None),
        };
        files::NewFile {
            index_id,
            project_id,
            release_id,
            filename: candidate.filename.clone(),
            meaning: dist.meaning(),
            kind,
            python_tag,
            comment: candidate.form.comment.clone().unwrap_or_default(),
            size_bytes: received.size as i64,
            sha256: received.sha256,
            blake2: received.blake2,
            md5: received.md5,
            requires_python: candidate.truth().get(Field::RequiresPython).map(str::to_owned),
            metadata_sha256,
            metadata_body: render::pack_metadata(metadata_text),
            uploaded_us: now_us,
            uploaded_by: Some(account_id),
            provenance: candidate.attested.as_ref().map(|Attested { publisher, provenance }| NewProvenance {
                publisher: publisher.clone(),
                sha256: Sha256::new(sha2::Sha256::digest(provenance).into()),
                body: render::pack(provenance),
            }),
        }
    }
}

/// Waits until the file is published or held, at most `upload_wait_ms`. Holds no connection, lock or worker
/// meanwhile; it decides only what the answer says.
async fn wait_for(
    installation: &Installation,
    published: &mut tokio::sync::broadcast::Receiver<News>,
    file_id: i64,
) -> Result<(FileState, bool)> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(installation.settings.upload_wait_ms);
    loop {
        if tokio::time::Instant::now() >= deadline {
            return Ok((FileState::Staged, false));
        }
        // Another node may publish, so the ledger is looked at now and then besides.
        let next = deadline.min(tokio::time::Instant::now() + std::time::Duration::from_millis(500));
        let named = match tokio::time::timeout_at(next, published.recv()).await {
            Ok(Ok(News::Published(publication))) => publication.files.contains(&file_id),
            Ok(Ok(News::Judged(files))) => files.contains(&file_id),
            Ok(Err(_)) | Err(_) => true,
        };
        if named {
            let mut tx = installation.store.read().await?;
            let file = files::by_id(&mut tx, file_id).await?;
            if file.published || matches!(file.state(), FileState::Held | FileState::Refused | FileState::Removed) {
                return Ok((file.state(), file.published));
            }
        }
    }
}
