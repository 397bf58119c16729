//! `tuf` on the command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use index::ops::ceremony::Profile;

use super::{In, Place};

/// People who hold keys.
#[derive(Debug, Clone, Args)]
pub(crate) struct Holders {
    /// A file with a holder's public key, as `tuf key` prints it; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) holder: Vec<PathBuf>,
    /// How many of them must sign [default: 2].
    #[arg(long, value_name = "N", requires = "holder")]
    pub(crate) threshold: Option<u64>,
}

/// Whose keys `targets` and `bins` are, where not the root's holders'.
#[derive(Debug, Clone, Args)]
pub(crate) struct OtherHolders {
    /// A file with the public key of a holder of `targets`; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) targets_holder: Vec<PathBuf>,
    /// How many of them must sign [default: 2].
    #[arg(long, value_name = "N", requires = "targets_holder")]
    pub(crate) targets_threshold: Option<u64>,
    /// A file with the public key of a holder of `bins`; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) bins_holder: Vec<PathBuf>,
    /// How many of them must sign [default: 2].
    #[arg(long, value_name = "N", requires = "bins_holder")]
    pub(crate) bins_threshold: Option<u64>,
}

/// What opens a sealed key; of a key in a token whose file names no PIN, the PIN.
#[derive(Debug, Clone, Args)]
pub(crate) struct Unlock {
    /// The file of the passphrase.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Read the passphrase from standard input.
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(crate) passphrase_stdin: bool,
}

/// How a new key is kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeyKind {
    #[command(flatten)]
    pub(crate) unlock: Unlock,
    /// Leave the key in clear: for trials.
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_stdin", "pkcs11"])]
    pub(crate) plain: bool,
    /// Make the key in a hardware token, through its PKCS #11 library; the passphrase is its PIN.
    #[arg(long, value_name = "LIBRARY", requires = "token")]
    pub(crate) pkcs11: Option<PathBuf>,
    /// The token's label.
    #[arg(long, value_name = "LABEL", requires = "pkcs11")]
    pub(crate) token: Option<String>,
    /// What the key is called in the token; one that is there already is taken.
    #[arg(long, value_name = "NAME", default_value = "tidewaiter")]
    pub(crate) name: String,
    /// The kind of the key in the token.
    #[arg(long, default_value = "ed25519", value_parser = ["ed25519", "ecdsa"])]
    pub(crate) curve: String,
    /// Write into the key's file where its PIN is, so that nobody need give it: for the online key.
    #[arg(long, requires = "pkcs11", requires = "passphrase_file")]
    pub(crate) keep_pin_file: bool,
}

/// What is replaced.
#[derive(Debug, Subcommand)]
pub(crate) enum Rotate {
    /// The key that signs all day: by a new one, or by the standby.
    Online {
        /// The key file of the standby: it signs from now on, and nobody need sign anything.
        #[arg(long, value_name = "FILE")]
        standby: Option<PathBuf>,
        #[command(flatten)]
        unlock: Unlock,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// The holders of the root: by those who are named, or, in the profile dev, by a new key in the data folder.
    Root {
        #[command(flatten)]
        holders: Holders,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
}

fn profile() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.map(Profile::as_str)).try_map(|text| text.parse::<Profile>())
}

#[derive(Debug, Subcommand)]
pub(crate) enum TufCommand {
    /// Choose who holds the keys: dev, both in the data folder, is made by the first start; the others give the offline
    /// roles to people, and print the event that they sign.
    Init {
        #[arg(long, default_value = "dev", value_parser = profile())]
        profile: Profile,
        #[command(flatten)]
        holders: Holders,
        #[command(flatten)]
        others: OtherHolders,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Signers, thresholds, days left. Exit 1 when something expires soon.
    Status {
        /// One index; all of them when absent.
        #[arg(long = "in", value_name = "NAME")]
        index: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Replace the online key, or the holders of the root. Prints an event where people must sign.
    #[command(subcommand)]
    Rotate(Rotate),
    /// Authorise a standby in advance: a second online key, kept elsewhere. Online keys that are not in use are revoked.
    Standby {
        /// The file with its public key, as `tuf key` prints it.
        public: PathBuf,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// After a theft of the online key: compare with a good snapshot, replace the keys, sign everything anew.
    Recover {
        /// The version of the last snapshot that is known to be good.
        #[arg(long, value_name = "N")]
        good_snapshot: u64,
        /// A folder with its role files (the `tuf` of a backup or of a mirror) [default: what the site still has].
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// What `tuf status` gave for paper while all was well: of the snapshot and every bin.
        #[arg(long, value_name = "SHA256")]
        paper: Option<String>,
        /// Hold every file that was published since, until a person clears it.
        #[arg(long)]
        hold_new: bool,
        /// How many versions are left out, beyond what the thief may have signed.
        #[arg(long, value_name = "N", default_value_t = index::ops::ceremony::JUMP)]
        jump: u64,
        #[command(flatten)]
        holders: Holders,
        #[command(flatten)]
        others: OtherHolders,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Walk everything that is signed, make it again, and name every difference. Exit 0 when sound, 1 when not.
    Audit {
        /// A mirror of the index, or its own address: what it serves is compared too.
        #[arg(long, value_name = "BASE_URL")]
        mirror: Option<String>,
        /// The certificates to trust (PEM) instead of the machine's.
        #[arg(long, value_name = "FILE", requires = "mirror")]
        certificates: Option<PathBuf>,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Divide the targets among another number of bins.
    Rebin {
        /// A power of two.
        #[arg(value_name = "N")]
        count: u64,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Sign the offline roles for another year.
    Renew {
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Sign an event. Needs no installation and no network: any machine will do, in any order.
    Sign {
        event: PathBuf,
        /// The key's file.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// A root of the index that you trust: the event must go on from it.
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
        #[command(flatten)]
        unlock: Unlock,
    },
    /// Say all that an event signs, what of it is new, and who has signed, with digests for paper. Needs no installation.
    Show {
        event: PathBuf,
        /// A root of the index that you trust: the event must go on from it.
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
    },
    /// Bring the signed copies of an event back; it takes effect when nobody's signature is missing.
    Submit {
        #[arg(required = true, value_name = "EVENT")]
        events: Vec<PathBuf>,
        /// The profile that it makes.
        #[arg(long, value_parser = profile())]
        profile: Option<Profile>,
        #[command(flatten)]
        index: In,
        #[command(flatten)]
        place: Place,
    },
    /// Make a key in a new file, and print its public half. Needs no installation.
    Key {
        file: PathBuf,
        #[command(flatten)]
        kind: Box<KeyKind>,
    },
    /// Seal the key of a file under a passphrase, or under another one.
    Seal {
        file: PathBuf,
        /// The file of the passphrase that opens it now, if it is sealed.
        #[arg(long, value_name = "FILE")]
        old_passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        unlock: Unlock,
    },
}
