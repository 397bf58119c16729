//! What the targets assert, so that an ordinary test can replay their seeds.

use std::fs::File;
use std::io::Write;

use archive::members::{WalkLimits, walk_bytes};
use inspect::checks::Context;
use inspect::formats::{media, native, pickle, pyc, text, unicode};
use inspect::python::{self, Limits};
use inspect::{EXCERPT_CHARS_MAX, FINDINGS_MAX, Profile, Subject, WHY_CHARS_MAX, kind};

/// Every reader over everything: what a member is decides which one runs, and an attacker decides what it is.
pub fn formats(bytes: &[u8]) {
    for path in ["a", "a.py", "a/METADATA"] {
        let _ = kind::of(path, bytes);
    }
    for read in [pyc::read(bytes), pyc::read_code(bytes)].into_iter().flatten() {
        let _ = pyc::not_in_source(&read, "x = 1\n");
    }
    let read = pickle::read(bytes);
    assert!(read.globals.len() <= 500 && read.globals.iter().all(|(module, name)| module.len() + name.len() <= 1_200));
    let read = media::read(bytes);
    let accounted = read.container_bytes.unwrap_or(0) + read.trailing_bytes;
    assert!(accounted <= bytes.len() as u64);
    let _ = native::read(bytes);
    assert!(native::entropy(bytes) <= 8_000);
    let _ = unicode::read(&String::from_utf8_lossy(bytes));
    for hit in text::search(bytes) {
        assert!(hit.at <= hit.end && hit.end <= bytes.len());
        let (line, column) = text::place(bytes, hit.at);
        assert!(line >= 1 && column >= 1);
        let _ = text::excerpt(bytes, hit.at, hit.end);
    }
}

/// Python of any bytes, alone and beside a module that imports it. The same bytes give the same facts.
pub fn python(bytes: &[u8]) {
    let limits = limits();
    let one = || python::read(bytes, &limits);
    let other = python::read(b"from a import *\nimport a\nexec(a.x)\na.f(open('/etc/passwd').read())\n", &limits);
    let modules = vec![("a.py".to_owned(), one()), ("b.py".to_owned(), other)];
    let program = python::link(modules, &[], &limits);
    for seen in program.effects() {
        let _ = (seen.effect.text(), seen.layer().len(), seen.labels.names().count());
    }
    for chain in program.chains() {
        let _ = program.chain_end(chain);
    }
    let again = python::link(vec![("a.py".to_owned(), one())], &[], &limits);
    let once_more = python::link(vec![("a.py".to_owned(), one())], &[], &limits);
    assert_eq!(again.words(), once_more.words());
}

/// Less than the defaults, so that a bomb does not slow the search down.
fn limits() -> Limits {
    Limits { fold_steps_max: 1 << 17, fold_bytes_max: 1 << 20, value_bytes_max: 1 << 18, ..Limits::default() }
}

/// What stands before and behind a literal so that the engine takes an encoding off, and runs what comes out.
const WRAPPERS: &[(&str, &str)] = &[
    ("import base64\nexec(base64.b64decode(", "))"),
    ("import base64\nexec(base64.urlsafe_b64decode(", "[::-1]))"),
    ("import base64\nexec(base64.b32decode(", "))"),
    ("import base64\nexec(base64.b85decode(", "))"),
    ("import base64\nexec(base64.a85decode(", "))"),
    ("exec(bytes.fromhex(", ".decode()))"),
    ("import zlib\nexec(zlib.decompress(", "))"),
    ("import zlib\nexec(zlib.decompress(", ", -15))"),
    ("import gzip\nexec(gzip.decompress(", "))"),
    ("import bz2\nexec(bz2.decompress(", "))"),
    ("import lzma\nexec(lzma.decompress(", "))"),
    ("import marshal\nexec(marshal.loads(", "))"),
    ("import pickle\npickle.loads(", ")"),
    ("import codecs\nexec(codecs.decode(", ".decode('latin-1'), 'rot13'))"),
    ("import codecs\nexec(codecs.decode(", ", 'unicode_escape'))"),
    ("exec(''.join(chr(c ^ 7) for c in ", "))"),
    ("exec(bytes(a ^ b for a, b in zip(", ", b'key' * 999)))"),
    ("exec(''.join(map(chr, ", ")))"),
    (
        "from cryptography.fernet import Fernet\nexec(Fernet(b'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=').decrypt(",
        "))",
    ),
    ("from Crypto.Cipher import AES\nexec(AES.new(b'0123456789abcdef', AES.MODE_CBC, b'0' * 16).decrypt(", "))"),
    ("from Crypto.Cipher import AES\nexec(AES.new(b'0123456789abcdef', AES.MODE_CTR, nonce=b'0').decrypt(", "))"),
    ("from Crypto.Cipher import ARC4\nexec(ARC4.new(b'k').decrypt(", "))"),
    ("eval(compile(", ", 'x', 'exec'))"),
    ("open('x.py', 'wb').write(", ")\nimport os\nos.system('python x.py')"),
];

/// A literal under an encoding that the first byte chooses, twice when its highest bit is set.
pub fn layers(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let wrap = |which: u8, bytes: &[u8]| {
        let (before, behind) = WRAPPERS[usize::from(which) % WRAPPERS.len()];
        let literal: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("{before}b'{literal}'{behind}\n")
    };
    let source = wrap(first & 0x7f, rest);
    python::read(source.as_bytes(), &limits());
    if first & 0x80 != 0 && rest.len() < 1_000 {
        let outer = wrap(14, source.as_bytes());
        python::read(outer.as_bytes(), &limits());
    }
}

/// Any archive: every member is visited within the limits, and the streams end.
pub fn members(bytes: &[u8]) {
    let limits =
        WalkLimits { members_max: 200, unpacked_bytes_max: 1 << 20, path_bytes_max: 100, ..WalkLimits::default() };
    let (mut visited, mut read) = (0u64, 0u64);
    let mut buffer = Vec::new();
    let walk = walk_bytes(bytes, &limits, &mut |head, stream| {
        assert!(head.path.len() <= 100 + 32, "{}", head.path);
        visited += 1;
        buffer.clear();
        // Some are left unread, and what follows must not shift.
        if visited % 3 != 0 {
            read += stream.read_to_end(&mut buffer).expect("the stream never fails") as u64;
        }
    });
    assert_eq!(visited, walk.members);
    assert!(visited <= 200 + 1 && read <= 1 << 20, "{visited} {read}");
}

/// The whole inspection of a file, as a wheel, an sdist and anything, within what a ledger takes.
pub fn whole(bytes: &[u8]) {
    let mut file: File = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    let named = |name: &str| Subject::Distribution(name.into());
    for subject in [Subject::AnyArchive, named("pkg-1.0-py3-none-any.whl"), named("pkg-1.0.tar.gz")] {
        let previous = Profile { version: Profile::VERSION, ..Profile::default() };
        let context = Context { previous: Some(&previous), ..Context::default() };
        let inspection = inspect::inspect_here(&file, &subject, &inspect::Limits::default(), context);
        assert!(inspection.findings.len() <= FINDINGS_MAX && inspection.profile.words.len() <= Profile::WORDS_MAX);
        for finding in &inspection.findings {
            assert!(finding.why.chars().count() <= WHY_CHARS_MAX);
            assert!(finding.excerpt.chars().count() <= EXCERPT_CHARS_MAX);
        }
    }
}
