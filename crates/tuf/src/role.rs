//! The four types of role, read and written (TUF specification §4).
//!
//! Members that we do not know are kept: whatever is written again, such as the next root, still holds them.

use std::collections::{BTreeMap, BTreeSet};

use crate::delegation::Delegations;
use crate::fields::{Fields, FormatError, content, digest, into_object, into_text};
use crate::hash::{Hasher, hex};
use crate::json::{Object, Value, object};
use crate::keys::PublicKey;
use crate::time::Time;

/// The version of the specification that we write; of what we read, the first number must be the same.
pub const SPEC_VERSION: &str = "1.0.31";

/// How many keys one role may have, and so how many signatures are checked.
pub const ROLE_KEYS_MAX: usize = 256;

/// The length of a target's path, in bytes.
pub const TARGET_PATH_BYTES_MAX: usize = 4_096;

/// The length of a role's name, in bytes; quoted in a URL and a file name it may be three times as long.
pub const ROLE_NAME_BYTES_MAX: usize = 80;

/// The roles that a root names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Top {
    /// Who may speak for the others.
    Root,
    /// Which version of each targets role belongs together.
    Snapshot,
    /// What there is, or who may say so.
    Targets,
    /// Which snapshot is the current one.
    Timestamp,
}

impl Top {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Root, Self::Snapshot, Self::Targets, Self::Timestamp];

    /// Its name in files and URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
            Self::Timestamp => "timestamp",
        }
    }

    /// Whether a name is one of the four, which no delegated role may bear.
    pub fn is_name(name: &str) -> bool {
        Self::ALL.iter().any(|top| top.name() == name)
    }
}

/// What every role has.
pub trait Role: Sized {
    /// Its `_type`.
    const TYPE: Top;
    /// Reads the `signed` object.
    fn read(signed: Value) -> Result<Self, FormatError>;
    /// Its version, at least 1.
    fn version(&self) -> u64;
    /// From when on it is expired.
    fn expires(&self) -> Time;
}

/// Who may sign for a role, and how many must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKeys {
    /// The ids of its keys, without repetition.
    pub keyids: Vec<String>,
    /// How many different keys must sign; at least 1.
    pub threshold: u64,
    /// What we do not know.
    pub extra: Object,
}

impl RoleKeys {
    /// These keys, of which so many must sign.
    pub fn new(keyids: Vec<String>, threshold: u64) -> Self {
        Self { keyids, threshold, extra: Object::new() }
    }

    pub(crate) fn take(fields: &mut Fields) -> Result<(Vec<String>, u64), FormatError> {
        let keyids = fields.texts("keyids")?;
        if keyids.len() > ROLE_KEYS_MAX {
            return content(format!("more than {ROLE_KEYS_MAX} keys for a role"));
        }
        if keyids.iter().collect::<BTreeSet<_>>().len() < keyids.len() {
            return content("a role names a key twice");
        }
        Ok((keyids, fields.uint("threshold", 1)?))
    }

    fn read(value: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(value, "roles")?;
        let (keyids, threshold) = Self::take(&mut fields)?;
        Ok(Self { keyids, threshold, extra: fields.rest() })
    }

    pub(crate) fn write(&self, out: &mut Object) {
        out.extend(self.extra.clone());
        let keyids = self.keyids.iter().map(|keyid| Value::from(keyid.as_str())).collect();
        out.insert("keyids".to_owned(), Value::List(keyids));
        out.insert("threshold".to_owned(), Value::from(self.threshold));
    }
}

pub(crate) fn read_keys(members: Object) -> Result<BTreeMap<String, PublicKey>, FormatError> {
    members
        .into_iter()
        .map(|(keyid, value)| {
            let mut fields = Fields::new(value, "keys")?;
            let (keytype, scheme) = (fields.text("keytype")?, fields.text("scheme")?);
            let mut keyval = Fields::new(Value::Object(fields.object("keyval")?), "keyval")?;
            let public = keyval.text("public")?;
            let key = PublicKey { keytype, scheme, public, keyval_extra: keyval.rest(), extra: fields.rest() };
            Ok((keyid, key))
        })
        .collect()
}

pub(crate) fn write_keys(keys: &BTreeMap<String, PublicKey>) -> Value {
    Value::Object(keys.iter().map(|(keyid, key)| (keyid.clone(), key.to_value())).collect())
}

/// `_type`, `spec_version`, `version`, `expires`.
fn take_common(fields: &mut Fields, role: Top) -> Result<(u64, Time), FormatError> {
    if fields.text("_type")? != role.name() {
        return content(format!("`_type` is not `{}`", role.name()));
    }
    let spec = fields.text("spec_version")?;
    let parts: Vec<&str> = spec.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts[0] != "1" || !(2..=3).contains(&parts.len()) || !parts.iter().all(is_number) {
        return content("`spec_version` is none of 1.x");
    }
    Ok((fields.uint("version", 1)?, fields.time("expires")?))
}

