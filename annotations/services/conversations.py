"""Conversations as those see them who answer: turns that wait for two replies each.

A turn is claimed by one conditional UPDATE that raises its attempt. Every later write carries
that number, so whoever was given up for dead can change nothing. Times are the database's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from annotations import queue
from annotations.algorithms.text import MAX_COMPLETION_CHARS, TextError, check_text
from annotations.models import Assignment, Completion, Message, Turn
from annotations.selectors.queue import WAITING

CLAIM_SECONDS = 60
"""After so long without a sign of life a turn can be claimed by another."""

REPLIES = 2

_SYSTEM_RANDOM = random.SystemRandom()

State = Turn.State


@dataclass(frozen=True)
class WaitingTurn:
    """A turn that was claimed: what is to be answered, and the attempt that may answer it."""

    id: int
    attempt: int
    project_id: int
    messages: list[Message]


@dataclass(frozen=True)
class Reply:
    """One answer to a turn, by a checkpoint."""

    text: str
    checkpoint_id: int
    sampling: dict[str, Any]


def has_waiting_turns() -> bool:
    """Say whether there is a turn to claim."""
    return _claimable().exists()


def claim_waiting_turns(limit: int) -> list[WaitingTurn]:
    """Claim turns to answer, those that were asked first at the front."""
    # Looked up outside the transaction: to look is no reason to hold up those who write.
    found = list(_claimable().order_by("asked_at", "id").values_list("id", flat=True)[:limit])
    if not found:
        return []
    with transaction.atomic():
        claimed = [turn_id for turn_id in found if _claim(turn_id)]
        turns = Turn.objects.select_related("prompt").in_bulk(claimed)
    return [_as_waiting(turns[turn_id]) for turn_id in claimed]


def report_turn_progress(turn_id: int, attempt: int, percent: int) -> bool:
    """Keep how much of the replies is written, and the claim alive.

    Return False if nobody waits for this attempt any more.
    """
    percent = min(max(percent, 0), 100)
    return _claimed(turn_id, attempt).update(progress=percent, claimed_at=Now()) == 1


@transaction.atomic
def answer_turn(
    turn_id: int,
    attempt: int,
    replies: Sequence[Reply],
    *,
    rng: random.Random = _SYSTEM_RANDOM,
) -> bool:
    """Keep two replies to a turn, in a random order. Equal and empty ones are kept as they are.

    Return False, and keep nothing, if nobody waits for this attempt any more.
    """
    if len(replies) != REPLIES:
        raise ValueError(f"A turn gets {REPLIES} replies, and these are {len(replies)}.")
    turn = _held(turn_id, attempt)
    if turn is None:
        return False
    if problem := _why_not_storable(replies):
        return fail_turn(turn_id, attempt, problem)
    shown = Completion.objects.bulk_create(_completion(turn, reply) for reply in replies)
    rng.shuffle(shown)
    _claimed(turn_id, attempt).update(
        state=State.ANSWERED, first=shown[0], second=shown[1], progress=100, answered_at=Now()
    )
    _begin_lease_anew(turn)
    return True


@transaction.atomic
def fail_turn(turn_id: int, attempt: int, reason: str) -> bool:
    """Give a turn up; `reason` is a sentence that tells the labeller what to do.

    Return False if nobody waits for this attempt any more.
    """
    if not reason.strip():
        raise ValueError("Say why there are no replies and what the labeller can do.")
    turn = _held(turn_id, attempt)
    if turn is None:
        return False
    _claimed(turn_id, attempt).update(state=State.FAILED, error=reason)
    _begin_lease_anew(turn)
    return True


def release_turn(turn_id: int, attempt: int) -> None:
    """Give a claim back, so that another can claim the turn at once."""
    _claimed(turn_id, attempt).update(claimed_at=None, progress=0)


def _claimable() -> QuerySet[Turn]:
    return Turn.objects.filter(WAITING, _unclaimed())


def _unclaimed() -> Q:
    silent = Q(claimed_at__lt=Now() - timedelta(seconds=CLAIM_SECONDS))
    return Q(claimed_at__isnull=True) | silent


def _claim(turn_id: int) -> bool:
    claimable = _claimable().filter(id=turn_id)
    return claimable.update(claimed_at=Now(), attempt=F("attempt") + 1, progress=0) == 1


def _claimed(turn_id: int, attempt: int) -> QuerySet[Turn]:
    return Turn.objects.filter(
        id=turn_id, attempt=attempt, state=State.WAITING, claimed_at__isnull=False
    )


def _held(turn_id: int, attempt: int) -> Turn | None:
    """Return a claimed turn with its rows locked: the assignment first, as the labeller does."""
    turn = _claimed(turn_id, attempt).select_related("assignment__item__project").first()
    if turn is None:
        return None
    Assignment.objects.select_for_update(no_key=True).get(id=turn.assignment_id)
    still_claimed = _claimed(turn_id, attempt).update(claimed_at=Now()) == 1
    return turn if still_claimed else None


def _as_waiting(turn: Turn) -> WaitingTurn:
    return WaitingTurn(turn.pk, turn.attempt, turn.prompt.project_id, turn.prompt.messages)


def _why_not_storable(replies: Sequence[Reply]) -> str:
    try:
        for reply in replies:
            check_text(reply.text, field="A reply", max_chars=MAX_COMPLETION_CHARS)
    except TextError:
        return (
            "The model wrote something that cannot be kept: far too much, or half a character. "
            "Ask again."
        )
    return ""


def _completion(turn: Turn, reply: Reply) -> Completion:
    return Completion(
        prompt_id=turn.prompt_id,
        text=reply.text,
        origin=Completion.Origin.CHECKPOINT,
        checkpoint_id=reply.checkpoint_id,
        sampling=reply.sampling,
    )


def _begin_lease_anew(turn: Turn) -> None:
    """Give the labeller the project's full time again: what they waited was not theirs to use."""
    held = Assignment.objects.filter(id=turn.assignment_id, state=Assignment.State.LEASED)
    held.update(lease_until=queue.lease_end(turn.assignment.item.project))
