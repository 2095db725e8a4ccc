"""What people said about the same things, as arrays: what statistics of agreement are made of.

Gold items are left out everywhere: everybody is asked them, because their answer is clear.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from django.db.models import Q, QuerySet
from django.db.models.functions import Substr
from numpy.typing import NDArray

from annotations.algorithms.reliability import couples
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
OUTCOMES = {"left": 0, "right": 1, "tie": 2, "both_bad": 3}
TIE = 2
LOWER = 2**32 - 1
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
Numbers = NDArray[np.int64]


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

    def units(self) -> Numbers:
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

    compared, reviewed = _compared(condition("annotation__")), _reviewed(condition("annotation__"))
    ranked = _ranked(condition("ranking__annotation__"))
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


@cache
def _day(text: str) -> int:
    return date.fromisoformat(text).toordinal() - UNIX_DAY


UNIX_DAY = date(1970, 1, 1).toordinal()


def _read(
    found: QuerySet[Any], path: str, *fields: str, **codes: Mapping[str, int]
) -> tuple[Rows, dict[str, Numbers]]:
    """Return where judgements come from, and the fields of each as numbers.

    What is text has a code for each text. Columns are read at once: a row of Python at a time takes
    as long as the database does.
    """
    rows = found.values_list(*_source(path), *fields, *codes).iterator(chunk_size=CHUNK)
    blocks, others = [np.zeros(0, dtype=ROW)], []
    while chunk := list(islice(rows, CHUNK)):
        item, person, version, day, *rest = zip(*chunk, strict=True)
        block = np.zeros(len(chunk), dtype=ROW)
        block["item"], block["person"] = item, person
        block["version"] = [number or 0 for number in version]
        block["day"] = [_day(text) for text in day]
        block["weight"] = 1
        blocks.append(block)
        coded = zip(codes.values(), rest[len(fields) :], strict=True)
        others.append(
            [*rest[: len(fields)], *([code[one] for one in some] for code, some in coded)]
        )
    columns = [np.concatenate(parts) for parts in zip(*others, strict=True)]
    if not columns:
        columns = [np.zeros(0, dtype=np.int64) for _ in (*fields, *codes)]
    return np.concatenate(blocks), dict(zip((*fields, *codes), columns, strict=True))


def _compared(condition: Q) -> Rows:
    found = Comparison.objects.filter(condition).order_by()
    rows, said = _read(found, "annotation__", "left_id", "right_id", outcome=OUTCOMES)
    in_order = said["left_id"] < said["right_id"]
    rows["first"] = np.minimum(said["left_id"], said["right_id"])
    rows["second"] = np.maximum(said["left_id"], said["right_id"])
    is_sided = said["outcome"] < TIE
    rows["label"] = np.where(is_sided & ~in_order, 1 - said["outcome"], said["outcome"])
    rows["side"] = np.where(in_order, 1, -1)
    return rows


def _ranked(condition: Q) -> Rows:
    """Return what every two completions of a ranking say: that one is better, or that they tie."""
    found = RankedCompletion.objects.filter(condition).order_by("ranking_id", "completion_id")
    entries, said = _read(found, "ranking__annotation__", "ranking_id", "completion_id", "tier")
    sizes = np.unique(said["ranking_id"], return_inverse=True, return_counts=True)[1:]
    first, second = couples(said["ranking_id"])
    rows = entries[first]
    rows["first"], rows["second"] = said["completion_id"][first], said["completion_id"][second]
    tiers = said["tier"][second] - said["tier"][first]
    rows["label"] = np.select([tiers > 0, tiers < 0], [0, 1], TIE)
    rows["weight"] = 2 / sizes[1][sizes[0][first]]
    return rows


def _rated(project: Project, condition: Q) -> list[Judged]:
    """Return what was answered to each question; a scale of other points is another question."""
    points = {
        (scheme, question["name"]): question["points"] if question["form"] == "scale" else 0
        for scheme, questions in project.rating_schemes.values_list("id", "questions")
        for question in questions
    }
    names = _Codes()
    found = RatingAnswer.objects.filter(condition).order_by()
    rows, said = _read(
        found,
        "rating__annotation__",
        "completion_id",
        "value",
        "rating__scheme_id",
        question=names,
    )
    rows["first"] = said["completion_id"]
    by_question: dict[tuple[str, int], list[Rows]] = {}
    asked = said["rating__scheme_id"] << 32 | said["question"]
    for one in np.unique(asked):
        name = names.name(int(one) & LOWER)
        scale = points.get((int(one) >> 32, name), 0)
        chosen = asked == one
        answers = rows[chosen]
        answers["label"] = said["value"][chosen] - bool(scale)
        by_question.setdefault((name, scale), []).append(answers)
    return [
        Judged(
            Kind.RATING,
            name,
            tuple(map(str, range(1, scale + 1))) if scale else ("no", "yes"),
            "ordinal" if scale else "nominal",
            np.concatenate(by_question[name, scale]),
        )
        for name, scale in sorted(by_question)
    ]


def _reviewed(condition: Q) -> Rows:
    found = Review.objects.filter(condition).order_by()
    codes = {decision: code for code, decision in enumerate(DECISIONS)}
    rows, said = _read(found, "annotation__", "subject_id", decision=codes)
    rows["first"], rows["label"] = said["subject_id"], said["decision"]
    return rows


class _Codes(dict[str, int]):
    """Texts by their codes, which are given as texts come."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]

    def name(self, code: int) -> str:
        return list(self)[code]
