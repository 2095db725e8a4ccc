"""Putting several completions into tiers."""

from __future__ import annotations

from django.http import HttpResponse

from annotations import services
from annotations.forms import RankingForm
from annotations.models import Assignment
from annotations.views.labelling import go_on, show_work, shown_texts
from annotations.views.request import AuthenticatedRequest


def submit_ranking(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    form = RankingForm(
        request.POST, shown_order=assignment.shown_order, texts=shown_texts(assignment)
    )
    if not form.is_valid():
        return show_work(request, assignment, form, status=422)
    try:
        services.submit_ranking(assignment, form.tiers(), reason=form.cleaned_data["reason"])
    except services.ServiceError as error:
        return show_work(request, assignment, form, problem=str(error), status=409)
    return go_on(request, assignment, announcement="Saved.")
