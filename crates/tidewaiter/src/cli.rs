//! The command line, as DESIGN.md promises it.

use std::net::SocketAddr;
use std::path::PathBuf;

use client::{Attestations, Witnesses};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

mod tuf;

pub(crate) use tuf::{Holders, KeyKind, OtherHolders, Rotate, TufCommand, Unlock};

/// A Python package index that inspects what it takes in.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the installation is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The data folder: ledger, files, secrets.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The configuration file (TOML). Flags win over it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Which index a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct In {
    /// The index.
    #[arg(long = "in", value_name = "NAME", default_value = "main")]
    pub(crate) index: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the index.
    Serve {
        #[command(flatten)]
        place: Place,
        /// Address and port to listen on.
        #[arg(long, value_name = "ADDR:PORT")]
        listen: Option<SocketAddr>,
        /// What this process does.
        #[arg(long, value_enum, default_value = "all")]
        role: Role,
    },
    /// Make accounts.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Make and list further indexes; they answer at /i/NAME/.
    Index {
        #[command(subcommand)]
        command: IndexCommand,
    },
    /// Make, list and revoke API tokens.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Yank, remove, set the status of a project, give and take roles.
    Project {
        #[command(subcommand)]
        command: ProjectCommand,
    },
    /// What the inspection concluded, and what people decide about it.
    Verdicts {
        #[command(subcommand)]
        command: VerdictsCommand,
    },
    /// The checks of the inspection: their states, and trials without effect.
    Checks {
        #[command(subcommand)]
        command: ChecksCommand,
    },
    /// The background's queue.
    Jobs {
        #[command(subcommand)]
        command: JobsCommand,
    },
    /// Say what an upload of these files would be told. Nothing is sent or kept.
    Check {
        /// Wheels and sdists; with --archive-only any zip, tar or tar.gz.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Framing and content rules of the archive alone, whatever its name.
        #[arg(long)]
        archive_only: bool,
        /// The rules of a private or of a public index.
        #[arg(long, default_value = "private", value_parser = ["private", "public"])]
        profile: String,
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Look for what would harm whoever installs these files. Nothing is run, sent or kept.
    Inspect(Inspect),
    /// Make the site again from the ledger, byte for byte. Only while nothing serves.
    Rebuild {
        #[command(flatten)]
        place: Place,
        /// One index; all of them when absent.
        #[arg(long = "in", value_name = "NAME")]
        index: Option<String>,
    },
    /// Hold every stored byte against the ledger. Exit 0 when sound, 1 when not.
    Scrub {
        #[command(flatten)]
        place: Place,
        /// One index; all of them when absent.
        #[arg(long = "in", value_name = "NAME")]
        index: Option<String>,
    },
    /// Look for what would trouble this installation, and say what to do.
    Doctor {
        #[command(flatten)]
        place: Place,
    },
    /// The signed repository: keys, expiry, rotations (PEP 458).
    Tuf {
        #[command(subcommand)]
        command: TufCommand,
    },
    /// Run pip or uv so that they install from this index only what it signed.
    Run(RunOptions),
    /// Serve a signed index to installers on this machine, verified.
    Proxy(ProxyOptions),
    /// Say whether the index signs for these files, under their names.
    Verify(VerifyOptions),
    /// Tell of every event in the log of an index, verified. Exit 1 with --once when there were some, 2 when the log is
    /// not to be believed.
    Monitor(MonitorOptions),
    /// The log of an index: whom its entries speak of.
    Log {
        #[command(subcommand)]
        command: LogCommand,
    },
    /// The command line of the public TUF client conformance suite.
    #[command(hide = true)]
    TufClient(TufClient),
    /// Print the configuration page.
    #[command(hide = true)]
    ConfigDocs,
    /// Print the page of upload rules.
    #[command(hide = true)]
    RulesDocs,
}

