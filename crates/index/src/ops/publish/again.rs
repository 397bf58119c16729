//! Publication again, in steps: pages that another version of this program made, or that name another address of this
//! server, become ordinary sets of changes, a few projects each, while nobody's change waits. The ledger says of each
//! project which version made its pages, and of each file which address they name, so whatever ends between two sets
//! goes on at the next start. It is no event of the log: nothing is published or yanked by it.

use std::time::Duration;

use tokio::time::Instant;

use super::{OVERTAKEN_MAX, Publisher, Set};
use crate::model::IndexName;
use crate::render::RENDER_VERSION;
use crate::store::publishing;
use crate::{Installation, Result};

/// Most files of the projects of one set, unless its first project alone has more: whoever uploads meanwhile waits for one
/// set.
const FILES_MAX: i64 = 2_000;
/// How often is said how far it came.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Why pages are rendered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Behind {
    /// Another version of the renderer made them. Only that version could make them once more.
    Version,
    /// They name another address of this server. They are made of what the ledger keeps, by anybody.
    Address,
}

/// How far the walk came.
#[derive(Debug)]
pub(super) struct Walk {
    /// Projects up to this id were looked at, for each reason; absent at the end.
    version: Option<i64>,
    address: Option<i64>,
    done: usize,
    said: Option<Instant>,
}

impl Walk {
    /// Another node may have published with another version or address until now, so each lease begins anew.
    pub(super) fn begin() -> Self {
        Self { version: Some(0), address: Some(0), done: 0, said: None }
    }

    /// Nothing to do, for a node that does not publish.
    pub(super) fn ended() -> Self {
        Self { version: None, address: None, done: 0, said: None }
    }

    fn place(&mut self, why: Behind) -> &mut Option<i64> {
        match why {
            Behind::Version => &mut self.version,
            Behind::Address => &mut self.address,
        }
    }
}

impl Publisher {
    /// Renders the next few projects again, at most so many; false when there are none, or nothing can be signed.
    pub(in crate::ops) async fn render_some_again(&mut self, why: Behind, most: i64) -> Result<bool> {
        let Some(after) = *self.walk.place(why) else { return Ok(false) };
        let some = self.next_behind(why, after, most).await?;
        let Some(last) = some.last().copied() else {
            *self.walk.place(why) = None;
            self.say_progress(true).await?;
            return Ok(false);
        };
        self.say_progress(false).await?;
        let mut overtaken = 0;
        loop {
            match self.publish_set(overtaken >= OVERTAKEN_MAX, &some).await? {
                Set::Nothing => return Ok(false),
                Set::Published => break,
                Set::Overtaken => overtaken += 1,
            }
        }
        // A lease that was taken anew meanwhile began another walk; nothing is left out by going on from here.
        *self.walk.place(why) = Some(last);
        self.walk.done += some.len();
        self.write_list_if_due().await?;
        self.checkpoint_if_due(false).await?;
        Ok(true)
    }

    /// Projects after an id, as many as make one set.
    async fn next_behind(&self, why: Behind, after: i64, most: i64) -> Result<Vec<i64>> {
        let mut tx = self.installation.store.read().await?;
        let rows = match why {
            Behind::Version => {
                publishing::of_another_version(&mut tx, self.index_id, RENDER_VERSION, after, most).await?
            }
            Behind::Address => {
                let address = self.installation.settings.public_url.as_deref();
                publishing::of_another_address(&mut tx, self.index_id, address, after, most).await?
            }
        };
        let mut files = 0;
        let mut room = |count: i64| {
            let fits = files == 0 || files + count <= FILES_MAX;
            files += count.max(1);
            fits
        };
        Ok(rows.into_iter().take_while(|(_, count)| room(*count)).map(|(id, _)| id).collect())
    }

    async fn say_progress(&mut self, at_end: bool) -> Result<()> {
        if at_end {
            if self.walk.done > 0 && self.walk.version.is_none() && self.walk.address.is_none() {
                tracing::info!(index = %self.index, projects = self.walk.done, "all pages are rendered again");
                self.walk.done = 0;
            }
            return Ok(());
        }
        if self.walk.said.is_some_and(|at| at.elapsed() < SAY_EVERY) {
            return Ok(());
        }
        self.walk.said = Some(Instant::now());
        let Left { version, address, .. } = left(&self.installation, self.index_id, self.index.clone()).await?;
        tracing::info!(
            index = %self.index,
            of_another_version = version,
            of_another_address = address,
            done = self.walk.done,
            "pages are rendered again"
        );
        Ok(())
    }
}

/// Projects of an index that are yet to be rendered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The index.
    pub index: IndexName,
    /// Those whose pages another version of this program made.
    pub version: i64,
    /// Those whose pages name another address of this server.
    pub address: i64,
}

/// What is left of an index.
pub(in crate::ops) async fn left(installation: &Installation, index_id: i64, index: IndexName) -> Result<Left> {
    let mut tx = installation.store.read().await?;
    let address = installation.settings.public_url.as_deref();
    let (version, address) = publishing::behind(&mut tx, index_id, RENDER_VERSION, address).await?;
    Ok(Left { index, version, address })
}
