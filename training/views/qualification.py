"""What an owner decides by hand about the work that a person may do."""

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
    from training.views.shared import AuthenticatedRequest


@login_required
@require_POST
def decide_kind(request: AuthenticatedRequest, project_id: int, user_id: int) -> HttpResponse:
    """Grant, withdraw or leave to the rules; the page of the person has the form."""
    project, person = access.get_person_for(request.user, project_id, user_id)

    def act() -> None:
        services.decide_kind(
            project,
            person,
            request.POST.get("kind", ""),
            request.POST.get("decision", ""),
            reason=request.POST.get("reason", ""),
            decided_by=request.user,
        )
        messages.success(request, "Decided. It holds from the next item that is handed out.")

    attempt(request, act)
    return redirect("annotations:person", project_id, user_id)
