//! What is told to the person in front of an installer: which role or file, what is wrong with it, what to do.

use std::fmt;

use tuf::Why;

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
const LOG: &str = "the index shows different people different pasts, or its online key is in wrong hands: install nothing, \
    keep the --state folder as evidence, and tell its operator and other users; if its operator set the log back, say by \
    a restored backup, only they can say so: then delete the folder `log` beside the trusted roles";
const UNWITNESSED: &str = "either these witnesses are away or do not know this log, which its operator's own log says, or you \
    are shown a log that nobody else has seen: ask its operator before you go on";
const UNLOGGED: &str = "releases do not go without an entry in the index's log: its online key may be in wrong hands. \
    Install nothing, and tell its operator; --on-regression off looks at none of this";
const ROOT: &str = "give the root.json that the operator of the index hands out: --root root.json";
const STATE: &str = "see whether the --state folder is writable and has room";
const NONE: &str = "check the spelling; the index proves by signature that it has nothing of this name";

impl Refusal {
    /// It is proven absent.
    pub fn absent(what: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { kind: Kind::Absent, what: what.into(), cause: cause.into(), remedy: NONE }
    }

    /// Bytes that are not those signed for.
    pub fn mismatch(what: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, what: what.into(), cause: cause.into(), remedy: OTHER_PLACE }
    }

    /// A state that is older than the policy takes.
    pub fn stale(cause: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, what: "timestamp".to_owned(), cause: cause.into(), remedy: CLOCK }
    }

    /// A page that is signed and offers much less than it did.
    pub fn regression(what: &str, cause: String) -> Self {
        Self { kind: Kind::Refused, what: what.to_owned(), cause, remedy: LESS }
    }

    /// A file that did not come from whom it should.
    pub fn publisher(what: &str, cause: String) -> Self {
        Self { kind: Kind::Refused, what: what.to_owned(), cause, remedy: PUBLISHER }
    }

    /// The log is not the one that was seen before, grown.
    pub fn log(cause: String) -> Self {
        Self { kind: Kind::Refused, what: "log".to_owned(), cause, remedy: LOG }
    }

    /// Fewer witnesses than were asked for have seen the log.
    pub fn unwitnessed(cause: String) -> Self {
        Self { kind: Kind::Refused, what: "log".to_owned(), cause, remedy: UNWITNESSED }
    }

    /// Releases went, and the log does not say so.
    pub fn unlogged(what: &str, cause: String) -> Self {
        Self { kind: Kind::Refused, what: what.to_owned(), cause, remedy: UNLOGGED }
    }

    /// From a session.
    pub fn new(what: &str, error: &ClientError) -> Self {
        let (kind, remedy) = match error {
            ClientError::Refused(refused) => (Kind::Refused, of_role(&refused.why)),
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
        FetchError::Missing
        | FetchError::Status(_)
        | FetchError::Slow
        | FetchError::Url
        | FetchError::Broken(_)
        | FetchError::Offline => (Kind::Unreachable, RETRY),
        FetchError::Sink(_) => (Kind::Unreachable, STATE),
    }
}
