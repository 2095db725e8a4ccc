"""What people found better, good or bad: pairs, ties, judged completions, ratings."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, groupby
from operator import itemgetter
from typing import Any

from django.db.models import Count, Q, QuerySet

from annotations.algorithms.preferences import (
    pair_from_comparison,
)
from annotations.algorithms.rankings import ends_of_ranking, pairs_from_ranking
from annotations.exports.rows import (
    CHUNK,
    JudgedRow,
    PreferenceRow,
    RatingRow,
    Side,
    TieRow,
    as_messages,
    for_training,
    preference_row,
    pseudonym,
    source_fields,
)
from annotations.exports.texts import pairs_of_fixed_rewrites, pairs_of_rewrites, review_counts
from annotations.models import (
    Annotation,
    Comparison,
    ConversationChoice,
    Kind,
    RankedCompletion,
    RatingAnswer,
)


@dataclass(frozen=True)
class PreferenceCounts:
    """What a project's comparisons and rankings come to, ties and both-bads included."""

    comparisons: int
    choices: int
    """Made in conversations, each between the two replies to one message."""
    ties: int
    """Of the comparisons and the choices."""
    both_bad: int
    rankings: int
    ranking_pairs: int
    """Pairs that the rankings would give if nothing were tied: C(K, 2) each."""
    ranking_ties: int
    ranking_ends: int
    """Completions that were ranked first or last, unless everything was tied."""
    ranked_between: int
    rewrites: int
    rejected_rewrites: int
    annotators: int

    @property
    def pairs(self) -> int:
        """Return how many rows `preferences` yields."""
        decided = self.comparisons + self.choices - self.ties - self.both_bad
        rewrites = self.rewrites - self.rejected_rewrites
        return decided + self.ranking_pairs - self.ranking_ties + rewrites

    @property
    def judged(self) -> int:
        """Return how many rows `judgements` yields."""
        compared = self.comparisons + self.choices - self.ties
        return 2 * (compared + self.rewrites - self.rejected_rewrites) + self.ranking_ends


def ratings(project_id: int) -> Iterator[RatingRow]:
    """Yield what was answered about every rated completion, by annotation, then by completion.

    Ratings are no preference pairs; `annotations.algorithms.preferences` says why.
    """
    rows = (
        RatingAnswer.objects.filter(for_training("rating__annotation__", project_id))
        .order_by("rating_id", "completion_id", "id")
        .values(
            *source_fields("rating__annotation__"),
            "rating__annotation__kind",
            "rating__scheme__version",
            "completion_id",
            "completion__text",
            "question",
            "value",
        )
    )
    key = itemgetter("rating__annotation__id", "completion_id")
    for _, group in groupby(rows.iterator(chunk_size=CHUNK), key=key):
        answers = list(group)
        row = answers[0]
        yield {
            "split": row["rating__annotation__item__prompt__split"],
            "prompt_id": row["rating__annotation__item__prompt_id"],
            "annotation_id": row["rating__annotation__id"],
            "annotator": pseudonym(row["rating__annotation__annotator_id"]),
            "guideline_version": row["rating__annotation__guideline_version__version"],
            "prompt": row["rating__annotation__item__prompt__messages"],
            "completion": as_messages(row["completion__text"]),
            "completion_id": row["completion_id"],
            "kind": row["rating__annotation__kind"],
            "questions_version": row["rating__scheme__version"],
            "answers": {answer["question"]: answer["value"] for answer in answers},
        }


def preferences(project_id: int) -> Iterator[PreferenceRow]:
    """Yield every preference pair for training, by annotation, then by chosen and rejected.

    Comparisons, rankings, rewrites and the choices in a conversation give pairs; ties, both-bads
    and rejected rewrites give none (see `preference_counts`).
    """
    return heapq.merge(
        _pairs_of_comparisons(project_id),
        _pairs_of_rankings(project_id),
        pairs_of_rewrites(project_id),
        pairs_of_fixed_rewrites(project_id),
        _pairs_of_conversations(project_id),
        key=lambda row: row["annotation_id"],
    )


def ties(project_id: int) -> Iterator[TieRow]:
    """Yield every tie for training, by annotation: two answers side by side and neither better.

    Comparisons, the choices in a conversation and the tiers of rankings have them. "Both bad" is
    none: it says something about both and nothing about the two beside each other.
    """
    pairs = heapq.merge(
        _pairs_of_comparisons(project_id, ties=True),
        _pairs_of_rankings(project_id, ties=True),
        _pairs_of_conversations(project_id, ties=True),
        key=lambda row: row["annotation_id"],
    )
    for pair in pairs:
        yield {**pair, "tie": True}


