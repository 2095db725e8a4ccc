"""Who praised and reported which answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db.models import Q

from training.models import Praise

if TYPE_CHECKING:
    from annotations.models import User
    from training.models import Checkpoint


def praise_count(checkpoint: Checkpoint) -> int:
    """Return how often answers of a checkpoint were praised, in chats and in the arena."""
    of_it = Q(reply__checkpoint=checkpoint) | Q(completion__checkpoint=checkpoint)
    return Praise.objects.filter(of_it).count()


def report_count(checkpoint: Checkpoint) -> int:
    """Return how many answers of a checkpoint were reported, wherever they were seen."""
    return checkpoint.completions.filter(ticket__isnull=False).count()


def praised_by(person: User, completion_ids: Iterable[int | None]) -> set[int | None]:
    """Return which of some completions a person praised."""
    own = Praise.objects.filter(person=person, completion__in=[*filter(None, completion_ids)])
    return set(own.values_list("completion_id", flat=True))
