//! Targets: rows of the ledger, what becomes of one in a set, and what the engine borrows of them.

use std::collections::BTreeMap;

use packaging::{NormalizedName, Sha256};
use tuf::Time;
use tuf::layout::Target;
use tuf::write::{Custom, Row, body};

use super::in_force::InForce;
use super::write_error;
use crate::blobs::layout;
use crate::model::IndexName;
use crate::render::Object;
use crate::store::Tx;
use crate::store::signing::{self as rows, SLOT_BITS, TargetRow};
use crate::{Error, Result};

pub(super) async fn targets_of(tx: &mut Tx, index_id: i64, bits: u32, bin: u32) -> Result<Vec<TargetRow>> {
    let width = 1_i64 << (SLOT_BITS - bits);
    rows::targets(tx, index_id, i64::from(bin) * width, (i64::from(bin) + 1) * width).await
}

pub(super) fn by_path(rows: Vec<TargetRow>) -> BTreeMap<String, TargetRow> {
    rows.into_iter().map(|row| (row.path.clone(), row)).collect()
}

/// The rows of one bin in force.
pub(in super::super) async fn targets_of_bin(tx: &mut Tx, in_force: &InForce, bin: u32) -> Result<Vec<TargetRow>> {
    targets_of(tx, in_force.index_id, in_force.repository.bins().bits(), bin).await
}

/// Targets with what the engine wants to borrow.
pub(super) struct Listed<'a>(Vec<(&'a TargetRow, tuf::hash::Sha256, Option<Custom>)>);

impl<'a> Listed<'a> {
    pub(super) fn of(held: &'a BTreeMap<String, TargetRow>) -> Result<Self> {
        let broken = |row: &TargetRow| Error::Internal(format!("the ledger's target {} cannot be read", row.path));
        let listed = held.values().map(|row| {
            let sha256: Sha256 = row.sha256.parse().map_err(|_| broken(row))?;
            let custom = row.custom.as_deref().map(Custom::read).transpose().map_err(|_| broken(row))?;
            Ok((row, *sha256.as_bytes(), custom))
        });
        Ok(Self(listed.collect::<Result<_>>()?))
    }

    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        self.0
            .iter()
            .map(|(row, sha256, custom)| Row {
                path: &row.path,
                length: row.length.cast_unsigned(),
                sha256,
                custom: custom.as_ref(),
            })
            .collect()
    }

    pub(super) fn body(&self, version: u64, expires: Time) -> Result<Vec<u8>> {
        body::bin(version, expires, &self.rows()).map_err(write_error)
    }
}

/// What becomes of one target.
#[derive(Debug, Clone)]
pub(in super::super) enum TargetChange {
    /// It is published with this content.
    Put(TargetRow),
    /// It is withdrawn.
    Drop(String),
}

/// What is signed of a file besides its own digest.
pub(super) fn custom_of(provenance_sha256: &impl std::fmt::Display) -> String {
    format!(r#"{{"provenance":{{"sha256":"{provenance_sha256}"}}}}"#)
}

impl TargetChange {
    /// A distribution file that enters the site or leaves it. Its provenance is signed with it, so that nobody between
    /// can swap it or leave it away.
    pub(in super::super) fn file(
        project: &NormalizedName,
        filename: &str,
        content: Option<(&Sha256, i64)>,
        provenance: Option<Sha256>,
    ) -> Self {
        let path = Target::Distribution { project: project.as_str(), filename }.path();
        match content {
            Some((sha256, length)) => {
                let custom = provenance.map(|sha256| custom_of(&sha256));
                Self::Put(TargetRow { path, length, sha256: sha256.to_string(), custom })
            }
            None => Self::Drop(path),
        }
    }

    /// The page among a project's objects: exactly the bytes that are served.
    pub(in super::super) fn page(index: &IndexName, project: &NormalizedName, objects: &[Object]) -> Option<Self> {
        let page = layout::page(index, project, "json");
        let path = Target::Page { project: project.as_str() }.path();
        let (_, body) = objects.iter().find(|(key, _)| *key == page)?;
        Some(match body {
            None => Self::Drop(path),
            Some(body) => {
                let sha256 = tuf::hash::hex(&tuf::hash::sha256(body));
                Self::Put(TargetRow { path, length: body.len() as i64, sha256, custom: None })
            }
        })
    }

    pub(super) fn store(&self, tx: &mut Tx, index_id: i64) {
        match self {
            Self::Put(row) => rows::set_target(tx, index_id, row),
            Self::Drop(path) => rows::drop_target(tx, index_id, path),
        }
    }

    /// The digest of a page that is put.
    pub(in super::super) fn page_hash(&self) -> Option<tlog::Hash> {
        match self {
            Self::Put(row) if row.path.starts_with("simple/") => tlog::Hash::from_hex(&row.sha256),
            Self::Put(_) | Self::Drop(_) => None,
        }
    }

    /// Changes a bin's rows. Returns the page that nothing names after it.
    pub(super) fn apply(&self, bin: &mut BTreeMap<String, TargetRow>) -> Option<String> {
        let (old, new) = match self {
            Self::Put(row) => (bin.insert(row.path.clone(), row.clone()), Some(&row.sha256)),
            Self::Drop(path) => (bin.remove(path), None),
        };
        let gone = old.filter(|old| old.path.starts_with("simple/") && Some(&old.sha256) != new);
        gone.map(|old| layout::superseded_page(&old.path, &old.sha256))
    }

    pub(super) fn path(&self) -> &str {
        match self {
            Self::Put(row) => &row.path,
            Self::Drop(path) => path,
        }
    }
}
