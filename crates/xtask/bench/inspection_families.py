"""Structural families of a registry of malicious packages: a git repository of `PROJECT/VERSION/ARCHIVE`.

Blobs are read through `git cat-file --batch` and taken apart in memory, as text. Nothing of them reaches the disk but the
list of families, which holds names and ids.

The skeleton of an archive is its set of (member path, code hash). In a path the project's name and version are replaced.
The hash of a `.py` member is of its lines without names, numbers, strings, comments and equal neighbours; other members
count by path; what packaging writes by itself does not count. Equal skeletons are one family. So are skeletons of ten code
lines or more whose sets of lines are alike (Jaccard) by nine tenths to the family's first; below that a line is the payload.
"""

import hashlib
import io
import json
import keyword
import multiprocessing
import os
import random
import re
import subprocess
import tarfile
import zipfile

# Raised when the definition changes, as families are kept.
DEFINITION = 1
LAST_YEAR = 2024
ENDINGS = (".tar.gz", ".tgz", ".whl", ".zip", ".tar.bz2", ".tar.xz", ".tar", ".egg")
UNPACKED_BYTES_MAX, SOURCE_BYTES_MAX, MEMBERS_MAX = 64 << 20, 1 << 20, 20_000
LIKENESS, LINES_LEAST = .9, 10
KEYWORDS = set(keyword.kwlist)
TOKEN = re.compile(r"""
  (?P<comment>\#[^\n]*)
 |(?P<string>[rRbBuUfF]{0,3}(?:\"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z)|'''(?:[^\\]|\\.)*?(?:'''|\Z)|"(?:[^"\\\n]|\\.)*(?:"|$)|'(?:[^'\\\n]|\\.)*(?:'|$)))
 |(?P<word>[^\W\d]\w*)
 |(?P<digit>\d[\w.]*)
 |(?P<newline>\n[ \t]*)
 |(?P<blank>[ \t\r\f\\]+)
 |(?P<other>.)""", re.X | re.S | re.M)
LISTS = re.compile(r"(?:l ?,){2,}")
OWN = re.compile(r"(^|/)(PKG-INFO|METADATA|RECORD|WHEEL|setup\.cfg|README[^/]*|LICENSE[^/]*|[^/]*\.(egg|dist)-info/.*|[^/]*\.md|[^/]*\.txt|"
                 r"MANIFEST\.in)$", re.I)


def git(repository, *arguments):
    return subprocess.run(["git", "-C", repository, *arguments], capture_output=True, check=True).stdout.decode()


def must_be_old(repository, commit):
    """Later cohorts are kept for the exam."""
    dates = git(repository, "log", "--format=%cI", "-1", commit).strip()
    if int(dates[:4]) > LAST_YEAR:
        raise SystemExit(f"{commit} is of {dates[:10]}: only commits up to {LAST_YEAR} are looked at")


