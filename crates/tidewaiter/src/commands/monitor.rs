//! `monitor`: what the index's log says, as it comes. Verified: nothing is told that is not part of the tree that the
//! signed timestamp names, and that tree holds every one seen before.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use client::{Index, Refusal, Sighting};
use packaging::NormalizedName;
use packaging::simple::time_text;
use serde_json::{Value, json};
use tlog::entry::{Account, LoggedFile};
use tlog::follow::Event;
use tlog::{Act, Entry, EntryError};

use super::verified::{open, seconds};
use crate::cli::{Format, MonitorOptions};

/// Something happened.
const EVENTS: u8 = 1;
/// The log is not to be believed, or could not be asked.
const REFUSED: u8 = 2;

pub(super) async fn run(options: MonitorOptions) -> Result<ExitCode> {
    let MonitorOptions { trust, project, once, every, format } = options;
    let projects: Result<BTreeSet<NormalizedName>> = project
        .iter()
        .map(|name| name.parse().with_context(|| format!("--project {name} is no project name")))
        .collect();
    let projects = projects?;
    let every = Duration::from_secs(seconds(&every, "--every")?.max(1).cast_unsigned());
    let index = match open(&trust).await {
        Ok(index) => index,
        Err(error) => {
            super::warn(format_args!("tidewaiter: {error:#}"));
            return Ok(ExitCode::from(REFUSED));
        }
    };
    loop {
        let outcome = index.events(&projects, &mut |event| tell(event, format)).await;
        let outcome = match outcome {
            Ok(count) if !trust.witnesses.is_off() && !trust.offline => sighted(&index, format).await.map(|()| count),
            other => other,
        };
        let (_, warnings) = index.notices();
        for warning in warnings.iter().filter(|_| once) {
            super::warn(format_args!("tidewaiter: warning: {warning}"));
        }
        match outcome {
            Ok(count) if once => return Ok(ExitCode::from(if count > 0 { EVENTS } else { 0 })),
            Ok(_) => {}
            Err(refusal) => {
                say(&refusal);
                // Who cannot be reached now may be later; who shows another past is not asked again.
                if once || !refusal.is_unreachable() {
                    return Ok(ExitCode::from(REFUSED));
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            ended = crate::serve::wait_for_signal() => {
                ended?;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// Tells who else has seen the log: a line for each witness that was asked for. They are no events.
async fn sighted(index: &Index, format: Format) -> Result<(), Refusal> {
    let (entries, sightings) = index.sightings().await?;
    for Sighting { witness, size, seconds } in sightings {
        let at = at(seconds);
        let line = match format {
            Format::Text => format!("{entries}\t{at}\tseen by {}: {size} entries", witness.as_str()),
            Format::Json => json!({ "act": "seen", "witness": witness.as_str(), "size": size, "time": at }).to_string(),
        };
        if let Err(error) = say_line(&line) {
            return Err(Refusal::io("log", &error));
        }
    }
    Ok(())
}

fn say(refusal: &Refusal) {
    super::warn(format_args!("tidewaiter: {refusal}"));
}

fn tell(event: &Event, format: Format) -> std::io::Result<()> {
    let line = match format {
        Format::Text => text(event),
        Format::Json => object(event).to_string(),
    };
    say_line(&line)
}

fn say_line(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", crate::say::safe(line))?;
    out.flush()
}

fn when(entry: &Entry) -> String {
    at(entry.time)
}

fn at(seconds: u64) -> String {
    time_text(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
}

fn short(account: &Account) -> String {
    packaging::hash::hex(&account.id)
}

/// Whether an entry that cannot be read is of a version that came after this program; else whoever wrote it broke the rules of
/// its own version.
fn is_later(error: &EntryError) -> bool {
    match error {
        EntryError::Version => true,
        EntryError::TooLong(_) | EntryError::Field(_) | EntryError::Spelling => false,
    }
}

/// A line for people: place, time, project, what, by whom.
fn text(event: &Event) -> String {
    let Event { index, entry } = event;
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => {
            let which = if is_later(error) { "an entry of a later version" } else { "a damaged entry" };
            return format!("{index}\t{which}, about any project: {error}");
        }
    };
    let of = |act: &str, file: &LoggedFile| format!("{act} {} sha256 {}", file.name.as_str(), file.sha256.to_hex());
    let what = match &entry.act {
        Act::Publish(file) => of("publish", file),
        Act::Yank(file) => of("yank", file),
        Act::Unyank(file) => of("unyank", file),
        Act::Remove(file) => of("remove", file),
        Act::Status(new) => format!("status {}", new.as_str()),
        Act::Owner(turn, what, whom) => format!("{} {} {}", turn.as_str(), what.as_str(), short(whom)),
        Act::Publisher(turn, whom) => format!("{} publisher {}", turn.as_str(), short(whom)),
    };
    let by = entry.by.as_ref().map_or_else(|| "the index".to_owned(), short);
    format!("{index}\t{}\t{}\t{what}\tby {by}", when(entry), entry.project.as_str())
}

fn account(account: &Account) -> Value {
    json!({ "id": short(account), "commitment": account.commitment.0.to_hex() })
}

/// The same as one JSON object.
fn object(event: &Event) -> Value {
    let Event { index, entry } = event;
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => {
            let act = if is_later(error) { "unknown" } else { "damaged" };
            return json!({ "index": index, "act": act, "error": error.to_string() });
        }
    };
    let of = |act: &str, file: &LoggedFile| json!({ "act": act, "file": file.name.as_str(), "sha256": file.sha256.to_hex() });
    let mut object = match &entry.act {
        Act::Publish(file) => of("publish", file),
        Act::Yank(file) => of("yank", file),
        Act::Unyank(file) => of("unyank", file),
        Act::Remove(file) => of("remove", file),
        Act::Status(new) => json!({ "act": "status", "status": new.as_str() }),
        Act::Owner(turn, what, whom) => {
            json!({ "act": "owner", "change": turn.as_str(), "role": what.as_str(), "whom": account(whom) })
        }
        Act::Publisher(turn, whom) => json!({ "act": "publisher", "change": turn.as_str(), "whom": account(whom) }),
    };
    object["index"] = json!(index);
    object["time"] = json!(when(entry));
    object["project"] = json!(entry.project.as_str());
    object["page"] = json!(entry.page.map(|page| page.to_hex()));
    object["by"] = entry.by.as_ref().map_or(Value::Null, account);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what a later version says and what nobody should have written are told apart, by people and by machines.
    #[test]
    fn an_entry_of_a_later_version_is_no_damaged_one() {
        let of = |text: &str| Event { index: 7, entry: Entry::parse(text.as_bytes()) };
        let entry =
            |act: &str| format!("tidewaiter-log/1\ntime 7\nproject flask\nact {act}\npage none\naccount none\n");
        for (event, words, act) in [
            (of("tidewaiter-log/2\nsomething new\n"), "7\tan entry of a later version, about any project: ", "unknown"),
            (of(&entry("burn")), "7\ta damaged entry, about any project: the entry's `act` is missing", "damaged"),
            (of(&(entry("status\nstatus active") + "\n")), "7\ta damaged entry, about any project: ", "damaged"),
        ] {
            assert!(text(&event).starts_with(words), "{}", text(&event));
            assert_eq!((&object(&event)["act"], &object(&event)["index"]), (&json!(act), &json!(7)));
        }
        let known = of(&entry("status\nstatus archived"));
        assert!(text(&known).contains("\tstatus archived\tby the index"), "{}", text(&known));
        assert_eq!(object(&known)["status"], "archived");
    }
}
