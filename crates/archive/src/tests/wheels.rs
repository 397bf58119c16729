//! What a wheel must hold.

use packaging::Rule;
use sha2::{Digest, Sha384, Sha512};

use super::build::{
    METADATA, TarHead, WHEEL, WHEEL_NAME, Wheel, ZipMember, as_named, base64, file, rules, sdist, sdist_entries, tar,
    zip,
};
use crate::{Limits, Subject, examine};

#[track_caller]
fn refused(wheel: &Wheel, rule: Rule, words: &str) {
    let report = wheel.report();
    let found = report.rejections.iter().any(|rejection| rejection.rule == rule && rejection.message.contains(words));
    assert!(found, "{:?}, wanted {rule:?}: {words}", report.rejections);
    assert!(report.rejections.iter().all(|rejection| rejection.rule == rule), "{:?}", report.rejections);
}

#[track_caller]
fn accepted(wheel: &Wheel) {
    assert_eq!(wheel.report().rejections, []);
}

#[test]
fn a_good_wheel_is_accepted_and_its_metadata_comes_along() {
    let report = Wheel::new().report();
    assert_eq!(report.rejections, []);
    assert_eq!(report.metadata.as_deref(), Some(METADATA));
    assert_eq!(report.members, 4);
}

#[test]
fn the_file_is_a_zip_and_nothing_else() {
    let kind = [Rule::ArchiveKind];
    let named = |bytes: &[u8]| rules(&as_named(WHEEL_NAME, bytes, &Limits::default()));
    assert_eq!(named(b""), kind);
    assert_eq!(named(b"not an archive"), kind);
    assert_eq!(named(&sdist(&sdist_entries())), kind);
    assert_eq!(named(&tar(&sdist_entries())), kind);
    assert_eq!(named(&zip_that_is_a_tar()), kind);
    assert_eq!(named(&[b"#!/usr/bin/python\n", Wheel::new().bytes().as_slice()].concat()), [Rule::ZipFraming]);
}

/// A ZIP whose first block is a tar header: the member's name and the start of its data.
fn zip_that_is_a_tar() -> Vec<u8> {
    let mut head = TarHead::new(b"", b'0', 0);
    let member = ZipMember::stored("x", &[0; 600]);
    let mut bytes = zip(&[member]);
    head.put(0, &bytes[..40]);
    // Mode, size and checksum lie in the stored data, so the header can be made right.
    let block = head.block();
    bytes[40..512].copy_from_slice(&block[40..]);
    bytes
}

#[test]
fn one_dist_info_spelled_as_in_the_name() {
    let layout = Rule::WheelLayout;
    for missing in ["METADATA", "WHEEL"] {
        refused(&Wheel::new().without(&format!("pkg-1.0.dist-info/{missing}")), layout, missing);
    }
    let no_record = zip(&Wheel::new().members()[..3]);
    assert_eq!(rules(&as_named(WHEEL_NAME, &no_record, &Limits::default())), [layout]);
    refused(&Wheel::new().with("other-1.0.dist-info/METADATA", METADATA), layout, "other-1.0.dist-info");
    refused(
        &Wheel::new().with("pkg-1.0.data/purelib/pkg/b.py", "").with("x-1.0.data/scripts/x", ""),
        layout,
        "x-1.0.data",
    );
    accepted(&Wheel::new().with("pkg/_vendor/other-1.0.dist-info/METADATA", METADATA));
    let report = as_named("Pkg-1.0-py3-none-any.whl", &Wheel::new().bytes(), &Limits::default());
    assert!(rules(&report).iter().all(|rule| *rule == layout) && !report.rejections.is_empty());
}

#[test]
fn data_folders_have_a_place_to_go() {
    for good in ["purelib/b.py", "platlib/b.so", "headers/h.h", "scripts/run", "data/share/x"] {
        accepted(&Wheel::new().with(&format!("pkg-1.0.data/{good}"), ""));
    }
    for bad in ["other/x", "loose", "scripts", ".pth"] {
        refused(&Wheel::new().with(&format!("pkg-1.0.data/{bad}"), ""), Rule::WheelLayout, "no place to go");
    }
    for twin in ["purelib/pkg/__init__.py", "platlib/PKG/__init__.py", "purelib/pkg-1.0.dist-info/METADATA"] {
        refused(&Wheel::new().with(&format!("pkg-1.0.data/{twin}"), ""), Rule::PathDuplicate, "installed over");
    }
}

