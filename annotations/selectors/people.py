"""One person's work in a project: how much, how fast, and how far it can be relied on.

Counts cover everything; what has to be read row by row covers the newest answers (`NEWEST`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Length, TruncWeek
from django.utils import timezone

from annotations.algorithms.shares import Share, wilson
from annotations.algorithms.winrate import WinRate, win_rate
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
from annotations.selectors.gold import GoldAnswer, gold_answers
from annotations.selectors.history import time_in_words
from annotations.selectors.leanings import ordered_leanings
from annotations.selectors.peers import peers_of

NEWEST = 1000
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


@dataclass(frozen=True)
class PersonReport:
    """What owners and the person themselves see."""

    by_kind: list[tuple[str, int]]
    answers: int
    skips: int
    active: timedelta
    gold: Share
    """Gold items answered as known."""
    gold_by_kind: list[tuple[str, Share]]
    """The same by kind, where there are several."""
    gold_weeks: list[GoldWeek]
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
    said = Annotation.objects.filter(
        in_force(), item__project=project, annotator=person, assignment__isnull=False
    ).exclude(item__purpose=Item.Purpose.ARENA)
    counts = dict(said.order_by().values_list("kind").annotate(Count("id")))
    handed = Assignment.objects.filter(item__project=project, annotator=person).exclude(
        item__purpose=Item.Purpose.ARENA
    )
    compared = Comparison.objects.filter(annotation__in=said)
    left, longer = _leanings(compared)
    earlier, longer_ordered = ordered_leanings(said, NEWEST)
    seconds, too_fast = _speed(said)
    on_gold = list(gold_answers(project, said))
    peers = peers_of(project, person, said, NEWEST)
    return PersonReport(
        by_kind=[(Kind(kind).label, counts[kind]) for kind in Kind.values if kind in counts],
        answers=sum(counts.values()),
        skips=handed.filter(state=Assignment.State.SKIPPED).count(),
        active=timedelta(milliseconds=handed.aggregate(ms=Sum("active_ms"))["ms"] or 0),
        gold=wilson(sum(answer.is_right for answer in on_gold), len(on_gold)),
        gold_by_kind=_by_kind(on_gold),
        gold_weeks=_gold_weeks(on_gold, said),
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
        weeks=_weeks(said),
    )


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


def _leanings(compared: QuerySet[Comparison]) -> tuple[Share, Share]:
    """Return how often the left and how often the longer answer was found better."""
    is_left, is_right = Q(outcome=Comparison.Outcome.LEFT), Q(outcome=Comparison.Outcome.RIGHT)
    sized = compared.annotate(a=Length("left__text"), b=Length("right__text"))
    differ = (is_left | is_right) & ~Q(a=F("b"))
    found = sized.aggregate(
        left=Count("pk", filter=is_left),
        decided=Count("pk", filter=is_left | is_right),
        longer=Count("pk", filter=is_left & Q(a__gt=F("b")) | is_right & Q(b__gt=F("a"))),
        differ=Count("pk", filter=differ),
    )
    return wilson(found["left"], found["decided"]), wilson(found["longer"], found["differ"])


def _by_kind(on_gold: Sequence[GoldAnswer]) -> list[tuple[str, Share]]:
    given: dict[str, list[bool]] = defaultdict(list)
    for answer in on_gold:
        given[answer.kind].append(answer.is_right)
    if len(given) < 2:
        return []
    return [
        (Kind(kind).label, wilson(sum(given[kind]), len(given[kind])))
        for kind in Kind.values
        if kind in given
    ]


def _gold_weeks(on_gold: Sequence[GoldAnswer], said: QuerySet[Annotation]) -> list[GoldWeek]:
    """Return the last weeks, those without gold items as well, the oldest first."""
    starts = _week_starts()
    recent = said.filter(item__purpose=Item.Purpose.GOLD, created_at__gte=starts[0])
    weeks = dict(recent.annotate(week=TruncWeek("created_at")).values_list("id", "week"))
    given: dict[date, list[bool]] = defaultdict(list)
    for answer in on_gold:
        if answer.annotation_id in weeks:
            given[weeks[answer.annotation_id].date()].append(answer.is_right)
    return [
        GoldWeek(start, wilson(sum(given[start.date()]), len(given[start.date()])))
        for start in starts
    ]


def _speed(said: QuerySet[Annotation]) -> tuple[float | None, Share]:
    """Return the median seconds, and how often an answer came before its texts could be read."""
    newest = said.filter(wall_ms__isnull=False).order_by("-id")
    rows = newest.values_list(
        "wall_ms", Length("comparison__left__text"), Length("comparison__right__text")
    )[:NEWEST]
    times = [(wall, (left or 0) + (right or 0)) for wall, left, right in rows if wall is not None]
    if not times:
        return None, wilson(0, 0)
    fast = sum(wall < max(SHORTEST_MS, 1000 * chars / CHARS_PER_SECOND) for wall, chars in times)
    return median(wall for wall, _ in times) / 1000, wilson(fast, len(times))


def _weeks(said: QuerySet[Annotation]) -> list[Week]:
    """Return the last weeks, those without work as well, the oldest first."""
    starts = _week_starts()
    rows = (
        said.filter(created_at__gte=starts[0])
        .annotate(week=TruncWeek("created_at"))
        .order_by()
        .values_list("week")
        .annotate(Count("id"))
    )
    counts = {week.date(): count for week, count in rows}
    highest = max(counts.values(), default=0)
    return [
        Week(start, count, round(100 * count / highest) if highest else 0)
        for start in starts
        for count in [counts.get(start.date(), 0)]
    ]


def _week_starts() -> list[datetime]:
    """Return the Mondays of the last weeks, the oldest first."""
    monday = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    monday -= timedelta(days=monday.weekday())
    return [monday - timedelta(weeks=ago) for ago in reversed(range(WEEKS))]
