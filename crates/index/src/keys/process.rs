//! A key that another process holds: a hardware token's tool, a client of a key service. It is given the whole message,
//! whatever the scheme, and has [`PROCESS_TIME_MAX`] to answer.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

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

    fn ask(&self, message: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let (program, arguments) = self.command.split_first().ok_or("no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
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
