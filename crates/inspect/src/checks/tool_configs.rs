//! Settings of editors, assistants and build services that run something by themselves.

use super::Context;
use crate::distribution::Distribution;
use crate::distribution::Member;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::kind::Kind;

check!(ToolConfigs, "tool-configs", 1, run);

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

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in distribution.members.iter().filter(|member| member.kind == Kind::ToolConfig) {
        let text = member.text();
        if let Some((line, shown, why, severity)) = judge(member, &text) {
            let evidence = Evidence::new(severity, Confidence::Medium, why).at_line(&member.path, line).excerpt(&shown);
            out.add(evidence.tag("persistence/tool-config"));
        }
    }
}

fn judge(member: &Member, text: &str) -> Option<(u32, String, &'static str, Severity)> {
    let path = member.path.as_str();
    let find = |word: &str| {
        let found = (1u32..).zip(text.lines()).find(|(_, line)| line.contains(word));
        found.map(|(line, shown)| (line, shown.trim().to_owned()))
    };
    let reaches = REACHES_OUT.iter().find_map(|word| find(word));
    if path.contains("settings") && path.contains(".claude/") || path.contains(".gemini/") || path.ends_with("mcp.json")
    {
        find("\"hooks\"").or_else(|| find("\"mcpServers\""))?;
        let (line, shown) = reaches?;
        return Some((
            line,
            shown,
            "Settings of a coding assistant run a command that reaches out whenever it starts.",
            Severity::High,
        ));
    }
    if path.ends_with(".vscode/tasks.json") {
        find("folderOpen")?;
        let (line, shown) = reaches.or_else(|| find("\"command\""))?;
        return Some((line, shown, "An editor's task runs by itself when the folder is opened.", Severity::High));
    }
    if path.contains(".github/workflows/") {
        let (line, shown) = find("toJSON(secrets")?;
        return Some((line, shown, "A workflow takes all secrets of its repository at once.", Severity::High));
    }
    if path.contains(".git/hooks/") && !path.ends_with(".sample") {
        let (line, shown) = reaches.or_else(|| find(""))?;
        return Some((
            line,
            shown,
            "A hook of git comes with the package and runs when somebody commits.",
            Severity::Medium,
        ));
    }
    None
}
