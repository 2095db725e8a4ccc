"""What could be asked next, for models to say what an answer would tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotations.algorithms.worth import pace, paid_seconds
from annotations.models import (
    Annotation,
    Arm,
    Assignment,
    Comparison,
    Item,
    Kind,
    Message,
    PayRate,
    Project,
    Split,
    Weighing,
    counted,
)
from annotations.selectors.pay import rates_in_force
from annotations.selectors.queue import OPEN

WEIGHED_KINDS = (Kind.COMPARISON, Kind.RANKING)
"""Kinds of work whose answers are preferences."""
WINDOW = 1_000
"""Open items of a kind that are looked at each time: drawn by lot, so they stand for all others."""
LEAST_OPEN = 20
"""With fewer there is no choice to speak of."""
USED = 100
"""After so many of them were handed out, the others are looked at again."""
TIMED = 200
"""The newest answers, by which people's pace is known."""
AGAIN_AFTER = timedelta(minutes=10)
"""Where nothing could be said of any item."""
JUDGED = 1_000
"""The newest comparisons, by which it is known how many are ties."""


class ShownRow(TypedDict):
    """A completion of an open item."""

    id: int
    text: str
    checkpoint_id: int | None


class QuestionRow(TypedDict):
    """An open item, and what an answer to it would cost."""

    item_id: int
    kind: str
    learns: bool
    """A reward model would be trained on the answer."""
    evaluates: bool
    prompt: list[Message]
    completions: list[ShownRow]
    """By id."""
    seconds: float


@dataclass(frozen=True)
class Due:
    """Why a kind's items are to be looked at again."""

    kind: str
    why: str
    learns: bool
    """A reward model would learn from enough of them to be asked."""


def due_for_weighing(project: Project, model_id: int | None) -> list[Due]:
    """Return the kinds whose items are to be weighed by what that model, or the board, knows."""
    if project.is_paused or project.random_percent >= 100:
        return []
    found = ((kind, _why(project, kind, model_id)) for kind in WEIGHED_KINDS)
    return [Due(kind, why, _learns(project, kind)) for kind, why in found if why]


def _learns(project: Project, kind: str) -> bool:
    items = _weighable(project, kind).filter(purpose=Item.Purpose.TRAINING)
    return len(items.filter(prompt__split=Split.TRAIN).values_list("id")[:LEAST_OPEN]) == LEAST_OPEN


def _why(project: Project, kind: str, model_id: int | None) -> str:
    items = _weighable(project, kind)
    if len(items.values_list("id")[:LEAST_OPEN]) < LEAST_OPEN:
        return ""
    last = Weighing.objects.filter(project=project, kind=kind).first()
    if last is None:
        return "first"
    if model_id is not None and last.model_id != model_id:
        return "model"
    if not last.weighed:
        return "again" if timezone.now() - last.created_at > AGAIN_AFTER else ""
    left = len(items.filter(worth__isnull=False).values_list("id")[: last.weighed])
    if last.weighed - left >= USED:
        return "used"
    new = len(items.filter(arm="").values_list("id")[:LEAST_OPEN])
    return "new" if new == LEAST_OPEN and left < WINDOW / 2 else ""


def open_questions(project: Project, kind: str) -> Iterator[QuestionRow]:
    """Yield the open items of a kind that are to be weighed.

    Evaluations come first, which somebody waits for; then by lot items that nobody was asked, then
    those that somebody was. Of each as many as WINDOW.
    """
    items = _weighable(project, kind).annotate(
        asked=Exists(Assignment.objects.filter(item=OuterRef("pk")))
    )
    training = items.filter(purpose=Item.Purpose.TRAINING)
    known = training.filter(arm__in=Arm.values)
    untouched = _ids(known.filter(asked=False).order_by("arm", "lot")[:WINDOW])
    new = _ids(training.filter(arm="").order_by("lot")[: WINDOW - len(untouched)])
    costs = _Costs.of(project, kind)
    for ids in (
        _ids(items.filter(purpose=Item.Purpose.EVALUATION).order_by("id")[:WINDOW]),
        untouched + new,
        _ids(known.filter(asked=True).order_by("arm", "lot")[:WINDOW]),
    ):
        whole = Item.objects.select_related("prompt").prefetch_related("completions").in_bulk(ids)
        for item_id in ids:
            yield _row(whole[item_id], costs)


def _counted(project: Project) -> QuerySet[Annotation]:
    return Annotation.objects.filter(counted("", project.pk), item__project=project)


def _ids(items: QuerySet[Item]) -> list[int]:
    return list(items.values_list("id", flat=True))


def share_of_ties(project: Project) -> float:
    """Return how many of the newest comparisons are ties, or both bad; 0 without any."""
    newest = _counted(project).filter(kind=Kind.COMPARISON).order_by("-id")[:JUDGED]
    outcomes = Comparison.objects.filter(annotation__in=list(newest.values_list("id", flat=True)))
    even = Q(outcome__in=[Comparison.Outcome.TIE, Comparison.Outcome.BOTH_BAD])
    found = outcomes.aggregate(all=Count("pk"), even=Count("pk", filter=even))
    return found["even"] / found["all"] if found["all"] else 0.0


def _weighable(project: Project, kind: str) -> QuerySet[Item]:
    """Return the open items that may be chosen; what is urgent is asked before them anyway."""
    purposes = (Item.Purpose.TRAINING, Item.Purpose.EVALUATION)
    return Item.objects.filter(
        OPEN, project=project, kind=kind, purpose__in=purposes, priority__lte=0
    )


@dataclass(frozen=True)
class _Costs:
    """What answers of a kind cost."""

    pace: float
    per_item: int
    per_hour: int

    @classmethod
    def of(cls, project: Project, kind: str) -> _Costs:
        timed = _counted(project).filter(kind=kind, active_ms__gt=0).order_by("-id")
        newest = list(timed.values_list("item_id", "active_ms")[:TIMED])
        items = (
            Item.objects.select_related("prompt")
            .prefetch_related("completions")
            .in_bulk([item_id for item_id, _ in newest])
        )
        seconds = [(_words(items[item_id]), ms / 1000) for item_id, ms in newest if ms]
        by_kind: dict[str, PayRate] = {rate.kind: rate for rate in rates_in_force(project)}
        rate = by_kind.get(kind) or by_kind.get("")
        if rate is None:
            return cls(pace(seconds), 0, 0)
        return cls(pace(seconds), rate.per_item_micros, rate.per_hour_micros)


def _row(item: Item, costs: _Costs) -> QuestionRow:
    shown = sorted(item.completions.all(), key=lambda completion: completion.pk)
    is_training = item.purpose == Item.Purpose.TRAINING
    return {
        "item_id": item.pk,
        "kind": item.kind,
        "learns": is_training and item.prompt.split == Split.TRAIN,
        "evaluates": not is_training,
        "prompt": item.prompt.messages,
        "completions": [
            {"id": one.pk, "text": one.text, "checkpoint_id": one.checkpoint_id} for one in shown
        ],
        "seconds": paid_seconds(
            _words(item), costs.pace, per_item=costs.per_item, per_hour=costs.per_hour
        ),
    }


def _words(item: Item) -> int:
    texts = [item.prompt.text, *(completion.text for completion in item.completions.all())]
    return sum(len(text.split()) for text in texts)
