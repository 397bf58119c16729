//! What stands before a change: the signed files themselves, so that who may sign, and what is new, is never the word of
//! whoever wrote the event.

use crate::fields::{Fields, FormatError, content};
use crate::json::{Value, object, to_stored};
use crate::role::{Role, Root, Top};
use crate::signed::Signed;
use crate::write::{BINS, Offline};

use super::{EventError, told::Told};

/// Roots that an event brings along, newest last: a holder who kept any of them can hold the event against it.
pub const ROOTS_MAX: usize = 64;

/// The roots since some time, and the `targets` and `bins` that the last one leads to; verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    roots: Vec<Value>,
    targets: Value,
    bins: Value,
    offline: Offline,
    told: [Told; 3],
}

fn stored(file: &Value) -> Vec<u8> {
    let canonical = file.to_canonical();
    let mut out = Vec::with_capacity(canonical.len());
    to_stored(&canonical, &mut out);
    out
}

/// The part of a file that is signed.
fn signed(file: &Value) -> Result<Value, FormatError> {
    Ok(Value::Object(Fields::new(file.clone(), "a role's file")?.object("signed")?))
}

fn root(file: &Value) -> Result<Signed<Root>, FormatError> {
    let bytes = stored(file);
    Signed::parse(&bytes, bytes.len())
}

impl Before {
    /// From the files in force: every root, oldest first (the last [`ROOTS_MAX`] are kept), `targets` and `bins`.
    pub fn read<'a>(
        roots: impl DoubleEndedIterator<Item = &'a [u8]>,
        targets: &[u8],
        bins: &[u8],
    ) -> Result<Self, EventError> {
        let parse = |bytes: &[u8]| Value::parse(bytes, bytes.len()).map_err(FormatError::Json);
        let mut kept = roots.rev().take(ROOTS_MAX).map(parse).collect::<Result<Vec<_>, _>>()?;
        kept.reverse();
        Self::verified(kept, parse(targets)?, parse(bins)?)
    }

    fn verified(roots: Vec<Value>, targets: Value, bins: Value) -> Result<Self, EventError> {
        let last = roots.last().ok_or_else(|| FormatError::Content("no root stood before".to_owned()))?;
        let offline = Offline::read(&stored(last), &stored(&targets), &stored(&bins)).map_err(EventError::Before)?;
        for pair in roots.windows(2) {
            let [old, new] = pair else { continue };
            let (old, new) = (root(old)?.role, root(new)?);
            let is_next = new.role.version == old.version + 1 && new.verify(&old.keys, old.role(Top::Root)?).is_ok();
            if !is_next {
                let why = format!("root version {} does not follow on the one before it", new.role.version);
                return Err(FormatError::Content(why).into());
            }
        }
        let told = [
            Told::read(Top::Root.name(), &signed(last)?)?,
            Told::read(Top::Targets.name(), &signed(&targets)?)?,
            Told::read(BINS, &signed(&bins)?)?,
        ];
        Ok(Self { roots, targets, bins, offline, told })
    }

    /// The roles in force before the change.
    pub(super) fn offline(&self) -> &Offline {
        &self.offline
    }

    pub(super) fn told(&self, role: &str) -> &Told {
        let [root, targets, bins] = &self.told;
        if role == BINS {
            bins
        } else if role == Top::Targets.name() {
            targets
        } else {
            root
        }
    }

    /// The version of a root that a holder kept, where it is one of these.
    pub(super) fn version_of(&self, kept: &[u8]) -> Result<Option<u64>, FormatError> {
        let kept = Signed::<Root>::parse(kept, kept.len())?;
        for file in &self.roots {
            if signed(file)?.to_canonical() == kept.canonical {
                return Ok(Some(kept.role.version()));
            }
        }
        Ok(None)
    }

    pub(super) fn to_value(&self) -> Value {
        let Self { roots, targets, bins, offline: _, told: _ } = self;
        let roots = Value::List(roots.clone());
        Value::Object(object([("roots", roots), ("targets", targets.clone()), ("bins", bins.clone())]))
    }

    pub(super) fn from_value(value: Value) -> Result<Self, EventError> {
        let mut fields = Fields::new(value, "previous")?;
        let roots = fields.list("roots")?;
        if roots.len() > ROOTS_MAX {
            content(format!("more than {ROOTS_MAX} roots stood before"))?;
        }
        let (targets, bins) = (Value::Object(fields.object("targets")?), Value::Object(fields.object("bins")?));
        Self::verified(roots, targets, bins)
    }
}
