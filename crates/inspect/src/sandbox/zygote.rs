//! The confined process that forks a child for each pass.

use std::fs::File;
use std::io::{IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid};
use seccompiler::BpfProgram;

use super::confine::{child_filter, confine_child, confine_zygote};
use super::host::Envelope;
use super::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX};
use crate::yara::Engine;
use crate::{Request, Response, work};

/// How often exited children are reaped and deadlines looked at while any child lives.
const TICK: Duration = Duration::from_millis(20);

/// The nice value of the background.
const BACKGROUND_NICE: i32 = 10;
/// The longest slice that the kernel grants.
const BACKGROUND_SLICE_NS: u64 = 100_000_000;

struct Child {
    pid: Pid,
    deadline: Instant,
    /// Where the server is told which bound was met.
    word: File,
}

/// What the zygote says of a child that it had to end.
pub(super) const MET_CLOCK: u8 = b'c';
/// What the zygote says where there was no child: the machine has no room for one.
pub(super) const NOT_BEGUN: u8 = b'n';
/// What the zygote says of a child that used up its processor time.
pub(super) const MET_PROCESSOR: u8 = b'p';

/// The zygote's whole life: standard input is the control socket. Returns the exit code.
pub fn zygote_main() -> i32 {
    std::panic::set_hook(Box::new(|_| {}));
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned() else { return 2 };
    crate::python::know_stack();
    // Compiled before the walls go up: nothing here needs more than memory, but nothing may fail later.
    let Ok(filter) = child_filter() else { return 3 };
    if confine_zygote().is_err() {
        return 4;
    }
    let mut children: Vec<Child> = Vec::new();
    let mut engine: Option<Engine> = None;
    // Made once here while nobody asks, and shared with every later child by the fork. Whoever asks before makes for itself
    // what it needs.
    let mut preparations = crate::python::prepare().chain(crate::formats::text::prepare());
    let mut is_prepared = false;
    // Once: a page of it that nobody writes to is not there, and a page that is written to costs after each fork again.
    let mut buffer = vec![0; REQUEST_BYTES_MAX];
    loop {
        reap(&mut children);
        let timeout = match (is_prepared, children.is_empty()) {
            (false, _) => PollTimeout::ZERO,
            (true, true) => PollTimeout::NONE,
            (true, false) => PollTimeout::from(TICK.as_millis() as u16),
        };
        let mut waiting = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, timeout) {
            Ok(0) if !is_prepared => {
                is_prepared = preparations.next().is_none();
                continue;
            }
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => break,
        }
        match receive(&control, &mut buffer) {
            Received::Pass(pass) if pass.envelope.request == Request::Adopt => {
                engine = adopt(&pass.archive, pass.answer).or(engine);
            }
            Received::Pass(pass) => {
                let deadline = Instant::now() + Duration::from_millis(pass.envelope.sandbox.wall_ms_max);
                if let Some((pid, word)) = spawn(&control, &mut children, *pass, (&filter, engine.as_ref())) {
                    children.push(Child { pid, deadline, word });
                }
            }
            Received::Nonsense => {}
            Received::Closed => break,
        }
    }
    // The server is gone: nobody waits for the answers.
    for child in &children {
        let _ = kill(child.pid, Signal::SIGKILL);
    }
    // What they took is counted as taken by whoever waits for this process.
    for child in &children {
        let _ = waitpid(child.pid, None);
    }
    0
}

/// Forgets children that ended and kills those past their time. A pid is only killed before it is reaped, so
/// it cannot have been given to another process.
fn reap(children: &mut Vec<Child>) {
    let now = Instant::now();
    children.retain_mut(|child| {
        let late = now >= child.deadline;
        if late {
            let _ = kill(child.pid, Signal::SIGKILL);
        }
        let met = match waitpid(child.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(WaitStatus::Signaled(_, Signal::SIGXCPU, _)) => Some(MET_PROCESSOR),
            Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) if late => Some(MET_CLOCK),
            Ok(_) | Err(_) => None,
        };
        // One byte into a pipe that holds none: this cannot block.
        let _ = met.map(|met| child.word.write_all(&[met]));
        false
    });
}

/// One pass, as it was asked for.
struct Pass {
    envelope: Envelope,
    archive: File,
    answer: OwnedFd,
    word: File,
}

enum Received {
    Pass(Box<Pass>),
    Nonsense,
    Closed,
}

