"""Signs that somebody does not look at what they judge: the evidence, and what is decided."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotations import access, services
from annotations.forms.flags import FlagForm
from annotations.models import Role
from annotations.selectors import flags as selected
from annotations.views.request import AuthenticatedRequest, SeeOther


@login_required
@require_GET
@never_cache
def flags(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """List what stands out, with its evidence, and what was decided before."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "flags": selected.flags(project),
        "decisions": selected.flag_decisions(project),
        "pauses": selected.open_pauses(project),
        "window": selected.WINDOW,
    }
    return render(request, "annotations/flags.html", context)


@login_required
@require_POST
def decide_flag(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Dismiss a flag or pause who it is about."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    form = FlagForm(request.POST)
    try:
        if not form.is_valid():
            raise services.ServiceError(form.first_error())
        decision = services.decide_flag(project, decided_by=request.user, **form.cleaned_data)
    except services.ServiceError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The flag is decided: {decision.get_verdict_display().lower()}.")
    return SeeOther(reverse("annotations:flags", args=[project.pk]))
