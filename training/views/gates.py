"""What a project asks of a checkpoint before it is promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from training import access, selectors, services
from training.forms.gates import GateForm
from training.views.shared import show_page

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def gate(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show the thresholds to engineers and owners; owners change them."""
    if request.method == "POST":
        project = access.get_own_project_for(request.user, project_id)
        form = GateForm(request.POST)
        if form.is_valid():
            try:
                services.set_gate(project, **form.thresholds(), changed_by=request.user)
            except services.ServiceError as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, "Saved. It holds for every promotion from now on.")
                return redirect("training:gate", project_id)
    else:
        project = access.get_project_for(request.user, project_id)
        form = GateForm.of(selectors.gate_of(project))
    context = {"form": form, "gate": selectors.gate_of(project)}
    status = 422 if form.errors else 200
    return show_page(request, project, "training/gate.html", context, status)
