"""Where the current round stands, and the rounds before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from training import access, selectors, services
from training.views.shared import (
    LIST_SECONDS,
    Live,
    answer_fragment,
    attempt,
    render_live,
    run_row,
    show_page,
    win_rate,
)

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest


@login_required
@require_safe
def loop(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    current = selectors.open_round(project)
    past = project.rounds.filter(ended_at__isnull=False).select_related(
        "policy", "sample_run", "reward_run", "policy_run__checkpoint", "evaluation", "promotion"
    )
    context = {
        "live": _loop_live(request, project),
        "round": current,
        "promoted": selectors.promoted_checkpoint(project),
        "past": [(one, win_rate(one.evaluation)) for one in past],
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


def _loop_live(request: AuthenticatedRequest, project: Project) -> Live:
    steps = selectors.loop_status(project, request.user)
    runs = [(step, run_row(step.run) if step.run else None) for step in steps]
    url = reverse("training:loop_status", args=[project.pk])
    return render_live(request, "training/_loop_steps.html", {"steps": runs}, url, LIST_SECONDS)
