"""Processes, ports, memory and the facts of this machine. Everything on loopback; nothing outlives the bench."""

import atexit
import http.client
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

_running = []


def facts():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores ({model}), "
            f"{memory / 1048576:.0f} GB, Python {platform.python_version()}, load {load}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def scratch(cache):
    """A folder for this run on the disk of the cache: a folder in memory would make every sync free."""
    folder = pathlib.Path(cache) / "run"
    folder.mkdir(parents=True, exist_ok=True)
    # What a run left that was killed while it cleaned up.
    for old in folder.glob("tidewaiter-*"):
        if not pathlib.Path(f"/proc/{old.name.split('-')[1]}").exists():
            shutil.rmtree(old, ignore_errors=True)
    made = pathlib.Path(tempfile.mkdtemp(prefix=f"tidewaiter-{os.getpid()}-", dir=folder))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


class Process:
    """A program in a process group of its own."""

    def __init__(self, command, log, env=None, cwd=None):
        self.log = pathlib.Path(log)
        self.started = time.perf_counter()
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                          env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True)
        self.pid = self.popen.pid
        _running.append(self)

    def stop(self):
        if self in _running:
            _running.remove(self)
        for what, wait in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
            try:
                os.killpg(self.pid, what)
            except ProcessLookupError:
                pass
            try:
                self.popen.wait(wait)
                break
            except subprocess.TimeoutExpired:
                continue
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def failed(self, why):
        tail = self.log.read_bytes()[-2000:].decode("utf-8", "replace")
        raise RuntimeError(f"{why}: {self.popen.args}\n{tail}")

    def wait_for(self, url, seconds=120, every=0.002):
        """Milliseconds from the start of the program to the first 200 at `url`."""
        host, port, path = parts(url)
        while True:
            try:
                connection = http.client.HTTPConnection(host, port, timeout=30)
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    return 1000 * (time.perf_counter() - self.started)
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            if self.popen.poll() is not None:
                self.failed(f"ended with {self.popen.returncode}")
            if time.perf_counter() - self.started > seconds:
                self.failed(f"no answer within {seconds} s")
            time.sleep(every)

    def memory(self):
        """Resident megabytes: the process itself, its descendants together, the largest of them."""
        below = [resident(pid) for pid in descendants(self.pid)]
        return resident(self.pid), sum(below), max(below, default=0.0)

    def peak(self):
        """The most resident megabytes that the process itself ever had."""
        return next(int(line.split()[1]) / 1024 for line in open(f"/proc/{self.pid}/status") if line.startswith("VmHWM"))

    def cpu(self):
        return cpu_seconds(self.popen.pid)

    def written(self):
        """Bytes given to write calls, and bytes that went to the disk, by the process and its descendants."""
        total, disk = 0, 0
        for pid in [self.pid, *descendants(self.pid)]:
            try:
                rows = dict(line.split(": ") for line in open(f"/proc/{pid}/io").read().splitlines())
            except OSError:
                continue
            total += int(rows["wchar"])
            disk += int(rows["write_bytes"])
        return total, disk


def resident(pid):
    try:
        return next(int(line.split()[1]) / 1024 for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return 0.0


def cpu_seconds(pid):
    """Processor time of a process, of its descendants, and of those that it has waited for."""
    ticks = 0
    for one in [pid, *descendants(pid)]:
        try:
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rpartition(") ")[2].split()
        except FileNotFoundError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def descendants(pid):
    parents = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents.setdefault(int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(int(folder.name))
        except OSError:
            continue
    found, queue = [], [pid]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


def parts(url):
    from urllib.parse import urlsplit
    split = urlsplit(url)
    if split.hostname != "127.0.0.1":
        raise ValueError(f"{url}: only loopback is measured")
    return split.hostname, split.port, split.path + (f"?{split.query}" if split.query else "")


def stop_all(*_):
    for process in list(_running):
        process.stop()


def stop_on_signal(number, _):
    stop_all()
    sys.exit(128 + number)


atexit.register(stop_all)
for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(_number, stop_on_signal)
