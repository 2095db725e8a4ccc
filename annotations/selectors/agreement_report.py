"""What a report on agreement says, reckoned at once from all that was judged."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

import numpy as np
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils import timezone
from numpy.typing import NDArray

from annotations.algorithms import dawid_skene
from annotations.algorithms.crowd import TIE, Crowd, Person, Votes, fit
from annotations.algorithms.reliability import (
    UNKNOWN,
    Estimate,
    Table,
    ceiling,
    cohen,
    couples,
    tau_b,
)
from annotations.models import (
    GuidelineVersion,
    Item,
    Kind,
    Project,
)
from annotations.selectors.judged import (
    CHOICES,
    LOWER,
    ROW,
    UNIX_DAY,
    Judged,
    Rows,
    judged_by_people,
)

Numbers = NDArray[np.int64]

SEED = 20
MOST_WEEKS = 26
MOST_TAGS = 20
MOST_PAIRS = 20
MOST_DOUBTED = 20
FEWEST_SHARED = 5
"""Things that two people both judged, from which on they are held against each other."""
MOST_TOGETHER = 12
JUDGED_KINDS = (Kind.COMPARISON, Kind.RANKING, Kind.RATING, Kind.REVIEW)
CHOICE_KINDS = (Kind.COMPARISON, Kind.RANKING)


class Newest(NamedTuple):
    """What a report has to be held against."""

    annotation: int
    retractions: int
    recalls: int
    """How often something was recalled, or a recall lifted."""
    people: tuple[int, ...] | None
    """Who is in the group whose judgements they are; None: everybody."""


@dataclass(frozen=True)
class Line:
    """How far people agree on one sort of judgement."""

    kind: str
    question: str
    part: str
    """The guideline version, the week or the tag that it is restricted to; empty for all."""
    metric: str
    things: int
    """What two people or more judged."""
    labels: int
    people: int
    pairwise: Estimate
    fleiss: Estimate
    alpha: Estimate
    interval_alpha: Estimate
    """Alpha with the points of a scale as numbers, of scales."""
    tau: Estimate
    """Kendall's tau-b, of rankings."""

    @property
    def name(self) -> str:
        return _name(self.kind, self.question)

    @property
    def meaning(self) -> str:
        """Return in a sentence what alpha says."""
        return in_words(self.alpha, self.pairwise)


@dataclass(frozen=True)
class PairOfPeople:
    """Two people who judged the same things."""

    first: int
    second: int
    pairwise: Estimate
    kappa: Estimate


@dataclass(frozen=True)
class Chooser:
    """What somebody's choices say about them, beside everybody else's."""

    person: int
    habits: Person

    @property
    def meaning(self) -> str:
        """Return in a sentence what stands out, or that nothing does."""
        return habits_in_words(self.habits)


@dataclass(frozen=True)
class Doubted:
    """A comparison or a ranking that is more likely wrong than right, as others chose."""

    item: int
    person: int
    chance: float
    """Of being wrong; of a ranking, of the pair that looks worst."""


@dataclass(frozen=True)
class Answered:
    """How often an answer without order was given, and how often it is probably true."""

    name: str
    answer: str
    said: float
    true: float
    n: int
    """What was judged, by one person or by several."""


@dataclass(frozen=True)
class AgreementOverview:
    """Everything that the page of agreement shows, and when it was reckoned."""

    made_at: datetime
    seconds: float
    newest: Newest
    """What it knows."""
    batches: tuple[str, ...]
    """The names of all batches that can be chosen."""
    lines: tuple[Line, ...]
    versions: tuple[Line, ...]
    weeks: tuple[Line, ...]
    tags: tuple[Line, ...]
    pairs: tuple[PairOfPeople, ...]
    choosers: tuple[Chooser, ...]
    """Those who chose, the least reliable first."""
    doubted: tuple[Doubted, ...]
    """What to look at again, the likeliest to be wrong first."""
    answers: tuple[Answered, ...]
    """To flags and in reviews."""
    repeats: Estimate
    """How often one person said the same when asked the same again."""
    decided: Estimate
    """How often two people who both chose a side chose the same."""
    ceiling: Estimate
    """How often the best of reward models can be right on a single such vote."""


