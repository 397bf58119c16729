//! The commands. Those that touch an installation become one [`Request`], executed by the running server or here.

mod audit;
mod check;
mod confine;
mod doctor;
mod execute;
mod inspect;
mod inspection;
mod monitor;
mod rebuild;
mod tuf;
mod tuf_client;
mod verified;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use ::index::Installation;
use ::index::ops::log::Whom;
use ::inspect::Sandbox;
use anyhow::{Context, Result, bail};
use attest::Publisher;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{
    Cli, Command, In, IndexCommand, LogCommand, Place, ProjectCommand, PublisherOptions, TokenCommand, UserCommand,
    Which,
};
use crate::config;
use crate::control::{self, Answer, Request};
use crate::place::{self, Held, Lock};
use crate::settings::Settings;

pub(crate) use execute::execute;

use crate::say::{print, print_painted, warn};

/// Runs one command.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Serve { place, listen, role } => crate::serve::run(Settings::load(&place, listen)?, role).await,
        Command::Check { files, archive_only, profile, format } => {
            check::run(&files, archive_only, &profile, format).await
        }
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Rebuild { place, index } => rebuild::run(&Settings::load(&place, None)?, index.as_deref()).await,
        Command::ConfigDocs => print(&config::markdown()),
        Command::RulesDocs => print(&packaging::rules::markdown()),
        Command::Scrub { place, index } => send(&place, Request::Scrub { index }).await,
        Command::Doctor { place } => doctor(&place).await,
        Command::User { command } => user(command).await,
        Command::Index { command } => index(command).await,
        Command::Token { command } => token(command).await,
        Command::Project { command } => project(command).await,
        Command::Verdicts { command } => inspection::verdicts(command).await,
        Command::Checks { command } => inspection::checks(command).await,
        Command::Jobs { command } => inspection::jobs(command).await,
        Command::Tuf { command } => tuf::run(command).await,
        Command::TufClient(options) => tuf_client::run(options).await,
        Command::Run(options) => verified::run(options).await,
        Command::Proxy(options) => verified::proxy(options).await,
        Command::Verify(options) => verified::verify(options).await,
        Command::Monitor(options) => monitor::run(options).await,
        Command::Log { command } => log(command).await,
    }
}

/// Has the running server execute the request, or executes it here.
async fn send(place: &Place, request: Request) -> Result<ExitCode> {
    let is_ceremony = matches!(&request, Request::Tuf(ask) if ask.may_ask_people());
    let may_found = matches!(request, Request::UserCreate { .. } | Request::IndexCreate { .. });
    let door = Door::open(place, request.needs_sandbox(), may_found).await?.finish_what_is_owed().await;
    let bar = matches!(request, Request::Scrub { .. }).then(scrubbing).transpose()?;
    let mut progress = |done| bar.iter().for_each(|bar: &ProgressBar| bar.set_position(done));
    let answer = door.ask(request, &mut progress).await?;
    bar.iter().for_each(ProgressBar::finish_and_clear);
    // Said first: a token that was made must be seen even if the site cannot be written.
    let code = say(&answer)?;
    if is_ceremony {
        tuf::tell(&answer.output);
    }
    door.close().await?;
    Ok(code)
}

/// On a terminal alone.
fn scrubbing() -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{spinner} scrubbing: {pos} files and projects")?;
    Ok(ProgressBar::new_spinner().with_style(style))
}

/// How requests reach an installation.
enum Door {
    /// Through the server that has it.
    Served(PathBuf),
    /// It is ours as long as we hold the lock.
    Ours(Arc<Installation>, Lock),
}

impl Door {
    async fn open(place: &Place, needs_sandbox: bool, may_found: bool) -> Result<Self> {
        let mut settings = Settings::load(place, None)?;
        if !may_found {
            place::must_exist(&settings.data)?;
        }
        // Nobody publishes while this command runs by itself; it does so at its end.
        settings.index.upload_wait_ms = 0;
        let lock = match Lock::for_command(&settings.data)? {
            Held::Served => return Ok(Self::Served(settings.data)),
            Held::Ours(lock) => lock,
        };
        let sandbox = if needs_sandbox {
            let program = std::env::current_exe().context("cannot find this program")?;
            let sandbox = Sandbox::start(program, settings.sandbox)?;
            if let Some(folder) = &settings.yara {
                place::adopt(&sandbox, folder).context("'inspection.yara'")?;
            }
            Some(Arc::new(sandbox))
        } else {
            None
        };
        let installation = place::open(&settings, sandbox).await?;
        installation.probe_confinement().await;
        Ok(Self::Ours(installation, lock))
    }

    /// Finishes what a crash left, where nobody serves. A store that cannot be repaired is no reason not to look at it.
    async fn finish_what_is_owed(self) -> Self {
        if let Self::Ours(installation, _) = &self
            && let Err(error) = ::index::ops::workers::recover(installation).await
        {
            warn(format_args!("tidewaiter: {error}"));
        }
        self
    }

