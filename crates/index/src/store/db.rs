//! One SQL text for two engines: the thin layer under every statement.
//!
//! `$N` is a positional parameter in both. The types in use are those that both hold natively: 64-bit
//! integers, text, booleans, bytes. Times are integers (microseconds since the Unix epoch).

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Either, Executor, PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};
use tokio::runtime::Handle;

use crate::{Error, Result};

/// Readers of a SQLite ledger beside its one writer.
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL of one process.
const POSTGRES_CONNECTIONS: u32 = 12;
/// How long a start waits for PostgreSQL, and after how much of it that is said.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
const SAY_AFTER: Duration = Duration::from_secs(1);
/// Key of the advisory lock that makes PostgreSQL write as SQLite does: one writer at a time. It is held to
/// the end of a transaction, so what a rule read inside a write cannot change before the commit.
const WRITE_LOCK: i64 = 0x7469_6465_7761_6974;

/// A connected database.
#[derive(Debug, Clone)]
pub enum Db {
    /// PostgreSQL.
    Postgres {
        /// Its connections.
        pool: PgPool,
        /// The threads that hear of all of them: those that connected first.
        front: Handle,
    },
    /// SQLite: one writer, several readers.
    Sqlite {
        /// The only connection that writes.
        writer: SqlitePool,
        /// Connections that only read.
        readers: SqlitePool,
    },
}

impl Db {
    /// Opens (and creates) a SQLite ledger. WAL, `synchronous=FULL`: a commit is on disk when it returns.
    pub async fn sqlite(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .statement_cache_capacity(256)
            .pragma("cache_size", "-8192");
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .min_connections(0)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(Self::Sqlite { writer, readers })
    }

    /// Connects to PostgreSQL. `synchronous_commit` is set for every session: a commit is on disk when it
    /// returns, whatever the server's default.
    pub async fn postgres(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)?.options([("synchronous_commit", "on")]);
        let place = format!(
            "{}:{}, database '{}'",
            options.get_socket().map_or(options.get_host().into(), |socket| socket.to_string_lossy()),
            options.get_port(),
            options.get_database().unwrap_or_else(|| options.get_username())
        );
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(CONNECT_WAIT)
            .connect_with(options);
        let mut pool = std::pin::pin!(pool);
        let early = tokio::time::timeout(SAY_AFTER, &mut pool).await;
        let connected = match early {
            Ok(connected) => connected,
            Err(_) => {
                tracing::warn!(place, most = ?CONNECT_WAIT, "waiting for PostgreSQL (ledger.url), which does not answer");
                pool.await
            }
        };
        let connected = connected.map_err(|error| Error::Unavailable(format!("PostgreSQL at {place}: {error}")))?;
        Ok(Self::Postgres { pool: connected, front: Handle::current() })
    }

    /// A consistent snapshot for reading.
    pub async fn read(&self) -> Result<Tx> {
        Ok(match self {
            Self::Postgres { pool, front } => {
                let begun = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
                Tx::of(Backend::Postgres(among(front, begun).await?))
            }
            Self::Sqlite { readers, .. } => Tx::of(Backend::Sqlite(readers.begin().await?)),
        })
    }

    /// For one statement that reads: it is a snapshot by itself, and needs nothing begun before it or ended after.
    pub async fn glance(&self) -> Result<Tx> {
        Ok(Tx::of(match self {
            Self::Postgres { pool, front } => Backend::PostgresAlone(among(front, pool.acquire()).await?),
            Self::Sqlite { readers, .. } => Backend::SqliteAlone(readers.acquire().await?),
        }))
    }

    /// The one writing transaction of the moment; waits for its turn.
    pub async fn write(&self) -> Result<Tx> {
        Ok(match self {
            Self::Postgres { pool, front } => {
                let mut tx = among(front, pool.begin()).await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITE_LOCK).execute(&mut *tx).await?;
                Tx::of(Backend::Postgres(tx))
            }
            Self::Sqlite { writer, .. } => Tx::of(Backend::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)),
        })
    }

    /// As [`Db::write`], but waits for its turn only with the first statement that is asked for its answer, or the commit:
    /// what only puts statements off keeps nobody else from writing until all of them are there.
    pub fn batch(&self) -> Tx {
        Tx::of(Backend::Unbegun(self.clone()))
    }

    /// See [`super::Store::durability_warning`].
    pub async fn durability_warning(&self) -> Result<Option<&'static str>> {
        let Self::Postgres { pool, .. } = self else { return Ok(None) };
        let (names, fsync): (String, String) =
            sqlx::query_as("SELECT current_setting('synchronous_standby_names'), current_setting('fsync')")
                .fetch_one(pool)
                .await?;
        if fsync == "off" {
            return Ok(Some("PostgreSQL runs with fsync = off: a power cut loses acknowledged uploads. Switch it on."));
        }
        Ok(names.is_empty().then_some(
            "PostgreSQL has no synchronous standby: a failover to a replica can lose the latest uploads. Set \
             synchronous_standby_names where a failover must lose nothing.",
        ))
    }

    /// Closes every connection; SQLite folds its write-ahead log into the database.
    pub async fn close(&self) {
        match self {
            Self::Postgres { pool, .. } => pool.close().await,
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// Does this as one of those threads, wherever it is done. A connection that it makes is heard of by them for as long as it
/// lives, and others get it from the pool: made by a thread that ends with the last request, it would be dead at an orderly
/// stop, when what is owed is still to be written.
async fn among<T>(front: &Handle, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        let _entered = front.enter();
        work.as_mut().poll(context)
    })
    .await
}

