//! A key that another process holds: a hardware token's tool, a client of a key service. It is given the whole message,
//! whatever the scheme, and has [`PROCESS_TIME_MAX`] to answer.

use std::io::{Read, Write};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

    /// Asks it; what went wrong is said with what it wrote to standard error.
    fn ask(&self, message: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let mut said = Said::default();
        self.ask_hearing(message, &mut said).map_err(|why| format!("{why}{said}"))
    }

    fn ask_hearing(&self, message: &[u8], said: &mut Said) -> std::result::Result<Vec<u8>, String> {
        let (program, arguments) = self.command.split_first().ok_or("no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".to_owned());
        };
        said.hear(child.stderr.take());
        let message = message.to_vec();
        // A process that answers before it has read all is its own affair.
        std::thread::spawn(move || stdin.write_all(&message));
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.take(PROCESS_ANSWER_BYTES_MAX).read_to_string(&mut text);
            let _ = send.send(read.map(|_| text));
        });
        let answer = receive.recv_timeout(PROCESS_TIME_MAX);
        if answer.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        let text = answer.map_err(|_| format!("{program} took too long"))?.map_err(|error| error.to_string())?;
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

impl Signer for ProcessSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn keyid(&self) -> &str {
        &self.keyid
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, NotSigning> {
        let signature = self.ask(message).and_then(|signature| super::verified(&self.public, message, signature));
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
}
