//! Where archives are opened: a fresh confined child for each pass.
//!
//! The server starts one *zygote* beforehand: this same program, re-executed with [`ZYGOTE_ARGUMENT`], small,
//! single-threaded and confined at once (`confine`). For each pass the server sends it a request and three
//! descriptors over a socket: the archive, open for reading, and pipes for the answer and for the zygote's word.
//! The zygote forks; the child confines itself further, reads the archive, writes a bounded answer and exits. The
//! kernel ends a child that used up its processor time, the zygote one that outlives its time by the clock, and all of
//! them when the server is gone. It tells the server which of the two bounds was met.
//!
//! Nothing here needs privileges: seccomp with `no_new_privs`, resource limits and an open descriptor hold in
//! unprivileged containers. Namespaces and Landlock are added where the kernel grants them.

mod confine;
mod host;
mod zygote;

use serde::{Deserialize, Serialize};

pub use confine::probe;
pub use host::Sandbox;
pub use zygote::{give_way, zygote_main};

/// The hidden first argument that makes the program a zygote.
pub const ZYGOTE_ARGUMENT: &str = "sandbox-zygote";
/// Largest answer of a child, in bytes: a metadata file of the largest size (4 MB) in which every byte is escaped, which
/// makes six of one, and room for rejections.
pub const RESPONSE_BYTES_MAX: u64 = 32 << 20;
/// Largest request to a child, in bytes: two profiles of the largest size fit, and a packet of this size is within
/// what every kernel allows a socket by default.
const REQUEST_BYTES_MAX: usize = 200 << 10;

/// What one child may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxLimits {
    /// Private memory, in bytes (`RLIMIT_DATA`).
    pub memory_bytes_max: u64,
    /// Processor time, in seconds (`RLIMIT_CPU`): the bound of the work, the same on a busy machine as on a quiet one.
    pub cpu_seconds_max: u64,
    /// Time by the clock, in milliseconds; the zygote kills what exceeds it. An outer bound, for what waits and does not
    /// work: generous, as a child waits for the processors too.
    pub wall_ms_max: u64,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self { memory_bytes_max: 256 << 20, cpu_seconds_max: 20, wall_ms_max: 300_000 }
    }
}

/// A pass that gave no answer. Each but [`Failure::Unavailable`] is a finding about the archive, never a lost upload and
/// never a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The child died: a crash, or out of memory.
    #[error("the inspection ended without an answer: it crashed, or ran out of memory")]
    Died,
    /// The child used up its processor time, in seconds.
    #[error("the inspection did not end within {0} s of processor time")]
    Spent(u64),
    /// The child outlived its time by the clock, in milliseconds.
    #[error("the inspection did not end within {0} ms by the clock")]
    TimedOut(u64),
    /// The answer was larger than allowed or no answer of ours.
    #[error("the inspection gave an answer that is too large or malformed")]
    BadAnswer,
    /// The sandbox itself cannot be started; says nothing about the archive.
    #[error("the sandbox is not available: {0}")]
    Unavailable(String),
}

/// What a probe inside the child found denied, and which layers hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// Opening any file by path fails.
    pub files_denied: bool,
    /// Making any socket fails.
    pub network_denied: bool,
    /// Sending a signal fails, to anybody: server and child have one user.
    pub signals_denied: bool,
    /// Running another program fails.
    pub exec_denied: bool,
    /// The layers in force, for people: "seccomp", "landlock", "namespaces".
    pub layers: Vec<String>,
}

impl Confinement {
    /// Whether files, network, other processes and programs are out of reach: before that no upload is taken.
    pub fn is_strong(&self) -> bool {
        self.files_denied && self.network_denied && self.signals_denied && self.exec_denied
    }
}
