"""The states of a run, and the only code that moves a run between them.

    queued ──claim──▶ running ──▶ succeeded | failed | cancelled
       ▲                 │
       └──requeue, reap──┘

The database is the queue. A claim is one conditional UPDATE that raises `attempt`; every later
write of that attempt says `attempt = mine and state = running`. A write that changes no row
means that the attempt was superseded, and its child is ended. Terminal rows never change.
Times are the database's, so workers with wrong clocks do no harm.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Literal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Now

from training import outbox
from training.models import Metric, Run, Stage, Webhook

logger = logging.getLogger(__name__)

State = Run.State
StopReason = Literal["cancel", "superseded"]

QUEUES = {
    Stage.SFT: "training",
    Stage.REWARD: "training",
    Stage.PPO: "training",
    Stage.DPO: "training",
    Stage.KTO: "training",
    Stage.GRPO: "training",
    Stage.RLOO: "training",
    Stage.REJECTION: "training",
    Stage.SAMPLE: "sampling",
    Stage.EXPORT: "sampling",
    Stage.SUITE: "sampling",
    Stage.REPLAY: "sampling",
    Stage.WEIGH: "sampling",
}
HINT_AGAIN_AFTER = timedelta(seconds=20)
TOLD = {
    State.SUCCEEDED: Webhook.Kind.RUN_SUCCEEDED,
    State.FAILED: Webhook.Kind.RUN_FAILED,
    State.CANCELLED: Webhook.Kind.RUN_CANCELLED,
}
STUCK_AFTER = timedelta(seconds=60)
"""A run whose turn has come and that nobody has taken for so long waits for a missing worker."""


def silence_allowed() -> timedelta:
    """Return how long a running run may give no sign of life before it is taken back."""
    return timedelta(seconds=getattr(settings, "RUN_SILENCE_SECONDS", 90))


def device_of(stage: str) -> str:
    """Return the name of what a run of this stage occupies on this machine.

    Workers that were given different GPUs by CUDA_VISIBLE_DEVICES are different devices.
    """
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    name = f"{socket.gethostname()}/{QUEUES[Stage(stage)]}"
    return f"{name}/{gpus}"[:120] if gpus else name[:120]


def in_line(queue: str) -> QuerySet[Run]:
    """Return the runs that wait for the workers of a queue, in the order in which they go."""
    stages = [stage for stage, name in QUEUES.items() if name == queue]
    waiting = Run.objects.filter(state=State.QUEUED, stage__in=stages)
    return waiting.order_by("-priority", "id")


def first_in_line(run_id: int) -> int | None:
    """Return which run goes first where a hint names this one.

    Return None where that one is not queued any more: such a hint was delivered before.
    """
    queued = Run.objects.filter(id=run_id, state=State.QUEUED)
    stage = queued.values_list("stage", flat=True).first()
    if stage is None:
        return None
    return in_line(QUEUES[Stage(stage)]).values_list("id", flat=True).first()


def has_waited(run_id: int) -> bool:
    """Return whether a queued run was hinted at, long ago, and nobody came."""
    long_ago = Now() - STUCK_AFTER
    return Run.objects.filter(id=run_id, state=State.QUEUED, created_at__lt=long_ago).exists()


def set_priority(run_id: int, priority: int) -> bool:
    """Change the place of a queued run. Return False if it does not wait any more."""
    return Run.objects.filter(id=run_id, state=State.QUEUED).update(priority=priority) == 1


def claim(run_id: int, *, device: str | None = None) -> int | None:
    """Move a queued run to running and return the number of this attempt.

    Return None if the run is not queued any more, or if its device has a running run already;
    it then stays queued and the dispatcher will send it again.
    """
    queued = Run.objects.filter(id=run_id, state=State.QUEUED)
    try:
        with transaction.atomic():
            stage = queued.values_list("stage", flat=True).first()
            if stage is None:
                return None
            claimed = queued.update(
                state=State.RUNNING,
                attempt=F("attempt") + 1,
                device=device_of(stage) if device is None else device,
                started_at=Now(),
                heartbeat_at=None,
                first_step_at=None,
                phase="starting",
                phase_unit="",
            )
            if not claimed:
                return None
            _tell(run_id, Webhook.Kind.RUN_STARTED)
            return Run.objects.values_list("attempt", flat=True).get(id=run_id)
    except IntegrityError:
        logger.info("Run %s waits: its device has a running run.", run_id)
        return None


def heartbeat(run_id: int, attempt: int, **changes: Any) -> bool:
    """Stamp the run as alive and write `changes`. Return False if the attempt was superseded."""
    return _running(run_id, attempt).update(heartbeat_at=Now(), **clean(changes)) == 1


def record_progress(run_id: int, attempt: int, step: int, total_steps: int) -> bool:
    """Write how far the attempt is. Return False if it was superseded."""
    total = max(0, total_steps)
    step = max(0, min(step, total) if total else step)
    changed = heartbeat(run_id, attempt, step=step, total_steps=total)
    if changed:
        _running(run_id, attempt).filter(first_step_at=None).update(
            first_step=step, first_step_at=Now()
        )
    return changed


def record_metrics(run_id: int, attempt: int, points: Iterable[tuple[int, str, float]]) -> bool:
    """Write metric points, each (step, name, value). Return False if the attempt was superseded.

    A point of an earlier attempt is replaced. NaN and infinity are left out: the child stops on
    them itself, and neither database nor chart has a use for them.
    """
    rows = {
        (name[:64], step): Metric(run_id=run_id, step=step, name=name[:64], value=value)
        for step, name, value in points
        if step >= 0 and math.isfinite(value)
    }
    with transaction.atomic():
        if not heartbeat(run_id, attempt):
            return False
        Metric.objects.bulk_create(
            rows.values(),
            batch_size=200,
            update_conflicts=True,
            unique_fields=["run", "name", "step"],
            update_fields=["value"],
        )
    return True


def forget_metrics_from(run_id: int, attempt: int, step: int) -> bool:
    """Remove what earlier attempts measured at `step` and later: this attempt does it again."""
    with transaction.atomic():
        if not heartbeat(run_id, attempt):
            return False
        Metric.objects.filter(run_id=run_id, step__gte=step).delete()
    return True


def stop_reason(run_id: int, attempt: int) -> StopReason | None:
    """Return why the attempt should end now, or None."""
    row = _running(run_id, attempt).values_list("cancel_requested_at").first()
    if row is None:
        return "superseded"
    return "cancel" if row[0] else None


def succeed(
    run_id: int, attempt: int, *, results: dict[str, Any], publish: Callable[[], dict[str, Any]]
) -> bool:
    """Move the attempt to succeeded and publish what it made, in one transaction.

    `publish` may return more results. Return False, and publish nothing, if it was superseded.
    """
    with transaction.atomic():
        ended = _end(run_id, attempt, State.SUCCEEDED, phase="", results=results)
        if ended:
            Run.objects.filter(id=run_id).update(results=clean({**results, **publish()}))
    return ended


def fail(
    run_id: int,
    attempt: int,
    error: str,
    *,
    detail: str = "",
    remedy: dict[str, Any] | None = None,
) -> bool:
    """Move the attempt to failed, with what happened in words. Return False if superseded."""
    error = error.strip() or f"Run {run_id} ended without saying why. Its log is below."
    return _end(
        run_id, attempt, State.FAILED, error=error, error_detail=detail, remedy=remedy or {}
    )


def cancelled(run_id: int, attempt: int) -> bool:
    """Move the attempt to cancelled. Return False if it was superseded."""
    return _end(run_id, attempt, State.CANCELLED, phase="")


def requeue(run_id: int, attempt: int) -> bool:
    """Give the run back to be resumed by another worker, or cancel it if that was asked for.

    This is a stop that was planned: however often it happens, the run is resumed.
    """
    return _give_back(run_id, _running(run_id, attempt))


def lost(run_id: int, attempt: int, *, why: str, remedy: dict[str, Any] | None = None) -> bool:
    """Count a loss; give the run back, or fail it at the last. `why` completes "…3 times"."""
    return _give_back(run_id, _running(run_id, attempt), why=why, remedy=remedy)


def cancel(run_id: int) -> None:
    """Cancel a queued run; flag a running one for its supervisor, who looks every second."""
    run = Run.objects.filter(id=run_id)
    for _ in range(3):  # a run may be claimed or given back between the two statements
        if _cancel_queued(run_id):
            return
        if run.filter(state=State.RUNNING).update(
            cancel_requested_at=Coalesce("cancel_requested_at", Now())
        ):
            return


@transaction.atomic
def _cancel_queued(run_id: int) -> bool:
    cancelled = Run.objects.filter(id=run_id, state=State.QUEUED).update(
        state=State.CANCELLED, ended_at=Now(), cancel_requested_at=Now(), phase=""
    )
    if cancelled:
        _tell(run_id, TOLD[State.CANCELLED])
    return cancelled == 1


def reap() -> list[int]:
    """Take back running runs that went silent; return their ids.

    A run whose worker died before its first heartbeat counts from `started_at`. One seen in the
    future was seen before the database's clock was set back, or by the server before this one: it
    counts from now, or a lost one would look alive for as long as the clock needs to catch up.
    """
    allowed = silence_allowed()
    why = (
        f"The worker was lost: no sign of life for {allowed.total_seconds():.0f} seconds. "
        "See the worker's log and the machine's memory, then start the run again. It happened"
    )
    going = Run.objects.filter(state=State.RUNNING).alias(
        seen=Coalesce("heartbeat_at", "started_at")
    )
    going.filter(seen__gt=Now()).update(heartbeat_at=Now())
    silent = going.filter(seen__lt=Now() - allowed)
    taken = []
    for run_id, attempt in silent.values_list("id", "attempt"):
        if _give_back(run_id, silent.filter(attempt=attempt), why=why):
            logger.warning("Run %s, attempt %s, went silent and was taken back.", run_id, attempt)
            taken.append(run_id)
    return taken


def due_for_hint(*, at_once: bool = False) -> list[tuple[int, str]]:
    """Return (id, queue) of queued runs whose last hint is missing or may have been lost.

    `at_once` returns all of them: a device has become free.
    """
    queued = Run.objects.filter(state=State.QUEUED)
    if not at_once:
        of_late = Q(hinted_at__gte=Now() - HINT_AGAIN_AFTER, hinted_at__lte=Now())
        queued = queued.filter(Q(hinted_at=None) | ~of_late)
    rows = queued.order_by("-priority", "id").values_list("id", "stage")
    return [(run_id, QUEUES[Stage(stage)]) for run_id, stage in rows]


def hinted(run_id: int) -> None:
    """Remember that a hint went out for the queued run."""
    Run.objects.filter(id=run_id, state=State.QUEUED).update(hinted_at=Now())


def clean(value: Any) -> Any:
    """Return `value` without what a database refuses: NUL, lone surrogates, NaN and infinity."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {clean(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def _running(run_id: int, attempt: int) -> QuerySet[Run]:
    return Run.objects.filter(id=run_id, attempt=attempt, state=State.RUNNING)


