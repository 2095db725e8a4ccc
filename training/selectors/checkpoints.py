"""Which checkpoint is promoted, and where each came from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q

from training.models import Checkpoint, DatasetSnapshot, Promotion, Run

if TYPE_CHECKING:
    from annotations.models import Project


Content = DatasetSnapshot.Content


@dataclass(frozen=True)
class CheckpointRow:
    """One line of the list of checkpoints."""

    checkpoint: Checkpoint
    run: Run | None
    snapshot: DatasetSnapshot | None
    parent: Checkpoint | None
    is_promoted: bool
    results: dict[str, Any]


def promoted_checkpoint(project: Project) -> Checkpoint | None:
    """Return the checkpoint that samples for the project, if one was promoted."""
    return promoted_checkpoint_of(project.pk)


def promoted_checkpoint_of(project_id: int) -> Checkpoint | None:
    """Return the checkpoint that samples for the project with this id."""
    newest = Promotion.objects.filter(project=project_id).select_related("checkpoint").first()
    return newest.checkpoint if newest else None


def promotion_in_force(project: Project) -> Promotion | None:
    """Return the record of what samples for the project now."""
    return project.promotions.select_related("checkpoint", "restores").first()


def promotion_before(project: Project) -> Promotion | None:
    """Return the promotion that a demotion falls back to: the newest of another checkpoint.

    After a rollback it is counted from the promotion that the rollback brought back, so that
    demoting again goes further back and never to what was undone.
    """
    current = promotion_in_force(project)
    if current is None:
        return None
    standing = current.restores or current
    older = project.promotions.filter(id__lt=standing.pk).exclude(checkpoint=current.checkpoint_id)
    found = older.select_related("checkpoint", "restores", "project").first()
    return (found.restores or found) if found else None


def checkpoint_that_replies(project_id: int) -> Checkpoint | None:
    """Return the promoted checkpoint, or before the first promotion the first base model."""
    bases = Checkpoint.objects.filter(project=project_id, kind=Checkpoint.Kind.BASE)
    return promoted_checkpoint_of(project_id) or bases.order_by("id").first()


def checkpoint_rows(project: Project) -> list[CheckpointRow]:
    """Return the project's checkpoints, newest first, with where they came from."""
    promoted = promoted_checkpoint(project)
    checkpoints = project.checkpoints.select_related("parent", "run__snapshot").defer(
        "run__snapshot__annotation_ids"  # may be long, and is not shown
    )
    return [
        CheckpointRow(
            checkpoint=checkpoint,
            run=checkpoint.run,
            snapshot=checkpoint.run.snapshot if checkpoint.run else None,
            parent=checkpoint.parent,
            is_promoted=promoted is not None and promoted.pk == checkpoint.pk,
            results=checkpoint.run.results if checkpoint.run else {},
        )
        for checkpoint in checkpoints
    ]


def least_covered(project: Project, splits: Collection[str], count: int) -> list[int]:
    """Return the ids of so many prompts of these splits, those with the least work first."""
    judged = Q(items__purpose="training") & ~Q(items__kind="demonstration")
    prompts = project.prompts.filter(split__in=splits).exclude(origin="arena")
    ordered = prompts.annotate(work=Count("items", filter=judged)).order_by("work", "id")
    return list(ordered.values_list("id", flat=True)[:count])


def lineage(checkpoint: Checkpoint) -> list[Checkpoint]:
    """Return the checkpoint's ancestors and itself, the base model first."""
    parents = dict(checkpoint.project.checkpoints.values_list("id", "parent_id"))
    ids = [checkpoint.pk]
    while (parent := parents.get(ids[-1])) is not None:
        ids.append(parent)
    found = Checkpoint.objects.in_bulk(ids)
    return [found[number] for number in reversed(ids)]
