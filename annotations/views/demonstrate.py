"""Writing an ideal answer to a prompt."""

from __future__ import annotations

from django.http import HttpResponse

from annotations import services
from annotations.forms import DemonstrationForm
from annotations.models import Assignment
from annotations.views.labelling import correcting_of, go_on, show_work
from annotations.views.request import AuthenticatedRequest


def submit_demonstration(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    form = DemonstrationForm(request.POST)
    if not form.is_valid():
        return show_work(request, assignment, form, status=422)
    try:
        services.submit_demonstration(
            assignment, form.cleaned_data["text"], correcting=correcting_of(request)
        )
    except services.ServiceError as error:
        return show_work(request, assignment, form, problem=str(error), status=409)
    return go_on(request, assignment)