def _end(run_id: int, attempt: int, state: Run.State, **changes: Any) -> bool:
    with transaction.atomic():
        ended = _running(run_id, attempt).update(
            state=state, ended_at=Now(), heartbeat_at=Now(), **clean(changes)
        )
        if ended:
            _tell(run_id, TOLD[state])
    return ended == 1


def _tell(run_id: int, what: str) -> None:
    """Write down, in the transaction of the change, what happened to a run; once for each run."""
    project_id, stage = Run.objects.values_list("project_id", "stage").get(id=run_id)
    outbox.note(project_id, what, run_id, run_id=run_id, stage=stage)


def _give_back(
    run_id: int,
    running: QuerySet[Run],
    *,
    why: str | None = None,
    remedy: dict[str, Any] | None = None,
) -> bool:
    """Move to queued, or cancelled if asked for, or (with `why`) failed at the last loss.

    One statement, so that a cancel or a late heartbeat can't slip in between.
    """
    to_cancel = Q(cancel_requested_at__isnull=False)
    spent = Q(times_lost__gte=Run.MAX_TIMES_LOST - 1) if why else Q(pk__in=[])
    error = f"{why} {Run.MAX_TIMES_LOST} times." if why else ""
    ends = to_cancel | spent
    with transaction.atomic():
        given_back = running.filter(id=run_id).update(
            times_lost=F("times_lost") + (1 if why else 0),
            state=Case(
                When(to_cancel, then=Value(State.CANCELLED)),
                When(spent, then=Value(State.FAILED)),
                default=Value(State.QUEUED),
            ),
            error=Case(
                When(to_cancel, then=Value("")),
                When(spent, then=Value(clean(error))),
                default=Value(""),
            ),
            ended_at=Case(When(ends, then=Now()), default=None),
            hinted_at=None,
            phase="",
            remedy=remedy or {},
        )
        if given_back:
            _tell_if_ended(run_id)
    return given_back == 1


def _tell_if_ended(run_id: int) -> None:
    state = Run.objects.values_list("state", flat=True).get(id=run_id)
    if state in TOLD:
        _tell(run_id, TOLD[State(state)])
