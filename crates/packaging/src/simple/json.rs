//! Model to canonical JSON, and back where a stored entry has to be read again.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::API_VERSION;
use super::model::{FileEntry, ListEntry, PageHead, Yanked};
use crate::hash::Sha256;
use crate::name::NormalizedName;
use crate::status::ProjectStatus;

/// One file's entry as JSON text, keys sorted, without a newline.
pub fn entry_json(entry: &FileEntry) -> String {
    // Destructured without `..`: a field added to the model stops the compiler here and in `html`.
    let FileEntry {
        filename,
        sha256,
        size,
        upload_time_us,
        requires_python,
        core_metadata,
        yanked,
        provenance,
        provenance_sha256,
    } = entry;
    let metadata = match core_metadata {
        None => json!(false),
        Some(hash) => json!({ "sha256": hash }),
    };
    let mut object = Map::new();
    if let Some(hash) = provenance_sha256 {
        object.insert("_provenance".into(), json!({ "sha256": hash }));
    }
    object.insert("core-metadata".into(), metadata.clone());
    object.insert("data-dist-info-metadata".into(), metadata);
    object.insert("filename".into(), json!(filename));
    object.insert("hashes".into(), json!({ "sha256": sha256 }));
    object.insert("provenance".into(), json!(provenance));
    object.insert("requires-python".into(), json!(requires_python));
    object.insert("size".into(), json!(size));
    object.insert("upload-time".into(), json!(time_text(*upload_time_us)));
    object.insert("url".into(), json!(entry.url()));
    object.insert(
        "yanked".into(),
        match yanked {
            Yanked::No => json!(false),
            Yanked::Yes => json!(true),
            Yanked::Because(reason) => json!(reason),
        },
    );
    Value::Object(object).to_string()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawEntry {
    filename: String,
    hashes: RawHashes,
    size: u64,
    requires_python: Option<String>,
    core_metadata: RawMetadata,
    yanked: RawYanked,
    provenance: Option<String>,
    #[serde(default, rename = "_provenance")]
    own_provenance: Option<RawHashes>,
}

#[derive(Deserialize)]
struct RawHashes {
    sha256: Sha256,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMetadata {
    Hash { sha256: Sha256 },
    Absent(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawYanked {
    Flag(bool),
    Reason(String),
}

/// Reads an entry that [`entry_json`] wrote. The upload time is not read back: HTML has no place for it.
///
/// # Errors
/// Only for text that [`entry_json`] did not write.
pub fn parse_entry(text: &str) -> Result<FileEntry, serde_json::Error> {
    let raw: RawEntry = serde_json::from_str(text)?;
    Ok(FileEntry {
        filename: raw.filename,
        sha256: raw.hashes.sha256,
        size: raw.size,
        upload_time_us: 0,
        requires_python: raw.requires_python,
        core_metadata: match raw.core_metadata {
            RawMetadata::Hash { sha256 } => Some(sha256),
            RawMetadata::Absent(_) => None,
        },
        yanked: match raw.yanked {
            RawYanked::Flag(false) => Yanked::No,
            RawYanked::Flag(true) => Yanked::Yes,
            RawYanked::Reason(reason) => Yanked::Because(reason),
        },
        provenance: raw.provenance,
        provenance_sha256: raw.own_provenance.map(|hashes| hashes.sha256),
    })
}

/// What a page says besides its files; what is missing is taken for what it mostly is.
pub fn read_head(page: &Value, name: &NormalizedName) -> PageHead {
    let status = &page["project-status"];
    let versions = page["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    PageHead {
        name: name.clone(),
        last_serial: page["meta"]["_last-serial"].as_i64().unwrap_or(0),
        status: status["status"].as_str().and_then(|text| text.parse().ok()).unwrap_or(ProjectStatus::Active),
        status_reason: status["reason"].as_str().map(str::to_owned),
        versions: versions.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

/// Reads a whole page that [`page_json`] wrote, as far as [`super::page_html`] needs it; nothing for anything else.
pub fn read_page(page: &[u8]) -> Option<(PageHead, Vec<FileEntry>)> {
    let page: Value = serde_json::from_slice(page).ok()?;
    let name: NormalizedName = page["name"].as_str()?.parse().ok()?;
    let files = page["files"].as_array()?.iter().map(|file| parse_entry(&file.to_string()).ok());
    Some((read_head(&page, &name), files.collect::<Option<_>>()?))
}

/// The project page. `entries` are texts of [`entry_json`], in page order.
pub fn page_json(head: &PageHead, entries: &[&str]) -> Vec<u8> {
    let PageHead { name, last_serial, status, status_reason, versions } = head;
    let mut out = Vec::with_capacity(entries.iter().map(|e| e.len() + 1).sum::<usize>() + 256 + versions.len() * 12);
    out.extend_from_slice(b"{\"files\":[");
    join(&mut out, entries.iter().map(|e| e.as_bytes()));
    let mut rest = Map::new();
    rest.insert("meta".into(), json!({ "_last-serial": last_serial, "api-version": API_VERSION }));
    rest.insert("name".into(), json!(name));
    rest.insert(
        "project-status".into(),
        match status_reason {
            None => json!({ "status": status }),
            Some(reason) => json!({ "reason": reason, "status": status }),
        },
    );
    rest.insert("versions".into(), json!(versions));
    out.extend_from_slice(b"],");
    let rest = Value::Object(rest).to_string();
    out.extend_from_slice(&rest.as_bytes()[1..]);
    out.push(b'\n');
    out
}

/// The list of all projects; `entries` ordered by normalised name.
pub fn list_json<'a>(last_serial: i64, entries: impl Iterator<Item = &'a ListEntry>) -> Vec<u8> {
    let mut out = json!({ "_last-serial": last_serial, "api-version": API_VERSION }).to_string().into_bytes();
    out.splice(0..0, b"{\"meta\":".iter().copied());
    out.extend_from_slice(b",\"projects\":[");
    for (n, ListEntry { name, normalized: _, last_serial }) in entries.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(json!({ "_last-serial": last_serial, "name": name }).to_string().as_bytes());
    }
    out.extend_from_slice(b"]}\n");
    out
}

/// The serial that a page written here carries, for the `X-PyPI-Last-Serial` header. The key's quotes cannot
/// occur inside a JSON string unescaped, so its last occurrence is the page's own.
pub fn last_serial(page: &[u8]) -> Option<i64> {
    const KEYS: [&[u8]; 3] = [b"\"_last-serial\":", b"\"last_serial\":", b"<!--SERIAL "];
    // The list of projects carries its own serial first and each project's after it.
    if page.starts_with(b"{\"meta\":{") {
        return number_after(page, b"{\"meta\":{\"_last-serial\":".len());
    }
    KEYS.iter().find_map(|key| {
        let at = page.windows(key.len()).rposition(|window| window == *key)?;
        number_after(page, at + key.len())
    })
}

fn number_after(page: &[u8], at: usize) -> Option<i64> {
    let digits: Vec<u8> = page[at..].iter().copied().take_while(u8::is_ascii_digit).take(19).collect();
    String::from_utf8(digits).ok()?.parse().ok()
}

fn join<'a>(out: &mut Vec<u8>, parts: impl Iterator<Item = &'a [u8]>) {
    for (n, part) in parts.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(part);
    }
}

/// `yyyy-mm-ddThh:mm:ss.ffffffZ`; the fraction is left out when it is zero, as the public index does.
pub fn time_text(unix_us: i64) -> String {
    let (seconds, micros) = (unix_us.div_euclid(1_000_000), unix_us.rem_euclid(1_000_000));
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (h, m, s) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}{fraction}Z")
}

/// Days since 1970-01-01 to a Gregorian date: counted in eras of 400 years that begin on 1 March, so that
/// the leap day is the last day of a year.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::super::page_html;
    use super::*;

    fn entry() -> FileEntry {
        FileEntry {
            filename: "foo-1.0-py3-none-any.whl".into(),
            sha256: Sha256::new([0xab; 32]),
            size: 7,
            upload_time_us: 1_700_000_000_000_000,
            requires_python: Some(">=3.8".into()),
            core_metadata: Some(Sha256::new([1; 32])),
            yanked: Yanked::Because("bröken \"x\" \"_last-serial\":9".into()),
            provenance: None,
            provenance_sha256: None,
        }
    }

    #[test]
    fn a_page_is_canonical_json() {
        let head = PageHead {
            name: "foo".parse().expect("valid"),
            last_serial: 12,
            status: ProjectStatus::Active,
            status_reason: None,
            versions: vec!["1.0".into()],
        };
        let text = entry_json(&entry());
        let page = page_json(&head, &[&text, &text]);
        let value: Value = serde_json::from_slice(&page).expect("JSON");
        // serde_json's map is sorted, so a page that equals its own re-serialisation has sorted keys.
        assert_eq!(format!("{value}\n").as_bytes(), page);
        assert_eq!(value["files"][0]["upload-time"], "2023-11-14T22:13:20Z");
        assert_eq!(last_serial(&page), Some(12));
        let (read, files) = read_page(&page).expect("own page");
        assert_eq!((&read, files.len()), (&head, 2));
        let two = [entry(), entry()];
        assert_eq!(page_html(&read, files.iter()), page_html(&head, two.iter()), "the same page as HTML");
        assert!(read_page(b"{}").is_none() && read_page(b"\xff").is_none());
        let back = parse_entry(&text).expect("own entry");
        assert_eq!(FileEntry { upload_time_us: 0, ..entry() }, back);
        assert!(text.contains(r#""provenance":null"#) && !text.contains("_provenance"), "{text}");
    }

    #[test]
    fn provenance_is_named_and_pinned() {
        let provenance = Some("https://index.example.org/integrity/foo/1.0/foo/provenance".to_owned());
        let attested = FileEntry { provenance, provenance_sha256: Some(Sha256::new([2; 32])), ..entry() };
        let text = entry_json(&attested);
        assert!(text.starts_with(r#"{"_provenance":{"sha256":"0202"#), "{text}");
        assert_eq!(parse_entry(&text).expect("own entry"), FileEntry { upload_time_us: 0, ..attested });
    }

    #[test]
    fn times_print_as_the_public_index_prints_them() {
        assert_eq!(time_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(time_text(951_782_400_000_001), "2000-02-29T00:00:00.000001Z");
        assert_eq!(time_text(-1), "1969-12-31T23:59:59.999999Z");
    }
}