fn write_common(extra: &Object, role: Top, version: u64, expires: Time) -> Object {
    let mut out = extra.clone();
    out.extend(object([
        ("_type", Value::from(role.name())),
        ("spec_version", Value::from(SPEC_VERSION)),
        ("version", Value::from(version)),
        ("expires", Value::from(expires.to_string().as_str())),
    ]));
    out
}

/// The root role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires: Time,
    /// Whether files bear versions and hashes in their names.
    pub consistent_snapshot: bool,
    /// Keys by their ids.
    pub keys: BTreeMap<String, PublicKey>,
    /// Who may sign for each of the four.
    pub roles: BTreeMap<Top, RoleKeys>,
    /// Roles of other names (such as `mirrors`), as they stand there.
    pub other_roles: Object,
    /// What we do not know.
    pub extra: Object,
}

impl Root {
    /// Who may sign for a role. Every root has all four.
    pub fn role(&self, top: Top) -> Result<&RoleKeys, FormatError> {
        self.roles.get(&top).ok_or_else(|| FormatError::Field(top.name().to_owned(), "no role"))
    }

    /// The `signed` object.
    pub fn to_value(&self) -> Value {
        let mut out = write_common(&self.extra, Top::Root, self.version, self.expires);
        let mut roles = self.other_roles.clone();
        for (top, keys) in &self.roles {
            let mut members = Object::new();
            keys.write(&mut members);
            roles.insert(top.name().to_owned(), Value::Object(members));
        }
        out.insert("consistent_snapshot".to_owned(), Value::Bool(self.consistent_snapshot));
        out.insert("keys".to_owned(), write_keys(&self.keys));
        out.insert("roles".to_owned(), Value::Object(roles));
        Value::Object(out)
    }
}

impl Role for Root {
    const TYPE: Top = Top::Root;

    fn read(signed: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(signed, "signed")?;
        let (version, expires) = take_common(&mut fields, Self::TYPE)?;
        let consistent_snapshot = match fields.optional("consistent_snapshot") {
            None => false,
            Some(Value::Bool(value)) => value,
            Some(Value::Null | Value::Int(_) | Value::Text(_) | Value::List(_) | Value::Object(_)) => {
                return content("`consistent_snapshot` is no boolean");
            }
        };
        let keys = read_keys(fields.object("keys")?)?;
        let mut other_roles = fields.object("roles")?;
        let mut roles = BTreeMap::new();
        for top in Top::ALL {
            let Some(value) = other_roles.remove(top.name()) else {
                return content(format!("root names no keys for {}", top.name()));
            };
            roles.insert(top, RoleKeys::read(value)?);
        }
        Ok(Self { version, expires, consistent_snapshot, keys, roles, other_roles, extra: fields.rest() })
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }
}

/// Digests of a file. All that we know must match; there must be one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hashes {
    /// SHA-256.
    pub sha256: Option<[u8; 32]>,
    /// SHA-512.
    pub sha512: Option<[u8; 64]>,
    /// Of algorithms that we do not know, as they stand there.
    pub other: BTreeMap<String, String>,
}

impl Hashes {
    fn read(members: Object) -> Result<Self, FormatError> {
        let mut hashes = Self::default();
        for (algorithm, value) in members {
            let text = into_text(value, "hashes")?;
            match algorithm.as_str() {
                "sha256" => hashes.sha256 = Some(digest(&text)?),
                "sha512" => hashes.sha512 = Some(digest(&text)?),
                _ => {
                    hashes.other.insert(algorithm, text);
                }
            }
        }
        Ok(hashes)
    }

    fn to_value(&self) -> Value {
        let mut out: Object =
            self.other.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
        if let Some(sha256) = &self.sha256 {
            out.insert("sha256".to_owned(), Value::from(hex(sha256).as_str()));
        }
        if let Some(sha512) = &self.sha512 {
            out.insert("sha512".to_owned(), Value::from(hex(sha512).as_str()));
        }
        Value::Object(out)
    }

    /// Whether nothing stands there.
    pub fn is_empty(&self) -> bool {
        self.sha256.is_none() && self.sha512.is_none() && self.other.is_empty()
    }

    /// A hasher that makes every digest that [`Self::matches`] will ask for.
    pub fn hasher(&self) -> Hasher {
        Hasher::new(self.sha512.is_some())
    }

    /// Whether the bytes that went through [`Self::hasher`] are the ones meant. Never where there is no digest of an
    /// algorithm that we know.
    pub fn matches(&self, hasher: Hasher) -> bool {
        let (sha256, sha512) = hasher.finish();
        let one = self.sha256.is_none_or(|wanted| wanted == sha256);
        let other = self.sha512.is_none_or(|wanted| Some(wanted) == sha512);
        (self.sha256.is_some() || self.sha512.is_some()) && one && other
    }

    /// The digest in the name of a consistent target, in hexadecimal.
    pub fn prefix(&self) -> Option<String> {
        match (&self.sha256, &self.sha512) {
            (Some(sha256), _) => Some(hex(sha256)),
            (None, Some(sha512)) => Some(hex(sha512)),
            (None, None) => None,
        }
    }
}

