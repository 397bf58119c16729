"""Many hostile and broken files through the upload and its inspection, while somebody reads the index.

`TIDEWAITER_HOSTILE=10000 pytest tests/test_hostile_files.py -n 0 -s` is the long run; the suite's own is short. Every
file is made from its number, so a failure is repeated by it."""

import os
import random
import statistics
import threading
import time

import pytest

from harness import JSON, wait_until
from packages import sdist, wheel

COUNT = int(os.environ.get("TIDEWAITER_HOSTILE", "120"))
UPLOADERS = 4
# Seconds that one page may take, in a debug build on a busy machine; and for half of them.
PAGE_P99 = 2.0
PAGE_P50 = 0.25

NEST = "x = " + "(" * 5_000 + ")" * 5_000
BODIES = [
    b"x = 1\n",
    NEST.encode(),
    ("x = " + 'f"{' * 2_000 + "1" + '}"' * 2_000).encode(),
    b"import base64\nexec(base64.b64decode('cHJpbnQoMSk='))\n",
    b"# coding: rot13\nvzcbeg bf\n",
    b"\xff\xfe\x00" * 1_000,
    b"x = '" + b"a" * 300_000 + b"'\n",
    b"f(1);" * 40_000,
    b"while x:\n    while x:\n        while x:\n",
    b"x = 'a' * 10**9\ny = x * 10**9\nexec(y)\n",
    b"def f(x):\n    return f(x + x)\nexec(f('a'))\n",
    b"\xa7\x0d\r\n" + bytes(12) + b")\x01" * 50_000,
    b"\x80\x04" + b"(" * 300_000 + b".",
]
NAMES = ["{m}/__init__.py", "{m}/a.py", "{m}/a.pyc", "{m}/a.pkl", "{m}/a.png", "{m}.pth", "{m}/data.bin", "{m}/a.sh"]


def made(number):
    """A file by its number: sound ones with evil content, and broken ones."""
    dice = random.Random(number)
    name, module = f"hostile-{number}", f"hostile_{number}"
    files = {dice.choice(NAMES).format(m=module): dice.choice(BODIES) for _ in range(dice.randint(1, 4))}
    package = wheel(name, "1.0", files=files) if dice.random() < 0.7 else sdist(name, "1.0", files=files)
    data = bytearray(package.data)
    match dice.randrange(5):
        case 0:
            for _ in range(dice.randint(1, 8)):
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        case 1:
            del data[dice.randrange(len(data)) :]
        case 2:
            data += dice.randbytes(dice.randint(1, 2_000))
        case _:
            pass
    return type(package)(package.filename, bytes(data), package.fields)


class Probe(threading.Thread):
    """Reads one page again and again, as an installer does."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.took, self.wrong, self.stopped = server, [], [], threading.Event()

    def run(self):
        while not self.stopped.wait(0.02):
            begun = time.monotonic()
            try:
                answer = self.server.get("/simple/steady/", Accept=JSON)
                if answer.status != 200:
                    self.wrong.append(answer.status)
            except OSError as error:
                self.wrong.append(repr(error))
            self.took.append(time.monotonic() - begun)

    def figures(self):
        took = sorted(self.took)
        return statistics.median(took), took[int(len(took) * 0.99)], took[-1]


@pytest.mark.timeout(max(180, COUNT * 2))
def test_hostile_files_neither_slow_nor_stop_the_server(server):
    server = server(upload_wait="0")
    assert server.upload(wheel("steady", "1.0")).status == 200
    wait_until(lambda: server.filenames("steady"), 20, "the first file")
    process = server.process.pid
    probe, answers, numbers = Probe(server), {}, iter(range(COUNT))
    lock = threading.Lock()
    probe.start()
    begun = time.monotonic()

    def upload():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            package = made(number)
            for _ in range(200):
                answer = server.upload(package, timeout=120)
                if answer.status != 503:
                    break
                time.sleep(0.2)
            with lock:
                answers.setdefault(answer.status, []).append(number)

    uploaders = [threading.Thread(target=upload) for _ in range(UPLOADERS)]
    for thread in uploaders:
        thread.start()
    for thread in uploaders:
        thread.join()
    uploaded = time.monotonic() - begun
    while server.cli("jobs", "list").stdout:
        assert time.monotonic() - begun < COUNT * 2 + 120, server.cli("jobs", "list").stdout
        time.sleep(0.3)
    done = time.monotonic() - begun
    probe.stopped.set()
    probe.join()
    p50, p99, most = probe.figures()
    counts = {status: len(numbers) for status, numbers in sorted(answers.items())}
    print(f"{COUNT} files, answers {counts}: {uploaded:.1f} s uploaded, {done:.1f} s inspected; {len(probe.took)} pages: "
          f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, most {most * 1000:.1f} ms")
    assert set(counts) <= {200, 400} and sum(counts.values()) == COUNT, {s: n[:5] for s, n in answers.items()}
    assert 200 in counts and 400 in counts, counts
    assert not probe.wrong and len(probe.took) > 20, probe.wrong[:5]
    assert p50 < PAGE_P50 and p99 < PAGE_P99, (p50, p99)
    assert server.running() and server.process.pid == process and "panicked" not in server.log()
    # Every file that was taken has its verdict, and what could not be inspected is not shown.
    verdicts = [line.split("\t") for line in server.cli("verdicts", "list", "--limit", str(COUNT + 10)).stdout.splitlines()]
    assert len(verdicts) == counts[200] + 1
    held = [name for name, verdict in verdicts if verdict in ("hold", "malicious")]
    assert held
    for name in held[:20]:
        assert name not in server.filenames(name.split("-")[0].replace("_", "-"))
    assert server.upload(wheel("steady", "1.1")).status == 200
    wait_until(lambda: len(server.filenames("steady")) == 2, 20, "a clean file after all of them")
