"""The dry run, offline and over HTTP, and the upload give one answer about every file."""

import json

import pytest

import corpus
from harness import binary, clean_env, rules, run, wait_until
from packages import sdist, tar_bytes, wheel, zip_bytes


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """What `tidewaiter check` says: label -> rule ids."""
    folder = tmp_path_factory.mktemp("corpus")
    paths = {label: package.write(folder / f"{n}") for n, (label, package) in enumerate(corpus.everything())}
    done = run([binary(), "check", "--format", "json", *paths.values()])
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and len(answers) == len(paths), done.stderr
    by_file = {answer["file"]: answer for answer in answers}
    assert all(a["accepted"] == (a["rejections"] == []) for a in answers)
    return {label: [r["rule"] for r in by_file[str(path)]["rejections"]] for label, path in paths.items()}


def plain_form(package):
    """The form without metadata, as `check` makes it: the archive is the truth."""
    metadata = {key: None for key, _ in package.fields}
    pyversion = "py3" if package.filename.endswith(".whl") else "source"
    filetype = "bdist_wheel" if package.filename.endswith(".whl") else "sdist"
    return {**metadata, "pyversion": pyversion, "filetype": filetype}


def test_three_ways_one_answer(server, offline):
    """Each accepted file is uploaded to a project of its own, so that only rules about the file can speak."""
    server = server()
    differ = []
    for label, package in corpus.everything():
        form = plain_form(package)
        dry = [r["rule"] for r in server.check(package, **form)["rejections"]]
        with_token = [r["rule"] for r in server.check(package, token=server.token, **form)["rejections"]]
        answer = server.upload(package, headers={"Accept": "application/json"}, **form)
        real = rules(answer) if answer.status != 200 else []
        if not (offline[label] == dry == with_token == real):
            differ.append((label, offline[label], dry, with_token, real))
        if answer.status == 200:
            # The next file may have the same name or content.
            name = package.filename.split("-")[0].replace("_", "-")
            if name == "hostile":
                server.kill()
                server = fresh(server)
    assert differ == []


def fresh(server):
    """The same server with nothing in it."""
    import shutil

    shutil.rmtree(server.data)
    server._token = None
    return server.start()


@pytest.mark.parametrize("label", [label for label, _ in corpus.good()])
def test_good_files_are_accepted(offline, label):
    assert offline[label] == []


@pytest.mark.parametrize("label", [label for label, _ in corpus.bad_metadata()])
def test_bad_metadata_is_refused(offline, label):
    assert offline[label] != []


@pytest.mark.parametrize("label", [label for label, _ in corpus.bad_archives()])
def test_bad_archives_are_refused(offline, label):
    assert offline[label] != []


def test_exit_codes_and_text(tmp_path):
    good, bad = wheel("fine").write(tmp_path), wheel("poor", classifier="No").write(tmp_path)
    check = lambda *arguments: run([binary(), "check", *arguments])
    done = check(good)
    assert (done.returncode, done.stdout) == (0, f"{good}: accepted\n")
    done = check(good, bad)
    assert done.returncode == 1 and "refused" in done.stdout and "[classifier.unknown]" in done.stdout
    done = check(tmp_path / "absent.whl", good)
    assert done.returncode == 2 and "absent.whl" in done.stderr and "accepted" in done.stdout
    assert check(tmp_path).returncode == 2
    assert check().returncode == 2
    local = wheel("local", "1.0+x").write(tmp_path)
    assert check(local).returncode == 0
    assert "version.local" in check("--profile", "public", local).stdout


def test_archive_only(tmp_path):
    check = lambda path: run([binary(), "check", "--archive-only", "--format", "json", path])
    good = {
        "any.zip": zip_bytes([("a/b.txt", b"x"), ("c.txt", b"y")]),
        "any.tar": tar_bytes([("a", b"x")], mode="w"),
        "any.tar.gz": tar_bytes([("a/b", b"x"), ("c", b"y")]),
        "no-extension": zip_bytes([("a", b"x")]),
        "wheel.whl": wheel().data,
        "sdist.tgz": sdist().data,
    }
    for name, data in good.items():
        (tmp_path / name).write_bytes(data)
        done = check(tmp_path / name)
        assert done.returncode == 0 and json.loads(done.stdout)["accepted"], (name, done.stdout)
    bad = {
        "noise.bin": b"noise",
        "empty": b"",
        "trailing.zip": good["any.zip"] + b"x",
        "cut.tar.gz": good["any.tar.gz"][:-9],
        "path.zip": zip_bytes([("../x", b"x")]),
        "link.tar": tar_bytes([corpus.link("a", "/etc/passwd")], mode="w"),
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        done = check(tmp_path / name)
        assert done.returncode == 1 and not json.loads(done.stdout)["accepted"], (name, done.stdout)
    assert check(tmp_path / "absent").returncode == 2


def test_check_leaves_nothing(tmp_path):
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    path = wheel().write(tmp_path)
    assert run([binary(), "check", path], env=clean_env(TMPDIR=scratch)).returncode == 0
    assert list(scratch.iterdir()) == []


def test_a_dry_run_keeps_nothing(server):
    server = server()
    for _ in range(2):
        assert server.check(wheel())["accepted"] is True
    assert server.page("demo") is None
    wait_until(lambda: not list((server.data / "blobs").rglob("vault/*/*")), what="the scratch to go")
    assert server.cli("scrub").stdout == "main: 0 files, 0 wrong\n"
