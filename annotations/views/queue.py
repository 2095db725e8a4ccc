"""Taking an item, answering it, passing it on."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotations import access, queue, selectors, services
from annotations.forms import SkipForm, StartForm
from annotations.models import Assignment, Kind
from annotations.views.compare import submit_comparison
from annotations.views.demonstrate import submit_demonstration
from annotations.views.labelling import form_for, go_on, show_work
from annotations.views.rank import submit_ranking
from annotations.views.request import AuthenticatedRequest, SeeOther

CLOSED = (Assignment.State.SUBMITTED, Assignment.State.SKIPPED)


@login_required
@require_POST
def start(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    form = StartForm(request.POST)
    kind = form.cleaned_data["kind"] if form.is_valid() else ""
    assignment = queue.lease_next(request.user, project, kind or None)
    if assignment is None:
        return SeeOther(reverse("annotations:done", args=[project.id]))
    return SeeOther(reverse("annotations:assignment", args=[assignment.id]))


@login_required
@require_GET
@never_cache
def done(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    progress = selectors.progress_for(request.user, project)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "progress": progress,
        "work": work_cards(progress.waiting),
    }
    return render(request, "annotations/done.html", context)


@login_required
@require_GET
@never_cache
def assignment(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    assignment = access.get_assignment_for(request.user, assignment_id)
    if assignment.state in CLOSED:
        project = assignment.item.project
        context = {
            "assignment": assignment,
            "project": project,
            "progress": selectors.progress_for(request.user, project),
        }
        return render(request, "annotations/closed.html", context)
    return show_work(request, assignment, form_for(assignment))


@login_required
@require_POST
def submit(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    assignment = access.get_assignment_for(request.user, assignment_id)
    match Kind(assignment.item.kind):
        case Kind.DEMONSTRATION:
            return submit_demonstration(request, assignment)
        case Kind.COMPARISON:
            return submit_comparison(request, assignment)
        case Kind.RANKING:
            return submit_ranking(request, assignment)


@login_required
@require_POST
def skip(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    assignment = access.get_assignment_for(request.user, assignment_id)
    form = SkipForm(request.POST)
    if not form.is_valid():
        return show_work(
            request,
            assignment,
            form_for(assignment),
            problem="Choose one of the reasons to skip this item.",
            status=422,
        )
    try:
        services.skip(assignment, form.cleaned_data["reason"], form.cleaned_data["note"])
    except services.ServiceError as error:
        return show_work(request, assignment, form_for(assignment), problem=str(error), status=409)
    return go_on(request, assignment, announcement="Skipped.")


def work_cards(waiting: dict[str, int]) -> list[dict[str, object]]:
    """Return the kinds of work with something waiting, in the order they are shown."""
    return [
        {"kind": kind.value, "label": kind.label, "count": waiting.get(kind.value, 0)}
        for kind in Kind
        if waiting.get(kind.value, 0)
    ]
