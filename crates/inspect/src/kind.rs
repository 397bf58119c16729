//! What a member is: by its content first, by its name second.

use crate::formats::pickle;

/// What a member is, as far as inspection treats it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Python source.
    Python,
    /// Compiled Python.
    Pyc,
    /// A pickle, alone or in a model file.
    Pickle,
    /// ELF.
    Elf,
    /// A Windows executable or library.
    Pe,
    /// A macOS executable or library.
    MachO,
    /// A script of a Unix shell.
    Shell,
    /// PowerShell.
    PowerShell,
    /// A batch file or a script of the Windows host.
    Batch,
    /// JavaScript or TypeScript.
    JavaScript,
    /// Settings of other tools: workflows, editors, assistants, hooks.
    ToolConfig,
    /// A path file, of which the interpreter runs the import lines at every start.
    Pth,
    /// METADATA, PKG-INFO, WHEEL, RECORD, entry points.
    Metadata,
    /// A picture or sound.
    Media,
    /// An archive.
    Archive,
    /// Prose, settings, data in text form.
    Text,
    /// Anything else.
    Data,
}

impl Kind {
    /// A word for profiles and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Pyc => "pyc",
            Self::Pickle => "pickle",
            Self::Elf => "elf",
            Self::Pe => "pe",
            Self::MachO => "mach-o",
            Self::Shell => "shell",
            Self::PowerShell => "powershell",
            Self::Batch => "batch",
            Self::JavaScript => "javascript",
            Self::ToolConfig => "tool-config",
            Self::Pth => "pth",
            Self::Metadata => "metadata",
            Self::Media => "media",
            Self::Archive => "archive",
            Self::Text => "text",
            Self::Data => "data",
        }
    }

    /// A program of the machine.
    pub fn is_native(self) -> bool {
        matches!(self, Self::Elf | Self::Pe | Self::MachO)
    }

    /// A script that an interpreter other than Python runs.
    pub fn is_script(self) -> bool {
        matches!(self, Self::Shell | Self::PowerShell | Self::Batch | Self::JavaScript)
    }

    /// Whether the checks read its text.
    pub fn is_text(self) -> bool {
        match self {
            Self::Python | Self::Shell | Self::PowerShell | Self::Batch | Self::JavaScript => true,
            Self::ToolConfig | Self::Pth | Self::Metadata | Self::Text => true,
            Self::Pyc | Self::Pickle | Self::Elf | Self::Pe | Self::MachO => false,
            Self::Media | Self::Archive | Self::Data => false,
        }
    }
}

/// Files of other tools that act when a folder is opened, a commit is made or an assistant is started.
const TOOL_FILES: &[&str] = &[
    ".vscode/tasks.json",
    ".vscode/settings.json",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".cursor/mcp.json",
    ".cursor/hooks.json",
    ".devcontainer/devcontainer.json",
    ".devcontainer.json",
    ".gitpod.yml",
    ".mcp.json",
    ".gemini/settings.json",
    ".pre-commit-config.yaml",
    "CLAUDE.md",
    "AGENTS.md",
    "GEMINI.md",
    ".cursorrules",
    ".windsurfrules",
    ".github/copilot-instructions.md",
];

