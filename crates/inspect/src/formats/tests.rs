//! Evil inputs: every reader ends, within its bounds, over bytes that were made to keep it busy or bring it down.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::{media, native, pickle, pyc, text, unicode};
use crate::kind;

/// How long one evil input may take here, unoptimised and beside other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything, over everything: what a member is decides which reader runs, and an attacker decides what it is.
fn all(bytes: &[u8]) {
    let started = Instant::now();
    let _ = kind::of("a/b", bytes);
    let _ = pyc::read(bytes).map(|pyc| pyc::not_in_source(&pyc, "x = 1\n"));
    let _ = pickle::read(bytes);
    let _ = media::read(bytes);
    let _ = native::read(bytes);
    let _ = unicode::read(&String::from_utf8_lossy(bytes));
    for hit in text::search(bytes) {
        assert!(hit.at <= hit.end && hit.end <= bytes.len());
        let _ = (text::place(bytes, hit.at), text::excerpt(bytes, hit.at, hit.end));
    }
    assert!(started.elapsed() < PATIENCE, "{} bytes took {:?}", bytes.len(), started.elapsed());
}

fn marshalled(body: &[u8]) -> Vec<u8> {
    [&[0xa7, 0x0d, b'\r', b'\n'][..], &[0; 12], body].concat()
}

#[test]
fn evil_compiled_files_end() {
    let evil: [Vec<u8>; 12] = [
        vec![],
        b"(".repeat(5),
        [&b"("[..], &u32::MAX.to_le_bytes()].concat(),
        [&b"("[..], &1u32.to_le_bytes()].concat().repeat(100_000),
        b"{".repeat(100_000),
        b")\xff".repeat(100_000),
        [&b"["[..], &1_000_000u32.to_le_bytes(), &vec![b'N'; 1_000_000]].concat(),
        [&b"l"[..], &i32::MIN.to_le_bytes()].concat(),
        [&b"r"[..], &7u32.to_le_bytes()].concat(),
        [&b"\xa9\x02"[..], b"r\0\0\0\0", b"r\0\0\0\0"].concat(),
        [&b"s"[..], &u32::MAX.to_le_bytes()].concat(),
        [&b"\xe3"[..], &[0; 20], &b"\xe3"[..]].concat().repeat(1000),
    ];
    for body in evil {
        let pyc = pyc::read(&marshalled(&body)).expect("the header is good");
        assert!(pyc.names.is_empty());
        all(&marshalled(&body));
    }
}

#[test]
fn nesting_of_marshalled_data_is_read_to_its_limit() {
    for (depth, whole) in [(100usize, true), (101, false)] {
        let body = [b")\x01".repeat(depth), b"N".to_vec()].concat();
        assert_eq!(pyc::read(&marshalled(&body)).expect("the header is good").whole, whole, "{depth}");
    }
}

#[test]
fn evil_pickles_end() {
    let many = |op: &[u8]| [b"\x80\x04", op.repeat(200_000).as_slice(), b"."].concat();
    for evil in [
        vec![0x80, 4],
        many(b"("),
        many(b"\x94"),
        many(b"\x8c\x01a"),
        many(b"\x93"),
        many(b"h\0"),
        many(b"2"),
        many(b"cos\nx\n"),
        [&b"\x80\x04X"[..], &u32::MAX.to_le_bytes()].concat(),
        [&b"\x80\x04\x8d"[..], &u64::MAX.to_le_bytes()].concat(),
        b"cos".to_vec(),
        b"\x80\x04.".repeat(100_000),
        b"\xff\xff\xff".to_vec(),
        b"(".repeat(4 << 20),
        many(b"\x8c\x01a("),
        many(b"()2"),
        many(b"t"),
    ] {
        assert!(pickle::read(&evil).globals.len() <= 500);
        all(&evil);
    }
    let names: Vec<u8> = (0..501).flat_map(|number| format!("cm\nn{number}\n").into_bytes()).collect();
    let read = pickle::read(&names);
    assert_eq!((read.globals.len(), read.cut), (500, true));
    assert!(!pickle::read(&names[..names.len() - 8]).cut);
}

#[test]
fn names_of_pickles_are_followed_through_the_memo() {
    let stack = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x85R.";
    let memo = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x300h\x00h\x01\x93).";
    for bytes in [&stack[..], &memo[..]] {
        assert_eq!(pickle::read(bytes).globals, [("posix".to_owned(), "system".to_owned())], "{bytes:?}");
    }
}

