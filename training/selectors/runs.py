"""How far runs are, and which wait for which."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models.functions import Now

from training import lifecycle
from training.models import DatasetSnapshot, Run, Stage

if TYPE_CHECKING:
    from annotations.models import Project


Content = DatasetSnapshot.Content
STEP_WORDS = {str(Stage.SAMPLE): "token", str(Stage.SUITE): "token"}


@dataclass(frozen=True)
class RunProgress:
    """How far the phase of a run is: `done` of `total` things called `unit`; 0 of 0 if unknown.

    `eta_seconds` and `fraction` are None while nobody can know.
    """

    unit: str
    done: int
    total: int
    fraction: float | None
    eta_seconds: float | None
    elapsed_seconds: float | None


def run_curves(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Return the run's metrics by name, each as points in the order of steps."""
    curves: dict[str, list[tuple[int, float]]] = {}
    points = run.metrics.order_by("name", "step").values_list("name", "step", "value")
    for name, step, value in points.iterator():
        curves.setdefault(name, []).append((step, value))
    return curves


def metrics_by_step(
    run: Run, after: int, count: int, name: str | None = None
) -> list[tuple[int, dict[str, float]]]:
    """Return the metrics of the next steps that have any, each as values by name."""
    found = run.metrics.filter(step__gt=after)
    if name is not None:
        found = found.filter(name=name)
    steps = list(found.order_by("step").values_list("step", flat=True).distinct()[:count])
    if not steps:
        return []
    values: dict[int, dict[str, float]] = {step: {} for step in steps}
    points = found.filter(step__lte=steps[-1]).order_by("name")
    for step, of, value in points.values_list("step", "name", "value"):
        values[step][of] = value
    return list(values.items())


def run_progress(run: Run) -> RunProgress:
    """Return how far the run is and how long the rest will take at the pace so far.

    The pace is that of this attempt alone: what came before a resume says nothing about it. Only
    steps have one; how long it takes to load a model or to measure it, nobody knows beforehand.
    """
    unit, done, total = run.phase_unit, run.phase_done, run.phase_total
    eta = None
    if not unit:
        done = total = 0
    elif unit == "step":
        unit, done, total = STEP_WORDS.get(run.stage, unit), run.step, run.total_steps
        eta = _time_left(run)
    return RunProgress(unit, done, total, done / total if total else None, eta, _elapsed(run))


def _time_left(run: Run) -> float | None:
    done = run.step - run.first_step
    if run.state != Run.State.RUNNING or done <= 0 or run.step >= run.total_steps:
        return None
    if run.first_step_at is None or run.heartbeat_at is None:
        return None
    took = (run.heartbeat_at - run.first_step_at).total_seconds()
    return max(0.0, took / done * (run.total_steps - run.step))


@dataclass(frozen=True)
class Waiting:
    """A run's place in line, and why it has not begun."""

    run: Run
    place: int
    why: str
    is_stuck: bool
    """Nobody has taken it although its turn has come."""


def waiting_runs(project: Project) -> list[Waiting]:
    """Return the project's queued runs in the order in which they will go, each with its reason.

    The workers serve all projects, so a run may wait for one that its people do not see.
    """
    found = []
    for queue in sorted(set(lifecycle.QUEUES.values())):
        before: Run | None = None
        for place, run in enumerate(lifecycle.in_line(queue), 1):
            if run.project_id == project.pk:
                found.append(_waiting_run(run, place, before, queue))
            before = run
    return found


def _waiting_run(run: Run, place: int, before: Run | None, queue: str) -> Waiting:
    if before is not None:
        reason = "has a higher priority" if before.priority > run.priority else "came first"
        return Waiting(run, place, f"{_as_seen(before, run)} goes before it: it {reason}", False)
    stages = [stage for stage, name in lifecycle.QUEUES.items() if name == queue]
    busy = Run.objects.filter(state=Run.State.RUNNING, stage__in=stages).order_by("id").first()
    if busy is not None:
        device = f" on {busy.device}" if busy.device else ""
        why = f"{_as_seen(busy, run)} runs{device}: one run at a time on each device"
        return Waiting(run, place, why, False)
    if lifecycle.has_waited(run.pk):
        why = f"No worker has taken it: see that a worker of the queue “{queue}” is running"
        return Waiting(run, place, why, True)
    return Waiting(run, place, "next in line for a free worker", False)


def _as_seen(other: Run, run: Run) -> str:
    return str(other) if other.project_id == run.project_id else "a run of another project"


def _elapsed(run: Run) -> float | None:
    """Return how long the run's last attempt has taken, by the database's clock."""
    if run.started_at is None:
        return None
    end = run.ended_at or Run.objects.filter(id=run.pk).values_list(Now(), flat=True).get()
    return max(timedelta(), end - run.started_at).total_seconds()
