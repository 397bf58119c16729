//! The ledger on both engines: one text, one behaviour.

use std::collections::BTreeMap;

use super::db::{Begun, Tx, args};
use super::{
    accounts, attestations, audit, files, indexes, jobs, log, notices, projects, publishing, signing, uploads,
    verdicts, walks,
};
use crate::model::{FileKind, FileState, IndexName, ProjectRole};
use crate::testing::{Engine, NOW_US, engines};

/// Every registered statement.
fn statements() -> Vec<&'static str> {
    [
        accounts::ALL,
        attestations::ALL,
        audit::ALL,
        files::ALL,
        indexes::ALL,
        jobs::ALL,
        log::ALL,
        notices::ALL,
        projects::ALL,
        publishing::ALL,
        signing::ALL,
        uploads::ALL,
        verdicts::ALL,
        walks::ALL,
    ]
    .concat()
}

/// Goal: no statement is understood by one engine only. Method: prepare each on both.
#[tokio::test]
async fn every_statement_prepares_on_both_engines() {
    use sqlx::{Executor, SqlSafeStr};
    for engine in engines().await {
        for sql in statements() {
            let mut tx = engine.store.write().await.expect("a transaction");
            let outcome = match tx.begun().await.expect("begun") {
                Begun::Postgres(tx) => tx.prepare(sql.into_sql_str()).await.map(|_| ()),
                Begun::Sqlite(tx) => tx.prepare(sql.into_sql_str()).await.map(|_| ()),
            };
            assert!(outcome.is_ok(), "{}: {sql}: {outcome:?}", engine.store.engine());
        }
    }
}

type Columns = BTreeMap<String, Vec<(String, String, bool)>>;

async fn schema(engine: &Engine) -> Columns {
    let mut tx = engine.store.read().await.expect("a transaction");
    let mut out = Columns::new();
    let rows: Vec<(String, String, String, bool)> = match tx.begun().await.expect("begun") {
        Begun::Postgres(_) => tx
            .all(
                "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES' \
                 FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
                args![],
            )
            .await
            .expect("the catalogue"),
        Begun::Sqlite(_) => tx
            .all(
                "SELECT m.name, c.name, c.type, c.\"notnull\" = 0 AND c.pk = 0 FROM sqlite_master m \
                 JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' \
                 ORDER BY m.name, c.cid",
                args![],
            )
            .await
            .expect("the catalogue"),
    };
    for (table, column, kind, nullable) in rows {
        let kind = match kind.as_str() {
            // Truth values are integers in SQLite.
            "bigint" | "INTEGER" | "boolean" | "BIGINT" => "integer",
            "text" | "TEXT" => "text",
            "bytea" | "BLOB" => "bytes",
            other => panic!("{table}.{column} has the type {other}, which only one engine has"),
        };
        out.entry(table).or_default().push((column, kind.to_owned(), nullable));
    }
    out
}

#[tokio::test]
async fn both_engines_have_one_schema() {
    let engines = engines().await;
    let (sqlite, postgres) = (schema(&engines[0]).await, schema(&engines[1]).await);
    assert!(sqlite.len() > 10);
    assert_eq!(sqlite, postgres);
}

#[tokio::test]
async fn migrations_run_once_and_a_newer_ledger_is_refused() {
    for engine in engines().await {
        super::migrations::run(&engine.store.db, NOW_US).await.expect("nothing to do");
        let mut tx = engine.store.write().await.expect("a transaction");
        tx.execute("INSERT INTO migrations (name, applied_us) VALUES ('9999_future', 1)", args![])
            .await
            .expect("insert");
        tx.commit().await.expect("commit");
        let error = super::migrations::run(&engine.store.db, NOW_US).await.expect_err("newer");
        assert!(error.to_string().contains("9999_future"), "{error}");
    }
}

struct Seeded {
    index: i64,
    project: i64,
    release: i64,
}

async fn seed(tx: &mut Tx) -> Seeded {
    let index = indexes::insert(tx, &IndexName::main(), packaging::Profile::Private, 1, NOW_US).await.expect("index");
    let account =
        accounts::insert(tx, "ann", "ann@example.org", None, None, NOW_US).await.expect("insert").expect("new");
    let name = "foo".parse().expect("a name");
    projects::insert(tx, index, &name, "Foo", NOW_US);
    let (project, release) = projects::insert_release(tx, index, &name, "1.0", "1", NOW_US).await.expect("release");
    projects::set_role(tx, project, account, index, ProjectRole::Owner);
    Seeded { index, project, release }
}

