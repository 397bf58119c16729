//! A verified project page, as installers get it: of its files only those that can be verified, at our own URLs.

use std::collections::BTreeMap;

use bytes::Bytes;
use packaging::filename::DistFilename;
use packaging::hash::Sha256;
use packaging::name::NormalizedName;
use packaging::simple::{FileEntry, Yanked, page_html, parse_entry, read_head};
use serde_json::{Value, json};
use url::Url;

/// What a page says of one file that we need for ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFile {
    /// The digest of the file.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its core metadata.
    pub core_metadata: Option<Sha256>,
    /// The digest of its provenance (PEP 740).
    pub provenance: Option<Sha256>,
    /// When it was uploaded, as the page has it.
    pub uploaded: String,
    /// For which Pythons it is, as the page has it.
    pub requires_python: Option<String>,
    /// Whether it is yanked.
    pub is_yanked: bool,
}

/// A page.
#[derive(Debug, Clone)]
pub struct Page {
    /// PEP 691.
    pub json: Bytes,
    /// PEP 503.
    pub html: Bytes,
    /// What it offers, by file name.
    pub files: BTreeMap<String, PageFile>,
}

/// The bytes are signed for, and yet no page of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signed page is no page of this project")]
pub struct NoPage;

impl Page {
    /// Reads a signed page that was asked for below `base`.
    ///
    /// A file is left out if it has no SHA-256 or length, if its URL leads to another host, if its name is none of
    /// this project, or if the name comes twice: an installer that took it would take what nobody verifies.
    pub fn read(bytes: &[u8], project: &NormalizedName, base: &Url) -> Result<Self, NoPage> {
        let mut page: Value = serde_json::from_slice(bytes).map_err(|_| NoPage)?;
        if page["name"].as_str() != Some(project.as_str()) {
            return Err(NoPage);
        }
        let Some(Value::Array(all)) = page.get_mut("files").map(Value::take) else { return Err(NoPage) };
        let (mut files, mut entries, mut values) = (BTreeMap::new(), Vec::new(), Vec::new());
        for mut value in all {
            let Some(entry) = offered(&value, project, base).filter(|entry| !files.contains_key(&entry.filename))
            else {
                continue;
            };
            value["url"] = json!(entry.url());
            // Its place is on the index's own host; no installer asks for it.
            value["provenance"] = Value::Null;
            let file = PageFile {
                sha256: entry.sha256,
                size: entry.size,
                core_metadata: entry.core_metadata,
                provenance: entry.provenance_sha256,
                uploaded: value["upload-time"].as_str().unwrap_or_default().to_owned(),
                requires_python: entry.requires_python.clone(),
                is_yanked: entry.yanked != Yanked::No,
            };
            files.insert(entry.filename.clone(), file);
            entries.push(FileEntry { provenance: None, ..entry });
            values.push(value);
        }
        page["files"] = Value::Array(values);
        let html = page_html(&read_head(&page, project), entries.iter());
        Ok(Self { json: format!("{page}\n").into(), html: html.into(), files })
    }
}

fn offered(value: &Value, project: &NormalizedName, base: &Url) -> Option<FileEntry> {
    let entry = parse_entry(&value.to_string()).ok()?;
    let name: DistFilename = entry.filename.parse().ok()?;
    let is_ours = base.join(value["url"].as_str()?).is_ok_and(|url| url.origin() == base.origin());
    (name.project() == *project && is_ours).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(filename: &str, url: &str) -> Value {
        json!({
            "filename": filename, "url": url, "hashes": {"sha256": "ab".repeat(32)}, "size": 3,
            "core-metadata": {"sha256": "cd".repeat(32)}, "yanked": "bad", "provenance": "https://other.example/x",
        })
    }

    fn read(files: Value) -> Page {
        let page = json!({"files": files, "meta": {"api-version": "1.4"}, "name": "demo", "versions": ["1.0"]});
        let base = Url::parse("https://index.example/i/x/").expect("a URL");
        let page = page.to_string();
        assert!(Page::read(page.as_bytes(), &"other".parse().expect("a name"), &base).is_err());
        Page::read(page.as_bytes(), &"demo".parse().expect("a name"), &base).expect("a page")
    }

    #[test]
    fn only_what_can_be_verified_is_offered() {
        let good = entry("demo-1.0-py3-none-any.whl", "../../files/x");
        let mut bare = entry("demo-1.1-py3-none-any.whl", "../../files/x");
        bare["hashes"] = json!({"md5": "00"});
        let foreign = entry("demo-1.2-py3-none-any.whl", "https://evil.example/x");
        let other = entry("other-1.0-py3-none-any.whl", "../../files/x");
        let leaving = entry("../demo-1.0.tar.gz", "../../files/x");
        let page = read(json!([good.clone(), bare, foreign, other, leaving, good]));
        assert_eq!(page.files.keys().collect::<Vec<_>>(), ["demo-1.0-py3-none-any.whl"]);
        assert!(page.files["demo-1.0-py3-none-any.whl"].is_yanked);
        let text = String::from_utf8(page.json.to_vec()).expect("text");
        assert!(text.contains(r#""url":"../../files/ab/abab"#) && !text.contains("evil") && !text.contains("other"));
        let html = String::from_utf8(page.html.to_vec()).expect("text");
        assert!(html.contains("data-yanked=\"bad\"") && html.contains("#sha256=abab") && !html.contains("evil"));
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let (name, base) = ("demo".parse().expect("a name"), Url::parse("http://x/").expect("a URL"));
        for bytes in [&b""[..], b"[]", b"{}", br#"{"name":"demo"}"#, br#"{"name":"demo","files":{}}"#, b"\xff"] {
            assert!(Page::read(bytes, &name, &base).is_err());
        }
    }
}
