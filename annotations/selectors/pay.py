"""Rates, and what people have earned: by person and by month."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _

from annotations.algorithms.pay import MICROS, to_cents
from annotations.models import Annotation, Kind, PayEntry, PayRate, Project, User

Source = PayEntry.Source


@dataclass(frozen=True, order=True)
class Period:
    """A month, in the time zone of the server."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> Period:
        local = timezone.localtime(moment)
        return cls(local.year, local.month)

    @classmethod
    def now(cls) -> Period:
        return cls.of(timezone.now())

    @classmethod
    def named(cls, name: str) -> Period | None:
        """Return the month that is written 2026-11, or None if this is no month."""
        found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", name, re.ASCII)
        if found is None or found[1] in ("0000", "9999"):
            return None
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    @property
    def start(self) -> datetime:
        return timezone.make_aware(datetime(self.year, self.month, 1))

    @property
    def next(self) -> Period:
        years, month = divmod(self.month, 12)
        return Period(self.year + years, month + 1)

    @property
    def words(self) -> str:
        return date_format(self.start, "F Y")


@dataclass(frozen=True)
class Statement:
    """What a person has earned in a month, in one currency."""

    person: User
    currency: str
    answers: int
    """Handed in, less those taken back or replaced."""
    active: timedelta
    work_micros: int
    adjusted_micros: int

    @property
    def work(self) -> Decimal:
        return to_cents(self.work_micros)

    @property
    def adjusted(self) -> Decimal:
        return to_cents(self.adjusted_micros)

    @property
    def total(self) -> Decimal:
        return to_cents(self.work_micros + self.adjusted_micros)

    @property
    def active_seconds(self) -> int:
        return int(self.active.total_seconds())


@dataclass(frozen=True)
class KindEarnings:
    """What one kind of work came to by one rate."""

    kind: str
    currency: str
    per_item_micros: int
    per_hour_micros: int
    answers: int
    active: timedelta
    amount_micros: int

    @property
    def label(self) -> str:
        return Kind(self.kind).label

    @property
    def amount(self) -> Decimal:
        return to_cents(self.amount_micros)

    @property
    def rate_words(self) -> str:
        return rate_in_words(self.per_item_micros, self.per_hour_micros)


def rate_in_words(per_item: int, per_hour: int) -> str:
    """Return a rate as people say it.

    >>> rate_in_words(300_000, 15_000_000)
    '0.30 an item, at least 15.00 an hour at work'
    >>> rate_in_words(0, 15_000_000), rate_in_words(0, 0)
    ('15.00 an hour at work', 'unpaid')
    """
    rates = {"item": _plain(per_item), "hour": _plain(per_hour)}
    if per_item and per_hour:
        return _("%(item)s an item, at least %(hour)s an hour at work") % rates
    if per_item:
        return _("%(item)s an item") % rates
    return _("%(hour)s an hour at work") % rates if per_hour else _("unpaid")


def _plain(micros: int) -> str:
    """Return an amount with at least two places, and with more only where it has them."""
    rest = f"{Decimal(micros) / MICROS:.6f}".partition(".")[2].rstrip("0")
    return number_format(Decimal(micros) / MICROS, max(2, len(rest)))


def rates_of(project: Project) -> QuerySet[PayRate]:
    """Return every rate that a project ever had, the newest first."""
    return project.pay_rates.select_related("created_by").order_by("-starts_at", "-id")


def rates_in_force(project: Project) -> list[PayRate]:
    """Return the rate of today for all kinds, and for each kind that has its own."""
    begun = project.pay_rates.filter(starts_at__lte=timezone.now()).order_by("starts_at", "id")
    latest = {rate.kind: rate for rate in begun}
    return [latest[kind] for kind in ("", *Kind.values) if kind in latest]


def currency_of(project: Project) -> str:
    """Return the currency that a project pays in: that of its newest rate."""
    newest = project.pay_rates.order_by("-id").values_list("currency", flat=True).first()
    return newest or "USD"


def statements(project: Project, period: Period) -> list[Statement]:
    """Return what everybody has earned in a month, by name."""
    rows = list(_summed(_entries(period).filter(project=project), "person_id"))
    people = User.objects.in_bulk([row["person_id"] for row in rows])
    found = [_statement(people[row["person_id"]], row) for row in rows]
    return sorted(found, key=lambda one: (str(one.person).lower(), one.person.pk, one.currency))


