//! Literals that speak for themselves: places where secrets lie, hosts to which loot goes, places from which
//! things start.

use crate::needles::Needles;

/// One kind of literal: its sign, and the parts of which any one must stand in the text (lower case).
struct Words {
    sign: &'static str,
    any: &'static [&'static str],
}

const STORES: &[Words] = &[
    Words { sign: "store:ssh", any: &[".ssh/", ".ssh\\", "id_rsa", "id_ed25519", "id_ecdsa"] },
    Words { sign: "store:aws", any: &[".aws/", ".aws\\"] },
    Words { sign: "store:gcp", any: &["application_default_credentials", ".config/gcloud", "gcloud\\credentials"] },
    Words { sign: "store:azure", any: &[".azure/", "msal_token_cache", "accesstokens.json"] },
    Words { sign: "store:kube", any: &[".kube/config", ".kube\\config", "serviceaccount/token"] },
    Words { sign: "store:docker", any: &[".docker/config.json", ".docker\\config.json"] },
    Words { sign: "store:registry", any: &[".pypirc", ".npmrc", ".yarnrc", ".gem/credentials", ".cargo/credentials"] },
    Words { sign: "store:git", any: &[".git-credentials", ".gitconfig", ".config/gh/hosts"] },
    Words { sign: "store:netrc", any: &[".netrc", "_netrc"] },
    Words { sign: "store:history", any: &[".bash_history", ".zsh_history", ".python_history", ".mysql_history"] },
    Words { sign: "store:shadow", any: &["/etc/shadow", "/etc/passwd"] },
    Words {
        sign: "store:chrome",
        any: &["login data", "google/chrome", "google\\chrome", "web data", "chrome\\user data", "local state"],
    },
    Words { sign: "store:firefox", any: &["key4.db", "logins.json", "cookies.sqlite", "mozilla\\firefox"] },
    Words {
        sign: "store:browser",
        any: &["bravesoftware", "opera software", "microsoft\\edge", "yandexbrowser", "vivaldi"],
    },
    Words {
        sign: "store:discord",
        any: &["discord\\local storage", "discordcanary", "discordptb", "leveldb", "[\\w-]{24}\\.[\\w-]{6}"],
    },
    Words { sign: "store:telegram", any: &["telegram desktop", "tdata"] },
    Words {
        sign: "store:wallet",
        any: &[
            "wallet.dat",
            "electrum\\wallets",
            ".electrum",
            "exodus\\exodus.wallet",
            "exodus.wallet",
            "atomic\\local storage",
            "nkbihfbeogaeaoehlefnkodbefgpgknn",
            "metamask",
            "bfnaelmomeimhlpmgjnjophhpkkoljpa",
            "keystore",
            ".config/solana",
            "ethereum\\keystore",
            "bitcoin\\wallets",
            "phantom",
        ],
    },
    Words {
        sign: "store:passwords",
        any: &["keepass", "1password", "bitwarden", "lastpass", "login.keychain", ".kdbx"],
    },
    Words { sign: "store:ai", any: &[".claude/", ".cursor/", ".codex/", ".gemini/", ".config/claude"] },
    Words { sign: "store:dotenv", any: &["/.env", "\\.env"] },
    Words { sign: "store:process-memory", any: &["/proc/self/mem", "runner.worker", "/proc/self/environ"] },
    Words { sign: "store:cloud-metadata", any: &["169.254.169.254", "metadata.google.internal", "169.254.170.2"] },
    Words { sign: "store:database", any: &[".pgpass", ".my.cnf"] },
    Words {
        sign: "store:cloud-tools",
        any: &[".databrickscfg", ".vault-token", ".terraformrc", ".terraform.d/credentials", ".kaggle/kaggle.json"],
    },
    Words { sign: "store:ftp", any: &["sitemanager.xml", "recentservers.xml", "winscp.ini"] },
    Words { sign: "store:steam", any: &["steam\\config", "loginusers.vdf"] },
];

