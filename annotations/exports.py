"""What training may read: typed rows, in the order of the annotations behind them.

Every row knows its annotation, its annotator (under a pseudonym), the guideline version that was
in force, and the split of its prompt. Superseded and retracted annotations are left out. Each
function holds a few thousand rows in memory at a time, however large the project is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from operator import itemgetter
from typing import Any, TypedDict

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from annotations.algorithms.preferences import (
    REWRITE_MARGIN,
    margin_for,
    pair_from_comparison,
    pair_from_rewrite,
)
from annotations.algorithms.rankings import ends_of_ranking, pairs_from_ranking
from annotations.models import (
    WRITTEN_KINDS,
    Annotation,
    Comparison,
    ConversationChoice,
    Item,
    Kind,
    Message,
    Prompt,
    RankedCompletion,
    RatingAnswer,
    Review,
    in_force,
)

CHUNK = 2000
Side = tuple[int, str]
"""A completion's id and text."""


class AnnotatedRow(TypedDict):
    """What somebody did about a prompt, and what they had read before."""

    split: str
    prompt_id: int
    annotation_id: int
    annotator: str
    guideline_version: int | None
    prompt: list[Message]


class DemonstrationRow(AnnotatedRow):
    """An ideal answer to a prompt: written, rewritten or put together by a person.

    Where a reviewer fixed the text, the row is the reviewer's, and `fixes` is what they fixed.
    """

    completion: list[Message]
    kind: str
    fixes: int | None


class PreferenceRow(AnnotatedRow):
    """Two answers to a prompt, one of which somebody preferred."""

    chosen: list[Message]
    rejected: list[Message]
    margin: float
    strength: str
    chosen_id: int
    rejected_id: int


class TieRow(PreferenceRow):
    """Two answers, neither of them better to somebody; which is "chosen" means nothing."""

    tie: bool


class JudgedRow(AnnotatedRow):
    """One answer to a prompt that somebody judged to be good (`label`) or bad."""

    completion: list[Message]
    completion_id: int
    label: bool


class RatingRow(AnnotatedRow):
    """What somebody answered about one completion: a point of each scale, 1 or 0 for each flag."""

    completion: list[Message]
    completion_id: int
    kind: str
    questions_version: int
    answers: dict[str, int]


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


@dataclass(frozen=True)
class ReviewCounts:
    """What reviews did to the texts that are there to be imitated."""

    written: int
    """Demonstrations, rewrites and assemblies in force, whatever was said about them."""
    reviewed: int
    rejected: int
    fixed: int
    """Replaced by the reviewer's text; not among the rejected."""


def demonstrations(project_id: int) -> Iterator[DemonstrationRow]:
    """Yield every text that a person wrote to be imitated, by annotation.

    What a reviewer rejected is left out (see `review_counts`); what one fixed is there as fixed.
    What nobody reviewed counts as it is.
    """
    return heapq.merge(
        _texts_as_written(project_id),
        _texts_as_fixed(project_id),
        key=lambda row: row["annotation_id"],
    )


def review_counts(project_id: int, kinds: Sequence[str] = WRITTEN_KINDS) -> ReviewCounts:
    """Return how many texts were written, reviewed, rejected and fixed."""
    written = Annotation.objects.filter(_for_training("", project_id), kind__in=kinds)
    rejected = Exists(_reviews(Review.Decision.REJECT))
    fixed = Exists(_reviews(Review.Decision.FIX))
    return ReviewCounts(
        written=written.count(),
        reviewed=written.filter(Exists(_reviews(*Review.Decision))).count(),
        rejected=written.filter(rejected).count(),
        fixed=written.filter(fixed & ~rejected).count(),
    )


