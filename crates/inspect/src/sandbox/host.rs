//! The server's side: starts the zygote, hands it passes, reads answers.

use std::fs::File;
use std::io::{IoSlice, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};
use serde::{Deserialize, Serialize};

use super::zygote::{MET_CLOCK, MET_PROCESSOR, NOT_BEGUN};
use super::{Confinement, Failure, RESPONSE_BYTES_MAX, SandboxLimits, ZYGOTE_ARGUMENT};
use crate::yara::{self, Catalogue, Scan, Sources};
use crate::{Request, Response};

/// How much longer than the zygote the server waits before it gives a pass up.
const GRACE: Duration = Duration::from_secs(2);

/// One message to the zygote.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) request: Request,
    pub(super) sandbox: SandboxLimits,
}

struct Zygote {
    control: Arc<OwnedFd>,
    process: Child,
}

/// A running sandbox. Cheap to share; passes run side by side.
pub struct Sandbox {
    program: PathBuf,
    limits: SandboxLimits,
    zygote: Mutex<Option<Zygote>>,
    rules: OnceLock<Adopted>,
}

/// Rules that every child has.
struct Adopted {
    /// [`Sources`] as JSON: a zygote that is started later needs them too.
    text: File,
    catalogue: Catalogue,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("program", &self.program).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Starts the zygote. `program` is a binary whose `main` calls [`super::zygote_main`] when its first
    /// argument is [`ZYGOTE_ARGUMENT`]; a server passes its own executable.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when the program cannot be started.
    pub fn start(program: PathBuf, limits: SandboxLimits) -> Result<Self, Failure> {
        let sandbox = Self { program, limits, zygote: Mutex::new(None), rules: OnceLock::new() };
        sandbox.control()?;
        Ok(sandbox)
    }

    /// Has rules compiled in a child, and when they are good gives them to every later one. Once for a sandbox.
    ///
    /// # Errors
    /// What is wrong with them, one sentence each, with file and line.
    pub fn adopt(&self, sources: &Sources) -> Result<&Catalogue, Vec<String>> {
        let failed = |error: &dyn std::fmt::Display| vec![format!("the rules cannot be compiled: {error}")];
        let text = in_memory(&serde_json::to_vec(sources).map_err(|error| failed(&error))?);
        let text = text.map_err(|error| failed(&error))?;
        // Half of what a child may have: the other half is for what it inspects.
        let limits = SandboxLimits { memory_bytes_max: self.limits.memory_bytes_max / 2, ..self.limits };
        let catalogue = match self.within(limits, &text, Request::Compile) {
            Ok((Response::Compiled(outcome), _)) => outcome?,
            Ok(_) => return Err(failed(&Failure::BadAnswer)),
            Err(Failure::Died) => {
                let most = limits.memory_bytes_max >> 20;
                return Err(failed(&format!("it takes more than {most} MB (half of sandbox.memory) or crashes")));
            }
            Err(failure) => return Err(failed(&failure)),
        };
        if self.rules.set(Adopted { text, catalogue }).is_err() {
            return Err(failed(&"this sandbox has rules already"));
        }
        let adopted = self.rules.get().ok_or_else(|| failed(&"they are gone"))?;
        let control = self.control().map_err(|failure| failed(&failure))?;
        self.hand_over(&control, adopted).map_err(|failure| failed(&failure))?;
        Ok(&adopted.catalogue)
    }

    /// The rules that every child has.
    pub fn rules(&self) -> Option<&Catalogue> {
        self.rules.get().map(|adopted| &adopted.catalogue)
    }

    /// Has the zygote compile what a child found good.
    fn hand_over(&self, control: &OwnedFd, rules: &Adopted) -> Result<(), Failure> {
        let pipes = Pipes::new()?;
        let envelope = Envelope { request: Request::Adopt, sandbox: self.limits };
        let message = serde_json::to_vec(&envelope).map_err(|e| Failure::Unavailable(e.to_string()))?;
        send(control, &message, &rules.text, &pipes)
            .map_err(|e| Failure::Unavailable(format!("cannot reach the sandbox: {e}")))?;
        let (mut answer, _word) = pipes.sent();
        let wall = Duration::from_millis(self.limits.wall_ms_max);
        let bytes = read_answer(&mut answer, Instant::now() + wall + GRACE)?;
        match serde_json::from_slice(&bytes) {
            Ok(Response::Compiled(Ok(catalogue))) if catalogue == rules.catalogue => Ok(()),
            Ok(_) | Err(_) => Err(Failure::Unavailable("the rules were not taken over".into())),
        }
    }

