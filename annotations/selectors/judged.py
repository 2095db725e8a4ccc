"""What people said about the same things, as arrays: what statistics of agreement are made of.

Gold items are left out everywhere: everybody is asked them, because their answer is clear.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from django.db.models import Q
from django.db.models.functions import Substr
from numpy.typing import NDArray

from annotations.algorithms.rankings import outcomes_from_ranking
from annotations.models import (
    Comparison,
    Item,
    Kind,
    Project,
    RankedCompletion,
    RatingAnswer,
    Review,
    counted,
)
from annotations.selectors.days import day_of

CHUNK = 5000
CHOICES = ("first", "second", "tie", "both_bad")
DECISIONS = ("accept", "fix", "reject")

ROW = np.dtype(
    [
        ("item", "i8"),
        ("person", "i8"),
        ("version", "i8"),  # of the guidelines, 0 where there were none
        ("day", "i4"),  # since 1970
        ("first", "i8"),
        ("second", "i8"),
        ("label", "i2"),
        ("side", "i1"),  # 1 where the first was on the left, -1 where on the right, 0 for neither
        ("weight", "f4"),  # of the pairs of a ranking of K: 2 / K
    ]
)
Rows = NDArray[Any]


@dataclass(frozen=True)
class Judged:
    """Everything that people answered to one question about things of one kind."""

    kind: str
    question: str
    """The name of a rating's question; empty for other kinds."""
    labels: tuple[str, ...]
    metric: str
    """How far labels are apart: nominal, or ordinal on a scale."""
    rows: Rows  # (N,) of ROW

    def units(self) -> NDArray[np.int64]:
        """Return the number of what each row is about, (N,): two of an item, or one of it."""
        pair = np.unique(self.rows["first"] << 32 | self.rows["second"], return_inverse=True)[1]
        item = np.unique(self.rows["item"], return_inverse=True)[1]
        wide = int(pair.max(initial=0)) + 1
        return np.unique(item * wide + pair, return_inverse=True)[1].astype(np.int64)


def judged_by_people(
    project: Project, batch: str | None = None, people: Collection[int] | None = None
) -> list[Judged]:
    """Return what people chose, ranked, rated and decided in reviews.

    In one batch or in all, by some people or by everybody.
    """

    def condition(path: str) -> Q:
        return _condition(path, project, batch, people)

    compared = _array(_compared(condition("annotation__")))
    ranked = _array(_ranked(condition("ranking__annotation__")))
    reviewed = _array(_reviewed(condition("annotation__")))
    found = [
        Judged(Kind.COMPARISON, "", CHOICES, "nominal", compared),
        Judged(Kind.RANKING, "", CHOICES, "nominal", ranked),
        *_rated(project, condition("rating__annotation__")),
        Judged(Kind.REVIEW, "", DECISIONS, "nominal", reviewed),
    ]
    return [one for one in found if len(one.rows)]


def _condition(path: str, project: Project, batch: str | None, people: Collection[int] | None) -> Q:
    judged = counted(path, project.pk) & Q(**{f"{path}item__project": project})
    # Who decides about what others said saw it before.
    judged &= Q(**{f"{path}adjudication__isnull": True})
    if batch is not None:
        judged &= Q(**{f"{path}item__batch": batch})
    if people is not None:
        judged &= Q(**{f"{path}annotator__in": people})
    return judged & ~Q(**{f"{path}item__purpose": Item.Purpose.GOLD})


def _source(path: str) -> list[str | Substr]:
    """Return the fields of where a judgement comes from, its day as text."""
    fields = ("item_id", "annotator_id", "guideline_version_id")
    return [*(f"{path}{field}" for field in fields), day_of(f"{path}created_at")]


def _array(rows: Iterable[tuple[Any, ...]]) -> Rows:
    return np.fromiter(rows, dtype=ROW)


@cache
def _day(text: str) -> int:
    return date.fromisoformat(text).toordinal() - UNIX_DAY


UNIX_DAY = date(1970, 1, 1).toordinal()


def _compared(condition: Q) -> Iterator[tuple[Any, ...]]:
    rows = (
        Comparison.objects.filter(condition)
        .order_by()
        .values_list(*_source("annotation__"), "left_id", "right_id", "outcome")
    )
    as_first = {"left": 0, "right": 1, "tie": 2, "both_bad": 3}
    as_second = {"left": 1, "right": 0, "tie": 2, "both_bad": 3}
    for item, person, version, at, left, right, said in rows.iterator(chunk_size=CHUNK):
        if left < right:
            yield item, person, version or 0, _day(at), left, right, as_first[said], 1, 1.0
        else:
            yield item, person, version or 0, _day(at), right, left, as_second[said], -1, 1.0


def _ranked(condition: Q) -> Iterator[tuple[Any, ...]]:
    rows = (
        RankedCompletion.objects.filter(condition)
        .order_by("ranking_id", "tier", "completion_id")
        .values_list("ranking_id", *_source("ranking__annotation__"), "tier", "completion_id")
    )
    for _, ranking in groupby(rows.iterator(chunk_size=CHUNK), key=itemgetter(0)):
        entries = list(ranking)
        _, item, person, version, at, *_ = entries[0]
        tiers = [[row[6] for row in tied] for _, tied in groupby(entries, key=itemgetter(5))]
        weight = 2 / len(entries)
        for first, second, said in outcomes_from_ranking(tiers):
            label = CHOICES.index(said)
            yield item, person, version or 0, _day(at), first, second, label, 0, weight


def _rated(project: Project, condition: Q) -> list[Judged]:
    """Return what was answered to each question; a scale of other points is another question."""
    points = {
        (scheme, question["name"]): question["points"] if question["form"] == "scale" else 0
        for scheme, questions in project.rating_schemes.values_list("id", "questions")
        for question in questions
    }
    answers: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
    rows = (
        RatingAnswer.objects.filter(condition)
        .order_by()
        .values_list(
            *_source("rating__annotation__"),
            "completion_id",
            "value",
            "question",
            "rating__scheme_id",
        )
    )
    for item, person, version, at, shown, value, name, scheme in rows.iterator(chunk_size=CHUNK):
        scale = points.get((scheme, name), 0)
        row = (item, person, version or 0, _day(at), shown, 0, value - bool(scale), 0, 1.0)
        answers.setdefault((name, scale), []).append(row)
    return [
        Judged(
            Kind.RATING,
            name,
            tuple(map(str, range(1, scale + 1))) if scale else ("no", "yes"),
            "ordinal" if scale else "nominal",
            _array(answers[name, scale]),
        )
        for name, scale in sorted(answers)
    ]


def _reviewed(condition: Q) -> Iterator[tuple[Any, ...]]:
    rows = (
        Review.objects.filter(condition)
        .order_by()
        .values_list(*_source("annotation__"), "subject_id", "decision")
    )
    for item, person, version, at, subject, said in rows.iterator(chunk_size=CHUNK):
        yield item, person, version or 0, _day(at), subject, 0, DECISIONS.index(said), 0, 1.0
