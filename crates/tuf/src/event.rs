//! Signing events: how people who hold offline keys sign, each on a machine of their own, in any order.
//!
//! An event is one file: the roles to sign, the signed files that stood before, and the signatures made so far. Nothing
//! that a holder is told is taken from the file's own words: what changes is read from the roles, each of which is
//! refused where it says more than can be told (`told`), and who must sign from the roles that stood before, which are
//! verified (`before`). Only where that past begins is the file's own word: a holder holds it against a root of their
//! own ([`Event::stands_on`]).
//!
//! ```
//! use tuf::event::Event;
//! use tuf::keys::{Ed25519Signer, Signer};
//! use tuf::write::{Bins, Founding, Holders, Offline, Shape};
//! use tuf::Time;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let [a, b, c] = [Ed25519Signer::from_seed(&[1; 32])?, Ed25519Signer::from_seed(&[2; 32])?,
//!     Ed25519Signer::from_seed(&[3; 32])?];
//! let two = Holders { keys: vec![a.public_key().clone(), b.public_key().clone()], threshold: 2 };
//! let online = Holders { keys: vec![c.public_key().clone()], threshold: 1 };
//! let issued = Time::from_seconds(1_800_000_000);
//! let founding = Founding { root: two.clone(), targets: two.clone(), bins: two, snapshot: online.clone(),
//!     timestamp: online.clone(), bin: online, shape: Bins::new(Shape::Succinct, 10, 1)?, issued,
//!     expires: issued.plus_days(365) };
//! let file = Event::found(&founding.bodies())?.to_json();
//!
//! // Each holder, wherever they are:
//! let mut at_a = Event::from_json(&file)?;
//! let mut at_b = Event::from_json(&file)?;
//! assert!(at_a.words().iter().any(|line| line.contains("1024 succinct bins")));
//! at_a.sign(&a)?;
//! at_b.sign(&b)?;
//!
//! // And back on the server:
//! let mut event = Event::from_json(&at_b.to_json())?;
//! assert!(!event.is_complete());
//! event.merge(&at_a)?;
//! let [root, targets, bins] = &event.finish()?[..] else { return Err("three roles".into()) };
//! Offline::read(&root.bytes, &targets.bytes, &bins.bytes)?;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use crate::fields::{Fields, FormatError, content, into_list, into_text};
use crate::hash::{hex, sha256};
use crate::json::{Value, object, to_stored};
use crate::keys::{NotSigning, PublicKey, Signer};
use crate::role::{Role, RoleKeys, Root, Targets, Top};
use crate::signed::{Signature, read_signatures, verify};
use crate::time::Time;
use crate::write::{BINS, Bodies, Body, Offline, Renewal, WriteError, Written};

mod before;
mod told;
pub use before::{Before, ROOTS_MAX};
pub use told::HOLDERS_MAX;
use told::Told;

/// The length of an event's file, in bytes: `bins` twice in classic shape at 16,384, and what the server noted.
pub const EVENT_BYTES_MAX: usize = 16 << 20;
/// Lines that a server may note.
pub const NOTES_MAX: usize = 2_000;
/// The length of one of them, in bytes.
pub const NOTE_BYTES_MAX: usize = 2_000;

const MARK: &str = "tidewaiter-signing-event";
const FORM: u64 = 2;

/// What is wrong with an event, or with what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It cannot be read.
    #[error("no signing event: {0}")]
    Format(FormatError),
    /// What it says stood before was not signed by those who may.
    #[error("no signing event: what it says stood before is not signed as it must be: {0}")]
    Before(WriteError),
    /// The words in the file are not those of its roles.
    #[error("the description in the file is not the one of the roles to be signed")]
    Words,
    /// A holder's own root is none of those that stood before.
    #[error(
        "the event does not go on from this root: whoever made it works on another repository, or the root is newer"
    )]
    AnotherRoot,
    /// This key is not asked for.
    #[error("nobody asks for the key {0}")]
    NotAsked(String),
    /// The key did not sign.
    #[error(transparent)]
    NotSigning(#[from] NotSigning),
    /// Two files that are not of one event.
    #[error("these are two different events")]
    Different,
    /// Too few have signed.
    #[error("{0} still lacks signatures")]
    Incomplete(String),
}

// No source besides: whoever prints the causes too would say it twice.
impl From<FormatError> for EventError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

/// Signatures that a role needs: from so many of these keys.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ask {
    /// Who these are: `root version 1`.
    of: String,
    keys: BTreeMap<String, PublicKey>,
    role: RoleKeys,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    role: String,
    issued: Time,
    signed: Value,
    /// What is signed: the canonical form, made once.
    canonical: Vec<u8>,
    told: Told,
    asks: Vec<Ask>,
    signatures: Vec<Signature>,
}

