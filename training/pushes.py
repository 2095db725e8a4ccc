"""Carrying out pushes: claimed by one worker, told how far they are, taken back when it is lost.

    queued ──claim──▶ running ──▶ succeeded | failed | cancelled
       ▲                 │
       └─────reap────────┘

A claim is one conditional UPDATE that raises `attempt`; every later write of that attempt says
`attempt = mine and state = running`. A second attempt finds what the first one left and writes
over it, or finds the copy whole and is done.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from training import artifacts, lifecycle, selectors, supervisor
from training.models import AuditEntry, Push
from training.pipeline.checkpoints import read_manifest
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.pushing import HUB, Hub, Piece, Progress, pieces_of, push_to_hub, push_to_url

logger = logging.getLogger(__name__)

State = Push.State
Copy = Callable[[Progress], dict[str, Any]]

LOOK_EVERY_S = 1.0
SILENCE = timedelta(seconds=90)
HINT_AGAIN_AFTER = timedelta(seconds=30)
LOST = (
    "The worker was lost three times. See the log of the worker on the queue sampling and its "
    "machine's memory, then push again."
)


def claim(push_id: int) -> int | None:
    """Move a queued push to running and return the number of this attempt; None if it is taken."""
    with transaction.atomic():
        queued = Push.objects.filter(id=push_id, state=State.QUEUED)
        if not queued.update(state=State.RUNNING, attempt=F("attempt") + 1, heartbeat_at=Now()):
            return None
        return Push.objects.values_list("attempt", flat=True).get(id=push_id)


def carry_out(push_id: int) -> None:
    """Copy what a push is of. Delivering the same message twice is harmless."""
    attempt = claim(push_id)
    if attempt is None:
        return
    push = Push.objects.select_related("project", "checkpoint", "snapshot").get(id=push_id)
    try:
        with TemporaryDirectory() as aside:
            pieces = _pieces(push, Path(aside))
            progress = Progress(total=2 * sum(piece.size for piece in pieces))
            result = _watched(push, attempt, progress, partial(_copy, push, pieces))
            hashes = {piece.name: piece.sha256 for piece in pieces}
            _succeed(push, attempt, {**result, "files": hashes})
    except RunStopped:
        _stopped(push_id, attempt)
    except PipelineError as error:
        _end(push_id, attempt, State.FAILED, error=str(error))
    except Exception as error:
        logger.exception("Push %s, attempt %s, failed.", push_id, attempt)
        words = f"It stopped on an error that nobody expected: {error}. The worker's log has more."
        _end(push_id, attempt, State.FAILED, error=words)


def cancel(push_id: int) -> None:
    """Cancel a push that waits; ask one that runs to stop. One that has ended stays as it is."""
    push = Push.objects.filter(id=push_id)
    asked = {"cancel_requested_at": Now()}
    if not push.filter(state=State.QUEUED).update(state=State.CANCELLED, ended_at=Now(), **asked):
        push.filter(state=State.RUNNING).update(**asked)


def reap() -> None:
    """Take back pushes whose worker went silent; fail one that lost three."""
    silent = Push.objects.filter(state=State.RUNNING, heartbeat_at__lt=Now() - SILENCE)
    to_cancel = Q(cancel_requested_at__isnull=False)
    spent = Q(times_lost__gte=Push.MAX_TIMES_LOST - 1)
    silent.update(
        times_lost=F("times_lost") + 1,
        state=Case(
            When(to_cancel, then=Value(State.CANCELLED)),
            When(spent, then=Value(State.FAILED)),
            default=Value(State.QUEUED),
        ),
        error=Case(When(spent & ~to_cancel, then=Value(LOST)), default=Value("")),
        ended_at=Case(When(to_cancel | spent, then=Now()), default=None),
        hinted_at=None,
    )


def due_for_hint() -> list[int]:
    """Return the pushes that wait and whose message may have been lost."""
    long_ago = Q(hinted_at=None) | Q(hinted_at__lt=Now() - HINT_AGAIN_AFTER)
    waiting = Push.objects.filter(long_ago, state=State.QUEUED).order_by("id")
    return list(waiting.values_list("id", flat=True))


def hinted(push_id: int) -> None:
    """Note that a message was sent for a push that waits."""
    Push.objects.filter(id=push_id, state=State.QUEUED).update(hinted_at=Now())


def _pieces(push: Push, aside: Path) -> list[Piece]:
    """Return the files of what is pushed, held against the hashes that are on record."""
    if push.snapshot is not None:
        hashes = {artifacts.snapshot_rows(push.snapshot).name: push.snapshot.sha256}
        return pieces_of(artifacts.snapshot_folder(push.snapshot), hashes)
    assert push.checkpoint is not None  # as the database makes sure
    folder = artifacts.checkpoint_folder(push.checkpoint)
    try:
        hashes = read_manifest(folder)["files"]
    except (OSError, ValueError, KeyError):
        raise PipelineError(
            f"{folder} has no manifest that can be read. Restore it from a backup; nothing was "
            "copied."
        ) from None
    (aside / "README.md").write_text(selectors.model_card(push.checkpoint), encoding="utf-8")
    pieces = pieces_of(folder, hashes)
    card = pieces_of(aside, {})
    return card + [piece for piece in pieces if piece.name != "README.md"]


def _copy(push: Push, pieces: list[Piece], progress: Progress) -> dict[str, Any]:
    if not push.url.startswith(HUB):
        return push_to_url(pieces, push.url, progress)
    hub = Hub(settings.PUSH_HUB_TOKEN, settings.PUSH_HUB_URL or None)
    kind = "model" if push.checkpoint else "dataset"
    message = f"{push.what} of project {push.project_id}"
    return push_to_hub(pieces, push.url.removeprefix(HUB), kind, hub, message, progress)


def _watched(push: Push, attempt: int, progress: Progress, copy: Copy) -> dict[str, Any]:
    """Copy in a thread, and meanwhile say how far it is and whether it is still wanted."""
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["result"] = copy(progress)
        except BaseException as error:  # is raised again where the push is
            outcome["error"] = error

    thread = threading.Thread(target=work, name=f"push-{push.pk}", daemon=True)
    _tell(push.pk, attempt, progress)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_EVERY_S)
        if not _tell(push.pk, attempt, progress) or supervisor.is_shutting_down():
            progress.stop.set()
    if error := outcome.get("error"):
        raise error
    return dict(outcome["result"])


def _tell(push_id: int, attempt: int, progress: Progress) -> bool:
    """Say how far an attempt is. Return whether it is to go on."""
    mine = _running(push_id, attempt)
    told = mine.update(
        heartbeat_at=Now(),
        bytes_done=min(progress.done, progress.total),
        bytes_total=progress.total,
    )
    return told == 1 and not mine.filter(cancel_requested_at__isnull=False).exists()


@transaction.atomic
def _succeed(push: Push, attempt: int, result: dict[str, Any]) -> None:
    if not _end(push.pk, attempt, State.SUCCEEDED, result=result, bytes_done=F("bytes_total")):
        return
    AuditEntry.objects.create(
        project=push.project,
        user_id=push.started_by_id,
        action="pushed",
        subject_kind=AuditEntry.kind_of(push.what),
        subject_id=push.what.pk,
        subject_name=str(push.what)[:200],
        reason=f"It lies at {result['address']} now, every file with the hash that it has here.",
        facts=lifecycle.clean({"push": push.pk, **result}),
    )


def _stopped(push_id: int, attempt: int) -> None:
    """Cancel what was to be cancelled; give back what was stopped because its worker ends."""
    running = _running(push_id, attempt)
    if not running.filter(cancel_requested_at__isnull=False).update(
        state=State.CANCELLED, ended_at=Now()
    ):
        running.update(state=State.QUEUED, hinted_at=None)


def _end(push_id: int, attempt: int, state: str, **changes: Any) -> bool:
    if "error" in changes:
        changes["error"] = lifecycle.clean(changes["error"])
    return _running(push_id, attempt).update(state=state, ended_at=Now(), **changes) == 1


def _running(push_id: int, attempt: int) -> QuerySet[Push]:
    return Push.objects.filter(id=push_id, attempt=attempt, state=State.RUNNING)
