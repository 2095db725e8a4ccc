"""What answers to open items are worth, written where the queue finds it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from django.db import transaction
from django.db.models import Exists, OuterRef

from annotations.algorithms.arms import AIMS, Expected
from annotations.models import Arm, Assignment, Item, Project, Weighing
from annotations.selectors.queue import OPEN
from annotations.services.rules import CHUNK, chunks, lock

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

_SYSTEM_RANDOM = random.SystemRandom()


class Begun(TypedDict):
    """Whether anybody was handed an item."""

    was_asked: bool


@dataclass(frozen=True)
class ItemWorth:
    """What an answer to an item is expected to tell. Without an aim nothing may choose it."""

    item_id: int
    expected: Expected


@transaction.atomic
def record_worth(
    project: Project,
    kind: str,
    worths: Sequence[ItemWorth],
    *,
    model_id: int | None = None,
    left_out: int = 0,
    rng: random.Random = _SYSTEM_RANDOM,
) -> Weighing:
    """Put the items in the order in which to ask them; those of one aim come best first.

    Of items for training that are new to this the project's share goes to the arm at random, by
    lot, and stays there. Aims take turns, by how many items each has. For training nobody is asked
    again before everything was asked.
    """
    lock(project)
    project.refresh_from_db(fields=["random_percent", "weighed_kinds"])
    expected = {one.item_id: one.expected for one in worths}
    items = _items(project, kind, list(expected))
    for item in items.values():
        is_training = item.purpose == Item.Purpose.TRAINING
        if is_training and not item.arm and rng.random() * 100 < project.random_percent:
            item.arm = Arm.RANDOM
        item.worth, item.expected = None, dict(expected[item.pk])
    to_choose = [items[n] for n in expected if n in items and items[n].arm != Arm.RANDOM]
    for item in to_choose:
        item.arm = Arm.CHOSEN if expected[item.pk]["aim"] in AIMS else Arm.TURN
    for aim in (*AIMS, ""):
        _rank([item for item in to_choose if expected[item.pk]["aim"] == aim], in_turn=not aim)
    # What is open and was weighed before but not now; few, since the window has an end.
    Item.objects.filter(OPEN, project=project, kind=kind, worth__isnull=False).update(worth=None)
    Item.objects.bulk_update(items.values(), ["arm", "worth", "expected"], batch_size=CHUNK)
    if worths and kind not in project.weighed_kinds:
        project.weighed_kinds = [*project.weighed_kinds, kind]
        project.save(update_fields=["weighed_kinds"])
    return Weighing.objects.create(
        project=project,
        kind=kind,
        model_id=model_id,
        weighed=len(to_choose),
        at_random=len(items) - len(to_choose),
        left_out=left_out,
    )


def _items(
    project: Project, kind: str, ids: Iterable[int]
) -> dict[int, WithAnnotations[Item, Begun]]:
    """Return the items that are still open, with whether somebody was asked, in any order."""
    was_asked = Exists(Assignment.objects.filter(item=OuterRef("pk")))
    found: dict[int, WithAnnotations[Item, Begun]] = {}
    for some in chunks(ids):
        still_open = Item.objects.filter(OPEN, project=project, kind=kind, id__in=some)
        found |= {item.pk: item for item in still_open.annotate(was_asked=was_asked)}
    return found


def _rank(items: list[WithAnnotations[Item, Begun]], *, in_turn: bool) -> None:
    """Give items of one aim their places between 0 and 1, the first the highest.

    What was asked before for training comes after everything that was not, below 0. Between the
    aims that makes turns: each has as much of the first tenth as of the whole.
    """
    if in_turn:
        items = sorted(items, key=lambda item: item.lot)
    for place, item in enumerate(items):
        item.worth = 1 - (place + 0.5) / len(items) - _is_begun(item)


def _is_begun(item: WithAnnotations[Item, Begun]) -> bool:
    return item.purpose == Item.Purpose.TRAINING and item.was_asked
