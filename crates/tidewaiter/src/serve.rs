//! `serve`: lock, ledger, sandbox, recovery, socket, listener; and what to type next.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use index::Installation;
use index::model::{IndexName, SiteRole};
use index::ops::{accounts, workers};
use inspect::Sandbox;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::cli::Role;
use crate::control;
use crate::place::{self, Lock};
use crate::purge;
use crate::settings::Settings;
use crate::witnesses;

/// The account that the first start makes.
const FIRST_ACCOUNT: &str = "admin";

pub(crate) async fn run(settings: Settings, role: Role) -> Result<ExitCode> {
    if role != Role::All {
        bail!(
            "--role web and --role worker need object storage, which this version does not have; start with --role all"
        );
    }
    let _lock = Lock::for_server(&settings.data)?;
    // Connections and files share one table, and the usual soft limit of 1,024 is below the most connections.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    log_to_stderr(&settings)?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let sandbox = Sandbox::start(program, settings.sandbox).map(Arc::new);
    if let Err(failure) = &sandbox {
        tracing::error!(%failure, "no sandbox: uploads are refused");
    }
    // Without a sandbox nothing is inspected; with one, rules that were asked for and cannot be used are no detail.
    if let (Ok(sandbox), Some(folder)) = (&sandbox, &settings.yara) {
        let (_, rules) = place::adopt(sandbox, folder).context("'inspection.yara'")?;
        tracing::info!(rules = rules.rules.len(), files = rules.files, digest = rules.digest, "rules of the operator");
    }
    let installation = place::open(&settings, sandbox.ok()).await?;
    purge::start(&installation, settings.purge.clone())?;
    witnesses::start(&installation, settings.witnesses.clone())?;
    installation.probe_confinement().await;
    let taken_over = workers::take_over(&installation).await.context("recovery failed; nothing was served")?;
    let tls = match &settings.tls {
        None => None,
        Some((certificate, key)) => {
            let tls = web::tls_from_files(certificate, key).map_err(|e| anyhow!(e));
            Some(tls.context("'server.tls_certificate' and 'server.tls_key' cannot be used")?)
        }
    };
    let (stop, stopping) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    // The first token is on disk before anybody is answered: whoever finds the server finds the token.
    let token = first_token(&settings, &installation).await?;
    let app = web::App::new(Arc::clone(&installation), settings.web.clone());
    tokio::spawn(app.clone().follow_heads());
    tasks.spawn(web::serve(listener, app, tls, stopping.clone()));
    // Readers are answered by now; what is signed, `/healthz` and commands wait for the founding of a new index.
    taken_over.found().await.context("an index could not be founded")?;
    let control = control::bind(&settings.data)?;
    tokio::spawn(control::serve(control, Arc::clone(&installation)));
    let background = background()?;
    tasks.spawn_on(workers::run(Arc::clone(&installation), stopping.clone()), background.handle());
    greet(&settings, address, &token);
    say_confinement(&installation);
    wait_for_signal().await?;
    tracing::info!("stopping");
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    background.shutdown_background();
    installation.store.close().await;
    let _ = std::fs::remove_file(settings.data.join("control.sock"));
    Ok(ExitCode::SUCCESS)
}

/// Threads for inspection and publication, which give way to those that answer requests.
fn background() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name("background").on_thread_start(inspect::sandbox::give_way);
    builder.build().context("cannot start the threads of inspection and publication")
}

fn log_to_stderr(settings: &Settings) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.log_level).context("'log.level' is no filter")?;
    check_levels(&settings.log_level)?;
    let json = settings.log_json.unwrap_or_else(|| !std::io::stderr().is_terminal());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        builder.json().init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).init()
    }
    Ok(())
}

/// The filter takes any word for the name of a part of the program, so `verbose` would log nothing at all.
fn check_levels(filter: &str) -> Result<()> {
    for one in filter.split(',').map(str::trim) {
        let level = one.rsplit_once('=').map_or(one, |(_, level)| level);
        if !["off", "error", "warn", "info", "debug", "trace"].iter().any(|known| level.eq_ignore_ascii_case(known)) {
            bail!("'log.level' is '{filter}': '{level}' is none of off, error, warn, info, debug, trace");
        }
    }
    Ok(())
}

