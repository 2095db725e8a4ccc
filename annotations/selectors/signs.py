"""What people's newest answers say about whether they look at what they judge."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from django.db.models import Count
from django.db.models.functions import Length

from annotations.algorithms import adversaries
from annotations.algorithms.adversaries import Signal
from annotations.models import Assignment, Comparison, Item, Kind, Project, counted
from annotations.selectors.gold import GoldAnswer, gold_answers, wrong_on_gold

WINDOW = 20_000
"""Comparisons (and assignments, and answers to gold items) that are looked at, the newest."""
CHARACTERS_PER_WORD = 6
LEAST_RATED_BY_OTHERS = 20
"""Gold ratings by others, before they say how often somebody honest gives the known points."""
MOST_VOTERS = 12
"""Items that more people judged are no evidence for copying: too many would join by chance."""


@dataclass(frozen=True)
class _Row:
    """One comparison, as the detectors need it."""

    item: int
    person: int
    outcome: str
    label: str
    """What was said, the same for everybody who said the same."""
    longer: bool | None
    seconds: float | None
    active: float | None
    words: int


def signs(project: Project) -> tuple[list[Signal], list[Signal]]:
    """Return what every detector says about each person, and about every two."""
    rows, gold = list(_rows(project)), _newest_on_gold(project)
    pairs = [*_copiers(rows), *adversaries.gold_copiers(wrong_on_gold(gold))]
    return list(_signals(project, rows, gold)), pairs


def _rows(project: Project) -> Iterator[_Row]:
    """Yield the newest comparisons, oldest first; not those of the arena, nor gold ones."""
    newest = (
        Comparison.objects.filter(
            counted("annotation__", project.pk), annotation__item__project=project
        )
        .exclude(annotation__item__purpose__in=Item.ASIDE)
        .filter(annotation__adjudication__isnull=True)
        .annotate(left_length=Length("left__text"), right_length=Length("right__text"))
        .annotate(prompt_length=Length("annotation__item__prompt__text"))
        .order_by("-annotation_id")
        .values(
            "annotation__item_id",
            "annotation__annotator_id",
            "annotation__wall_ms",
            "annotation__active_ms",
            "left_id",
            "right_id",
            "outcome",
            "left_length",
            "right_length",
            "prompt_length",
        )[:WINDOW]
    )
    for row in reversed(list(newest)):
        yield _row(row)


def _row(row: Mapping[str, Any]) -> _Row:
    outcome = row["outcome"]
    is_sided = outcome in ("left", "right")
    left, right = row["left_length"], row["right_length"]
    label = str(row[f"{outcome}_id"]) if is_sided else outcome
    wall, active = row["annotation__wall_ms"], row["annotation__active_ms"]
    return _Row(
        item=row["annotation__item_id"],
        person=row["annotation__annotator_id"],
        outcome=outcome,
        label=label,
        longer=(left > right) == (outcome == "left") if is_sided and left != right else None,
        seconds=None if wall is None else wall / 1000,
        active=None if active is None else active / 1000,
        words=(left + right + row["prompt_length"]) // CHARACTERS_PER_WORD,
    )


def _newest_on_gold(project: Project) -> list[GoldAnswer]:
    """Return the newest answers to gold items, oldest first."""
    return sorted(gold_answers(project), key=lambda one: one.annotation_id)[-WINDOW:]


def _signals(
    project: Project, rows: Sequence[_Row], on_gold: Sequence[GoldAnswer]
) -> Iterator[Signal]:
    by_person: dict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        by_person[row.person].append(row)
    gold = gold_by_person(on_gold)
    agreed, shared = _agreement(rows)
    closed, skipped = _handed_out(project)
    worked = [(row.person, row.active) for row in rows if row.active is not None]
    workers = np.array([person for person, _ in worked])
    times = np.array([active for _, active in worked])
    longer = Counter(row.person for row in rows if row.longer)
    of_length = Counter(row.person for row in rows if row.longer is not None)
    for person in sorted(by_person.keys() | closed.keys()):
        own = by_person.get(person, [])
        side = {"left": 1, "right": -1}
        yield adversaries.one_sided(person, [side.get(row.outcome, 0) for row in own])
        rate = _rest(agreed, shared, person, unknown=0.0)
        right = [is_right for is_right, _ in gold[person]]
        honest = (
            fmean(chance for _, chance in gold[person]) if right else adversaries.HONEST_ON_GOLD
        )
        yield adversaries.random_clicks(
            person, right, agreed[person], shared[person], rate, honest=honest
        )
        timed = [(row.seconds, row.words) for row in own if row.seconds is not None]
        seconds = [took for took, _ in timed]
        yield adversaries.too_fast(person, seconds, [words for _, words in timed])
        yield adversaries.clockwork(person, seconds)
        lengths = [row.longer for row in own if row.longer is not None]
        yield adversaries.length_lover(person, lengths, _rest(longer, of_length, person))
        active = [row.active for row in own if row.active is not None]
        yield adversaries.idle(person, active, times[workers != person])
        yield adversaries.picky(
            person, skipped[person], closed[person], _rest(skipped, closed, person)
        )


def gold_by_person(on_gold: Sequence[GoldAnswer]) -> dict[int, list[tuple[bool, float]]]:
    """Return by person whether answers to gold items are right, and how often honest ones are.

    How hard ratings are to give as known depends on their scales, so they are held against those
    of everybody else, and count only once enough others have given some.
    """
    rated = [answer for answer in on_gold if answer.kind == Kind.RATING]
    given = Counter(answer.annotator_id for answer in rated)
    right = Counter(answer.annotator_id for answer in rated if answer.is_right)
    found: dict[int, list[tuple[bool, float]]] = defaultdict(list)
    for answer in on_gold:
        who, honest = answer.annotator_id, adversaries.HONEST_ON_GOLD
        if answer.kind == Kind.RATING:
            if given.total() - given[who] < LEAST_RATED_BY_OTHERS:
                continue
            honest = min(honest, _rest(right, given, who))
        found[who].append((answer.is_right, honest))
    return found


def _agreement(rows: Sequence[_Row]) -> tuple[Counter[int], Counter[int]]:
    """Return by person how many answers agree with one other person's, and how many have one."""
    by_item: dict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        by_item[row.item].append(row)
    agreed: Counter[int] = Counter()
    shared: Counter[int] = Counter()
    for said in by_item.values():
        if len(said) < 2:
            continue
        # Each is held against the next in turn: one other, so that no answer counts twice.
        for one, other in zip(said, [*said[1:], said[0]], strict=True):
            shared[one.person] += 1
            agreed[one.person] += one.label == other.label
    return agreed, shared


