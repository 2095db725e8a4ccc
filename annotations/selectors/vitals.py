"""How the collecting goes at this moment, for those who watch the installation.

Asked for every few seconds on a table of millions: each query reads an index or a bounded tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from annotations.models import Annotation, Assignment, Turn

RATE_OVER = timedelta(minutes=5)
MOST_COUNTED = 20_000
"""Of the newest annotations; at 66 a second the rate over five minutes is as high as it is told."""


@dataclass(frozen=True)
class CollectingVitals:
    """Figures of one moment. Ages are in seconds, 0 where there is nothing that could be old."""

    annotations: int
    """The number of the newest annotation: how fast it rises is how fast people label."""
    annotations_lately: int
    """How many came in within RATE_OVER."""
    leases: int
    leases_overdue: int
    """Their time is over, and nobody has taken them back yet."""
    oldest_lease_s: float
    turns_waiting: int
    oldest_turn_s: float


def collecting_vitals() -> CollectingVitals:
    """Return the figures of now, in four queries."""
    now = timezone.now()
    newest = Annotation.objects.aggregate(newest=Max("id"))["newest"] or 0
    lately = Annotation.objects.filter(
        id__gt=newest - MOST_COUNTED, created_at__gte=now - RATE_OVER
    )
    leases = Assignment.objects.filter(state=Assignment.State.LEASED).aggregate(
        all=Count("id"), overdue=Count("id", filter=Q(lease_until__lt=now)), oldest=Min("leased_at")
    )
    turns = Turn.objects.filter(state=Turn.State.WAITING).aggregate(
        all=Count("id"), oldest=Min("asked_at")
    )
    return CollectingVitals(
        annotations=newest,
        annotations_lately=lately.count(),
        leases=leases["all"],
        leases_overdue=leases["overdue"],
        oldest_lease_s=_age(leases["oldest"], now),
        turns_waiting=turns["all"],
        oldest_turn_s=_age(turns["oldest"], now),
    )


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
