"""Where the current round stands, and the rounds before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_POST, require_safe

from training import access, selectors, services
from training.drivers import driver_of
from training.forms.automation import AutomationForm
from training.round_charts import Column, Span, rounds_chart
from training.views.shared import (
    LIST_SECONDS,
    Live,
    answer_fragment,
    attempt,
    render_live,
    run_row,
    show_page,
)

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest

MOST_COLUMNS = 12
"""Rounds that the picture has room for; the table has them all."""


@login_required
@require_safe
def loop(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    current = selectors.open_round(project)
    automation = selectors.automation_of(project)
    past = selectors.past_rounds(project)
    context = {
        "live": _loop_live(request, project),
        "round": current,
        "automation": automation,
        "automation_form": AutomationForm.of(automation),
        "promoted": selectors.promoted_checkpoint(project),
        "past": past,
        "rounds_svg": _rounds_svg(past),
    }
    return show_page(request, project, "training/loop.html", context)


@login_required
@require_safe
def loop_status(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    return answer_fragment(request, _loop_live(request, project))


@login_required
@require_POST
def open_round(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    attempt(request, lambda: services.open_round(project))
    return redirect("training:loop", project_id)


@login_required
@require_POST
def close_round(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    decision = request.POST.get("decision", "").strip()
    if decision:
        attempt(request, lambda: services.close_round(project, decision=decision))
    else:
        messages.error(request, "Say why the round ends without a promotion.")
    return redirect("training:loop", project_id)


def _rounds_svg(past: list[selectors.PastRound]) -> SafeString:
    """Return the picture of the newest rounds, oldest first."""
    columns = [
        Column(
            name=str(one.round.number),
            win_rate=_span(one.against_first),
            accuracy=_span(one.accuracy),
            people=one.people.value if one.people else None,
            labels=one.labels + one.votes,
            seconds=one.seconds,
        )
        for one in reversed(past[:MOST_COLUMNS])
    ]
    return mark_safe(rounds_chart(columns))  # noqa: S308  # names are escaped where it is drawn


def _span(found: selectors.Share | None) -> Span | None:
    return (found.value, found.low, found.high) if found else None


def _loop_live(request: AuthenticatedRequest, project: Project) -> Live:
    steps = selectors.loop_status(project, request.user)
    runs = [(step, run_row(step.run) if step.run else None) for step in steps]
    url = reverse("training:loop_status", args=[project.pk])
    context = {"steps": runs, "project": project, "driver": driver_of(project)}
    return render_live(request, "training/_loop_steps.html", context, url, LIST_SECONDS)