fn receive(control: &OwnedFd, buffer: &mut [u8]) -> Received {
    let mut space = nix::cmsg_space!([RawFd; 3]);
    let (length, fds) = {
        let mut parts = [IoSliceMut::new(buffer)];
        let Ok(message) = recvmsg::<()>(control.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
        else {
            return Received::Closed;
        };
        let mut fds = Vec::new();
        for part in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(raw) = part {
                fds.extend(raw.into_iter().map(own));
            }
        }
        (message.bytes, fds)
    };
    if length == 0 {
        return Received::Closed;
    }
    let Ok(envelope) = serde_json::from_slice(&buffer[..length]) else { return Received::Nonsense };
    let mut fds = fds.into_iter();
    match (fds.next(), fds.next(), fds.next()) {
        (Some(archive), Some(answer), Some(word)) => {
            Received::Pass(Box::new(Pass { envelope, archive: File::from(archive), answer, word: File::from(word) }))
        }
        _ => Received::Nonsense,
    }
}

#[expect(unsafe_code, reason = "a descriptor received over the socket is ours alone; std has no safe constructor")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just installed this descriptor for this process in `recvmsg`, and nobody else
    // holds its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[expect(
    unsafe_code,
    reason = "fork and an exit at once have no safe form; the zygote is single-threaded, so the child may allocate"
)]
fn spawn(
    control: &OwnedFd,
    children: &mut Vec<Child>,
    Pass { envelope, archive, answer, word }: Pass,
    (filter, engine): (&BpfProgram, Option<&Engine>),
) -> Option<(Pid, File)> {
    let zygote = getpid();
    // SAFETY: this process has one thread, so no lock can be held by a thread that the child does not have.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => Some((child, word)),
        Ok(ForkResult::Child) => {
            let _ = nix::unistd::close(control.as_raw_fd());
            let _ = nix::unistd::close(0);
            // What is said of a child, its own fate or another's, is not the child's to say.
            drop(word);
            children.clear();
            let code = work_confined((&envelope, zygote), &archive, answer, filter, engine);
            // SAFETY: nothing runs after it. The answer is written, and what others would do at an exit is the zygote's.
            unsafe { nix::libc::_exit(code) }
        }
        Err(_) => {
            // Into a pipe that holds nothing: this cannot block.
            let _ = (&word).write_all(&[NOT_BEGUN]);
            None
        }
    }
}

fn work_confined(
    (envelope, zygote): (&Envelope, Pid),
    archive: &File,
    answer: OwnedFd,
    filter: &BpfProgram,
    engine: Option<&Engine>,
) -> i32 {
    // A person waits for the rules; what is checked was accepted already.
    if matches!(envelope.request, Request::Checks { .. }) {
        give_way();
    }
    if confine_child(&envelope.sandbox, filter, zygote).is_err() {
        return 5;
    }
    let mut answer = File::from(answer);
    let work = || work(archive, &envelope.request, engine, |response| give(&mut answer, response));
    crate::python::on_known_stack(work).err().unwrap_or(0)
}

/// Makes the calling thread one of the background: work that nobody's request stands for, inspection and publication.
/// Where the processors are busy, uploads and installs go first, and the publisher finds more to do at once; where they
/// are not, it means nothing. Best effort: what cannot be had costs speed alone.
///
/// A low priority is a small share of the processor, and says nothing of when: what wakes waits until the slice of
/// whoever runs is over, a few milliseconds. That is as long as an upload takes, which wakes a dozen times. The longer
/// slice asked for here makes whoever has a shorter one go first at once (Linux 6.12, `sched_setattr(2)`).
#[expect(unsafe_code, reason = "no library has the call")]
pub fn give_way() {
    use nix::libc;
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: BACKGROUND_NICE,
        sched_priority: 0,
        sched_runtime: BACKGROUND_SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of a structure that lives until the call returns, and writes none; the second
    // call takes numbers alone. Linux has a priority for each thread, and 0 is the calling one.
    unsafe {
        if libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) != 0 {
            libc::setpriority(libc::PRIO_PROCESS, 0, BACKGROUND_NICE);
        }
    }
}

/// Writes one answer, or gives the code with which the child ends.
fn give(answer: &mut File, response: &Response) -> Result<(), i32> {
    let bytes = serde_json::to_vec(response).map_err(|_| 6)?;
    if bytes.len() as u64 > RESPONSE_BYTES_MAX {
        return Err(7);
    }
    answer.write_all(&bytes).map_err(|_| 8)
}

/// Compiles rules for all later children. A child compiled the same text before, within its limits, or nobody would ask.
fn adopt(rules: &File, answer: OwnedFd) -> Option<Engine> {
    let (engine, outcome) = match crate::compiled(rules) {
        Ok((engine, catalogue)) => (Some(engine), Ok(catalogue)),
        Err(problems) => (None, Err(problems)),
    };
    give(&mut File::from(answer), &Response::Compiled(outcome)).ok()?;
    engine
}