/// Names of files in which an index or an installer looks for metadata.
const METADATA_FILES: &[&str] = &["METADATA", "PKG-INFO", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt"];

/// Decides from the path and the first bytes of the content.
pub fn of(path: &str, bytes: &[u8]) -> Kind {
    let name = path.rsplit(['/', '!']).next().unwrap_or(path);
    let extension = extension(name);
    // What runs by its name runs whatever it begins with: `GIF89a = 1` is Python, and no picture. Python reads control
    // characters in a literal as well; other interpreters stop at them sooner or later.
    let runs = source(&extension).filter(|kind| is_text(bytes) || matches!(kind, Kind::Python | Kind::Pth));
    let script = by_shebang(bytes);
    if let Some(kind) = runs.or_else(|| by_content(bytes).filter(|_| script.is_none())) {
        return kind;
    }
    if is_tool_file(path) {
        return Kind::ToolConfig;
    }
    if METADATA_FILES.contains(&name) {
        return Kind::Metadata;
    }
    match extension.as_str() {
        "pyc" | "pyo" => Kind::Pyc,
        "pkl" | "pickle" | "joblib" => Kind::Pickle,
        other => source(other).or(script).unwrap_or(if is_text(bytes) { Kind::Text } else { Kind::Data }),
    }
}

/// What a source is besides: nothing of one that is text, else what its content would be under another name.
pub fn besides(kind: Kind, bytes: &[u8]) -> Option<Kind> {
    let source = matches!(kind, Kind::Python | Kind::Pth) && !is_text(bytes);
    source.then(|| by_content(bytes).unwrap_or(Kind::Data))
}

fn extension(name: &str) -> String {
    name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase()
}

/// Sources of interpreters that go by the name.
fn source(extension: &str) -> Option<Kind> {
    Some(match extension {
        "py" | "pyw" | "pyi" | "pyx" => Kind::Python,
        "pth" => Kind::Pth,
        "sh" | "bash" | "zsh" | "ksh" | "fish" => Kind::Shell,
        "ps1" | "psm1" | "psd1" => Kind::PowerShell,
        "bat" | "cmd" | "vbs" | "vbe" | "wsf" | "hta" => Kind::Batch,
        "js" | "mjs" | "cjs" | "ts" => Kind::JavaScript,
        _ => return None,
    })
}

fn is_tool_file(path: &str) -> bool {
    let ends = |file: &str| path == file || path.strip_suffix(file).is_some_and(|before| before.ends_with(['/', '!']));
    let workflow = path.contains(".github/workflows/") && (path.ends_with(".yml") || path.ends_with(".yaml"));
    workflow || path.contains(".git/hooks/") || path.contains(".husky/") || TOOL_FILES.iter().any(|file| ends(file))
}

/// First bytes by which a format is known that has no more to look at. The one such table: what stands under an encoding in a
/// source is known by it too.
const MAGIC: &[(&[u8], Kind)] = &[
    (b"\x7fELF", Kind::Elf),
    // Mach-O for one processor: 32 and 64 bits, in either order of bytes.
    (b"\xfe\xed\xfa\xce", Kind::MachO),
    (b"\xfe\xed\xfa\xcf", Kind::MachO),
    (b"\xce\xfa\xed\xfe", Kind::MachO),
    (b"\xcf\xfa\xed\xfe", Kind::MachO),
    (b"\x89PNG\r\n\x1a\n", Kind::Media),
    (b"\xff\xd8\xff", Kind::Media),
    (b"GIF87a", Kind::Media),
    (b"GIF89a", Kind::Media),
    (b"RIFF", Kind::Media),
    (b"OggS", Kind::Media),
    (b"fLaC", Kind::Media),
    (b"ID3", Kind::Media),
    (b"PK\x03\x04", Kind::Archive),
    (b"PK\x05\x06", Kind::Archive),
    (b"\x1f\x8b\x08", Kind::Archive),
    (b"\xfd7zXZ\0", Kind::Archive),
    (b"7z\xbc\xaf\x27\x1c", Kind::Archive),
    (b"Rar!\x1a\x07", Kind::Archive),
];

/// Formats whose first bytes say what they are.
pub(crate) fn by_content(bytes: &[u8]) -> Option<Kind> {
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(*kind);
    }
    if is_pe(bytes) {
        return Some(Kind::Pe);
    }
    if is_fat_macho(bytes) {
        return Some(Kind::MachO);
    }
    if is_bmp(bytes) {
        return Some(Kind::Media);
    }
    if is_bzip2(bytes) || bytes.get(257..262) == Some(b"ustar") {
        return Some(Kind::Archive);
    }
    // A magic number, then CR LF, then flags of which only the lowest two are defined.
    if let [low, high, b'\r', b'\n', flags, 0, 0, 0, ..] = bytes
        && (3000..4200).contains(&u16::from_le_bytes([*low, *high]))
        && *flags <= 3
    {
        return Some(Kind::Pyc);
    }
    // Protocol 2 to 5, and an opcode that can be the first.
    if let [0x80, 2..=5, next, ..] = bytes
        && pickle::can_be_first(*next)
    {
        return Some(Kind::Pickle);
    }
    (is_object_array(bytes) || is_written_pickle(bytes)).then_some(Kind::Pickle)
}

/// Fonts and PDFs: to the checks of members data like any other, under an encoding one with an honest name.
pub(crate) fn is_document(bytes: &[u8]) -> bool {
    const DOCUMENTS: &[&[u8]] = &[b"wOFF", b"wOF2", b"\0\x01\0\0\0", b"OTTO", b"%PDF"];
    DOCUMENTS.iter().any(|magic| bytes.starts_with(magic))
}

/// NumPy's own format (NEP 1) with elements that are objects: behind the header stands a pickle.
fn is_object_array(bytes: &[u8]) -> bool {
    const HEADER_BYTES: usize = 200;
    let header = &bytes[..bytes.len().min(HEADER_BYTES)];
    header.starts_with(b"\x93NUMPY") && header.windows(2).any(|pair| pair == b"|O")
}

/// A pickle of the oldest protocol that begins by importing what runs something: it is printable throughout.
fn is_written_pickle(bytes: &[u8]) -> bool {
    const RUNS: &[&[u8]] =
        &[b"cos\n", b"cposix\n", b"cnt\n", b"c__builtin__\n", b"cbuiltins\n", b"csubprocess\n", b"crunpy\n", b"cpty\n"];
    RUNS.iter().any(|import| bytes.starts_with(import))
}

/// `MZ`, and where that header points, `PE`.
pub(crate) fn is_pe(bytes: &[u8]) -> bool {
    let Some(at) = bytes.get(0x3c..0x40).filter(|_| bytes.starts_with(b"MZ")) else { return false };
    let at = u32::from_le_bytes([at[0], at[1], at[2], at[3]]) as usize;
    bytes.get(at..).is_some_and(|header| header.starts_with(b"PE\0\0"))
}

