"""Real workers on a real broker, killed in the middle of a run: the run ends well all the same."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
import redis

from annotations.models import Project
from annotations.tasks import hint_import
from labelstudio_llm import broker
from tests.faults.conftest import STEPS
from tests.faults.machine import STARTED_S, Machine, is_alive, wait_until
from training import artifacts, lifecycle, tasks
from training.models import Checkpoint, Run
from training.tests.factories import make_run

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

State = Run.State


def fresh(run: Run) -> Run:
    run.refresh_from_db()
    return run


def child_of(run: Run) -> int:
    identity = (artifacts.work_folder(run) / "child.json").read_text()
    return int(json.loads(identity)["pid"])


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
    wait_until(lambda: fresh(run).step >= 3, STARTED_S)
    child = child_of(run)
    first.kill()
    wait_until(lambda: not is_alive(child), 5)
    machine.start_worker("training")
    wait_until(lambda: fresh(run).state in Run.TERMINAL, STARTED_S)
    check_ended_well(run, attempts=2, lost_points=5)


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGQUIT, marks=pytest.mark.long)],
    ids=["warm", "soft"],
)
def test_a_worker_that_is_told_to_stop_gives_its_run_back_at_once(
    machine: Machine, project: Project, number: signal.Signals
) -> None:
    run = make_run(project)
    first = machine.start_worker("training")
    assert tasks.send_hint(run.pk, "training")
    wait_until(lambda: fresh(run).step >= 3, STARTED_S)
    first.send_signal(number)
    wait_until(lambda: fresh(run).state == State.QUEUED, 5)
    if number == signal.SIGTERM:  # the other way waits out its soft timeout, whatever is left to do
        assert first.wait(10) == 0
    machine.start_worker("training")
    tasks.send_hint(run.pk, "training")
    wait_until(lambda: fresh(run).state in Run.TERMINAL, STARTED_S)
    check_ended_well(run, attempts=2)


@pytest.mark.long
def test_runs_survive_a_broker_that_forgets_everything(machine: Machine, project: Project) -> None:
    runs = [make_run(project), make_run(project)]
    machine.environment |= {"SCRIPTED_STEP_S": "0.1"}
    machine.start_beat()
    machine.start_worker("training")
    wait_until(lambda: fresh(runs[0]).step + fresh(runs[1]).step >= 2, STARTED_S)
    lost = machine.processes[0]
    lost.kill()
    lost.wait()
    for path in machine.folder.glob("appendonlydir/*"):
        path.unlink()
    machine.start_broker()
    wait_until(lambda: all(fresh(run).state in Run.TERMINAL for run in runs), STARTED_S)
    for run in runs:
        check_ended_well(run, attempts=1)


def test_a_hung_or_full_or_absent_broker_does_not_hold_up_a_page(
    machine: Machine, project: Project
) -> None:
    run = make_run(project)
    assert tasks.send_hint(run.pk, "training") is True
    Run.objects.filter(id=run.pk).update(hinted_at=None)
    hung = machine.processes[0]
    full = redis.Redis(unix_socket_path=str(broker.socket_path(machine.folder)))
    for break_it, mend in (
        (lambda: hung.send_signal(signal.SIGSTOP), lambda: hung.send_signal(signal.SIGCONT)),
        (lambda: full.config_set("maxmemory", 1), lambda: full.config_set("maxmemory", "256mb")),
        (lambda: (hung.kill(), hung.wait()), machine.start_broker),
    ):
        break_it()
        started = time.monotonic()
        assert tasks.send_hint(run.pk, "training") is False
        hint_import(import_id=run.pk)
        assert time.monotonic() - started < 5
        mend()
        assert lifecycle.due_for_hint() == [(run.pk, "training")]
    assert tasks.send_hint(run.pk, "training") is True


def test_a_killed_scheduler_is_started_anew_and_ends_with_its_worker(
    machine: Machine, project: Project
) -> None:
    run = make_run(project)
    worker = machine.start_beat()
    of_worker = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")

    def at_work() -> set[int]:
        """Return the scheduler and the one that carries out, who have just done something."""
        Run.objects.update(hinted_at=None)
        wait_until(lambda: fresh(run).hinted_at, STARTED_S)
        return set(map(int, of_worker.read_text().split()))

    first = at_work()
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(at_work() - first) == 2, STARTED_S)
    second = at_work()
    worker.kill()
    wait_until(lambda: not any(map(is_alive, second)), 10)
