//! The pages of a project, in pieces: one of 15,000 releases has as many pages, and they are never in memory at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::render::{self, Object, ProjectView};
use crate::store::{Tx, files};
use crate::{Error, Result};

/// Releases whose pages are rendered at once.
const RELEASES_AT_ONCE: usize = 128;

/// What is yet to be rendered of a project: first its own pages, then those of some releases.
#[derive(Debug)]
pub(in crate::ops) struct Pieces {
    view: Arc<ProjectView>,
    with_own: bool,
    releases: std::vec::IntoIter<String>,
}

impl Pieces {
    /// The pages of a view and of these releases of it.
    pub(in crate::ops) fn of(view: ProjectView, releases: impl IntoIterator<Item = String>) -> Self {
        let releases = Vec::from_iter(releases).into_iter();
        Self { view: Arc::new(view), with_own: true, releases }
    }

    /// The pages of a view and of all its releases.
    pub(in crate::ops) fn all(view: ProjectView) -> Self {
        let releases: Vec<String> = view.versions().map(str::to_owned).collect();
        Self::of(view, releases)
    }

    /// The project's own pages and, where they are not many, those of the releases; else what is left.
    pub(super) async fn begin(mut self, tx: &mut Tx) -> Result<(Vec<Object>, Option<Self>)> {
        let mut objects = self.next(tx).await?.unwrap_or_default();
        if self.releases.len() > RELEASES_AT_ONCE {
            return Ok((objects, Some(self)));
        }
        objects.extend(self.next(tx).await?.unwrap_or_default());
        Ok((objects, None))
    }

    /// The next piece, of a size that does not depend on how many releases there are, but for the first.
    pub(in crate::ops) async fn next(&mut self, tx: &mut Tx) -> Result<Option<Vec<Object>>> {
        let with_own = std::mem::take(&mut self.with_own);
        let view = Arc::clone(&self.view);
        let wanted: Vec<String> = match with_own {
            true => view.latest().map(str::to_owned).into_iter().collect(),
            false => self.releases.by_ref().take(RELEASES_AT_ONCE).collect(),
        };
        if wanted.is_empty() && !with_own {
            return Ok(None);
        }
        let first_files = {
            let runs = view.by_version();
            let first = |version: &String| Some(render::representative(runs.get(version.as_str())?)?.id);
            wanted.iter().map(first).collect::<Vec<Option<i64>>>()
        };
        let mut releases = BTreeMap::new();
        for (version, file) in wanted.into_iter().zip(first_files) {
            let metadata = match file {
                None => None,
                Some(id) => files::metadata(tx, id).await?.map(|body| render::parse_metadata(&body)),
            };
            releases.insert(version, metadata);
        }
        let work = move || match with_own {
            true => render::project_pages(&view, releases.into_values().next().flatten().as_ref()),
            false => render::release_pages(&view, &releases),
        };
        tokio::task::spawn_blocking(work).await.map(Some).map_err(|e| Error::Internal(e.to_string()))
    }
}