const DROPS: &[Words] = &[
    Words { sign: "drop:discord-webhook", any: &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"] },
    Words { sign: "drop:telegram-bot", any: &["api.telegram.org/bot"] },
    Words {
        sign: "drop:oast",
        any: &[
            ".oast.",
            "interact.sh",
            "burpcollaborator",
            "oastify.com",
            "requestbin",
            "webhook.site",
            "pipedream.net",
            "dnshook.site",
            "canarytokens",
            "beeceptor.com",
            "requestcatcher.com",
            "dnslog",
            "ceye.io",
            ".ngrok",
            "hookbin",
            "bxss.me",
            "mocky.io",
            "requestrepo.com",
            "eyes.sh",
            "interactsh",
            "postb.in",
            "putsreq.com",
            "ptsv2.com",
            "ptsv3.com",
            "webhook.cool",
            "typedwebhook.tools",
        ],
    },
    Words {
        sign: "drop:paste",
        any: &["pastebin.com/raw", "paste.ee", "rentry.co", "hastebin", "ghostbin", "controlc.com"],
    },
    Words {
        sign: "drop:upload",
        any: &[
            "gofile.io",
            "catbox.moe",
            "transfer.sh",
            "anonfiles",
            "file.io",
            "0x0.st",
            "bashupload",
            "tmpfiles.org",
            "temp.sh/",
            "filebin.net",
            "litterbox.catbox",
            "pixeldrain.com",
            "uguu.se",
            "oshi.at",
        ],
    },
    Words {
        sign: "drop:cdn",
        any: &["cdn.discordapp.com", "dl.dropbox", "dropbox.com/s", "workers.dev", "trycloudflare"],
    },
    Words {
        sign: "drop:tunnel",
        any: &[".loca.lt", "serveo.net", ".duckdns.org", ".ddns.net", ".hopto.org", ".zapto.org"],
    },
    Words { sign: "drop:slack-webhook", any: &["hooks.slack.com/services/"] },
    Words {
        sign: "ip-lookup",
        any: &["api.ipify.org", "ipinfo.io", "ifconfig.me", "icanhazip", "ip-api.com", "checkip.amazonaws", "ipapi.co"],
    },
];

const PLACES: &[Words] = &[
    Words { sign: "startup:run-key", any: &["currentversion\\run", "currentversion/run"] },
    Words {
        sign: "startup:folder",
        any: &["start menu\\programs\\startup", "programs/startup", "programs\\startup", ".config/autostart"],
    },
    Words { sign: "startup:schtasks", any: &["schtasks", "new-scheduledtask"] },
    Words { sign: "startup:cron", any: &["crontab", "/etc/cron", "@reboot"] },
    Words { sign: "startup:systemd", any: &["/etc/systemd/", "systemd/user", "systemctl enable", "systemctl --user"] },
    Words { sign: "startup:launchd", any: &["launchagents", "launchdaemons"] },
    Words {
        sign: "startup:shell-rc",
        any: &[".bashrc", ".zshrc", ".profile", ".bash_profile", "/etc/profile", "/etc/rc.local"],
    },
    Words { sign: "startup:pth", any: &[".pth", "sitecustomize", "usercustomize"] },
    Words { sign: "startup:ssh-key", any: &["authorized_keys"] },
    Words { sign: "startup:git-hook", any: &[".git/hooks", "core.hookspath"] },
    Words {
        sign: "startup:editor",
        any: &[".vscode/tasks.json", ".claude/settings", "claude.md", "agents.md", ".cursorrules"],
    },
    Words { sign: "startup:workflow", any: &[".github/workflows"] },
];

const WORDS: &[Words] = &[
    Words {
        sign: "miner",
        any: &["xmrig", "stratum+tcp", "stratum+ssl", "minerd", "nicehash", "cryptonight", "--donate-level"],
    },
    Words {
        sign: "shell:hidden",
        any: &[
            "-windowstyle hidden",
            "-w hidden",
            "-encodedcommand",
            " -enc ",
            "-executionpolicy bypass",
            "-ep bypass",
            "-nop ",
            "frombase64string",
            "iex(",
            "iex (",
            "downloadstring",
            "downloadfile(",
            "invoke-expression",
            "invoke-webrequest",
            "certutil -",
            "bitsadmin",
            "mshta",
            "regsvr32",
        ],
    },
    Words {
        sign: "shell:fetch-run",
        any: &["| sh", "|sh", "| bash", "|bash", "curl -", "wget ", "curl http", "chmod +x", "nohup "],
    },
    Words {
        sign: "shell:reverse",
        any: &["/dev/tcp/", "nc -e", "bash -i", "sh -i", "mkfifo", "net.sockets.tcpclient"],
    },
    Words {
        sign: "shell:defender",
        any: &["add-mppreference", "set-mppreference", "netsh advfirewall", "disableantispyware"],
    },
    Words {
        sign: "token-pattern",
        any: &["pypi-ageichlwas", "ghp_[", "npm_[", "gho_[", "github_pat_", "akia[", "xox[", "sk-[", "sk_live_"],
    },
    Words { sign: "upload-endpoint", any: &["/legacy/", "twine upload", "npm publish", "/user/repos"] },
    Words {
        sign: "wallet-pattern",
        any: &["[13][a-km-z", "^0x[a-fa-f0-9]{40}", "bc1[", "^(bc1|[13])", "t[a-za-z1-9]{33}", "0x[a-fa-f0-9]{40}"],
    },
];

/// Bytes of a literal that are looked at, at each end: in the middle of a longer one words stand by chance.
const LOOKED_AT: usize = 64 << 10;

/// The signs in a literal.
pub(super) fn of(text: &str) -> Vec<&'static str> {
    let bytes = text.as_bytes();
    match bytes.len() {
        n if n <= 2 * LOOKED_AT => parts().scan(bytes),
        n => parts().scan(&[&bytes[..LOOKED_AT], b"\0", &bytes[n - LOOKED_AT..]].concat()),
    }
}