def reckoned(project: Project, batch: str | None, newest: Newest) -> AgreementOverview:
    started = time.monotonic()
    judged = [_Units(one) for one in judged_by_people(project, batch, newest.people)]
    choices = _Choices.of(judged)
    decided = choices.decided()
    crowd = choices.crowd()
    return AgreementOverview(
        lines=tuple(one.line() for one in judged),
        versions=tuple(line for one in judged for line in _by_version(project, one)),
        weeks=tuple(line for one in judged for line in _by_week(one)),
        tags=tuple(_by_tag(project, judged)),
        pairs=tuple(choices.pairs_of_people()),
        choosers=tuple(choices.choosers(crowd)) if crowd else (),
        doubted=tuple(choices.doubted(crowd)) if crowd else (),
        answers=tuple(answer for one in judged for answer in _answers(one)),
        repeats=choices.repeats(),
        decided=decided,
        ceiling=ceiling(decided),
        newest=newest,
        batches=_batches_of(project),
        made_at=timezone.now(),
        seconds=time.monotonic() - started,
    )


class _Units:
    """Judgements of one sort, in the order of the numbers of what each is about."""

    def __init__(self, judged: Judged) -> None:
        self.judged = judged
        unit = judged.units()
        order = np.argsort(unit, kind="stable")  # sorted once, not by every line
        self.unit, self.rows = unit[order], judged.rows[order]
        self.name = _name(judged.kind, judged.question)

    def line(self, part: str = "", chosen: NDArray[np.bool_] | None = None) -> Line:
        """Return the statistics of the judgements, of all or of the chosen ones."""
        everything = chosen is None or bool(chosen.all())
        rows = self.rows if everything else self.rows[chosen]
        unit = self.unit if everything else self.unit[chosen]
        table = self.table(rows, unit)
        judged, rng = self.judged, np.random.default_rng(SEED)
        is_scale, is_ranking = judged.metric == "ordinal", judged.kind == Kind.RANKING
        return Line(
            kind=judged.kind,
            question=judged.question,
            part=part,
            metric=judged.metric,
            things=table.shared,
            labels=len(rows),
            people=len(np.unique(rows["person"])),
            pairwise=table.pairwise(rng),
            fleiss=table.fleiss(rng),
            alpha=table.alpha(rng, judged.metric),
            interval_alpha=table.alpha(rng, "interval") if is_scale else UNKNOWN,
            tau=_tau(rows, unit, rng) if is_ranking else UNKNOWN,
        )

    def table(self, rows: Rows, unit: Numbers) -> Table:
        labels = rows["label"].astype(np.int64)
        return Table.of(unit, labels, len(self.judged.labels), rows["item"])


def _tau(rows: Rows, unit: Numbers, rng: np.random.Generator) -> Estimate:
    signs = np.array([1, -1, 0, 0])[rows["label"]]
    return tau_b(rows["item"], rows["person"], unit, signs, rng)


def _by_version(project: Project, one: _Units) -> Iterator[Line]:
    """Yield a line for each version; those who worked by different ones are not compared."""
    names = {one.pk: _name_of(one) for one in project.guideline_versions.defer("text", "html")}
    for version in np.unique(one.rows["version"]):
        name = names.get(int(version), "no guidelines")
        yield one.line(name, one.rows["version"] == version)


def _name_of(version: GuidelineVersion) -> str:
    number = f"version {version.version}"
    return f"final evaluation, {number}" if version.is_for_evaluation else number


def _by_week(one: _Units) -> Iterator[Line]:
    """Yield a line for each of the last weeks; a thing belongs to that of its last judgement."""
    last = np.zeros(int(one.unit.max()) + 1, dtype=np.int64)
    np.maximum.at(last, one.unit, one.rows["day"])
    monday = last - (last + 3) % 7  # 1 January 1970 was a Thursday
    of_rows = monday[one.unit]
    for week in np.unique(of_rows)[-MOST_WEEKS:]:
        yield one.line(date.fromordinal(int(week) + UNIX_DAY).isoformat(), of_rows == week)


def _by_tag(project: Project, judged: Sequence[_Units]) -> Iterator[Line]:
    """Yield a line for each of the most frequent tags of prompts and each sort of judgement."""
    items = _items_by_tag(project)
    frequent = sorted(items, key=lambda tag: (-len(items[tag]), tag))[:MOST_TAGS]
    for tag in sorted(frequent):
        for one in judged:
            chosen = np.isin(one.rows["item"], items[tag])
            if chosen.any():
                yield one.line(tag, chosen)


