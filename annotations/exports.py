"""What training may read: typed rows, in the order of the annotations behind them.

Every row knows its annotation, its annotator (under a pseudonym), the guideline version that was
in force, and the split of its prompt. Superseded annotations are left out. Each function holds a
few thousand rows in memory at a time, however large the project is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, TypedDict

from django.db.models import Count, Q

from annotations.algorithms.preferences import margin_for, pair_from_comparison
from annotations.algorithms.rankings import pairs_from_ranking
from annotations.models import (
    Annotation,
    Comparison,
    Demonstration,
    Item,
    Kind,
    Message,
    Prompt,
    RankedCompletion,
)

CHUNK = 2000


class DemonstrationRow(TypedDict):
    """An ideal answer to a prompt."""

    split: str
    prompt_id: int
    annotation_id: int
    annotator: str
    guideline_version: int | None
    prompt: list[Message]
    completion: list[Message]


class PreferenceRow(TypedDict):
    """Two answers to a prompt, one of which somebody preferred."""

    split: str
    prompt_id: int
    annotation_id: int
    annotator: str
    guideline_version: int | None
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    margin: float
    strength: str
    chosen_id: int
    rejected_id: int


class PromptRow(TypedDict):
    """A prompt to sample completions for."""

    split: str
    prompt_id: int
    prompt: list[Message]


class BattleRow(TypedDict):
    """A blind comparison between the completions of two checkpoints."""

    annotation_id: int
    item_id: int
    prompt_id: int
    annotator: str
    left_checkpoint_id: int | None
    right_checkpoint_id: int | None
    outcome: str
    strength: str


@dataclass(frozen=True)
class PreferenceCounts:
    """What a project's comparisons and rankings come to, ties and both-bads included."""

    comparisons: int
    ties: int
    both_bad: int
    rankings: int
    ranking_pairs: int
    """Pairs that the rankings would give if nothing were tied: C(K, 2) each."""
    ranking_ties: int
    annotators: int

    @property
    def pairs(self) -> int:
        """Return how many rows `preferences` yields."""
        decided = self.comparisons - self.ties - self.both_bad
        return decided + self.ranking_pairs - self.ranking_ties