/// A parameter.
#[derive(Debug, Clone)]
pub enum Value {
    /// A 64-bit integer.
    Int(Option<i64>),
    /// Text.
    Text(Option<String>),
    /// A truth value.
    Bool(bool),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}
impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(Some(value.clone()))
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}
impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}
impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}
impl From<&packaging::Sha256> for Value {
    fn from(value: &packaging::Sha256) -> Self {
        Self::Text(Some(value.to_string()))
    }
}
impl From<&packaging::NormalizedName> for Value {
    fn from(value: &packaging::NormalizedName) -> Self {
        Self::Text(Some(value.as_str().to_owned()))
    }
}

/// `args![a, b]`: parameters in order.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::store::db::Value::from($value)),*] };
}
pub(crate) use args;

/// `statements! { NAME = "…"; }`: named SQL, and `ALL`, by which a test prepares each on both engines.
macro_rules! statements {
    ($($name:ident = $sql:literal;)*) => {
        $(const $name: &str = concat!("/* ", stringify!($name), " */ ", $sql);)*
        /// Every statement of this file.
        #[cfg(test)]
        pub(in crate::store) const ALL: &[&str] = &[$($name),*];
    };
}
pub(crate) use statements;

/// A row type that decodes from both engines; `#[derive(sqlx::FromRow)]` and tuples give it.
pub trait Row: for<'r> sqlx::FromRow<'r, PgRow> + for<'r> sqlx::FromRow<'r, SqliteRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> sqlx::FromRow<'r, PgRow> + for<'r> sqlx::FromRow<'r, SqliteRow> + Send + Unpin {}

/// A transaction. Dropped without [`Tx::commit`], it leaves nothing.
///
/// Statements whose answer nobody needs are put off ([`Tx::later`]) until the next one that is asked for its answer, or
/// the commit: SQLite then runs them in one go, with the one that is asked. Each call on its own costs two changes of
/// thread there, which measured as a third of the processor time of an upload. Their order is kept, so whoever reads sees
/// what was written before.
#[derive(Debug)]
pub struct Tx {
    backend: Backend,
    later: Vec<Later>,
}

/// The engine's own transaction.
#[derive(Debug)]
enum Backend {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
    /// Each statement for itself.
    PostgresAlone(PoolConnection<Postgres>),
    SqliteAlone(PoolConnection<Sqlite>),
    /// Its turn at writing is yet to come.
    Unbegun(Db),
}

