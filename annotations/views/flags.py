"""Signs that somebody does not look at what they judge: the evidence, and what is decided."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotations import access, selectors, services
from annotations.forms.flags import FlagForm
from annotations.models import Project, Role
from annotations.selectors import flags as selected
from annotations.selectors.signs import WINDOW, WINDOW_OF_OTHERS
from annotations.views.request import AuthenticatedRequest, SeeOther


@login_required
@require_GET
@never_cache
def flags(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """List what stands out, with its evidence, and what was decided before."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    return _page(request, project, None)


@login_required
@require_POST
def decide_flag(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Dismiss a flag or pause who it is about."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    form = FlagForm(request.POST)
    if form.is_valid():
        try:
            decided = services.decide_flag(project, decided_by=request.user, **form.cleaned_data)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            words = decided.get_verdict_display().lower()
            messages.success(request, f"The flag is decided: {words}.")
            return SeeOther(reverse("annotations:flags", args=[project.pk]))
    return _page(request, project, form)


def _page(request: AuthenticatedRequest, project: Project, form: FlagForm | None) -> HttpResponse:
    """Show the flags, each with what was sent about it, if that was refused."""
    found = selected.flags(project)
    sent = [
        form if form and form.is_about(flag.signal.detector, flag.signal.people) else None
        for flag in found
    ]
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "flags": list(zip(found, sent, strict=True)),
        "lost": form if not any(sent) else None,
        "has_another_owner": selectors.has_another_owner(project, request.user),
        "decisions": selected.flag_decisions(project),
        "pauses": selected.open_pauses(project),
        "window": WINDOW,
        "window_of_others": WINDOW_OF_OTHERS,
        "as_of": selected.looked_at(project),
    }
    return render(request, "annotations/flags.html", context, status=422 if form else 200)
