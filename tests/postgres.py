"""A throw-away PostgreSQL cluster: a temporary folder, a Unix socket, no network."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from harness import die_with_parent, wait_until


class Cluster:
    """One cluster for a test session; a database of its own for every server."""

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        programs = Path(found[-1]).parent if found else Path(shutil.which("initdb")).parent
        self.folder = Path(tempfile.mkdtemp(prefix="tidewaiter-outside-pg-"))
        self.user = None
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            self.user = pwd.getpwnam("postgres")
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        data = self.folder / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "tidewaiter", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            check=True,
            stdout=subprocess.DEVNULL,
            preexec_fn=self._as_user,
        )
        log = (self.folder / "log").open("wb")
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}", "-c", "max_connections=200"]
        self.process = subprocess.Popen(
            [programs / "postgres", "-D", data, *options],
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=self._as_user,
        )
        self.programs, self.count = programs, 0
        try:
            wait_until(lambda: self._sql("postgres", "select 1").returncode == 0, 30, "PostgreSQL")
        except AssertionError:
            self.stop()
            raise

    def _as_user(self):
        if self.user:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
            os.chdir("/")
        # After the change of user, which would clear it.
        die_with_parent()

    def _sql(self, database, text):
        command = [self.programs / "psql", "-h", self.folder, "-U", "tidewaiter", "-d", database, "-Atqc", text]
        return subprocess.run(command, capture_output=True, text=True)

    def new_database(self):
        self.count += 1
        name = f"ledger{self.count}"
        made = self._sql("postgres", f"create database {name}")
        assert made.returncode == 0, made.stderr
        return f"postgres:///{name}?host={self.folder}&user=tidewaiter"

    def stop(self):
        # Immediate: nothing in it is wanted any more.
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
