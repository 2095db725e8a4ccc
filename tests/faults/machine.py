"""A broker and workers of their own, which a test may kill."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection

from labelstudio_llm import broker

STARTED_S = 120
"""How long a worker may take to start and carry out its first: a busy machine takes a minute."""


class Machine:
    """A broker and workers of their own, all ended with the test."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.processes: list[subprocess.Popen[bytes]] = []

    def start_broker(self) -> subprocess.Popen[bytes]:
        path = broker.socket_path(self.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        process = self._start(broker.server_command(self.folder))
        wait_until(path.exists, 10)
        return process

    def start_worker(self, queues: str, *options: str) -> subprocess.Popen[bytes]:
        name = f"{queues}-{len(self.processes)}@test"
        command = [sys.executable, "-m", "celery", "-A", "labelstudio_llm", "worker", "-n", name]
        fixed = ["-Q", queues, "-c", "1", "--without-gossip", "--without-mingle", "-l", "warning"]
        return self._start([*command, *fixed, *options])

    def start_beat(self) -> subprocess.Popen[bytes]:
        return self.start_worker("default", "-B", "-s", str(self.folder / "schedule"))

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        log = (self.folder / f"process-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process


def wait_until(condition: Callable[[], Any], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    return "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
