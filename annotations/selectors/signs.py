"""What people's newest answers say about whether they look at what they judge.

Whatever somebody does is held against what others do with work of the same sort.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from django.db.models import Count, Model
from django.db.models.functions import Length

from annotations.algorithms import adversaries
from annotations.algorithms.adversaries import Signal
from annotations.algorithms.gold import share_rated_right
from annotations.algorithms.rankings import ends_of_ranking
from annotations.models import (
    Assembly,
    Assignment,
    Comparison,
    Demonstration,
    Item,
    Kind,
    Project,
    RankedCompletion,
    Ranking,
    Rating,
    RatingAnswer,
    Review,
    Rewrite,
    counted,
)
from annotations.selectors.gold import (
    GoldAnswer,
    gold_answers,
    points_of,
    tiers_of,
    wrong_on_gold,
)
from annotations.selectors.lengths import lengths_of
from annotations.selectors.peers import pairs_of, share_ordered_alike

WINDOW = 20_000
"""Comparisons (and assignments, and answers to gold items) that are looked at, the newest."""
WINDOW_OF_OTHERS = 5_000
"""The same of every other kind, whose answers have more parts."""
CHARACTERS_PER_WORD = 6
LEAST_RATED_BY_OTHERS = 20
"""Gold ratings by others, before they say how often somebody honest gives the known points."""
MOST_VOTERS = 12
"""Items that more people judged are no evidence for copying: too many would join by chance."""
SIDES = "the left side", "the right side"
PLACES = "what was shown first", "what was shown last"
OTHERS: dict[str, type[Model]] = {
    Kind.RANKING: Ranking,
    Kind.RATING: Rating,
    Kind.DEMONSTRATION: Demonstration,
    Kind.REWRITE: Rewrite,
    Kind.ASSEMBLY: Assembly,
    Kind.REVIEW: Review,
}

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Opinion:
    """What somebody said that others can say, too."""

    sort: Hashable
    """What was asked: only answers to the same question are held against each other."""
    said: Mapping[Any, Any]
    """What was chosen; of every two completions of a ranking; the points of a rating."""
    questions: Sequence[Mapping[str, Any]] = ()
    """Those of a rating."""
    side: int = 0
    """1 where what was shown first (on the left) won, -1 where it lost, 0 where neither did."""
    longer: bool | None = None

    def alike(self, other: _Opinion) -> float:
        """Return how far another one says the same, from 0 to 1."""
        if self.questions:
            return share_rated_right(other.said, self.said, self.questions)
        return share_ordered_alike(self.said, other.said)

    def part(self, item: int) -> tuple[Hashable, Hashable]:
        """Return one part of what was said, the same one of everybody who judged an item.

        One, because the parts of an answer are not independent.
        """
        parts = self.said
        if self.questions:
            parts = {(one, name): by[name] for one, by in self.said.items() for name in by}
        chosen = sorted(parts)[item % len(parts)]
        return chosen, parts[chosen]


@dataclass(frozen=True)
class _Row:
    """One answer, as the detectors need it."""

    item: int
    person: int
    kind: str
    seconds: float | None
    active: float | None
    words: int
    """Of everything that is to be read."""
    written: int
    """Words of a text that was begun from nothing; 0 of everything else."""
    opinion: _Opinion | None


class _Tally:
    """How often something is so with people's answers, by the sort of these."""

    def __init__(self) -> None:
        self.hits: dict[tuple[Hashable, int], float] = defaultdict(float)
        self.given: Counter[tuple[Hashable, int]] = Counter()
        self.all_hits: dict[Hashable, float] = defaultdict(float)
        self.all_given: Counter[Hashable] = Counter()

    def add(self, sort: Hashable, person: int, hits: float, of: int = 1) -> None:
        self.hits[sort, person] += hits
        self.given[sort, person] += of
        self.all_hits[sort] += hits
        self.all_given[sort] += of

    def own(self, person: int) -> tuple[float, int]:
        """Return how many of one person's answers are so, and how many these are."""
        mine = [(sort, person) for sort in self.all_given]
        return sum(self.hits.get(one, 0) for one in mine), sum(self.given[one] for one in mine)

    def rest(self, person: int, *, unknown: float = 1.0) -> float:
        """Return how often it is so with everybody else, weighted by what the person does.

        It is `unknown` where there is nobody else: by default what nobody can exceed, so that who
        is alone does not stand out.
        """
        expected, n = 0.0, 0
        for sort, given in self.all_given.items():
            own = self.given[sort, person]
            hits = self.all_hits[sort] - self.hits.get((sort, person), 0)
            expected += own * (hits / (given - own) if given > own else unknown)
            n += own
        return min(1.0, expected / n) if n else unknown


