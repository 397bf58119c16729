//! A key that another process holds: a hardware token's tool, a client of a key service. It is given the whole message,
//! whatever the scheme, and has [`PROCESS_TIME_MAX`] to answer.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tuf::keys::NotSigning;
use tuf::{PublicKey, Signer};

/// How long another process may take to sign.
pub const PROCESS_TIME_MAX: Duration = Duration::from_secs(30);
/// Length of what is kept of its standard error, in bytes, and how long it is waited for once the process has ended.
const SAID_BYTES_MAX: usize = 1 << 10;
const SAID_TIME_MAX: Duration = Duration::from_secs(1);
/// Length of what another process may answer, in bytes.
const PROCESS_ANSWER_BYTES_MAX: u64 = 8 << 10;

#[derive(Debug)]
pub(super) struct ProcessSigner {
    public: PublicKey,
    keyid: String,
    command: Vec<String>,
}

impl ProcessSigner {
    pub(super) fn new(public: PublicKey, command: Vec<String>) -> Self {
        Self { keyid: public.keyid(), public, command }
    }

    /// Signs, or says why not and what the process wrote to standard error, before `time_max` is over, whatever the process does:
    /// reads nothing, answers nothing, stays.
    fn ask(&self, message: &[u8], time_max: Duration) -> std::result::Result<Vec<u8>, String> {
        let mut said = Said::default();
        self.ask_hearing(message, time_max, &mut said).map_err(|why| format!("{why}{said}"))
    }

    fn ask_hearing(&self, message: &[u8], time_max: Duration, said: &mut Said) -> std::result::Result<Vec<u8>, String> {
        let (program, arguments) = self.command.split_first().ok_or("no command")?;
        let deadline = Instant::now() + time_max;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // At a terminal it may ask for a PIN there, which only a process of the group in front can.
        let is_apart = !std::io::stdin().is_terminal();
        if is_apart {
            command.process_group(0);
        }
        let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        let mut child = Running { child, is_apart, has_ended: false };
        let (Some(mut stdin), Some(stdout)) = (child.child.stdin.take(), child.child.stdout.take()) else {
            return Err("no pipes".to_owned());
        };
        said.hear(child.child.stderr.take());
        let message = message.to_vec();
        // A process that answers before it has read all is its own affair.
        std::thread::spawn(move || stdin.write_all(&message));
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.take(PROCESS_ANSWER_BYTES_MAX).read_to_string(&mut text);
            let _ = send.send(read.map(|_| text));
        });
        let late = || format!("{program} took longer than {} seconds", time_max.as_secs_f32());
        let answer = receive.recv_timeout(time_max).map_err(|_| late())?;
        let status = loop {
            match child.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if Instant::now() >= deadline => return Err(late()),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        child.has_ended = true;
        let text = answer.map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("{program} ended with {status}"));
        }
        tuf::hash::unhex(text.trim()).ok_or_else(|| format!("{program} gave no hexadecimal digits"))
    }
}

/// What a process wrote to standard error, as far as it is kept.
#[derive(Debug, Default)]
struct Said {
    kept: Arc<Mutex<Vec<u8>>>,
    ended: Option<Receiver<()>>,
}

impl Said {
    /// Hears it to its end, beside: a process whose pipe is full or gone would not sign.
    fn hear(&mut self, stderr: Option<ChildStderr>) {
        let Some(mut stderr) = stderr else { return };
        let (kept, (end, ended)) = (Arc::clone(&self.kept), channel::<()>());
        self.ended = Some(ended);
        std::thread::spawn(move || {
            let mut some = [0; SAID_BYTES_MAX];
            while let Ok(count @ 1..) = stderr.read(&mut some) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = SAID_BYTES_MAX - kept.len();
                kept.extend(&some[..count.min(room)]);
            }
            drop(end);
        });
    }
}

/// `: ` and what it said, in one line without control characters; nothing where it said nothing.
impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever inherited the pipe may hold it open for longer than the process lives.
        let _ = self.ended.as_ref().map(|ended| ended.recv_timeout(SAID_TIME_MAX));
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept).replace(char::is_control, " ");
        if text.trim().is_empty() { Ok(()) } else { write!(f, ": {}", text.trim()) }
    }
}

