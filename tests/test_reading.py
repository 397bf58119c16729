"""What installers read: negotiation, headers, canonical forms, ranges, and a cache that never lies."""

import gzip
import hashlib
import json
import os
import re

import pytest

from harness import JSON, wait_until
from packages import sdist, wheel

V1_HTML = "application/vnd.pypi.simple.v1+html"
HTML = "text/html; charset=UTF-8"
NEGOTIATION = [
    (None, HTML),
    ("*/*", HTML),
    ("text/html", HTML),
    ("application/json", HTML),
    ("application/vnd.pypi.simple.latest+json", HTML),
    ("application/*", V1_HTML),
    (V1_HTML, V1_HTML),
    (JSON, JSON),
    (f"{JSON}, {V1_HTML};q=0.2, text/html;q=0.01", JSON),
    (f"{JSON};q=0.1, text/html;q=0.2", HTML),
    (f"{JSON};q=0, */*;q=0.1", HTML),
    ("image/png", HTML),
    ("nonsense;;;q=x", HTML),
]


@pytest.fixture
def demo(server):
    server = server()
    server.publish(
        wheel("Demo.Pkg", "1.0", requires_python=">=3.6, <4", description="word " * 200),
        sdist("Demo.Pkg", "1.0"),
        wheel("Demo.Pkg", "2.0rc1"),
        wheel("other"),
    )
    return server


def test_negotiation(demo):
    for path in ("/simple/", "/simple/demo-pkg/"):
        for accept, kind in NEGOTIATION:
            answer = demo.request("GET", path, headers={"Accept": accept} if accept else {})
            assert (answer.status, answer.headers["content-type"]) == (200, kind), (path, accept)
            assert answer.headers["vary"].lower() == "accept, accept-encoding"


def test_headers_and_conditional_requests(demo):
    serial = demo.page("demo-pkg")["meta"]["_last-serial"]
    for path, accept in (("/simple/demo-pkg/", JSON), ("/simple/demo-pkg/", "text/html"), ("/pypi/demo-pkg/json", "*/*")):
        answer = demo.get(path, Accept=accept)
        assert answer.headers["x-pypi-last-serial"] == str(serial)
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["x-content-type-options"] == "nosniff"
        etag = answer.headers["etag"]
        assert re.fullmatch(r'"[0-9a-f]+"', etag)
        for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
            unchanged = demo.get(path, Accept=accept, If_None_Match=known)
            assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", etag)
        assert demo.get(path, Accept=accept, If_None_Match='"other"').status == 200
        head = demo.request("HEAD", path, headers={"Accept": accept})
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(answer.body))
        assert head.headers["etag"] == etag
    assert "sandbox" in demo.get("/simple/demo-pkg/").headers["content-security-policy"]


def test_gzip_form(demo):
    for path, accept in (
        ("/simple/demo-pkg/", JSON),
        ("/simple/demo-pkg/", "text/html"),
        ("/pypi/demo-pkg/json", "*/*"),
        ("/pypi/demo-pkg/1.0/json", "*/*"),
        ("/simple/", JSON),
    ):
        plain = demo.get(path, Accept=accept)
        packed = demo.get(path, Accept=accept, Accept_Encoding="gzip, deflate")
        assert (packed.headers.get("content-encoding") == "gzip") == (len(plain.body) > 400), path
        if len(plain.body) > 400:
            assert gzip.decompress(packed.body) == plain.body
            assert packed.headers["etag"] != plain.headers["etag"]
            unchanged = demo.get(path, Accept=accept, Accept_Encoding="gzip", If_None_Match=packed.headers["etag"])
            assert unchanged.status == 304
        refused = demo.get(path, Accept=accept, Accept_Encoding="gzip;q=0")
        assert "content-encoding" not in refused.headers and refused.body == plain.body