fn say_confinement(installation: &Installation) {
    let confinement = installation.confinement();
    let layers = confinement.layers.join(", ");
    if confinement.is_strong() {
        tracing::info!(layers, "archives are opened out of reach of files, network, processes and programs");
    } else {
        tracing::error!(
            layers,
            files_denied = confinement.files_denied,
            network_denied = confinement.network_denied,
            signals_denied = confinement.signals_denied,
            exec_denied = confinement.exec_denied,
            allow_weak = installation.settings.allow_weak_sandbox,
            "the sandbox is weak on this machine"
        );
    }
}

pub(crate) async fn wait_for_signal() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}

/// Where the index is and the exact lines to use it; on the first start also a token.
fn greet(settings: &Settings, address: SocketAddr, token: &Token) {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let base = settings.index.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", reachable(address)));
    let data = std::path::absolute(&settings.data).unwrap_or_else(|_| settings.data.clone());
    let mut out = std::io::stdout().lock();
    // A server whose standard output is closed serves all the same.
    let _ = out.write_all(greeting(&base, &data, token).as_bytes()).and_then(|()| out.flush());
}

fn reachable(address: SocketAddr) -> String {
    if !address.ip().is_unspecified() {
        return address.to_string();
    }
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("{}:{}", name.unwrap_or_else(|| "localhost".into()), address.port())
}

enum Token {
    Shown(String),
    InFile(std::path::PathBuf),
    Known,
}

/// On a ledger without accounts: an administrator and a token. The token goes to a terminal, or else into a file
/// that only the operator can read.
async fn first_token(settings: &Settings, installation: &Installation) -> Result<Token> {
    if !accounts::none_yet(installation).await? {
        let path = first_token_file(settings)?;
        return Ok(if path.exists() { Token::InFile(path) } else { Token::Known });
    }
    accounts::create(installation, FIRST_ACCOUNT, "admin@localhost", None, Some(SiteRole::Admin), "first start")
        .await?;
    let main = IndexName::main();
    let token = accounts::create_token(installation, &main, FIRST_ACCOUNT, &[], None, "first start").await?;
    if std::io::stdout().is_terminal() {
        return Ok(Token::Shown(token));
    }
    let path = first_token_file(settings)?;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    Ok(Token::InFile(path))
}

/// Absolute, so that the printed lines work from any folder.
fn first_token_file(settings: &Settings) -> Result<std::path::PathBuf> {
    Ok(std::path::absolute(settings.data.join("first-token"))?)
}

fn greeting(base: &str, data: &std::path::Path, token: &Token) -> String {
    let (note, secret) = match token {
        Token::Shown(token) => {
            (String::from("A token for the first upload, shown this once:\n\n  ") + token + "\n", token.clone())
        }
        Token::InFile(path) => {
            (format!("A token for the first upload is in {}\n", path.display()), format!("$(cat {})", path.display()))
        }
        Token::Known => (
            format!("Make a token with: tidewaiter token create --user {FIRST_ACCOUNT} --data {}\n", data.display()),
            "TOKEN".to_owned(),
        ),
    };
    // pip takes plain HTTP from another host only when told to.
    let host = base.split("://").nth(1).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    let plain = base.starts_with("http://") && !local;
    let trusted = if plain { format!(" --trusted-host {name}") } else { String::new() };
    let insecure = if plain { format!(" --allow-insecure-host {name}") } else { String::new() };
    format!(
        "Tidewaiter serves at {base}/\n\n{note}\n\
         Upload:\n\
         \x20 twine upload --repository-url {base}/legacy/ -u __token__ -p \"{secret}\" dist/*\n\
         \x20 uv publish --publish-url {base}/legacy/ --token \"{secret}\" dist/*\n\n\
         Install:\n\
         \x20 pip install --index-url {base}/simple/{trusted} NAME\n\
         \x20 uv pip install --default-index {base}/simple/{insecure} NAME\n\n\
         This index holds only what was uploaded to it; it does not mirror the public one yet. Dependencies that are\n\
         not here must be uploaded too. Do not add the public index beside it with --extra-index-url: installers take\n\
         the highest version from either, so whoever registers your private names in public is installed instead\n\
         (dependency confusion).\n\n"
    )
}
