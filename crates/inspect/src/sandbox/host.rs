//! The server's side: starts the zygote, hands it passes, reads answers.

use std::fs::File;
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};
use serde::{Deserialize, Serialize};

use super::{Confinement, Failure, RESPONSE_BYTES_MAX, SandboxLimits, ZYGOTE_ARGUMENT};
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
        let sandbox = Self { program, limits, zygote: Mutex::new(None) };
        sandbox.control()?;
        Ok(sandbox)
    }

    /// Runs one pass over an open archive. Blocks; call it where blocking is allowed.
    ///
    /// # Errors
    /// See [`Failure`]. The archive's bytes are untouched in every case.
    pub fn run(&self, archive: &File, request: Request) -> Result<Response, Failure> {
        let (reader, writer) = std::io::pipe().map_err(|e| Failure::Unavailable(e.to_string()))?;
        let envelope = Envelope { request, sandbox: self.limits };
        let message = serde_json::to_vec(&envelope).map_err(|e| Failure::Unavailable(e.to_string()))?;
        let started = Instant::now();
        if message.len() > super::REQUEST_BYTES_MAX {
            return Err(Failure::BadAnswer);
        }
        // A zygote that died since the last pass is replaced once; the archive was not even opened.
        let control = self.control()?;
        if let Err(error) = send(&control, &message, archive, writer.as_fd().as_raw_fd()) {
            tracing::warn!(%error, "the sandbox is started anew");
            self.replace(&control);
            send(&*self.control()?, &message, archive, writer.as_fd().as_raw_fd())
                .map_err(|e| Failure::Unavailable(format!("cannot reach the sandbox: {e}")))?;
        }
        drop(writer);
        let wall = Duration::from_millis(self.limits.wall_ms_max);
        let bytes = read_answer(reader, started + wall + GRACE)?;
        match serde_json::from_slice(&bytes) {
            Ok(response) => Ok(response),
            Err(_) if started.elapsed() >= wall => Err(Failure::TimedOut(self.limits.wall_ms_max)),
            Err(_) if bytes.is_empty() => Err(Failure::Died),
            Err(_) => Err(Failure::BadAnswer),
        }
    }

    /// Asks a child what it is denied.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn probe(&self) -> Result<Confinement, Failure> {
        let nothing = File::open("/dev/null").map_err(|e| Failure::Unavailable(e.to_string()))?;
        match self.run(&nothing, Request::Probe)? {
            Response::Probe(confinement) => Ok(confinement),
            Response::Rules(_) | Response::Checks(_) => Err(Failure::BadAnswer),
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
        *zygote = Some(Zygote { control: Arc::clone(&control), process });
        Ok(control)
    }

    /// Ends the zygote behind this socket; one that was started since is left alone.
    fn replace(&self, control: &Arc<OwnedFd>) {
        let mut zygote = self.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut dead) = zygote.take_if(|running| Arc::ptr_eq(&running.control, control)) {
            let _ = dead.process.kill();
            let _ = dead.process.wait();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let zygote = self.zygote.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut running) = zygote.take() {
            let _ = running.process.kill();
            let _ = running.process.wait();
        }
    }
}

fn send(control: &OwnedFd, message: &[u8], archive: &File, answer: i32) -> nix::Result<()> {
    let fds = [archive.as_raw_fd(), answer];
    let parts = [IoSlice::new(message)];
    sendmsg::<()>(control.as_raw_fd(), &parts, &[ControlMessage::ScmRights(&fds)], MsgFlags::MSG_NOSIGNAL, None)
        .map(|_| ())
}

/// Reads until the writer closes, at most [`RESPONSE_BYTES_MAX`], at latest until `deadline`.
fn read_answer(mut reader: std::io::PipeReader, deadline: Instant) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis() as i32).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return Ok(Vec::new()),
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
