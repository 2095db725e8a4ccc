"""Rates, what people have earned, and what owners add to it or take from it.

Amounts are texts, such as "0.30": no language rounds them on the way.
"""

from __future__ import annotations

import datetime as dates
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import uuid4

from django.http import Http404
from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.algorithms.pay import MICROS
from annotations.api.operations import Answer, Body, Call, Operations, Query
from annotations.api.pages import Page, Paged, page_of
from annotations.api.people import PersonOut, person_out
from annotations.api.problems import expect_valid
from annotations.forms.pay import AdjustmentForm, RateForm
from annotations.models import Kind, PayEntry, PayRate, Role, Scope
from annotations.selectors import Period, Statement

operations = Operations("Pay")

MONTH = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
Month = Annotated[str, StringConstraints(pattern=MONTH)]
Rate = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?$")]
Change = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,6}(\.[0-9]{1,2})?$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class RateOut(Answer):
    """What a kind of work earns from a moment on; of the two, whichever comes to more."""

    id: int
    kind: Kind | None = Field(description="Null: every kind without a rate of its own.")
    per_item: str
    per_hour: str = Field(description="For an hour of active time.")
    currency: str
    starts_at: datetime


class NewRate(Body):
    """What a kind of work is to earn from a day on."""

    kind: Kind | None = Field(None, description="Null: every kind without a rate of its own.")
    per_item: Rate = "0"
    per_hour: Rate = "0"
    currency: Currency
    starts_on: dates.date | None = Field(
        None, description="The beginning of that day, today or later. Null: from now on."
    )


class StatementOut(Answer):
    """What a person has earned in a month, in one currency."""

    person: PersonOut
    currency: str
    answers: int = Field(description="Handed in, less those taken back or replaced.")
    active_seconds: int
    work: str
    adjusted: str
    total: str


class Statements(Answer):
    """What everybody has earned in a month."""

    period: str
    periods: list[str] = Field(description="The months that there are, the newest first.")
    statements: list[StatementOut]


class Earned(Answer):
    """What one kind of work came to by one rate."""

    kind: Kind
    currency: str
    per_item: str
    per_hour: str
    answers: int
    active_seconds: int
    amount: str


class PersonStatement(Answer):
    """What one person has earned in a month; a statement for each currency."""

    period: str
    periods: list[str] = Field(description="The months that there are, the newest first.")
    statements: list[StatementOut]
    by_kind: list[Earned]
    rates: list[RateOut] = Field(description="Those in force today.")


class EntryOut(Answer):
    """One line of the ledger. It never changes: what was wrong is put right by another one."""

    id: int
    source: PayEntry.Source = Field(
        description="A `reversal` takes back what an answer had earned that was taken back or "
        "corrected."
    )
    kind: Kind | None
    annotation: int | None
    active_ms: int
    amount: str
    currency: str
    reason: str = Field(description="Of an adjustment.")
    created_at: datetime


class OfMonth(Query):
    """A month."""

    period: Month | None = Field(None, description="Such as 2026-11; this month by default.")


class EntryFilters(Paged):
    period: Month | None = Field(None, description="Such as 2026-11; this month by default.")


class Adjustment(Body):
    """What is added to a statement, or taken from it."""

    amount: Change = Field(description="Such as 12.50; below zero takes something away.")
    currency: Currency
    reason: Annotated[
        str,
        StringConstraints(min_length=1, max_length=300),
        Field(json_schema_extra={"pattern": r"[^\s\x1c-\x1f\x85]"}),
    ] = Field(description="The person reads it on their statement.")
    below_zero: bool = Field(False, description="Even if the month is below zero then.")


@operations.get("projects/<int:project_id>/rates")
def list_rates(call: Call, project_id: int, query: Paged) -> Page[RateOut]:
    """List every rate that a project ever had. Its owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    return page_of(selectors.rates_of(project), query, _rate)


@operations.post("projects/<int:project_id>/rates", Scope.PAY, status=201)
def set_rate(call: Call, project_id: int, body: NewRate) -> RateOut:
    """Let a rate hold from a moment on. What was earned stays as it is. Owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    form = RateForm(body.model_dump(mode="json"))
    expect_valid(form)
    rate = services.set_rate(
        project,
        kind=form.cleaned_data["kind"],
        per_item=form.cleaned_data["per_item"],
        per_hour=form.cleaned_data["per_hour"],
        currency=form.cleaned_data["currency"],
        made_by=call.user,
        starts_at=form.starts_at(),
    )
    return _rate(rate)


