"""What is uploaded: generated wheels of about a kilobyte, real wheels, and the request bodies of both."""

import base64
import email.parser
import hashlib
import io
import pathlib
import random
import subprocess
import sys
import zipfile

HERE = pathlib.Path(__file__).parent
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: a generated wheel\nLicense: MIT\nRequires-Python: >=3.8\n\nGenerated for a measurement.\n"


def wheel(name, version, payload=b""):
    """One wheel as (filename, bytes); the same arguments give the same bytes."""
    stem = name.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    members = [
        (f"{stem}/__init__.py", f'__version__ = "{version}"\n'.encode()),
        (f"{info}/METADATA", METADATA.format(name=name, version=version).encode()),
        (f"{info}/WHEEL", b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
    ]
    if payload:
        members.insert(1, (f"{stem}/payload.bin", payload))
    record = ""
    for path, content in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(content)}\n"
    members.append((f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode()))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members:
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), content)
    return f"{stem}-{version}-py3-none-any.whl", out.getvalue()


def tiny(first, count):
    """Projects of one wheel each."""
    return [wheel(f"tiny-{number:05}", "1.0") for number in range(first, first + count)]


def versions(name, count):
    """One project of many wheels."""
    return [wheel(name, f"1.{number}") for number in range(count)]


def sized(name, size):
    """One wheel of about this many bytes, which do not compress."""
    return wheel(name, "1.0", random.Random(size).randbytes(size))


def real(cache):
    """The wheels of wheels.txt, fetched once into the cache by pip."""
    folder = pathlib.Path(cache) / "packages"
    pins = [line for line in (HERE / "wheels.txt").read_text().splitlines() if line and not line.startswith("#")]
    if len(list(folder.glob("*.whl"))) < len(pins):
        folder.mkdir(parents=True, exist_ok=True)
        platforms = ["manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "any"]
        options = [word for name in platforms for word in ("--platform", name)]
        options += [word for abi in ("cp311", "abi3", "none") for word in ("--abi", abi)]
        for pin in pins:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version",
                            "3.11", "--implementation", "cp", *options, "-d", folder, pin], check=True)
    return [(path.name, path.read_bytes()) for path in sorted(folder.glob("*.whl"))]


def body(filename, content):
    """The form that upload tools send, as (content type, bytes)."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = next(n for n in archive.namelist() if n.count("/") == 1 and n.endswith(".dist-info/METADATA"))
        metadata = email.parser.Parser().parsestr(archive.read(member).decode("utf-8", "replace"))
    fields = [
        (":action", "file_upload"), ("protocol_version", "1"), ("filetype", "bdist_wheel"),
        ("metadata_version", metadata["Metadata-Version"]), ("name", metadata["Name"]), ("version", metadata["Version"]),
        ("pyversion", filename[:-4].split("-")[-3]),
        ("md5_digest", hashlib.md5(content).hexdigest()), ("sha256_digest", hashlib.sha256(content).hexdigest()),
        ("blake2_256_digest", hashlib.blake2b(content, digest_size=32).hexdigest()),
    ]
    for key, header in (("summary", "Summary"), ("license", "License"), ("requires_python", "Requires-Python"), ("author", "Author")):
        if metadata[header]:
            fields.append((key, metadata[header]))
    fields += [("requires_dist", value) for value in metadata.get_all("Requires-Dist") or []]
    fields += [("classifiers", value) for value in metadata.get_all("Classifier") or []]
    mark = hashlib.sha256(filename.encode()).hexdigest()[:32]
    out = b"".join(f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields)
    out += (f'--{mark}\r\nContent-Disposition: form-data; name="content"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n").encode()
    return f"multipart/form-data; boundary={mark}", out + content + f"\r\n--{mark}--\r\n".encode()
