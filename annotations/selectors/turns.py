"""The turns of a conversation, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from annotations.models import Assignment, Turn

MAX_TURNS = 12
"""Turns of one conversation, those included in which both replies were bad."""

LONG_WAIT = timedelta(seconds=20)
"""After so long without anybody at work on the replies the labeller is told so."""


@dataclass(frozen=True)
class Standing:
    """Where a conversation stands: its last turn, and what its labeller does next."""

    turn: Turn
    step: str
    """"wait" for replies, "pick" one, "say" something, "failed" (ask again), "full" (end it)."""
    number: int
    """The turn that the next answer of the labeller is about."""
    is_unclaimed: bool
    """Nobody has been at work on the replies for a long time."""

    @property
    def can_end(self) -> bool:
        """Say whether something was picked, so that there is something to hand in."""
        return self.turn.number > 0 or bool(self.turn.outcome)

    @property
    def seen(self) -> str:
        """Return what a page shows that waits: while it is the same, nothing is new."""
        return f"{self.turn.pk}-{self.turn.progress}-{int(self.is_unclaimed)}"


def turns_of(assignment: Assignment) -> list[Turn]:
    """Return the turns of a conversation in their order, with what was said in each."""
    return list(_whole(assignment).exclude(state=Turn.State.DROPPED).order_by("number"))


def standing_of(assignment: Assignment) -> Standing:
    """Return where a conversation stands."""
    turn = _whole(assignment).annotate(asked=Now()).order_by("-number", "-id")[0]
    waited = turn.asked - turn.asked_at
    step = _step(turn)
    return Standing(
        turn=turn,
        step=step,
        number=turn.number + (step == "say"),
        is_unclaimed=step == "wait" and turn.claimed_at is None and waited >= LONG_WAIT,
    )


def _step(turn: Turn) -> str:
    if turn.state == Turn.State.FAILED:
        return "failed"
    if turn.state != Turn.State.ANSWERED:
        return "wait"
    if not turn.outcome:
        return "pick"
    return "say" if turn.continued_with and turn.number + 1 < MAX_TURNS else "full"


def _whole(assignment: Assignment) -> QuerySet[Turn]:
    return assignment.turns.select_related("prompt", "first", "second", "continued_with")