@operations.get("projects/<int:project_id>/statements")
def list_statements(call: Call, project_id: int, query: OfMonth) -> Statements:
    """Show what everybody has earned in a month, by name. Owners of the project can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    period = _period(query.period)
    return Statements(
        period=str(period),
        periods=[str(one) for one in selectors.periods_of(project)],
        statements=[_statement(one) for one in selectors.statements(project, period)],
    )


@operations.get("projects/<int:project_id>/people/<int:user_id>/statement")
def get_statement(call: Call, project_id: int, user_id: int, query: OfMonth) -> PersonStatement:
    """Show what one person has earned in a month: to themselves, and to owners."""
    project, person = access.get_person_for(call.user, project_id, user_id)
    period = _period(query.period)
    return PersonStatement(
        period=str(period),
        periods=[str(one) for one in selectors.periods_of(project, person)],
        statements=[_statement(one) for one in selectors.statements_of(project, person, period)],
        by_kind=[
            Earned(
                kind=Kind(one.kind),
                currency=one.currency,
                per_item=_exact(one.per_item_micros),
                per_hour=_exact(one.per_hour_micros),
                answers=one.answers,
                active_seconds=int(one.active.total_seconds()),
                amount=str(one.amount),
            )
            for one in selectors.earnings_by_kind(project, person, period)
        ],
        rates=[_rate(one) for one in selectors.rates_in_force(project)],
    )


@operations.get("projects/<int:project_id>/people/<int:user_id>/pay-entries")
def list_pay_entries(
    call: Call, project_id: int, user_id: int, query: EntryFilters
) -> Page[EntryOut]:
    """List the lines of a person's statement of a month: to themselves, and to owners."""
    project, person = access.get_person_for(call.user, project_id, user_id)
    return page_of(selectors.entries_of(project, person, _period(query.period)), query, _entry)


@operations.post(
    "projects/<int:project_id>/people/<int:user_id>/adjustments", Scope.PAY, status=201
)
def adjust_pay(call: Call, project_id: int, user_id: int, body: Adjustment) -> EntryOut:
    """Add to a person's statement of this month, or take from it. Owners can.

    Send an `Idempotency-Key`: without one, the same request twice adjusts twice.
    """
    access.get_project_for(call.user, project_id, Role.OWNER)
    project, person = access.get_person_for(call.user, project_id, user_id)
    form = AdjustmentForm({**body.model_dump(), "key": uuid4()})
    expect_valid(form)
    adjusted = services.adjust_pay(project, person, made_by=call.user, **form.cleaned_data)
    return _entry(adjusted)


def _period(name: str | None) -> Period:
    if name is None:
        return Period.now()
    period = Period.named(name)
    if period is None:
        raise Http404("There is no such month.")
    return period


def _exact(micros: int) -> str:
    """Return an amount to the millionth: what the ledger knows."""
    return f"{Decimal(micros) / MICROS:.6f}"


def _rate(rate: PayRate) -> RateOut:
    return RateOut(
        id=rate.pk,
        kind=Kind(rate.kind) if rate.kind else None,
        per_item=_exact(rate.per_item_micros),
        per_hour=_exact(rate.per_hour_micros),
        currency=rate.currency,
        starts_at=rate.starts_at,
    )


def _statement(found: Statement) -> StatementOut:
    amounts: dict[str, Any] = {n: str(getattr(found, n)) for n in ("work", "adjusted", "total")}
    return StatementOut(
        person=person_out(found.person),
        currency=found.currency,
        answers=found.answers,
        active_seconds=found.active_seconds,
        **amounts,
    )


def _entry(entry: PayEntry) -> EntryOut:
    return EntryOut(
        id=entry.pk,
        source=PayEntry.Source(entry.source),
        kind=Kind(entry.annotation.kind) if entry.annotation else None,
        annotation=entry.annotation_id,
        active_ms=entry.active_ms,
        amount=_exact(entry.amount_micros),
        currency=entry.currency,
        reason=entry.reason,
        created_at=entry.created_at,
    )
