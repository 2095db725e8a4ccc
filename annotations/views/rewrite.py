"""Making a completion better."""

from __future__ import annotations

from django.http import HttpResponse

from annotations import services
from annotations.forms.work_forms import rewrite_form
from annotations.models import Assignment
from annotations.views.labelling import correcting_of, go_on, show_work
from annotations.views.request import AuthenticatedRequest


def submit_rewrite(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    form = rewrite_form(assignment, request.POST)
    if not form.is_valid():
        return show_work(request, assignment, form, status=422)
    try:
        services.submit_rewrite(
            assignment,
            form.cleaned_data["text"],
            reason=form.cleaned_data["reason"],
            correcting=correcting_of(request),
        )
    except services.ServiceError as error:
        return show_work(request, assignment, form, problem=str(error), status=409)
    return go_on(request, assignment)
