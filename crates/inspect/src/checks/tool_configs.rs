//! Settings of editors, assistants and build services that run something by themselves.

use serde_json::Value;

use super::Context;
use crate::distribution::Distribution;
use crate::distribution::Member;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::formats::text::Group;
use crate::kind::Kind;

check!(ToolConfigs, "tool-configs", 2, run);

/// Words in a hook's command by which it reaches out or runs something it brought.
const REACHES_OUT: &[&str] = &[
    "curl ",
    "wget ",
    "http://",
    "https://",
    "base64",
    "| sh",
    "|sh",
    "| bash",
    "|bash",
    "python -c",
    "python3 -c",
    "node ",
    "bun ",
    "powershell",
    "eval ",
];

/// The same for a server of tools: it is a program that somebody brought, and addresses are what some are told.
const SERVER_REACHES_OUT: &[&str] =
    &["curl ", "wget ", "base64", "| sh", "|sh", "| bash", "|bash", "python -c", "python3 -c", "powershell", "eval "];
/// Objects and lists within one another that are gone through.
const DEPTH_MAX: u32 = 16;
/// Largest settings that are parsed, in bytes.
const SETTINGS_BYTES_MAX: usize = 1 << 20;

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in distribution.members.iter().filter(|member| member.kind == Kind::ToolConfig) {
        let text = member.text();
        if let Some((line, shown, why, severity)) = judge(member, &text) {
            let evidence = Evidence::new(severity, Confidence::Medium, why).at_line(&member.path, line).excerpt(&shown);
            out.add(evidence.tag("persistence/tool-config"));
        }
    }
}

/// A command, and whether a server of tools is started by it.
struct Command {
    text: String,
    serves: bool,
}

impl Command {
    fn reaches(&self) -> Option<&'static str> {
        let words = if self.serves { SERVER_REACHES_OUT } else { REACHES_OUT };
        words.iter().copied().find(|word| self.text.contains(word))
    }
}

/// What settings in JSON run: `command` and its `args`, below hooks, servers, or tasks that start when a folder is opened.
/// Nothing when they cannot be parsed.
fn commands(text: &str) -> Option<Vec<Command>> {
    // Editors allow comments, in lines of their own as most write them.
    let plain: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let value: Value = serde_json::from_str(&plain.join("\n")).ok().filter(|_| text.len() <= SETTINGS_BYTES_MAX)?;
    let mut found = Vec::new();
    let mut work: Vec<(&Value, bool, bool, u32)> = vec![(&value, false, false, 0)];
    while let Some((value, runs, serves, depth)) = work.pop() {
        match value {
            Value::Object(object) => {
                let opens = object.get("runOptions").and_then(|options| options.get("runOn"));
                let runs = runs || opens.and_then(Value::as_str) == Some("folderOpen");
                if let Some(command) = object.get("command").and_then(Value::as_str).filter(|_| runs) {
                    let args = object.get("args").and_then(Value::as_array).into_iter().flatten();
                    let words = std::iter::once(command).chain(args.filter_map(Value::as_str));
                    found.push(Command { text: words.collect::<Vec<_>>().join(" "), serves });
                }
                for (key, value) in object.iter().filter(|_| depth < DEPTH_MAX) {
                    let server = matches!(key.as_str(), "mcpServers" | "servers");
                    work.push((value, runs || server || key == "hooks", serves || server, depth + 1));
                }
            }
            Value::Array(items) if depth < DEPTH_MAX => {
                work.extend(items.iter().map(|item| (item, runs, serves, depth + 1)));
            }
            Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found.reverse();
    Some(found)
}

fn judge(member: &Member, text: &str) -> Option<(u32, String, &'static str, Severity)> {
    let path = member.path.as_str();
    let find = |word: &str| {
        let found = (1u32..).zip(text.lines()).find(|(_, line)| line.contains(word));
        found.map(|(line, shown)| (line, shown.trim().to_owned()))
    };
    let reaches = || REACHES_OUT.iter().find_map(|word| find(word));
    // The line in which the word stands behind the key; what is written in several lines is shown where it begins.
    let run = |text_of: &Command, word: &str| {
        let begin: String = text_of.text.chars().take_while(|c| !matches!(c, '"' | '\\')).take(24).collect();
        find(word.trim())
            .filter(|(_, line)| line.contains("\"command\"") || line.contains("\"args\""))
            .or_else(|| find(&begin))
    };
    let settings = path.contains("settings") && path.contains(".claude/") || path.contains(".gemini/");
    if settings
        || path.ends_with("mcp.json")
        || path.ends_with(".cursor/hooks.json")
        || path.ends_with(".vscode/tasks.json")
    {
        let (line, shown) = match commands(text) {
            Some(commands) => {
                let reaching = commands.iter().find_map(|command| Some((command, command.reaches()?)));
                let (command, word) = reaching?;
                run(command, word).unwrap_or((1, command.text.clone()))
            }
            None if path.ends_with(".vscode/tasks.json") => find("folderOpen").and_then(|_| reaches())?,
            None => find("\"hooks\"").or_else(|| find("\"mcpServers\"")).and_then(|_| reaches())?,
        };
        let why = if path.ends_with(".vscode/tasks.json") {
            "An editor's task runs by itself when the folder is opened."
        } else {
            "Settings of a coding assistant run a command that reaches out whenever it starts."
        };
        return Some((line, shown, why, Severity::High));
    }
    if path.contains(".github/workflows/") {
        let found = member.found.iter().find(|found| found.rule.group == Group::BuildSecrets)?;
        let why = "A workflow takes all secrets of its repository at once, or hands some to a program that sends them.";
        return Some((found.line, found.excerpt.clone(), why, Severity::High));
    }
    if path.contains(".devcontainer") || path.ends_with(".gitpod.yml") {
        let runs = |group| matches!(group, Group::FetchRun | Group::HiddenCommand | Group::ReverseShell);
        let found = member.found.iter().find(|found| runs(found.rule.group))?;
        // Those of honest projects install their tools so.
        let why = "A container for developers fetches a program and runs it when it is made.";
        return Some((found.line, found.excerpt.clone(), why, Severity::Medium));
    }
    if path.contains(".git/hooks/") && !path.ends_with(".sample") {
        let (line, shown) = reaches().or_else(|| find(""))?;
        return Some((
            line,
            shown,
            "A hook of git comes with the package and runs when somebody commits.",
            Severity::Medium,
        ));
    }
    None
}
