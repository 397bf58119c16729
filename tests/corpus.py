"""Files good and bad of every kind, for whatever must give one answer about each of them."""

import gzip
import io
import tarfile
import zipfile

from packages import Package, sdist, wheel, zip_bytes


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def special(name, kind):
    info = tarfile.TarInfo(name)
    info.type = kind
    return info, b""


def raw(package, data):
    return Package(package.filename, data, package.fields)


def flipped(package, at):
    data = bytearray(package.data)
    data[at] ^= 0xFF
    return raw(package, bytes(data))


def member(name, method=zipfile.ZIP_DEFLATED, mode=0o644):
    info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    info.compress_type, info.external_attr = method, mode << 16
    return info


def streamed(name="streamed"):
    """A wheel written as a stream: data descriptors after each member."""

    class Unseekable(io.RawIOBase):
        def __init__(self):
            self.data = bytearray()

        def writable(self):
            return True

        def write(self, part):
            self.data += bytes(part)
            return len(part)

    source, out = wheel(name), Unseekable()
    with zipfile.ZipFile(io.BytesIO(source.data)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    return raw(source, bytes(out.data))


def good():
    """Accepted under the private profile."""
    yield "pure wheel", wheel("good-pure")
    yield "platform wheel", wheel("good-platform", tag="cp311-cp311-macosx_11_0_arm64")
    yield "plain linux tag", wheel("good-linux", tag="cp311-cp311-linux_x86_64")
    yield "several tags", wheel("good-tags", tag="py2.py3-none-any")
    yield "build number", wheel("good-build", build="2b")
    yield "local version", wheel("good-local", "1.0+cuda.12")
    yield "epoch", wheel("good-epoch", "1!2.0")
    for version in ("1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5"):
        yield f"metadata {version}", wheel(f"good-metadata-{version[0]}{version[2]}", metadata_version=version)
    yield "sdist pax", sdist("good-pax")
    yield "sdist gnu", sdist("good-gnu", format=tarfile.GNU_FORMAT)
    yield "sdist ustar", sdist("good-ustar", format=tarfile.USTAR_FORMAT)
    yield "long path", sdist("good-long", files={"a" * 90 + "/" + "b" * 90 + "/c.py": b"x"})
    yield "unicode path", sdist("good-unicode", files={"données/été.txt": b"x"})
    yield "entry points", wheel("good-entry", entry_points="[console_scripts]\nrun = good_entry:main\n")
    yield "direct requirement", wheel("good-direct", requires_dist="x @ https://example.org/x.whl")
    yield "private classifier", wheel("good-private", classifier="Private :: Do Not Upload")
    yield "end record inside data", wheel("good-pk", files={"x.bin": b"PK\x05\x06" * 50})
    yield "description", wheel("good-text", description="Text.\n", description_content_type="text/plain")


def bad_metadata():
    """Refused by what they say."""
    yield "unknown classifier", wheel("bad-classifier", classifier="No :: Such")
    yield "requires-python", wheel("bad-python", requires_python="three")
    yield "requirement", wheel("bad-requirement", requires_dist="a b c")
    yield "metadata version", wheel("bad-version", metadata_version="9.9")
    yield "newer field", wheel("bad-newer", metadata_version="2.1", license_expression="MIT")
    yield "summary of two lines", wheel("bad-summary", summary="x" * 513)
    yield "e-mail", wheel("bad-mail", author_email="nonsense")
    yield "url", wheel("bad-url", home_page="javascript:alert(1)")
    yield "project url", wheel("bad-project-url", project_url="no comma")
    yield "spdx", wheel("bad-spdx", metadata_version="2.4", license_expression="Not A License")
    yield "content type", wheel("bad-type", description="x", description_content_type="text/evil")
    yield "extra", wheel("bad-extra", provides_extra="-x-")
    yield "several", wheel("bad-several", classifier="No", requires_python="no", author_email="no")
    yield "other name inside", wheel("bad-inner", metadata=b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    yield "other version inside", wheel("bad-inner-v", metadata=b"Metadata-Version: 2.1\nName: bad-inner-v\nVersion: 2\n")
    yield "no name inside", wheel("bad-noname", metadata=b"Metadata-Version: 2.1\nVersion: 1.0\n")
    yield "not UTF-8", wheel("bad-utf8", metadata=b"Metadata-Version: 2.1\nName: bad-utf8\nVersion: 1.0\nSummary: \xff\n")
    yield "upper-case file name", wheel("bad-case").named("Bad_Case-1.0-py3-none-any.whl")
    yield "platform tag", wheel("bad-tag", tag="py3-none-solaris_1_sparc")
    yield "zip sdist", wheel("bad-zip").named("bad-zip-1.0.zip")
    yield "old sdist name", sdist("bad-name").named("bad-name-1.0.tar.gz")
    yield "no version in name", wheel("bad-short").named("bad_short.whl")


def bad_archives():
    """Refused by how the archive is made."""
    top = "hostile-1.0"
    whole = wheel("hostile")
    yield "empty file", raw(whole, b"")
    yield "noise", raw(whole, b"noise" * 100)
    yield "half a wheel", raw(whole, whole.data[: len(whole.data) // 2])
    yield "flipped bit in data", flipped(whole, 50)
    yield "prefix", raw(whole, b"#!/bin/sh\n" + whole.data)
    yield "trailing data", raw(whole, whole.data + b"trailing")
    yield "data descriptors", streamed()
    yield "traversal", wheel("hostile", extra_members=[("../../etc/evil", b"x")])
    yield "absolute", wheel("hostile", extra_members=[("/etc/evil", b"x")])
    yield "backslashes", wheel("hostile", extra_members=[("..\\evil.py", b"x")])
    yield "case duplicate", wheel("hostile", files={"A.py": b"1", "a.py": b"2"})
    yield "unicode duplicate", wheel("hostile", files={"e\u0301.py": b"1", "\u00e9.py": b"2"})
    yield "unlisted member", wheel("hostile", extra_members=[("unlisted.py", b"x")])
    yield "wrong hash", wheel("hostile", record=lambda rows: [[r[0], "sha256=AAAA" if i == 0 else r[1], r[2]] for i, r in enumerate(rows)])
    yield "listed but absent", wheel("hostile", record=lambda rows: rows + [["ghost.py", "sha256=AAAA", "1"]])
    yield "no record", wheel("hostile", record=lambda rows: None)
    yield "no metadata", wheel("hostile", drop=["{info}/METADATA"])
    yield "no wheel file", wheel("hostile", drop=["{info}/WHEEL"])
    yield "renamed tags", whole.named("hostile-1.0-cp311-cp311-win32.whl")
    yield "lzma member", wheel("hostile", extra_members=[(member("x.py", zipfile.ZIP_LZMA), b"x")])
    yield "symlink in wheel", wheel("hostile", extra_members=[(member("x", mode=0o120777), b"/etc/passwd")])
    yield "bad entry points", wheel("hostile", entry_points="[console_scripts]\nrun me = x:y\n")
    yield "bomb", wheel("hostile", files={"zero": b"\0" * (80 << 20)})
    yield "sdist with symlink", sdist("hostile", extra_members=[link(f"{top}/x", "/etc/passwd")])
    yield "sdist with hard link", sdist("hostile", extra_members=[link(f"{top}/x", f"{top}/PKG-INFO", tarfile.LNKTYPE)])
    yield "sdist with device", sdist("hostile", extra_members=[special(f"{top}/x", tarfile.CHRTYPE)])
    yield "sdist with pipe", sdist("hostile", extra_members=[special(f"{top}/x", tarfile.FIFOTYPE)])
    yield "sdist traversal", sdist("hostile", extra_members=[(f"{top}/../../x", b"x")])
    yield "sdist two tops", sdist("hostile", extra_members=[("other/x", b"x")])
    yield "sdist other top", sdist("hostile", top="elsewhere")
    yield "sdist no pkg-info", sdist("hostile", pkg_info=False)
    yield "sdist duplicate", sdist("hostile", extra_members=[(f"{top}/a", b"1"), (f"{top}/a", b"2")])
    source = sdist("hostile")
    yield "sdist truncated", raw(source, source.data[:-20])
    yield "sdist trailing", raw(source, source.data + b"trailing")
    yield "sdist second stream", raw(source, source.data + gzip.compress(b"x" * 512, mtime=0))
    yield "sdist plain tar", raw(source, gzip.decompress(source.data))
    yield "sdist that is a zip", raw(source, zip_bytes([(f"{top}/PKG-INFO", b"x")]))
    yield "sdist checksum", raw(source, gzip.compress(b"x" * 3 + gzip.decompress(source.data)[3:], mtime=0))
    pax = tarfile.TarInfo(f"{top}/x")
    pax.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": f"{top}/y"}
    yield "sdist sparse", sdist("hostile", extra_members=[(pax, b"1\n0\n1\n" + b"\0" * 506 + b"x")])


def everything():
    return [*good(), *bad_metadata(), *bad_archives()]