fn new_file(seeded: &Seeded, filename: &str, byte: u8) -> files::NewFile {
    files::NewFile {
        index_id: seeded.index,
        project_id: seeded.project,
        release_id: seeded.release,
        filename: filename.into(),
        meaning: filename.to_lowercase(),
        kind: FileKind::Wheel,
        python_tag: "py3".into(),
        comment: String::new(),
        size_bytes: 10,
        sha256: packaging::Sha256::new([byte; 32]),
        blake2: "b".into(),
        md5: "m".into(),
        requires_python: Some(">=3".into()),
        metadata_sha256: Some(packaging::Sha256::new([9; 32])),
        metadata_body: vec![0, 1, 255],
        uploaded_us: NOW_US,
        uploaded_by: None,
        provenance: None,
    }
}

#[tokio::test]
async fn a_file_is_staged_read_back_and_its_name_is_used_for_ever() {
    for engine in engines().await {
        let mut tx = engine.store.write().await.expect("a transaction");
        let seeded = seed(&mut tx).await;
        let id = files::insert(&mut tx, new_file(&seeded, "foo-1.0-py3-none-any.whl", 1)).await.expect("staged");
        let file = files::by_id(&mut tx, id).await.expect("the file");
        assert_eq!((file.state(), file.published, file.version.as_str()), (FileState::Staged, false, "1.0"));
        assert_eq!(files::metadata(&mut tx, id).await.expect("read"), Some(vec![0, 1, 255]));
        let content = packaging::Sha256::new([1; 32]);
        let asked = uploads::Asked {
            account_id: None,
            project: None,
            canonical: None,
            meaning: Some("foo-1.0-py3-none-any.whl".into()),
            filename: "bar-1.0-py3-none-any.whl",
            sha256: Some(&content),
        };
        let known = uploads::facts(&mut tx, seeded.index, &asked).await.expect("read");
        assert_eq!(known.registered_name.as_deref(), Some("foo-1.0-py3-none-any.whl"));
        assert_eq!(known.registered_sha256, Some(content.to_string()));
        assert_eq!(known.registered_state.as_deref(), Some("staged"));
        assert_eq!(known.same_content.as_deref(), Some("foo-1.0-py3-none-any.whl"));
        tx.commit().await.expect("commit");
        let mut tx = engine.store.write().await.expect("a transaction");
        let again = files::insert(&mut tx, new_file(&seeded, "foo-1.0-py3-none-any.whl", 2)).await;
        assert!(again.is_err(), "the registry claims a name once");
    }
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    for engine in engines().await {
        let mut tx = engine.store.write().await.expect("a transaction");
        seed(&mut tx).await;
        drop(tx);
        let mut tx = engine.store.read().await.expect("a transaction");
        assert_eq!(accounts::count(&mut tx).await.expect("count"), 0);
        assert_eq!(indexes::all(&mut tx).await.expect("list"), []);
    }
}

#[tokio::test]
async fn jobs_are_leased_retried_and_laid_aside() {
    use jobs::JobKind::{Inspect, Publish};
    for engine in engines().await {
        let mut tx = engine.store.write().await.expect("a transaction");
        let seeded = seed(&mut tx).await;
        jobs::enqueue(&mut tx, Inspect, seeded.index, seeded.project, None, 100);
        jobs::enqueue(&mut tx, Publish, seeded.index, seeded.project, None, 100);
        assert_eq!(jobs::claim(&mut tx, Inspect, 99, 200, 5).await.expect("claim"), [], "not ready yet");
        let taken = jobs::claim(&mut tx, Inspect, 100, 200, 5).await.expect("claim");
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].attempts, 1);
        assert_eq!(jobs::claim(&mut tx, Inspect, 150, 300, 5).await.expect("claim"), [], "leased");
        let retaken = jobs::claim(&mut tx, Inspect, 201, 300, 5).await.expect("claim");
        assert_eq!(retaken[0].attempts, 2, "an expired lease is anybody's");
        jobs::retry(&mut tx, taken[0].id, 500, "why", false);
        assert_eq!(jobs::claim(&mut tx, Inspect, 400, 900, 5).await.expect("claim"), []);
        assert_eq!(jobs::claim(&mut tx, Inspect, 500, 900, 5).await.expect("claim").len(), 1);
        jobs::retry(&mut tx, taken[0].id, 500, "why", true);
        assert_eq!(jobs::claim(&mut tx, Inspect, 9_999, 99_999, 5).await.expect("claim"), []);
        let depth = jobs::depth(&mut tx, 9_999).await.expect("depth");
        assert_eq!(depth, [("inspect".into(), true, false, 1), ("publish".into(), false, false, 1)]);
        assert_eq!(jobs::revive(&mut tx, seeded.index, 0, 9_999).await.expect("revived"), 1);
        assert_eq!(jobs::claim(&mut tx, Inspect, 9_999, 99_999, 5).await.expect("claim").len(), 1);
        let depth = jobs::depth(&mut tx, 10_000).await.expect("depth");
        assert_eq!(depth[0], ("inspect".into(), false, true, 1), "it is somebody's now");
        assert!(!jobs::depth(&mut tx, 99_999).await.expect("depth")[0].2, "its lease is over");
    }
}

