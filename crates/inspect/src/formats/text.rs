//! The search over every member, whatever it is: a table of things that have no honest reason to stand in code.
//!
//! One pass looks for all needles at once; only around a needle is the rule's expression tried. A flood of needles
//! costs one run of the expression over the rest, which is linear in it.

use std::sync::{LazyLock, OnceLock};

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};

use crate::needles::Needles;

/// Bytes before a needle in which an expression may begin.
const BEFORE_BYTES: usize = 200;
/// Bytes behind a needle in which it must have ended.
const BEHIND_BYTES: usize = 2_000;
/// Needles of one rule that are tried one by one.
const TRIES_MAX: usize = 64;
/// Hits told of one rule in one member.
const HITS_MAX: usize = 5;

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// An address to which only its owner has the key: data sent there leaves for good.
    Sink,
    /// Fetches something and runs it.
    FetchRun,
    /// Hands a shell to somebody elsewhere.
    ReverseShell,
    /// Hides what it runs.
    HiddenCommand,
    /// Makes itself run again.
    Persistence,
    /// Tells a language model what to do.
    Instruction,
    /// Takes the secrets of a build.
    BuildSecrets,
    /// Tells a miner whom it works for.
    Miner,
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// A word for tags and profiles.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    needles: &'static [&'static str],
    pattern: &'static str,
}

/// Where a rule matched.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// Which rule.
    pub rule: &'static Rule,
    /// Where it begins, in bytes.
    pub at: usize,
    /// Where it ends.
    pub end: usize,
}

