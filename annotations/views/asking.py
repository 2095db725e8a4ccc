"""What is asked next, and what that saved: the page for those who lead a project."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotations import access
from annotations.models import Role
from annotations.selectors.asking import asking
from annotations.views.request import AuthenticatedRequest


@login_required
@require_GET
def next_items(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER, Role.ENGINEER)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "asking": asking(project),
    }
    return render(request, "annotations/next_items.html", context)
