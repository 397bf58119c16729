"""Pages for people, seen with a real browser: nothing overflows a phone, nothing breaks the policy, no script runs.

Starts the binary by itself (TIDEWAITER_BIN, or the debug build) and uploads wheels made on the spot. Chromium is
driven by chromedriver's plain JSON over HTTP. PAGES_SHOTS=<folder> keeps pictures of every page.
"""

import base64
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

TARGET = os.environ.get("CARGO_TARGET_DIR") or str(Path(__file__).resolve().parents[1] / "target")
BINARY = os.environ.get("TIDEWAITER_BIN") or str(Path(TARGET) / "debug" / "tidewaiter")
CHROMEDRIVER = shutil.which("chromedriver") or "/usr/bin/chromedriver"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"

MARKDOWN = """# Harbour

[![build](https://img.example/build.svg)](https://ci.example/) ![logo](https://img.example/logo.png)

A **small** library for *tides*, with `code`, ~~old~~ text, a [link](https://example.org "title") and
https://autolinked.example/. A footnote[^1].

<script>document.title = "pwned"</script>
<img src=x onerror="document.title='pwned'"> <svg onload="document.title='pwned'"></svg>
<a href="javascript:document.title='pwned'">click</a> <style>body{display:none}</style>
<iframe src="https://evil.example"></iframe><form action="https://evil.example"><input name=a><button>go</button></form>

| Function | What it does | Since |
|---|---|---:|
| `high_water_at_some_long_named_station()` | the next high water, as a moment in universal time | 1.0 |
| `low_water()` | the next low water | 1.2 |

```python
from harbour import tides_of_a_place_with_a_long_name, another_name_that_makes_the_line_far_too_long_for_a_phone
```

- [x] done
- [ ] to do
  1. nested
  2. list

> Time and tide wait for none.

""" + "averyveryverylongwordwithoutanybreak" * 8 + "\n\n[^1]: The note.\n"

RST = """
=======
Soundings
=======

.. image:: https://img.example/badge.svg
   :alt: badge
   :target: https://ci.example/

.. contents::

A paragraph with *emphasis*, **strong**, ``literal``, `a link <https://example.org>`_ and a reference_.

.. _reference: https://example.org/reference

.. note:: Mind the *depth*.

.. raw:: html

   <script>document.title = "pwned"</script>

Usage
-----

.. code-block:: python

   import soundings

=====  ======
Depth  Bottom
=====  ======
3 m    sand
12 m   mud
=====  ======
"""


def wheel(name, version, headers=(), description=""):
    """A valid wheel: its bytes and its file name."""
    import base64 as b64

    base = name.replace("-", "_")
    info = f"{base}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers]
    files = {
        f"{base}.py": "x = 1\n",
        f"{info}/METADATA": "\n".join(lines) + "\n\n" + description,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = []
    for path, text in files.items():
        digest = b64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(text.encode())}")
    files[f"{info}/RECORD"] = "\n".join(record + [f"{info}/RECORD,,"]) + "\n"
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return body.getvalue(), f"{base}-{version}-py3-none-any.whl"


def plain_environment():
    """The program refuses variables that name no setting, and the runner's own are such."""
    return {key: value for key, value in os.environ.items() if not key.startswith("TIDEWAITER_")}


