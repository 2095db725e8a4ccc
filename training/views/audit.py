"""The audit log of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from training import access, selectors
from training.views.shared import show_page

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest

PAGE_SIZE = 50


@login_required
@require_safe
def audit(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show who did what to the project's models and data, and why."""
    project = access.get_project_for(request.user, project_id)
    page = Paginator(selectors.audit_log(project), PAGE_SIZE).get_page(request.GET.get("page"))
    return show_page(request, project, "training/audit.html", {"page": page})
