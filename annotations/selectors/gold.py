"""Whether people give the known answers of gold items, and which of these may be wrong."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Length

from annotations.algorithms.adversaries import Wrong
from annotations.algorithms.gold import compared_right, ranked_right, rated_right
from annotations.algorithms.tails import share_below
from annotations.models import (
    Annotation,
    Comparison,
    Item,
    Kind,
    Project,
    RankedCompletion,
    RatingAnswer,
    counted,
    in_force,
)

SCORED = (Kind.COMPARISON, Kind.RANKING, Kind.RATING)
"""Kinds of which an answer can be held against what a gold item knows."""

LEAST_ANSWERS = 5
"""Before so many have answered it, a gold item is not suspected."""
MOST_RIGHT = 0.5
"""A gold item is suspected if the share that is right lies surely below this."""


@dataclass(frozen=True)
class GoldAnswer:
    """Whether somebody gave the known answer of a gold item."""

    item_id: int
    annotator_id: int
    annotation_id: int
    kind: str
    is_right: bool


@dataclass(frozen=True)
class FailingGold:
    """A gold item that nearly everybody fails."""

    item: Item
    right: int
    answers: int


def gold_answers(
    project: Project, said: QuerySet[Annotation] | None = None
) -> Iterator[GoldAnswer]:
    """Yield every answer to a gold item of a kind in `SCORED` that is in force, by item.

    With `said`, only of those annotations.
    """
    gold = project.items.filter(purpose=Item.Purpose.GOLD, gold__isnull=False)
    known = dict(gold.filter(kind__in=SCORED).values_list("id", "gold"))
    if said is None:
        said = Annotation.objects.filter(in_force(), item__project=project)
    asked = said.filter(item__purpose=Item.Purpose.GOLD)
    found = [*_compared(asked, known), *_ranked(asked, known), *_rated(project, asked, known)]
    yield from sorted(found, key=lambda one: (one.item_id, one.annotation_id))


def wrong_on_gold(answers: Collection[GoldAnswer]) -> dict[int, dict[int, Wrong | None]]:
    """Return for each gold item what people answered to it, and None where they were right."""
    wrong = [answer.annotation_id for answer in answers if not answer.is_right]
    said = {**_wrong_choices(wrong), **_wrong_orders(wrong), **_wrong_points(wrong)}
    found: dict[int, dict[int, Wrong | None]] = defaultdict(dict)
    for answer in answers:
        found[answer.item_id][answer.annotator_id] = said.get(answer.annotation_id)
    return found


def _wrong_choices(wrong: Sequence[int]) -> dict[int, Wrong]:
    fields = ("annotation_id", "outcome", "left_id", "right_id")
    chosen = Comparison.objects.filter(annotation__in=wrong).values_list(
        *fields, Length("left__text"), Length("right__text")
    )
    found = {}
    for annotation, outcome, left, right, left_length, right_length in chosen:
        if outcome == Comparison.Outcome.LEFT:
            found[annotation] = Wrong(str(left), _sort_by_length(left_length - right_length))
        elif outcome == Comparison.Outcome.RIGHT:
            found[annotation] = Wrong(str(right), _sort_by_length(right_length - left_length))
        else:
            found[annotation] = Wrong(outcome, outcome)
    return found


def _sort_by_length(longer_by: int) -> str:
    return "longer" if longer_by > 0 else "not longer"


def _wrong_orders(wrong: Sequence[int]) -> dict[int, Wrong]:
    ordered = tiers_of(RankedCompletion.objects.filter(ranking__in=wrong))
    return {ranking: Wrong(json.dumps(tiers), "order") for ranking, tiers in ordered}


def _wrong_points(wrong: Sequence[int]) -> dict[int, Wrong]:
    found = {}
    for rating, points in points_of(RatingAnswer.objects.filter(rating__in=wrong)):
        # Who says the same of every completion shares that with everybody who does.
        alike = {json.dumps(said, sort_keys=True) for said in points.values()}
        sort = alike.pop() if len(alike) == 1 else "points"
        found[rating] = Wrong(json.dumps(points, sort_keys=True), sort)
    return found


def failing_gold(project: Project) -> list[FailingGold]:
    """Return the gold items that are asked and that nearly everybody fails: fewest right first.

    What was recalled says nothing about them.
    """
    given: dict[int, list[bool]] = defaultdict(list)
    said = Annotation.objects.filter(counted("", project.pk), item__project=project)
    for answer in gold_answers(project, said):
        given[answer.item_id].append(answer.is_right)
    suspected = [
        item
        for item, rights in given.items()
        if len(rights) >= LEAST_ANSWERS and share_below(sum(rights), len(rights)) < MOST_RIGHT
    ]
    items = project.items.select_related("prompt").filter(id__in=suspected, open_slots__gt=0)
    found = [FailingGold(one, sum(given[one.pk]), len(given[one.pk])) for one in items]
    return sorted(found, key=lambda one: (one.right / one.answers, one.item.pk))


def _compared(asked: QuerySet[Annotation], known: Mapping[int, Any]) -> Iterator[GoldAnswer]:
    rows = Comparison.objects.filter(annotation__in=asked.values("id")).values_list(
        "annotation__item_id",
        "annotation__annotator_id",
        "annotation_id",
        "left_id",
        "outcome",
    )
    for item, annotator, annotation, left, outcome in rows.iterator(chunk_size=2000):
        if item in known:
            is_right = compared_right(known[item], left, outcome)
            yield GoldAnswer(item, annotator, annotation, Kind.COMPARISON, is_right)


def _ranked(asked: QuerySet[Annotation], known: Mapping[int, Any]) -> Iterator[GoldAnswer]:
    ranked = asked.filter(kind=Kind.RANKING).order_by()
    said = dict(tiers_of(RankedCompletion.objects.filter(ranking__in=ranked.values("id"))))
    rows = ranked.values_list("item_id", "annotator_id", "id")
    for item, annotator, ranking in rows.iterator(chunk_size=2000):
        if item in known and ranking in said:
            is_right = ranked_right(known[item], said[ranking])
            yield GoldAnswer(item, annotator, ranking, Kind.RANKING, is_right)


def _rated(
    project: Project, asked: QuerySet[Annotation], known: Mapping[int, Any]
) -> Iterator[GoldAnswer]:
    """Yield the ratings that answer the questions of their items; imports may answer others."""
    questions = dict(project.rating_schemes.values_list("id", "questions"))
    rated = asked.filter(kind=Kind.RATING).order_by()
    said = dict(points_of(RatingAnswer.objects.filter(rating__in=rated.values("id"))))
    rows = rated.values_list(
        *("item_id", "annotator_id", "id", "rating__scheme_id", "item__rating_scheme_id")
    )
    for item, annotator, rating, scheme, asked_by in rows.iterator(chunk_size=2000):
        expected = known.get(item, {}).get("answers")
        if expected and scheme == asked_by:
            is_right = rated_right(expected, said.get(rating, {}), questions[scheme])
            yield GoldAnswer(item, annotator, rating, Kind.RATING, is_right)


def points_of(answers: QuerySet[RatingAnswer]) -> Iterator[tuple[int, dict[str, dict[str, int]]]]:
    """Yield each rating with its answers, by completion and question as a gold item has them."""
    rows = answers.order_by("rating_id", "completion_id", "question").values_list(
        "rating_id", "completion_id", "question", "value"
    )
    for rating, group in groupby(rows.iterator(chunk_size=2000), key=itemgetter(0)):
        points: dict[str, dict[str, int]] = defaultdict(dict)
        for _, completion, question, value in group:
            points[str(completion)][question] = value
        yield rating, dict(points)


def tiers_of(entries: QuerySet[RankedCompletion]) -> Iterator[tuple[int, list[list[int]]]]:
    """Yield each ranking with its completions in tiers, best first, in a tier by their numbers."""
    rows = entries.order_by("ranking_id", "tier", "completion_id").values_list(
        "ranking_id", "tier", "completion_id"
    )
    for ranking, group in groupby(rows.iterator(chunk_size=2000), key=itemgetter(0)):
        yield ranking, [[row[2] for row in tied] for _, tied in groupby(group, key=itemgetter(1))]