def canonical(body):
    return (json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def test_json_is_canonical(demo):
    demo.verb("projects/demo-pkg/yank", {"version": "1.0", "reason": "Überfluß <&> \u2028"})
    wait_until(lambda: demo.page("demo-pkg")["files"][0]["yanked"], what="the yank")
    for path in ("/simple/", "/simple/demo-pkg/", "/pypi/demo-pkg/json", "/pypi/demo-pkg/1.0/json"):
        body = demo.get(path, Accept=JSON).body
        assert body == canonical(body), path


def test_project_page(demo):
    page = demo.page("demo-pkg")
    assert sorted(page) == ["files", "meta", "name", "project-status", "versions"]
    assert page["meta"]["api-version"] == "1.4" and page["name"] == "demo-pkg"
    assert page["project-status"] == {"status": "active"}
    assert page["versions"] == ["1.0", "2.0rc1"]
    assert [f["filename"] for f in page["files"]] == [
        "demo_pkg-1.0-py3-none-any.whl",
        "demo_pkg-1.0.tar.gz",
        "demo_pkg-2.0rc1-py3-none-any.whl",
    ]
    first = page["files"][0]
    keys = "core-metadata data-dist-info-metadata filename hashes provenance requires-python size upload-time url yanked"
    assert sorted(first) == keys.split()
    assert list(first["hashes"]) == ["sha256"] and first["requires-python"] == ">=3.6, <4"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", first["upload-time"])
    assert page["files"][1]["core-metadata"] is False
    for file in page["files"]:
        assert file["url"].startswith("../../files/"), "URLs are relative"
        answer = demo.get(file["url"].removeprefix("../.."))
        assert hashlib.sha256(answer.body).hexdigest() == file["hashes"]["sha256"]
        assert len(answer.body) == file["size"]
        metadata = demo.get(file["url"].removeprefix("../..") + ".metadata")
        if file["core-metadata"]:
            assert hashlib.sha256(metadata.body).hexdigest() == file["core-metadata"]["sha256"]
        else:
            assert metadata.status == 404
    html = demo.get("/simple/demo-pkg/", Accept="text/html").text
    assert '<meta name="pypi:repository-version" content="1.4">' in html
    assert f'<a href="{first["url"]}#sha256={first["hashes"]["sha256"]}" data-requires-python="&gt;=3.6, &lt;4"' in html
    assert html.rstrip().endswith(f"<!--SERIAL {page['meta']['_last-serial']}-->")
    assert html.count("<br />\n") == 3


def test_list_page(demo):
    wait_until(lambda: len(demo.get("/simple/", Accept=JSON).json()["projects"]) == 2, what="the list")
    listed = demo.get("/simple/", Accept=JSON).json()
    assert [project["name"] for project in listed["projects"]] == ["Demo.Pkg", "other"]
    assert all(sorted(project) == ["_last-serial", "name"] for project in listed["projects"])
    assert listed["meta"] == {"_last-serial": 4, "api-version": "1.4"}
    html = demo.get("/simple/").text
    assert '<a href="demo-pkg/">Demo.Pkg</a>' in html and '<a href="other/">other</a>' in html


def test_redirects_and_absence(demo):
    for path, to in (
        ("/simple/Demo.Pkg/", "/simple/demo-pkg/"),
        ("/simple/DEMO__pkg/", "/simple/demo-pkg/"),
        ("/simple/demo-pkg", "/simple/demo-pkg/"),
        ("/simple", "/simple/"),
        ("/pypi/Demo_Pkg/json", "/pypi/demo-pkg/json"),
        ("/pypi/Demo_Pkg/1.0/json", "/pypi/demo-pkg/1.0/json"),
    ):
        answer = demo.get(path)
        assert (answer.status, answer.headers["location"]) == (301, to), path
    for path in ("/simple/absent/", "/simple/-bad-/", "/simple/a%00b/", "/simple/%ff/"):
        answer = demo.get(path)
        assert answer.status == 404 and answer.text.startswith("404 Not Found"), (path, answer.text)
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["access-control-allow-origin"] == "*"
    for path in ("/pypi/absent/json", "/pypi/demo-pkg/9.9/json", "/pypi/demo-pkg/not-a-version/json"):
        answer = demo.get(path)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/json"), path
        assert answer.json() == {"message": "Not Found"}
    assert demo.request("DELETE", "/simple/").status == 405


def test_older_json_api(demo):
    whole = demo.get("/pypi/demo-pkg/json").json()
    assert sorted(whole) == ["info", "last_serial", "ownership", "releases", "urls", "vulnerabilities"]
    assert sorted(whole["releases"]) == ["1.0", "2.0rc1"]
    info = whole["info"]
    assert (info["name"], info["version"], info["requires_python"]) == ("Demo.Pkg", "1.0", ">=3.6, <4")
    assert info["description"].startswith("word") and info["yanked"] is False
    assert info["downloads"] == {"last_day": -1, "last_month": -1, "last_week": -1}
    assert whole["ownership"] == {"organization": None, "roles": [{"role": "Owner", "user": "admin"}]}
    one = demo.get("/pypi/demo-pkg/2.0rc1/json").json()
    assert sorted(one) == ["info", "last_serial", "ownership", "urls", "vulnerabilities"]
    file = one["urls"][0]
    assert sorted(file["digests"]) == ["blake2b_256", "md5", "sha256"]
    assert (file["packagetype"], file["python_version"], file["has_sig"]) == ("bdist_wheel", "py3", False)
    keys = "comment_text core-metadata digests downloads filename has_sig md5_digest packagetype python_version"
    keys += " requires_python size upload_time upload_time_iso_8601 url yanked yanked_reason"
    assert sorted(file) == keys.split()


def test_ranges(demo):
    package = wheel("other")
    url = demo.page("other")["files"][0]["url"].removeprefix("../..")
    size = len(package.data)
    for header, status, want in (
        ("bytes=0-9", 206, package.data[:10]),
        ("bytes=10-", 206, package.data[10:]),
        ("bytes=-7", 206, package.data[-7:]),
        (f"bytes={size - 1}-{size + 50}", 206, package.data[-1:]),
        (f"bytes={size}-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=0-1,4-5", 200, package.data),
        ("bytes=9-2", 200, package.data),
        ("lines=0-1", 200, package.data),
    ):
        answer = demo.get(url, Range=header)
        assert (answer.status, answer.body) == (status, want), header
    part = demo.get(url, Range="bytes=0-9")
    assert part.headers["content-range"] == f"bytes 0-9/{size}" and part.headers["content-length"] == "10"
    assert demo.get(url, Range=f"bytes={size}-").headers["content-range"] == f"bytes */{size}"
    whole = demo.get(url)
    assert whole.headers["accept-ranges"] == "bytes" and "immutable" in whole.headers["cache-control"]
    assert demo.get(url, Range="bytes=0-9", If_Range='"other"').status == 200
    assert demo.get(url, Range="bytes=0-9", If_Range=whole.headers["etag"]).status == 206
    assert demo.get(url, If_None_Match=whole.headers["etag"]).status == 304
    head = demo.request("HEAD", url)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(size))


