"""What the child says reaches the page, and nothing it says can break the writing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from django.db import OperationalError

from annotations.models import Project
from training import lifecycle, recording
from training.models import Metric, Run
from training.recording import Recorder, tail
from training.tests.factories import make_run


@pytest.fixture
def run(project: Project) -> Run:
    run = make_run(project)
    assert lifecycle.claim(run.pk) == 1
    return run


@pytest.fixture
def recorder(run: Run, tmp_path: Path) -> Recorder:
    return Recorder(run.pk, 1, tmp_path / "log.txt")


def metrics(step: int, **values: object) -> dict[str, object]:
    return {"event": "metrics", "step": step, "values": values}


def test_it_writes_what_the_child_said(run: Run, recorder: Recorder) -> None:
    recorder({"event": "phase", "phase": "rollout" * 50})
    recorder({"event": "progress", "step": 3, "total_steps": 40})
    recorder(metrics(3, loss=0.5))
    recorder({"event": "samples", "samples": [{"prompt": "p", "before": "b", "after": "a"}] * 20})
    recorder.log.write_text("first\nlast\0\n")
    recorder.close()
    run.refresh_from_db()
    assert (run.step, run.total_steps, run.log_tail) == (3, 40, "first\nlast")
    assert run.phase == ("rollout" * 50)[:100]
    assert len(run.samples) == 8
    assert run.metrics.get().value == 0.5


def test_a_new_phase_begins_to_count_anew(run: Run, recorder: Recorder) -> None:
    recorder({"event": "phase", "phase": "writing samples"})
    recorder({"event": "count", "unit": "token", "done": 60, "total": 48})
    recorder.flush()
    run.refresh_from_db()
    assert (run.phase_unit, run.phase_done, run.phase_total) == ("token", 48, 48)
    recorder({"event": "progress", "step": 3, "total_steps": 40})
    recorder.flush()
    run.refresh_from_db()
    assert run.phase_unit == "step"
    recorder({"event": "phase", "phase": "evaluating"})
    recorder.flush()
    run.refresh_from_db()
    assert (run.phase, run.phase_unit, run.step) == ("evaluating", "", 3)


def test_it_survives_any_event(run: Run, recorder: Recorder) -> None:
    assert recorder(metrics(1, nan=math.nan, inf=-math.inf, big=10**400, text="x", yes=True))
    assert recorder({"event": "metrics", "step": "x", "values": [1]})
    assert recorder({"event": "progress", "step": -4, "total_steps": 2**40})
    assert recorder({"event": "samples", "samples": {"a": 1}})
    assert recorder({"event": "samples", "samples": ["text"]})
    assert recorder({"event": "count", "unit": ["x"], "done": None, "total": -1})
    assert recorder({"event": "something new"})
    recorder.close()
    assert set(run.metrics.values_list("name", "value")) == {("yes", 1.0)}


def test_it_says_when_the_attempt_was_superseded(run: Run, recorder: Recorder) -> None:
    recorder(metrics(1, loss=1.0))
    lifecycle.requeue(run.pk, 1)
    recorder.close()
    assert recorder({"event": "heartbeat"}) is False
    assert recorder.should_stop() == "superseded"
    assert not Metric.objects.exists()


def test_a_second_attempt_takes_the_curve_up_where_it_resumes(
    run: Run, recorder: Recorder, tmp_path: Path
) -> None:
    for step in range(1, 7):
        recorder(metrics(step, loss=1.0))
    recorder.close()
    lifecycle.requeue(run.pk, 1)
    lifecycle.claim(run.pk)
    second = Recorder(run.pk, 2, tmp_path / "log.txt")
    second(metrics(4, loss=2.0))
    second.close()
    points = run.metrics.order_by("step").values_list("step", "value")
    assert list(points) == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0)]


def test_it_bears_with_a_database_that_is_away_for_a_moment(
    run: Run, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> bool:
        raise OperationalError("the database is starting up")

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "heartbeat", away)
        recorder({"event": "phase", "phase": "training"})
        recorder(metrics(1, loss=1.0))
        recorder.flush()
        assert recorder.should_stop() is None
    recorder.close()
    run.refresh_from_db()
    assert run.phase == "training"
    assert run.metrics.count() == 1


def test_it_gives_up_before_another_worker_may_have_the_run(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> bool:
        raise OperationalError("gone")

    monkeypatch.setattr(lifecycle, "heartbeat", away)
    recorder._flushed_at -= 61
    with pytest.raises(OperationalError):
        recorder({"event": "heartbeat"})


def test_it_shows_the_end_of_a_log_and_of_a_progress_bar_its_last_state(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"x" * recording.LOG_BYTES + b"\n 10%\r 50%\r100%\r\nlast \xff\n")
    assert tail(log).split("\n")[-2:] == ["100%", "last \ufffd"]
    assert tail(tmp_path / "missing") == ""
