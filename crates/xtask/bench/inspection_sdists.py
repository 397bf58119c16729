"""Source distributions of ordinary projects, fetched without a build.

`pip download` of a source distribution runs its build to learn what it needs, which nothing here may do. pip's finder and
session alone list a project's files, wherever this machine's pip looks for them, and bring the newest one's bytes.
"""

import hashlib
import random
import time

BYTES_MAX = 20 << 20
PAUSE_SECONDS = .5
ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz")


def newest(finder, name):
    """The link of its newest final release that has a source distribution, or nothing."""
    found = [one for one in finder.find_all_candidates(name)
             if one.link.filename.endswith(ENDINGS) and not one.link.is_yanked and not one.version.is_prerelease]
    return max(found, key=lambda one: one.version).link if found else None


def bring(session, link, folder):
    """Whether its bytes are in the folder now: not when there are too many of them, or others than the index says."""
    path, content, digest = folder / link.filename, bytearray(), hashlib.sha256()
    with session.get(link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True) as answer:
        answer.raise_for_status()
        if int(answer.headers.get("Content-Length", 0)) > BYTES_MAX:
            return False
        for part in answer.iter_content(1 << 16):
            content += part
            digest.update(part)
            if len(content) > BYTES_MAX:
                return False
    if link.hash_name == "sha256" and link.hash != digest.hexdigest():
        return False
    path.write_bytes(content)
    return True


def fetch(folder, names, wanted):
    """Fetches up to `wanted` of them, drawn with a seed; each once, one after the other."""
    # pip has no other way to say where it would fetch something from without building it.
    from pip._internal.commands import create_command

    folder.mkdir(parents=True, exist_ok=True)
    command = create_command("download")
    with command.main_context():
        options, _ = command.parse_args(["--no-binary=:all:", "--no-deps", "-q", "none"])
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        fetched = 0
        for name in random.Random(4).sample(names, len(names)):
            if fetched >= wanted:
                break
            try:
                link = newest(finder, name)
                fetched += bool(link and bring(session, link, folder))
            except Exception as error:  # Of one project, whatever it was: the others are there.
                print(f"  not fetched: source of {name}: {error}")
            time.sleep(PAUSE_SECONDS)
    return fetched