def judgements(project_id: int) -> Iterator[JudgedRow]:
    """Yield every completion that was judged good or bad, by annotation.

    What was chosen and what a rewrite made is good; what was rejected or rewritten is bad. Two
    that are both bad are two bad ones. Of a ranking the first tier is good and the last is bad.
    Ties say neither.
    """
    of_pairs = heapq.merge(
        _pairs_of_comparisons(project_id),
        pairs_of_rewrites(project_id),
        pairs_of_fixed_rewrites(project_id),
        _pairs_of_conversations(project_id),
        key=lambda row: row["annotation_id"],
    )
    return heapq.merge(
        (judged for pair in of_pairs for judged in _both_sides(pair)),
        _both_bad_compared(project_id),
        _both_bad_in_conversations(project_id),
        _ends_of_rankings(project_id),
        key=lambda row: row["annotation_id"],
    )


def preference_counts(project_id: int) -> PreferenceCounts:
    """Return how many annotations stand behind the preference pairs, and how many gave none."""
    compared = _outcomes(Comparison.objects.filter(for_training("annotation__", project_id)))
    chosen = _outcomes(
        ConversationChoice.objects.filter(for_training("conversation__annotation__", project_id))
    )
    sizes = _tier_sizes(project_id)
    annotators = (
        Annotation.objects.filter(
            for_training("", project_id),
            kind__in=[Kind.COMPARISON, Kind.RANKING, Kind.REWRITE, Kind.CONVERSATION],
        )
        .values("annotator")
        .distinct()
        .count()
    )
    reviewed = review_counts(project_id, [Kind.REWRITE])
    return PreferenceCounts(
        comparisons=compared["all"],
        choices=chosen["all"],
        ties=compared["ties"] + chosen["ties"],
        both_bad=compared["both_bad"] + chosen["both_bad"],
        rankings=len(sizes),
        ranking_pairs=sum(_choose_two(sum(tiers)) for tiers in sizes.values()),
        ranking_ties=sum(_choose_two(tier) for tiers in sizes.values() for tier in tiers),
        ranking_ends=sum(tiers[0] + tiers[-1] for tiers in sizes.values() if len(tiers) > 1),
        ranked_between=sum(sum(tiers[1:-1]) for tiers in sizes.values()),
        rewrites=reviewed.written,
        rejected_rewrites=reviewed.rejected,
        annotators=annotators,
    )


def _pairs_of_comparisons(project_id: int, *, ties: bool = False) -> Iterator[PreferenceRow]:
    for row, left, right in _compared(project_id):
        if pair := _pair_of(left, right, row["outcome"], ties=ties):
            yield preference_row(row, "annotation__", *pair, strength=row["strength"])


def _both_bad_compared(project_id: int) -> Iterator[JudgedRow]:
    for row, *sides in _compared(project_id, outcome=Comparison.Outcome.BOTH_BAD):
        for side in sides:
            yield _judged(row, "annotation__", side, label=False)


