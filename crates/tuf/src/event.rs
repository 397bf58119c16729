//! Signing events: how people who hold offline keys sign, each on a machine of their own, in any order.
//!
//! An event is one file: the roles to sign, what stood before, whose signatures each needs, and those made so far. The
//! words that describe the change are made from the roles themselves and compared on reading, so what a holder reads
//! is what a holder signs.
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
//! assert!(at_a.words()?.iter().any(|line| line.contains("1024 succinct bins")));
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

use std::collections::{BTreeMap, BTreeSet};

use crate::delegation::DelegatedTo;
use crate::fields::{Fields, FormatError, content, into_list, into_text};
use crate::hash::{hex, sha256};
use crate::json::{Object, Value, object, to_stored};
use crate::keys::{NotSigning, PublicKey, Signer};
use crate::role::{Role, RoleKeys, Root, Targets, Top, read_keys, write_keys};
use crate::signed::{Signature, read_signatures, verify};
use crate::time::Time;
use crate::write::{BINS, Bins, Bodies, Body, Offline, Renewal, Shape, Written};

/// The length of an event's file, in bytes.
pub const EVENT_BYTES_MAX: usize = 64 << 20;

const MARK: &str = "tidewaiter-signing-event";

/// What is wrong with an event, or with what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It cannot be read.
    #[error("no signing event: {0}")]
    Format(FormatError),
    /// The words in the file are not those of its roles.
    #[error("the description in the file is not the one of the roles to be signed")]
    Words,
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
    previous: Option<Value>,
    signed: Value,
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
    parts: Vec<Part>,
    profile: Option<String>,
    notes: Vec<String>,
}

fn texts(value: Value, name: &str) -> Result<Vec<String>, FormatError> {
    into_list(value, name)?.into_iter().map(|value| into_text(value, name)).collect()
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
    pub fn change(offline: &Offline, renewal: &Renewal) -> Result<Self, EventError> {
        Self::make(Some(offline), renewal)
    }

    fn make(offline: Option<&Offline>, renewal: &Renewal) -> Result<Self, EventError> {
        let Renewal { root, targets, bins } = renewal;
        let new_root = root.as_ref().map(|body| Root::read(value(&body.canonical)?)).transpose()?;
        let new_targets = targets.as_ref().map(|body| Targets::read(value(&body.canonical)?)).transpose()?;
        let old_root = offline.map(|offline| &offline.root);
        let root_in_force = new_root.as_ref().or(old_root);
        let targets_in_force = new_targets.as_ref().or(offline.map(|offline| &offline.targets));
        let by_root = |root: &Root, top: Top| -> Result<Ask, FormatError> {
            let of = format!("{} of root version {}", top.name(), root.version);
            Ok(Ask { of, keys: root.keys.clone(), role: root.role(top)?.clone() })
        };
        let mut parts = Vec::new();
        if let Some(body) = root {
            let asks = old_root.into_iter().chain(new_root.as_ref()).map(|root| by_root(root, Top::Root));
            let previous = old_root.map(Root::to_value);
            parts.push(Part::new(body, previous, asks.collect::<Result<_, _>>()?)?);
        }
        if let Some(body) = targets {
            let asks = root_in_force.map(|root| by_root(root, Top::Targets)).transpose()?;
            let previous = offline.map(|offline| offline.targets.to_value());
            parts.push(Part::new(body, previous, asks.into_iter().collect())?);
        }
        if let Some(body) = bins {
            let all = targets_in_force.and_then(|targets| Some((targets, targets.delegations.as_ref()?)));
            let ask = all.and_then(|(targets, all)| {
                let of = format!("{BINS} of targets version {}", targets.version);
                Some(Ask { of, keys: all.keys.clone(), role: all.keys_of(BINS)?.clone() })
            });
            let previous = offline.map(|offline| offline.bins_role.to_value());
            parts.push(Part::new(body, previous, ask.into_iter().collect())?);
        }
        Ok(Self { parts, profile: None, notes: Vec::new() })
    }

    /// Names the profile that the change leads to. It is not signed: whoever takes the event over checks it.
    pub fn set_profile(&mut self, profile: &str) {
        self.profile = Some(profile.to_owned());
    }

    /// The profile that the change leads to, where it leads to another.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// Adds what its holders should know and do not sign, such as what a comparison found.
    pub fn set_notes(&mut self, notes: Vec<String>) {
        self.notes = notes;
    }

    /// What its maker noted. Nobody signs it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What changes, a line each.
    pub fn words(&self) -> Result<Vec<String>, EventError> {
        let mut words = Vec::new();
        for part in &self.parts {
            part.words(&mut words)?;
        }
        Ok(words)
    }

    /// SHA-256 of what is signed of each role, for paper.
    pub fn digests(&self) -> Vec<(String, String)> {
        self.parts.iter().map(|part| (part.role.clone(), hex(&sha256(&part.signed.to_canonical())))).collect()
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
            let sig = hex(&signer.sign(&part.signed.to_canonical())?);
            part.add(Signature { keyid: keyid.to_owned(), sig });
            count += 1;
        }
        if count == 0 { Err(EventError::NotAsked(keyid.to_owned())) } else { Ok(()) }
    }

    /// Takes over the signatures of another copy of this event. Those that do not verify are left behind.
    pub fn merge(&mut self, other: &Self) -> Result<(), EventError> {
        let is_same = self.parts.len() == other.parts.len()
            && self.profile == other.profile
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
                Ok(part.body()?.with(part.signatures.clone()))
            })
            .collect()
    }

    /// The file.
    pub fn to_json(&self) -> Vec<u8> {
        let words = self.words().unwrap_or_default();
        let list = |lines: &[String]| Value::List(lines.iter().map(|line| Value::from(line.as_str())).collect());
        let mut file = object([
            (MARK, Value::Int(1)),
            ("words", list(&words)),
            ("standing", list(&self.standing())),
            ("parts", Value::List(self.parts.iter().map(Part::to_value).collect())),
        ]);
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
        if fields.uint(MARK, 1)? != 1 {
            return Err(FormatError::Content("an event of a later form".to_owned()).into());
        }
        let parts = fields.list("parts")?.into_iter().map(Part::read).collect::<Result<Vec<_>, _>>()?;
        let words = fields.texts("words")?;
        // Who has signed is what the signatures say; the line is for eyes.
        fields.texts("standing")?;
        let notes = fields.optional("notes").map(|notes| texts(notes, "notes")).transpose()?.unwrap_or_default();
        let profile = fields.optional("profile").map(|profile| into_text(profile, "profile")).transpose()?;
        let event = Self { parts, profile, notes };
        if event.words()? != words {
            return Err(EventError::Words);
        }
        Ok(event)
    }
}

