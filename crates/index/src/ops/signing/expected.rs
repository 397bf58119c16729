//! What must be signed, from published state alone: for the founding, for a recovery, and for whoever checks the rows.

use std::collections::{BTreeMap, BTreeSet};

use packaging::NormalizedName;
use tuf::layout::Target;
use tuf::write::Bins;

use super::super::publish::{published_view, render_project};
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
    let objects = render_project(tx, view, &BTreeSet::new()).await?;
    if let Some(TargetChange::Put(page)) = TargetChange::page(index, &name, &objects) {
        targets.push(page);
    }
    Ok(Expected { name, targets, objects, is_ours })
}

/// What published state says of a whole index, by bin; `see` is shown each project. Returns how many projects too.
///
/// # Errors
/// [`Error::Unavailable`] when pages are left that another version of the renderer made.
pub(in super::super) async fn expected(
    tx: &mut Tx,
    index_id: i64,
    index: &IndexName,
    shape: &Bins,
    mut see: impl FnMut(&Expected) -> Result<()>,
) -> Result<(BTreeMap<u32, BTreeMap<String, TargetRow>>, usize)> {
    let mut bins: BTreeMap<u32, BTreeMap<String, TargetRow>> = BTreeMap::new();
    let listed = projects::published(tx, index_id).await?;
    for one in &listed {
        let expected = expected_of(tx, index, one.id).await?;
        if !expected.is_ours {
            return Err(Error::Unavailable(format!(
                "another version of this program made the pages of '{}', so it is not known here what must be signed; \
                 start that version for this, or wait until `doctor` names no such pages",
                expected.name
            )));
        }
        see(&expected)?;
        for row in expected.targets {
            bins.entry(shape.of(&row.path)).or_default().insert(row.path.clone(), row);
        }
    }
    Ok((bins, listed.len()))
}