def contents(repository, blobs):
    """Their bytes, one after the other; nothing for one that the repository lacks."""
    with subprocess.Popen(["git", "-C", repository, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for blob in blobs:
            process.stdin.write(f"{blob}\n".encode())
            process.stdin.flush()
            head = process.stdout.readline().split()
            if len(head) != 3:
                yield None
                continue
            yield process.stdout.read(int(head[2]))
            process.stdout.read(1)
        process.stdin.close()


def code_lines(text):
    """Lines as their shape: names `n`, literals `l`, keywords and operators as they are."""
    lines, line = [], []
    for match in TOKEN.finditer(text + "\n"):
        kind, found = match.lastgroup, match.group()
        if kind == "newline" and line:
            shape = LISTS.sub("l,", "".join(line))
            if not lines or lines[-1] != shape:
                lines.append(shape)
            line = []
        elif kind == "word":
            line.append(f" {found} " if found in KEYWORDS else "n")
        elif kind in ("string", "digit"):
            line += ["l"] if line[-1:] != ["l"] else []
        elif kind == "other":
            line.append(found)
    return lines


def members(content):
    """(path, source of a `.py` member or None), within limits."""
    left = UNPACKED_BYTES_MAX
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist()[:MEMBERS_MAX]:
                source = None
                if info.filename.endswith(".py") and left > 0:
                    try:
                        with archive.open(info) as member:
                            source = member.read(SOURCE_BYTES_MAX)
                    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):
                        source = b""
                    left -= len(source)
                if not info.is_dir():
                    yield info.filename, source
        return
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:*") as archive:
        for number, info in enumerate(archive):
            if number > MEMBERS_MAX or info.offset > 16 * UNPACKED_BYTES_MAX:
                return
            source = None
            if info.isfile() and info.name.endswith(".py") and left > 0:
                source = archive.extractfile(info).read(SOURCE_BYTES_MAX)
                left -= len(source)
            if info.isfile():
                yield info.name, source


def neutral(path, project, version):
    for joint in ("-", "_", ".", "", project):
        spelling = project if joint == project else re.sub(r"[-_.]+", joint, project)
        path = re.sub(re.escape(spelling), "NAME", path, flags=re.I)
    return path.replace(version, "VERSION").lower()


def skeleton(path, content):
    """(hash of the skeleton, hashes of its code lines)."""
    project, version = path.split("/")[0], path.split("/")[1]
    shape, lines = set(), set()
    try:
        for name, source in members(content):
            name = neutral(name, project, version)
            if OWN.search(name):
                continue
            digest = ""
            if source is not None:
                found = code_lines(source.decode("utf-8", "replace"))
                digest = hashlib.sha1("\n".join(found).encode()).hexdigest()
                lines.update(hashlib.sha1(line.encode()).digest()[:8] for line in found if len(line) > 2)
            shape.add((name, digest))
    except Exception as error:  # A hostile archive may raise anything; what is told of it is that it did.
        shape.add((f"unreadable: {type(error).__name__}", str(len(content) // 4096)))
    return hashlib.sha1(json.dumps(sorted(shape)).encode()).hexdigest(), lines


def skeletons(job):
    repository, rows = job
    found = zip(rows, contents(repository, [blob for _, blob in rows]))
    return [(path, blob, *skeleton(path, content)) for (path, blob), content in found if content is not None]


def archives(repository, commit):
    """(path, blob) of every archive in the tree, each blob once."""
    found = {}
    for entry in git(repository, "ls-tree", "-r", "-z", commit).split("\0"):
        head, _, path = entry.partition("\t")
        if path.endswith(ENDINGS) and path.count("/") >= 2:
            found.setdefault(head.split()[2], path)
    return sorted((path, blob) for blob, path in found.items())


def grouped(rows):
    """Lists of (path, blob), a family each, from (path, blob, skeleton, lines)."""
    exact, lines = {}, {}
    for path, blob, key, of in rows:
        exact.setdefault(key, []).append((path, blob))
        lines.setdefault(key, of)
    firsts, families = [], {}
    for key in sorted(exact, key=lambda key: (-len(lines[key]), key)):
        count, home = len(lines[key]), key
        for first in reversed(firsts) if count >= LINES_LEAST else ():
            most = len(lines[first])
            if count < LIKENESS * most:
                break
            common = len(lines[key] & lines[first])
            if common >= LIKENESS * (count + most - common):
                home = first
                break
        if home == key and count >= LINES_LEAST:
            firsts.append(key)
        families.setdefault(home, []).extend(exact[key])
    return sorted((sorted(family) for family in families.values()), key=lambda family: (-len(family), family))


def may_be_read(family):
    """Whether a family is of the half that whoever writes checks may look into; of the other only verdicts are counted."""
    return hashlib.sha256(f"half {family['blob']}".encode()).digest()[0] < 128


def families(repository, commit, cache):
    """One archive of each family, drawn with a seed: `family`, `archives` in it, `blob`, `name`. Largest first."""
    must_be_old(repository, commit)
    kept = cache / f"families-{git(repository, 'rev-parse', commit).strip()}-{DEFINITION}.json"
    if not kept.exists():
        rows = archives(repository, commit)
        jobs = [(repository, rows[first:first + 50]) for first in range(0, len(rows), 50)]
        with multiprocessing.Pool(os.cpu_count()) as pool:
            read = sorted(row for part in pool.imap_unordered(skeletons, jobs) for row in part)
        print(f"\n{len(rows)} distinct archives, {len(rows) - len(read)} of them absent, {len({row[2] for row in read})} skeletons", flush=True)
        chance, found = random.Random(4), []
        for number, family in enumerate(grouped(read)):
            path, blob = chance.choice(family)
            found.append({"family": f"F{number:04}", "archives": len(family), "blob": blob, "name": path.rsplit("/", 1)[1]})
        cache.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))
    return json.loads(kept.read_text())