#[test]
fn record_lists_every_file_and_nothing_else() {
    let record = Rule::WheelRecord;
    refused(&Wheel::new().record(|text| text.replace("pkg/__init__.py", "pkg/other.py")), record, "not in the archive");
    refused(&Wheel::new().record(|text| text.lines().skip(1).collect::<Vec<_>>().join("\n")), record, "not listed");
    refused(&Wheel::new().rows("ghost.py,sha256=x,1\n"), record, "listed but not in the archive");
    refused(&Wheel::new().record(|text| text.replace("pkg/__", "pkg\\__")), record, "backslash");
    refused(
        &Wheel::new().record(|text| text.clone() + text.lines().next().unwrap_or_default()),
        record,
        "listed twice",
    );
    refused(&Wheel::new().rows("pkg-1.0.dist-info/RECORD,,\n"), record, "listed twice");
    refused(&Wheel::new().rows("pkg/,,\n"), record, "not in the archive");
    let itself = |text: String| text.replace("RECORD,,", "RECORD,sha256=x,1");
    refused(&Wheel::new().record(itself), record, "its own hash");
    accepted(&Wheel::new().record(|text| text.replace("pkg-1.0.dist-info/RECORD,,\n", "")));
    accepted(&Wheel::new().record(|text| text.replace('\n', "\r\n")));
    accepted(
        &Wheel::new()
            .with("pkg/a,\"b\".txt", "x")
            .record(|text| text.replace("pkg/a,\"b\".txt", "\"pkg/a,\"\"b\"\".txt\"")),
    );
}

#[test]
fn record_is_three_columns_of_csv() {
    for row in ["a\n", "a,b\n", "a,b,1,2\n", "\n", "\"a,b,1\n", "\"a\"b,c,1\n"] {
        refused_row(row);
    }
}

#[track_caller]
fn refused_row(row: &str) {
    refused(&Wheel::new().record(|text| row.to_owned() + &text), Rule::WheelRecord, "malformed row");
}

#[test]
fn hashes_and_sizes_are_verified() {
    let record = Rule::WheelRecord;
    refused(&Wheel::new().record(|text| text.replacen(",6\n", ",7\n", 1)), record, "another size");
    refused(&Wheel::new().record(|text| text.replacen(",6\n", ",+6\n", 1)), record, "another size");
    accepted(&Wheel::new().record(|text| text.replacen(",6\n", ",\n", 1)));
    let row = |hash: &str| {
        let hash = hash.to_owned();
        Wheel::new().record(move |text| {
            let rest = text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
            format!("pkg/__init__.py,{hash},6\n{rest}")
        })
    };
    let bytes = b"x = 1\n";
    accepted(&row(&format!("sha384={}", base64(&Sha384::digest(bytes)))));
    accepted(&row(&format!("sha512={}", base64(&Sha512::digest(bytes)))));
    refused(&row(&format!("sha512={}", base64(&Sha512::digest(b"y")))), record, "another hash");
    refused(&row("sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"), record, "another hash");
    let padded = Wheel::new().record(|text| text.replacen(",6\n", "=,6\n", 1));
    refused(&padded, record, "another hash");
    for weak in ["md5=rL0Y20zC-Fzt72VPzMSk2A", "sha1=x", "sha224=x", "crc32=x"] {
        refused(&row(weak), record, "other than SHA-256");
    }
    refused(&row(""), record, "without a hash");
}

#[test]
fn signatures_of_record_need_no_row() {
    for name in ["pkg-1.0.dist-info/RECORD.jws", "pkg-1.0.dist-info/RECORD.p7s"] {
        let unlisted = Wheel::new().with(name, "{}");
        let record =
            unlisted.record(|text| text.lines().filter(|row| !row.contains("RECORD.")).collect::<Vec<_>>().join("\n"));
        accepted(&record);
    }
}