def demonstrations(project_id: int) -> Iterator[DemonstrationRow]:
    """Yield every demonstration of a project, by annotation."""
    rows = (
        Demonstration.objects.filter(_current("annotation__", project_id))
        .order_by("annotation_id")
        .values(*_source("annotation__"), "completion__text")
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield {
            "split": row["annotation__item__prompt__split"],
            "prompt_id": row["annotation__item__prompt_id"],
            "annotation_id": row["annotation__id"],
            "annotator": _pseudonym(row["annotation__annotator_id"]),
            "guideline_version": row["annotation__guideline_version__version"],
            "prompt": row["annotation__item__prompt__messages"],
            "completion": _answer(row["completion__text"]),
        }


def preferences(project_id: int) -> Iterator[PreferenceRow]:
    """Yield every preference pair for training, by annotation, then by chosen and rejected.

    Comparisons and rankings give pairs; ties and both-bads give none (see `preference_counts`).
    """
    return heapq.merge(
        _pairs_of_comparisons(project_id),
        _pairs_of_rankings(project_id),
        key=lambda row: row["annotation_id"],
    )


def preference_counts(project_id: int) -> PreferenceCounts:
    """Return how many annotations stand behind the preference pairs, and how many gave none."""
    compared = Comparison.objects.filter(_for_training("annotation__", project_id)).aggregate(
        comparisons=Count("annotation_id"),
        ties=Count("annotation_id", filter=Q(outcome=Comparison.Outcome.TIE)),
        both_bad=Count("annotation_id", filter=Q(outcome=Comparison.Outcome.BOTH_BAD)),
    )
    sizes = _tier_sizes(project_id)
    annotators = (
        Annotation.objects.filter(
            _for_training("", project_id), kind__in=[Kind.COMPARISON, Kind.RANKING]
        )
        .values("annotator")
        .distinct()
        .count()
    )
    return PreferenceCounts(
        **compared,
        rankings=len(sizes),
        ranking_pairs=sum(_choose_two(sum(tiers)) for tiers in sizes.values()),
        ranking_ties=sum(_choose_two(tier) for tiers in sizes.values() for tier in tiers),
        annotators=annotators,
    )


def prompts(project_id: int) -> Iterator[PromptRow]:
    """Yield every prompt of a project, by id."""
    rows = Prompt.objects.filter(project_id=project_id).order_by("id")
    for prompt_id, split, messages in rows.values_list("id", "split", "messages").iterator(
        chunk_size=CHUNK
    ):
        yield {"split": split, "prompt_id": prompt_id, "prompt": messages}


def battles(project_id: int, batch: str) -> Iterator[BattleRow]:
    """Yield every comparison of an evaluation, by annotation."""
    rows = (
        Comparison.objects.filter(
            _current("annotation__", project_id),
            annotation__item__batch=batch,
            annotation__item__purpose=Item.Purpose.EVALUATION,
        )
        .order_by("annotation_id")
        .values(
            "annotation_id",
            "annotation__item_id",
            "annotation__item__prompt_id",
            "annotation__annotator_id",
            "left__checkpoint_id",
            "right__checkpoint_id",
            "outcome",
            "strength",
        )
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield {
            "annotation_id": row["annotation_id"],
            "item_id": row["annotation__item_id"],
            "prompt_id": row["annotation__item__prompt_id"],
            "annotator": _pseudonym(row["annotation__annotator_id"]),
            "left_checkpoint_id": row["left__checkpoint_id"],
            "right_checkpoint_id": row["right__checkpoint_id"],
            "outcome": row["outcome"],
            "strength": row["strength"],
        }


def _pairs_of_comparisons(project_id: int) -> Iterator[PreferenceRow]:
    rows = (
        Comparison.objects.filter(_for_training("annotation__", project_id))
        .order_by("annotation_id")
        .values(
            *_source("annotation__"),
            "outcome",
            "strength",
            "left_id",
            "left__text",
            "right_id",
            "right__text",
        )
    )
    for row in rows.iterator(chunk_size=CHUNK):
        left = (row["left_id"], row["left__text"])
        right = (row["right_id"], row["right__text"])
        if pair := pair_from_comparison(left, right, row["outcome"]):
            yield _preference(row, "annotation__", *pair, strength=row["strength"])


def _pairs_of_rankings(project_id: int) -> Iterator[PreferenceRow]:
    rows = (
        RankedCompletion.objects.filter(_for_training("ranking__annotation__", project_id))
        .order_by("ranking_id", "tier", "completion_id")
        .values(
            *_source("ranking__annotation__"),
            "ranking_id",
            "tier",
            "completion_id",
            "completion__text",
        )
    )
    for _, group in groupby(rows.iterator(chunk_size=CHUNK), key=itemgetter("ranking_id")):
        entries = list(group)
        tiers = [
            [(entry["completion_id"], entry["completion__text"]) for entry in tied]
            for _, tied in groupby(entries, key=itemgetter("tier"))
        ]
        for chosen, rejected in pairs_from_ranking(tiers):
            yield _preference(entries[0], "ranking__annotation__", chosen, rejected, strength="")


def _preference(
    row: dict[str, Any],
    path: str,
    chosen: tuple[int, str],
    rejected: tuple[int, str],
    *,
    strength: str,
) -> PreferenceRow:
    return {
        "split": row[f"{path}item__prompt__split"],
        "prompt_id": row[f"{path}item__prompt_id"],
        "annotation_id": row[f"{path}id"],
        "annotator": _pseudonym(row[f"{path}annotator_id"]),
        "guideline_version": row[f"{path}guideline_version__version"],
        "prompt": row[f"{path}item__prompt__messages"],
        "chosen": _answer(chosen[1]),
        "rejected": _answer(rejected[1]),
        "margin": margin_for(strength),
        "strength": strength,
        "chosen_id": chosen[0],
        "rejected_id": rejected[0],
    }


def _tier_sizes(project_id: int) -> dict[int, list[int]]:
    """Return the sizes of the tiers of every ranking."""
    sizes: dict[int, list[int]] = {}
    tiers = (
        RankedCompletion.objects.filter(_for_training("ranking__annotation__", project_id))
        .order_by("ranking_id", "tier")
        .values_list("ranking_id", "tier")
        .annotate(size=Count("id"))
    )
    for ranking_id, _, size in tiers.iterator(chunk_size=CHUNK):
        sizes.setdefault(ranking_id, []).append(size)
    return sizes


def _choose_two(count: int) -> int:
    return count * (count - 1) // 2


def _current(path: str, project_id: int) -> Q:
    """Return the condition that the annotation at `path` is of the project and in force."""
    return Q(**{f"{path}item__project_id": project_id, f"{path}superseded_by__isnull": True})


def _for_training(path: str, project_id: int) -> Q:
    return _current(path, project_id) & Q(**{f"{path}item__purpose": Item.Purpose.TRAINING})


def _source(path: str) -> list[str]:
    return [
        f"{path}id",
        f"{path}annotator_id",
        f"{path}guideline_version__version",
        f"{path}item__prompt_id",
        f"{path}item__prompt__split",
        f"{path}item__prompt__messages",
    ]


def _pseudonym(annotator_id: int) -> str:
    return f"annotator-{annotator_id}"


def _answer(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]