def test_ranges_of_a_file_that_is_read_from_disk(server):
    server = server()
    package = wheel("large", files={"large.bin": os.urandom(17 << 20)})
    server.publish(package)
    url = server.page("large")["files"][0]["url"].removeprefix("../..")
    assert hashlib.sha256(server.get(url).body).hexdigest() == package.sha256
    assert server.get(url, Range="bytes=1000000-1999999").body == package.data[1_000_000:2_000_000]


def test_a_new_upload_is_seen_by_the_very_next_get(server):
    server = server()
    for n in range(50):
        package = wheel("fresh", f"1.{n}")
        # The page is in the cache before each upload.
        server.get("/simple/fresh/", Accept=JSON)
        assert server.upload(package).status == 200
        assert package.filename in server.filenames("fresh"), f"upload {n} was not on the next page"
        assert package.filename in server.get("/simple/fresh/").text
        assert server.get("/pypi/fresh/json").json()["info"]["version"] == f"1.{n}"


def test_without_waiting_the_answer_says_so_and_the_file_appears(server):
    server = server(upload_wait="0s")
    answer = server.upload(wheel())
    assert answer.status == 200 and "without further action" in answer.text
    wait_until(lambda: server.fetch("demo", wheel().filename) == wheel().data, what="the file")


def test_path_tricks(demo):
    file = demo.page("other")["files"][0]
    sha256, name = file["hashes"]["sha256"], file["filename"]
    folder = sha256[:2]
    secret = "../../../../../secret"
    for path in (
        f"/files/{folder}/{sha256.upper()}/{name}",
        f"/files/00/{sha256}/{name}",
        f"/files/{folder}/{sha256}/{name}.gz",
        f"/files/{folder}/{sha256}/{name}.metadata.metadata",
        f"/files/{folder}/{sha256}/..%2f..%2f..%2f..%2f..%2fsecret",
        f"/files/{folder}/{sha256}/{secret}",
        f"/files/{folder}/{sha256}/%2e%2e%2f%2e%2e%2fhead.json",
        f"/files/{folder}/{sha256}/",
        f"/files/{folder}/..%2f..%2f..%2fvault/x",
        f"/files/{folder}/{sha256}/{name}%00",
        "/files/../../../secret",
        "/simple/..%2f..%2fhead.json/",
        "/simple/../../secret",
        "/pypi/..%2f..%2fsecret/json",
        "/pypi/other/..%2f..%2f..%2fsecret/json",
        "/i/main/simple/",
        "/i/absent/simple/",
        "/i/..%2f..%2fmain/simple/",
        "/i/%2e%2e/simple/",
    ):
        answer = demo.get(path)
        assert answer.status == 404, (path, answer.status)
        assert b"serial" not in answer.body
    token = (demo.data / "secret").read_bytes()
    for path in ("/static/x/..%2f..%2fsecret", "/static/../../../etc/passwd", "/static/%2e%2e/secret", "//etc/passwd"):
        answer = demo.get(path)
        assert answer.status < 500 and token not in answer.body and b"root:" not in answer.body


