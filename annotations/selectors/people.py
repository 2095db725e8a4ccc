"""One person's work in a project: how much, how fast, and how far it can be relied on.

Counts cover everything; what has to be read row by row covers the newest answers (`NEWEST`, and
`NEWEST_SHARED` where those of others are read, too). In a large project the counts are from the
daily figures: what counts, up to half a minute late. What is read row by row is kept there, of
those who worked last (`MOST_KEPT`), and made anew in the background.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import median

from django.db.models import Count, Max, QuerySet, Sum
from django.db.models.functions import Length, TruncWeek
from django.utils import timezone

from annotations.algorithms.shares import Share, wilson
from annotations.algorithms.winrate import WinRate, win_rate
from annotations.kept import Made, keep_up, recall
from annotations.models import (
    Annotation,
    Assignment,
    Comparison,
    HeldOut,
    Item,
    Kind,
    MemberNote,
    Project,
    User,
    in_force,
)
from annotations.selectors.daily import summed_up_to
from annotations.selectors.gold import gold_answers
from annotations.selectors.history import time_in_words
from annotations.selectors.leanings import ordered_leanings
from annotations.selectors.lengths import lengths_of
from annotations.selectors.peers import peers_of
from annotations.selectors.sizes import is_small

NEWEST = 1000
NEWEST_SHARED = 400
"""Of each kind. With four answers an item an interval over them reaches three points either way."""
MOST_KEPT = 100
"""People. To read a person's answers takes a good half second."""
HABITS = "habits"
WEEKS = 12
SHORTEST_MS = 3_000
"""Nobody has read two texts in less."""
CHARS_PER_SECOND = 90
"""Fifteen words a second: faster than anybody reads."""


@dataclass(frozen=True)
class Week:
    """How much a person handed in, in the week that began then."""

    start: datetime
    answers: int
    height: int
    """Of the bar, in percent of the highest."""


@dataclass(frozen=True)
class GoldWeek:
    """How often a person gave the known answer in the week that began then."""

    start: datetime
    share: Share


@dataclass
class _Volume:
    """How much a person did, and how often they gave the known answer of a gold item."""

    as_of: datetime | None
    """None: counted at this moment."""
    active_ms: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    by_week: Counter[date] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)
    """By kind; and how many of them were right."""
    gold_right: Counter[str] = field(default_factory=Counter)
    gold_weeks: Counter[date] = field(default_factory=Counter)
    gold_weeks_right: Counter[date] = field(default_factory=Counter)


@dataclass(frozen=True)
class Habits:
    """What is read from a person's answers row by row: how they choose, and how fast."""

    skips: int
    peers: WinRate
    """How far others said the same of the same items; whole items are drawn again."""
    peers_by_kind: list[tuple[str, WinRate]]
    """The same by kind, where there are several."""
    left: Share
    """Of decided comparisons, those that went to A."""
    longer: Share
    """Of decided comparisons of two lengths, those that went to the longer answer."""
    earlier: WinRate
    """Of two texts that were ranked or rated apart, how often the earlier shown one won."""
    longer_ordered: WinRate
    """The same of the longer one."""
    seconds: float | None
    """The median from hand-out to hand-in."""
    too_fast: Share


@dataclass(frozen=True)
class PersonReport(Habits):
    """What owners and the person themselves see."""

    as_of: datetime | None
    """Up to when answers, time and gold items are summed; None: they are of this moment."""
    habits_as_of: datetime | None
    """When the rest was read; None: at this moment."""

    by_kind: list[tuple[str, int]]
    answers: int
    active: timedelta
    gold: Share
    """Gold items answered as known."""
    gold_by_kind: list[tuple[str, Share]]
    """The same by kind, where there are several."""
    gold_weeks: list[GoldWeek]
    weeks: list[Week]

    @property
    def skipped(self) -> Share:
        return wilson(self.skips, self.skips + self.answers)

    @property
    def leans(self) -> bool:
        """Return whether the person favours a side beyond what chance explains."""
        return self.left.excludes(0.5)

    @property
    def leans_to_first(self) -> bool:
        """Return whether what was shown earlier wins, or loses, beyond what chance explains."""
        return not self.earlier.low <= 0.5 <= self.earlier.high

    @property
    def active_words(self) -> str:
        return time_in_words(self.active)