    /// Runs one pass over an open archive. Blocks; call it where blocking is allowed.
    ///
    /// What rules found stands among the findings. When they gave no answer, that is a finding and no failure: what the
    /// checks found is there.
    ///
    /// # Errors
    /// See [`Failure`]. The archive's bytes are untouched in every case.
    pub fn run(&self, archive: &File, request: Request) -> Result<Response, Failure> {
        let (response, scan) = self.within(self.limits, archive, request)?;
        let Response::Checks(mut inspection) = response else { return Ok(response) };
        match scan {
            Some(Ok(scan)) => {
                inspection.findings.extend(scan.findings);
                inspection.degraded.extend(scan.degraded);
                inspection.costs.extend(scan.costs);
            }
            Some(Err(failure)) => {
                let why = format!("The rules of the operator gave no answer: {failure}.");
                inspection.findings.push(yara::unfinished(why));
            }
            None => {}
        }
        Ok(Response::Checks(inspection))
    }

    /// One pass within limits: its answer, and what rules said after it, where there are any.
    fn within(
        &self,
        limits: SandboxLimits,
        archive: &File,
        request: Request,
    ) -> Result<(Response, Option<Result<Scan, Failure>>), Failure> {
        let pipes = Pipes::new()?;
        let envelope = Envelope { request, sandbox: limits };
        let message = serde_json::to_vec(&envelope).map_err(|e| Failure::Unavailable(e.to_string()))?;
        let started = Instant::now();
        if message.len() > super::REQUEST_BYTES_MAX {
            return Err(Failure::BadAnswer);
        }
        // A zygote that died since the last pass is replaced once; the archive was not even opened.
        let control = self.control()?;
        if let Err(error) = send(&control, &message, archive, &pipes) {
            tracing::warn!(%error, "the sandbox is started anew");
            self.replace(&control);
            send(&*self.control()?, &message, archive, &pipes)
                .map_err(|e| Failure::Unavailable(format!("cannot reach the sandbox: {e}")))?;
        }
        let (mut answer, mut word) = pipes.sent();
        let wall = Duration::from_millis(limits.wall_ms_max);
        let bytes = read_answer(&mut answer, started + wall + GRACE)?;
        let timed_out = started.elapsed() >= wall;
        let mut answers = serde_json::Deserializer::from_slice(&bytes).into_iter::<Response>();
        // Asked only where an answer is missing: it waits until the zygote has seen the child's end.
        let mut none = |left: &[u8]| match read_answer(&mut word, Instant::now() + GRACE).as_deref() {
            Ok([MET_PROCESSOR]) => Failure::Spent(limits.cpu_seconds_max),
            Ok([MET_CLOCK]) => Failure::TimedOut(limits.wall_ms_max),
            Ok([NOT_BEGUN]) => Failure::Unavailable("this machine has no room for another process".into()),
            _ if timed_out => Failure::TimedOut(limits.wall_ms_max),
            _ if left.is_empty() => Failure::Died,
            _ => Failure::BadAnswer,
        };
        let response = match answers.next() {
            Some(Ok(response)) => response,
            Some(Err(_)) | None => return Err(none(&bytes)),
        };
        let at = answers.byte_offset();
        let scanned = matches!(response, Response::Checks(_)) && self.rules.get().is_some();
        let scan = scanned.then(|| match answers.next() {
            Some(Ok(Response::Scan(scan))) => Ok(scan),
            Some(_) | None => Err(none(&bytes[at..])),
        });
        Ok((response, scan))
    }

