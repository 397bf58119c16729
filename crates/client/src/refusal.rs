//! What is told to the person in front of an installer: which role or file, what is wrong with it, what to do.

use std::fmt;

use tuf::Why;
use url::Url;

use crate::fetch::FetchError;
use crate::session::ClientError;

/// What an installer is told instead of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is proven that the index has it not.
    Absent,
    /// What came is not to be trusted.
    Refused,
    /// Nothing came, or too slowly, or too much.
    Unreachable,
}

/// Why something is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the installer must make of it.
    pub kind: Kind,
    /// What was asked for: `page of demo`, `demo-1.0.tar.gz`.
    pub what: String,
    /// What is wrong, by role.
    pub cause: String,
    /// What to do.
    pub remedy: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind: _, what, cause, remedy } = self;
        write!(f, "{what}: {cause} ({remedy})")
    }
}

impl std::error::Error for Refusal {}

/// The cause that docs/client.md names for whatever was altered.
const OTHER_BYTES: &str = "refused: its length or digest is not the one that was signed for";

const OTHER_PLACE: &str = "whoever answers at this --index sends what the index did not sign: use another --index, and \
    tell its operator";
const OLD: &str = "whoever answers at this --index shows an old state: use another --index, or wait until it is up to \
    date; if the index itself was set back, its operator must follow the recovery runbook";
const CLOCK: &str = "either the clock of this machine is wrong, or whoever answers at this --index shows an old state, or \
    the index's operator must sign anew: `tidewaiter tuf status` tells them";
const RETRY: &str = "see whether the --index is up and reachable, try again later or use another --index";
const CAP: &str =
    "no signed file is that large: whoever answers at this --index sends endless data, use another --index";
const LESS: &str = "ask the project or the index's operator whether this is meant; if it is, run once with \
    --on-regression warn";
const PUBLISHER: &str = "ask the project whether it publishes from elsewhere now; if it does, remove its lines from \
    publishers.lock in the --state folder";
const UNATTESTED: &str = "choose a release that has one, ask the project to publish with attestations, or leave it out of \
    --attestations";
const LOG: &str = "the index shows different people different pasts, or its online key is in wrong hands: install nothing, \
    keep the --state folder as evidence, and tell its operator and other users; if its operator set the log back, say by \
    a restored backup, only they can say so: then delete the folder `log` beside the trusted roles";
const UNWITNESSED: &str = "either these witnesses are away or do not know this log, which its operator's own log says, or you \
    are shown a log that nobody else has seen: ask its operator before you go on";
const UNLOGGED: &str = "files are not yanked, removed or put back without an entry in the index's log: its online key may be in \
    wrong hands. Install nothing, and tell its operator; --on-regression off looks at none of this";
const REPLACED: &str = "an index never puts another file under a name that was taken: its online key may be in wrong hands. \
    Install nothing, and tell its operator; only if they say that it is meant, such as after a restored backup, delete the \
    project's file in the folder `pages` beside the trusted roles";
const ROOT: &str = "give the root.json that the operator of the index hands out: --root root.json";
const OFFLINE: &str =
    "it was never fetched and verified here: run once without --offline, with the same --state folder";
const OFFLINE_OLD: &str = "--offline uses what was verified before, which is too old by now: run once without --offline, or \
    allow the age with --max-age";
const HELD_BACK: &str = "the index signs for it, and whoever answers at this --index does not hand it out: use another \
    --index, or wait until this one is up to date";
const ADDRESS: &str = "see whether --index is the address that the index's operator gives out, such as \
    https://packages.example.org/ or …/i/team/";
const MOVED: &str = "redirects are not followed, as nobody signs for them: if the index has moved, give its new address as \
    --index";
const LOCKED: &str = "this --index wants a password, and the client has none to give: use another --index";
const BUSY: &str =
    "whoever answers at this --index fails or has too much to do: try again later or use another --index";
const SAFELY: &str = "either this is not the host that --index names, or it shows a certificate of an authority that this \
    machine does not know: --certificates FILE names one";
const SIGNED_SO: &str = "the index itself has signed it so, and every --index shows the same: tell its operator, and see \
    whether there is a newer tidewaiter";