def _items_by_tag(project: Project) -> dict[str, Numbers]:
    """Return the items of each tag. The tags are read as text: many prompts have the same."""
    tagged = Item.objects.filter(project=project).exclude(prompt__tags=[]).order_by()
    rows = tagged.annotate(text=Cast("prompt__tags", TextField())).values_list("id", "text")
    by_text: dict[str, list[int]] = defaultdict(list)
    for item, text in rows.iterator(chunk_size=5000):
        by_text[text].append(item)
    found: dict[str, list[Numbers]] = defaultdict(list)
    for text, items in by_text.items():
        for tag in set(json.loads(text)):
            found[tag].append(np.array(items, dtype=np.int64))
    return {tag: np.concatenate(parts) for tag, parts in found.items()}


def _answers(one: _Units) -> Iterator[Answered]:
    """Yield the answers to a question that has no order and no sides, after Dawid and Skene."""
    judged = one.judged
    if judged.kind in CHOICE_KINDS or judged.metric != "nominal":
        return
    person = np.unique(one.rows["person"], return_inverse=True)[1]
    labels = one.rows["label"].astype(np.int64)
    found = dawid_skene.fit(one.unit, person, labels, len(judged.labels))
    said = np.bincount(labels, minlength=len(judged.labels)) / len(labels)
    for place, answer in enumerate(judged.labels):
        true = float(found.classes[place])
        yield Answered(one.name, answer, float(said[place]), true, len(found.posterior))


@dataclass(frozen=True)
class _Choices:
    """Comparisons and rankings together: which of two, by whom."""

    rows: Rows
    unit: Numbers

    @classmethod
    def of(cls, judged: list[_Units]) -> _Choices:
        chosen = [one for one in judged if one.judged.kind in CHOICE_KINDS]
        if not chosen:
            return cls(np.zeros(0, dtype=ROW), np.zeros(0, dtype=np.int64))
        begins = np.cumsum([0, *(int(one.unit.max()) + 1 for one in chosen)])
        units = [one.unit + begin for one, begin in zip(chosen, begins, strict=False)]
        return cls(np.concatenate([one.rows for one in chosen]), np.concatenate(units))

    def labels(self, places: Numbers) -> Numbers:
        return self.rows["label"][places].astype(np.int64)

    def decided(self) -> Estimate:
        """Return how often two people chose the same of two, ties and both-bads aside."""
        sided = np.flatnonzero(self.rows["label"] < 2)
        items = self.rows["item"][sided]
        table = Table.of(self.unit[sided], self.labels(sided), 2, items)
        return table.pairwise(np.random.default_rng(SEED))

    def repeats(self) -> Estimate:
        """Return how often people said the same of the same two, asked as another item."""
        pair = np.unique(self.rows["first"] << 32 | self.rows["second"], return_inverse=True)[1]
        unit = np.unique(pair << 32 | self.rows["person"], return_inverse=True)[1]
        table = Table.of(unit, self.labels(np.arange(len(unit))), len(CHOICES))
        return table.pairwise(np.random.default_rng(SEED))

    def pairs_of_people(self) -> Iterator[PairOfPeople]:
        """Yield those who judged most in common, those who share most first."""
        here, there = self._shared()
        both = self.rows["person"][here] << 32 | self.rows["person"][there]
        pairs, which, times = np.unique(both, return_inverse=True, return_counts=True)
        places = np.argsort(-times, kind="stable")[:MOST_PAIRS]
        for place in places:
            if times[place] < FEWEST_SHARED:
                return
            mine = which == place
            first, second = self.labels(here[mine]), self.labels(there[mine])
            unit = np.tile(np.arange(len(first)), 2)
            rng = np.random.default_rng(SEED)
            yield PairOfPeople(
                first=int(pairs[place] >> 32),
                second=int(pairs[place] & LOWER),
                pairwise=Table.of(unit, np.concatenate([first, second]), len(CHOICES)).pairwise(
                    rng
                ),
                kappa=cohen(first, second, len(CHOICES), rng),
            )

    @property
    def voted(self) -> Numbers:
        """Return the places of what is for a side or a tie."""
        return np.flatnonzero(self.rows["label"] <= TIE)

    def crowd(self) -> Crowd | None:
        """Return what the votes say of people and of each other; None where there are none."""
        places = self.voted
        if not len(places):
            return None
        rows = self.rows[places]
        pairs, pair = np.unique(self.unit[places], return_inverse=True)
        person = np.unique(rows["person"], return_inverse=True)[1]
        weight = np.bincount(pair, rows["weight"], minlength=len(pairs)) / np.bincount(pair)
        sides = rows["side"].astype(np.int64)
        return fit(Votes(pair, person, self.labels(places), sides, weight))

    def choosers(self, crowd: Crowd) -> Iterator[Chooser]:
        """Yield what is known of everybody who chose a side or a tie."""
        people, found = np.unique(self.rows["person"][self.voted]), crowd.people()
        for place in np.argsort([one.right for one in found], kind="stable"):
            yield Chooser(int(people[place]), found[place])

    def doubted(self, crowd: Crowd) -> list[Doubted]:
        """Return what is most likely wrong, an answer once."""
        chances, rows = crowd.suspicion(), self.rows[self.voted]
        found: dict[tuple[int, int], Doubted] = {}
        for place in np.argsort(-chances, kind="stable"):
            if chances[place] <= 1 / 2 or len(found) == MOST_DOUBTED:
                break
            item, person = int(rows["item"][place]), int(rows["person"][place])
            found.setdefault((item, person), Doubted(item, person, float(chances[place])))
        return list(found.values())

    def _shared(self) -> tuple[Numbers, Numbers]:
        """Return the places of every two judgements of one thing, the lower person first.

        Of what more than MOST_TOGETHER people judged, not all of them are held against each other.
        """
        order = np.lexsort((self.rows["person"], self.unit))
        here, there = couples(self.unit[order], MOST_TOGETHER)
        return order[here], order[there]


