"""A Dask scheduler and its workers as processes, on this machine or in networks of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.helpers.places import ROOT

#: Time after which a lost machine is noticed; 11 s is the least that Dask accepts.
_ENVIRONMENT = {
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    "PYTHONPATH": str(ROOT),
}
#: Importing takes a while where tests run side by side.
_PATIENCE_S = 60.0


class Processes:
    """A cluster; it ends with the context."""

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        environment: dict[str, str] | None = None,
    ) -> None:
        self._folder, self._host = folder, host
        self._environment = _ENVIRONMENT | (environment or {})
        self._started: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def __enter__(self) -> Processes:
        self.address = self.start_scheduler()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            self.kill(process)

    def start_scheduler(self, port: int = 0) -> str:
        """Start the scheduler; return its address."""
        log = self._folder / f"scheduler-{len(self._started)}.log"
        arguments = ["--host", self._host, "--port", str(port), "--dashboard-address", ":0"]
        self.scheduler = self._start("dask_scheduler", [*arguments, "--no-dashboard"], log)
        return self._wait_for(log, r"Scheduler at:\s*(tcp://\S+)")

    def start_worker(
        self, *options: str, prefix: Sequence[str] = (), environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker with one thread, and wait until it is registered."""
        log = self._folder / f"worker-{len(self._started)}.log"
        arguments = [self.address, "--nthreads", "1", "--no-dashboard", *options]
        arguments += ["--local-directory", str(self._folder)]
        process = self._start("dask_worker", arguments, log, prefix, environment)
        self._wait_for(log, r"(Registered to:)")
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process and those that it started at once, as a lost machine would."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _start(
        self,
        program: str,
        arguments: Sequence[str],
        log: Path,
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", f"distributed.cli.{program}", *arguments],
                stdout=out,
                stderr=out,
                cwd=self._folder,
                env=os.environ | self._environment | (environment or {}),
                start_new_session=True,
            )
        self._started.append(process)
        return process

    @staticmethod
    def _wait_for(log: Path, pattern: str) -> str:
        deadline = time.monotonic() + _PATIENCE_S
        while not (found := re.search(pattern, log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        return found.group(1)


class Networks:
    """Network namespaces on one bridge, as machines on one switch; they go with the context."""

    _BRIDGE, HOST = "serlivebr", "10.213.77.1"

    def __init__(self, count: int) -> None:
        self._names = [f"serlive{number}" for number in range(count)]

    @staticmethod
    def missing() -> str | None:
        """Say what is missing to make them; None for nothing."""
        if not hasattr(os, "geteuid") or os.geteuid():
            return "root"
        tried = subprocess.run(["unshare", "-n", "ip", "link"], capture_output=True)
        return None if not tried.returncode else "ip and unshare -n"

    def __enter__(self) -> Networks:
        self.__exit__()
        _ip("link", "add", self._BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{self.HOST}/24", "dev", self._BRIDGE)
        _ip("link", "set", self._BRIDGE, "up")
        for number, name in enumerate(self._names):
            _ip("netns", "add", name)
            _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", name, "master", self._BRIDGE, "up")
            inside = ("-n", name)
            _ip(*inside, "addr", "add", f"10.213.77.{number + 10}/24", "dev", "eth0")
            _ip(*inside, "link", "set", "eth0", "up")
            _ip(*inside, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names:
            subprocess.run(["ip", "link", "delete", name], capture_output=True)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        subprocess.run(["ip", "link", "delete", self._BRIDGE], capture_output=True)

    def inside(self, number: int) -> list[str]:
        """Return what to put before a command so that it runs in a namespace."""
        return ["ip", "netns", "exec", self._names[number]]

    def cut(self, number: int) -> None:
        """Cut a namespace off: no packet arrives, and no error is reported."""
        _ip("link", "set", self._names[number], "down")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
