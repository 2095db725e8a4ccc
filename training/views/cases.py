"""The cases of guidelines beside the reward models that learn from people who work by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from annotations import exports
from training import access, selectors, services
from training.views.shared import show_page

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest


@login_required
@require_safe
def case_scores(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    """Show what reward models make of the cases in force, or of one's own draft."""
    project = access.get_project_for(request.user, project_id)
    is_draft = "draft" in request.GET
    context = {
        "kind": kind,
        "is_draft": is_draft,
        "table": selectors.case_table(project, _cases(request, project, kind, is_draft)),
    }
    return show_page(request, project, "training/case_scores.html", context)


@login_required
@require_POST
def replay_cases(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    """Let a reward model score the cases that it has not scored."""
    project = access.get_project_for(request.user, project_id)
    is_draft = "draft" in request.POST
    model = access.get_checkpoint_for(request.user, _number(request.POST.get("checkpoint", "")))
    cases = _cases(request, project, kind, is_draft)
    back = reverse("training:case_scores", args=[project_id, kind])
    try:
        if model.project_id != project.pk:
            raise services.ServiceError("Choose a reward model of this project.")
        started = services.start_replay(project, cases, model, started_by=request.user)
    except services.ServiceError as error:
        messages.error(request, str(error))
        return redirect(f"{back}?draft=1" if is_draft else back)
    return redirect("training:run", started.pk)


def _cases(
    request: AuthenticatedRequest, project: Project, kind: str, is_draft: bool
) -> list[exports.CaseRow]:
    if kind not in exports.GUIDELINES:
        raise Http404("There is no such kind of work.")
    return selectors.cases_of(project, kind, request.user if is_draft else None)


def _number(value: str) -> int:
    return int(value) if value.isdecimal() and len(value) < 19 else 0
