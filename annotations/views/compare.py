"""Saying which of two completions is better, and by how much."""

from __future__ import annotations

from django.http import HttpResponse

from annotations import services
from annotations.forms import ComparisonForm
from annotations.models import Assignment
from annotations.views.labelling import correcting_of, go_on, show_work
from annotations.views.request import AuthenticatedRequest


def submit_comparison(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    form = ComparisonForm(request.POST)
    if not form.is_valid():
        return show_work(request, assignment, form, status=422)
    outcome, strength = form.judgement()
    try:
        services.submit_comparison(
            assignment,
            outcome,
            strength,
            reason=form.cleaned_data["reason"],
            correcting=correcting_of(request),
        )
    except services.ServiceError as error:
        return show_work(request, assignment, form, problem=str(error), status=409)
    return go_on(request, assignment)
