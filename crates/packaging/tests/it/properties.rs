//! Laws over generated values.

use packaging::metadata::canonical_license;
use packaging::simple::{
    FileEntry, ListEntry, PageHead, Yanked, entry_json, list_json, page_html, page_json, parse_entry,
};
use packaging::{DistFilename, NormalizedName, ProjectStatus, Requirement, Sha256, Specifiers, Version};
use proptest::prelude::*;

const NAME: &str = "[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?";
const VERSION: &str = "v?([0-9]{1,2}!)?[0-9]{1,3}(\\.[0-9]{1,3}){0,3}([-_.]?(a|beta|RC)[-_.]?[0-9]{0,2})?([-_.]post[0-9]{0,2}|-[0-9])?([-_.]?dev[0-9]{0,2})?(\\+[a-z0-9]{1,3}([-_.][a-z0-9]{1,3})?)?";
const CLAUSE: &str = "(>=|<=|<|>|!=|==) ?[0-9]{1,2}(\\.[0-9]{1,2}){0,2}(rc[0-9])?";
const MARKER: &str = "(\\(?os_name == '[a-z \"]{0,4}'\\)?|\"[a-z']{0,4}\" in sys_platform|extra == 'A_[a-z]')";

fn entry() -> impl Strategy<Value = FileEntry> {
    let yanked = prop_oneof![Just(Yanked::No), Just(Yanked::Yes), ".{1,20}".prop_map(Yanked::Because)];
    (
        "\\PC{1,20}",
        any::<[u8; 32]>(),
        any::<u32>(),
        0i64..1 << 52,
        proptest::option::of(".{0,20}"),
        yanked,
        any::<bool>(),
    )
        .prop_map(|(filename, hash, size, upload_time_us, requires_python, yanked, wheel)| FileEntry {
            filename,
            sha256: Sha256::new(hash),
            size: size.into(),
            upload_time_us,
            provenance: requires_python.as_ref().map(|text| format!("https://h/{text}")),
            provenance_sha256: wheel.then_some(Sha256::new([8; 32])),
            requires_python,
            core_metadata: wheel.then_some(Sha256::new([7; 32])),
            yanked,
        })
}

fn head(reason: Option<String>) -> PageHead {
    PageHead {
        name: "foo".parse().expect("a name"),
        last_serial: 7,
        status: ProjectStatus::Archived,
        status_reason: reason,
        versions: vec!["1.0".into(), "2".into()],
    }
}