def person_report(project: Project, person: User) -> PersonReport:
    """Return what a person has done in a project."""
    volume = _summed(project, person) or _counted(
        project, _said_by(project, person), _handed_to(project, person)
    )
    kept: Made[dict[int, Habits]] | None = None if is_small(project) else recall(project, HABITS)
    known = kept.value.get(person.pk) if kept else None
    habits = known or _habits(project, person)
    return PersonReport(
        **vars(habits),
        as_of=volume.as_of,
        habits_as_of=kept.made_at if kept and known else None,
        by_kind=[
            (Kind(kind).label, volume.by_kind[kind]) for kind in Kind.values if volume.by_kind[kind]
        ],
        answers=volume.by_kind.total(),
        active=timedelta(milliseconds=volume.active_ms),
        gold=wilson(volume.gold_right.total(), volume.gold.total()),
        gold_by_kind=[
            (Kind(kind).label, wilson(volume.gold_right[kind], volume.gold[kind]))
            for kind in Kind.values
            if volume.gold[kind] and len(volume.gold) > 1
        ],
        gold_weeks=[
            GoldWeek(
                start,
                wilson(volume.gold_weeks_right[start.date()], volume.gold_weeks[start.date()]),
            )
            for start in _week_starts()
        ],
        weeks=_weeks(volume.by_week),
    )


def keep_habits(project: Project) -> None:
    """Read the newest answers of those who worked last in a large project, unless done lately."""
    keep_up(project, HABITS, lambda: _habits_of_all(project))


def _habits_of_all(project: Project) -> dict[int, Habits]:
    since = timezone.now() - timedelta(weeks=WEEKS)
    worked = project.daily_work.filter(tag="", day__gte=since.date()).values("person")
    latest = worked.annotate(day=Max("day")).order_by("-day", "person")[:MOST_KEPT]
    people = User.objects.in_bulk([row["person"] for row in latest])
    return {pk: _habits(project, person) for pk, person in people.items()}


def _habits(project: Project, person: User) -> Habits:
    said = _said_by(project, person)
    left, longer = _leanings(said)
    earlier, longer_ordered = ordered_leanings(said, NEWEST_SHARED)
    seconds, too_fast = _speed(said)
    peers = peers_of(project, person, said, NEWEST_SHARED)
    return Habits(
        skips=_handed_to(project, person).filter(state=Assignment.State.SKIPPED).count(),
        peers=win_rate([one for alike in peers.values() for one in alike]),
        peers_by_kind=[
            (Kind(kind).label, win_rate(alike)) for kind, alike in peers.items() if len(peers) > 1
        ],
        left=left,
        longer=longer,
        earlier=earlier,
        longer_ordered=longer_ordered,
        seconds=seconds,
        too_fast=too_fast,
    )


def _said_by(project: Project, person: User) -> QuerySet[Annotation]:
    return Annotation.objects.filter(
        in_force(), item__project=project, annotator=person, assignment__isnull=False
    ).exclude(item__purpose=Item.Purpose.ARENA)


def _handed_to(project: Project, person: User) -> QuerySet[Assignment]:
    handed = Assignment.objects.filter(item__project=project, annotator=person)
    return handed.exclude(item__purpose=Item.Purpose.ARENA)


def notes_to(person: User, project: Project) -> QuerySet[MemberNote]:
    """Return what a person was told, the newest first."""
    return MemberNote.objects.filter(project=project, person=person).select_related("made_by")


def unread_notes(person: User, project: Project) -> QuerySet[MemberNote]:
    """Return what a person was told and has not said to have read."""
    return notes_to(person, project).filter(read_at=None)


def is_held_out(person: User, project: Project) -> bool:
    return HeldOut.objects.filter(project=project, user=person, ended_at=None).exists()


def held_out_people(project: Project) -> set[int]:
    """Return the ids of those from whom no model learns."""
    held = HeldOut.objects.filter(project=project, ended_at=None)
    return set(held.values_list("user_id", flat=True))