/// Whether a text is a path of a store of secrets.
pub(super) fn is_store(text: &str) -> bool {
    of(text).iter().any(|sign| sign.starts_with("store:"))
}

/// All parts, and the sign of each.
struct Parts {
    needles: Needles,
    signs: Vec<&'static str>,
}

impl Parts {
    /// The signs that stand in bytes, in any case, each once.
    fn scan(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mut found: Vec<&'static str> = Vec::new();
        self.needles.each(bytes, |part, _| {
            if !found.contains(&self.signs[part]) {
                found.push(self.signs[part]);
            }
        });
        found
    }
}

fn parts() -> &'static Parts {
    static PARTS: std::sync::OnceLock<Parts> = std::sync::OnceLock::new();
    PARTS.get_or_init(|| {
        let all = || {
            [STORES, DROPS, PLACES, WORDS]
                .into_iter()
                .flatten()
                .flat_map(|words| words.any.iter().map(|part| (*part, words.sign)))
        };
        Parts { needles: Needles::new(all().map(|(part, _)| part)), signs: all().map(|(_, sign)| sign).collect() }
    })
}

/// See [`super::prepare`].
pub(super) fn prepare() {
    parts();
}

/// Whether a text is the address of a program, or of a script that is one.
pub(super) fn is_program_url(text: &str) -> bool {
    const PROGRAMS: [&str; 10] = [".exe", ".scr", ".bat", ".cmd", ".vbs", ".ps1", ".pyw", ".msi", ".dll", ".hta"];
    let path = text.trim().split(['?', '#']).next().unwrap_or("");
    path.len() < 2_000 && path.contains("://") && !path.contains(char::is_whitespace) && {
        let lower = path.to_ascii_lowercase();
        PROGRAMS.iter().any(|ending| lower.ends_with(ending))
    }
}

/// Hosts of URLs in a text, lower case, and addresses written as numbers.
pub(super) fn hosts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let scheme_ok = rest[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        let after = &rest[at + 3..];
        let end = after
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@' | '%')))
            .unwrap_or(after.len());
        let host = after[..end].rsplit('@').next().unwrap_or("").split(':').next().unwrap_or("");
        if scheme_ok && (host.contains('.') || host == "localhost") && host.len() <= 253 && found.len() < 64 {
            found.push(host.trim_end_matches('.').to_ascii_lowercase());
        }
        rest = &after[end..];
    }
    if found.is_empty() && is_bare_host(text) {
        found.push(text.split(['/', ':']).next().unwrap_or(text).to_ascii_lowercase());
    }
    found
}

/// `203.0.113.7`, `203.0.113.7:4444`: an address without a scheme.
fn is_bare_host(text: &str) -> bool {
    if text.len() > 64 {
        return false;
    }
    let host = text.split(['/', ':']).next().unwrap_or("");
    let parts: Vec<&str> = host.split('.').collect();
    parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok()) && host != "127.0.0.1" && host != "0.0.0.0"
}
