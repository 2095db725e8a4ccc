"""A worker that is told to end at once raises SystemExit wherever it is: no half state is left.

Its clock may be wrong, too: leases and signs of life go by the database's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from types import FrameType
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from annotations import queue
from annotations.models import Project, User
from annotations.tests.factories import make_item
from training import lifecycle
from training.models import Checkpoint, Run
from training.tests.factories import make_checkpoint, make_run

State = Run.State


def is_cut_off_at(line: int, act: Callable[[], Any]) -> bool:
    """Do something that ends at a line of the lifecycle, counted as they are carried out.

    Return whether it came so far.
    """
    left = line

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != lifecycle.__file__:
            return None
        left -= event == "line"
        if left == 0:
            raise SystemExit
        return trace

    sys.settrace(trace)
    try:
        act()
    except SystemExit:
        sys.settrace(None)
        connection.close()  # as the process that ends does, in the middle of a transaction or not
        connection.connect()
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_claim_that_is_cut_off_at_any_line_is_made_or_not(project: Project) -> None:
    line = 1
    run = make_run(project)
    while is_cut_off_at(line, lambda: lifecycle.claim(run.pk)):
        run.refresh_from_db()
        assert (run.state, run.attempt) in [(State.QUEUED, 0), (State.RUNNING, 1)], line
        Run.objects.filter(id=run.pk).update(state=State.QUEUED, attempt=0)
        line += 1
    assert line > 5
    assert lifecycle.claim(run.pk) is None, "the last one was not cut off"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_success_that_is_cut_off_at_any_line_has_its_checkpoint_or_is_none(
    project: Project,
) -> None:
    parent, run, line = make_checkpoint(project), make_run(project), 1
    attempt = lifecycle.claim(run.pk)
    assert attempt is not None

    def publish() -> dict[str, Any]:
        Checkpoint.objects.create(
            project=project, name="new", kind="policy", parent=parent, run=run
        )
        return {"more": 1}

    def succeed() -> None:
        lifecycle.succeed(run.pk, attempt, results={"loss": 1.0}, publish=publish)

    while is_cut_off_at(line, succeed):
        run.refresh_from_db()
        has_checkpoint = Checkpoint.objects.filter(run=run).exists()
        assert (run.state == State.SUCCEEDED) == has_checkpoint, line
        assert run.results in ({"loss": 1.0, "more": 1}, {}), line
        Checkpoint.objects.filter(run=run).delete()
        Run.objects.filter(id=run.pk).update(state=State.RUNNING, results={}, ended_at=None)
        line += 1
    assert line > 5
    assert Checkpoint.objects.filter(run=run).count() == 1


@pytest.mark.parametrize("hours", [2, -2])
def test_a_wrong_clock_takes_no_run_and_no_lease(
    project: Project, bob: User, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    make_item(project)
    run, silent = make_run(project), make_run(project, "sample", parent=make_checkpoint(project))
    wrong, real, now = timedelta(hours=hours), time.time, timezone.now
    monkeypatch.setattr(time, "time", lambda: real() + wrong.total_seconds())
    monkeypatch.setattr(timezone, "now", lambda: now() + wrong)
    assert lifecycle.claim(run.pk) == lifecycle.claim(silent.pk) == 1
    Run.objects.filter(id=silent.pk).update(started_at=Now() - 2 * lifecycle.silence_allowed())
    assert lifecycle.reap() == [silent.pk]
    assignment = queue.lease_next(bob, project)
    assert assignment is not None
    assert abs(assignment.leased_at - now()) < timedelta(minutes=1)
    assert queue.lease_next(bob, project) == assignment
