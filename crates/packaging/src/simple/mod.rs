//! The Simple API as data and as bytes (PEP 503, 592, 629, 658, 691, 700, 714, 740, 792).
//!
//! The JSON page is the thing that will be signed, so it is canonical: keys sorted, compact separators,
//! non-ASCII kept, one newline at the end. A file's entry is stored once, as its JSON text, and a page is
//! those texts joined: a project of 15,000 files costs a join, not 15,000 serialisations.

mod html;
mod json;
mod model;

pub use html::{list_html, page_html};
pub use json::{entry_json, last_serial, list_json, page_json, parse_entry, read_head, read_page, time_text};
pub use model::{FileEntry, ListEntry, PageHead, Yanked, file_path};

/// PEP 629 and PEP 792: the version of the API that these pages speak.
pub const API_VERSION: &str = "1.4";
/// PEP 691 §"Content Types".
pub const CONTENT_TYPE_JSON: &str = "application/vnd.pypi.simple.v1+json";
/// PEP 691 §"Content Types".
pub const CONTENT_TYPE_HTML: &str = "application/vnd.pypi.simple.v1+html";
