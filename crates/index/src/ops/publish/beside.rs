//! What the publisher writes beside a file: its core metadata and its provenance.

use crate::Result;
use crate::blobs::layout;
use crate::model::{FileKind, IndexName};
use crate::render::{self, Object};
use crate::store::files::FileRow;
use crate::store::{Tx, attestations, files};

/// What stands beside a file that changes zones, to be written or taken away: metadata, provenance.
pub(super) async fn beside(tx: &mut Tx, index: &IndexName, file: &FileRow, visible: bool) -> Result<Vec<Object>> {
    let mut objects = Vec::from_iter(metadata_object(tx, index, file, visible).await?);
    if let Some(key) = layout::provenance(index, &file.filename).filter(|_| file.provenance_sha256().is_some()) {
        let body = if visible { attestations::body(tx, file.id).await? } else { None };
        objects.push((key, body.map(|body| render::unpack_metadata(&body))));
    }
    Ok(objects)
}

/// The metadata beside a file; none for an sdist.
async fn metadata_object(tx: &mut Tx, index: &IndexName, file: &FileRow, visible: bool) -> Result<Option<Object>> {
    if file.kind() != FileKind::Wheel {
        return Ok(None);
    }
    let body = if visible { files::metadata(tx, file.id).await? } else { None };
    let key = layout::site_metadata(index, &file.sha256(), &file.filename);
    Ok(Some((key, body.map(|body| render::unpack_metadata(&body)))))
}
