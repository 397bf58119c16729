"""pip, uv and twine, as people run them."""

import sys
from pathlib import Path

from harness import clean_env, run


# twine knows --skip-existing for the public index only; told that this is it, it keys on the same answer.
ANY_INDEX = """
import sys
from twine import __main__, repository
repository.WAREHOUSE = sys.argv.pop(1)
repository.Repository.package_is_uploaded = lambda *_, **__: False
sys.exit(__main__.main())
"""


class Clients:
    """Runs the real tools in an environment of their own."""

    def __init__(self, folder, pips, uvs):
        self.folder, self.pips, self.uvs = folder, pips, uvs
        self.count = 0
        folder.mkdir(parents=True, exist_ok=True)

    def env(self):
        return clean_env(HOME=self.folder, UV_CACHE_DIR=self.folder / "uv-cache", XDG_CONFIG_HOME=self.folder)

    def fresh(self, name):
        self.count += 1
        path = self.folder / f"{name}-{self.count}"
        path.mkdir(parents=True)
        return path

    def twine(self, server, paths, *arguments, token="", index=None):
        url = f"{server.url}{f'/i/{index}' if index else ''}/legacy/"
        secret = server.token if token == "" else token
        start = ["-c", ANY_INDEX, url] if "--skip-existing" in arguments else ["-m", "twine"]
        command = [sys.executable, *start, "upload", "--non-interactive", "--disable-progress-bar"]
        command += ["--repository-url", url, "-u", "__token__", "-p", secret, *arguments, *paths]
        return run(command, env=self.env())

    def uv_publish(self, server, paths, *arguments, token="", index=None, version="current"):
        url = f"{server.url}{f'/i/{index}' if index else ''}/legacy/"
        secret = server.token if token == "" else token
        command = [self.uvs[version], "publish", "--publish-url", url, "--token", secret, "--trusted-publishing", "never"]
        return run([*command, *arguments, *paths], env=self.env())

    def install(self, tool, server, *arguments, index=None, target=None):
        """`tool` is pip-current, pip-old, uv-current or uv-old. Returns what ran and the folder."""
        target = target or self.fresh("target")
        kind, _, version = tool.partition("-")
        url = f"{server.url}{f'/i/{index}' if index else ''}/simple/"
        if kind == "pip":
            command = [*self.pips[version], "install", "--no-cache-dir", "--index-url", url, "--target", target]
        else:
            command = [self.uvs[version], "pip", "install", "--python", sys.executable, "--default-index", url]
            command += ["--target", target, "--no-cache"]
        return run([*command, *arguments], env=self.env()), target


def installed(target):
    """name -> version of what stands in a folder."""
    found = {}
    for info in Path(target).glob("*.dist-info"):
        fields = dict(
            line.split(": ", 1) for line in (info / "METADATA").read_text().split("\n\n")[0].splitlines() if ": " in line
        )
        found[fields["Name"].lower().replace("_", "-").replace(".", "-")] = fields["Version"]
    return found


TOOLS = ["pip-current", "pip-old", "uv-current", "uv-old"]