def signs(project: Project) -> tuple[list[Signal], list[Signal]]:
    """Return what every detector says about each person, and about every two."""
    rows, gold = [*_compared(project), *_of_other_kinds(project)], _newest_on_gold(project)
    pairs = [*_copiers(rows), *adversaries.gold_copiers(wrong_on_gold(gold))]
    return list(_signals(project, rows, gold)), pairs


def _newest(
    model: type[Model], project: Project, most: int, *fields: str, **conditions: str
) -> Rows:
    """Return the newest answers, oldest first; not those of the arena, nor gold ones."""
    newest = (
        model._default_manager.filter(
            counted("annotation__", project.pk), annotation__item__project=project, **conditions
        )
        .exclude(annotation__item__purpose__in=Item.ASIDE)
        .filter(annotation__adjudication__isnull=True)
        .annotate(prompt_length=Length("annotation__item__prompt__text"))
        .order_by("-annotation_id")
        .values(
            "annotation_id",
            "annotation__item_id",
            "annotation__annotator_id",
            "annotation__kind",
            "annotation__wall_ms",
            "annotation__active_ms",
            "prompt_length",
            *fields,
        )[:most]
    )
    return list(newest)[::-1]


def _row(row: Mapping[str, Any], characters: int, opinion: _Opinion | None) -> _Row:
    wall, active = row["annotation__wall_ms"], row["annotation__active_ms"]
    return _Row(
        item=row["annotation__item_id"],
        person=row["annotation__annotator_id"],
        kind=row["annotation__kind"],
        seconds=None if wall is None else wall / 1000,
        active=None if active is None else active / 1000,
        words=(row["prompt_length"] + characters) // CHARACTERS_PER_WORD,
        written=len((row.get("completion__text") or "").split()),
        opinion=opinion,
    )


def _compared(project: Project) -> Iterator[_Row]:
    rows = _newest(Comparison, project, WINDOW, "left_id", "right_id", "outcome")
    lengths = lengths_of(row[side] for row in rows for side in ("left_id", "right_id"))
    for row in rows:
        outcome = row["outcome"]
        is_sided = outcome in ("left", "right")
        left, right = lengths[row["left_id"]], lengths[row["right_id"]]
        opinion = _Opinion(
            sort=Kind.COMPARISON,
            said={"": str(row[f"{outcome}_id"]) if is_sided else outcome},
            side={"left": 1, "right": -1}.get(outcome, 0),
            longer=(left > right) == (outcome == "left") if is_sided and left != right else None,
        )
        yield _row(row, left + right, opinion)


def _of_other_kinds(project: Project) -> Iterator[_Row]:
    for kind, model in OTHERS.items():
        fields = ["annotation__shown_order", "annotation__assignment_id"]
        fields += {Kind.RATING: ["scheme_id"], Kind.DEMONSTRATION: ["completion__text"]}.get(
            Kind(kind), []
        )
        # A rating beside a ranking is part of that answer.
        rows = _newest(model, project, WINDOW_OF_OTHERS, *fields, annotation__kind=kind)
        lengths = lengths_of(one for row in rows for one in row["annotation__shown_order"])
        opinions: dict[int, _Opinion] = {}
        if kind == Kind.RANKING:
            opinions = dict(_orders(rows, lengths))
        elif kind == Kind.RATING:
            opinions = dict(_points(project, rows))
        for row in rows:
            shown = sum(lengths.get(one, 0) for one in row["annotation__shown_order"])
            yield _row(row, shown, opinions.get(row["annotation_id"]))


def _orders(rows: Rows, lengths: Mapping[int, int]) -> Iterator[tuple[int, _Opinion]]:
    by_id = {row["annotation_id"]: row for row in rows}
    for ranking, tiers in tiers_of(RankedCompletion.objects.filter(ranking__in=list(by_id))):
        if not (pairs := pairs_of(tiers)):
            continue
        best, worst = ends_of_ranking(tiers)
        side, longer = 0, None
        if len(best) == len(worst) == 1:
            good, bad = lengths.get(best[0], 0), lengths.get(worst[0], 0)
            longer = good > bad if good != bad else None
            # What was imported was shown elsewhere, nobody knows in which order.
            row = by_id[ranking]
            order = row["annotation__shown_order"] if row["annotation__assignment_id"] else []
            if best[0] in order and worst[0] in order:
                side = 1 if order.index(best[0]) < order.index(worst[0]) else -1
        yield ranking, _Opinion(Kind.RANKING, pairs, side=side, longer=longer)


