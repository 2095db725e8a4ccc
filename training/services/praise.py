"""Thumbs under answers: praise is kept and can be taken back, a report opens a ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from annotations import services as collecting
from training.models import ChatMessage, Praise
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import Battle, Completion, User


def praise_reply(reply: ChatMessage, person: User, *, is_good: bool) -> None:
    """Say that a reply is good, or take that back. Saying it twice is saying it once."""
    if reply.state not in (ChatMessage.State.DONE, ChatMessage.State.STOPPED):
        raise ServiceError("Only a reply that was written can be praised. Wait for its end.")
    if is_good:
        Praise.objects.get_or_create(reply=reply, defaults={"person": person})
    else:
        Praise.objects.filter(reply=reply, person=person).delete()


def praise_in_battle(battle: Battle, position: str, person: User, *, is_good: bool) -> None:
    """Say that answer 1 (A) or 2 (B) of a battle is good, or take that back."""
    completion = _answer(battle, position)
    if is_good:
        Praise.objects.get_or_create(completion=completion, person=person)
    else:
        Praise.objects.filter(completion=completion, person=person).delete()


@transaction.atomic
def report_in_battle(
    battle: Battle, position: str, person: User, reason: str, words: str = ""
) -> None:
    """Open a ticket about answer 1 (A) or 2 (B) of a battle, before the vote or after it.

    Whoever praised it before does so no more.
    """
    completion = _answer(battle, position)
    try:
        collecting.report(completion, person, reason, words, source="arena")
    except collecting.ServiceError as error:
        raise ServiceError(str(error)) from None
    Praise.objects.filter(completion=completion, person=person).delete()


def _answer(battle: Battle, position: str) -> Completion:
    found = {"1": battle.left, "2": battle.right}.get(position)
    if found is None:
        raise ServiceError(_("Choose one of the two answers, A or B, once both are there."))
    return found
