"""Real workers on a real broker, killed in the middle of a run: the run ends well all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from annotations.models import Project
from labelstudio_llm import broker
from training import artifacts, lifecycle, tasks
from training.models import Checkpoint, Run
from training.tests.factories import make_run

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

State = Run.State
STEPS = 12


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


@pytest.fixture
def machine(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    folder = tmp_path / "var"
    folder.mkdir()
    url = broker.socket_url(folder)
    monkeypatch.setattr(tasks.execute_run.app.conf, "broker_url", url)
    settings.RUN_SILENCE_SECONDS = 4
    started = Machine(
        folder,
        {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "VAR_DIR": str(folder),
            "DATABASE_URL": database_url(),
            "ARTIFACTS_URL": str(django_settings.ARTIFACTS_ROOT),
            "REDIS_URL": url,
            "SECRET_KEY": "only-for-tests-" * 4,
            "SCRIPTED": "works",
            "SCRIPTED_STEPS": str(STEPS),
            "SCRIPTED_STEP_S": "0.3",
            "PYTHONPATH": str(Path.cwd()),
        },
    )
    started.start_broker()
    yield started
    started.end()


def fresh(run: Run) -> Run:
    run.refresh_from_db()
    return run


def child_of(run: Run) -> int:
    identity = (artifacts.work_folder(run) / "child.json").read_text()
    return int(json.loads(identity)["pid"])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def check_ended_well(run: Run, attempts: int, lost_points: int = 0) -> None:
    """Check that each step was done once; a killed worker may lose a second of its curve."""
    assert (run.state, run.attempt) == (State.SUCCEEDED, attempts), run.error
    assert Checkpoint.objects.filter(run=run).count() == 1
    measured = set(run.metrics.values_list("step", flat=True))
    assert len(set(range(1, STEPS + 1)) - measured) <= lost_points
    steps = (artifacts.work_folder(run) / "steps.txt").read_text().split()
    assert steps == [str(step) for step in range(1, STEPS + 1)]


def test_a_second_worker_finishes_the_run_of_one_that_was_killed(
    machine: Machine, project: Project
) -> None:
    run = make_run(project)
    machine.start_beat()
    first = machine.start_worker("training")
    wait_until(lambda: fresh(run).step >= 3, 30)
    child = child_of(run)
    first.kill()
    wait_until(lambda: not is_alive(child), 5)
    machine.start_worker("training")
    wait_until(lambda: fresh(run).state in Run.TERMINAL, 30)
    check_ended_well(run, attempts=2, lost_points=5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["warm", "soft"])
def test_a_worker_that_is_told_to_stop_gives_its_run_back_at_once(
    machine: Machine, project: Project, number: signal.Signals
) -> None:
    run = make_run(project)
    first = machine.start_worker("training")
    assert tasks.send_hint(run.pk, "training")
    wait_until(lambda: fresh(run).step >= 3, 30)
    first.send_signal(number)
    wait_until(lambda: fresh(run).state == State.QUEUED, 5)
    if number == signal.SIGTERM:  # the other way waits out its soft timeout, whatever is left to do
        assert first.wait(10) == 0
    machine.start_worker("training")
    tasks.send_hint(run.pk, "training")
    wait_until(lambda: fresh(run).state in Run.TERMINAL, 30)
    check_ended_well(run, attempts=2)


def test_runs_survive_a_broker_that_forgets_everything(machine: Machine, project: Project) -> None:
    runs = [make_run(project), make_run(project)]
    machine.environment |= {"SCRIPTED_STEP_S": "0.1"}
    machine.start_beat()
    machine.start_worker("training")
    wait_until(lambda: fresh(runs[0]).step + fresh(runs[1]).step >= 2, 30)
    lost = machine.processes[0]
    lost.kill()
    lost.wait()
    for path in machine.folder.glob("appendonlydir/*"):
        path.unlink()
    machine.start_broker()
    wait_until(lambda: all(fresh(run).state in Run.TERMINAL for run in runs), 35)
    for run in runs:
        check_ended_well(run, attempts=1)


def test_a_hung_broker_does_not_hold_up_a_page(machine: Machine, project: Project) -> None:
    run = make_run(project)
    assert tasks.send_hint(run.pk, "training") is True
    Run.objects.filter(id=run.pk).update(hinted_at=None)
    machine.processes[0].send_signal(signal.SIGSTOP)
    started = time.monotonic()
    assert tasks.send_hint(run.pk, "training") is False
    assert time.monotonic() - started < 5
    machine.processes[0].send_signal(signal.SIGCONT)
    assert lifecycle.due_for_hint() == [(run.pk, "training")]
    assert tasks.send_hint(run.pk, "training") is True