/// What a timestamp or a snapshot says of another role's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its version.
    pub version: u64,
    /// Its length in bytes.
    pub length: Option<u64>,
    /// Its digests; often none.
    pub hashes: Hashes,
    /// What we do not know.
    pub extra: Object,
}

impl Meta {
    fn read(value: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(value, "meta")?;
        let version = fields.uint("version", 1)?;
        let length = fields.optional_uint("length", 1)?;
        let hashes = match fields.optional("hashes") {
            None => Hashes::default(),
            Some(value) => Hashes::read(into_object(value, "hashes")?)?,
        };
        Ok(Self { version, length, hashes, extra: fields.rest() })
    }

    /// Whether bytes have the length and the digests that stand here.
    pub fn describes(&self, bytes: &[u8]) -> bool {
        let mut hasher = self.hashes.hasher();
        hasher.update(bytes);
        let is_length = self.length.is_none_or(|length| usize::try_from(length) == Ok(bytes.len()));
        is_length && (self.hashes.is_empty() || self.hashes.matches(hasher))
    }
}

/// The timestamp role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamp {
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires: Time,
    /// The current snapshot.
    pub snapshot: Meta,
    /// What we do not know.
    pub extra: Object,
}

impl Role for Timestamp {
    const TYPE: Top = Top::Timestamp;

    fn read(signed: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(signed, "signed")?;
        let (version, expires) = take_common(&mut fields, Self::TYPE)?;
        let mut meta = fields.object("meta")?;
        let Some(snapshot) = meta.remove("snapshot.json").filter(|_| meta.is_empty()) else {
            return content("a timestamp names the snapshot, and nothing else");
        };
        Ok(Self { version, expires, snapshot: Meta::read(snapshot)?, extra: fields.rest() })
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }
}

/// The snapshot role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires: Time,
    /// Every targets role by its name, without `.json`.
    pub meta: BTreeMap<String, Meta>,
    /// What we do not know.
    pub extra: Object,
}

impl Role for Snapshot {
    const TYPE: Top = Top::Snapshot;

    fn read(signed: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(signed, "signed")?;
        let (version, expires) = take_common(&mut fields, Self::TYPE)?;
        let mut meta = BTreeMap::new();
        for (name, value) in fields.object("meta")? {
            let Some(role) = name.strip_suffix(".json") else { return content(format!("`{name}` is no role's file")) };
            meta.insert(role.to_owned(), Meta::read(value)?);
        }
        Ok(Self { version, expires, meta, extra: fields.rest() })
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }
}

/// What a targets role says of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// What the application adds.
    pub custom: Option<Object>,
    /// What we do not know.
    pub extra: Object,
}

impl TargetFile {
    fn read(value: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(value, "targets")?;
        let length = fields.uint("length", 0)?;
        let hashes = Hashes::read(fields.object("hashes")?)?;
        if hashes.is_empty() {
            return content("a target without a digest");
        }
        let custom = fields.optional("custom").map(|value| into_object(value, "custom")).transpose()?;
        Ok(Self { length, hashes, custom, extra: fields.rest() })
    }

    fn to_value(&self) -> Value {
        let mut out = self.extra.clone();
        out.insert("length".to_owned(), Value::from(self.length));
        out.insert("hashes".to_owned(), self.hashes.to_value());
        if let Some(custom) = &self.custom {
            out.insert("custom".to_owned(), Value::Object(custom.clone()));
        }
        Value::Object(out)
    }
}

/// A targets role, top-level or delegated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires: Time,
    /// Files by path.
    pub targets: BTreeMap<String, TargetFile>,
    /// Who else may speak.
    pub delegations: Option<Delegations>,
    /// What we do not know.
    pub extra: Object,
}

impl Targets {
    /// The `signed` object.
    pub fn to_value(&self) -> Value {
        let mut out = write_common(&self.extra, Top::Targets, self.version, self.expires);
        let targets = self.targets.iter().map(|(path, file)| (path.clone(), file.to_value())).collect();
        out.insert("targets".to_owned(), Value::Object(targets));
        if let Some(delegations) = &self.delegations {
            out.insert("delegations".to_owned(), delegations.to_value());
        }
        Value::Object(out)
    }
}

impl Role for Targets {
    const TYPE: Top = Top::Targets;

    fn read(signed: Value) -> Result<Self, FormatError> {
        let mut fields = Fields::new(signed, "signed")?;
        let (version, expires) = take_common(&mut fields, Self::TYPE)?;
        let mut targets = BTreeMap::new();
        for (path, value) in fields.object("targets")? {
            if path.len() > TARGET_PATH_BYTES_MAX {
                return content(format!("a path of more than {TARGET_PATH_BYTES_MAX} bytes"));
            }
            targets.insert(path, TargetFile::read(value)?);
        }
        let delegations = fields.optional("delegations").map(Delegations::read).transpose()?;
        Ok(Self { version, expires, targets, delegations, extra: fields.rest() })
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }
}
