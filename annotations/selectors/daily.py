"""The daily figures as they follow from annotations and the ledger: what `services.daily` keeps.

The same functions reckon a whole project and the days of a few people.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from zlib import crc32

from django.db.models import Count, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from annotations.models import (
    Annotation,
    DailyNews,
    DailyState,
    Item,
    PayEntry,
    Project,
    counted,
)
from annotations.selectors.days import between, day_of, parse_day
from annotations.selectors.gold import gold_answers

CHUNK = 5000
MAX_TAG_CHARS = 200
Days = Mapping[int, Set[date]]
"""The days of each person that are asked for."""


class Work(NamedTuple):
    """The key of a row of `DailyWork` within its project."""

    person: int
    day: date
    kind: str
    tag: str


class Cost(NamedTuple):
    """The key of a row of `DailyCost` within its project."""

    person: int
    day: date
    kind: str
    currency: str


@dataclass
class WorkSums:
    """The sums of a row of `DailyWork`."""

    answers: int = 0
    imported: int = 0
    gold: int = 0
    gold_right: int = 0
    timed: int = 0
    active_ms: int = 0


@dataclass
class CostSums:
    """The sums of a row of `DailyCost`."""

    paid: int = 0
    micros: int = 0


def work_by_day(project: Project, days: Days | None = None) -> dict[Work, WorkSums]:
    """Return what was done in a project, or by some people on some of their days.

    Recalled, superseded and retracted answers are no work, nor are decisions about disagreements
    and votes of the arena.
    """
    found: dict[Work, WorkSums] = defaultdict(WorkSums)
    for said in _said(project, days):
        for row in _grouped(said):
            person, day, kind, purpose, is_imported, tags, answers, timed, ms = row
            for tag in _tags(tags):
                sums = found[Work(person, parse_day(day), kind, tag)]
                sums.timed += timed
                sums.active_ms += ms or 0
                if purpose == Item.Purpose.GOLD:
                    continue
                if is_imported:
                    sums.imported += answers
                else:
                    sums.answers += answers
        for key, is_right in _gold(project, said):
            found[key].gold += 1
            found[key].gold_right += is_right
    return {key: sums for key, sums in found.items() if _is_asked(key, days)}


def cost_by_day(project: Project, days: Days | None = None) -> dict[Cost, CostSums]:
    """Return what was paid in a project, or to some people on some of their days."""
    entries = PayEntry.objects.filter(project=project)
    parts = [entries]
    if days is not None:
        parts = [
            entries.filter(between("created_at", min(some), max(some)), person=person)
            for person, some in days.items()
        ]
    signed = Count("id", filter=Q(source=PayEntry.Source.WORK)) - Count(
        "id", filter=Q(source=PayEntry.Source.REVERSAL)
    )
    found = {
        Cost(person, parse_day(day), kind, currency): CostSums(paid, int(micros))
        for part in parts
        for person, day, kind, currency, paid, micros in part.order_by()
        .annotate(day=day_of("created_at"), of=Coalesce("annotation__kind", Value("")))
        .values_list("person", "day", "of", "currency")
        .annotate(paid=signed, micros=Sum("amount_micros"))
    }
    return {key: sums for key, sums in found.items() if _is_asked(key, days)}


def summed_up_to(project: Project) -> datetime | None:
    """Return up to when the daily figures of a project were kept; None if they never were."""
    if not DailyState.objects.filter(project=project, revision__gt=0).exists():
        return None
    return DailyNews.objects.values_list("read_at", flat=True).first()


def gold_digests() -> dict[int, dict[str, int]]:
    """Return for each project what its gold items are known to be answered by, as a digest."""
    known = Item.objects.filter(purpose=Item.Purpose.GOLD, gold__isnull=False).order_by()
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for project, item, gold in known.values_list("project", "id", "gold"):
        found[project][str(item)] = crc32(json.dumps(gold, sort_keys=True).encode())
    return found


def days_of(said: QuerySet[Annotation]) -> dict[int, set[date]]:
    """Return for each person the days on which they said something of it."""
    found: dict[int, set[date]] = defaultdict(set)
    for person, day in said.order_by().values_list("annotator", day_of("created_at")).distinct():
        found[person].add(parse_day(day))
    return found


def _said(project: Project, days: Days | None) -> Iterator[QuerySet[Annotation]]:
    counting = Annotation.objects.filter(
        counted("", project.pk), item__project=project, adjudication__isnull=True
    ).exclude(item__purpose=Item.Purpose.ARENA)
    if days is None:
        yield counting
        return
    for person, some in days.items():
        yield counting.filter(between("created_at", min(some), max(some)), annotator=person)


def _grouped(said: QuerySet[Annotation]) -> Iterator[Any]:
    rows = (
        said.order_by()
        .annotate(day=day_of("created_at"), is_imported=Q(assignment__isnull=True))
        .values_list(
            "annotator", "day", "kind", "item__purpose", "is_imported", "item__prompt__tags"
        )
        .annotate(answers=Count("id"), timed=Count("active_ms"), ms=Sum("active_ms"))
    )
    return rows.iterator(chunk_size=CHUNK)


def _gold(project: Project, said: QuerySet[Annotation]) -> Iterator[tuple[Work, bool]]:
    """Yield each answer to a gold item, under every tag and none, and whether it is right."""
    asked = said.filter(item__purpose=Item.Purpose.GOLD).order_by()
    fields = ("id", "annotator", day_of("created_at"), "kind", "item__prompt__tags")
    rows = {row[0]: row[1:] for row in asked.values_list(*fields)}
    if not rows:
        return
    for answer in gold_answers(project, said):
        if answer.annotation_id in rows:
            person, day, kind, tags = rows[answer.annotation_id]
            for tag in _tags(tags):
                yield Work(person, parse_day(day), kind, tag), answer.is_right


def _tags(tags: list[str]) -> set[str]:
    return {"", *(tag[:MAX_TAG_CHARS] for tag in tags)}


def _is_asked(key: Work | Cost, days: Days | None) -> bool:
    return days is None or key.day in days[key.person]
