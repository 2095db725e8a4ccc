"""Taking an item, answering it, passing it on, taking it back."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotations import access, queue, selectors, services
from annotations.forms import SkipForm, StartForm
from annotations.forms.lifecycle import State, entered_in
from annotations.forms.work_forms import form_for
from annotations.models import Assignment, Kind
from annotations.views.assemble import submit_assembly
from annotations.views.compare import submit_comparison
from annotations.views.converse import submit_conversation
from annotations.views.demonstrate import submit_demonstration
from annotations.views.labelling import (
    acknowledge_url,
    assignment_url,
    counted_in,
    go_on,
    known_guideline_of,
    knows_too_little,
    send_to,
    show_assignment,
    show_correction,
    show_newer_work,
    show_next,
    show_work,
)
from annotations.views.rank import submit_ranking
from annotations.views.rate import submit_rating
from annotations.views.request import AuthenticatedRequest, SeeOther, in_line, is_from_script
from annotations.views.review import submit_review
from annotations.views.rewrite import submit_rewrite


@login_required
@require_POST
def start(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    form = StartForm(request.POST)
    kind = form.cleaned_data["kind"] if form.is_valid() else ""
    assignment = queue.lease_next(request.user, project, kind or None)
    if assignment is None:
        return SeeOther(reverse("annotations:done", args=[project.id]))
    if kind and assignment.item.kind != kind:
        messages.info(
            request,
            _("You still hold this one. Send or skip it first, then there is “%(kind)s” for you.")
            % {"kind": _(Kind(kind).label)},
        )
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
        "limit": selectors.limit_reached(request.user, project),
        "previous": selectors.previous_of(request.user, project),
    }
    return render(request, "annotations/done.html", context)


@login_required
@require_GET
@never_cache
def assignment(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    assignment = access.get_assignment_for(request.user, assignment_id)
    if assignment.state in Assignment.CLOSED:
        return _closed(request, assignment)
    if known_guideline_of(assignment):
        return SeeOther(acknowledge_url(assignment))
    return show_assignment(request, assignment)


@in_line
@login_required
@require_POST
def submit(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    assignment = access.get_assignment_for(request.user, assignment_id)
    state = State(request.POST)
    correcting = state.number("correcting")
    if correcting is None and assignment.state == Assignment.State.SUBMITTED:
        told = _("This had been handed in before; nothing was changed.")
        return go_on(request, assignment, announcement=told)
    is_conversation = assignment.item.kind == Kind.CONVERSATION
    if is_conversation and correcting is not None:
        return send_to(request, assignment_url(assignment))  # which says that it does not change
    if not is_conversation and _is_overtaken(request, assignment, correcting):
        return show_newer_work(request, assignment)
    if active_ms := state.active():
        services.measure(assignment, active_ms)
    return _submit_by_kind(request, assignment)


def _is_overtaken(
    request: AuthenticatedRequest, assignment: Assignment, correcting: int | None
) -> bool:
    """Say whether more is stored than the page knew: a newer draft, or a newer answer."""
    if correcting is None:
        return knows_too_little(request, assignment.draft, assignment.draft_revision)
    current = services.annotation_in_force(assignment)
    if current is None or current.pk != correcting:
        return current is not None
    correction = selectors.correction_of(current)
    return knows_too_little(request, correction.fields, correction.revision)


def _submit_by_kind(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    match Kind(assignment.item.kind):
        case Kind.DEMONSTRATION:
            return submit_demonstration(request, assignment)
        case Kind.COMPARISON:
            return submit_comparison(request, assignment)
        case Kind.RANKING:
            return submit_ranking(request, assignment)
        case Kind.RATING:
            return submit_rating(request, assignment)
        case Kind.REWRITE:
            return submit_rewrite(request, assignment)
        case Kind.ASSEMBLY:
            return submit_assembly(request, assignment)
        case Kind.REVIEW:
            return submit_review(request, assignment)
        case Kind.CONVERSATION:
            return submit_conversation(request, assignment)


@login_required
@require_POST
def save_draft(request: AuthenticatedRequest, assignment_id: int) -> JsonResponse:
    assignment = access.get_assignment_for(request.user, assignment_id)
    state = State(request.POST)
    revision = state.number("draft_revision")
    if revision is None:
        problem = _("This page does not say which draft it knows. Reload it; nothing is lost.")
        return JsonResponse({"error": problem}, status=422)
    try:
        saved = _save(assignment, state, entered_in(request.POST), revision)
    except services.ServiceError as error:
        return JsonResponse({"error": str(error)}, status=422)
    if saved.closed:
        return JsonResponse({"state": saved.state}, status=410)
    if saved.stale:
        return JsonResponse({"revision": saved.revision, "fields": saved.fields}, status=409)
    text = saved.fields.get("text", [])
    counted = counted_in(assignment.item.project, text[-1]) if text else None
    return JsonResponse({"revision": saved.revision, "state": saved.state, "counts": counted})


def _save(
    assignment: Assignment, state: State, entered: Mapping[str, list[str]], revision: int
) -> services.SavedDraft:
    active_ms, correcting = state.active(), state.number("correcting")
    if correcting is None:
        return services.save_draft(assignment, entered, revision=revision, active_ms=active_ms)
    return services.save_correction_draft(
        assignment, entered, correcting=correcting, revision=revision, active_ms=active_ms
    )


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
            problem=_("Choose one of the reasons to skip this item."),
            status=422,
        )
    try:
        services.skip(assignment, form.cleaned_data["reason"], form.cleaned_data["note"])
    except services.ServiceError as error:
        return show_work(request, assignment, form_for(assignment), problem=str(error), status=409)
    return go_on(request, assignment, announcement=_("Skipped."))


@login_required
@require_POST
def undo(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    assignment = access.get_assignment_for(request.user, assignment_id)
    try:
        services.undo(assignment)
    except services.ServiceError as error:
        messages.warning(request, str(error))
        return send_to(request, assignment_url(assignment))
    if not is_from_script(request):
        return SeeOther(assignment_url(assignment))
    return show_next(
        request,
        assignment,
        announcement=_("Taken back. Change it and send it again."),
        guideline_changed=True,
    )


@login_required
@require_GET
@never_cache
def correct(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    assignment = access.get_assignment_for(request.user, assignment_id)
    annotation = services.annotation_in_force(assignment)
    can_be_corrected = (
        assignment.item.project.edits_allowed and assignment.item.kind != Kind.CONVERSATION
    )
    if annotation is None or not can_be_corrected:
        return SeeOther(assignment_url(assignment))
    return show_correction(request, assignment, annotation)


@login_required
@require_POST
def discard_correction(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    assignment = access.get_assignment_for(request.user, assignment_id)
    services.discard_correction(assignment)
    return SeeOther(reverse("annotations:correct", args=[assignment.pk]))


def _closed(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    project = assignment.item.project
    previous = selectors.previous_of(request.user, project)
    context = {
        "assignment": assignment,
        "project": project,
        "previous": previous if previous and previous.assignment == assignment else None,
    }
    return render(request, "annotations/closed.html", context)


def work_cards(waiting: dict[str, int]) -> list[dict[str, object]]:
    """Return the kinds of work with something waiting, in the order they are shown."""
    return [
        {"kind": kind.value, "label": kind.label, "count": waiting.get(kind.value, 0)}
        for kind in Kind
        if waiting.get(kind.value, 0)
    ]