/// The connection of a transaction that was begun.
pub(in crate::store) enum Begun<'a> {
    Postgres(&'a mut PgConnection),
    Sqlite(&'a mut SqliteConnection),
}

/// A statement that was put off.
#[derive(Debug)]
struct Later {
    sql: &'static str,
    args: Vec<Value>,
    /// It must change exactly one row.
    one: bool,
}

/// Most statements that SQLite is given in one go; with more, hardly any text would ever be the same again and
/// found prepared.
const AT_ONCE_MAX: usize = 12;

macro_rules! bound {
    ($query:expr, $args:expr) => {{
        let mut query = $query;
        for value in $args {
            query = match value.clone() {
                Value::Int(v) => query.bind(v),
                Value::Text(v) => query.bind(v),
                Value::Bool(v) => query.bind(v),
                Value::Bytes(v) => query.bind(v),
            };
        }
        query
    }};
}

impl Tx {
    fn of(backend: Backend) -> Self {
        Self { backend, later: Vec::new() }
    }

    /// Runs a statement, at the latest before the next answer or the commit.
    pub fn later(&mut self, sql: &'static str, args: &[Value]) {
        self.later.push(Later { sql, args: args.to_vec(), one: false });
    }

    /// As [`Self::later`], for a statement that must change exactly one row: where it does not, whatever runs it ends
    /// with [`Error::Overtaken`].
    pub fn later_one(&mut self, sql: &'static str, args: &[Value]) {
        self.later.push(Later { sql, args: args.to_vec(), one: true });
    }

    /// The engine's own transaction, begun by now.
    pub(in crate::store) async fn begun(&mut self) -> Result<Begun<'_>> {
        if let Backend::Unbegun(db) = &self.backend {
            self.backend = db.write().await?.backend;
        }
        match &mut self.backend {
            Backend::Postgres(tx) => Ok(Begun::Postgres(tx)),
            Backend::Sqlite(tx) => Ok(Begun::Sqlite(tx)),
            Backend::PostgresAlone(connection) => Ok(Begun::Postgres(connection)),
            Backend::SqliteAlone(connection) => Ok(Begun::Sqlite(connection)),
            Backend::Unbegun(_) => Err(Error::Internal("a transaction was not begun".into())),
        }
    }

    /// Runs statements that were put off.
    async fn run(&mut self, later: &[Later]) -> Result<()> {
        for some in later.chunks(AT_ONCE_MAX) {
            let changed = match self.begun().await? {
                Begun::Postgres(tx) => {
                    let mut changed = Vec::with_capacity(some.len());
                    for Later { sql, args, .. } in some {
                        changed.push(bound!(sqlx::query(*sql), args).execute(&mut *tx).await?.rows_affected());
                    }
                    changed
                }
                Begun::Sqlite(tx) => {
                    let query = bound!(sqlx::query(AssertSqlSafe(joined(some))), some.iter().flat_map(|one| &one.args));
                    let results = tx.fetch_many(query).try_filter_map(|step| async move { Ok(step.left()) });
                    results.map_ok(|result| result.rows_affected()).try_collect().await?
                }
            };
            must_have_changed(some, &changed)?;
        }
        Ok(())
    }

    /// Runs what was put off, but for the last few statements: SQLite is given them in one go with what is asked next.
    async fn run_but_last(&mut self) -> Result<Vec<Later>> {
        let mut later = std::mem::take(&mut self.later);
        let last = match self.begun().await? {
            Begun::Postgres(_) => Vec::new(),
            Begun::Sqlite(_) => later.split_off((later.len().saturating_sub(1) / AT_ONCE_MAX) * AT_ONCE_MAX),
        };
        self.run(&later).await?;
        Ok(last)
    }

    /// Runs a statement; returns how many rows it changed.
    pub async fn execute(&mut self, sql: &'static str, args: &[Value]) -> Result<u64> {
        let before = self.run_but_last().await?;
        Ok(match self.begun().await? {
            Begun::Postgres(tx) => bound!(sqlx::query(sql), args).execute(&mut *tx).await?.rows_affected(),
            Begun::Sqlite(tx) => ask(tx, before, sql, args).await?.0,
        })
    }

    /// All rows.
    pub async fn all<T: Row>(&mut self, sql: &'static str, args: &[Value]) -> Result<Vec<T>> {
        let before = self.run_but_last().await?;
        Ok(match self.begun().await? {
            Begun::Postgres(tx) => bound!(sqlx::query_as::<Postgres, T>(sql), args).fetch_all(&mut *tx).await?,
            Begun::Sqlite(tx) => {
                let (_, rows) = ask(tx, before, sql, args).await?;
                rows.iter().map(T::from_row).collect::<std::result::Result<_, _>>()?
            }
        })
    }

    /// The row, if there is one.
    pub async fn maybe<T: Row>(&mut self, sql: &'static str, args: &[Value]) -> Result<Option<T>> {
        let before = self.run_but_last().await?;
        Ok(match self.begun().await? {
            Begun::Postgres(tx) => bound!(sqlx::query_as::<Postgres, T>(sql), args).fetch_optional(&mut *tx).await?,
            Begun::Sqlite(tx) => {
                let (_, rows) = ask(tx, before, sql, args).await?;
                rows.first().map(T::from_row).transpose()?
            }
        })
    }

    /// The row; its absence is an error.
    pub async fn one<T: Row>(&mut self, sql: &'static str, args: &[Value]) -> Result<T> {
        self.maybe(sql, args).await?.ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    /// The commit point: durable when it returns.
    pub async fn commit(mut self) -> Result<()> {
        if matches!(self.backend, Backend::Unbegun(_)) && self.later.is_empty() {
            return Ok(());
        }
        let later = std::mem::take(&mut self.later);
        self.run(&later).await?;
        match self.backend {
            Backend::Postgres(tx) => tx.commit().await?,
            Backend::Sqlite(tx) => tx.commit().await?,
            Backend::PostgresAlone(_) | Backend::SqliteAlone(_) | Backend::Unbegun(_) => {}
        }
        Ok(())
    }
}

/// What SQLite answers to a statement, given in one go with others `before` it: how many rows it changed, and its rows.
async fn ask(
    tx: &mut SqliteConnection,
    mut all: Vec<Later>,
    sql: &'static str,
    args: &[Value],
) -> Result<(u64, Vec<SqliteRow>)> {
    all.push(Later { sql, args: args.to_vec(), one: false });
    let text = if let [one] = &*all { one.sql.to_owned() } else { joined(&all) };
    let query = bound!(sqlx::query(AssertSqlSafe(text)), all.iter().flat_map(|one| &one.args));
    let (mut changed, mut rows) = (Vec::with_capacity(all.len()), Vec::new());
    let mut steps = tx.fetch_many(query);
    while let Some(step) = steps.try_next().await? {
        match step {
            Either::Left(result) => changed.push(result.rows_affected()),
            // Of those before it nobody wants the rows.
            Either::Right(row) if changed.len() + 1 == all.len() => rows.push(row),
            Either::Right(_) => {}
        }
    }
    all.pop();
    must_have_changed(&all, &changed)?;
    Ok((changed.last().copied().unwrap_or_default(), rows))
}

/// Statements that must change one row, and how many each did change.
fn must_have_changed(some: &[Later], changed: &[u64]) -> Result<()> {
    let failed = some.iter().zip(changed).any(|(one, changed)| one.one && *changed != 1);
    if failed { Err(Error::Overtaken) } else { Ok(()) }
}

/// Several statements as one text, their parameters numbered on. No statement of ours has a `$` but for a parameter.
fn joined(some: &[Later]) -> String {
    let mut text = String::new();
    let mut before = 0;
    for Later { sql, args, .. } in some {
        let mut pieces = sql.split('$');
        text.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = piece.split_at(digits);
            text.push_str(&format!("${}", before + number.parse::<usize>().unwrap_or_default()));
            text.push_str(rest);
        }
        text.push_str(";\n");
        before += args.len();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_statements_number_their_parameters_on() {
        let later = |sql, count: i64| Later { sql, args: (0..count).map(Value::from).collect(), one: false };
        let text = joined(&[later("UPDATE a SET b = $2 WHERE c = $1", 2), later("DELETE FROM d WHERE e = $1", 1)]);
        assert_eq!(text, "UPDATE a SET b = $2 WHERE c = $1;\nDELETE FROM d WHERE e = $3;\n");
    }
}
