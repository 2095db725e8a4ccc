"""Taking promotions back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from training import access, services
from training.views.shared import attempt

if TYPE_CHECKING:
    from training.models import Promotion
    from training.views.shared import AuthenticatedRequest


@login_required
@require_POST
def demote(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)

    def act() -> None:
        _announce(
            request,
            services.demote(
                project, demoted_by=request.user, reason=request.POST.get("reason", "")
            ),
        )

    attempt(request, act)
    return redirect("training:checkpoints", project_id)


@login_required
@require_POST
def roll_back(request: AuthenticatedRequest, promotion_id: int) -> HttpResponse:
    earlier = access.get_promotion_for(request.user, promotion_id)

    def act() -> None:
        reason = request.POST.get("reason", "")
        _announce(request, services.roll_back(earlier, rolled_back_by=request.user, reason=reason))

    attempt(request, act)
    return redirect("training:checkpoints", earlier.project_id)


def _announce(request: AuthenticatedRequest, promotion: Promotion) -> None:
    messages.success(request, f"{promotion.checkpoint} answers this project's prompts from now on.")
