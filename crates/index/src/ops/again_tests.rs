//! Pages that another version of the renderer made: rendered again in steps, each of which may be the last for a while.

use std::sync::Arc;

use super::publish::{Behind, Publisher};
use super::tests::{Stage, stages};
use super::{indexes, rebuild, scrub, workers};
use crate::Error;
use crate::store::indexes::IndexRow;
use crate::store::{log, publishing};

impl Stage {
    async fn publisher(&self) -> Publisher {
        let mut publisher = Publisher::new(Arc::clone(&self.installation), self.index.id, self.index.name());
        assert!(publisher.run_ready().await.expect("published"));
        publisher
    }

    async fn index_now(&self) -> IndexRow {
        indexes::list(&self.installation).await.expect("list").remove(0)
    }

    async fn of_another_version(&self) -> i64 {
        workers::behind(&self.installation).await.expect("counted").first().map_or(0, |left| left.version)
    }

    async fn logged(&self) -> i64 {
        log::count(&mut self.installation.store.read().await.expect("read"), self.index.id).await.expect("counted")
    }
}

/// Goal: after every step the site is sound, uploads go on, and what ends is gone on with. Method: three projects, one a
/// step, a publisher of its own for each.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_another_version_are_rendered_again_in_steps() {
    for stage in stages().await {
        for project in ["one", "two", "three"] {
            stage.upload(project, "1.0", project).await.expect("accepted");
        }
        stage.upload("one", "2.0", "more").await.expect("accepted");
        stage.settle().await;
        let mut tx = stage.installation.store.write().await.expect("write");
        publishing::made_by(&mut tx, stage.index.id, 0).await.expect("changed");
        tx.commit().await.expect("committed");
        let entries = stage.logged().await;
        for left in [2, 1, 0] {
            let before = stage.index_now().await.serial;
            let mut publisher = stage.publisher().await;
            assert!(publisher.render_some_again(Behind::Version, 1).await.expect("rendered"));
            // It is gone without a word, as after a kill: the next takes the same node's lease.
            drop(publisher);
            assert_eq!(stage.of_another_version().await, left);
            let row = stage.index_now().await;
            assert_eq!(row.serial, before + 1, "a step is a set of changes of its own");
            let wrong = scrub::scrub(&stage.installation, &row, &mut |_| {}).await.expect("scrubbed");
            assert_eq!(wrong, Vec::<String>::new());
            if left == 1 {
                let refused = rebuild::rebuild(&stage.installation, &row, &mut |_| {}).await;
                assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
                stage.upload("one", "3.0", "meanwhile").await.expect("accepted");
                stage.settle().await;
                assert_eq!(stage.filenames("one").len(), 3);
            }
        }
        let mut publisher = stage.publisher().await;
        assert!(!publisher.render_some_again(Behind::Version, 1).await.expect("nothing"));
        publisher.stop().await.expect("stopped");
        // The upload between is one; nothing else was published, yanked or decided.
        assert_eq!(stage.logged().await, entries + 1);
        stage.assert_sound().await;
    }
}

/// Goal: a rebuild finishes what is left first. Method: the ledger's number, and the verb that the command calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_finishes_the_rendering() {
    for stage in stages().await {
        for number in 0..5 {
            stage.upload(&format!("p{number}"), "1.0", "text").await.expect("accepted");
        }
        stage.settle().await;
        let mut tx = stage.installation.store.write().await.expect("write");
        publishing::made_by(&mut tx, stage.index.id, 7).await.expect("changed");
        tx.commit().await.expect("committed");
        workers::finish_rendering(&stage.installation).await.expect("finished");
        assert_eq!(stage.of_another_version().await, 0);
        stage.assert_sound().await;
    }
}
