"""Records what real upload tools send for metadata files of every kind.

    python record_forms.py > crates/packaging/tests/data/forms.jsonl

Needs a venv with `twine` and `uv`; installs nothing, and talks to a server of its own on the loopback only. For
each metadata file a wheel is built and uploaded with `twine upload` and `uv publish`; each line of the output is
one upload: {"client", "case", "metadata" (bytes as latin-1), "form": [[key, value], ...]}. A client that refuses
the file itself is noted on stderr. `crates/packaging/tests/it/forms.rs` replays the lines: none is a mismatch.
"""

import base64
import hashlib
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import zipfile
from email.parser import BytesParser
from email.policy import HTTP

HEAD = "Metadata-Version: {v}\nName: {n}\nVersion: {ver}\n"


def case(extra="", body=None, v="2.1", n="Oracle.Case_x", ver="1.0"):
    text = HEAD.format(v=v, n=n, ver=ver) + extra
    return text + ("\n" + body if body is not None else "")


CASES = {
    "bare": case(),
    "metadata-1.0": case("Summary: s\nHome-page: UNKNOWN\nAuthor: UNKNOWN\nLicense: UNKNOWN\nDescription: UNKNOWN\nPlatform: UNKNOWN\n", v="1.0"),
    "metadata-1.2": case("Requires-Dist: foo (>=1.0)\nMaintainer: M\nDownload-URL: UNKNOWN\n", v="1.2"),
    "version-spelling": case(ver="1.0.0-RC.1"),
    "local-version": case(ver="1.0+Ubuntu-1"),
    "name-spelling": case(n="Foo__bar.-baz"),
    "description-body": case(body="# Title\n\ntext\n"),
    "description-crlf": case("Description-Content-Type: text/markdown\n", body="# Title\r\n\r\ntext\r\n"),
    "description-trailing": case(body="\n\n  text \t\n\n\n\n"),
    "description-unicode": case(body="héllo \u2028 😀 \u00a0 \x0c x\n"),
    "description-utf8-bytes": case(body="日本語\n" * 50),
    "description-boundary-look-alike": case(body="--boundary\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nother\r\n"),
    "description-header-spaces": case("Description: first\n        second\n        \n        third\n"),
    "description-header-pipes": case("Description: first\n       |second\n       |\n       |third | x\n"),
    "description-header-unicode": case("Description: é\n        ü\n"),
    "description-encoded-word": case(body="=?utf-8?q?=C3=A9?= is an encoded word\n"),
    "description-type": case("Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM\n", body="x\n"),
    "keywords-comma": case("Keywords: a,b,c d\n"),
    "keywords-comma-space": case("Keywords: a, b , c\n"),
    "keywords-space": case("Keywords: a b  c\n"),
    "keywords-folded": case("Keywords: a,\n  b,\n\tc\n"),
    "keywords-unknown": case("Keywords: UNKNOWN\n"),
    "platform-unknown": case("Platform: UNKNOWN\n"),
    "platforms": case("Platform: linux\nPlatform: Windows 10\nSupported-Platform: x\n"),
    "urls": case("Home-page: https://h.example\nDownload-URL: https://d.example/x y\nProject-URL: Bug, https://b.example\nProject-URL: Docs,https://d.example?a=1,2\nProject-URL:  Spaced  label ,  https://s.example  \n"),
    "url-unicode": case("Project-URL: Ünï, https://é.example/ü\n"),
    "author": case("Author: André Müller\nAuthor-email: =?utf-8?q?Andr=C3=A9_M=C3=BCller?= <a@b.example>, X <x@y.example>\n"),
    "author-encoded": case("Author: =?utf-8?q?Andr=C3=A9_M=C3=BCller?=\nMaintainer: =?UTF-8?B?w6k=?= =?utf-8?b?w7w=?=\n"),
    "author-latin1": case("Author: =?iso-8859-1?q?Andr=E9?=\nMaintainer: =?koi8-r?q?=C1?=\n"),
    "author-folded": case("Author: A,\n  B,\n  C\nAuthor-email: \"A, B\" <a@b.example>,\n  c@d.example\n"),
    "email-unicode": case("Author-email: André <andré@b.example>\n"),
    "license-lines": case("License: MIT License\n        \n        Copyright (c) X\n        \n        Permission is ...\n"),
    "license-unicode": case("License: Licence é\n        ü\n"),
    "license-unknown": case("License: UNKNOWN\n"),
    "license-expression": case("License-Expression: mit or (apache-2.0  and bsd-2-clause)\nLicense-File: LICENSE\nLicense-File: licenses/a b.txt\n", v="2.4"),
    "license-file-old": case("License-File: LICENSE\nLicense-File: AUTHORS.rst\n"),
    "license-file-2.2": case("License-File: LICENSE\nDynamic: license-file\n", v="2.2"),
    "summary-spaces": case("Summary:    a  b \t c   \n"),
    "summary-unicode": case("Summary: – é — “x”\n"),
    "summary-encoded": case("Summary: =?utf-8?q?=E2=80=93?= x\n"),
    "classifiers": case("Classifier: Programming Language :: Python :: 3\nClassifier:  License :: OSI Approved :: MIT License \nClassifier: Programming Language :: Python :: 3\n"),
    "requires": case("Requires-Dist: a\nRequires-Dist: B_x[z,Y] (>=1,<2) ; python_version<'3.9' and extra == 'T_e'\nRequires-Dist: c @ https://c.example/c.whl ; os_name == \"nt\"\nRequires-Dist: d~=1.0,!=1.5.*\nProvides-Extra: T_e\nProvides-Extra: t-E2\nRequires-Python: >=3.8, <4 , !=3.9.*\nRequires-External: libpng (>=1.5)\n"),
    "provides": case("Provides: p\nRequires: r\nObsoletes: o (>1)\nProvides-Dist: p2 (1.0)\nObsoletes-Dist: o2\n"),
    "dynamic": case("Dynamic: Requires-Dist\nDynamic: description\nDynamic: LICENSE\n", v="2.2"),
    "header-case": "metadata-version: 2.1\nNAME: Oracle.Case_x\nversion: 1.0\nHOME-PAGE: https://h.example\nAuthor-Email: a@b.example\n",
    "crlf-headers": case("Summary: s\nLicense: a\n  b\nKeywords: x,y\n", body="text\n").replace("\n", "\r\n"),
    "empty-values": case("Summary: \nHome-page:\nKeywords: \nLicense:  \nAuthor:\nPlatform: \nDescription-Content-Type: text/plain\n"),
    "import-names": case("Import-Name: a.b\nImport-Name: _c ; private\nImport-Namespace: a\n", v="2.5"),
    "import-none": case("Import-Name:\n", v="2.5"),
    "tabs": case("Summary:\tt\tu\nAuthor: a\n\tb\n"),
    "value-like-header": case("Summary: Name: other\nAuthor: X: y\n", body="Name: third\n"),
    "quotes": case("Author: \"O'Hara\"; x=1\nSummary: a \"b\" \\ c\n", body="\"\\ '\n"),
    "long": case("Summary: " + "s" * 500 + "\nLicense: " + "l " * 1000 + "\n", body="word " * 2000),
}


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    uploads = []

    def do_POST(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.uploads.append((self.headers["Content-Type"], body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def fields(content_type, body):
    """The text parts, split by hand: the `email` package would touch line ends."""
    boundary = content_type.split("boundary=")[1].strip('"').encode()
    out = []
    for part in body.split(b"--" + boundary)[1:-1]:
        head, value = part[2:].split(b"\r\n\r\n", 1)
        message = BytesParser(policy=HTTP).parsebytes(head + b"\r\n\r\n")
        disposition = message["Content-Disposition"].params
        if disposition["name"] != "content" and not disposition["name"].endswith("_digest"):
            out.append([disposition["name"], value[:-2].decode()])
    return out


def wheel(folder, metadata):
    name = "oracle_case_x-1.0"
    path = folder / f"{name}-py3-none-any.whl"
    members = {
        f"{name}.dist-info/METADATA": metadata,
        f"{name}.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for member, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{member},sha256={digest},{len(data)}\n"
    members[f"{name}.dist-info/RECORD"] = (record + f"{name}.dist-info/RECORD,,\n").encode()
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/legacy/"
    bin_folder = pathlib.Path(sys.executable).parent
    twine = [bin_folder / "twine", "upload", "--non-interactive", "--disable-progress-bar", "-u", "__token__", "-p", "x", "--repository-url", url]
    uv = [bin_folder / "uv", "publish", "--trusted-publishing", "never", "-t", "x", "--publish-url", url]
    versions = {
        "twine": subprocess.run([bin_folder / "twine", "--version"], capture_output=True, text=True, check=True).stdout.split()[2],
        "uv": subprocess.run([bin_folder / "uv", "--version"], capture_output=True, text=True, check=True).stdout.split()[1],
    }
    for title, metadata in CASES.items():
        metadata = metadata.encode()
        for client, command in (("twine", twine), ("uv", uv)):
            with tempfile.TemporaryDirectory() as folder:
                Recorder.uploads.clear()
                done = subprocess.run([*command, wheel(pathlib.Path(folder), metadata)], capture_output=True, text=True)
            if not Recorder.uploads:
                print(f"{client} refuses {title}: {(done.stdout + done.stderr).strip().splitlines()[-1]}", file=sys.stderr)
                continue
            form = fields(*Recorder.uploads[0])
            line = {"client": f"{client} {versions[client].strip(',')}", "case": title, "metadata": metadata.decode("latin-1"), "form": form}
            print(json.dumps(line))


main()