def _points(project: Project, rows: Rows) -> Iterator[tuple[int, _Opinion]]:
    schemes = {row["annotation_id"]: row["scheme_id"] for row in rows}
    questions = dict(project.rating_schemes.values_list("id", "questions"))
    for rating, points in points_of(RatingAnswer.objects.filter(rating__in=list(schemes))):
        scheme = schemes[rating]
        yield rating, _Opinion((Kind.RATING, scheme), points, questions[scheme])


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
    agreement, longer, skips = _agreement(rows), _longer(rows), _skips(project)
    marks = _slow_marks(rows)
    for person in sorted(by_person.keys() | {person for _, person in skips.given}):
        own = by_person.get(person, [])
        opinions = [row.opinion for row in own if row.opinion]
        are_compared = all(one.sort == Kind.COMPARISON for one in opinions)
        names = SIDES if are_compared else PLACES
        yield adversaries.one_sided(person, [one.side for one in opinions], names)
        agreed, shared = agreement.own(person)
        rate = agreement.rest(person, unknown=0.0)
        right = [is_right for is_right, _ in gold[person]]
        honest = (
            fmean(chance for _, chance in gold[person]) if right else adversaries.HONEST_ON_GOLD
        )
        yield adversaries.random_clicks(person, right, agreed, shared, rate, honest=honest)
        timed = [row for row in own if row.seconds is not None]
        words = [row.words for row in timed]
        yield adversaries.too_fast(person, [row.seconds or 0 for row in timed], words)
        texts = [row for row in timed if row.written]
        written = [row.written for row in texts]
        yield adversaries.untyped(person, [row.seconds or 0 for row in texts], written)
        # Of what the person does most: what takes people longer would look like irregular times.
        by_kind = Counter(row.kind for row in timed)
        most = max(by_kind, key=lambda kind: by_kind[kind], default="")
        times = [row.seconds or 0 for row in timed if row.kind == most]
        yield adversaries.clockwork(person, times)
        lengths = [one.longer for one in opinions if one.longer is not None]
        yield adversaries.length_lover(person, lengths, longer.rest(person))
        slow = [(row.active, marks.get((row.kind, person))) for row in own]
        known = [(took, mark) for took, mark in slow if took is not None and mark is not None]
        yield adversaries.idle(person, [took for took, _ in known], [mark for _, mark in known])
        skipped, closed = skips.own(person)
        yield adversaries.picky(person, round(skipped), closed, skips.rest(person))


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
            others = given.total() - given[who]
            if others < LEAST_RATED_BY_OTHERS:
                continue
            honest = min(honest, (right.total() - right[who]) / others)
        found[who].append((answer.is_right, honest))
    return found


def _agreement(rows: Sequence[_Row]) -> _Tally:
    """Return how many answers agree with one other person's, of those that have one."""
    by_item: dict[tuple[int, Hashable], list[tuple[int, _Opinion]]] = defaultdict(list)
    for row in rows:
        if row.opinion:
            by_item[row.item, row.opinion.sort].append((row.person, row.opinion))
    found = _Tally()
    for (_, sort), said in by_item.items():
        if len(said) < 2:
            continue
        # Each is held against the next in turn: one other, so that no answer counts twice.
        for (person, one), (_, other) in zip(said, [*said[1:], said[0]], strict=True):
            found.add(sort, person, one.alike(other))
    return found


def _longer(rows: Sequence[_Row]) -> _Tally:
    """Return how often the longer text was found better, of rankings the longer of both ends."""
    found = _Tally()
    for row in rows:
        if row.opinion and row.opinion.longer is not None:
            found.add(row.opinion.sort, row.person, row.opinion.longer)
    return found


def _slow_marks(rows: Sequence[_Row]) -> dict[tuple[str, int], float]:
    """Return by kind and person what nine in ten answers of others take less than."""
    worked: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in rows:
        if row.active is not None:
            worked[row.kind].append((row.person, row.active))
    found = {}
    for kind, times in worked.items():
        workers, active = (np.array(column) for column in zip(*times, strict=True))
        for person in set(workers.tolist()):
            mark = adversaries.slow_mark(active[workers != person])
            if mark is not None:
                found[kind, person] = mark
    return found


def _skips(project: Project) -> _Tally:
    """Return how many assignments that are closed were skipped, by their kind."""
    newest = Assignment.objects.filter(item__project=project, state__in=Assignment.CLOSED)
    ids = newest.exclude(item__purpose__in=Item.ASIDE).order_by("-id").values("id")[:WINDOW]
    chosen = Assignment.objects.filter(id__in=ids).order_by()
    counts = chosen.values_list("item__kind", "annotator", "state").annotate(Count("id"))
    found = _Tally()
    for kind, person, state, count in counts:
        found.add(kind, person, count * (state == Assignment.State.SKIPPED), count)
    return found


def _copiers(rows: Sequence[_Row]) -> list[Signal]:
    votes: dict[int, dict[int, Hashable]] = defaultdict(dict)
    sorts: dict[int, Hashable] = {}
    for row in rows:
        if row.opinion:
            votes[row.item][row.person] = row.opinion.part(row.item)
            sorts[row.item] = row.opinion.sort
    few = {item: said for item, said in votes.items() if len(said) <= MOST_VOTERS}
    return adversaries.copiers(few, sorts)
