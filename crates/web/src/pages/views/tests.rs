//! Every template with sample data, hostile where an author writes.

use axum::http::HeaderMap;
use index::ops::browse::{Listed, Person};
use packaging::Profile;

use super::*;

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

fn commands() -> Commands {
    Commands::new(Some("http://pkgs.example:8000"), &HeaderMap::new(), None, &IndexName::main())
}

fn sample(status: ProjectStatus) -> ProjectPage {
    let mut metadata = CoreMetadata::default();
    for (field, value) in [
        (Field::Summary, HOSTILE),
        (Field::Author, HOSTILE),
        (Field::ProjectUrl, "Evil, javascript:alert(1)"),
        (Field::ProjectUrl, "Source, https://example.org/"),
        (Field::Description, "text"),
        (Field::RequiresDist, "idna>=2"),
        (Field::License, "BSD\nlong text"),
    ] {
        metadata.push(field, value.to_owned());
    }
    let release =
        Release { version: "1.0rc1".into(), first_us: 1_700_000_000_000_000, files: 1, yanked: true, prerelease: true };
    let file = FileEntry {
        filename: "pkg-1.0rc1-py3-none-any.whl".into(),
        sha256: packaging::Sha256::new([7; 32]),
        size: 12_345,
        upload_time_us: 1_700_000_000_000_000,
        requires_python: Some(">=3.9".into()),
        core_metadata: None,
        yanked: Yanked::Because(HOSTILE.into()),
        provenance: None,
        provenance_sha256: None,
    };
    ProjectPage {
        name: "pkg".parse().expect("a name"),
        display_name: "Pkg".into(),
        status,
        reason: Some(HOSTILE.into()),
        people: vec![Person { role: "owner".into(), user: "jane".into() }],
        releases: vec![release.clone()],
        shown: Some(Shown { release, is_latest: true, files: vec![file], metadata }),
    }
}

fn rendered(template: &impl Template) -> String {
    let html = template.render().expect("a template renders");
    assert!(!html.contains("<script") && !html.contains("<img src=x"), "{html}");
    assert!(!html.contains("javascript:") || !html.contains("href=\"javascript:"), "{html}");
    assert_eq!(html.matches("<main").count(), 1);
    assert_eq!(html.matches("<h1").count(), 1, "{html}");
    html
}

#[test]
fn home_and_help_say_how_to_use_this_index() {
    let frame = || Frame::new(&IndexName::main());
    let profile = Profile::Private.as_str();
    let home = Home { frame: frame(), profile, projects: 3, files: 1, closed: None, commands: commands() };
    let html = rendered(&home);
    for part in ["http://pkgs.example:8000/simple/ --trusted-host pkgs.example NAME", "dependency confusion", "private"]
    {
        assert!(html.contains(part), "{part}");
    }
    let html = rendered(&Upload { frame: frame(), closed: Some("Because."), commands: commands() });
    assert!(html.contains("Because.") && html.contains("__token__"));
    rendered(&Missing { frame: frame(), message: HOSTILE.into() });
}

#[test]
fn a_project_page_escapes_what_authors_write_and_shows_what_counts() {
    let html =
        rendered(&Project::new(&IndexName::main(), &sample(ProjectStatus::Deprecated), true, None, false, &commands()));
    for part in [
        "pkg==1.0rc1",
        "Yanked",
        "Pre-release",
        "Deprecated",
        "12.3 kB",
        "14 Nov 2023",
        "Evil: javascript:",
        "rel=\"nofollow noopener ugc\"",
        ">BSD<",
        "&#60;script&#62;",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
}

#[test]
fn nothing_of_a_quarantined_project_can_be_installed() {
    let html = rendered(&Project::new(
        &IndexName::main(),
        &sample(ProjectStatus::Quarantined),
        false,
        None,
        false,
        &commands(),
    ));
    assert!(html.contains("Quarantined"));
    assert!(!html.contains("pip install") && !html.contains(".whl"), "{html}");
}

#[test]
fn the_list_escapes_and_pages() {
    let listed = Listed {
        name: "pkg".into(),
        display_name: "Pkg".into(),
        version: None,
        summary: HOSTILE.into(),
        changed_us: None,
    };
    let listing = Listing { projects: vec![listed], next: Some("pkh".into()) };
    let html = rendered(&List::new(&IndexName::main(), "p&\"k".into(), false, listing));
    assert!(html.contains("/projects/?q=p%26%22k&#38;from=pkh"), "{html}");
    rendered(&List::new(
        &"team".parse().expect("a name"),
        HOSTILE.into(),
        true,
        Listing { projects: Vec::new(), next: None },
    ));
}

#[test]
fn every_rule_has_its_anchor() {
    let html = rendered(&Rules::new());
    for rule in Rule::ALL {
        assert!(html.contains(&format!("id=\"{}\"", rule.id().replace('.', "-"))), "{}", rule.id());
    }
}

#[test]
fn sizes_and_dates_are_for_people() {
    for (bytes, want) in [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (999_950, "1.0 MB"), (2_500_000_000, "2.5 GB")]
    {
        assert_eq!(size(bytes), want);
    }
    assert_eq!(date(0), "1 Jan 1970");
}