def _batches_of(project: Project) -> tuple[str, ...]:
    named = project.items.exclude(batch="").filter(kind__in=JUDGED_KINDS)
    return tuple(named.order_by("batch").values_list("batch", flat=True).distinct())


def _name(kind: str, question: str) -> str:
    label = Kind(kind).label
    return f"{label}: {question}" if question else str(label)


def in_words(alpha: Estimate, pairwise: Estimate) -> str:
    """Return what an alpha means, by Krippendorff's bars of .8 and .667, and what to do."""
    if pairwise.n == 0:
        return (
            "Nothing was judged by two people yet. Raise the overlap to learn how far they agree."
        )
    if alpha.value is None:
        return "Everybody gave one and the same answer, so chance is nothing to be held against."
    if alpha.low is None and pairwise.low is None:
        return "One item alone says nothing about others. Let two people judge more of them."
    if alpha.low is None and pairwise.value == 1:
        return (
            "Nobody has disagreed yet. How much that says of other items stands in the interval of "
            "the same answer."
        )
    if alpha.low is None:
        return (
            "All items were split alike, so they do not say how far others would differ. Let two "
            "people judge more of them."
        )
    if alpha.high is not None and alpha.high < 0:
        return (
            "People contradict each other more often than chance would. Look at what they disagree "
            "about: some may read the question the other way round."
        )
    if alpha.low <= 0:
        return (
            "The interval holds 0: this may be chance. Collect more items with two people each, "
            "and look at what they disagree about."
        )
    if alpha.value >= 0.8:
        return "Reliable: people mean the same by this question."
    if alpha.value >= 0.667:
        return "Good enough for tentative conclusions."
    if alpha.value >= 0.3:
        return (
            "Some common ground, as usual in matters of taste. Ask three or more people an item, "
            "and weigh their votes when you freeze a snapshot."
        )
    return (
        "Little common ground. Look at the disagreements, and say in the guidelines what decides."
    )


def habits_in_words(habits: Person) -> str:
    """Return what stands out about somebody's choices: what their intervals rule out."""
    found = []
    if habits.right_high < 0.5:
        found.append("Chooses against the others more often than not: look at these choices first.")
    elif habits.right_low <= 0.5:
        found.append("Not told apart from chance yet.")
    if habits.left_low > 0.5:
        found.append("Leans to the left where two are alike.")
    if habits.left_high < 0.5:
        found.append("Leans to the right where two are alike.")
    return " ".join(found) or "Nothing stands out."