impl Part {
    fn new(body: &Body, previous: Option<Value>, asks: Vec<Ask>) -> Result<Self, FormatError> {
        let Body { role, version: _, issued, expires: _, canonical } = body;
        if asks.is_empty() {
            return content(format!("nobody may sign {role}"));
        }
        let signed = value(canonical)?;
        Ok(Self { role: role.clone(), issued: *issued, previous, signed, asks, signatures: Vec::new() })
    }

    fn unsigned(&self) -> Self {
        Self { signatures: Vec::new(), ..self.clone() }
    }

    fn asks_for(&self, keyid: &str) -> bool {
        self.asks.iter().any(|ask| ask.role.keyids.iter().any(|known| known == keyid))
    }

    /// Keeps a signature if one of the keys that are asked for made it.
    fn add(&mut self, signature: Signature) {
        let message = self.signed.to_canonical();
        let is_good = self.asks.iter().any(|ask| {
            let role = RoleKeys::new(vec![signature.keyid.clone()], 1);
            ask.role.keyids.contains(&signature.keyid)
                && verify(&message, std::slice::from_ref(&signature), &ask.keys, &role).is_ok()
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
        let message = self.signed.to_canonical();
        self.asks.iter().all(|ask| verify(&message, &self.signatures, &ask.keys, &ask.role).is_ok())
    }

    fn body(&self) -> Result<Body, FormatError> {
        let (version, expires) = if self.role == Top::Root.name() {
            let root = Root::read(self.signed.clone())?;
            (root.version, root.expires)
        } else {
            let targets = Targets::read(self.signed.clone())?;
            (targets.version, targets.expires)
        };
        let (role, canonical) = (self.role.clone(), self.signed.to_canonical());
        Ok(Body { role, version, issued: self.issued, expires, canonical })
    }

    fn words(&self, out: &mut Vec<String>) -> Result<(), FormatError> {
        let Body { role, version, expires, .. } = self.body()?;
        let new = Described::read(&role, &self.signed)?;
        let old = self.previous.as_ref().map(|previous| Described::read(&role, previous)).transpose()?;
        let was = old.as_ref().map_or("new".to_owned(), |old| format!("was version {}", old.version));
        out.push(format!("{role} becomes version {version} ({was}), good until {expires}"));
        let jump = old.as_ref().map_or(0, |old| version.saturating_sub(old.version).saturating_sub(1));
        if role == BINS && jump > 0 {
            out.push(format!("{role}: the versions of every bin, snapshot and timestamp leave out {jump}"));
        }
        new.differences(&role, &old.unwrap_or_default(), out);
        Ok(())
    }

    fn to_value(&self) -> Value {
        let Self { role, issued, previous, signed, asks, signatures } = self;
        let asks = asks.iter().map(|Ask { of, keys, role }| {
            let mut members = Object::new();
            role.write(&mut members);
            members.insert("of".to_owned(), Value::from(of.as_str()));
            members.insert("keys".to_owned(), write_keys(keys));
            Value::Object(members)
        });
        let signatures = signatures.iter().map(|Signature { keyid, sig }| {
            Value::Object(object([("keyid", Value::from(keyid.as_str())), ("sig", Value::from(sig.as_str()))]))
        });
        Value::Object(object([
            ("role", Value::from(role.as_str())),
            ("issued", Value::from(issued.to_string().as_str())),
            ("previous", previous.clone().unwrap_or(Value::Null)),
            ("signed", signed.clone()),
            ("asks", Value::List(asks.collect())),
            ("signatures", Value::List(signatures.collect())),
        ]))
    }

    fn read(value: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(value, "parts")?;
        let role = fields.text("role")?;
        if ![Top::Root.name(), Top::Targets.name(), BINS].contains(&role.as_str()) {
            return content(format!("`{role}` is no offline role"));
        }
        let previous = fields.optional("previous").filter(|previous| *previous != Value::Null);
        let mut asks = Vec::new();
        for ask in fields.list("asks")? {
            let mut ask = Fields::new(ask, "asks")?;
            let (keyids, threshold) = RoleKeys::take(&mut ask)?;
            let keys = read_keys(ask.object("keys")?)?;
            asks.push(Ask { of: ask.text("of")?, keys, role: RoleKeys::new(keyids, threshold) });
        }
        if asks.is_empty() {
            return content(format!("nobody may sign {role}"));
        }
        let signatures = read_signatures(fields.list("signatures")?)?;
        let signed = Value::Object(fields.object("signed")?);
        let issued = fields.time("issued")?;
        let mut part = Self { role, issued, previous, signed, asks, signatures: Vec::new() };
        for signature in signatures {
            part.add(signature);
        }
        Ok(part)
    }
}

/// What people are told of a role: whom it trusts with what.
#[derive(Debug, Default)]
struct Described {
    version: u64,
    /// What is trusted to whom: key ids and threshold.
    trusts: BTreeMap<String, (BTreeSet<String>, u64)>,
    files: usize,
}

impl Described {
    fn read(role: &str, signed: &Value) -> Result<Self, FormatError> {
        let holders = |keys: &RoleKeys| (keys.keyids.iter().cloned().collect(), keys.threshold);
        if role == Top::Root.name() {
            let root = Root::read(signed.clone())?;
            let trusts = root.roles.iter().map(|(top, keys)| (top.name().to_owned(), holders(keys))).collect();
            return Ok(Self { version: root.version, trusts, files: 0 });
        }
        let targets = Targets::read(signed.clone())?;
        let mut trusts = BTreeMap::new();
        if let Some(all) = &targets.delegations {
            match (Bins::read(all), &all.to) {
                (Some((bins, keys)), _) => {
                    let shape = match bins.shape() {
                        Shape::Classic => "classic",
                        Shape::Succinct => "succinct",
                    };
                    let name = format!("{} {shape} bins from {}", bins.count(), bins.name(0));
                    trusts.insert(name, holders(&keys));
                }
                (None, DelegatedTo::Roles(roles)) => {
                    trusts.extend(roles.iter().map(|role| (role.name.clone(), holders(&role.keys))));
                }
                (None, DelegatedTo::Succinct(succinct)) => {
                    trusts.insert(format!("2^{} bins {}", succinct.bits, succinct.prefix), holders(&succinct.keys));
                }
            }
        }
        Ok(Self { version: targets.version, trusts, files: targets.targets.len() })
    }

    fn differences(&self, role: &str, old: &Self, out: &mut Vec<String>) {
        let nobody = (BTreeSet::new(), 0);
        for (name, (keyids, threshold)) in &self.trusts {
            let (before, of) = old.trusts.get(name).unwrap_or(&nobody);
            if threshold != of {
                out.push(format!("{role}: {name} needs {threshold} of {} keys (before: {of})", keyids.len()));
            }
            out.extend(keyids.difference(before).map(|keyid| format!("{role}: {name} gets the key {keyid}")));
            out.extend(before.difference(keyids).map(|keyid| format!("{role}: {name} loses the key {keyid}")));
        }
        for name in old.trusts.keys().filter(|name| !self.trusts.contains_key(*name)) {
            out.push(format!("{role}: {name} is no longer trusted"));
        }
        if self.files != old.files {
            out.push(format!("{role}: lists {} files itself (before: {})", self.files, old.files));
        }
    }
}
