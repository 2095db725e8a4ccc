"""Who fights in a project's arena, how it is set, and what a voter may know of a battle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from training.models import Arena, Checkpoint
from training.selectors.checkpoints import checkpoint_that_replies
from training.selectors.praise import praised_by

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from annotations.models import Battle, Project

MOST_BY_DEFAULT = 6


@dataclass(frozen=True)
class ShownAnswer:
    """An answer as its reader may know it: without its name until the vote."""

    letter: str
    text: str | None
    checkpoint: Checkpoint | None = None
    is_better: bool = False
    is_praised: bool = False

    @property
    def position(self) -> int:
        """Return what its forms call it: its id would tell more than its letter."""
        return "AB".index(self.letter) + 1


def shown_answers(battle: Battle, outcome: str) -> list[ShownAnswer]:
    """Return both answers; who wrote them only with the `outcome` of a vote that is in force."""
    texts = {"left": battle.left, "right": battle.right}
    ids = {"left": battle.left_checkpoint_id, "right": battle.right_checkpoint_id}
    names = Checkpoint.objects.in_bulk(ids.values()) if outcome else {}
    shown = {side: completion.pk for side, completion in texts.items() if completion}
    praised = praised_by(battle.voter, shown.values()) if outcome else set()
    return [
        ShownAnswer(
            letter=letter,
            text=completion.text if completion else None,
            checkpoint=names.get(ids[side]),
            is_better=outcome == side,
            is_praised=shown.get(side) in praised,
        )
        for letter, (side, completion) in zip("AB", texts.items(), strict=True)
    ]


def seconds_to_take_back(battle: Battle) -> int:
    """Return how long the vote on a battle can be taken back."""
    closed_at = battle.assignment.closed_at if battle.assignment else None
    if closed_at is None or battle.followed_by.exists():
        return 0
    until = closed_at + timedelta(seconds=battle.project.grace_seconds)
    return max(0, int((until - timezone.now()).total_seconds()))


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