const fn rule(name: &'static str, group: Group, needles: &'static [&'static str], pattern: &'static str) -> Rule {
    Rule { name, group, needles, pattern }
}

/// The table. Needles are found in any case; expressions ignore case.
pub const RULES: &[Rule] = &[
    rule(
        "discord-webhook",
        Group::Sink,
        &["/webhooks/"],
        r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{15,21}/[\w-]{50,90}",
    ),
    rule("telegram-bot", Group::Sink, &["api.telegram.org/bot"], r"api\.telegram\.org/bot\d{7,12}:[\w-]{30,40}"),
    rule("telegram-token", Group::Sink, &[":aa"], r#"['"]\d{8,11}:AA[\w-]{32,34}['"]"#),
    rule(
        "slack-webhook",
        Group::Sink,
        &["hooks.slack.com/"],
        r"hooks\.slack\.com/services/T\w{7,12}/B\w{7,12}/\w{20,30}",
    ),
    rule(
        "callback-host",
        Group::Sink,
        &[
            ".oast.",
            ".interact.sh",
            ".oastify.com",
            ".burpcollaborator.net",
            ".dnslog.cn",
            ".ceye.io",
            ".requestrepo.com",
            ".dnshook.site",
        ],
        r"\b[a-z0-9]{4,63}(?:\.[a-z0-9-]{1,63})?\.(?:oast\.(?:pro|live|site|online|fun|me)|interact\.sh|oastify\.com|burpcollaborator\.net|dnslog\.cn|ceye\.io|requestrepo\.com|dnshook\.site)\b",
    ),
    rule(
        "webhook-site",
        Group::Sink,
        &["webhook.site/"],
        r"webhook\.site/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ),
    rule("pipedream", Group::Sink, &[".pipedream.net"], r"\b(?:en|eo)[a-z0-9]{10,20}(?:\.[a-z])?\.pipedream\.net"),
    rule("beeceptor", Group::Sink, &[".beeceptor.com"], r"://[a-z0-9-]{6,40}\.(?:free\.)?beeceptor\.com"),
    rule(
        "pipe-to-shell",
        Group::FetchRun,
        &["curl ", "wget "],
        r"\b(?:curl|wget)\s[^\n|;&]{0,300}https?://[^\n|;&]{4,300}\|\s*(?:sudo\s+)?(?:ba|z|da|k)?sh\b",
    ),
    rule(
        "fetch-and-start",
        Group::FetchRun,
        &["curl ", "wget "],
        r"\b(?:curl|wget)\s[^\n]{0,300}https?://[^\n]{4,300}(?:&&|;)\s*(?:sudo\s+)?(?:chmod\s+(?:\+x|[0-7]{3,4})|(?:nohup|start)\s+\S)",
    ),
    rule(
        "powershell-download",
        Group::FetchRun,
        &["downloadstring", "downloadfile", "invoke-webrequest", "iwr "],
        r"(?:(?:iex|invoke-expression)\b.{0,200}(?:downloadstring|invoke-webrequest|\biwr\b)|(?:downloadstring|invoke-webrequest|\biwr\b).{0,300}\|\s*(?:iex|invoke-expression)|(?:downloadfile|invoke-webrequest|\biwr\b).{0,400}(?:start-process|saps\b|\bstart\s))",
    ),
    rule(
        "living-off-the-land",
        Group::FetchRun,
        &["certutil", "bitsadmin", "mshta", "regsvr32"],
        r"(?:certutil(?:\.exe)?\s.{0,60}-urlcache.{0,60}https?:|bitsadmin(?:\.exe)?\s.{0,40}/transfer.{0,80}https?:|mshta(?:\.exe)?\s+.{0,10}https?:|regsvr32(?:\.exe)?\s.{0,40}/i:https?:)",
    ),
    rule(
        "dev-tcp",
        Group::ReverseShell,
        &["/dev/tcp/"],
        r"(?:sh\s+-i\b.{0,40}|exec\s+\d+<>\s*|>\s*&?\s*)/dev/tcp/[\w.$({-]+",
    ),
    rule(
        "netcat-shell",
        Group::ReverseShell,
        &["nc ", "ncat "],
        r"\b(?:nc|ncat)\s[^\n|;]{0,60}-[a-z]*[ec]\s*(?:/bin/)?(?:ba)?sh\b",
    ),
    rule(
        "powershell-tcp",
        Group::ReverseShell,
        &["sockets.tcpclient"],
        r"new-object\s+(?:system\.)?net\.sockets\.tcpclient.{0,300}getstream",
    ),
    rule(
        "powershell-encoded",
        Group::HiddenCommand,
        &["powershell", "pwsh"],
        r#"(?:powershell|pwsh)(?:\.exe)?\b.{0,160}\s-e(?:nc|ncodedcommand|c)?['",\s]{1,6}[a-z0-9+/=]{40,}"#,
    ),
    rule(
        "powershell-hidden",
        Group::HiddenCommand,
        &["powershell", "pwsh"],
        r"(?:powershell|pwsh)(?:\.exe)?\b.{0,120}-w(?:in|indowstyle)?\s+(?:hidden|1)\b.{0,200}(?:downloadstring|downloadfile|invoke-webrequest|\biwr\b|\biex\b|frombase64string)",
    ),
    rule(
        "decode-to-shell",
        Group::HiddenCommand,
        &["base64 "],
        r"base64\s+(?:-d|-D|--decode)\b[^\n]{0,40}\|\s*(?:sudo\s+)?(?:ba|z)?sh\b",
    ),
    rule(
        "run-key",
        Group::Persistence,
        &["currentversion\\run", "currentversion\\\\run"],
        r"(?:reg(?:\.exe)?\s+add|set-itemproperty|new-itemproperty)\b.{0,60}currentversion\\{1,2}run(?:once)?\b",
    ),
    rule(
        "cron-job",
        Group::Persistence,
        &["crontab"],
        r"(?:crontab\s+-l[^\n]{0,80}echo[^\n]{0,200}\|\s*crontab\s+-|@reboot\s[^\n]{0,120}https?://)",
    ),
    rule(
        "task-job",
        Group::Persistence,
        &["schtasks"],
        r"schtasks(?:\.exe)?\s+/create\b.{0,200}(?:onlogon|onstart|minute)",
    ),
    rule(
        "shell-startup",
        Group::Persistence,
        &[".bashrc", ".zshrc", ".bash_profile"],
        r"(?:curl|wget|python3?\s+-c|nohup)[^\n]{1,200}>>\s*(?:~|\$HOME)/\.(?:bashrc|zshrc|bash_profile|profile)",
    ),
    rule(
        "to-the-model",
        Group::Instruction,
        &[
            "ignore ",
            "disregard ",
            "do not tell",
            "do not mention",
            "do not inform",
            "don't tell",
            "don't mention",
            "don't inform",
            "without tell",
            "without mention",
            "without inform",
        ],
        r"(?:(?:ignore|disregard)\s+(?:all\s+|any\s+)?(?:your\s+)?(?:previous|prior|earlier|above)\s+(?:instructions|prompts|rules)|(?:do\s+not|don't|without)\s+(?:tell|telling|mention|mentioning|inform|informing)\s+(?:this\s+to\s+)?the\s+user)",
    ),
    rule(
        "miner-pool",
        Group::Miner,
        &["stratum+", "xmrig"],
        r"(?:stratum\+(?:tcp|ssl)://|xmrig\b)[^\n]{4,200}?\s(?:-u|--user)[\s=]+[a-z0-9]{26,110}\b",
    ),
    rule(
        "miner-pool-settings",
        Group::Miner,
        &["\"pools\""],
        r#""pools"\s*:\s*\[[^\]]{0,600}"user"\s*:\s*"[a-z0-9]{26,110}[."]"#,
    ),
    rule("all-secrets", Group::BuildSecrets, &["tojson"], r"\$\{\{\s*toJSON\s*\(\s*secrets\s*\)"),
    rule(
        "piped-secrets",
        Group::BuildSecrets,
        &["curl ", "wget ", "nc "],
        r"(?:\benv\b|\bprintenv\b|\$\{\{\s*secrets\.\w+\s*\}\})[^\n]{0,200}\|\s*(?:base64\b[^\n|]{0,40}\|\s*)?(?:curl|wget|nc)\s",
    ),
];

/// Words without which a source neither reaches out, nor starts or hides anything, whatever it is called.
const SPEAKING: &[&str] = &[
    "exec",
    "eval",
    "compile",
    "import_module",
    "__import__",
    "getattr",
    "globals",
    "marshal",
    "pickle",
    "b64",
    "decompress",
    "fromhex",
    "unhexlify",
    "socket",
    "urlopen",
    "urllib",
    "requests",
    "http.client",
    "httpx",
    "aiohttp",
    "subprocess",
    "system(",
    "import system",
    "popen",
    "spawn",
    "startfile",
    "ctypes",
    "winreg",
    "environ",
    "powershell",
];

/// Whether bytes of a source hold any word by which it could do something beyond computing.
pub fn speaks(bytes: &[u8]) -> bool {
    static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(SPEAKING).ok());
    !bytes.is_empty() && WORDS.as_ref().is_none_or(|words| words.is_match(bytes))
}

struct Search {
    needles: Needles,
    /// For each needle, its rule and its length.
    rule_of: Vec<(usize, usize)>,
}

static SEARCH: LazyLock<Search> = LazyLock::new(|| {
    let pairs = || RULES.iter().enumerate().flat_map(|(at, rule)| rule.needles.iter().map(move |needle| (at, *needle)));
    Search {
        needles: Needles::new(pairs().map(|(_, needle)| needle)),
        rule_of: pairs().map(|(at, needle)| (at, needle.len())).collect(),
    }
});

static EXPRESSIONS: [OnceLock<Option<Regex>>; RULES.len()] = [const { OnceLock::new() }; RULES.len()];

fn expression(rule: usize) -> Option<&'static Regex> {
    let cell = EXPRESSIONS.get(rule)?;
    cell.get_or_init(|| compile(RULES.get(rule)?.pattern)).as_ref()
}

/// Whether a rule can be searched for at all.
#[cfg(test)]
pub(crate) fn compiles(rule: &Rule) -> bool {
    compile(rule.pattern).is_some()
}

/// An expression over bytes, in any case. Unicode classes are left out of the program; none is needed here.
pub(crate) fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).unicode(false).case_insensitive(true).build().ok()
}