const GONE: &str =
    "ask the installer again, it may work from an older page; if the file is gone, choose another version";
const UNNAMED: &str = "nothing need be done: the installer reads it in the file itself";
const MORE: &str = "mend what is named first, then run it again";
const GIVEN_ROOT: &str = "the file given as --root is none of this index's roots, or is damaged: take it again from the \
    index's operator";
const NO_LOG: &str = "there is nothing to follow: ask the index's operator";
const STATE: &str = "see whether the --state folder is writable and has room";
const NONE: &str = "check the spelling; the index proves by signature that it has nothing of this name";

impl Refusal {
    /// It was there when the installer was told of it, and is so no more.
    pub(crate) fn gone(what: &str) -> Self {
        let cause = "the index no longer signs for this file; it may have been withdrawn".to_owned();
        Self { kind: Kind::Absent, what: what.to_owned(), cause, remedy: GONE }
    }

    /// A file without core metadata beside it.
    pub(crate) fn unnamed(what: &str) -> Self {
        let cause = "the signed page names no metadata for it".to_owned();
        Self { kind: Kind::Absent, what: what.to_owned(), cause, remedy: UNNAMED }
    }

    /// Refusals beyond those that are told by name.
    pub(crate) fn unnamed_ones(count: usize) -> Self {
        let (what, cause) = (format!("{count} more requests"), "refused".to_owned());
        Self { kind: Kind::Refused, what, cause, remedy: MORE }
    }

    /// An index without a log, where somebody wants to read it.
    pub(crate) fn no_log() -> Self {
        let (what, cause) = ("log".to_owned(), "this index has no log".to_owned());
        Self { kind: Kind::Absent, what, cause, remedy: NO_LOG }
    }

    /// What is signed and yet cannot be used.
    pub(crate) fn signed_so(what: &str, cause: String) -> Self {
        Self { kind: Kind::Refused, what: what.to_owned(), cause, remedy: SIGNED_SO }
    }

    /// What the index signs for, asked of whoever answers for it; `is_measured`: its length is signed too.
    pub(crate) fn of_target(what: &str, why: &FetchError, is_measured: bool) -> Self {
        let refusal = Self::fetch(what, why);
        if matches!(why, FetchError::Missing) {
            Self { remedy: HELD_BACK, ..refusal }
        } else if is_measured && matches!(why, FetchError::TooLong(_)) {
            // Endless or three bytes more: other bytes than those signed for. Only our own limits call it endless.
            Self { cause: format!("{OTHER_BYTES}: {}", refusal.cause), ..Self::mismatch(what) }
        } else {
            refusal
        }
    }

    /// The root that trust begins with.
    pub(crate) fn root(error: &ClientError, is_given: bool) -> Self {
        let refusal = Self::new("root", error);
        let is_theirs = is_given && matches!(error, ClientError::Refused(_));
        if is_theirs { Self { remedy: GIVEN_ROOT, ..refusal } } else { refusal }
    }

    /// It is proven absent.
    pub fn absent(what: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { kind: Kind::Absent, what: what.into(), cause: cause.into(), remedy: NONE }
    }

    /// Bytes that are not those signed for.
    pub(crate) fn mismatch(what: &str) -> Self {
        Self { kind: Kind::Refused, what: what.to_owned(), cause: OTHER_BYTES.to_owned(), remedy: OTHER_PLACE }
    }

    /// A state that is older than the policy takes.
    pub fn stale(cause: impl Into<String>, is_offline: bool) -> Self {
        let remedy = if is_offline { OFFLINE_OLD } else { CLOCK };
        Self { kind: Kind::Refused, what: "timestamp".to_owned(), cause: cause.into(), remedy }
    }

    /// The same, where only what is stored is used: whoever answers for the index has no part in it.
    pub(crate) fn offline(self, is_offline: bool) -> Self {
        let remedy = if is_offline && self.remedy == CLOCK { OFFLINE_OLD } else { self.remedy };
        Self { remedy, ..self }
    }

