//! A command as a check: the description in a variable, the file on standard input, the answer on standard output.
//!
//! The file is an open descriptor, read-only and seekable, so that nothing is copied and no program can block us by not
//! reading; without leave to read it, standard input is empty. Nothing of the server's environment is passed on, the
//! program leads a process group of its own, and the whole group ends with the answer, or with its time.

use std::fs::File;
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::ANSWER_BYTES_MAX;

/// The variable that holds the description.
const VARIABLE: &str = "TIDEWAITER_FILE";
/// Where the command finds programs of its own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Ends the group when it goes out of scope: also when the waiting for it was given up.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Nobody left in it is what is hoped for.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Runs it; the caller bounds the time.
///
/// # Errors
/// Why there is no answer, in words.
pub(super) async fn run(argv: &[String], description: &str, file: Option<File>) -> Result<Vec<u8>, String> {
    let (program, arguments) = argv.split_first().ok_or("it names no program")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).env(VARIABLE, description).current_dir("/");
    command.stdin(file.map_or_else(Stdio::null, Stdio::from)).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("'{program}' cannot be started: {error}"))?;
    let _group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
    let stdout = child.stdout.take().ok_or("it has no output")?;
    let mut answer = Vec::new();
    let most = ANSWER_BYTES_MAX as u64 + 1;
    stdout.take(most).read_to_end(&mut answer).await.map_err(|error| format!("its output broke off: {error}"))?;
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes"));
    }
    let status = child.wait().await.map_err(|error| format!("it cannot be waited for: {error}"))?;
    if !status.success() {
        return Err(format!("it ended with {status}"));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};
    use std::time::{Duration, Instant};

    use super::*;

    async fn shell(script: &str, file: Option<File>) -> Result<Vec<u8>, String> {
        run(&["/bin/sh".into(), "-c".into(), script.into()], "{\"a\": \"'$(id)\"}", file).await
    }

    #[tokio::test]
    async fn it_is_told_and_heard() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"the bytes").expect("room");
        file.rewind().expect("seekable");
        let told =
            shell("printf %s \"$TIDEWAITER_FILE\"; cat; pwd; env | cut -d= -f1 | sort | tr '\\n' ' '", Some(file))
                .await;
        let told = String::from_utf8(told.expect("an answer")).expect("text");
        assert!(told.starts_with("{\"a\": \"'$(id)\"}the bytes/\n"), "{told}");
        let names = told.lines().last().expect("names");
        let ours: Vec<&str> =
            names.split(' ').filter(|name| !["PWD", "_", "SHLVL", "OLDPWD", ""].contains(name)).collect();
        assert_eq!(ours, ["PATH", "TIDEWAITER_FILE"], "nothing of the server's environment");
        assert_eq!(shell("cat; printf none", None).await, Ok(b"none".to_vec()));
    }

    #[tokio::test]
    async fn what_it_may_not_do_is_no_answer() {
        for (script, why) in [
            ("exit 3", "exit status: 3"),
            ("kill -9 $$", "signal: 9"),
            ("head -c 1048577 /dev/zero", "longer than 1048576 bytes"),
            ("yes", "longer than"),
        ] {
            let error = shell(script, None).await.expect_err(script);
            assert!(error.contains(why), "{script}: {error}");
        }
        assert_eq!(shell("head -c 1048576 /dev/zero", None).await.expect("at the limit").len(), ANSWER_BYTES_MAX);
        assert!(run(&["/nothing/here".into()], "", None).await.expect_err("none").contains("cannot be started"));
    }

    #[tokio::test]
    async fn nobody_of_its_group_outlives_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("mark");
        // The first leaves a process behind, the second never ends.
        let left = format!("(sleep 2; touch {}) >/dev/null 2>&1 & echo left", mark.display());
        assert_eq!(shell(&left, None).await, Ok(b"left\n".to_vec()));
        let endless = format!("(sleep 2; touch {}) & sleep 60", mark.display());
        let begun = Instant::now();
        assert!(tokio::time::timeout(Duration::from_millis(300), shell(&endless, None)).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!mark.exists(), "it was ended with its group");
    }
}