#[tokio::test]
async fn one_publisher_at_a_time_and_the_fence_rises() {
    for engine in engines().await {
        let mut tx = engine.store.write().await.expect("a transaction");
        let index = seed(&mut tx).await.index;
        let lease = async |tx: &mut Tx, who: &str, now: i64| {
            publishing::take_lease(tx, index, who, now, now + 10).await.expect("sql")
        };
        assert_eq!(lease(&mut tx, "a", 0).await, Some(1));
        assert_eq!(lease(&mut tx, "b", 5).await, None, "held by a");
        assert_eq!(lease(&mut tx, "a", 6).await, Some(2), "a again, after a restart");
        assert!(!publishing::extend_lease(&mut tx, index, 1, 99).await.expect("sql"), "the old fence is dead");
        assert!(publishing::extend_lease(&mut tx, index, 2, 20).await.expect("sql"));
        assert_eq!(lease(&mut tx, "b", 20).await, Some(3));
        assert!(!publishing::extend_lease(&mut tx, index, 2, 99).await.expect("sql"));
        let overtaken = async |tx: &mut Tx, serial: i64| {
            publishing::next_serial(tx, index, serial);
            match indexes::by_id(tx, index).await {
                Ok(_) => false,
                Err(crate::Error::Overtaken) => true,
                Err(other) => panic!("{other}"),
            }
        };
        assert!(!overtaken(&mut tx, 1).await);
        assert!(overtaken(&mut tx, 1).await, "a serial is given once");
        assert!(overtaken(&mut tx, 3).await, "none is left out");
    }
}

#[tokio::test]
async fn names_are_told_whole_and_since_a_serial() {
    for engine in engines().await {
        let mut tx = engine.store.write().await.expect("a transaction");
        let index = seed(&mut tx).await.index;
        for name in ["a-b", "axb", "a-c"] {
            let parsed = name.parse().expect("name");
            projects::insert(&mut tx, index, &parsed, name, NOW_US);
            let (id, _) = projects::insert_release(&mut tx, index, &parsed, "1.0", "1", NOW_US).await.expect("release");
            let row = projects::by_id(&mut tx, id).await.expect("row");
            let shown = publishing::PublishedProject {
                id,
                changes: row.changes,
                published: true,
                name: name.into(),
                status: packaging::ProjectStatus::Active,
                reason: None,
                render_version: 1,
                roles: "[]".into(),
                publishers: "[]".into(),
            };
            publishing::publish_project(&mut tx, &shown, if name == "a-c" { 2 } else { 1 });
        }
        let mut names: Vec<_> =
            projects::listed(&mut tx, index).await.expect("names").into_iter().map(|row| row.name).collect();
        names.sort_unstable();
        assert_eq!(names, ["a-b", "a-c", "axb"]);
        assert_eq!(projects::changed(&mut tx, index, 1).await.expect("changed"), [("a-c".to_owned(), true)]);
        assert!(projects::changed(&mut tx, index, 2).await.expect("changed").is_empty());
    }
}

/// Goal: a ledger of the first schema keeps its verdicts' findings, also where the file's row is gone.
#[tokio::test]
async fn verdicts_of_the_first_schema_are_still_read() {
    for engine in engines().await {
        let mut tx = engine.store.write().await.expect("a transaction");
        let index = seed(&mut tx).await.index;
        let finding = r#"[{"check":"inspection","version":1,"severity":"high","confidence":"high","location":null,
            "excerpt":"","decoded":null,"why":"it broke","tags":[]}]"#;
        let hash = packaging::Sha256::new([1; 32]);
        tx.execute(
            "INSERT INTO verdicts (index_id, file_id, filename, sha256, verdict, checks, findings, created_us) \
             VALUES ($1, 77, 'gone.whl', $2, 'hold', 'a@1', $3, 5)",
            args![index, &hash, finding],
        )
        .await
        .expect("inserted");
        let row = verdicts::named(&mut tx, index, "gone.whl").await.expect("sql").expect("a verdict");
        assert_eq!((row.state(), row.reasons().len(), row.sha256()), (FileState::Removed, 0, hash));
        let found = verdicts::findings(&mut tx, &row).await.expect("sql");
        assert_eq!(
            found.iter().map(|(shadow, f)| (*shadow, f.why.as_str())).collect::<Vec<_>>(),
            [(false, "it broke")]
        );
    }
}
