//! What must be signed, from published state alone: for the founding, for a recovery, and for whoever checks the rows.

use std::collections::BTreeMap;

use packaging::NormalizedName;
use tuf::layout::Target;
use tuf::write::Bins;

use super::super::publish::{Pieces, published_view};
use super::{TargetChange, custom_of};
use crate::model::IndexName;
use crate::render::{Object, RENDER_VERSION};
use crate::store::signing::TargetRow;
use crate::store::{Tx, projects};
use crate::{Error, Result};

/// One project's part.
pub(in super::super) struct Expected {
    /// Its name.
    pub(in super::super) name: NormalizedName,
    /// Its page and its files.
    pub(in super::super) targets: Vec<TargetRow>,
    /// Its pages, as they are served.
    pub(in super::super) objects: Vec<Object>,
    /// Whether this version of the renderer made its pages. Those of another are not known here, nor what they must be.
    is_ours: bool,
}

impl Expected {
    /// For whoever must know the pages.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another version of the renderer made them.
    pub(super) fn of_this_version(self) -> Result<Self> {
        if self.is_ours {
            return Ok(self);
        }
        Err(Error::Unavailable(format!(
            "another version of this program made the pages of '{}', so it is not known here what must be signed; start that \
             version for this, or wait until `doctor` names no such pages",
            self.name
        )))
    }
}

/// What published state says of one project. Its pages are rendered without the older API's pages of single releases.
pub(in super::super) async fn expected_of(tx: &mut Tx, index: &IndexName, project_id: i64) -> Result<Expected> {
    let row = projects::by_id(tx, project_id).await?;
    let view = published_view(tx, index, &row).await?;
    let name = row.name();
    let file = |filename: &str| Target::Distribution { project: name.as_str(), filename }.path();
    let mut targets: Vec<TargetRow> = view
        .files
        .iter()
        .map(|one| TargetRow {
            path: file(&one.filename),
            length: one.size_bytes,
            sha256: one.sha256.clone(),
            custom: one.provenance_sha256.as_ref().map(custom_of),
        })
        .collect();
    let is_ours = row.render_version == RENDER_VERSION;
    if !is_ours {
        return Ok(Expected { name, targets, objects: Vec::new(), is_ours });
    }
    let objects = Pieces::of(view, []).next(tx).await?.unwrap_or_default();
    if let Some(TargetChange::Put(page)) = TargetChange::page(index, &name, &objects) {
        targets.push(page);
    }
    Ok(Expected { name, targets, objects, is_ours })
}

/// What published state says of a whole index, by bin: all of it, for a comparison after a theft.
///
/// # Errors
/// As [`Expected::of_this_version`].
pub(in super::super) async fn expected(
    tx: &mut Tx,
    index_id: i64,
    index: &IndexName,
    shape: &Bins,
) -> Result<BTreeMap<u32, BTreeMap<String, TargetRow>>> {
    let mut bins: BTreeMap<u32, BTreeMap<String, TargetRow>> = BTreeMap::new();
    for one in projects::published(tx, index_id).await? {
        let expected = expected_of(tx, index, one.id).await?.of_this_version()?;
        for row in expected.targets {
            bins.entry(shape.of(&row.path)).or_default().insert(row.path.clone(), row);
        }
    }
    Ok(bins)
}
