"""twine and uv publish: what goes in, what is refused, and what the person at the terminal reads."""

import base64
import hashlib
import os

import pytest

from clients import TOOLS, installed
from harness import wait_until
from packages import sdist, wheel

VERSIONS = ["2.1", "2.2", "2.3", "2.4", "2.5"]


def both(clients, server, paths, **options):
    """What each upload tool says; neither changes anything when refused."""
    for tool in (clients.twine, clients.uv_publish):
        yield tool(server, paths, **options)


def said(done):
    """All that was printed, line breaks of boxes folded away."""
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("tool", ["twine", "uv-current", "uv-old"])
def test_upload_of_every_kind(server, clients, tmp_path, tool):
    server = server()
    packages = [
        sdist("kinds"),
        wheel("kinds", description="# Kinds\n\nText.\n", description_content_type="text/markdown"),
        wheel("kinds", tag="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        wheel("kinds", tag="cp312-abi3-win_amd64", build="1"),
        wheel("kinds", "1.1rc1", provides_extra=["fast"], requires_dist=['six; extra == "fast"', "idna>=3"]),
        *[wheel("metadata", f"1.{n}", metadata_version=v, summary="One line") for n, v in enumerate(VERSIONS)],
        *[sdist("metadata", f"1.{n}", metadata_version=v) for n, v in enumerate(VERSIONS)],
        wheel(
            "modern",
            metadata_version="2.4",
            license_expression="MIT OR Apache-2.0",
            license_file="LICENSE",
            files={"modern.py": b"", "modern-1.0.dist-info/licenses/LICENSE": b"MIT\n"},
            project_url=["Source, https://example.org/x", "Docs, https://example.org/docs"],
            classifier=["Programming Language :: Python :: 3", "Private :: Do Not Upload"],
            author_email="A Person <a@example.org>",
            keywords="a,b",
            requires_python=">=3.8",
        ),
    ]
    paths = [package.write(tmp_path / "dist") for package in packages]
    if tool == "twine":
        done = clients.twine(server, paths)
    else:
        done = clients.uv_publish(server, paths, version=tool.partition("-")[2])
    assert done.returncode == 0, said(done)
    for package in packages:
        assert server.fetch(package.filename.split("-")[0], package.filename) == package.data


def test_real_wheels(server, clients, real_wheels):
    server = server()
    done = clients.twine(server, real_wheels)
    assert done.returncode == 0, said(done)
    names = [path.name.split("-")[0].replace("_", "-") for path in real_wheels]
    for tool in TOOLS:
        done, target = clients.install(tool, server, *names)
        assert done.returncode == 0, said(done)
        assert sorted(installed(target)) == sorted(names)


def test_same_bytes_again_are_no_error(server, clients, tmp_path):
    server = server()
    package = wheel()
    path = package.write(tmp_path)
    assert clients.twine(server, [path]).returncode == 0
    before = server.page("demo")
    for done in both(clients, server, [path]):
        assert done.returncode == 0, said(done)
    assert server.upload(package).status == 200
    assert server.page("demo") == before


def test_changed_bytes_are_refused_and_skipped_on_demand(server, clients, tmp_path):
    server = server()
    server.publish(wheel())
    changed = wheel(files={"demo.py": b"other = True\n"}).write(tmp_path)
    for done in both(clients, server, [changed]):
        assert done.returncode != 0
        assert "File already exists" in said(done), said(done)
    skipped = clients.twine(server, [changed], "--skip-existing")
    assert skipped.returncode == 0, said(skipped)
    assert "Skipping" in said(skipped)
    assert server.fetch("demo", wheel().filename) == wheel().data


def test_uv_check_url_skips_what_is_there(server, clients, tmp_path):
    server = server()
    server.publish(wheel())
    path = wheel().write(tmp_path)
    done = clients.uv_publish(server, [path], "--check-url", f"{server.url}/simple/")
    assert done.returncode == 0, said(done)
    assert "already exists" in said(done)


def test_both_tools_print_why(server, clients, tmp_path):
    server = server()
    bad = wheel("demo", "1.0", classifier="Not :: A Classifier", author_email="nonsense")
    # twine shows the reason phrase, which is the first rejection, and the body with --verbose; uv shows the body.
    for done in both(clients, server, [bad.write(tmp_path)]):
        assert done.returncode != 0
        assert "'nonsense' is an invalid value for Author-email" in said(done), said(done)
    verbose = clients.twine(server, [bad.write(tmp_path)], "--verbose")
    uv = clients.uv_publish(server, [bad.write(tmp_path)])
    for done in (verbose, uv):
        assert "classifier.unknown" in said(done) and "email.invalid" in said(done), said(done)
    assert server.page("demo") is None, "a refused upload claims nothing"


def test_over_the_limit_both_tools_show_the_limit(server, clients, tmp_path):
    server = server(upload_file_size="1 MB")
    large = wheel("large", files={"large.bin": os.urandom(30 << 20)})
    path = large.write(tmp_path)
    for done in both(clients, server, [path]):
        assert done.returncode != 0
        text = said(done)
        assert "File too large" in text and "1 MB" in text, text
        assert "Broken pipe" not in text and "reset" not in text, text
    assert server.page("large") is None
    # At the limit and one past it.
    small = wheel("small")
    padded = lambda size: small.data + b"x" * (size - len(small.data))
    for size, refused in ((1 << 20, False), ((1 << 20) + 1, True)):
        answer = server.post_form("/legacy/", [*small.form(), ("content", small.filename, padded(size))])
        assert ("File too large" in answer.text) == refused, answer.text


def test_credentials(server, clients, tmp_path):
    server = server()
    path = wheel().write(tmp_path)
    for done in both(clients, server, [path], token="tidewaiter-nonsense"):
        assert done.returncode != 0
        assert "403" in said(done) and "Invalid or non-existent authentication" in said(done), said(done)
    assert server.upload(wheel(), token=None).status == 403
    assert "www-authenticate" not in server.upload(wheel(), token=None).headers

    server.cli("index", "create", "other")
    foreign = server.new_token("admin", "--in", "other")
    for done in both(clients, server, [path], token=foreign):
        assert "403" in said(done) and done.returncode != 0, said(done)

    scoped = server.new_token("admin", "--project", "demo")
    assert server.upload(wheel(), token=scoped).status == 200
    refused = server.upload(wheel("elsewhere"), token=scoped)
    assert refused.status == 403 and "not valid for project" in refused.reason

    expiring = server.new_token("admin", "--expires", "1s")
    wait_until(lambda: server.upload(wheel("demo", "3.0"), token=expiring).status == 403, what="the token's end")
    assert "expired" in server.upload(wheel("demo", "3.0"), token=expiring).text.lower()

    token = server.new_token("admin")
    listed = server.cli("token", "list").stdout.splitlines()
    assert server.upload(wheel("demo", "4.0"), token=token).status == 200
    newest = max((line.split("\t") for line in listed), key=lambda row: row[3])[0]
    server.cli("token", "revoke", newest)
    # At once, not a second later.
    refused = server.upload(wheel("demo", "5.0"), token=token)
    assert refused.status == 403 and "revoked" in refused.text.lower(), refused.text
    assert server.filenames("demo") == [wheel("demo", v).filename for v in ("1.0", "3.0", "4.0")]


@pytest.mark.parametrize("scheme", ["Basic", "Bearer", "token"])
def test_every_way_to_send_a_token(server, scheme):
    server = server()
    value = base64.b64encode(f"__token__:{server.token}\n".encode()).decode() if scheme == "Basic" else server.token
    assert server.upload(wheel(), token=None, headers={"Authorization": f"{scheme} {value}"}).status == 200
    password = base64.b64encode(b"admin:secret").decode()
    refused = server.upload(wheel("x"), token=None, headers={"Authorization": f"Basic {password}"})
    assert refused.status == 403 and "not supported" in refused.reason


def test_attestations_are_refused_with_a_sentence(server):
    server = server()
    answer = server.upload(wheel(), attestations='[{"version": 1}]')
    assert answer.status == 400 and "Invalid attestations supplied during upload" in answer.reason
    assert server.page("demo") is None


def test_all_rejections_are_listed_and_the_first_is_the_reason(server):
    server = server()
    package = wheel("demo", "1.0", classifier="Nope", requires_python="nope", summary="a" * 513)
    answer = server.upload(package, md5_digest="0" * 32)
    assert answer.status == 400
    for rule in ("summary.invalid", "classifier.unknown", "requires-python.invalid", "file.digest-mismatch"):
        assert rule in answer.text
    assert answer.reason in answer.text.splitlines()[0]
    listed = server.upload(package, md5_digest="0" * 32, headers={"Accept": "application/json"}).json()
    assert [r["rule"] for r in listed["rejections"]] == [
        "summary.invalid",
        "classifier.unknown",
        "requires-python.invalid",
        "file.digest-mismatch",
    ]
    assert all(r["message"] and r["help"] for r in listed["rejections"])


def test_form_details(server):
    """Irregular forms that the public index takes or refuses."""
    server = server()
    accepted = [
        {"sha256_digest": None, "md5_digest": hashlib.md5(wheel("f0").data).hexdigest().upper()},
        {"protocol_version": None},
        {"gpg_signature": "ignored", "unknown_field": "ignored"},
        {"summary": "UNKNOWN"},
        {"description": ""},
        {"metadata_version": None, "name": None, "version": None},
    ]
    for n, changes in enumerate(accepted):
        answer = server.upload(wheel(f"f{n}"), **changes)
        assert answer.status == 200, (changes, answer.text)
    refused = [
        ({"protocol_version": "2"}, "Unknown protocol version"),
        ({"filetype": "bdist_egg"}, "known file type"),
        ({"filetype": "sdist"}, "Invalid file extension"),
        ({"pyversion": None}, "Python version is required"),
        ({"sha256_digest": None}, "at least one message digest"),
        ({"sha256_digest": "zz"}, "Use a valid, hex-encoded, SHA256"),
        ({"sha256_digest": "0" * 64}, "does not match a digest"),
        ({"name": ["r", "r"]}, "more than once"),
        ({"version": "2.0"}, "differs from"),
        ({"summary": "another"}, "Summary in the form"),
        ({"requires_dist": ["six"]}, "Requires-Dist"),
    ]
    for changes, message in refused:
        answer = server.upload(wheel("r"), **changes)
        assert answer.status == 400 and message in answer.text, (changes, answer.text)
    assert server.page("r") is None
    for action, status in (("submit", 410), ("doc_upload", 410), ("nonsense", 404), (None, 404)):
        assert server.upload(wheel("r"), action=action).status == status
    no_file = server.post_form("/legacy/", wheel("r").form())
    assert no_file.status == 400 and "does not have a file" in no_file.reason
    redirected, gone = (server.post_form(path, [*wheel("r").form(), ("content", "r.whl", bytes(5 << 20))]) for path in ("/legacy", "/pypi?:action=file_upload"))
    assert redirected.status == 308 and redirected.headers["location"] == "/legacy/"
    assert gone.status == 410 and "/legacy/" in gone.reason
    assert server.request("POST", "/pypi/", b"").status == 410


def test_a_repetition_is_a_right_request_too(server):
    server = server()
    server.publish(wheel("r"))
    again = server.upload(wheel("r"))
    assert again.status == 200 and "Nothing was changed" in again.text
    for changes, message in (({"filetype": "egg"}, "Use a known file type"), ({"sha256_digest": "zz"}, "hex-encoded, SHA256"),
                             ({"protocol_version": "2"}, "Unknown protocol version"), ({"name": ["r", "r"]}, "more than once")):
        answer = server.upload(wheel("r"), **changes)
        assert answer.status == 400 and message in answer.text, (changes, answer.text)
        assert message in str(server.check(wheel("r"), **changes)["rejections"])
    assert len(server.filenames("r")) == 1


def test_registry_rules(server):
    server = server(upload_release_open="0s")
    server.publish(sdist())
    second = sdist(files={"more.py": b""})
    answer = server.upload(second)
    assert answer.status == 400 and "File already exists" in answer.reason
    renamed = wheel("demo", "2.0", build="1")
    server.publish(wheel("demo", "2.0"))
    same = server.upload(wheel("demo", "2.0").named(renamed.filename))
    assert same.status == 400 and "File already exists" in same.text
    late = wheel("demo", "1.0")
    wait_until(lambda: not server.check(late)["accepted"], what="the release to close")
    assert "older than 0 days" in server.upload(late).reason
    for name, rule in (("asyncio", "name.stdlib"), ("dem0", "name.similar")):
        assert rule in server.upload(wheel(name)).text
    server.verb("projects/demo/remove", {"file": sdist().filename})
    assert "previously used" in server.upload(sdist()).text
    assert server.upload(sdist()).status == 400