def statements_of(project: Project, person: User, period: Period) -> list[Statement]:
    """Return what a person has earned in a month: one statement for each currency."""
    entries = _entries(period).filter(project=project, person=person)
    return [_statement(person, row) for row in _summed(entries)]


def earnings_by_kind(project: Project, person: User, period: Period) -> list[KindEarnings]:
    """Return what a person has earned in a month by each kind of work and rate."""
    entries = _entries(period).filter(project=project, person=person, annotation__isnull=False)
    # Looked up for each: joined, PostgreSQL would read every annotation for a month of one person.
    kind = Subquery(Annotation.objects.filter(id=OuterRef("annotation")).values("kind"))
    rows = (
        entries.annotate(kind=kind)
        .order_by("kind", "rate__starts_at")
        .values("kind", "currency", "rate__per_item_micros", "rate__per_hour_micros")
        .annotate(
            paid=PAID,
            reversed=REVERSED,
            ms=Sum("active_ms"),
            micros=Sum("amount_micros"),
        )
    )
    return [
        KindEarnings(
            kind=row["kind"],
            currency=row["currency"],
            per_item_micros=row["rate__per_item_micros"] or 0,
            per_hour_micros=row["rate__per_hour_micros"] or 0,
            answers=row["paid"] - row["reversed"],
            active=timedelta(milliseconds=int(row["ms"])),
            amount_micros=int(row["micros"]),
        )
        for row in rows
    ]


def entries_of(project: Project, person: User, period: Period) -> QuerySet[PayEntry]:
    """Return the lines of a person's statement, the newest first."""
    entries = _entries(period).filter(project=project, person=person)
    return entries.select_related("annotation", "made_by", "rate").order_by("-created_at", "-id")


def earned_in(project: Project, person: User, period: Period, currency: str) -> int:
    """Return what a person has earned in a month, in micros of a currency."""
    entries = _entries(period).filter(project=project, person=person, currency=currency)
    return int(entries.aggregate(micros=Sum("amount_micros"))["micros"] or 0)


def earned_by(person: User, project: Project) -> list[str]:
    """Return what a person has earned in a project in all, in words: one for each currency."""
    sums = (
        PayEntry.objects.filter(project=project, person=person)
        .order_by("currency")
        .values_list("currency")
        .annotate(micros=Sum("amount_micros"))
    )
    return [f"{number_format(to_cents(int(micros)))} {currency}" for currency, micros in sums]


def periods_of(project: Project, person: User | None = None) -> list[Period]:
    """Return the months from the first entry to the last and this one, the newest first."""
    entries = PayEntry.objects.filter(project=project)
    if person is not None:
        entries = entries.filter(person=person)
    bounds = entries.aggregate(first=Min("created_at"), last=Max("created_at"))
    now = Period.now()
    if bounds["first"] is None:
        return [now]
    months = [min(Period.of(bounds["first"]), now)]
    while months[-1] < max(Period.of(bounds["last"]), now):
        months.append(months[-1].next)
    return months[::-1]


PAID = Count("id", filter=Q(source=Source.WORK))
REVERSED = Count("id", filter=Q(source=Source.REVERSAL))


def _entries(period: Period) -> QuerySet[PayEntry]:
    return PayEntry.objects.filter(created_at__gte=period.start, created_at__lt=period.next.start)


def _summed(entries: QuerySet[PayEntry], *by: str) -> QuerySet[PayEntry, dict[str, Any]]:
    adjusted = Q(source=Source.ADJUSTMENT)
    return (
        entries.order_by("currency")
        .values("currency", *by)
        .annotate(
            paid=PAID,
            reversed=REVERSED,
            ms=Sum("active_ms"),
            work=Sum("amount_micros", filter=~adjusted, default=0),
            adjusted=Sum("amount_micros", filter=adjusted, default=0),
        )
    )


def _statement(person: User, row: dict[str, Any]) -> Statement:
    return Statement(
        person=person,
        currency=row["currency"],
        answers=row["paid"] - row["reversed"],
        active=timedelta(milliseconds=int(row["ms"])),
        work_micros=int(row["work"]),
        adjusted_micros=int(row["adjusted"]),
    )