def _compared(project_id: int, **wanted: Any) -> Iterator[tuple[dict[str, Any], Side, Side]]:
    """Yield each comparison with its left and its right completion."""
    rows = (
        Comparison.objects.filter(for_training("annotation__", project_id), **wanted)
        .order_by("annotation_id")
        .values(
            *source_fields("annotation__"),
            "outcome",
            "strength",
            "left_id",
            "left__text",
            "right_id",
            "right__text",
        )
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield row, (row["left_id"], row["left__text"]), (row["right_id"], row["right__text"])


OF_CONVERSATION = "conversation__annotation__"


def _pairs_of_conversations(project_id: int, *, ties: bool = False) -> Iterator[PreferenceRow]:
    """Yield a pair for each choice (or each tie), on what had been said when it was made."""
    for row, left, right in _choices(project_id):
        if pair := _pair_of(left, right, row["outcome"], ties=ties):
            yield preference_row(row, OF_CONVERSATION, *pair, strength=row["strength"])


def _both_bad_in_conversations(project_id: int) -> Iterator[JudgedRow]:
    for row, *sides in _choices(project_id, outcome=Comparison.Outcome.BOTH_BAD):
        for side in sides:
            yield _judged(row, OF_CONVERSATION, side, label=False)


def _choices(project_id: int, **wanted: Any) -> Iterator[tuple[dict[str, Any], Side, Side]]:
    """Yield each choice in a conversation with its left and its right reply."""
    source = OF_CONVERSATION
    rows = (
        ConversationChoice.objects.filter(for_training(source, project_id), **wanted)
        .order_by("conversation_id", "position")
        .values(
            f"{source}id",
            f"{source}annotator_id",
            f"{source}guideline_version__version",
            "prompt_id",
            "prompt__split",
            "prompt__messages",
            "outcome",
            "strength",
            "left_id",
            "left__text",
            "right_id",
            "right__text",
        )
    )
    for row in rows.iterator(chunk_size=CHUNK):
        of_prompt = {f"{source}item__{name}": row[name] for name in row if "prompt" in name}
        left, right = (row["left_id"], row["left__text"]), (row["right_id"], row["right__text"])
        yield {**row, **of_prompt}, left, right


def _pair_of(left: Side, right: Side, outcome: str, *, ties: bool) -> tuple[Side, Side] | None:
    """Return the better and the worse of two, or where `ties` are asked for the two of a tie."""
    if ties:
        return (left, right) if outcome == Comparison.Outcome.TIE else None
    return pair_from_comparison(left, right, outcome)


def _pairs_of_rankings(project_id: int, *, ties: bool = False) -> Iterator[PreferenceRow]:
    for row, tiers in _ranked(project_id):
        tied = (pair for tier in tiers for pair in combinations(tier, 2))
        for chosen, rejected in tied if ties else pairs_from_ranking(tiers):
            yield preference_row(row, "ranking__annotation__", chosen, rejected, strength="")


def _ends_of_rankings(project_id: int) -> Iterator[JudgedRow]:
    for row, tiers in _ranked(project_id):
        good, bad = ends_of_ranking(tiers)
        for side in [*good, *bad]:
            yield _judged(row, "ranking__annotation__", side, label=side in good)


def _ranked(project_id: int) -> Iterator[tuple[dict[str, Any], list[list[Side]]]]:
    """Yield each ranking with its tiers, best first."""
    rows = (
        RankedCompletion.objects.filter(for_training("ranking__annotation__", project_id))
        .order_by("ranking_id", "tier", "completion_id")
        .values(
            *source_fields("ranking__annotation__"),
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
        yield entries[0], tiers


def _both_sides(pair: PreferenceRow) -> Iterator[JudgedRow]:
    """Yield what was chosen as good and what was rejected as bad."""
    for label in (True, False):
        yield {
            "split": pair["split"],
            "prompt_id": pair["prompt_id"],
            "annotation_id": pair["annotation_id"],
            "annotator": pair["annotator"],
            "guideline_version": pair["guideline_version"],
            "prompt": pair["prompt"],
            "completion": pair["chosen"] if label else pair["rejected"],
            "completion_id": pair["chosen_id"] if label else pair["rejected_id"],
            "label": label,
        }


def _judged(row: dict[str, Any], path: str, side: Side, *, label: bool) -> JudgedRow:
    return {
        "split": row[f"{path}item__prompt__split"],
        "prompt_id": row[f"{path}item__prompt_id"],
        "annotation_id": row[f"{path}id"],
        "annotator": pseudonym(row[f"{path}annotator_id"]),
        "guideline_version": row[f"{path}guideline_version__version"],
        "prompt": row[f"{path}item__prompt__messages"],
        "completion": as_messages(side[1]),
        "completion_id": side[0],
        "label": label,
    }


def _outcomes(judged: QuerySet[Any]) -> dict[str, int]:
    """Return how many judgements there are, and how many of them found nothing better."""
    return judged.aggregate(
        all=Count("pk"),
        ties=Count("pk", filter=Q(outcome=Comparison.Outcome.TIE)),
        both_bad=Count("pk", filter=Q(outcome=Comparison.Outcome.BOTH_BAD)),
    )


def _tier_sizes(project_id: int) -> dict[int, list[int]]:
    """Return the sizes of the tiers of every ranking."""
    sizes: dict[int, list[int]] = {}
    tiers = (
        RankedCompletion.objects.filter(for_training("ranking__annotation__", project_id))
        .order_by("ranking_id", "tier")
        .values_list("ranking_id", "tier")
        .annotate(size=Count("id"))
    )
    for ranking_id, _, size in tiers.iterator(chunk_size=CHUNK):
        sizes.setdefault(ranking_id, []).append(size)
    return sizes


def _choose_two(count: int) -> int:
    return count * (count - 1) // 2