def _counted(project: Project, said: QuerySet[Annotation], handed: QuerySet[Assignment]) -> _Volume:
    """Count what was said, and sum up the time that was spent on what was handed out."""
    found = _Volume(None, handed.aggregate(ms=Sum("active_ms"))["ms"] or 0)
    weeks = said.annotate(week=TruncWeek("created_at")).order_by()
    for kind, week, count in weeks.values_list("kind", "week").annotate(Count("id")):
        found.by_kind[kind] += count
        found.by_week[week.date()] += count
    asked = dict(weeks.filter(item__purpose=Item.Purpose.GOLD).values_list("id", "week"))
    for answer in gold_answers(project, said):
        found.gold[answer.kind] += 1
        found.gold_right[answer.kind] += answer.is_right
        if answer.annotation_id in asked:  # handed in since they were looked for
            week = asked[answer.annotation_id].date()
            found.gold_weeks[week] += 1
            found.gold_weeks_right[week] += answer.is_right
    return found


def _summed(project: Project, person: User) -> _Volume | None:
    """Add up the daily figures of a large project; None if it is small, or they were never kept."""
    as_of = None if is_small(project) else summed_up_to(project)
    if as_of is None:
        return None
    found = _Volume(as_of)
    for row in project.daily_work.filter(person=person, tag=""):
        week = row.day - timedelta(days=row.day.weekday())
        found.active_ms += row.active_ms
        found.by_kind[row.kind] += row.answers + row.gold
        found.by_week[week] += row.answers + row.gold
        if row.gold:
            found.gold[row.kind] += row.gold
            found.gold_right[row.kind] += row.gold_right
            found.gold_weeks[week] += row.gold
            found.gold_weeks_right[week] += row.gold_right
    return found


def _newest(said: QuerySet[Annotation]) -> QuerySet[Annotation]:
    """Return what was said in the order of an index, whatever else a person said before."""
    return said.order_by("-created_at", "-id")


def _leanings(said: QuerySet[Annotation]) -> tuple[Share, Share]:
    """Return how often the left and how often the longer answer was found better."""
    sides = (Comparison.Outcome.LEFT, Comparison.Outcome.RIGHT)
    rows = _newest(said.filter(kind=Kind.COMPARISON)).values_list(
        "comparison__outcome", Length("comparison__left__text"), Length("comparison__right__text")
    )[:NEWEST]
    decided = [(one == sides[0], a, b) for one, a, b in rows if one in sides]
    longer = [(a > b) == is_left for is_left, a, b in decided if a != b]
    lefts = sum(is_left for is_left, _, _ in decided)
    return wilson(lefts, len(decided)), wilson(sum(longer), len(longer))


def _speed(said: QuerySet[Annotation]) -> tuple[float | None, Share]:
    """Return the median seconds, and how often an answer came before its texts could be read."""
    newest = _newest(said.filter(wall_ms__isnull=False))
    rows = list(newest.values_list("wall_ms", "shown_order")[:NEWEST])
    lengths = lengths_of(one for _, shown in rows for one in shown)
    times = [
        (wall, sum(lengths.get(one, 0) for one in shown))
        for wall, shown in rows
        if wall is not None
    ]
    if not times:
        return None, wilson(0, 0)
    fast = sum(wall < max(SHORTEST_MS, 1000 * chars / CHARS_PER_SECOND) for wall, chars in times)
    return median(wall for wall, _ in times) / 1000, wilson(fast, len(times))


def _weeks(by_week: Counter[date]) -> list[Week]:
    """Return the last weeks, those without work as well, the oldest first."""
    starts = _week_starts()
    highest = max(by_week[start.date()] for start in starts)
    return [
        Week(start, count, round(100 * count / highest) if highest else 0)
        for start in starts
        for count in [by_week[start.date()]]
    ]


def _week_starts() -> list[datetime]:
    """Return the Mondays of the last weeks, the oldest first."""
    monday = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    monday -= timedelta(days=monday.weekday())
    return [monday - timedelta(weeks=ago) for ago in reversed(range(WEEKS))]
