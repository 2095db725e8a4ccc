"""Setting what a checkpoint must prove before it is promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from training.models import Gate
from training.services.audit import record
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import Project, User

MOST = 100_000
"""No project can ask for more votes or people than this."""


@transaction.atomic
def set_gate(
    project: Project,
    *,
    least_rate: float,
    least_votes: int,
    least_voters: int,
    largest_kl: float | None,
    changed_by: User,
) -> Gate:
    """Set the project's thresholds. They hold for every promotion from now on."""
    if not 0.5 <= least_rate < 1:
        raise ServiceError(
            "The lower end of the win rate must be at least 50 % and below 100 %: below one half a "
            "worse checkpoint would pass."
        )
    if not (0 <= least_votes <= MOST and 1 <= least_voters <= MOST):
        raise ServiceError(f"Ask for 0 to {MOST} votes, of 1 to {MOST} people.")
    if largest_kl is not None and not 0 < largest_kl < MOST:
        raise ServiceError("The largest KL is a positive number of nats, or empty.")
    thresholds = {
        "least_rate": least_rate,
        "least_votes": least_votes,
        "least_voters": least_voters,
        "largest_kl": largest_kl,
    }
    gate, _ = Gate.objects.update_or_create(
        project=project, defaults={**thresholds, "changed_by": changed_by}
    )
    record(project, changed_by, "changed", gate, "New thresholds for promotions.", thresholds)
    return gate