    /// Asks a child what it is denied.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn probe(&self) -> Result<Confinement, Failure> {
        let nothing = File::open("/dev/null").map_err(|e| Failure::Unavailable(e.to_string()))?;
        match self.run(&nothing, Request::Probe)? {
            Response::Probe(confinement) => Ok(confinement),
            Response::Rules(_) | Response::Checks(_) | Response::Scan(_) | Response::Compiled(_) => {
                Err(Failure::BadAnswer)
            }
        }
    }

    fn control(&self) -> Result<Arc<OwnedFd>, Failure> {
        let mut zygote = self.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = zygote.as_ref() {
            return Ok(Arc::clone(&running.control));
        }
        let unavailable = |e: std::io::Error| Failure::Unavailable(e.to_string());
        // Packets, so that a request and its descriptors arrive together or not at all.
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|e| Failure::Unavailable(e.to_string()))?;
        let process = Command::new(&self.program)
            .arg(ZYGOTE_ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(unavailable)?;
        let control = Arc::new(ours);
        let begun = zygote.insert(Zygote { control: Arc::clone(&control), process });
        if let Some(rules) = self.rules.get()
            && let Err(failure) = self.hand_over(&control, rules)
        {
            begun.end();
            *zygote = None;
            return Err(failure);
        }
        Ok(control)
    }

    /// Ends the zygote behind this socket; one that was started since is left alone.
    fn replace(&self, control: &Arc<OwnedFd>) {
        let mut zygote = self.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut dead) = zygote.take_if(|running| Arc::ptr_eq(&running.control, control)) {
            dead.end();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let zygote = self.zygote.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut running) = zygote.take() {
            // It ends by itself when nobody can ask it any more, and counts what its children took; if it is busy, it is ended.
            let _ = nix::sys::socket::shutdown(running.control.as_raw_fd(), nix::sys::socket::Shutdown::Both);
            let begun = Instant::now();
            while matches!(running.process.try_wait(), Ok(None)) && begun.elapsed() < END_GRACE {
                std::thread::sleep(Duration::from_millis(1));
            }
            running.end();
        }
    }
}

impl Zygote {
    /// Ends it, and with it its children.
    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How long a zygote that is not asked any more may take to end.
const END_GRACE: Duration = Duration::from_millis(100);

/// A file that no folder lists.
fn in_memory(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create(c"rules", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// The pipes of one pass: for the answer, and for the zygote's word on how the child ended.
struct Pipes {
    answer: (PipeReader, PipeWriter),
    word: (PipeReader, PipeWriter),
}

impl Pipes {
    fn new() -> Result<Self, Failure> {
        let pipe = || std::io::pipe().map_err(|e| Failure::Unavailable(e.to_string()));
        Ok(Self { answer: pipe()?, word: pipe()? })
    }

    /// The ends that are ours; the others are the sandbox's alone, so that theirs end when it closes them.
    fn sent(self) -> (PipeReader, PipeReader) {
        (self.answer.0, self.word.0)
    }
}

fn send(control: &OwnedFd, message: &[u8], archive: &File, pipes: &Pipes) -> nix::Result<()> {
    let fds = [archive.as_raw_fd(), pipes.answer.1.as_raw_fd(), pipes.word.1.as_raw_fd()];
    let parts = [IoSlice::new(message)];
    sendmsg::<()>(control.as_raw_fd(), &parts, &[ControlMessage::ScmRights(&fds)], MsgFlags::MSG_NOSIGNAL, None)
        .map(|_| ())
}

/// Reads until the writer closes, at most [`RESPONSE_BYTES_MAX`], at latest until `deadline`.
fn read_answer(reader: &mut PipeReader, deadline: Instant) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis() as i32).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], timeout) {
            // What came until then was said all the same.
            Ok(0) => return Ok(bytes),
            Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) => {}
            Err(e) => return Err(Failure::Unavailable(e.to_string())),
        }
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(n) if (bytes.len() + n) as u64 <= RESPONSE_BYTES_MAX => bytes.extend_from_slice(&buffer[..n]),
            Ok(_) => return Err(Failure::BadAnswer),
            Err(e) => return Err(Failure::Unavailable(e.to_string())),
        }
    }
}
