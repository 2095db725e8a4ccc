"""Keeping the daily figures: what is new is looked for, and the days that it touches are reckoned.

Nobody who writes an annotation has to know of this. A pass reads what has come to the tables since
the last one and reckons the days of those people anew, from everything; so a pass may come late, be
cut off or be repeated. It reads first and writes then, in one short transaction that is given up if
another process has written meanwhile. Once a day each project is reckoned as a whole, which sets
right what no row tells of (such as other tags of a prompt).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Manager, Max, Q, QuerySet
from django.utils import timezone

from annotations.models import (
    Annotation,
    DailyCost,
    DailyNews,
    DailyState,
    DailyWork,
    PayEntry,
    Project,
    Recall,
    Retraction,
)
from annotations.selectors.daily import (
    CostSums,
    Days,
    WorkSums,
    cost_by_day,
    days_of,
    gold_digests,
    work_by_day,
)
from annotations.selectors.days import day_of, parse_day
from annotations.services.rules import chunks

MANY = 20_000
"""With more rows that are new, whole projects are reckoned instead of days."""
SETTLED = timedelta(hours=1)
"""No transaction takes so long: an id that is missing then was given to nothing."""
MOST_GAPS = 10_000
THE_ROW = 1
WORK_KEY = ("person_id", "day", "kind", "tag")
COST_KEY = ("person_id", "day", "kind", "currency")


class _Overtaken(Exception):
    """Another process has written meanwhile; the next pass does what is left."""


@dataclass
class _News:
    """What has come since the last pass: by project, whose days it touches."""

    now: datetime
    days: dict[int, dict[int, set[date]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    whole: set[int] = field(default_factory=set)
    """Projects of which too much is new."""
    seen: dict[str, list[int]] = field(default_factory=dict)

    def add(self, project: int, person: int, day: str) -> None:
        self.days[project][person].add(parse_day(day))

    def merge(self, project: int, days: Days) -> None:
        for person, some in days.items():
            self.days[project][person] |= some


def keep_up_daily_figures() -> None:
    """Bring the daily figures of all projects up to date."""
    try:
        _take_in_news()
        today = timezone.now().date()
        known = DailyState.objects.in_bulk()
        for project in Project.objects.order_by("id"):
            state = known.get(project.pk)
            if state is None or state.rebuilt_at.date() < today:
                rebuild_daily_figures(project)
    except _Overtaken:
        return


def rebuild_daily_figures(project: Project) -> None:
    """Reckon all daily figures of a project from everything that it has."""
    # Of a time long ago, until something is written: who is cut off before leaves it to the next.
    long_ago = timezone.now() - timedelta(days=2)
    state, _ = DailyState.objects.get_or_create(project=project, defaults={"rebuilt_at": long_ago})
    recalls, gold = _recalls()[project.pk], gold_digests()[project.pk]
    work, cost = work_by_day(project), cost_by_day(project)
    with transaction.atomic():
        _move_on(state, recalls=recalls, gold=gold, rebuilt_at=timezone.now())
        _write(DailyWork, project.daily_work.all(), project, work)
        _write(DailyCost, project.daily_costs.all(), project, cost)


def _take_in_news() -> None:
    news = _News(timezone.now())
    row, _ = DailyNews.objects.get_or_create(id=THE_ROW, defaults={"read_at": news.now})
    states = DailyState.objects.select_related("project").in_bulk()
    _look_at_annotations(row, news)
    _look_at_payments(row, news)
    _look_at_retractions(row, news)
    rules = _look_at_rules(states, news)
    touched = [states[pk] for pk in news.days.keys() & states.keys() - news.whole]
    reckoned = [
        (
            state,
            news.days[state.pk],
            work_by_day(state.project, news.days[state.pk]),
            cost_by_day(state.project, news.days[state.pk]),
        )
        for state in touched
    ]
    with transaction.atomic():
        mine = DailyNews.objects.filter(id=THE_ROW, revision=row.revision)
        if not mine.update(revision=F("revision") + 1, read_at=news.now, seen=news.seen):
            raise _Overtaken
        for pk in news.whole & states.keys():
            _move_on(states[pk], rebuilt_at=news.now - timedelta(days=2))
        for state, days, work, cost in reckoned:
            _move_on(state, **rules[state.pk])
            project = state.project
            _write(DailyWork, _rows_of(project.daily_work.all(), days), project, work)
            _write(DailyCost, _rows_of(project.daily_costs.all(), days), project, cost)


def _look_at_annotations(row: DailyNews, news: _News) -> None:
    where = ("item__project", "annotator", day_of("created_at"))
    fresh = _fresh(Annotation, ("supersedes", *where), row, news, project="item__project")
    for _, project, person, day in fresh:
        news.add(project, person, day)
    for ids in chunks(replaced for replaced, *_ in fresh if replaced is not None):
        for found in Annotation.objects.filter(id__in=ids).values_list(*where):
            news.add(*found)


def _look_at_payments(row: DailyNews, news: _News) -> None:
    for found in _fresh(PayEntry, ("project", "person", day_of("created_at")), row, news):
        news.add(*found)


def _fresh(
    model: type[Annotation] | type[PayEntry],
    fields: Sequence[Any],
    row: DailyNews,
    news: _News,
    *,
    project: str = "project",
) -> list[Any]:
    """Return what has come to a table, and keep in the news how far it was read.

    Ids are given before a transaction ends, so those that are missing are looked for again. Of
    more than MANY rows only the projects are taken up.
    """
    table: QuerySet[Any] = model._default_manager.order_by()
    highest = table.aggregate(id=Max("id"))["id"] or 0
    newest, *gaps = row.seen.get(model.__name__, [highest])
    if highest - newest > MANY:
        many = table.filter(id__gt=newest, id__lte=highest)
        news.whole |= set(many.values_list(project, flat=True).distinct())
        newest = highest - MANY
    rows = [
        *table.filter(id__gt=newest, id__lte=highest).values_list("id", *fields),
        *table.filter(id__in=gaps).values_list("id", *fields),
    ]
    missing = {*gaps, *range(newest + 1, highest + 1)} - {found[0] for found in rows}
    if missing:
        old = table.filter(id__gt=min(missing), created_at__lt=news.now - SETTLED)
        settled = old.aggregate(id=Max("id"))["id"] or 0
        missing = {one for one in missing if one > settled}
    news.seen[model.__name__] = [highest, *sorted(missing)[-MOST_GAPS:]]
    return [found[1:] for found in rows]


def _look_at_retractions(row: DailyNews, news: _News) -> None:
    """Look for what was taken back: those rows have no numbers of their own."""
    recent = Retraction.objects.filter(created_at__gte=row.read_at - SETTLED)
    known = set(row.seen.get("retractions", []))
    said = "annotation__"
    rows = recent.values_list(
        "pk", f"{said}item__project", f"{said}annotator", day_of(f"{said}created_at")
    )
    news.seen["retractions"] = []
    for pk, project, person, day in rows:
        news.seen["retractions"].append(pk)
        if pk not in known:
            news.add(project, person, day)


def _look_at_rules(states: Mapping[int, DailyState], news: _News) -> dict[int, dict[str, Any]]:
    """Look for recalls and known answers that have changed, and return those of each project."""
    recalls, gold = _recalls(), gold_digests()
    rules = {pk: {"recalls": recalls[pk], "gold": gold[pk]} for pk in states}
    for pk, state in states.items():
        changed = set(state.recalls) ^ set(recalls[pk])
        for recall in Recall.objects.filter(id__in=changed):
            news.merge(pk, days_of(Annotation.objects.filter(recall.fits())))
        other = [int(one) for one, digest in state.gold.items() if gold[pk].get(one) != digest]
        if other:
            news.merge(pk, days_of(Annotation.objects.filter(item__in=other)))
    return rules


def _recalls() -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    in_force = Recall.objects.filter(lifted_at__isnull=True).order_by("id")
    for project, recall in in_force.values_list("project", "id"):
        found[project].append(recall)
    return found


def _move_on(state: DailyState, **changes: Any) -> None:
    """Keep what figures are reckoned by, unless another process has done so meanwhile."""
    mine = DailyState.objects.filter(pk=state.pk, revision=state.revision)
    if not mine.update(revision=F("revision") + 1, **changes):
        raise _Overtaken


def _rows_of(rows: QuerySet[Any], days: Days) -> QuerySet[Any]:
    wanted = Q(pk__in=[])
    for person, some in days.items():
        wanted |= Q(person=person, day__in=some)
    return rows.filter(wanted)


def _write(
    model: type[DailyWork] | type[DailyCost],
    rows: QuerySet[Any],
    project: Project,
    wanted: Mapping[Any, WorkSums] | Mapping[Any, CostSums],
) -> None:
    """Make rows what they are wanted to be. What is so already is not touched."""
    parts = WORK_KEY if model is DailyWork else COST_KEY
    known = {tuple(getattr(row, part) for part in parts): row for row in rows}
    stale = {
        key: row.pk
        for key, row in known.items()
        if key not in wanted
        or any(getattr(row, name) != value for name, value in vars(wanted[key]).items())
    }
    manager: Manager[Any] = model._default_manager
    for ids in chunks(stale.values()):
        manager.filter(pk__in=ids).delete()
    new = (
        model(project=project, **dict(zip(parts, key, strict=True)), **vars(wanted[key]))
        for key in wanted
        if key in stale or key not in known
    )
    # Row by row made and sent: PostgreSQL ends a transaction that waits for too long for Python.
    for some in chunks(new):
        manager.bulk_create(some)
