"""Who fights in a project's arena, and how it is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.models import Arena, Checkpoint
from training.selectors.checkpoints import checkpoint_that_replies

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from annotations.models import Project

MOST_BY_DEFAULT = 6


def arena_of(project: Project) -> Arena:
    """Return how a project's arena is set; the defaults where nobody has set it."""
    return Arena.objects.filter(project=project).first() or Arena(project=project)


def possible_fighters(project: Project) -> QuerySet[Checkpoint]:
    """Return whatever of a project can answer, the newest first."""
    return project.checkpoints.filter(kind__in=Checkpoint.STREAMING).order_by("-id")


def chosen_fighters(project: Project) -> list[Checkpoint]:
    """Return those that somebody chose to fight, if anybody did."""
    return list(possible_fighters(project).filter(arenas__project=project))


def fighters(project: Project) -> list[Checkpoint]:
    """Return who fights: the chosen, or the promoted one, its parent and the newest policies."""
    if chosen := chosen_fighters(project):
        return chosen
    promoted = checkpoint_that_replies(project.pk)
    newest = possible_fighters(project).filter(kind=Checkpoint.Kind.POLICY)[:MOST_BY_DEFAULT]
    first = [promoted, promoted.parent] if promoted else []
    by_id = {one.pk: one for one in [*first, *newest] if one is not None}
    return list(by_id.values())[:MOST_BY_DEFAULT]
