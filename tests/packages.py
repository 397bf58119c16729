"""Wheels and sdists made by hand, so that every irregular form can be made too."""

import base64
import csv
import gzip
import hashlib
import io
import tarfile
import zipfile
from dataclasses import dataclass, field, replace

# Form keys whose spelling is not simply the header's in lower case (pypi-behaviour 1.3).
FORM_KEYS = {"Classifier": "classifiers", "Project-URL": "project_urls"}
TIME = (2026, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """A distribution file and the form that a client would send with it."""

    filename: str
    data: bytes
    fields: list = field(default_factory=list)

    @property
    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()

    @property
    def is_wheel(self):
        return self.filename.endswith(".whl")

    def form(self, **changes):
        """Field pairs; a change of None drops the field, a list repeats it."""
        pyversion = self.filename.split("-")[-3] if self.is_wheel and self.filename.count("-") > 3 else "py3"
        pairs = [
            (":action", "file_upload"),
            ("protocol_version", "1"),
            ("filetype", "bdist_wheel" if self.is_wheel else "sdist"),
            ("pyversion", pyversion if self.is_wheel else "source"),
            ("sha256_digest", self.sha256),
            *self.fields,
        ]
        for key, value in changes.items():
            key = ":action" if key == "action" else key
            pairs = [pair for pair in pairs if pair[0] != key]
            values = value if isinstance(value, list) else [value]
            pairs += [(key, one) for one in values if one is not None]
        return pairs

    def named(self, filename):
        return replace(self, filename=filename)

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.filename
        path.write_bytes(self.data)
        return path


def headers(name, version, metadata_version="2.1", **extra):
    """Header pairs of a METADATA file; keywords are headers with '_' for '-'; lists repeat."""
    pairs = [("Metadata-Version", metadata_version), ("Name", name), ("Version", version)]
    for key, value in extra.items():
        key = {"project_url": "Project-URL", "home_page": "Home-page", "download_url": "Download-URL"}.get(
            key, "-".join(word.capitalize() for word in key.split("_"))
        )
        for one in value if isinstance(value, list) else [value]:
            pairs.append((key, one))
    return pairs


def metadata_text(pairs, description=""):
    text = "".join(f"{key}: {value}\n" for key, value in pairs)
    return (text + (f"\n{description}" if description else "")).encode()


def form_fields(pairs, description=""):
    fields = [(FORM_KEYS.get(key, key.lower().replace("-", "_")), value) for key, value in pairs]
    return fields + ([("description", description)] if description else [])


def snake(name):
    return "".join("_" if c in "-._" else c for c in name.lower())


def record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return [name, f"sha256={digest}", str(len(data))]


def zip_bytes(members):
    """`members`: (name or ZipInfo, bytes) pairs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            if isinstance(name, str):
                info = zipfile.ZipInfo(name, TIME)
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
            else:
                info = name
            archive.writestr(info, data)
    return out.getvalue()


def wheel(
    name="demo",
    version="1.0",
    tag="py3-none-any",
    metadata_version="2.1",
    description="",
    files=None,
    build="",
    entry_points=None,
    record=None,
    extra_members=(),
    drop=(),
    metadata=None,
    **extra,
):
    """A wheel. `record` edits RECORD's rows; `extra_members` come without a line there; `drop` leaves members out."""
    pairs = headers(name, version, metadata_version, **extra)
    stem = f"{snake(name)}-{version}"
    info = f"{stem}.dist-info"
    module = snake(name)
    members = dict(files if files is not None else {f"{module}/__init__.py": f"VERSION = {version!r}\n".encode()})
    members[f"{info}/METADATA"] = metadata if metadata is not None else metadata_text(pairs, description)
    py, abi, plat = tag.split("-")
    tags = "".join(
        f"Tag: {p}-{a}-{t}\n" for p in py.split(".") for a in abi.split(".") for t in plat.split(".")
    )
    pure = "true" if plat == "any" else "false"
    members[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {pure}\n{tags}".encode()
    if entry_points:
        members[f"{info}/entry_points.txt"] = entry_points.encode()
    for path in drop:
        members.pop(path.format(info=info), None)
    rows = [record_line(path, data) for path, data in members.items()] + [[f"{info}/RECORD", "", ""]]
    if record:
        rows = record(rows)
    if rows is not None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        members[f"{info}/RECORD"] = text.getvalue().encode()
    data = zip_bytes(list(members.items()) + list(extra_members))
    middle = f"-{build}" if build else ""
    return Package(f"{stem}{middle}-{tag}.whl", data, form_fields(pairs, description))


def tar_bytes(members, format=tarfile.PAX_FORMAT, mode="w:gz"):
    """`members`: (name or TarInfo, bytes) pairs. The gzip header holds no time, so the bytes repeat."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if info.type == tarfile.REGTYPE:
                info.size = len(data)
            info.mtime = 1_767_225_600
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return gzip.compress(out.getvalue(), mtime=0) if mode == "w:gz" else out.getvalue()


def sdist(
    name="demo",
    version="1.0",
    metadata_version="2.1",
    description="",
    files=None,
    format=tarfile.PAX_FORMAT,
    extra_members=(),
    top=None,
    pkg_info=True,
    metadata=None,
    **extra,
):
    """An sdist that pip can build with setuptools, or without: its own build back end is inside."""
    pairs = headers(name, version, metadata_version, **extra)
    stem = f"{snake(name)}-{version}"
    top = top or stem
    text = metadata if metadata is not None else metadata_text(pairs, description)
    members = [(f"{top}/PKG-INFO", text)] if pkg_info else []
    members.append((f"{top}/pyproject.toml", PYPROJECT))
    members.append((f"{top}/backend.py", backend(wheel(name, version, metadata_version="2.1"))))
    members += [(f"{top}/{path}", data) for path, data in (files or {}).items()]
    data = tar_bytes(members + list(extra_members), format)
    return Package(f"{stem}.tar.gz", data, form_fields(pairs, description))


# PEP 517 without any dependency: nothing is fetched from anywhere when an installer builds it.
PYPROJECT = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def backend(built):
    text = base64.b64encode(built.data).decode()
    return (
        "import base64, os\n"
        f"NAME = {built.filename!r}\nDATA = base64.b64decode({text!r})\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        "    with open(os.path.join(folder, NAME), 'wb') as out:\n"
        "        out.write(DATA)\n"
        "    return NAME\n"
        "build_editable = build_wheel\n"
    ).encode()
