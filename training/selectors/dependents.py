"""What would be left hanging if something were deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet

from training.models import Checkpoint, DatasetSnapshot, Evaluation, Round, Run

NAMED = 5
"""So many of a kind are named; the others are counted."""


def dependents(subject: Checkpoint | DatasetSnapshot) -> list[str]:
    """Return in words what depends on a checkpoint or a snapshot; nothing if it may go."""
    if isinstance(subject, DatasetSnapshot):
        return list(_of_snapshot(subject))
    return list(_of_checkpoint(subject))


def _of_checkpoint(checkpoint: Checkpoint) -> Iterator[str]:
    runs = Q(parent=checkpoint) | Q(reward_checkpoint=checkpoint)
    rivals = Q(request__rival_checkpoint_id=checkpoint.pk)
    alive = Q(state__in=(Run.State.QUEUED, Run.State.RUNNING))
    rounds = Q(policy=checkpoint)
    if checkpoint.run_id:
        rounds |= Q(reward_run=checkpoint.run_id) | Q(policy_run=checkpoint.run_id)
    yield from _named("checkpoints made from it", checkpoint.children.order_by("id"))
    yield from _named(
        "runs that use it", checkpoint.project.runs.filter(runs | rivals & alive).order_by("id")
    )
    yield from _named("promotions", checkpoint.promotions.order_by("id"))
    both = Q(child=checkpoint) | Q(parent=checkpoint)
    yield from _named("evaluations", Evaluation.objects.filter(both).order_by("id"))
    yield from _named("rounds", Round.objects.filter(rounds).order_by("id"))
    written = checkpoint.completions.count()
    if written:
        yield f"completions that it wrote: {written}"


def _of_snapshot(snapshot: DatasetSnapshot) -> Iterator[str]:
    yield from _named("runs on it", snapshot.runs.order_by("id"))
    centred = Checkpoint.objects.filter(
        manifest__provenance__demonstrations_snapshot=snapshot.pk
    ).order_by("id")
    yield from _named("reward models whose zero it is", centred)


def _named(what: str, found: QuerySet[Any]) -> Iterator[str]:
    things = list(found[:NAMED])
    if not things:
        return
    names = ", ".join(str(thing) for thing in things)
    others = found.count() - len(things)
    more = f" and {others} more" if others > 0 else ""
    yield f"{what}: {names}{more}"