def test_scripts_in_browsers_may_ask_first(demo):
    for path in ("/simple/", "/simple/demo-pkg/", "/pypi/demo-pkg/json", "/pypi/demo-pkg/1.0/json"):
        answer = demo.request("OPTIONS", path, headers={"Origin": "https://example.invalid", "Access-Control-Request-Method": "GET"})
        assert (answer.status, answer.body) == (204, b""), path
        said = {name: answer.headers[f"access-control-{name}"] for name in ("allow-origin", "allow-methods", "max-age", "allow-headers")}
        assert (said["allow-origin"], said["allow-methods"], said["max-age"]) == ("*", "GET", "86400")
        assert "If-None-Match" in said["allow-headers"]
    assert demo.request("OPTIONS", "/legacy/").status == 405, "nothing else is open to scripts of other sites"


def test_pages_for_people_are_packed_and_not_sent_twice(demo):
    for path in ("/", "/projects/", "/project/demo-pkg/", "/rules/", "/legacy/"):
        plain, packed = demo.get(path), demo.get(path, Accept_Encoding="gzip")
        assert (plain.status, plain.headers.get("content-encoding"), packed.headers["content-encoding"]) == (200, None, "gzip"), path
        assert gzip.decompress(packed.body) == plain.body
        assert plain.headers["vary"] == "Host, Accept-Encoding"
        for answer, ask in ((plain, {}), (packed, {"Accept_Encoding": "gzip"})):
            unchanged = demo.get(path, If_None_Match=answer.headers["etag"], **ask)
            assert (unchanged.status, unchanged.body) == (304, b""), path
        assert demo.get(path, If_None_Match='"other"').status == 200