#[test]
fn tags_are_those_of_the_name() {
    let wheel = |text: &str| Wheel::new().with("pkg-1.0.dist-info/WHEEL", text);
    refused(&wheel(&WHEEL.replace("py3-none", "cp311-cp311")), Rule::WheelTags, "not in WHEEL");
    refused(&wheel(&format!("{WHEEL}Tag: py2-none-any\n")), Rule::WheelTags, "not in the file name");
    refused(&wheel(&WHEEL.replace("py3-none-any", "py3")), Rule::WheelTags, "no tag");
    refused(&wheel(&format!("{WHEEL}Build: 1\n")), Rule::WheelTags, "Build");
    for wrong in ["Wheel-Version: 2.0", "Wheel-Version: 1", "Wheel-Version: 1.0\nWheel-Version: 1.0", "X: y"] {
        refused(&wheel(&WHEEL.replace("Wheel-Version: 1.0", wrong)), Rule::WheelLayout, "Wheel-Version");
    }
    refused(
        &wheel(&WHEEL.replace("Root-Is-Purelib: true", "Root-Is-Purelib: maybe")),
        Rule::WheelLayout,
        "Root-Is-Purelib",
    );
    refused(&wheel(&format!("no colon\n{WHEEL}")), Rule::WheelLayout, "malformed line");
    // Lines that stand for millions of tags cost what a line costs.
    let many = format!("{}-{}-{}", "a.".repeat(80), "b.".repeat(80), "c.".repeat(80));
    refused(
        &wheel(&format!("{WHEEL}{}", format!("Tag: {many}\n").repeat(500))),
        Rule::WheelTags,
        "not in the file name",
    );
    refused(&wheel(&format!("{WHEEL}Tag: {}-b-c\n", "a".repeat(509))), Rule::WheelTags, "no tag");
    refused(&wheel(&format!("{WHEEL}Tag: {}-b-c\n", "a".repeat(508))), Rule::WheelTags, "not in the file name");
    let named = |name: &str, text: &str| as_named(name, &wheel(text).bytes(), &Limits::default()).rejections;
    let both = WHEEL.replace("Tag: py3-none-any", "Tag: py2-none-any\nTag: py3-none-any");
    assert_eq!(named("pkg-1.0-py2.py3-none-any.whl", &both), []);
    assert_eq!(named("pkg-1.0-py2.py3-none-any.whl", &WHEEL.replace("py3-none-any", "py2.py3-none-any")), []);
    assert_eq!(named("pkg-1.0-1a-py3-none-any.whl", &format!("{WHEEL}Build: 1a\n")), []);
    assert_eq!(named("pkg-1.0-1a-py3-none-any.whl", WHEEL), []);
}

#[test]
fn entry_points_and_text_files_are_judged() {
    let with = |name: &str, bytes: &[u8]| Wheel::new().with(&format!("pkg-1.0.dist-info/{name}"), bytes);
    accepted(&with("entry_points.txt", b"[console_scripts]\npkg = pkg:main\n"));
    refused(&with("entry_points.txt", b"[console_scripts]\n../pkg = pkg:main\n"), Rule::EntryPointsInvalid, "script");
    refused(&with("entry_points.txt", b"\xff"), Rule::EntryPointsInvalid, "UTF-8");
    refused(&with("METADATA", b"\xff"), Rule::MetadataUnreadable, "UTF-8");
    refused(&with("WHEEL", b"\xff"), Rule::WheelLayout, "UTF-8");
}

#[test]
fn licence_files_are_where_pep_639_puts_them() {
    let licensed = |version: &str| {
        let text = format!("Metadata-Version: {version}\nName: pkg\nVersion: 1.0\nLicense-File: legal/LICENSE\n");
        Wheel::new().with("pkg-1.0.dist-info/METADATA", text)
    };
    accepted(&licensed("2.4").with("pkg-1.0.dist-info/licenses/legal/LICENSE", "MIT"));
    refused(&licensed("2.4"), Rule::LicenseFileMissing, "legal/LICENSE");
    refused(&licensed("2.5").with("pkg-1.0.dist-info/legal/LICENSE", "MIT"), Rule::LicenseFileMissing, "legal/LICENSE");
    accepted(&licensed("2.3"));
}

#[test]
fn all_rejections_are_told_up_to_a_bound() {
    let rows: String = (0..300).map(|n| format!("ghost{n},sha256=x,1\n")).collect();
    let report = Wheel::new().rows(&rows).report();
    assert_eq!(report.rejections.len(), crate::report::REJECTIONS_MAX);
}

#[test]
fn a_name_that_is_no_distribution_is_left_to_the_upload_rules() {
    let report = examine(&file(b"x"), &Subject::Distribution("x.exe".into()), &Limits::default());
    assert_eq!(report.rejections, []);
}