def _rest(hits: Counter[int], all_of: Counter[int], person: int, *, unknown: float = 1.0) -> float:
    """Return the share of hits among everybody but one person; `unknown` if there is nobody else.

    By default that is what nobody can exceed, so that who is alone does not stand out.
    """
    rest = all_of.total() - all_of[person]
    return (hits.total() - hits[person]) / rest if rest else unknown


def _handed_out(project: Project) -> tuple[Counter[int], Counter[int]]:
    """Return by person how many assignments are closed, and how many of them were skipped."""
    newest = Assignment.objects.filter(item__project=project, state__in=Assignment.CLOSED)
    ids = newest.exclude(item__purpose__in=Item.ASIDE).order_by("-id").values("id")[:WINDOW]
    chosen = Assignment.objects.filter(id__in=ids).order_by()
    closed: Counter[int] = Counter()
    skipped: Counter[int] = Counter()
    for person, state, count in chosen.values_list("annotator", "state").annotate(Count("id")):
        closed[person] += count
        if state == Assignment.State.SKIPPED:
            skipped[person] += count
    return closed, skipped


def _copiers(rows: Sequence[_Row]) -> list[Signal]:
    votes: dict[int, dict[int, str]] = defaultdict(dict)
    for row in rows:
        votes[row.item][row.person] = row.label
    few = {item: said for item, said in votes.items() if len(said) <= MOST_VOTERS}
    return adversaries.copiers(few)
