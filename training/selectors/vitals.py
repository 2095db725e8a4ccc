"""How the training goes at this moment, for those who watch the installation.

Asked for every few seconds: what can be many is read from an index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min
from django.db.models.functions import Coalesce
from django.utils import timezone

from training.lifecycle import QUEUES
from training.models import Run, Stage


@dataclass(frozen=True)
class TrainingVitals:
    """Figures of one moment. Ages are in seconds, 0 where there is nothing that could be old."""

    runs: dict[tuple[str, str], int]
    """How many there are, by stage and state."""
    longest_wait_s: dict[str, float]
    """How long the run that waits longest has waited, by queue."""
    longest_silence_s: float
    """How long ago the running run that is silent longest gave a sign of life."""


def training_vitals() -> TrainingVitals:
    """Return the figures of now, in three queries."""
    now = timezone.now()
    counted = Run.objects.order_by().values_list("stage", "state").annotate(count=Count("id"))
    waits = dict.fromkeys(sorted(set(QUEUES.values())), 0.0)
    queued = Run.objects.filter(state=Run.State.QUEUED).order_by().values_list("stage")
    for stage, since in queued.annotate(since=Min("created_at")):
        queue = QUEUES[Stage(stage)]
        waits[queue] = max(waits[queue], _age(since, now))
    running = Run.objects.filter(state=Run.State.RUNNING)
    seen = running.aggregate(oldest=Min(Coalesce("heartbeat_at", "started_at")))["oldest"]
    return TrainingVitals(
        runs={(stage, state): count for stage, state, count in counted},
        longest_wait_s=waits,
        longest_silence_s=_age(seen, now),
    )


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
