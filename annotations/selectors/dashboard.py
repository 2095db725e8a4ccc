"""What the dashboard shows: sums of the daily figures, and what is kept ready beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Max, Q, QuerySet, Sum
from django.utils import timezone

from annotations.algorithms.finish import Finish, finish
from annotations.algorithms.pay import to_cents
from annotations.algorithms.shares import Share, wilson
from annotations.models import DailyWork, Kind, PayRate, Project, User
from annotations.selectors.daily import summed_up_to
from annotations.selectors.standing import QueueCount, Stand, standing

SPANS = (30, 90, 365)
"""Days that the page can look back."""
DAILY_UP_TO = 31
"""Longer spans are summed by week."""
PACE_DAYS = 28
"""Past days that a forecast is made from: whole weeks, because weekends are unlike other days."""
MOST_PEOPLE = 100
MOST_TAGS = 20
MS_AN_HOUR = 3_600_000
SUMS = ("answers", "imported", "gold", "gold_right", "timed", "active_ms")


@dataclass(frozen=True)
class Sums:
    """What was done in one part of the work, such as a week or by one person."""

    name: str
    answers: int = 0
    imported: int = 0
    gold: int = 0
    gold_right: int = 0
    timed: int = 0
    active_ms: int = 0
    last: date | None = None

    @property
    def rightness(self) -> Share:
        """Return the share of answers to gold items that are as known."""
        return wilson(self.gold_right, self.gold)

    @property
    def an_hour(self) -> float | None:
        """Return the answers in an hour at work."""
        return self.timed * MS_AN_HOUR / self.active_ms if self.active_ms else None

    @property
    def hours(self) -> float:
        return self.active_ms / MS_AN_HOUR

    @property
    def seconds(self) -> float | None:
        """Return how long an answer takes, in the mean."""
        return self.active_ms / self.timed / 1000 if self.timed else None


@dataclass(frozen=True)
class Bin:
    """A day, or the week that begins with it."""

    start: date
    all: Sums
    by_kind: dict[str, int]
    """Answers."""
    spent: dict[tuple[str, str], int]
    """By currency and kind, in micros."""


@dataclass(frozen=True)
class Outlook:
    """What is left of one kind of work, when it is done and what it will cost."""

    count: QueueCount
    finish: Finish | None
    cost: Decimal | None = None
    currency: str = ""

    @property
    def left(self) -> int:
        return self.count.open_places + self.count.leased

    @property
    def filled_percent(self) -> int:
        return 100 * self.count.filled_places // self.count.places if self.count.places else 0

    @property
    def done_on(self) -> tuple[date, date, date] | None:
        """Return the day on which it is done, the earliest and the latest."""
        if self.finish is None:
            return None
        today = timezone.now().date()
        ends = (self.finish.days, self.finish.low, self.finish.high)
        middle, early, late = (today + timedelta(days=round(days)) for days in ends)
        return middle, early, late


@dataclass(frozen=True)
class Spent:
    """What was spent in one currency."""

    currency: str
    micros: int
    paid: int

    @property
    def amount(self) -> Decimal:
        return to_cents(self.micros)

    @property
    def an_answer(self) -> Decimal | None:
        return to_cents(self.micros // self.paid) if self.paid > 0 else None


@dataclass(frozen=True)
class Dashboard:
    """Everything on the page but agreement, which is kept on its own."""

    read_at: datetime | None
    """Up to when what people did is summed; None if that was never done."""
    span: int
    is_weekly: bool
    bins: list[Bin]
    weeks: list[Bin]
    """The same where that is by week: what days have too little of, such as gold items."""
    kinds: list[str]
    """That are shown."""
    known_kinds: list[str]
    """That anybody shown has ever worked on."""
    whole: Sums
    """Of the span."""
    ever: Sums
    people: list[tuple[int, Sums]]
    tags: list[Sums]
    stand: Stand | None
    outlooks: list[Outlook]
    """None of some people alone: what is left is left for everybody."""
    spent: list[Spent]
    rates: list[PayRate]
    """That began within the span, the newest first."""


def dashboard(
    project: Project, span: int, *, kind: str = "", people: Collection[int] | None = None
) -> Dashboard:
    """Return what the page shows of the last days, today included.

    With `kind`, of that kind of work; with `people`, of what they did.
    """
    today = timezone.now().date()
    first = today - timedelta(days=span - 1)
    is_weekly = span > DAILY_UP_TO
    who = Q() if people is None else Q(person__in=people)
    asked = who & (Q(kind=kind) if kind else Q())
    ever = list(_summed(project.daily_work.filter(who, tag=""), "kind"))
    in_span = project.daily_work.filter(asked, day__gte=first)
    all_tags = in_span.filter(tag="")
    by_day = list(_summed(all_tags, "day", "kind"))
    costs = list(
        project.daily_costs.filter(asked, day__gte=first)
        .order_by("day", "kind", "currency")
        .values_list("day", "kind", "currency")
        .annotate(micros=Sum("micros"), paid=Sum("paid"))
    )
    stand = standing(project)
    bins = _bins(by_day, costs, first, today, is_weekly=is_weekly)
    rates = list(project.pay_rates.filter(starts_at__date__gte=first).order_by("-starts_at"))
    return Dashboard(
        read_at=summed_up_to(project),
        span=span,
        is_weekly=is_weekly,
        bins=bins,
        weeks=bins if is_weekly else _bins(by_day, costs, first, today, is_weekly=True),
        kinds=[one for one in Kind.values if any(r["kind"] == one for r in by_day)],
        known_kinds=[one for one in Kind.values if any(r["kind"] == one for r in ever)],
        whole=_total("", by_day),
        ever=_total("", [row for row in ever if kind in ("", row["kind"])]),
        people=_people(all_tags),
        tags=_tags(in_span.exclude(tag="")),
        stand=stand,
        outlooks=[
            one
            for one in (_outlooks(project, stand, by_day, costs, today) if stand else [])
            if people is None and kind in ("", one.count.kind)
        ],
        spent=_spent(costs),
        rates=[rate for rate in rates if not kind or rate.kind in ("", kind)],
    )


def _summed(work: QuerySet[DailyWork], *by: str, **more: Any) -> Iterable[dict[str, Any]]:
    sums: dict[str, Any] = {name: Sum(name) for name in SUMS} | more
    return work.order_by(*by).values(*by).annotate(**sums)


def _total(name: str, rows: Sequence[dict[str, Any]], last: date | None = None) -> Sums:
    sums = {part: sum(row[part] or 0 for row in rows) for part in SUMS}
    return Sums(name=name, last=last, **sums)


def _bins(
    by_day: Sequence[dict[str, Any]],
    costs: Sequence[tuple[date, str, str, int, int]],
    first: date,
    today: date,
    *,
    is_weekly: bool,
) -> list[Bin]:
    """Return every day or week of the span, those without work as well."""
    step = timedelta(days=7 if is_weekly else 1)
    start = first - timedelta(days=first.weekday()) if is_weekly else first
    bins = []
    while start <= today:
        end = start + step
        rows = [row for row in by_day if start <= row["day"] < end]
        by_kind: dict[str, int] = {}
        for row in rows:
            by_kind[row["kind"]] = by_kind.get(row["kind"], 0) + row["answers"] + row["imported"]
        spent: dict[tuple[str, str], int] = {}
        for day, kind, currency, micros, _ in costs:
            if start <= day < end:
                spent[currency, kind] = spent.get((currency, kind), 0) + micros
        bins.append(Bin(start, _total(start.isoformat(), rows), by_kind, spent))
        start = end
    return bins


def _people(work: QuerySet[DailyWork]) -> list[tuple[int, Sums]]:
    """Return who did most, those who did most first."""
    rows = list(_summed(work, "person", last=Max("day")))
    rows.sort(key=lambda row: (-(row["answers"] + row["imported"] + row["gold"]), row["person"]))
    found = rows[:MOST_PEOPLE]
    names = User.objects.in_bulk([row["person"] for row in found])
    return [(row["person"], _total(str(names[row["person"]]), [row], row["last"])) for row in found]


def _tags(work: QuerySet[DailyWork]) -> list[Sums]:
    found = [_total(row["tag"], [row]) for row in _summed(work, "tag")]
    return sorted(found, key=lambda one: (-one.answers - one.imported, one.name))[:MOST_TAGS]


def _outlooks(
    project: Project,
    stand: Stand,
    by_day: Sequence[dict[str, Any]],
    costs: Sequence[tuple[date, str, str, int, int]],
    today: date,
) -> list[Outlook]:
    """Return what is left of each kind that there are items of."""
    changed: dict[str, date] = {}
    for kind, starts_at in project.pay_rates.order_by("starts_at").values_list("kind", "starts_at"):
        if starts_at.date() <= today:
            changed[kind] = starts_at.date()
    found = []
    for kind, count in stand.counts.items():
        if not count.items:
            continue
        done = {row["day"]: row["answers"] for row in by_day if row["kind"] == kind}
        left = count.open_places + count.leased
        since = max(changed.get(kind, changed.get("", date.min)), today - timedelta(days=PACE_DAYS))
        price = _price(kind, costs, since)
        cost, currency = (None, "") if price is None else (to_cents(int(price[0] * left)), price[1])
        found.append(Outlook(count, finish(left, _pace(done, today)), cost, currency))
    return found


def _pace(done: dict[date, int], today: date) -> list[int]:
    """Return what was done on each of the past days, from the first with work.

    Today is not over and counts only where there is no other day.
    """
    days = [today - timedelta(days=ago) for ago in range(PACE_DAYS, 0, -1)]
    counts = [done.get(day, 0) for day in days]
    while counts and not counts[0]:
        counts.pop(0)
    return counts or [done.get(today, 0)]


def _price(
    kind: str, costs: Sequence[tuple[date, str, str, int, int]], since: date
) -> tuple[Decimal, str] | None:
    """Return the micros that an answer costs since the rate last changed, and the currency.

    On the day of the change both rates held; it counts only until there is a whole one.
    """
    rows = [row for row in costs if row[1] == kind and row[0] >= since]
    rows = [row for row in rows if row[0] > since] or rows
    currencies = {row[2] for row in rows}
    paid = sum(row[4] for row in rows)
    if len(currencies) != 1 or paid <= 0:
        return None
    return Decimal(sum(row[3] for row in rows)) / paid, currencies.pop()


def _spent(costs: Sequence[tuple[date, str, str, int, int]]) -> list[Spent]:
    return [
        Spent(
            currency,
            sum(row[3] for row in costs if row[2] == currency),
            sum(row[4] for row in costs if row[2] == currency),
        )
        for currency in sorted({row[2] for row in costs})
    ]