/// A process that is ended, with those that it started, when it is given up.
struct Running {
    child: Child,
    is_apart: bool,
    has_ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        if self.is_apart {
            let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Signer for ProcessSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn keyid(&self) -> &str {
        &self.keyid
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, NotSigning> {
        let signature =
            self.ask(message, PROCESS_TIME_MAX).and_then(|signature| super::verified(&self.public, message, signature));
        signature.map_err(|why| NotSigning { keyid: self.keyid.clone(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tuf::keys::Ed25519Signer;

    fn why(script: &str) -> String {
        let public = Ed25519Signer::from_seed(&[7; 32]).expect("a key").public_key().clone();
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        ProcessSigner::new(public, command).sign(b"message").expect_err("it does not sign").why
    }

    #[test]
    fn what_a_process_says_on_standard_error_is_in_the_reason() {
        assert_eq!(
            why("cat; echo 'kms: access denied' >&2; exit 3"),
            "sh ended with exit status: 3: kms: access denied"
        );
        assert_eq!(why("cat >&2; echo none"), "sh gave no hexadecimal digits: message");
        assert_eq!(why("cat >/dev/null; exit 3"), "sh ended with exit status: 3");
        // One line, and nothing that a terminal takes for more than text.
        assert_eq!(why("printf 'two\\n\\033[2Jlines' >&2; exit 1"), "sh ended with exit status: 1: two  [2Jlines");
        let at = |count: usize| why(&format!("head -c {count} /dev/zero | tr '\\0' x >&2; exit 1"));
        let prefix = "sh ended with exit status: 1: ".len();
        assert_eq!(at(SAID_BYTES_MAX).len(), prefix + SAID_BYTES_MAX);
        // What is more than that is heard, or the process would wait for ever, and not kept.
        assert_eq!(at(1 << 20).len(), prefix + SAID_BYTES_MAX);
        // A child that outlives it and holds the pipe is not waited for.
        let begun = std::time::Instant::now();
        assert_eq!(why("echo early >&2; sleep 20 >/dev/null & exit 1"), "sh ended with exit status: 1: early");
        assert!(begun.elapsed() < Duration::from_secs(15));
    }

    fn ask(script: &str, message: &[u8]) -> (std::result::Result<Vec<u8>, String>, Duration) {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let signer = ProcessSigner::new(PublicKey::ed25519(&[1; 32]), command);
        let begun = Instant::now();
        (signer.ask(message, Duration::from_millis(500)), begun.elapsed())
    }

    #[test]
    fn an_answer_is_what_was_printed_until_the_process_ended() {
        assert_eq!(ask("cat >/dev/null; sleep 0.1; echo 00ff", b"message").0, Ok(vec![0, 255]));
        assert_eq!(ask("echo 00ff", &vec![0; 1 << 20]).0, Ok(vec![0, 255]), "it need not read");
        assert!(ask("echo 00ff; exit 3", b"").0.is_err_and(|why| why.contains("ended with exit status: 3")));
        assert!(ask("echo zz", b"").0.is_err_and(|why| why.contains("no hexadecimal digits")));
    }

    /// Goal: one deadline over everything, and nothing is left running: not the process, nor what it started.
    #[test]
    fn whoever_stays_is_given_up_and_ended() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let pid = folder.path().join("pid");
        let note = format!("echo $$ > {}", pid.display());
        // At a terminal only the process itself is ended.
        let scripts = if std::io::stdin().is_terminal() { 3 } else { 5 };
        let all = [
            format!("{note}; exec sleep 60"),
            format!("{note}; exec >&-; exec sleep 60"),
            format!("{note}; echo 00ff; exec >&-; exec sleep 60"),
            format!("sh -c '{note}; exec sleep 60' & wait"),
            format!("sh -c '{note}; exec sleep 60' & echo 00ff"),
        ];
        for script in &all[..scripts] {
            let (answer, elapsed) = ask(script, &vec![0; 1 << 20]);
            assert!(answer.is_err_and(|why| why.contains("took longer than 0.5 seconds")), "{script}");
            assert!(elapsed < Duration::from_secs(5), "{script}: {elapsed:?}");
            let pid: i32 = std::fs::read_to_string(&pid).expect("it ran").trim().parse().expect("a number");
            // Those it started are not ours to wait for: they are gone, or about to be.
            let is_gone = || {
                let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
                state.map_or(true, |state| state.contains(") Z ") || state.contains(") X "))
            };
            let until = Instant::now() + Duration::from_secs(5);
            while !is_gone() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(is_gone(), "{script}");
        }
    }
}