    async fn ask(&self, request: Request, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Answer> {
        match self {
            Self::Served(data) => control::ask(data, &request, progress).await,
            Self::Ours(installation, _) => Ok(execute(installation, request, progress).await),
        }
    }

    /// Gives the installation back; before it, publishes what the command caused.
    async fn close(self) -> Result<()> {
        if let Self::Ours(installation, _) = &self {
            ::index::ops::workers::drain(installation).await?;
        }
        self.leave().await
    }

    /// Gives the installation back as it is.
    async fn leave(self) -> Result<()> {
        if let Self::Ours(installation, _lock) = self {
            installation.store.close().await;
        }
        Ok(())
    }
}

fn say(answer: &Answer) -> Result<ExitCode> {
    let Answer { output, error, code } = answer;
    print(output)?;
    if let Some(error) = error {
        warn(format_args!("tidewaiter: {error}"));
    }
    Ok(ExitCode::from(*code))
}

/// What the installation says of itself; and whether the rules as they stand now would let it start again: they are read
/// at the start alone.
async fn doctor(place: &Place) -> Result<ExitCode> {
    let settings = Settings::load(place, None)?;
    let broken = match &settings.yara {
        Some(folder) => {
            let sandbox = Sandbox::start(std::env::current_exe()?, settings.sandbox)?;
            place::adopt(&sandbox, folder).err()
        }
        None => None,
    };
    let Some(broken) = broken else { return send(place, Request::Doctor).await };
    // Without a server this is what no command but this one gets past.
    let code = match Lock::for_command(&settings.data) {
        Ok(Held::Served) => send(place, Request::Doctor).await?,
        Ok(Held::Ours(_)) | Err(_) => ExitCode::FAILURE,
    };
    warn(format_args!("tidewaiter: 'inspection.yara': the next start will be refused: {broken:#}"));
    Ok(if code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code })
}

async fn user(command: UserCommand) -> Result<ExitCode> {
    let UserCommand::Create { name, email, role, password_stdin, place } = command;
    let mut password = None;
    if password_stdin {
        let mut text = String::new();
        std::io::stdin().take(1 << 10).read_to_string(&mut text).context("cannot read the password")?;
        password = Some(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    send(&place, Request::UserCreate { name, email, role, password }).await
}

async fn index(command: IndexCommand) -> Result<ExitCode> {
    match command {
        IndexCommand::Create { name, profile, place } => send(&place, Request::IndexCreate { name, profile }).await,
        IndexCommand::List { place } => send(&place, Request::IndexList { only: None }).await,
        IndexCommand::Show { name, place } => send(&place, Request::IndexList { only: Some(name) }).await,
    }
}

async fn token(command: TokenCommand) -> Result<ExitCode> {
    match command {
        TokenCommand::Create { user, project, expires, index: In { index }, place } => {
            let expires_seconds = match expires {
                None => None,
                Some(text) => match config::parse_time_ms(&text) {
                    Some(ms) if ms >= 1_000 => Some((ms / 1_000) as i64),
                    _ => bail!("--expires {text}: write a time such as 30d, 12h or 15m"),
                },
            };
            send(&place, Request::TokenCreate { index, user, projects: project, expires_seconds }).await
        }
        TokenCommand::List { index: In { index }, place } => send(&place, Request::TokenList { index }).await,
        TokenCommand::Revoke { id, index: In { index }, place } => {
            send(&place, Request::TokenRevoke { index, id }).await
        }
    }
}

async fn log(command: LogCommand) -> Result<ExitCode> {
    let (place, index, project, whom, erase) = match command {
        LogCommand::Keys { new_witness, index: In { index }, place } => {
            return send(&place, Request::LogKeys { index, new_witness }).await;
        }
        LogCommand::Show { project, whom, index: In { index }, place } => (place, index, project, whom, false),
        LogCommand::Erase { project, whom, index: In { index }, place } => (place, index, project, whom, true),
    };
    let whom = match (whom.user, publisher(whom.publisher)?) {
        (Some(user), _) => Whom::Account(user),
        (None, Some(publisher)) => Whom::Publisher(publisher),
        (None, None) => bail!("say who: an account, or --github, --gitlab or --google"),
    };
    send(&place, Request::LogName { index, project, whom, erase }).await
}

/// The publisher that the options name.
fn publisher(options: PublisherOptions) -> Result<Option<Publisher>> {
    let PublisherOptions { github, gitlab, google, workflow, environment } = options;
    let workflow = || workflow.context("--workflow FILE says which one");
    Ok(match (github, gitlab, google) {
        (Some(repository), None, None) => Some(Publisher::GitHub { repository, workflow: workflow()?, environment }),
        (None, Some(repository), None) => {
            Some(Publisher::GitLab { repository, workflow_filepath: workflow()?, environment })
        }
        (None, None, Some(email)) => Some(Publisher::Google { email }),
        _ => None,
    })
}

async fn project(command: ProjectCommand) -> Result<ExitCode> {
    let split = |which: Which| {
        let Which { project, version, file, reason, index: In { index }, place } = which;
        (place, index, control::Which { project, version, file, reason })
    };
    match command {
        ProjectCommand::Yank(which) => {
            let (place, index, which) = split(which);
            send(&place, Request::Yank { index, which, on: true }).await
        }
        ProjectCommand::Unyank(which) => {
            let (place, index, which) = split(which);
            send(&place, Request::Yank { index, which, on: false }).await
        }
        ProjectCommand::Remove(which) => {
            let (place, index, which) = split(which);
            send(&place, Request::Remove { index, which }).await
        }
        ProjectCommand::Status { project, status, reason, index: In { index }, place } => {
            send(&place, Request::Status { index, project, status, reason }).await
        }
        ProjectCommand::Publisher { project, action, who, index: In { index }, place } => {
            let change = match (publisher(who)?, action.as_str()) {
                (None, "list") => None,
                (Some(publisher), "add" | "remove") => Some((publisher, action == "add")),
                (None, _) => bail!("say who: --github, --gitlab or --google"),
                (Some(_), _) => bail!("'list' takes no publisher"),
            };
            send(&place, Request::Publisher { index, project, change }).await
        }
        ProjectCommand::Role { project, action, user, role, index: In { index }, place } => {
            let role = role.filter(|_| action == "add");
            send(&place, Request::Role { index, project, user, role }).await
        }
    }
}
