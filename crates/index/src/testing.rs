//! What the tests of this crate stand on: both engines, for real. PostgreSQL is a throw-away cluster of this test
//! process; it dies with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use inspect::{Sandbox, SandboxLimits};
use tempfile::TempDir;

use crate::blobs::Blobs;
use crate::clock::{Clock, Entropy};
use crate::keys::KeyFolder;
use crate::store::Store;
use crate::token::TokenSecret;
use crate::{Installation, Parts, Settings};

/// When the fake clocks of the tests begin: 2026-01-01.
pub(crate) const NOW_US: i64 = 1_767_225_600_000_000;

/// A ledger on one engine, and the folder that goes with it.
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
}

/// A fresh, migrated ledger on each engine.
pub(crate) async fn engines() -> Vec<Engine> {
    let folder = TempDir::new().expect("a folder");
    let sqlite = Store::open_sqlite(&folder.path().join("index.db"), NOW_US).await.expect("SQLite opens");
    let postgres = Store::open_postgres(&database(), NOW_US).await.expect("PostgreSQL opens");
    let second = TempDir::new().expect("a folder");
    vec![Engine { store: sqlite, folder }, Engine { store: postgres, folder: second }]
}

/// A whole installation over a ledger: real blobs, fake clock, seeded randomness, and, where the program has been
/// built, the real sandbox.
pub(crate) async fn installation(engine: &Engine, settings: Settings) -> Arc<Installation> {
    let sandbox = Sandbox::start(program(), SandboxLimits::default()).expect("the sandbox starts");
    let parts = Parts {
        store: engine.store.clone(),
        blobs: Blobs::open(engine.folder.path().join("blobs")).expect("a folder"),
        clock: Clock::fake(NOW_US),
        entropy: Entropy::seeded(1),
        settings,
        secret: TokenSecret::new([7; 32]),
        sandbox: Some(Arc::new(sandbox)),
        keys: KeyFolder::new(engine.folder.path().join("keys"), None),
        node: "node-1".into(),
        http: None,
    };
    let installation = Installation::new(parts).await.expect("an installation");
    installation.probe_confinement().await;
    installation
}

/// The program, whose first argument makes it the sandbox's zygote. Cargo builds it before it runs the workspace's
/// tests; for this crate alone, run `cargo build -p tidewaiter` first.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test binary");
    let folder = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let program = folder.join("tidewaiter");
    assert!(program.is_file(), "{} is missing: run `cargo build -p tidewaiter` first", program.display());
    program
}

/// A new database in this process's cluster.
pub(crate) fn database() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let cluster = cluster();
    let name = format!("t{}", COUNT.fetch_add(1, Ordering::SeqCst));
    let mut command = Command::new(cluster.bin.join("createdb"));
    let status = command.args(["-h", text(&cluster.socket), "-U", "postgres", &name]).status().expect("createdb runs");
    assert!(status.success(), "createdb {name}");
    format!("postgres://postgres@localhost/{name}?host={}", text(&cluster.socket))
}

struct Cluster {
    bin: PathBuf,
    socket: PathBuf,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let (send, receive) = std::sync::mpsc::channel();
        // The parent-death signal is sent when the *thread* that spawned ends, so a thread that never does spawns.
        std::thread::spawn(move || {
            send.send(start_cluster()).expect("the test waits");
            loop {
                std::thread::park();
            }
        });
        receive.recv().expect("the cluster starts")
    })
}

/// A folder that names this process; those of processes that are gone are removed first.
fn cluster_folder() -> PathBuf {
    const PREFIX: &str = "tidewaiter-pg-";
    let fresh =
        tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir().expect("a folder");
    for entry in std::fs::read_dir(fresh.path().parent().expect("a parent")).expect("readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).map(str::to_owned);
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    fresh.keep()
}

fn start_cluster() -> Cluster {
    let bin = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed: apt-get install postgresql")
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .find(|bin| bin.join("initdb").is_file())
        .expect("a PostgreSQL server");
    let folder = cluster_folder();
    let root = nix::unistd::geteuid().is_root();
    if root {
        // PostgreSQL refuses to run as root.
        let user = nix::unistd::User::from_name("postgres").expect("users").expect("Debian's package makes the user");
        nix::unistd::chown(&folder, Some(user.uid), Some(user.gid)).expect("chown");
    }
    let run = |program: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if root {
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
        }
        command.arg("--").arg(bin.join(program)).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(&folder);
        command
    };
    let data = folder.join("data");
    let made = run("initdb").args(["-D", text(&data), "-A", "trust", "-U", "postgres", "--no-sync"]).status();
    assert!(made.expect("initdb runs").success(), "initdb");
    let mut server = run("postgres");
    server.args(["-D", text(&data), "-k", text(&folder), "-c", "listen_addresses=", "-c", "fsync=off"]);
    let mut server = server.spawn().expect("postgres starts");
    // Waited for apart: it ends with this process, or is seen to have ended too early by `ready` below.
    std::thread::spawn(move || server.wait());
    let started = Instant::now();
    let ready = || {
        let mut probe = Command::new(bin.join("pg_isready"));
        probe.args(["-h", text(&folder), "-U", "postgres"]).stdout(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    while !ready() {
        assert!(started.elapsed() < Duration::from_secs(30), "PostgreSQL does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    Cluster { bin, socket: folder }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
