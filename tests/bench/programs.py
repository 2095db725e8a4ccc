"""The programs of the platform, as the Procfile has them, on the database of this process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.yardstick import ROOT, var_dir

if TYPE_CHECKING:
    from annotations.models import Project
    from training.models import Run

START_SECONDS = 60
END_SECONDS = 30
FIRST_STEP_SECONDS = 600
ROWS = 60
DATABASES = ("sqlite", "postgresql")


def in_a_process(
    program: str, *arguments: str, database: str = "sqlite", keep_database: bool = False
) -> list[dict[str, Any]]:
    """Run a program of the benchmarks on an empty database; return its lines, read as JSON.

    In a process of its own, because Django has one database for its life. Only with
    `keep_database` it is the one that DATABASE_URL names.
    """
    command = [sys.executable, "-m", program, *arguments]
    if database == "postgresql":
        command = [sys.executable, "-m", "tests.postgresql", *command]
    # A short path: the broker's socket lies in it.
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as place:
        environment = {**os.environ, "VAR_DIR": place, "LOG_LEVEL": "ERROR", "DEMO": "1"}
        for name in ("REDIS_URL", "ARTIFACTS_URL", *([] if keep_database else ["DATABASE_URL"])):
            environment.pop(name, None)
        environment["DJANGO_SETTINGS_MODULE"] = "labelstudio_llm.settings"
        environment["BASE_MODEL_PATH"] = str(var_dir() / "models" / "smollm2-135m-instruct")
        answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in answer.stdout.decode().splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def program(name: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of the Procfile for as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labelstudio_llm.process", name],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=sys.stderr,  # the results are on stdout
    )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program, however it takes that."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def server() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Serve the pages as `make run` does; yield the port and the process."""
    port = free_port()
    with program("web", PORT=str(port)) as process:
        wait_for(lambda: answers(port), START_SECONDS, process)
        yield port, process


def answers(port: int) -> bool:
    """Return whether somebody listens at a port of this machine."""
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def wait_for(
    condition: Callable[[], Any], seconds: float, *processes: subprocess.Popen[bytes]
) -> None:
    """Return when a condition holds; stop if a process ends before, or time does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if any(process.poll() is not None for process in processes):
            raise SystemExit("A program ended that should go on; see above.")
        if time.monotonic() > deadline:
            raise SystemExit(f"What was waited for did not come within {seconds:g} seconds.")
        time.sleep(0.1)


class Beside:
    """A run that trains while something else is measured, and can be held for a while."""

    def __init__(self, run: Run, worker: int) -> None:
        self.run, self.worker = run, worker

    @property
    def steps(self) -> int:
        self.run.refresh_from_db(fields=["step", "state", "error"])
        if self.run.state != "running":
            raise SystemExit(f"The run beside the measurement {self.run.state}: {self.run.error}")
        return self.run.step

    def hold(self) -> None:
        """Stop it where it is; it keeps its memory."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        for pid in tree_of(self.worker):
            with suppress(OSError):  # it has just ended
                if b"training.pipeline" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, number)


@contextmanager
def training(project: Project) -> Iterator[Beside]:
    """Let a run fine-tune the demo model, as the platform does: a broker, a worker, a child."""
    from training import tasks

    run = queue_run(project)
    with program("broker") as broker, program("worker-training") as worker:
        wait_for(lambda: tasks.send_hint(run.pk, "training"), START_SECONDS, broker, worker)

        def has_begun() -> bool:
            run.refresh_from_db()
            return run.step > 0 or run.state not in ("queued", "running")

        wait_for(has_begun, FIRST_STEP_SECONDS, worker)
        beside = Beside(run, worker.pid)
        try:
            yield beside
        finally:
            beside.go_on()


def queue_run(project: Project) -> Run:
    """Queue a run on made-up demonstrations that is far from done when the bench ends."""
    from django.conf import settings

    from tests.bench.subjects import answers as made_up
    from tests.bench.subjects import haiku_prompts
    from training import artifacts
    from training.pipeline.config import SFTConfig
    from training.tests.factories import make_base, make_run, make_snapshot

    snapshot = make_snapshot(project)
    rows = [
        {
            "split": "train" if number % 10 else "validation",
            "prompt_id": number,
            "prompt": [{"role": "user", "content": text}],
            "completion": [{"role": "assistant", "content": made_up(number, 1)[0]}],
        }
        for number, text in enumerate(haiku_prompts()[:ROWS])
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    artifacts.snapshot_rows(snapshot).write_text(lines, encoding="utf-8")
    base = make_base(project, path=str(settings.BASE_MODEL_PATH))
    config = SFTConfig(epochs=100.0, looks=1).to_dict()
    return make_run(project, config=config, snapshot=snapshot, parent=base)


# What processes take


def tree_of(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has just ended
            found += [below for child in task.read_text().split() for below in tree_of(int(child))]
    return found


def megabytes_of(pid: int) -> int:
    """Return the memory of a process and all below it; what they share counts once."""
    kilobytes = 0
    for one in tree_of(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                kilobytes += int(line.split()[1]) if line.startswith("Pss:") else 0
    return kilobytes // 1024


def processor_seconds(*pids: int) -> float:
    """Return what processes, those below them and the database have used so far."""
    ticks = 0
    for pid in {one for root in (*pids, *database()) for one in tree_of(root)}:
        with suppress(OSError):  # it has just ended
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def database() -> list[int]:
    """Return the process of the database's server, if it has one."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        folder = Path(cursor.fetchone()[0])
    return [int((folder / "postmaster.pid").read_text().split()[0])]