/// Whose signatures one role has and lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The role to be signed.
    pub role: String,
    /// Whose keys: a role may need those of two roots.
    pub of: String,
    /// How many are needed.
    pub threshold: u64,
    /// Key ids that have signed.
    pub signed: Vec<String>,
    /// Key ids that could still sign.
    pub waiting: Vec<String>,
}

impl Status {
    /// Whether enough have signed.
    pub fn is_met(&self) -> bool {
        self.signed.len() as u64 >= self.threshold
    }
}

/// A signing event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    before: Option<Before>,
    parts: Vec<Part>,
    profile: Option<String>,
    notes: Vec<String>,
}

/// Text that nobody signs and that people read as one line: it cannot look like another line, nor like none.
fn line(text: String, name: &str) -> Result<String, FormatError> {
    if text.len() > NOTE_BYTES_MAX || text.contains(char::is_control) {
        return content(format!("`{name}` is more than {NOTE_BYTES_MAX} bytes, or holds control characters"));
    }
    Ok(text)
}

/// The object that a canonical form stands for.
fn value(canonical: &[u8]) -> Result<Value, FormatError> {
    let mut stored = Vec::with_capacity(canonical.len());
    to_stored(canonical, &mut stored);
    Ok(Value::parse(&stored, stored.len())?)
}

impl Event {
    /// The founding of a repository.
    pub fn found(bodies: &Bodies) -> Result<Self, EventError> {
        let Bodies { root, targets, bins } = bodies.clone();
        Self::make(None, &Renewal { root: Some(root), targets: Some(targets), bins: Some(bins) })
    }

    /// A change of the offline roles in force.
    pub fn change(before: Before, renewal: &Renewal) -> Result<Self, EventError> {
        Self::make(Some(before), renewal)
    }

    fn make(before: Option<Before>, renewal: &Renewal) -> Result<Self, EventError> {
        let Renewal { root, targets, bins } = renewal;
        let parts = [root, targets, bins].into_iter().flatten().map(|body| {
            let Body { role, version: _, issued, expires: _, canonical } = body;
            Part::new(role.clone(), *issued, value(canonical)?)
        });
        Self::assemble(before, parts.collect::<Result<_, _>>()?)
    }

    /// Finds out who must sign: by what stood before, and by what is to be signed, never by what the file says.
    fn assemble(before: Option<Before>, mut parts: Vec<Part>) -> Result<Self, EventError> {
        let names: Vec<&str> = parts.iter().map(|part| part.role.as_str()).collect();
        let order: Vec<&str> =
            [Top::Root.name(), Top::Targets.name(), BINS].into_iter().filter(|one| names.contains(one)).collect();
        if names.is_empty() || names != order {
            content("the roles of an event are root, `targets` and `bins`, in this order")?;
        }
        let signed = |name: &str| parts.iter().find(|part| part.role == name).map(|part| part.signed.clone());
        let new_root = signed(Top::Root.name()).map(Root::read).transpose()?;
        let new_targets = signed(Top::Targets.name()).map(Targets::read).transpose()?;
        let old = before.as_ref().map(Before::offline);
        let by_root = |root: &Root, top: Top| -> Result<Ask, FormatError> {
            let of = format!("{} of root version {}", top.name(), root.version);
            Ok(Ask { of, keys: root.keys.clone(), role: root.role(top)?.clone() })
        };
        for part in &mut parts {
            let (is_root, is_bins) = (part.role == Top::Root.name(), part.role == BINS);
            let was = before.as_ref().map_or(0, |before| before.told(&part.role).version);
            let version = part.told.version;
            if version <= was || is_root && version != was + 1 {
                content(format!("{} version {version} does not follow on version {was}", part.role))?;
            }
            let root = new_root.as_ref().or(old.map(|old| &old.root));
            part.asks = if is_root {
                let roots = old.map(|old| &old.root).into_iter().chain(&new_root);
                roots.map(|root| by_root(root, Top::Root)).collect::<Result<_, _>>()?
            } else if is_bins {
                let targets = new_targets.as_ref().or(old.map(|old| &old.targets));
                let all = targets.and_then(|targets| Some((targets, targets.delegations.as_ref()?)));
                let ask = all.and_then(|(targets, all)| {
                    let of = format!("{BINS} of targets version {}", targets.version);
                    Some(Ask { of, keys: all.keys.clone(), role: all.keys_of(BINS)?.clone() })
                });
                ask.into_iter().collect()
            } else {
                root.map(|root| by_root(root, Top::Targets)).transpose()?.into_iter().collect()
            };
            if part.asks.is_empty() {
                content(format!("nobody may sign {}", part.role))?;
            }
        }
        Ok(Self { before, parts, profile: None, notes: Vec::new() })
    }