/// Whether HTML reads back as one link a line, with no attribute value or text broken out of.
fn is_one_link_a_line(line: &str) -> bool {
    let Some(inner) = line.strip_prefix("<a ").and_then(|rest| rest.strip_suffix("</a><br />")) else { return false };
    let mut quoted = false;
    let open_end = inner.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        !quoted && *c == '>'
    });
    let Some((end, _)) = open_end else { return false };
    let (attributes, text) = (&inner[..end], &inner[end + 1..]);
    let names: Vec<&str> = attributes.split('"').step_by(2).map(str::trim).filter(|name| !name.is_empty()).collect();
    let known = [
        "href=",
        "data-requires-python=",
        "data-yanked=",
        "data-dist-info-metadata=",
        "data-core-metadata=",
        "data-provenance=",
    ];
    !attributes.contains(['<', '>']) && !text.contains(['<', '>', '"']) && names.iter().all(|name| known.contains(name))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_normal_name_is_its_own_normal_form(text in NAME) {
        let name: NormalizedName = text.parse().expect("generated from the grammar");
        prop_assert_eq!(name.as_str().parse::<NormalizedName>(), Ok(name.clone()));
        prop_assert!(!name.in_filename().contains('-'));
    }

    #[test]
    fn a_printed_version_parses_to_itself(text in VERSION) {
        let version: Version = text.parse().expect("generated from the grammar");
        let again: Version = version.to_string().parse().expect("its own print");
        prop_assert_eq!(&again, &version);
        prop_assert_eq!(again.to_string(), version.to_string());
        let canonical: Version = version.canonical().parse().expect("its own canonical form");
        prop_assert_eq!(canonical.cmp(&version), std::cmp::Ordering::Equal);
        prop_assert_eq!(canonical.canonical(), version.canonical());
    }

    #[test]
    fn versions_are_in_one_order(a in VERSION, b in VERSION, c in VERSION) {
        let (a, b, c): (Version, Version, Version) = (a.parse().expect("a"), b.parse().expect("b"), c.parse().expect("c"));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
        prop_assert_eq!(a == b, a.canonical() == b.canonical());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn a_printed_requirement_parses_to_itself(
        name in NAME,
        extras in proptest::collection::vec(NAME, 0..3),
        clauses in proptest::collection::vec(CLAUSE, 0..3),
        markers in proptest::collection::vec(MARKER, 0..4),
        and in any::<bool>(),
    ) {
        let mut text = format!("{name} [{}] ({})", extras.join(" , "), clauses.join(", "));
        if !markers.is_empty() {
            text += "; ";
            text += &markers.join(if and { " and (os_name!='q') or " } else { " or " });
        }
        let specifiers: Specifiers = clauses.join(",").parse().expect("generated");
        prop_assert_eq!(specifiers.to_string().parse::<Specifiers>(), Ok(specifiers));
        if let Ok(requirement) = text.parse::<Requirement>() {
            let printed = requirement.to_string();
            prop_assert_eq!(printed.parse::<Requirement>(), Ok(requirement), "{}", printed);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,60}", ascii in "[ -~]{0,60}") {
        for text in [text, ascii] {
            let _ = text.parse::<Requirement>();
            let _ = text.parse::<Specifiers>();
            let _ = text.parse::<Version>();
            let _ = text.parse::<DistFilename>();
            let _ = canonical_license(&text);
            let _ = packaging::metadata::parse(text.as_bytes());
        }
    }

    #[test]
    fn a_file_name_holds_what_it_was_made_of(name in NAME, version in VERSION, build in "([0-9][a-z0-9]{0,3}-)?", wheel in any::<bool>()) {
        let project: NormalizedName = name.parse().expect("generated");
        let version: Version = version.parse().expect("generated");
        let text = if wheel {
            format!("{}-{version}-{build}py2.py3-none-any.whl", project.in_filename())
        } else {
            format!("{}-{version}.tar.gz", project.in_filename())
        };
        let dist: DistFilename = text.parse().expect("made of valid parts");
        prop_assert_eq!(dist.project(), project);
        prop_assert_eq!(dist.version(), &version);
        prop_assert!(text.starts_with(dist.stem().trim_end_matches(".dist-info")));
    }

    #[test]
    fn a_page_is_its_own_canonical_json(entries in proptest::collection::vec(entry(), 0..4), reason in proptest::option::of(".{0,20}")) {
        let texts: Vec<String> = entries.iter().map(entry_json).collect();
        let page = page_json(&head(reason), &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let value: serde_json::Value = serde_json::from_slice(&page).expect("JSON");
        prop_assert_eq!(format!("{value}\n").into_bytes(), page.clone());
        prop_assert_eq!(packaging::simple::last_serial(&page), Some(7));
        for (entry, text) in entries.iter().zip(&texts) {
            prop_assert_eq!(parse_entry(text).expect("own entry"), FileEntry { upload_time_us: 0, ..entry.clone() });
        }
        let list = [ListEntry { name: "Foo".into(), normalized: "foo".parse().expect("a name"), last_serial: 3 }];
        let list = list_json(9, list.iter());
        let value: serde_json::Value = serde_json::from_slice(&list).expect("JSON");
        prop_assert_eq!(format!("{value}\n").into_bytes(), list);
    }

    #[test]
    fn no_text_breaks_out_of_html(mut entry in entry(), hostile in "[\"'<>&=a/ -]{0,20}") {
        entry.requires_python = Some(hostile.clone());
        entry.yanked = Yanked::Because(format!("{hostile}\"><script>"));
        entry.filename = format!("{}{hostile}", entry.filename);
        let page = String::from_utf8(page_html(&head(Some(hostile)), [&entry].into_iter())).expect("UTF-8");
        prop_assert!(!page.contains("<script"));
        prop_assert_eq!(page.matches("<a ").count(), 1);
        // A line break in a value is white space in an attribute, so the link may span lines.
        let start = page.find("<a ").expect("one link");
        let end = page.find("</a><br />").expect("its end") + "</a><br />".len();
        prop_assert!(is_one_link_a_line(&page[start..end]), "{}", &page[start..end]);
    }
}
