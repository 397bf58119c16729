use attest::testing::Order;
use attest::{Claims, Error, Publisher};

use super::{FILE, SHA256, github, parse_one, world};

fn gitlab() -> Publisher {
    Publisher::GitLab {
        repository: "group/sub/demo".into(),
        workflow_filepath: "ci/release.yml".into(),
        environment: None,
    }
}

fn google() -> Publisher {
    Publisher::Google { email: "builder@project.example.org".into() }
}

fn in_environment(name: &str) -> Publisher {
    Publisher::GitHub { repository: "team/demo".into(), workflow: "release.yml".into(), environment: Some(name.into()) }
}

/// What an attestation of this publisher says, through the whole verification.
fn claims_of(publisher: &Publisher) -> Claims {
    let (authority, root) = world();
    let made = authority.attest(&Order::new(publisher.clone(), FILE, SHA256));
    root.verify(&parse_one(&made), &SHA256).expect("sound").claims
}

#[test]
fn each_publisher_is_known_by_its_certificate_and_no_other() {
    let all = [github(), gitlab(), google(), in_environment("release")];
    for (n, one) in all.iter().enumerate() {
        let claims = claims_of(one);
        for (m, other) in all.iter().enumerate() {
            // A binding without an environment takes any.
            let may = n == m || (n == 3 && m == 0);
            assert_eq!(other.matches(&claims).is_ok(), may, "{one} as {other}");
        }
        assert_eq!(Publisher::from_json(&one.to_json()).as_ref(), Some(one));
    }
    let said = in_environment("other").matches(&claims_of(&in_environment("release"))).unwrap_err();
    assert_eq!(said, Error::OtherPublisher("its certificate's environment is 'release', not 'other'".into()));
}

#[test]
fn what_a_certificate_says_must_be_the_whole_of_it() {
    let sound = claims_of(&github());
    let with = |change: &dyn Fn(&mut Claims)| {
        let mut claims = sound.clone();
        change(&mut claims);
        github().matches(&claims).is_ok()
    };
    let config = |text: &str| Some(text.to_owned());
    assert!(with(&|_| {}));
    assert!(with(&|c| c.source_repository = config("https://github.com/Team/Demo")), "names have no case");
    assert!(!with(&|c| c.issuer = "https://example.invalid".into()));
    assert!(!with(&|c| c.source_repository = config("https://github.com/team/demo2")));
    assert!(!with(&|c| c.source_repository = None));
    // A workflow of the same name elsewhere, at another ref, or one whose path merely ends alike.
    for other in [
        "https://github.com/evil/demo/.github/workflows/release.yml@refs/tags/v1",
        "https://github.com/team/demo/.github/workflows/release.yml@refs/tags/v2",
        "https://github.com/team/demo/.github/workflows/prerelease.yml@refs/tags/v1",
        "https://github.com/team/demo/.github/workflows/Release.yml@refs/tags/v1",
        "https://github.com/team/demo/x/.github/workflows/release.yml@refs/tags/v1",
        "refs/tags/v1",
        "",
    ] {
        assert!(!with(&|c| c.build_config = config(other)), "{other}");
    }
    // An empty ref must not make everything fit.
    assert!(!with(&|c| {
        c.source_ref = config("");
        c.source_digest = None;
        c.build_config = config("https://github.com/team/demo/.github/workflows/release.yml@");
    }));
}

#[test]
fn descriptions_are_checked() {
    let hub = |repository: &str, workflow: &str| Publisher::GitHub {
        repository: repository.into(),
        workflow: workflow.into(),
        environment: None,
    };
    assert!(hub("team/demo", "release.yml").checked().is_ok());
    for (repository, workflow) in [
        ("team", "release.yml"),
        ("team/demo/more", "release.yml"),
        ("team/", "release.yml"),
        ("team/..", "release.yml"),
        ("team/de mo", "release.yml"),
        ("team/demo", "release"),
        ("team/demo", ".github/workflows/release.yml"),
        ("team/demo", "a@b.yml"),
    ] {
        assert!(hub(repository, workflow).checked().is_err(), "{repository} {workflow}");
    }
    let long = |bytes: usize| hub(&format!("t/{}", "d".repeat(bytes - 2)), "r.yml").checked().is_ok();
    assert!(long(attest::PART_BYTES_MAX) && !long(attest::PART_BYTES_MAX + 1));
    assert!(gitlab().checked().is_ok() && google().checked().is_ok());
    assert!(Publisher::Google { email: "nobody".into() }.checked().is_err());
    assert!(in_environment("").checked().is_err() && in_environment("two words").checked().is_ok());
}