/// Makes one table at each step; the zygote does it once, so that no child has to.
pub fn prepare() -> impl Iterator<Item = ()> {
    let search = std::iter::once_with(|| {
        LazyLock::force(&SEARCH);
    });
    let expressions = (0..RULES.len()).map(|rule| {
        expression(rule);
    });
    search.chain(expressions)
}

/// Searches bytes of any kind.
pub fn search(bytes: &[u8]) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    let mut tries = [0usize; RULES.len()];
    SEARCH.needles.each(bytes, |needle, start| {
        let (number, length) = SEARCH.rule_of[needle];
        tries[number] += 1;
        let from = start.saturating_sub(BEFORE_BYTES);
        let to = if tries[number] < TRIES_MAX { (start + length + BEHIND_BYTES).min(bytes.len()) } else { bytes.len() };
        if tries[number] <= TRIES_MAX {
            try_rule(number, bytes, from..to, &mut hits);
        }
    });
    hits
}

fn try_rule(number: usize, bytes: &[u8], window: std::ops::Range<usize>, hits: &mut Vec<Hit>) {
    let (Some(rule), Some(expression)) = (RULES.get(number), expression(number)) else { return };
    for found in expression.find_iter(bytes.get(window.clone()).unwrap_or_default()) {
        let (at, end) = (window.start + found.start(), window.start + found.end());
        let same = |hit: &&Hit| std::ptr::eq(hit.rule, rule);
        let example = rule.group == Group::Sink && is_placeholder(found.as_bytes());
        let known = hits.iter().filter(same).any(|hit| hit.at < end && at < hit.end);
        if !known && hits.iter().filter(same).count() < HITS_MAX && !example {
            hits.push(Hit { rule, at, end });
        }
    }
}

/// Examples in documentation write the key as one letter many times, or as a count; a real one uses many letters.
fn is_placeholder(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(30)..];
    let distinct: std::collections::BTreeSet<&u8> = tail.iter().collect();
    let lower = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    distinct.len() < 8
        || ["example", "your_", "your-", "xxxx", "abcdef1234", "123456789012345678/abc"]
            .iter()
            .any(|word| lower.contains(word))
}

/// Line and column, both from 1, of a place in bytes.
pub fn place(bytes: &[u8], at: usize) -> (u32, u32) {
    let before = &bytes[..at.min(bytes.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (line as u32 + 1, String::from_utf8_lossy(&before[start..]).chars().count() as u32 + 1)
}

/// The line around a place, as text, cut to what a person reads.
pub fn excerpt(bytes: &[u8], at: usize, end: usize) -> String {
    const AROUND_BYTES: usize = 120;
    let at = at.min(bytes.len());
    let from = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let from = from.max(at.saturating_sub(AROUND_BYTES));
    let end = end.clamp(at, bytes.len());
    let to = bytes[end..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| end + newline);
    let to = to.min(end + AROUND_BYTES);
    String::from_utf8_lossy(&bytes[from..to]).trim().to_owned()
}
