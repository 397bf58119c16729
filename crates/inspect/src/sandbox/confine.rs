//! The walls: what zygote and child may ask of the kernel.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus};
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::{Pid, getpid, getppid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::{Confinement, SandboxLimits};

static LAYERS: OnceLock<Vec<String>> = OnceLock::new();

/// What the child needs to read one open file, inflate it in memory and write to one pipe.
const CHILD_CALLS: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_lseek,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_fcntl,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What may be asked of [`libc::SYS_fcntl`]: another number of an open file, and its flags. Not who gets a signal when
/// something happens to it.
const FCNTL_COMMANDS: &[libc::c_int] = &[libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL];

/// What the zygote needs on top: take requests, fork, watch, and put up the child's walls.
const ZYGOTE_CALLS: &[libc::c_long] = &[
    libc::SYS_recvmsg,
    libc::SYS_ppoll,
    libc::SYS_clone,
    libc::SYS_wait4,
    libc::SYS_kill,
    libc::SYS_prctl,
    libc::SYS_seccomp,
    libc::SYS_prlimit64,
    libc::SYS_setpriority,
    libc::SYS_sched_setattr,
    libc::SYS_getppid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
];

/// Puts up the zygote's walls. Best effort for namespaces and Landlock; seccomp must succeed.
pub(super) fn confine_zygote() -> Result<(), String> {
    let mut layers = Vec::new();
    // With privileges the network can be left without a user namespace; without, the user namespace comes
    // first and is denied in many containers.
    let apart = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if unshare(CloneFlags::CLONE_NEWUSER | apart).or_else(|_| unshare(apart)).is_ok() {
        layers.push("namespaces".to_owned());
    }
    nix::sys::prctl::set_dumpable(false).map_err(|e| format!("prctl: {e}"))?;
    nix::sys::prctl::set_no_new_privs().map_err(|e| format!("no_new_privs: {e}"))?;
    if landlock_everything() {
        layers.push("landlock".to_owned());
    }
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    layers.push("seccomp".to_owned());
    let _ = LAYERS.set(layers);
    let calls: Vec<_> = CHILD_CALLS.iter().chain(ZYGOTE_CALLS).copied().collect();
    seccompiler::apply_filter(&filter(&calls)?).map_err(|e| format!("seccomp: {e}"))
}

/// The child's filter, compiled before any fork.
pub(super) fn child_filter() -> Result<BpfProgram, String> {
    filter(CHILD_CALLS)
}

/// The child's walls: limits first, as the filter forbids setting them. It ends with the zygote, which alone knows how
/// long it may live.
pub(super) fn confine_child(limits: &SandboxLimits, filter: &BpfProgram, zygote: Pid) -> Result<(), String> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| format!("prctl: {e}"))?;
    if getppid() != zygote {
        return Err("the zygote is gone".into());
    }
    let set = |resource, value| setrlimit(resource, value, value).map_err(|e| format!("setrlimit: {e}"));
    set(Resource::RLIMIT_DATA, limits.memory_bytes_max)?;
    // At the first bound comes a signal that says why, which a child that is in somebody else's hands could ignore.
    setrlimit(Resource::RLIMIT_CPU, limits.cpu_seconds_max, limits.cpu_seconds_max.saturating_add(1))
        .map_err(|e| format!("setrlimit: {e}"))?;
    set(Resource::RLIMIT_FSIZE, 0)?;
    set(Resource::RLIMIT_NOFILE, 16)?;
    seccompiler::apply_filter(filter).map_err(|e| format!("seccomp: {e}"))
}

/// Denied calls fail with EPERM rather than kill: a library that probes for a feature goes on without it, and
/// the probe can report.
fn filter(calls: &[libc::c_long]) -> Result<BpfProgram, String> {
    let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(|e| format!("seccomp: {e}"))?;
    let mut rules: BTreeMap<i64, Vec<_>> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let is = |command: &libc::c_int| {
        SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *command as u64)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(|e| format!("seccomp: {e}"))
    };
    rules.insert(libc::SYS_fcntl, FCNTL_COMMANDS.iter().map(is).collect::<Result<_, _>>()?);
    SeccompFilter::new(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|e| format!("seccomp: {e}"))
}

/// Handles every right and grants none.
fn landlock_everything() -> bool {
    let abi = ABI::V5;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(abi)))
        .and_then(|ruleset| ruleset.create())
        .and_then(|ruleset| ruleset.restrict_self())
        .is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// Runs in the child: tries what must fail.
pub fn probe() -> Confinement {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let socket_fails = |family| socket(family, SockType::Stream, SockFlag::empty(), None).is_err();
    Confinement {
        files_denied: std::fs::File::open("/proc/self/status").is_err() && std::fs::File::open("/").is_err(),
        network_denied: socket_fails(AddressFamily::Inet)
            && socket_fails(AddressFamily::Inet6)
            && socket_fails(AddressFamily::Unix),
        // To ourselves, which is always allowed: `kill`, and `tgkill`, with a signal that is ignored.
        signals_denied: kill(getpid(), None).is_err() && raise(Signal::SIGURG).is_err(),
        exec_denied: nix::unistd::execv(c"/proc/self/exe", &[c"probe"]).is_err(),
        layers: LAYERS.get().cloned().unwrap_or_default(),
    }
}