class Server:
    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data = folder / "data"
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(folder / "server.log", "w")
        command = [BINARY, "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=plain_environment())
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(self.url + "/healthz", timeout=2).read()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "server.log").read_text()) from None
                time.sleep(0.05)
        self.token = (self.data / "first-token").read_text().strip()

    def cli(self, *arguments):
        command = [BINARY, *arguments, "--data", str(self.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=plain_environment()).stdout

    def upload(self, *arguments, prefix="", token=None, **more):
        content, filename = wheel(*arguments, **more)
        fields = {
            ":action": "file_upload",
            "protocol_version": "1",
            "filetype": "bdist_wheel",
            "pyversion": "py3",
            "metadata_version": "2.1",
            "name": arguments[0],
            "version": arguments[1],
            "sha256_digest": hashlib.sha256(content).hexdigest(),
        }
        edge = "edge-of-a-part"
        body = b"".join(
            f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in fields.items()
        )
        head = f'--{edge}\r\nContent-Disposition: form-data; name="content"; filename="{filename}"\r\n'
        body += head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content + f"\r\n--{edge}--\r\n".encode()
        basic = base64.b64encode(f"__token__:{token or self.token}".encode()).decode()
        headers = {"Content-Type": f"multipart/form-data; boundary={edge}", "Authorization": f"Basic {basic}"}
        request = urllib.request.Request(self.url + prefix + "/legacy/", body, headers)
        try:
            urllib.request.urlopen(request, timeout=60).read()
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def get(self, path, **headers):
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def wait_for(self, path, text):
        """Decisions are published by a worker: waits until a page says so."""
        deadline = time.monotonic() + 20
        while text not in self.get(path)[2]:
            assert time.monotonic() < deadline, f"{path} never said {text!r}"
            time.sleep(0.1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("pages"))
    try:
        details = [
            "Summary: Tide tables for small harbours, computed on the spot",
            "Author-email: Jane Doe <jane@example.org>",
            "License: MIT",
            "Keywords: tides,harbour,sea",
            "Requires-Python: >=3.9",
            "Requires-Dist: soundings >=1.0",
            "Requires-Dist: httpx >=0.27 ; extra == 'net'",
            "Provides-Extra: net",
            "Classifier: Programming Language :: Python :: 3",
            "Classifier: Topic :: Scientific/Engineering",
            "Project-URL: Source, https://example.org/harbour",
            "Project-URL: Tracker, https://example.org/harbour/issues",
            "Description-Content-Type: text/markdown",
        ]
        server.upload("harbour-tides", "1.0", headers=details, description=MARKDOWN)
        server.upload("harbour-tides", "1.1", headers=details, description=MARKDOWN)
        server.upload("harbour-tides", "2.0rc1", headers=details, description=MARKDOWN)
        server.upload("soundings", "0.3", headers=["Summary: Depths"], description=RST)
        server.upload("plainly", "1.0", headers=["Description-Content-Type: text/plain"], description="<b>not bold</b>\n")
        server.upload("buoy", "1.0", headers=["Summary: To be quarantined"])
        server.upload("old-pier", "1.0", headers=["Summary: To be archived"])
        for n in range(55):
            server.upload(f"crate-{n:02}", "1.0", headers=[f"Summary: Crate number {n}"])
        server.cli("project", "yank", "harbour-tides", "1.0", "--reason", "wrong datum")
        server.cli("project", "status", "buoy", "quarantined", "--reason", "looks like a thief")
        server.cli("project", "status", "old-pier", "archived", "--reason", "see new-pier")
        server.cli("index", "create", "team")
        server.wait_for("/project/harbour-tides/1.0/", "wrong datum")
        server.wait_for("/project/buoy/", "looks like a thief")
        server.wait_for("/project/old-pier/", "see new-pier")
        yield server
    finally:
        server.stop()


PAGES = {
    "home": ("/", "dependency confusion"),
    "team": ("/i/team/", "/i/team/simple/"),
    "team-list": ("/i/team/projects/", "Nothing has been uploaded yet"),
    "list": ("/projects/", "Next page"),
    "search": ("/projects/?q=Harbour_", "Tide tables"),
    "search-none": ("/projects/?q=%3Cscript%3E", "contains that"),
    "project": ("/project/harbour-tides/", "Time and tide wait for none"),
    "project-pictures": ("/project/harbour-tides/?images=1", "Hide them"),
    "yanked": ("/project/harbour-tides/1.0/", "wrong datum"),
    "prerelease": ("/project/harbour-tides/2.0rc1/", "Pre-release"),
    "rst": ("/project/soundings/", "Mind the"),
    "plain": ("/project/plainly/", "<b>not bold</b>"),
    "quarantined": ("/project/buoy/", "looks like a thief"),
    "archived": ("/project/old-pier/", "see new-pier"),
    "upload": ("/legacy/", "__token__"),
    "rules": ("/rules/", "metadata.version"),
    "missing": ("/project/no-such/", "Not found"),
}


class Browser:
    """The few commands of WebDriver that are needed, without a library."""

    def __init__(self, folder, width, height, dark=False, scripts=True):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.driver = subprocess.Popen([CHROMEDRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.root = f"http://127.0.0.1:{port}"
        arguments = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            f"--user-data-dir={folder}", f"--window-size={max(width, 500)},{height}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]
        options = {"binary": CHROMIUM, "args": arguments}
        if not scripts:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        deadline = time.monotonic() + 30
        while True:
            try:
                answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
                break
            except OSError:
                assert time.monotonic() < deadline, "chromedriver does not answer"
                time.sleep(0.1)
        self.root += "/session/" + answer["sessionId"]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [scheme]})

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.root + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def devtools(self, command, params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def console(self):
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]

    def picture(self, path):
        shot = self.devtools("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(10)


@pytest.fixture(scope="module", params=["phone-light", "phone-dark", "desk-light", "desk-dark"])
def browser(request, tmp_path_factory):
    place, scheme = request.param.split("-")
    width, height = (360, 800) if place == "phone" else (1280, 900)
    browser = Browser(tmp_path_factory.mktemp("chromium"), width, height, dark=scheme == "dark")
    browser.name, browser.width = request.param, width
    yield browser
    browser.close()


# Contrast of every text that is seen, against the nearest background that is painted (WCAG 2.2, 1.4.3).
CONTRAST = """
const rgb = c => (c.match(/[\\d.]+/g) || []).map(Number);
const lum = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
const bad = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const e = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || e.closest('.hidden, .skip') || !e.getClientRects().length) continue;
  let at = e, ground = [0, 0, 0, 0];
  while (at && (ground = rgb(getComputedStyle(at).backgroundColor), (ground[3] ?? 1) < 1)) at = at.parentElement;
  const style = getComputedStyle(e), size = parseFloat(style.fontSize);
  const [a, b] = [lum(rgb(style.color)), lum(ground)];
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
  if (ratio < (large ? 3 : 4.5)) bad.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className}: ${walk.currentNode.data.trim().slice(0, 40)}`);
}
return bad;
"""

WIDE = """
const bad = [];
if (document.documentElement.scrollWidth > innerWidth) {
  for (const e of document.querySelectorAll('body *')) {
    if (e.getBoundingClientRect().right > innerWidth + 1) bad.push(e.tagName + '.' + e.className);
  }
  bad.unshift(`${document.documentElement.scrollWidth} > ${innerWidth}`);
}
return bad.slice(0, 8);
"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_reads_and_keeps_its_policy(server, browser, name):
    path, text = PAGES[name]
    browser.console()
    browser.open(server.url + path)
    assert text in browser.run("return document.body.innerText")
    assert "pwned" not in browser.run("return document.title")
    assert browser.run("return innerWidth") == browser.width
    assert browser.run(WIDE) == [], "wider than the window"
    assert browser.run(CONTRAST) == [], "too little contrast"
    counts = "return ['main', 'header', 'footer', 'h1'].map(n => document.querySelectorAll(n).length)"
    assert browser.run(counts) == [1, 1, 1, 1]
    assert browser.run("return document.querySelectorAll('script, iframe, form:not(.search), [style]').length") == 0
    # The pictures of the sample do not exist; that a browser tried is what the reader asked for.
    said = [m for m in browser.console() if "ERR_NAME_NOT_RESOLVED" not in m and not ("404" in m and name == "missing")]
    assert said == []
    shots = os.environ.get("PAGES_SHOTS")
    if shots:
        Path(shots).mkdir(parents=True, exist_ok=True)
        browser.picture(Path(shots) / f"{name}-{browser.name}.png")


def test_pages_work_with_scripts_switched_off(server, tmp_path):
    browser = Browser(tmp_path / "profile", 800, 600, scripts=False)
    try:
        browser.open(server.url + "/projects/?q=tides")
        source = browser.call("GET", "/source")
        assert "Tide tables" in source
    finally:
        browser.close()


@pytest.mark.parametrize("name", PAGES)
def test_headers_of_a_page(server, name):
    status, headers, body = server.get(PAGES[name][0])
    assert status == (404 if name == "missing" else 200)
    policy = headers["Content-Security-Policy"]
    for part in ["default-src 'none'", "style-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"]:
        assert part in policy
    assert ("https:" in policy) == (name == "project-pictures")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Permissions-Policy"]
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<script" not in body and " style=" not in body and not re.search(r"<[^>]* on[a-z]+=", body)


def test_pictures_of_others_are_fetched_only_when_asked_for(server):
    plain = server.get("/project/harbour-tides/")[2]
    assert "img.example" not in plain and '<span class="picture">build</span>' in plain
    asked = server.get("/project/harbour-tides/?images=1")[2]
    assert 'src="https://img.example/logo.png"' in asked and 'referrerpolicy="no-referrer"' in asked


def test_static_files_live_for_ever_under_their_hash(server):
    css = re.search(r'href="(/static/[0-9a-f]+/style\.css)"', server.get("/")[2])[1]
    status, headers, _ = server.get(css)
    assert status == 200 and "immutable" in headers["Cache-Control"]
    assert server.get("/static/0000000000000000/style.css")[0] == 404


def test_names_redirect_and_unknown_ones_are_404(server):
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    opener = urllib.request.build_opener(Stay)
    for path, to in [("/project/Harbour.Tides/", "/project/harbour-tides/"), ("/project/Harbour_Tides/1.1/", "/project/harbour-tides/1.1/")]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener.open(server.url + path)
        assert caught.value.code == 301 and caught.value.headers["Location"] == to
    for path in ["/project/no-such/", "/project/harbour-tides/9.9/", "/project/harbour-tides/nonsense/", "/i/nowhere/", "/i/team/project/buoy/"]:
        assert server.get(path)[0] == 404, path


def test_a_quarantined_project_offers_nothing(server):
    body = server.get("/project/buoy/")[2]
    assert "pip install" not in body and ".whl" not in body and "/files/" not in body


def test_a_strange_host_header_is_not_shown(server):
    for host in ["evil.example;reboot", "a b", '"><b>']:
        with socket.create_connection(("127.0.0.1", server.port), 10) as line:
            line.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: line.recv(65536), b"")).decode()
        assert host not in answer
    body = server.get("/", Host="pkgs.example:8000")[2]
    assert "--trusted-host pkgs.example NAME" in body and "--allow-insecure-host pkgs.example NAME" in body


def test_a_second_page_of_the_list_goes_on_where_the_first_ends(server):
    first = server.get("/projects/")[2]
    nxt = re.search(r'href="(/projects/\?from=[^"]+)"', first)[1]
    second = server.get(nxt)[2]
    seen = re.findall(r'class="project-row" href="([^"]+)"', first) + re.findall(r'class="project-row" href="([^"]+)"', second)
    assert len(seen) == len(set(seen)) == 59 and seen == sorted(seen)
    # The sixtieth is in quarantine: its page says so, and nothing leads there.
    assert "/project/buoy/" not in seen and server.get("/project/buoy/")[0] == 200
