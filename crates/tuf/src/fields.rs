//! Taking known members out of an object, so that what is left is what we do not know.

use crate::hash::unhex;
use crate::json::{Malformed, Object, Value};
use crate::time::Time;

/// Why bytes that are JSON are no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No acceptable JSON.
    #[error("no acceptable JSON: {0}")]
    Json(Malformed),
    /// A member that must be there is not, or is of another type.
    #[error("`{0}` is missing or {1}")]
    Field(String, &'static str),
    /// The members contradict each other or a limit.
    #[error("{0}")]
    Content(String),
}

// Not a source besides: whoever prints the causes too would say it twice.
impl From<Malformed> for FormatError {
    fn from(error: Malformed) -> Self {
        Self::Json(error)
    }
}

pub(crate) fn content<T>(why: impl Into<String>) -> Result<T, FormatError> {
    Err(FormatError::Content(why.into()))
}

/// The members of one object that nobody took yet.
pub(crate) struct Fields(Object);

impl Fields {
    pub(crate) fn new(value: Value, name: &str) -> Result<Self, FormatError> {
        into_object(value, name).map(Self)
    }

    /// What was not taken.
    pub(crate) fn rest(self) -> Object {
        self.0
    }

    pub(crate) fn optional(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    fn required(&mut self, name: &str, type_: &'static str) -> Result<Value, FormatError> {
        self.optional(name).ok_or_else(|| FormatError::Field(name.to_owned(), type_))
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Object, FormatError> {
        into_object(self.required(name, "no object")?, name)
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Value>, FormatError> {
        into_list(self.required(name, "no array")?, name)
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<String, FormatError> {
        into_text(self.required(name, "no string")?, name)
    }

    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, FormatError> {
        self.list(name)?.into_iter().map(|value| into_text(value, name)).collect()
    }

    pub(crate) fn bool(&mut self, name: &str) -> Result<bool, FormatError> {
        match self.required(name, "no boolean")? {
            Value::Bool(value) => Ok(value),
            Value::Null | Value::Int(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
                Err(FormatError::Field(name.to_owned(), "no boolean"))
            }
        }
    }

    /// An integer of at least `min`.
    pub(crate) fn uint(&mut self, name: &str, min: u64) -> Result<u64, FormatError> {
        let value = self.required(name, "no number")?;
        into_uint(&value, min).ok_or_else(|| FormatError::Field(name.to_owned(), "no number in range"))
    }

    /// Like [`Self::uint`], where the member may be absent.
    pub(crate) fn optional_uint(&mut self, name: &str, min: u64) -> Result<Option<u64>, FormatError> {
        if self.0.contains_key(name) { self.uint(name, min).map(Some) } else { Ok(None) }
    }

    pub(crate) fn time(&mut self, name: &str) -> Result<Time, FormatError> {
        self.text(name)?.parse().map_err(|_| FormatError::Field(name.to_owned(), "no time"))
    }
}

fn into_uint(value: &Value, min: u64) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok().filter(|number| *number >= min),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => None,
    }
}

pub(crate) fn into_object(value: Value, name: &str) -> Result<Object, FormatError> {
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::List(_) => {
            Err(FormatError::Field(name.to_owned(), "no object"))
        }
    }
}

pub(crate) fn into_list(value: Value, name: &str) -> Result<Vec<Value>, FormatError> {
    match value {
        Value::List(values) => Ok(values),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::Object(_) => {
            Err(FormatError::Field(name.to_owned(), "no array"))
        }
    }
}

pub(crate) fn into_text(value: Value, name: &str) -> Result<String, FormatError> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::List(_) | Value::Object(_) => {
            Err(FormatError::Field(name.to_owned(), "no string"))
        }
    }
}

pub(crate) fn digest<const N: usize>(text: &str) -> Result<[u8; N], FormatError> {
    unhex(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| FormatError::Content(format!("a digest is not {} hexadecimal digits", 2 * N)))
}
