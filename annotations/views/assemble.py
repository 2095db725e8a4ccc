"""Putting an answer together from parts of several."""

from __future__ import annotations

from django.http import HttpResponse

from annotations import services
from annotations.forms import AssemblyForm
from annotations.forms.work_forms import assembly_form
from annotations.models import Assignment
from annotations.views.labelling import correcting_of, go_on, show_work
from annotations.views.request import AuthenticatedRequest


def submit_assembly(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    form = assembly_form(assignment, request.POST)
    if "put_together" in request.POST:
        return _show_put_together(request, assignment, form)
    if not form.is_valid():
        return show_work(request, assignment, form, status=422)
    try:
        services.submit_assembly(
            assignment,
            form.spans(),
            form.cleaned_data["text"],
            reason=form.cleaned_data["reason"],
            correcting=correcting_of(request),
        )
    except services.ServiceError as error:
        return show_work(request, assignment, form, problem=str(error), status=409)
    return go_on(request, assignment)


def _show_put_together(
    request: AuthenticatedRequest, assignment: Assignment, form: AssemblyForm
) -> HttpResponse:
    """Answer with the page again, the text filled with the numbered parts. Nothing is stored."""
    form.fields["text"].required = False
    if not form.is_valid():
        return show_work(request, assignment, form, status=422)
    filled = request.POST.copy()
    filled["text"] = form.put_together()
    # 422: this is not handed in yet, and what was entered is nowhere but in the page.
    return show_work(request, assignment, assembly_form(assignment, filled), status=422)
