//! Checks outside this program: a service that is asked by HTTP, or a command. Each is told about a file in JSON and
//! answers findings in the JSON of `tidewaiter inspect`. It is trusted with findings and with nothing else: its answer
//! is read within limits, its ids stand below its name, its severity is capped, and when it does not answer that is a
//! finding too.

mod answer;
mod command;
mod description;
mod settings;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use inspect::{Confidence, Event, Finding, Severity};
use tokio::sync::Semaphore;

pub use description::{DESCRIPTION_BYTES_MAX, Described, describe};
pub use settings::{OUTSIDE_BYTES_MAX, OUTSIDE_MAX, parse};

/// What ids of these checks begin with: `external/<name>/<check>`.
pub const PREFIX: &str = "external/";
/// Largest answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The tag of the finding that stands for an answer that did not come; a policy can hold by it.
pub const UNANSWERED: &str = "inspection/unanswered";
/// Longest that a file waits for its turn at one outside check, in milliseconds.
const TURN_MS_MAX: u64 = 60_000;

/// How an outside check is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// `POST` to this URL.
    Service(String),
    /// A program and its arguments.
    Command(Vec<String>),
}

/// One outside check, as set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Its name: lower case, digits, `-`.
    pub name: String,
    /// How it is reached.
    pub how: How,
    /// Raised by the operator when it says something else than before; files are then inspected again with it.
    pub version: u32,
    /// The events on which it is asked.
    pub on: Vec<Event>,
    /// Longest that one answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// Questions at once.
    pub parallel: usize,
    /// The gravest that its findings can be.
    pub severity_max: Severity,
    /// Whether it gets the file's bytes.
    pub bytes: bool,
}

impl Outside {
    /// The id that its state and its silence go by.
    pub fn id(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

/// One question to a service.
#[derive(Debug)]
pub struct Question {
    /// Where.
    pub url: String,
    /// What is told: [`describe`].
    pub description: String,
    /// The file with its name, when the service may have it.
    pub file: Option<(File, String)>,
    /// Largest answer that is read, in bytes.
    pub answer_bytes_max: usize,
}

/// Asks a service: HTTP is not known here. It follows no redirect and gives the body of a 200, or says why there is
/// none.
#[derive(Clone)]
pub struct Http(pub Arc<Asking>);

/// See [`Http`].
pub type Asking = dyn Fn(Question) -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync;

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// The places of each outside check, in the order of the settings.
#[derive(Debug)]
pub(crate) struct Places(Vec<Arc<Semaphore>>);

impl Places {
    pub(crate) fn new(list: &[Outside]) -> Self {
        Self(list.iter().map(|outside| Arc::new(Semaphore::new(outside.parallel.max(1)))).collect())
    }
}

/// What came of one outside check: its id, what it took in microseconds (its turn included), its findings.
pub(crate) type Asked = (String, u64, Vec<Finding>);

/// Asks every outside check that one of these events concerns, side by side. `path`: where the file's bytes are.
pub(crate) async fn ask_all(
    installation: &crate::Installation,
    file: &Described<'_>,
    path: impl Fn() -> PathBuf,
) -> Vec<Asked> {
    let events = file.occasion.events();
    let asked = installation.settings.external.iter().zip(&installation.outside.0);
    let asked = asked.filter(|(outside, _)| outside.on.iter().any(|event| events.contains(event)));
    let asked: Vec<_> = asked.map(|(outside, places)| (outside, places, path())).collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let description = describe(file);
    let one = |(outside, places, path): (&'_ Outside, &'_ Arc<Semaphore>, PathBuf)| {
        let (description, places, filename) = (description.clone(), Arc::clone(places), file.filename.to_owned());
        let (outside, http) = (outside.clone(), installation.http.clone());
        async move {
            let begun = tokio::time::Instant::now();
            let findings = match answered(&outside, &places, http, description, path, filename).await {
                Ok(findings) => findings,
                Err(why) => {
                    tracing::warn!(check = outside.id(), why, "an outside check gave no answer");
                    vec![unanswered(&outside, &why)]
                }
            };
            (outside.id(), u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX), findings)
        }
    };
    join_all(asked.into_iter().map(one)).await
}

async fn answered(
    outside: &Outside,
    places: &Semaphore,
    http: Option<Http>,
    description: String,
    path: PathBuf,
    filename: String,
) -> Result<Vec<Finding>, String> {
    let turn = tokio::time::timeout(Duration::from_millis(TURN_MS_MAX), places.acquire()).await;
    let _turn = match turn {
        Ok(Ok(turn)) => turn,
        Ok(Err(_)) | Err(_) => return Err(format!("it had no room for {} s", TURN_MS_MAX / 1_000)),
    };
    let open = || File::open(&path).map_err(|error| format!("the file's bytes cannot be opened: {error}"));
    let file = if outside.bytes { Some(open()?) } else { None };
    let asking = async {
        match (&outside.how, http) {
            (How::Command(argv), _) => command::run(argv, &description, file).await,
            (How::Service(url), Some(Http(http))) => {
                let (url, file) = (url.clone(), file.map(|file| (file, filename)));
                http(Question { url, description, file, answer_bytes_max: ANSWER_BYTES_MAX }).await
            }
            (How::Service(_), None) => Err("this process asks no services".to_owned()),
        }
    };
    let answer = tokio::time::timeout(Duration::from_millis(outside.timeout_ms), asking).await;
    let answer = answer.map_err(|_| format!("it took longer than {} ms", outside.timeout_ms))??;
    answer::read(outside, &answer)
}

/// Silence is told and weighs little: a service that is down must not stop every upload. Who wants it otherwise writes
/// a rule of the policy for its tag. Whatever else was found holds as before.
fn unanswered(outside: &Outside, why: &str) -> Finding {
    inspect::findings::bounded(Finding {
        check: outside.id(),
        version: outside.version,
        severity: Severity::Low,
        confidence: Confidence::High,
        location: None,
        excerpt: String::new(),
        decoded: None,
        why: format!("The outside check '{}' gave no answer: {why}.", outside.name),
        tags: vec![UNANSWERED.into()],
    })
}