/// What to inspect, and how to tell.
#[derive(Debug, Clone, Args)]
pub(crate) struct Inspect {
    /// Wheels, sdists, any archives, folders, installed environments.
    #[arg(required_unless_present = "explain", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The release before this one: what is new since is told.
    #[arg(long, value_name = "FILE")]
    pub(crate) previous: Option<PathBuf>,
    /// The same release's other form, the source of a wheel or a wheel of the source: where they differ is told.
    #[arg(long, value_name = "FILE")]
    pub(crate) sibling: Option<PathBuf>,
    /// The file's real name, where its path does not say it. Once for each file, in their order, or not at all.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: InspectFormat,
    /// A folder of YARA rules besides; here each of them counts.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) yara: Option<PathBuf>,
    /// The policy that makes a verdict of what is found, as `inspection.policy` names one; the built-in one otherwise.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Print the page of a check instead.
    #[arg(long, value_name = "CHECK")]
    pub(crate) explain: Option<String>,
    /// Exit 1 from this verdict on.
    #[arg(long, value_enum, default_value = "hold")]
    pub(crate) fail_on: FailOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InspectFormat {
    /// For people.
    Text,
    /// One object a line and file.
    Json,
    /// SARIF 2.1.0, one document.
    Sarif,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Review,
    Hold,
    Malicious,
}

/// Which index, and what is believed of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Trust {
    /// The index, or any mirror of it.
    #[arg(long, value_name = "BASE_URL")]
    pub(crate) index: String,
    /// The root.json that its operator hands out. Without it the first one seen is trusted, and its fingerprint shown.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// Where trusted roles and verified files are kept [default: tidewaiter in the user's state folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Use only what is kept there; what is too old is still refused.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Refuse an index whose last word is older.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub(crate) max_age: String,
    /// Warn when its last word is older.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) warn_age: String,
    /// What to do if a project's newest release, or many at once, are yanked or gone since they were seen.
    #[arg(long, value_enum, default_value = "warn")]
    pub(crate) on_regression: Regression,
    /// What to ask of attestations: off; pin (the publisher seen first stays the publisher); require:PROJECT,PROJECT (as
    /// pin, and files of these projects must be attested).
    #[arg(long, value_name = "POLICY", default_value = "off")]
    pub(crate) attestations: Attestations,
    /// Who else must have seen the index's log, within the last half hour: off; NUMBER:KEY,KEY (so many of the witnesses with
    /// these keys).
    #[arg(long, value_name = "POLICY", default_value = "off")]
    pub(crate) witnesses: Witnesses,
    /// How long to wait for an answer or its next piece.
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) patience: u64,
    /// The certificates to trust (PEM) instead of the machine's.
    #[arg(long, value_name = "FILE")]
    pub(crate) certificates: Option<PathBuf>,
    /// How much to keep of verified files, in MB.
    #[arg(long, value_name = "MB", default_value = "10000")]
    pub(crate) cache_mb: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Regression {
    /// Nothing: nor is anything remembered.
    Off,
    /// Say it at the end.
    Warn,
    /// Refuse the project.
    Refuse,
}

impl Trust {
    /// In milliseconds.
    pub(crate) fn patience_ms(&self) -> u64 {
        self.patience.saturating_mul(1_000)
    }
}

/// An installer under verification.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Let the installer reach other hosts, for URLs and repositories that requirements name. Nothing verifies those.
    #[arg(long)]
    pub(crate) allow_other_hosts: bool,
    /// Verify nothing. It is written to unverified.log in the state folder.
    #[arg(long)]
    pub(crate) unsafely_disable_package_verification: bool,
    /// The installer and its arguments, after `--`.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// A proxy for installers.
#[derive(Debug, Args)]
pub(crate) struct ProxyOptions {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4443")]
    pub(crate) listen: SocketAddr,
}