def ratings(project_id: int) -> Iterator[RatingRow]:
    """Yield what was answered about every rated completion, by annotation, then by completion.

    Ratings are no preference pairs; `annotations.algorithms.preferences` says why.
    """
    rows = (
        RatingAnswer.objects.filter(_for_training("rating__annotation__", project_id))
        .order_by("rating_id", "completion_id", "id")
        .values(
            *_source("rating__annotation__"),
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
            "annotator": _pseudonym(row["rating__annotation__annotator_id"]),
            "guideline_version": row["rating__annotation__guideline_version__version"],
            "prompt": row["rating__annotation__item__prompt__messages"],
            "completion": _answer(row["completion__text"]),
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
        _pairs_of_rewrites(project_id),
        _pairs_of_fixed_rewrites(project_id),
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
        _pairs_of_rewrites(project_id),
        _pairs_of_fixed_rewrites(project_id),
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
    compared = _outcomes(Comparison.objects.filter(_for_training("annotation__", project_id)))
    chosen = _outcomes(
        ConversationChoice.objects.filter(_for_training("conversation__annotation__", project_id))
    )
    sizes = _tier_sizes(project_id)
    annotators = (
        Annotation.objects.filter(
            _for_training("", project_id),
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


def annotators(project_id: int) -> list[tuple[str, int]]:
    """Return everyone whose annotations are in force, with how many those are, most first."""
    counted = (
        Annotation.objects.filter(_current("", project_id))
        .values_list("annotator_id")
        .annotate(count=Count("id"))
        .order_by("-count", "annotator_id")
    )
    return [(_pseudonym(annotator), count) for annotator, count in counted]


def _texts_as_written(project_id: int) -> Iterator[DemonstrationRow]:
    kept = ~Exists(_reviews(Review.Decision.REJECT, Review.Decision.FIX))
    rows = (
        Annotation.objects.filter(_for_training("", project_id), kept, kind__in=WRITTEN_KINDS)
        .order_by("id")
        .values(
            *_source(""), "kind", *(f"{kind.value}__completion__text" for kind in WRITTEN_KINDS)
        )
    )
    for row in rows.iterator(chunk_size=CHUNK):
        text = row[f"{row['kind']}__completion__text"]
        if text is not None:
            yield _demonstration(row, text, kind=row["kind"], fixes=None)


def _texts_as_fixed(project_id: int) -> Iterator[DemonstrationRow]:
    rows = _fixes(project_id).values(
        *_source("annotation__"), "subject_id", "subject__kind", "completion__text"
    )
    for row in rows.iterator(chunk_size=CHUNK):
        of_review = {name.removeprefix("annotation__"): value for name, value in row.items()}
        yield _demonstration(
            of_review,
            row["completion__text"],
            kind=row["subject__kind"],
            fixes=row["subject_id"],
        )


def _demonstration(
    row: dict[str, Any], text: str, *, kind: str, fixes: int | None
) -> DemonstrationRow:
    return {
        "split": row["item__prompt__split"],
        "prompt_id": row["item__prompt_id"],
        "annotation_id": row["id"],
        "annotator": _pseudonym(row["annotator_id"]),
        "guideline_version": row["guideline_version__version"],
        "prompt": row["item__prompt__messages"],
        "completion": _answer(text),
        "kind": kind,
        "fixes": fixes,
    }


def _fixes(project_id: int) -> QuerySet[Review]:
    """Return the fixes that are in force, of what is in force: the last one of each text."""
    fixed = Review.objects.filter(
        _current("annotation__", project_id),
        _for_training("subject__", project_id),
        decision=Review.Decision.FIX,
    )
    later = _reviews(Review.Decision.FIX, subject="subject_id").filter(
        annotation_id__gt=OuterRef("annotation_id")
    )
    rejected = _reviews(Review.Decision.REJECT, subject="subject_id")
    return fixed.filter(~Exists(later), ~Exists(rejected)).order_by("annotation_id")


def _reviews(*decisions: str, subject: str = "pk") -> QuerySet[Review]:
    """Return the reviews in force of the annotation that an outer query is about."""
    return Review.objects.filter(
        in_force("annotation__"),
        subject=OuterRef(subject),
        decision__in=decisions,
    )


def _pairs_of_rewrites(project_id: int) -> Iterator[PreferenceRow]:
    kept = ~Exists(_reviews(Review.Decision.REJECT, Review.Decision.FIX))
    rows = (
        Annotation.objects.filter(
            _for_training("", project_id), kept, kind=Kind.REWRITE, rewrite__isnull=False
        )
        .order_by("id")
        .values(*_source(""), *_rewritten("rewrite__"), *_rewritten_to("rewrite__"))
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield _rewrite_pair(row, "", "rewrite__", "rewrite__")


def _pairs_of_fixed_rewrites(project_id: int) -> Iterator[PreferenceRow]:
    fixes = _fixes(project_id).filter(subject__kind=Kind.REWRITE)
    rows = fixes.values(
        *_source("annotation__"), *_rewritten("subject__rewrite__"), *_rewritten_to("")
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield _rewrite_pair(row, "annotation__", "subject__rewrite__", "")


def _rewritten(path: str) -> list[str]:
    return [f"{path}original_id", f"{path}original__text"]


def _rewritten_to(path: str) -> list[str]:
    return [f"{path}completion_id", f"{path}completion__text"]


def _rewrite_pair(row: dict[str, Any], source: str, original: str, edited: str) -> PreferenceRow:
    chosen, rejected = pair_from_rewrite(
        (row[f"{original}original_id"], row[f"{original}original__text"]),
        (row[f"{edited}completion_id"], row[f"{edited}completion__text"]),
    )
    pair = _preference(row, source, chosen, rejected, strength="")
    return {**pair, "margin": REWRITE_MARGIN}


def _pairs_of_comparisons(project_id: int, *, ties: bool = False) -> Iterator[PreferenceRow]:
    for row, left, right in _compared(project_id):
        if pair := _pair_of(left, right, row["outcome"], ties=ties):
            yield _preference(row, "annotation__", *pair, strength=row["strength"])


def _both_bad_compared(project_id: int) -> Iterator[JudgedRow]:
    for row, *sides in _compared(project_id, outcome=Comparison.Outcome.BOTH_BAD):
        for side in sides:
            yield _judged(row, "annotation__", side, label=False)


def _compared(project_id: int, **wanted: Any) -> Iterator[tuple[dict[str, Any], Side, Side]]:
    """Yield each comparison with its left and its right completion."""
    rows = (
        Comparison.objects.filter(_for_training("annotation__", project_id), **wanted)
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
        yield row, (row["left_id"], row["left__text"]), (row["right_id"], row["right__text"])


OF_CONVERSATION = "conversation__annotation__"


def _pairs_of_conversations(project_id: int, *, ties: bool = False) -> Iterator[PreferenceRow]:
    """Yield a pair for each choice (or each tie), on what had been said when it was made."""
    for row, left, right in _choices(project_id):
        if pair := _pair_of(left, right, row["outcome"], ties=ties):
            yield _preference(row, OF_CONVERSATION, *pair, strength=row["strength"])


def _both_bad_in_conversations(project_id: int) -> Iterator[JudgedRow]:
    for row, *sides in _choices(project_id, outcome=Comparison.Outcome.BOTH_BAD):
        for side in sides:
            yield _judged(row, OF_CONVERSATION, side, label=False)


def _choices(project_id: int, **wanted: Any) -> Iterator[tuple[dict[str, Any], Side, Side]]:
    """Yield each choice in a conversation with its left and its right reply."""
    source = OF_CONVERSATION
    rows = (
        ConversationChoice.objects.filter(_for_training(source, project_id), **wanted)
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
            yield _preference(row, "ranking__annotation__", chosen, rejected, strength="")


def _ends_of_rankings(project_id: int) -> Iterator[JudgedRow]:
    for row, tiers in _ranked(project_id):
        good, bad = ends_of_ranking(tiers)
        for side in [*good, *bad]:
            yield _judged(row, "ranking__annotation__", side, label=side in good)


def _ranked(project_id: int) -> Iterator[tuple[dict[str, Any], list[list[Side]]]]:
    """Yield each ranking with its tiers, best first."""
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
        yield entries[0], tiers


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
        "annotator": _pseudonym(row[f"{path}annotator_id"]),
        "guideline_version": row[f"{path}guideline_version__version"],
        "prompt": row[f"{path}item__prompt__messages"],
        "completion": _answer(side[1]),
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
    return in_force(path) & Q(**{f"{path}item__project_id": project_id})


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
