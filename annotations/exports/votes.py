"""Every vote of a project between two checkpoints, wherever it was cast."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from operator import itemgetter
from typing import Any, TypedDict

from django.db.models import Count, F, Max, Q

from annotations.exports.rows import CHUNK, current, pseudonym, votes_only
from annotations.models import (
    Annotation,
    Battle,
    Comparison,
    ConversationChoice,
    Kind,
    RankedCompletion,
    Recall,
    Retraction,
)

KINDS = (Kind.COMPARISON, Kind.RANKING, Kind.CONVERSATION)
"""Kinds of work in which somebody prefers one completion to another."""


class VoteRow(TypedDict):
    """What somebody thought of the completions of two checkpoints, side by side and unnamed."""

    annotation_id: int
    item_id: int
    prompt_id: int
    annotator: str
    kind: str
    purpose: str
    left_checkpoint_id: int
    right_checkpoint_id: int
    left_text: str
    right_text: str
    outcome: str
    strength: str
    marks: list[str]
    """Of `Battle.Mark`, of a vote in the arena: what speaks against counting it."""


@dataclass(frozen=True)
class VoteCounts:
    """What changes whenever a vote comes or goes."""

    annotations: int
    """That may hold votes, in force or not."""
    newest: int
    retracted: int
    recalls: int
    """How often something was recalled, or a recall lifted."""


def vote_counts(project_id: int, *, after: int = 0, until: int | None = None) -> VoteCounts:
    """Return what a figure that was reckoned from votes has to be held against.

    Counted are annotations newer than `after` and none newer than `until`.
    """
    cast = Annotation.objects.filter(item__project_id=project_id, kind__in=KINDS, id__gt=after)
    if until is not None:
        cast = cast.filter(id__lte=until)
    found = cast.aggregate(annotations=Count("id"), newest=Max("id"))
    retracted = Retraction.objects.filter(annotation__item__project_id=project_id)
    recalls = Recall.objects.filter(project=project_id)
    changes = recalls.aggregate(made=Count("id"), lifted=Count("lifted_at"))
    return VoteCounts(
        annotations=found["annotations"],
        newest=found["newest"] or 0,
        retracted=retracted.count(),
        recalls=changes["made"] + changes["lifted"],
    )


def withdrawn_votes(project_id: int, *, after: int) -> set[int]:
    """Return the annotations that were retracted, or superseded by one newer than `after`."""
    cast = Annotation.objects.filter(item__project_id=project_id, kind__in=KINDS)
    superseded = cast.filter(id__gt=after, supersedes__isnull=False)
    retracted = Retraction.objects.filter(annotation__item__project_id=project_id)
    return {
        *superseded.values_list("supersedes_id", flat=True),
        *retracted.values_list("annotation_id", flat=True),
    }


def votes(project_id: int, *, after: int = 0) -> Iterator[VoteRow]:
    """Yield every vote between two checkpoints, by annotation; those newer than `after`.

    Comparisons for training, for evaluation, in the arena and gold ones count alike, as do the
    choices in a conversation. A ranking gives a vote for every two of its completions that two
    checkpoints wrote; which of them is on the left says nothing there.
    """
    return heapq.merge(
        _of_comparisons(project_id, after),
        _of_rankings(project_id, after),
        _of_conversations(project_id, after),
        key=itemgetter("annotation_id"),
    )


def _source(path: str) -> list[str]:
    fields = ("id", "item_id", "item__prompt_id", "annotator_id", "kind", "item__purpose")
    return [f"{path}{field}" for field in fields]


def _between_checkpoints() -> Q:
    known = Q(left__checkpoint__isnull=False, right__checkpoint__isnull=False)
    return known & ~Q(left__checkpoint_id=F("right__checkpoint_id"))


SIDES = (
    "left__checkpoint_id",
    "right__checkpoint_id",
    "left__text",
    "right__text",
    "outcome",
    "strength",
)


def _of_comparisons(project_id: int, after: int) -> Iterator[VoteRow]:
    path = "annotation__"
    rows = (
        Comparison.objects.filter(current(path, project_id), _between_checkpoints())
        .filter(votes_only(path), annotation_id__gt=after)
        .order_by("annotation_id")
        .values_list(*_source(path), *SIDES)
    )
    marks = _marks(project_id, after)
    for row in rows.iterator(chunk_size=CHUNK):
        vote = _vote(row)
        vote["marks"] = marks.get(vote["annotation_id"], [])
        yield vote


def _marks(project_id: int, after: int) -> dict[int, list[str]]:
    """Return the marks of the votes that something speaks against, by annotation."""
    marked = Battle.objects.filter(project_id=project_id, assignment__annotations__id__gt=after)
    return dict(marked.exclude(marks=[]).values_list("assignment__annotations__id", "marks"))


def _of_conversations(project_id: int, after: int) -> Iterator[VoteRow]:
    path = "conversation__annotation__"
    rows = (
        ConversationChoice.objects.filter(current(path, project_id), _between_checkpoints())
        .filter(conversation_id__gt=after)
        .order_by("conversation_id", "position")
        .values_list(*_source(path), *SIDES, "prompt_id")
    )
    for *row, prompt_id in rows.iterator(chunk_size=CHUNK):
        yield {**_vote(row), "prompt_id": prompt_id}


def _of_rankings(project_id: int, after: int) -> Iterator[VoteRow]:
    path = "ranking__annotation__"
    rows = (
        RankedCompletion.objects.filter(current(path, project_id), votes_only(path))
        .filter(ranking_id__gt=after, completion__checkpoint__isnull=False)
        .order_by("ranking_id", "tier", "id")
        .values_list(*_source(path), "tier", "completion__checkpoint_id", "completion__text")
    )
    entries = rows.iterator(chunk_size=CHUNK)
    for _, ranking in groupby(entries, key=itemgetter(0)):
        for (*source, tier, left, text), (*_same, next_tier, right, next_text) in combinations(
            ranking, 2
        ):
            if left != right:
                outcome = "tie" if tier == next_tier else "left"
                yield _vote((*source, left, right, text, next_text, outcome, ""))


def _vote(row: Sequence[Any]) -> VoteRow:
    """Return the values of `_source` and SIDES as a vote that nothing is known to speak against."""
    annotation_id, item_id, prompt_id, annotator_id, kind, purpose = row[:6]
    left_id, right_id, left_text, right_text, outcome, strength = row[6:]
    return {
        "annotation_id": annotation_id,
        "item_id": item_id,
        "prompt_id": prompt_id,
        "annotator": pseudonym(annotator_id),
        "kind": kind,
        "purpose": purpose,
        "left_checkpoint_id": left_id,
        "right_checkpoint_id": right_id,
        "left_text": left_text,
        "right_text": right_text,
        "outcome": outcome,
        "strength": strength,
        "marks": [],
    }
