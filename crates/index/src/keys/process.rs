//! A key that another process holds: a hardware token's tool, a client of a key service. It is given the whole message,
//! whatever the scheme, and has [`PROCESS_TIME_MAX`] to answer.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tuf::keys::NotSigning;
use tuf::{PublicKey, Signer};

/// How long another process may take to sign.
pub const PROCESS_TIME_MAX: Duration = Duration::from_secs(30);
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

    /// Signs, or says why not, before `time_max` is over, whatever the process does: reads nothing, answers nothing, stays.
    fn ask(&self, message: &[u8], time_max: Duration) -> std::result::Result<Vec<u8>, String> {
        let (program, arguments) = self.command.split_first().ok_or("no command")?;
        let deadline = Instant::now() + time_max;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
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
