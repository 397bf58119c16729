//! Model to HTML (PEP 503; frozen by PEP 833). Clients depend on its white space, so it is written by hand.

use std::fmt::Write;

use super::API_VERSION;
use super::model::{FileEntry, ListEntry, PageHead, Yanked};

/// The project page. Attribute order and line structure are the public index's.
pub fn page_html<'a>(head: &PageHead, entries: impl Iterator<Item = &'a FileEntry>) -> Vec<u8> {
    // `versions` has no place in HTML (PEP 833: new fields go into JSON).
    let PageHead { name, last_serial, status, status_reason, versions: _ } = head;
    let mut out = String::with_capacity(16 * 1024);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n  <head>\n");
    let _ = writeln!(out, "    <meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">");
    let _ = writeln!(out, "    <meta name=\"pypi:project-status\" content=\"{status}\">");
    if let Some(reason) = status_reason {
        let _ = writeln!(out, "    <meta name=\"pypi:project-status-reason\" content=\"{}\">", escape(reason));
    }
    let _ = write!(out, "    <title>Links for {name}</title>\n  </head>\n  <body>\n    <h1>Links for {name}</h1>\n");
    for entry in entries {
        let FileEntry {
            filename,
            sha256,
            size: _,
            upload_time_us: _,
            requires_python,
            core_metadata,
            yanked,
            provenance,
            provenance_sha256: _,
        } = entry;
        let _ = write!(out, "<a href=\"{}#sha256={sha256}\"", escape(&entry.url()));
        if let Some(specifier) = requires_python {
            let _ = write!(out, " data-requires-python=\"{}\"", escape(specifier));
        }
        match yanked {
            Yanked::No => {}
            Yanked::Yes => out.push_str(" data-yanked=\"\""),
            Yanked::Because(reason) => {
                let _ = write!(out, " data-yanked=\"{}\"", escape(reason));
            }
        }
        if let Some(hash) = core_metadata {
            let _ = write!(out, " data-dist-info-metadata=\"sha256={hash}\" data-core-metadata=\"sha256={hash}\"");
        }
        if let Some(url) = provenance {
            let _ = write!(out, " data-provenance=\"{}\"", escape(url));
        }
        let _ = writeln!(out, ">{}</a><br />", escape(filename));
    }
    let _ = write!(out, "</body>\n</html>\n<!--SERIAL {last_serial}-->\n");
    out.into_bytes()
}

/// The list of all projects; links are relative to `simple/`.
pub fn list_html<'a>(last_serial: i64, entries: impl Iterator<Item = &'a ListEntry>) -> Vec<u8> {
    let mut out = String::with_capacity(16 * 1024);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n  <head>\n");
    let _ = writeln!(out, "    <meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">");
    out.push_str("    <title>Simple index</title>\n  </head>\n  <body>\n");
    for ListEntry { name, normalized, last_serial: _ } in entries {
        let _ = writeln!(out, "    <a href=\"{normalized}/\">{}</a>", escape(name));
    }
    let _ = write!(out, "  </body>\n</html>\n<!--SERIAL {last_serial}-->\n");
    out.into_bytes()
}

fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out.into()
}