    /// Holds the event against a root that its reader trusts: the one in force before the change, or one of those that led
    /// to it. Returns that root's version.
    ///
    /// # Errors
    /// [`EventError::AnotherRoot`] where it is none of them.
    pub fn stands_on(&self, root: &[u8]) -> Result<u64, EventError> {
        let before = self.before.as_ref().ok_or(EventError::AnotherRoot)?;
        before.version_of(root)?.ok_or(EventError::AnotherRoot)
    }

    /// The roles that the change follows on; none at a founding.
    pub fn before(&self) -> Option<&Offline> {
        self.before.as_ref().map(Before::offline)
    }

    /// Names the profile that the change leads to. It is not signed: whoever takes the event over checks it.
    pub fn set_profile(&mut self, profile: &str) {
        self.profile = Some(profile.to_owned());
    }

    /// The profile that the change leads to, where it leads to another.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// Adds what its holders should know and do not sign, such as what a comparison found. Past [`NOTES_MAX`] they are
    /// counted.
    pub fn set_notes(&mut self, mut notes: Vec<String>) {
        if notes.len() > NOTES_MAX {
            let more = notes.len() - (NOTES_MAX - 1);
            notes.truncate(NOTES_MAX - 1);
            notes.push(format!("and {more} more"));
        }
        self.notes = notes;
    }

    /// What its maker noted. Nobody signs it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// All that will be signed, a line each, and what of it is new.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for part in &self.parts {
            part.told.words(self.before.as_ref().map(|before| before.told(&part.role)), &mut words);
        }
        words
    }

    /// SHA-256 of what is signed of each role, for paper.
    pub fn digests(&self) -> Vec<(String, String)> {
        self.parts.iter().map(|part| (part.role.clone(), hex(&sha256(&part.canonical)))).collect()
    }

    /// Who has signed and who may still, a line each.
    pub fn standing(&self) -> Vec<String> {
        let line = |status: Status| {
            let Status { role, of, threshold, signed, waiting } = status;
            let names = |keyids: Vec<String>| if keyids.is_empty() { "nobody".to_owned() } else { keyids.join(", ") };
            format!(
                "{role} (by {of}): {} of {threshold} have signed: {}; may still sign: {}",
                signed.len(),
                names(signed),
                names(waiting)
            )
        };
        self.status().into_iter().map(line).collect()
    }

    /// Who has signed, and who may still.
    pub fn status(&self) -> Vec<Status> {
        self.parts.iter().flat_map(Part::status).collect()
    }

    /// Whether every role has the signatures that it needs.
    pub fn is_complete(&self) -> bool {
        self.parts.iter().all(Part::is_complete)
    }

    /// Signs every role that asks for this key. Signing again replaces a signature by another good one.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), EventError> {
        let keyid = signer.keyid();
        let mut count = 0;
        for part in self.parts.iter_mut().filter(|part| part.asks_for(keyid)) {
            let sig = hex(&signer.sign(&part.canonical)?);
            part.add(Signature { keyid: keyid.to_owned(), sig });
            count += 1;
        }
        if count == 0 { Err(EventError::NotAsked(keyid.to_owned())) } else { Ok(()) }
    }

    /// Takes over the signatures of another copy of this event. Those that do not verify are left behind.
    pub fn merge(&mut self, other: &Self) -> Result<(), EventError> {
        let is_same = self.parts.len() == other.parts.len()
            && self.profile == other.profile
            && self.before == other.before
            && self.parts.iter().zip(&other.parts).all(|(one, two)| one.unsigned() == two.unsigned());
        if !is_same {
            return Err(EventError::Different);
        }
        for (mine, theirs) in self.parts.iter_mut().zip(&other.parts) {
            for signature in &theirs.signatures {
                mine.add(signature.clone());
            }
        }
        Ok(())
    }

    /// The signed roles, in the order root, `targets`, `bins`.
    pub fn finish(&self) -> Result<Vec<Written>, EventError> {
        self.parts
            .iter()
            .map(|part| {
                if !part.is_complete() {
                    return Err(EventError::Incomplete(part.role.clone()));
                }
                Ok(part.body().with(part.signatures.clone()))
            })
            .collect()
    }

    /// The file.
    pub fn to_json(&self) -> Vec<u8> {
        let list = |lines: &[String]| Value::List(lines.iter().map(|line| Value::from(line.as_str())).collect());
        let mut file = object([
            (MARK, Value::from(FORM)),
            ("words", list(&self.words())),
            ("standing", list(&self.standing())),
            ("parts", Value::List(self.parts.iter().map(Part::to_value).collect())),
        ]);
        if let Some(before) = &self.before {
            file.insert("previous".to_owned(), before.to_value());
        }
        if let Some(profile) = &self.profile {
            file.insert("profile".to_owned(), Value::from(profile.as_str()));
        }
        if !self.notes.is_empty() {
            file.insert("notes".to_owned(), list(&self.notes));
        }
        let mut out = Vec::new();
        to_stored(&Value::Object(file).to_canonical(), &mut out);
        out.push(b'\n');
        out
    }

    /// Reads a file. Signatures that do not verify are left out.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EventError> {
        let mut fields = Fields::new(Value::parse(bytes, EVENT_BYTES_MAX).map_err(FormatError::Json)?, "the file")?;
        let form = fields.uint(MARK, 1)?;
        if form != FORM {
            content(format!("an event of form {form}, and this program knows form {FORM}: make it anew"))?;
        }
        let before = fields.optional("previous").map(Before::from_value).transpose()?;
        let (mut parts, mut signatures) = (Vec::new(), Vec::new());
        for part in fields.list("parts")? {
            let mut part = Fields::new(part, "parts")?;
            signatures.push(read_signatures(part.list("signatures")?)?);
            let (role, issued) = (part.text("role")?, part.time("issued")?);
            parts.push(Part::new(role, issued, Value::Object(part.object("signed")?))?);
        }
        let mut event = Self::assemble(before, parts)?;
        for (part, signatures) in event.parts.iter_mut().zip(signatures) {
            signatures.into_iter().for_each(|signature| part.add(signature));
        }
        let words = fields.texts("words")?;
        // Who has signed is what the signatures say; the line is for eyes.
        fields.texts("standing")?;
        let notes = fields.optional("notes").map(|notes| into_list(notes, "notes")).transpose()?.unwrap_or_default();
        if notes.len() > NOTES_MAX {
            content(format!("more than {NOTES_MAX} notes"))?;
        }
        let text = |value: Value, name: &str| line(into_text(value, name)?, name);
        event.notes = notes.into_iter().map(|note| text(note, "notes")).collect::<Result<_, _>>()?;
        event.profile = fields.optional("profile").map(|profile| text(profile, "profile")).transpose()?;
        if event.words() != words {
            return Err(EventError::Words);
        }
        Ok(event)
    }
}