/// What lies beside a name on the stack moves it nowhere: whatever is pushed is taken off again, by its own opcode or by
/// that of a mark, and the name is told. Once in every way in which a value comes onto the stack.
#[test]
fn names_of_pickles_are_found_on_the_stack() {
    let pushes: [&[u8]; 37] = [
        b"N",
        b"\x88",
        b"\x89",
        b")",
        b"]",
        b"}",
        b"\x8f",
        b"\x97",
        b"K\x01",
        b"\x82\x01",
        b"M\0\x01",
        b"\x83\0\x01",
        b"J\0\0\0\x01",
        b"\x84\0\0\0\x01",
        b"G\0\0\0\0\0\0\0\0",
        b"\x8a\x01\x05",
        b"\x8b\x01\0\0\0\x05",
        b"I01\n",
        b"L5L\n",
        b"F1\n",
        b"Pa\n",
        b"C\x01a",
        b"B\x01\0\0\0a",
        b"\x8e\x01\0\0\0\0\0\0\0a",
        b"\x96\x01\0\0\0\0\0\0\0a",
        b"S'a'\n",
        b"Va\n",
        b"U\x01a",
        b"\x8c\x01a",
        b"T\x01\0\0\0a",
        b"X\x01\0\0\0a",
        b"\x8d\x01\0\0\0\0\0\0\0a",
        b"cm\nn\n",
        b"N20",
        b"(Nt",
        b"(im\nn\n",
        b"N\x94h\0\x86",
    ];
    let whole = |between: &[u8]| [b"\x80\x04\x8c\x02os\x8c\x06system", between, b"\x93)R."].concat();
    let system = ("os".to_owned(), "system".to_owned());
    for push in pushes {
        for between in [[push, b"0"].concat(), [b"(", push, b"1"].concat(), [b"\x8f(", push, b"\x900"].concat()] {
            let read = pickle::read(&whole(&between));
            assert!(read.whole && read.globals.contains(&system), "{push:?} {read:?}");
        }
    }
    // Taken apart again: what the memo, escapes and lines say.
    for bytes in [
        &b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94N\x94(h\x00h\x01h\x020\x93)R."[..],
        b"\x80\x04\x8c\x01x\x8c\x02os\x8c\x06systemp1_0\n0p+7\n0g7\ng10\n\x93)R.",
        b"S'o\\x73'\nV\\u0073ystem\n\x93)R.",
        b"S\"os\"\nS'system' \n\x93)R.",
    ] {
        let read = pickle::read(bytes);
        assert!(read.whole && read.globals.contains(&system), "{bytes:?} {read:?}");
    }
    // Where Python's machine fails, nothing more is loaded.
    for bytes in [
        &b"\x930cos\nsystem\n."[..],
        b"(\x85cos\nsystem\n.",
        b"0cos\nsystem\n.",
        b"tcos\nsystem\n.",
        b"2cos\nsystem\n.",
    ] {
        assert_eq!(pickle::read(bytes).globals, [], "{bytes:?}");
    }
    // A name that is worked out is told as one.
    let read = pickle::read(b"\x80\x04\x8c\x02os\x8c\x01m)\x86\x93.");
    assert_eq!(read.globals, [("os".to_owned(), pickle::UNKNOWN.to_owned())]);
}

#[test]
fn the_stack_of_a_pickle_forgets_its_depth_and_says_so() {
    let deep = |values: usize| {
        [b"\x80\x04\x8c\x02os".as_slice(), &b"N".repeat(values), &b"0".repeat(values), b"\x8c\x06system\x93."].concat()
    };
    let told = |values: usize| pickle::read(&deep(values)).globals;
    assert_eq!(told(99_999), [("os".to_owned(), "system".to_owned())]);
    assert_eq!(told(100_000), [(pickle::UNKNOWN.to_owned(), "system".to_owned())]);
    // A key is forgotten beyond the limit, never taken for what it was before.
    let keys: Vec<u8> = (0..100_001u32).flat_map(|key| [b"r".as_slice(), &key.to_le_bytes()].concat()).collect();
    let memo =
        [b"\x80\x04\x8c\x02os".as_slice(), &keys, b"0\x8c\x06systemr\0\0\0\x000j\xa0\x86\x01\0j\0\0\0\0\x93."].concat();
    assert_eq!(pickle::read(&memo).globals, [(pickle::UNKNOWN.to_owned(), "system".to_owned())]);
}