    /// A page that is signed and offers much less than it did.
    pub fn regression(what: &str, cause: String) -> Self {
        Self { kind: Kind::Refused, what: what.to_owned(), cause, remedy: LESS }
    }

    /// A file that did not come from whom it should; `is_demanded`: of which an attestation is asked, and it has none.
    pub(crate) fn publisher(what: &str, cause: String, is_demanded: bool) -> Self {
        let remedy = if is_demanded { UNATTESTED } else { PUBLISHER };
        Self { kind: Kind::Refused, what: what.to_owned(), cause, remedy }
    }

    /// The log is not the one that was seen before, grown.
    pub fn log(cause: String) -> Self {
        Self { kind: Kind::Refused, what: "log".to_owned(), cause, remedy: LOG }
    }

    /// Fewer witnesses than were asked for have seen the log.
    pub fn unwitnessed(cause: String) -> Self {
        Self { kind: Kind::Refused, what: "log".to_owned(), cause, remedy: UNWITNESSED }
    }

    /// Other bytes under a name that was taken.
    pub fn replaced(what: &str, cause: String) -> Self {
        Self { kind: Kind::Refused, what: what.to_owned(), cause, remedy: REPLACED }
    }

    /// Files went, and the log does not say so.
    pub fn unlogged(what: &str, cause: String) -> Self {
        Self { kind: Kind::Refused, what: what.to_owned(), cause, remedy: UNLOGGED }
    }

    /// From a session.
    pub fn new(what: &str, error: &ClientError) -> Self {
        let (kind, remedy) = match error {
            ClientError::Refused(refused) => (Kind::Refused, of_role(&refused.why)),
            ClientError::Fetch { why: FetchError::Missing, url } if !is_entrance(url) => (Kind::Unreachable, HELD_BACK),
            ClientError::Fetch { why, .. } => of_fetch(why),
            ClientError::Mismatch(_) | ClientError::Path(_) => (Kind::Refused, OTHER_PLACE),
            ClientError::NoRoot => (Kind::Refused, ROOT),
            ClientError::Io(_) => (Kind::Unreachable, STATE),
        };
        Self { kind, what: what.to_owned(), cause: error.to_string(), remedy }
    }

    /// From a download.
    pub fn fetch(what: &str, why: &FetchError) -> Self {
        let (kind, remedy) = of_fetch(why);
        Self { kind, what: what.to_owned(), cause: format!("it {why}"), remedy }
    }

    /// The cache or the store failed.
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        Self { kind: Kind::Unreachable, what: what.to_owned(), cause: error.to_string(), remedy: STATE }
    }
}

/// Whether nothing signed says yet that it is there: the files that a client begins with.
fn is_entrance(url: &Url) -> bool {
    [".root.json", "/timestamp.json"].iter().any(|end| url.path().ends_with(end))
}

fn of_role(why: &Why) -> &'static str {
    match why {
        Why::Rollback { .. } | Why::Unlisted(_) => OLD,
        Why::Expired(_) => CLOCK,
        Why::Format(_)
        | Why::NotSigned(_)
        | Why::Version { .. }
        | Why::Mismatch
        | Why::NotDelegated
        | Why::NotInSnapshot
        | Why::OutOfOrder(_)
        | Why::TooManyRoles(_) => OTHER_PLACE,
    }
}

fn of_fetch(why: &FetchError) -> (Kind, &'static str) {
    match why {
        FetchError::TooLong(_) => (Kind::Refused, CAP),
        FetchError::Offline => (Kind::Unreachable, OFFLINE),
        FetchError::Missing | FetchError::Url => (Kind::Unreachable, ADDRESS),
        FetchError::Status(300..=399) => (Kind::Unreachable, MOVED),
        FetchError::Status(401 | 407) => (Kind::Unreachable, LOCKED),
        FetchError::Status(429 | 500..) => (Kind::Unreachable, BUSY),
        FetchError::Status(_) => (Kind::Unreachable, ADDRESS),
        FetchError::Tls(_) => (Kind::Unreachable, SAFELY),
        FetchError::Slow | FetchError::Broken(_) => (Kind::Unreachable, RETRY),
        FetchError::Sink(_) => (Kind::Unreachable, STATE),
    }
}
