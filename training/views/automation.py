"""Rounds that go on by themselves: the buttons of the loop page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from training import access, services
from training.forms.automation import AutomationForm
from training.views.shared import attempt

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest


@login_required
@require_POST
def set_automation(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    form = AutomationForm(request.POST)
    if form.is_valid():
        values = form.cleaned_data
        attempt(
            request,
            lambda: services.set_automation(project, **values, changed_by=request.user),
        )
    else:
        said = [str(error) for errors in form.errors.values() for error in errors]
        messages.error(request, f"Nothing was saved. {' '.join(said)}")
    return redirect("training:loop", project_id)


@login_required
@require_POST
def run_round(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    return _act(request, project_id, lambda p: services.run_round(p, wanted_by=request.user))


@login_required
@require_POST
def drive_by_hand(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    return _act(request, project_id, services.drive_by_hand)


@login_required
@require_POST
def retry_stage(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    return _act(request, project_id, services.retry_stage)


@login_required
@require_POST
def skip_stage(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    return _act(request, project_id, services.skip_stage)


def _act(
    request: AuthenticatedRequest, project_id: int, act: Callable[[Project], Any]
) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    attempt(request, lambda: act(project))
    return redirect("training:loop", project_id)