#[test]
fn evil_media_end() {
    let png = b"\x89PNG\r\n\x1a\n";
    for evil in [
        png.to_vec(),
        [&png[..], &[0xff; 8]].concat(),
        [&png[..], &[0; 100_000]].concat(),
        b"\xff\xd8".to_vec(),
        [&b"\xff\xd8"[..], &[0xff; 100_000]].concat(),
        b"\xff\xd8\xff\xe0\0\0".repeat(10_000),
        [&b"\xff\xd8\xff\xda\0\x02"[..], &[0; 100_000]].concat(),
        b"GIF89a\0\0\0\0\xff\0\0".to_vec(),
        [&b"GIF89a\0\0\0\0\0\0\0"[..], &b"\x21\xf9\x01\0\0".repeat(20_000)].concat(),
        [&b"RIFF"[..], &u32::MAX.to_le_bytes(), b"WAVEdata", &u32::MAX.to_le_bytes()].concat(),
        b"RIFF\0\0\0\0".repeat(50_000),
        b"BM\xff\xff\xff\xff".to_vec(),
    ] {
        let read = media::read(&evil);
        assert!(read.container_bytes.is_none_or(|bytes| bytes <= evil.len() as u64));
        all(&evil);
    }
}

#[test]
fn evil_programs_end() {
    let elf = |fill: u8| [&b"\x7fELF\x02\x01\x01"[..], &[fill; 4000]].concat();
    let mut pe = vec![0xff; 4000];
    pe[..2].copy_from_slice(b"MZ");
    pe[0x3c..0x40].copy_from_slice(&[0x40, 0, 0, 0]);
    pe[0x40..0x44].copy_from_slice(b"PE\0\0");
    let mach = |fill: u8| [&b"\xcf\xfa\xed\xfe"[..], &[fill; 4000]].concat();
    let fat = [&b"\xca\xfe\xba\xbe\0\0\0\x14"[..], &[0xff; 400]].concat();
    for evil in [
        b"\x7fELF".to_vec(),
        elf(0),
        elf(1),
        elf(0x7f),
        elf(0xff),
        b"MZ".to_vec(),
        pe[..0x44].to_vec(),
        pe,
        mach(0),
        mach(0xff),
        mach(1),
        fat,
    ] {
        all(&evil);
    }
}

#[test]
fn floods_of_needles_are_searched_in_linear_time() {
    for needle in [
        "curl https://",
        "powershell -e ",
        "discord.com/api/webhooks/",
        "nc -",
        "/dev/tcp/",
        ":AA",
        "certutil -urlcache ",
        "@reboot ",
        "ignore all previous ",
        ".oast.fun",
        "base64 -d",
        "iex ",
    ] {
        let flood = needle.repeat((2 << 20) / needle.len());
        all(flood.as_bytes());
    }
    // One hit behind a flood of needles is still found.
    let sink = "https://c8f2k1m9q0.oast.fun/x";
    let behind = format!("{}{sink}", ".oast. ".repeat(10_000));
    assert!(text::search(behind.as_bytes()).iter().any(|hit| hit.rule.name == "callback-host"));
}

#[test]
fn every_rule_has_an_expression() {
    for rule in text::RULES {
        assert!(text::compiles(rule), "{}", rule.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_bring_a_reader_down(bytes in vec(any::<u8>(), 0..3000)) {
        all(&bytes);
        for magic in [&b"\x80\x04"[..], b"\x7fELF\x02\x01\x01", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF", b"\xcf\xfa\xed\xfe"] {
            all(&[magic, &bytes].concat());
        }
        all(&marshalled(&bytes));
        all(&marshalled(&[b"\xe3", bytes.as_slice()].concat()));
    }
}

/// Goal: what the expression takes has a needle, without which it is never tried.
#[test]
fn every_way_to_say_it_is_found() {
    let says = |text: &str| text::search(text.as_bytes()).iter().any(|hit| hit.rule.name == "to-the-model");
    for never in ["do not", "Don't"] {
        for verb in ["tell", "mention", "inform"] {
            assert!(says(&format!("{never} {verb} the user")), "{never} {verb}");
            assert!(says(&format!("{never} {verb} this to the user")), "{never} {verb} this");
        }
    }
    for verb in ["telling", "mentioning", "informing", "mention", "tell", "inform"] {
        assert!(says(&format!("without {verb} the user")), "without {verb}");
    }
    for verb in ["ignore", "disregard"] {
        assert!(says(&format!("{verb} all previous instructions")), "{verb}");
    }
}

#[test]
fn what_acts_speaks_under_any_name() {
    for source in
        ["import os as o\no.system('true')", "from os import system", "from urllib import request as r", "o.environ"]
    {
        assert!(super::text::speaks(source.as_bytes()), "{source}");
    }
    assert!(!super::text::speaks(b"TABLE = [1, 2, 3]\ndef at(n):\n    return TABLE[n]\n"));
}