/// Programs for several processors. Java classes share the magic; their next number is a version, never so small.
fn is_fat_macho(bytes: &[u8]) -> bool {
    matches!(bytes, [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 1..=20, ..])
}

/// A level, and the sign of a block or of the end: three letters alone begin texts too.
fn is_bzip2(bytes: &[u8]) -> bool {
    match bytes {
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] => {
            rest.starts_with(b"1AY&SY") || rest.starts_with(b"\x17\x72\x45\x38\x50\x90")
        }
        _ => false,
    }
}

fn is_bmp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BM") && matches!(bytes.get(6..10), Some([0, 0, 0, 0])) && bytes.len() > 26
}

/// The interpreter that the first line names.
pub(crate) fn by_shebang(bytes: &[u8]) -> Option<Kind> {
    let line = bytes.strip_prefix(b"#!")?;
    let line = &line[..line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len()).min(200)];
    let line = String::from_utf8_lossy(line).into_owned();
    if line.contains("python") || line.contains("pypy") {
        Some(Kind::Python)
    } else if line.contains("node") || line.contains("bun") || line.contains("deno") {
        Some(Kind::JavaScript)
    } else if line.contains("sh") {
        Some(Kind::Shell)
    } else {
        None
    }
}

/// Whether the beginning reads as text: no NUL, and hardly a control character.
fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    let control =
        head.iter().filter(|byte| **byte < 32 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)).count();
    !head.contains(&0) && control * 50 <= head.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_wins_over_names_that_nothing_runs_by() {
        let mut pe = vec![0; 0x80];
        pe[..2].copy_from_slice(b"MZ");
        pe[0x3c] = 0x40;
        pe[0x40..0x44].copy_from_slice(b"PE\0\0");
        for (path, bytes, kind) in [
            ("a.png", pe.as_slice(), Kind::Pe),
            ("a.py", b"\x7fELF\x02\x01", Kind::Python),
            ("a.py", b"ID3 = '\x01\x01\x01\x01'\n", Kind::Python),
            ("a.pth", b"BZh\0\x01\nimport os\n", Kind::Pth),
            ("a.txt", b"PK\x03\x04....", Kind::Archive),
            ("a.py", b"GIF89a = 1\n", Kind::Python),
            ("a.py", b"BZh = RIFF = 1\n", Kind::Python),
            ("a.sh", b"RIFF=1; true\n", Kind::Shell),
            ("a.dat", b"RIFF....WAVE", Kind::Media),
            ("a.py", b"GIF89a\x01\0\x01\0", Kind::Python),
            ("a.sh", b"\x7fELF\x02\x01", Kind::Elf),
            ("a.dat", b"\x80\x04\x95\0\0\0\0\0\0\0\0.", Kind::Pickle),
            ("a.npy", b"\x93NUMPY\x01\0v\0{'descr': '|O', }", Kind::Pickle),
            ("a.npy", b"\x93NUMPY\x01\0v\0{'descr': '<f8', }", Kind::Data),
            ("a.dat", b"\x80\x02NNcos\nsystem\n", Kind::Pickle),
            ("a.dat", b"\x80\x02RRcos\nsystem\n", Kind::Data),
            ("a.dat", b"BZh91AY&SY....", Kind::Archive),
            ("a.txt", b"BZh is a beginning\n", Kind::Text),
            ("a.txt", b"Rar! it is\n", Kind::Text),
            ("a.ttf", b"\0\x01\0\0\0\x10", Kind::Data),
            ("a.dat", b"cos\nsystem\n(S'true'\ntR.", Kind::Pickle),
            ("a.dat", b"\xcb\x0d\r\n\0\0\0\0", Kind::Pyc),
            ("a.pyc", b"x", Kind::Pyc),
            ("A.class", b"\xca\xfe\xba\xbe\0\0\0\x34", Kind::Data),
            ("lib", b"\xca\xfe\xba\xbe\0\0\0\x02", Kind::MachO),
            ("MZ.txt", b"MZ is no executable", Kind::Text),
            ("bin/run", b"#!/usr/bin/env python3\n", Kind::Python),
            ("bin/run", b"#!/bin/sh\n", Kind::Shell),
            ("x.pth", b"import os\n", Kind::Pth),
            ("p-1/PKG-INFO", b"Name: p\n", Kind::Metadata),
            ("p-1/.github/workflows/ci.yml", b"on: push\n", Kind::ToolConfig),
            ("p/CLAUDE.md", b"# x\n", Kind::ToolConfig),
            ("p/NOTCLAUDE.md", b"# x\n", Kind::Text),
            ("p/noise", b"\0\x01\x02", Kind::Data),
            ("", b"", Kind::Text),
        ] {
            assert_eq!(of(path, bytes), kind, "{path} {bytes:?}");
        }
    }
}
