"""What is asked next, and what choosing it has saved beside chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import log
from typing import cast

from annotations.algorithms.arms import (
    LEADERBOARD,
    REWARD,
    Answered,
    ArmReport,
    Expected,
    aimed_at,
    compared,
)
from annotations.algorithms.arms import Comparison as Compared
from annotations.algorithms.worth import Rate, Times
from annotations.models import (
    Arm,
    Comparison,
    Draw,
    Item,
    Kind,
    Project,
    RankedCompletion,
    Weighing,
    counted,
)
from annotations.selectors.queue import OPEN

MOST_READ = 2_000
"""Of each arm, the newest that were handed out: what is older was chosen by older models."""
COUNTED = 2_000
"""Open items are counted up to here."""
BIT = log(2)
TITLES = {REWARD: "For the reward model", LEADERBOARD: "For the leaderboard"}
SCORES = {Comparison.Outcome.LEFT: 1.0, Comparison.Outcome.RIGHT: 0.0, Comparison.Outcome.TIE: 0.5}


@dataclass(frozen=True)
class ArmLine:
    """One arm on the page, in bits."""

    name: str
    report: ArmReport

    @property
    def expected(self) -> float | None:
        return None if self.report.expected is None else self.report.expected / BIT

    @property
    def told(self) -> tuple[float, float, float] | None:
        return _in_bits(self.report.by_answer, 1)

    @property
    def told_a_minute(self) -> tuple[float, float, float] | None:
        return _in_bits(self.report.by_second, 60)


def _in_bits(rate: Rate | None, factor: float) -> tuple[float, float, float] | None:
    if rate is None:
        return None
    low, high = rate.interval
    return rate.value * factor / BIT, max(low, 0) * factor / BIT, high * factor / BIT


@dataclass(frozen=True)
class AimReport:
    """What the arms told of one thing that is to be learned."""

    title: str
    found: Compared
    seconds: float
    """That the chosen answers are expected to have cost."""

    @property
    def lines(self) -> list[ArmLine]:
        return [
            ArmLine(Arm.CHOSEN.label, self.found.chosen),
            ArmLine(Arm.RANDOM.label, self.found.random),
        ]

    @property
    def labels_worth(self) -> tuple[float, float, float] | None:
        """Return how many answers at random would have told as much as the chosen ones."""
        return _scaled(self.found.by_answer, self.found.chosen.answers)

    @property
    def hours(self) -> float:
        return self.seconds / 3600

    @property
    def hours_worth(self) -> tuple[float, float, float] | None:
        """Return how many paid hours at random would have told as much."""
        return _scaled(self.found.by_second, self.hours)

    @property
    def verdict(self) -> str:
        """Say whether choosing pays: `saves`, `costs`, or nothing where it may be chance."""
        times = self.found.by_second
        if times is None or times.low <= 1 <= times.high:
            return ""
        return "saves" if times.low > 1 else "costs"


def _scaled(times: Times | None, by: float) -> tuple[float, float, float] | None:
    return None if times is None else (times.value * by, times.low * by, times.high * by)


@dataclass(frozen=True)
class OpenLine:
    """Open items of a kind, each counted up to COUNTED, and when they were weighed last."""

    kind: str
    chosen: int
    at_random: int
    unweighed: int
    last: Weighing
    counted_to: int = COUNTED

    @property
    def label(self) -> str:
        return Kind(self.kind).label

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.chosen, self.at_random, self.unweighed


@dataclass(frozen=True)
class Asking:
    """What is asked next in a project."""

    percent: int
    handed_out: dict[str, int]
    """By arm."""
    open: list[OpenLine]
    aims: list[AimReport]
    people: int
    """Who gave the answers that were read."""

    @property
    def reason(self) -> str:
        """Say in words why nothing is chosen, or nothing."""
        if self.percent >= 100:
            return "Nothing is chosen: the share at random is 100 %. The oldest items come first."
        if not self.open:
            return (
                "Nothing was weighed yet. It takes a reward model, or answers of two checkpoints, "
                "and 20 open comparisons or rankings. Until then the oldest items come first."
            )
        if not any(line.last.weighed for line in self.open):
            return (
                "Nothing can be said of the open items: no reward model has scored them, and they "
                "do not show answers of two checkpoints. The oldest come first."
            )
        return ""


def asking(project: Project) -> Asking:
    """Return what is asked next, and what the newest answers of both arms told."""
    people: set[int] = set()
    answers = {arm: list(_answers(project, arm, people)) for arm in (Arm.CHOSEN, Arm.RANDOM)}
    aims = []
    for aim, title in TITLES.items():
        chosen, at_random = (aimed_at(answers[arm], aim) for arm in (Arm.CHOSEN, Arm.RANDOM))
        if chosen or at_random:
            seconds = sum(one.expected["seconds"] for one in chosen)
            aims.append(AimReport(title, compared(chosen, at_random), seconds))
    return Asking(
        percent=project.random_percent,
        handed_out={
            str(arm.label): Draw.objects.filter(project=project, arm=arm).count() for arm in Arm
        },
        open=[line for kind in (Kind.COMPARISON, Kind.RANKING) for line in _open(project, kind)],
        aims=aims,
        people=len(people),
    )


def _open(project: Project, kind: str) -> Iterable[OpenLine]:
    last = Weighing.objects.select_related("model").filter(project=project, kind=kind).first()
    if last is None:
        return
    items = Item.objects.filter(OPEN, project=project, kind=kind)
    parts = (
        items.filter(worth__isnull=False),
        items.filter(arm=Arm.RANDOM),
        items.filter(arm="").exclude(purpose__in=Item.ASIDE),
    )
    chosen, at_random, unweighed = (len(part.values_list("id")[:COUNTED]) for part in parts)
    yield OpenLine(kind, chosen, at_random, unweighed, last)


def _answers(project: Project, arm: Arm, people: set[int]) -> Iterable[Answered]:
    """Yield the answers that count among the newest that an arm handed out."""
    training = {"assignment__item__purpose": Item.Purpose.TRAINING}  # nothing else is in both arms
    draws = Draw.objects.filter(project=project, arm=arm, **training).order_by("-id")
    rows = draws.values_list("assignment_id", "assignment__item_id", "expected")[:MOST_READ]
    drawn = {assignment: (item, expected) for assignment, item, expected in rows}
    for assignment, person, scores in _scores(project, list(drawn)):
        item, expected = drawn[assignment]
        if expected:
            people.add(person)
            yield Answered(item, cast(Expected, expected), scores)  # as record_worth wrote it


Scores = dict[tuple[int, int], float]


def _scores(project: Project, assignments: list[int]) -> Iterable[tuple[int, int, Scores]]:
    """Yield assignment, annotator and what was said of each pair of completions."""
    path = "annotation__"
    compared = Comparison.objects.filter(
        counted(path, project.pk), annotation__assignment__in=assignments
    ).values_list(f"{path}assignment_id", f"{path}annotator_id", "left_id", "right_id", "outcome")
    for assignment, person, left, right, outcome in compared:
        said = SCORES.get(outcome)
        yield assignment, person, {} if said is None else {(left, right): said}
    path = "ranking__annotation__"
    entries = RankedCompletion.objects.filter(
        counted(path, project.pk), ranking__annotation__assignment__in=assignments
    ).values_list(f"{path}assignment_id", f"{path}annotator_id", "completion_id", "tier")
    rankings: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for assignment, person, completion, tier in entries:
        rankings[assignment, person].append((completion, tier))
    for (assignment, person), ranked in rankings.items():
        pairs = combinations(ranked, 2)
        yield assignment, person, {(a, b): _ahead(i, j) for (a, i), (b, j) in pairs}


def _ahead(first: int, second: int) -> float:
    return 0.5 if first == second else float(first < second)