/// What to watch.
#[derive(Debug, Args)]
pub(crate) struct MonitorOptions {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Only this project; may be repeated. Without it, all of them.
    #[arg(long, value_name = "P")]
    pub(crate) project: Vec<String>,
    /// Tell what came since the last time, and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// How often to ask.
    #[arg(long, value_name = "TIME", default_value = "1m")]
    pub(crate) every: String,
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// Files to verify.
#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Wheels and sdists under their own names.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// A TUF client over any repository. The options stand before the verb, as the suite has them.
#[derive(Debug, Args)]
pub(crate) struct TufClient {
    /// The folder of trusted role files.
    #[arg(long, value_name = "DIR")]
    pub(crate) metadata_dir: PathBuf,
    /// Where the repository's role files are.
    #[arg(long, value_name = "URL")]
    pub(crate) metadata_url: Option<String>,
    /// The path of a target; may be repeated.
    #[arg(long, value_name = "PATH")]
    pub(crate) target_name: Vec<String>,
    /// Where the repository's targets are.
    #[arg(long, value_name = "URL")]
    pub(crate) target_base_url: Option<String>,
    /// The folder for downloads.
    #[arg(long, value_name = "DIR")]
    pub(crate) target_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) verb: TufClientVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TufClientVerb {
    /// Trust this root.json from now on.
    Init { root: PathBuf },
    /// Update root, timestamp, snapshot and targets.
    Refresh,
    /// Update, and fetch the targets.
    Download,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Web and background work.
    All,
    /// Web only; a worker runs elsewhere.
    Web,
    /// Background work only.
    Worker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account. You vouch for its address; it may publish and create projects.
    Create {
        name: String,
        #[arg(long)]
        email: String,
        /// A role in the installation.
        #[arg(long, value_parser = ["admin", "moderator", "support", "auditor"])]
        role: Option<String>,
        /// Read a password from standard input (for the pages; uploads use tokens).
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Make an index that shares no name, file, token right or serial with any other.
    Create {
        name: String,
        #[arg(long, default_value = "private", value_parser = ["private", "public"])]
        profile: String,
        #[command(flatten)]
        place: Place,
    },
    /// List the indexes.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Show one index.
    Show {
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Print a new token, and nothing else.
    Create {
        #[arg(long, value_name = "NAME")]
        user: String,
        /// Good for this project only; may be repeated.
        #[arg(long, value_name = "P")]
        project: Vec<String>,
        /// For how long: 30d, 12h, 15m.
        #[arg(long, value_name = "30d")]
        expires: Option<String>,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// List tokens by id; a token's text is never stored.
    List {
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a token by its id.
    Revoke {
        id: String,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
}

/// Which files of a project.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    pub(crate) project: String,
    pub(crate) version: Option<String>,
    /// One file.
    #[arg(long, value_name = "F")]
    pub(crate) file: Option<String>,
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) index: In,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Have resolvers pass a release or file over (PEP 592).
    Yank(Which),
    /// Undo a yank.
    Unyank(Which),
    /// Take files away for good; their names stay used.
    Remove(Which),
    /// Set the status: active, archived, deprecated, quarantined (PEP 792).
    Status {
        project: String,
        #[arg(value_parser = ["active", "archived", "deprecated", "quarantined"])]
        status: String,
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Who outside publishes a project, so that its attestations are taken (PEP 740).
    Publisher {
        project: String,
        #[arg(value_parser = ["add", "remove", "list"])]
        action: String,
        #[command(flatten)]
        who: PublisherOptions,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Give or take a role on a project.
    Role {
        project: String,
        #[arg(value_parser = ["add", "remove"])]
        action: String,
        user: String,
        #[arg(value_parser = ["owner", "maintainer"], required_if_eq("action", "add"))]
        role: Option<String>,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
}

/// Who publishes from outside, if anybody is named.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("who").args(["github", "gitlab", "google"]))]
pub(crate) struct PublisherOptions {
    /// A repository of GitHub whose workflow publishes.
    #[arg(long, value_name = "OWNER/REPOSITORY", requires = "workflow")]
    pub(crate) github: Option<String>,
    /// A project of GitLab's public instance whose pipeline publishes.
    #[arg(long, value_name = "NAMESPACE/PROJECT", requires = "workflow")]
    pub(crate) gitlab: Option<String>,
    /// A service account of Google Cloud.
    #[arg(long, value_name = "EMAIL")]
    pub(crate) google: Option<String>,
    /// The workflow's file: a name for GitHub, a path for GitLab.
    #[arg(long, value_name = "FILE")]
    pub(crate) workflow: Option<String>,
    /// The deployment environment that the certificate must name.
    #[arg(long, value_name = "NAME", requires = "workflow")]
    pub(crate) environment: Option<String>,
}

/// Of whom a project's entries speak.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhomOptions {
    /// An account; without it, a publisher by the options below.
    #[arg(required_unless_present = "who", conflicts_with = "who")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) publisher: PublisherOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VerdictsCommand {
    /// One filename and verdict a line, newest first.
    List {
        /// Only what waits for a person.
        #[arg(long)]
        open: bool,
        /// Also the verdict's id, the file's state, the project, and when.
        #[arg(long)]
        long: bool,
        /// Most lines.
        #[arg(long, value_name = "N", default_value = "100000", value_parser = clap::value_parser!(i64).range(1..=500_000))]
        limit: i64,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Reasons, evidence and decisions.
    Show {
        /// A file's name, or a verdict's id.
        #[arg(value_name = "FILE|ID")]
        which: String,
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Decide: clear publishes, hold takes back until it is decided, refuse keeps out. Another decision reverses it.
    Decide {
        /// A file's name, or a verdict's id.
        #[arg(value_name = "FILE|ID")]
        which: String,
        #[arg(value_parser = ["clear", "hold", "refuse"])]
        decision: String,
        /// Told to the owners.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Say what another policy would have made of everything that was found. Changes nothing.
    Replay {
        /// The policy; without it, the one in force.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Have every file inspected again, in the background of the running server; it goes on where it stopped.
    Reinspect {
        /// Only say how far it has come.
        #[arg(long)]
        status: bool,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChecksCommand {
    /// Check, version, state, files in which it found something, findings.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Set a check's state: shadow is recorded and cannot influence, disabled is thrown away.
    Set {
        check: String,
        #[arg(value_parser = ["shadow", "active", "disabled"])]
        state: String,
        #[command(flatten)]
        place: Place,
    },
    /// Inspect stored files again without effect, and say what each check would have done.
    Evaluate {
        /// Only this check.
        #[arg(long, value_name = "ID")]
        check: Option<String>,
        /// That many files, evenly spread; all of them when absent.
        #[arg(long, value_name = "N")]
        sample: Option<u64>,
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, those that were given up first.
    List {
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Try jobs again that were given up: one, or all.
    Retry {
        id: Option<i64>,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Print the verifier key of the index's log, and the one by which it witnesses the logs of others.
    Keys {
        /// Make another key to witness with, as the one of before is lost or in wrong hands: whoever counts on this witness
        /// must be told the new one.
        #[arg(long)]
        new_witness: bool,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Print what shows that a project's entries speak of an account, or of a publisher: for those who own it alone.
    Show {
        project: String,
        #[command(flatten)]
        whom: WhomOptions,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Make it unknowable, for good, whom a project's entries so far speak of. Later acts get another id.
    Erase {
        project: String,
        #[command(flatten)]
        whom: WhomOptions,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
}
