"""Reporting answers that misbehave, and deciding what becomes of the reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotations import access, exports, selectors, services
from annotations.algorithms.text import letter_of
from annotations.forms.tickets import (
    REASONS,
    STATES,
    CheckForm,
    DismissForm,
    ReportForm,
    TicketFilterForm,
    initial_check,
)
from annotations.keys import bindings_for, key_name
from annotations.models import Assignment, Completion, RegressionCase, Role, Ticket, TicketReport
from annotations.views.request import AuthenticatedRequest, SeeOther, is_from_script

PAGE_SIZE = 50
ENGINEERING = (Role.OWNER, Role.ENGINEER)
"""Who may know which checkpoint wrote what."""


@login_required
@require_POST
def report_shown(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    """Report one of the answers of an assignment by its place: their ids would tell of them."""
    assignment = access.get_assignment_for(request.user, assignment_id)
    shown = selectors.reportable_completions(assignment)
    form = ReportForm(request.POST)
    letters = "".join(letter_of(place) for place in range(1, len(shown) + 1))
    panel = {
        "url": reverse("annotations:report_shown", args=[assignment.pk]),
        "letters": list(letters) if len(letters) > 1 else [],
        "key": key_name(bindings_for(request.user)["report"]),
    }
    back = _page_of(assignment)
    if form.is_valid() and form.cleaned_data["position"] > len(shown):
        form.add_error("position", "That answer is not shown any more. Choose one that is.")
    if not form.is_valid():
        return _refused(request, form.problem(), panel, back)
    place = form.cleaned_data["position"]
    return _report(request, shown[place - 1], form, panel, back)


@login_required
@require_GET
@never_cache
def tickets(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, *access.DECIDING)
    membership = access.get_membership_for(request.user, project_id)
    form = TicketFilterForm({"state": "unsettled", **request.GET.dict()})
    chosen = {"state": "", "reason": "", **(form.cleaned_data if form.is_valid() else {})}
    knows_checkpoints = membership.role in ENGINEERING
    checkpoint: int | None = form.cleaned_data.get("checkpoint") if knows_checkpoints else None
    found = selectors.tickets_of(
        project,
        request.user,
        state=chosen["state"],
        reason=chosen["reason"],
        checkpoint=checkpoint,
    )
    reported = selectors.reported_checkpoints(project, request.user) if knows_checkpoints else []
    counts = selectors.tickets_by_state(project)
    context = {
        "project": project,
        "membership": membership,
        "page": Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")),
        "chosen": chosen,
        "states": STATES,
        "reasons": REASONS,
        "counts": [(state.label, counts.get(state.value, 0)) for state in Ticket.State],
        "knows_checkpoints": knows_checkpoints,
        "checkpoints": reported,
        "has_any": bool(counts),
    }
    return render(request, "annotations/tickets.html", context)


@login_required
@require_GET
@never_cache
def ticket(request: AuthenticatedRequest, ticket_id: int) -> HttpResponse:
    ticket = access.get_ticket_for(request.user, ticket_id)
    return _ticket_page(request, ticket)


@login_required
@require_POST
def ask_for_rewrite(request: AuthenticatedRequest, ticket_id: int) -> HttpResponse:
    ticket = access.get_ticket_for(request.user, ticket_id)
    told = "It is in the queue, ahead of other rewrites."
    return _set_check(request, ticket, services.ask_for_rewrite, told)


@login_required
@require_POST
def change_check(request: AuthenticatedRequest, ticket_id: int) -> HttpResponse:
    ticket = access.get_ticket_for(request.user, ticket_id)
    return _set_check(request, ticket, services.change_check, "The check is changed.")


@login_required
@require_POST
def dismiss(request: AuthenticatedRequest, ticket_id: int) -> HttpResponse:
    ticket = access.get_ticket_for(request.user, ticket_id)
    form = DismissForm(request.POST)
    if form.is_valid():
        try:
            services.dismiss(ticket, request.user, form.cleaned_data["words"])
        except services.ServiceError as error:
            form.add_error("words", str(error))
        else:
            messages.success(request, f"{ticket} is dismissed.")
            return SeeOther(_url_of(ticket))
    return _ticket_page(request, ticket, dismiss_form=form)


@login_required
@require_POST
def take_up_again(request: AuthenticatedRequest, ticket_id: int) -> HttpResponse:
    ticket = access.get_ticket_for(request.user, ticket_id)
    try:
        services.take_up_again(ticket, request.user)
    except services.ServiceError as error:
        messages.warning(request, str(error))
    return SeeOther(_url_of(ticket))


def _report(
    request: AuthenticatedRequest,
    completion: Completion,
    form: ReportForm,
    panel: dict[str, Any],
    back: str,
) -> HttpResponse:
    reason, words = form.cleaned_data["reason"], form.cleaned_data["words"]
    source = form.cleaned_data["source"] or TicketReport.Source.QUEUE
    try:
        services.report(completion, request.user, reason, words, source=source)
    except services.ServiceError as error:
        return _refused(request, str(error), panel, back)
    if not is_from_script(request):
        messages.success(request, _("Reported. Thank you; it is looked into."))
        return SeeOther(back)
    return _panel(request, panel | {"is_reported": True})


def _refused(
    request: AuthenticatedRequest, problem: str, panel: dict[str, Any], back: str
) -> HttpResponse:
    """Say what is wrong beside what was entered, or after going back where there is no script."""
    if not is_from_script(request):
        messages.warning(request, problem)
        return SeeOther(back)
    position = request.POST.get("position", "")
    entered = {
        "position": int(position) if position in map(str, range(1, 100)) else 0,
        "words": request.POST.get("words", ""),
        "problem": problem,
    }
    return _panel(request, panel | entered, status=422)


def _panel(
    request: AuthenticatedRequest, panel: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    name = request.POST.get("panel", "")
    is_name = name.replace("-", "").isalnum() and len(name) <= 50
    source = request.POST.get("source", "")
    context = panel | {
        "name": name if is_name else "report",
        "source": source if source in TicketReport.Source.values else "queue",
        "reasons": Ticket.Reason.choices,
    }
    return render(request, "annotations/_report.html", context, status=status)


def _page_of(assignment: Assignment) -> str:
    return reverse("annotations:assignment", args=[assignment.pk])


def _url_of(ticket: Ticket) -> str:
    return reverse("annotations:ticket", args=[ticket.pk])


def _set_check(
    request: AuthenticatedRequest, ticket: Ticket, service: Callable[..., object], told: str
) -> HttpResponse:
    form = CheckForm(request.POST)
    if form.is_valid():
        try:
            service(
                ticket,
                request.user,
                kind=form.cleaned_data["kind"],
                parameters=form.parameters(),
                answers=form.cleaned_data["answers"],
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, told)
            return SeeOther(_url_of(ticket))
    return _ticket_page(request, ticket, check_form=form)


def _ticket_page(
    request: AuthenticatedRequest,
    ticket: Ticket,
    *,
    check_form: CheckForm | None = None,
    dismiss_form: DismissForm | None = None,
) -> HttpResponse:
    membership = access.get_membership_for(request.user, ticket.project_id)
    case = RegressionCase.objects.filter(ticket=ticket).first()
    rewrite = exports.rewrite_of(ticket)
    is_rejected = rewrite is not None and rewrite.is_rejected
    context = {
        "project": ticket.project,
        "membership": membership,
        "ticket": ticket,
        "completion": ticket.completion,
        "reports": ticket.reports.select_related("reporter"),
        "events": ticket.events.select_related("person"),
        "case": case,
        "check_words": selectors.check_in_words(case) if case else [],
        "rewrite": rewrite,
        "objections": selectors.objections_to_check(ticket, rewrite.accepted if rewrite else None),
        "can_ask": ticket.state == Ticket.State.OPEN
        or (ticket.state == Ticket.State.REWRITTEN and is_rejected),
        "can_dismiss": ticket.state in (Ticket.State.OPEN, Ticket.State.REWRITING),
        "knows_checkpoints": membership.role in ENGINEERING
        and not selectors.is_blind_to(request.user, ticket),
        "sees_item": membership.role in (Role.OWNER, Role.REVIEWER),
        "check_form": check_form or CheckForm(initial=initial_check(ticket, case)),
        "dismiss_form": dismiss_form or DismissForm(),
    }
    status = 422 if check_form or dismiss_form else 200
    return render(request, "annotations/ticket.html", context, status=status)
