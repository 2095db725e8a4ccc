"""Rates, statements and adjustments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import access, selectors, services
from annotations.csv_files import as_csv
from annotations.forms.pay import AdjustmentForm, RateForm
from annotations.models import PayEntry, Project, Role, User
from annotations.selectors import Period
from annotations.views.request import AuthenticatedRequest, SeeOther

PAGE_SIZE = 100
STATEMENT = (
    *("period", "username", "name", "answers", "active_seconds"),
    *("work", "adjusted", "total", "currency"),
)
ENTRY = (
    *("entry", "when", "what", "kind", "annotation", "active_ms"),
    *("amount_micros", "currency", "reason"),
)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def pay(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show a project's rates and what everybody has earned in a month; take a new rate."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    form = RateForm(request.POST or None, initial={"currency": selectors.currency_of(project)})
    if form.is_valid():
        try:
            services.set_rate(
                project,
                kind=form.cleaned_data["kind"],
                per_item=form.cleaned_data["per_item"],
                per_hour=form.cleaned_data["per_hour"],
                currency=form.cleaned_data["currency"],
                made_by=request.user,
                starts_at=form.starts_at(),
            )
        except services.ServiceError as error:
            form.add_error("starts_on", str(error))
        else:
            messages.success(request, "The rate is set. What was earned before stays as it is.")
            return SeeOther(reverse("annotations:pay", args=[project_id]))
    period = _period(request)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "form": form,
        "rates": _rows(selectors.rates_in_force(project)),
        "every_rate": _rows(selectors.rates_of(project)),
        "statements": selectors.statements(project, period),
        "period": period,
        "periods": selectors.periods_of(project),
    }
    return render(request, "annotations/pay.html", context, status=422 if form.is_bound else 200)


@login_required
@never_cache
@require_GET
def statements_file(request: AuthenticatedRequest, project_id: int) -> StreamingHttpResponse:
    """Send what everybody has earned in a month as CSV."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    period = _period(request)
    rows = (
        {
            "period": period,
            "username": one.person.username,
            "name": str(one.person),
            "answers": one.answers,
            "active_seconds": one.active_seconds,
            "work": one.work,
            "adjusted": one.adjusted,
            "total": one.total,
            "currency": one.currency,
        }
        for one in selectors.statements(project, period)
    )
    return _csv(f"pay-{project.pk}-{period}.csv", STATEMENT, rows)


@login_required
@never_cache
@require_GET
def statement(request: AuthenticatedRequest, project_id: int, user_id: int) -> HttpResponse:
    """Show what one person has earned in a month: to themselves, and to owners."""
    project, person = access.get_person_for(request.user, project_id, user_id)
    return _statement_page(request, project, person, None)


@login_required
@never_cache
@require_GET
def entries_file(
    request: AuthenticatedRequest, project_id: int, user_id: int
) -> StreamingHttpResponse:
    """Send every line of a statement as CSV, with its amount to the millionth."""
    project, person = access.get_person_for(request.user, project_id, user_id)
    period = _period(request)
    entries = selectors.entries_of(project, person, period).reverse().iterator(chunk_size=2000)
    rows = (
        {
            "entry": entry.pk,
            "when": entry.created_at.isoformat(),
            "what": entry.source,
            "kind": entry.annotation.kind if entry.annotation else "",
            "annotation": entry.annotation_id or "",
            "active_ms": entry.active_ms,
            "amount_micros": entry.amount_micros,
            "currency": entry.currency,
            "reason": entry.reason,
        }
        for entry in entries
    )
    return _csv(f"pay-{project.pk}-{person.pk}-{period}.csv", ENTRY, rows)


@login_required
@require_POST
def adjust(request: AuthenticatedRequest, project_id: int, user_id: int) -> HttpResponse:
    """Add to a person's statement of this month, or take from it."""
    access.get_project_for(request.user, project_id, Role.OWNER)
    project, person = access.get_person_for(request.user, project_id, user_id)
    form = AdjustmentForm(request.POST)
    if form.is_valid():
        try:
            services.adjust_pay(project, person, made_by=request.user, **form.cleaned_data)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(
                request, _("Written to the statement of %(person)s.") % {"person": person}
            )
            return SeeOther(reverse("annotations:statement", args=[project_id, user_id]))
    return _statement_page(request, project, person, form)


def _statement_page(
    request: AuthenticatedRequest, project: Project, person: User, form: AdjustmentForm | None
) -> HttpResponse:
    period = _period(request)
    membership = access.get_membership_for(request.user, project.pk)
    initial = {"currency": selectors.currency_of(project), "key": uuid4()}
    entries = Paginator(selectors.entries_of(project, person, period), PAGE_SIZE)
    page = entries.get_page(request.GET.get("page"))
    context = {
        "project": project,
        "membership": membership,
        "person": person,
        "is_own": person == request.user,
        "statements": selectors.statements_of(project, person, period),
        "by_kind": selectors.earnings_by_kind(project, person, period),
        "page": page,
        "entries": [{"entry": entry, "amount": _to_four_places(entry)} for entry in page],
        "period": period,
        "periods": selectors.periods_of(project, person),
        "rates": _rows(selectors.rates_in_force(project)),
        "form": form or AdjustmentForm(initial=initial),
        "may_adjust": membership.role == Role.OWNER,
        "is_adjusted_by_others": membership.role == Role.OWNER
        and person == request.user
        and selectors.has_another_owner(project, person),
    }
    status = 422 if form is not None else 200
    return render(request, "annotations/statement.html", context, status=status)


def _to_four_places(entry: PayEntry) -> str:
    """Return an entry's amount to a hundredth of a cent: what a page has room for."""
    return number_format(f"{entry.amount_micros / 1_000_000:.4f}")


def _rows(rates: Iterable[Any]) -> list[dict[str, object]]:
    return [
        {
            "rate": rate,
            "kind": _(rate.get_kind_display()) if rate.kind else _("All other kinds"),
            "words": selectors.rate_in_words(rate.per_item_micros, rate.per_hour_micros),
        }
        for rate in rates
    ]


def _period(request: HttpRequest) -> Period:
    return Period.named(request.GET.get("period", "")) or Period.now()


def _csv(
    name: str, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]
) -> StreamingHttpResponse:
    lines = as_csv(rows, columns)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
