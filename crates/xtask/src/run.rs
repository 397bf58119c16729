//! Starting programs, and the few places of the repository that every command needs.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The repository: as `cargo xtask` says it now, not as it was when this program was built. Clones may share a target
/// folder, and cargo takes one clone's build for another's.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("started by `cargo xtask`");
    Path::new(&here).ancestors().nth(2).expect("this crate is two folders below the repository's root").to_path_buf()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // A relative folder is meant from where cargo was called, which is not always the root.
        Some(folder) => std::path::absolute(&folder).unwrap_or_else(|_| folder.into()),
        None => root().join("target"),
    }
}

/// The cargo that started us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    // Set by the cargo that runs us, for this crate; it would make a nested cargo rebuild what reads them.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_MANIFEST_PATH"] {
        command.env_remove(name);
    }
    command
}

/// A command in the repository's root.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(root());
    command
}

/// Runs it with our standard output and error; an error unless it succeeds.
pub(crate) fn must(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs it and returns its standard output; an error unless it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let out = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !out.status.success() {
        bail!("{} ended with {}", shown(command), out.status);
    }
    Ok(out.stdout)
}

/// Runs it, passing every line of its standard output on as it comes and to `see`; true when it succeeded.
pub(crate) fn stream(command: &mut Command, see: &mut dyn FnMut(&str)) -> Result<bool> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", shown(command)))?;
    let pipe = child.stdout.take().context("the standard output was not piped")?;
    let mut out = std::io::stdout().lock();
    for line in BufReader::new(pipe).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        // Whoever reads our output may have gone; the tests go on.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        see(&line);
    }
    Ok(child.wait()?.success())
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Whether a program of this name is on the path.
pub(crate) fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).any(|folder| folder.join(name).is_file())
}

/// Installs Debian packages by name, updating the lists once before. Needs root or sudo.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !is_on_path("apt-get") {
        bail!("this machine has no apt-get; install what these Debian packages hold: {}", packages.join(", "));
    }
    let is_root = String::from_utf8_lossy(&output(&mut program("id", &["-u"]))?).trim() == "0";
    let apt = |arguments: &[&str]| {
        let mut command = if is_root { program("apt-get", &[]) } else { program("sudo", &["apt-get"]) };
        // `env` keeps the variable through sudo, which drops it otherwise.
        if is_root {
            command.env("DEBIAN_FRONTEND", "noninteractive");
        } else {
            command = program("sudo", &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        }
        command.args(arguments).stdin(Stdio::null());
        must(&mut command)
    };
    println!("installing {}", packages.join(", "));
    apt(&["update", "-q"])?;
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(packages);
    apt(&install)
}

/// A Python environment below the target folder that holds what `requirements` says, keyed by that text: another
/// text makes another environment. Returns its interpreter.
pub(crate) fn venv(requirements: &str, pip_arguments: &[&str]) -> Result<PathBuf> {
    use sha2::{Digest, Sha256};
    let key: String = Sha256::digest(requirements.as_bytes()).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let folder = target().join("venv").join(key);
    let python = folder.join("bin/python");
    let complete = folder.join("complete");
    if complete.is_file() && python.exists() {
        return Ok(python);
    }
    // A half-made one, from a run that was stopped.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    must(program("python3", &["-m", "venv"]).arg(&folder))?;
    let mut pip = program(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    must(pip.args(pip_arguments))?;
    std::fs::write(complete, "")?;
    Ok(python)
}

/// A folder that holds what a `package.json` says, made anew when that says something else.
pub(crate) fn npm(package: &Path, folder: &Path) -> Result<()> {
    let wanted = std::fs::read(package)?;
    let complete = folder.join("complete");
    if std::fs::read(&complete).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("package.json"), &wanted)?;
    let quiet = ["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"];
    must(program("npm", &quiet).current_dir(folder))?;
    Ok(std::fs::write(complete, wanted)?)
}