impl Part {
    fn new(role: String, issued: Time, signed: Value) -> Result<Self, FormatError> {
        let canonical = signed.to_canonical();
        let told = Told::whole(&role, &signed, &canonical)?;
        Ok(Self { role, issued, signed, canonical, told, asks: Vec::new(), signatures: Vec::new() })
    }

    fn unsigned(&self) -> Self {
        Self { signatures: Vec::new(), ..self.clone() }
    }

    fn asks_for(&self, keyid: &str) -> bool {
        self.asks.iter().any(|ask| ask.role.keyids.iter().any(|known| known == keyid))
    }

    /// Keeps a signature if one of the keys that are asked for made it.
    fn add(&mut self, signature: Signature) {
        let is_good = self.asks.iter().any(|ask| {
            let role = RoleKeys::new(vec![signature.keyid.clone()], 1);
            ask.role.keyids.contains(&signature.keyid)
                && verify(&self.canonical, std::slice::from_ref(&signature), &ask.keys, &role).is_ok()
        });
        if is_good {
            self.signatures.retain(|old| old.keyid != signature.keyid);
            self.signatures.push(signature);
            // In any order they came, the file is the same.
            self.signatures.sort_by(|one, two| one.keyid.cmp(&two.keyid));
        }
    }

    fn status(&self) -> Vec<Status> {
        let has = |keyid: &&String| self.signatures.iter().any(|signature| signature.keyid == **keyid);
        let status = |ask: &Ask| Status {
            role: self.role.clone(),
            of: ask.of.clone(),
            threshold: ask.role.threshold,
            signed: ask.role.keyids.iter().filter(has).cloned().collect(),
            waiting: ask.role.keyids.iter().filter(|keyid| !has(keyid)).cloned().collect(),
        };
        self.asks.iter().map(status).collect()
    }

    fn is_complete(&self) -> bool {
        self.asks.iter().all(|ask| verify(&self.canonical, &self.signatures, &ask.keys, &ask.role).is_ok())
    }

    fn body(&self) -> Body {
        let Self { role, issued, canonical, told, .. } = self;
        let (role, canonical) = (role.clone(), canonical.clone());
        Body { role, version: told.version, issued: *issued, expires: told.expires, canonical }
    }

    fn to_value(&self) -> Value {
        let Self { role, issued, signed, canonical: _, told: _, asks: _, signatures } = self;
        let signatures = signatures.iter().map(|Signature { keyid, sig }| {
            Value::Object(object([("keyid", Value::from(keyid.as_str())), ("sig", Value::from(sig.as_str()))]))
        });
        Value::Object(object([
            ("role", Value::from(role.as_str())),
            ("issued", Value::from(issued.to_string().as_str())),
            ("signed", signed.clone()),
            ("signatures", Value::List(signatures.collect())),
        ]))
    }
}
