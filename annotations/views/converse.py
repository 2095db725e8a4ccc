"""A conversation with the model, step by step: pick, say, wait, end."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotations import access, selectors, services
from annotations.forms import ConversationForm, StartConversationForm
from annotations.forms.work_forms import form_for
from annotations.models import Assignment, Kind
from annotations.views.labelling import (
    assignment_url,
    go_on,
    knows_too_little,
    send_to,
    show_newer_work,
    show_next,
    show_work,
)
from annotations.views.request import AuthenticatedRequest, SeeOther, is_from_script

SAID = {
    "wait": gettext_noop("Sent."),
    "pick": gettext_noop("The replies are here."),
    "say": gettext_noop("Picked."),
    "full": gettext_noop("Picked."),
}
"""What is announced when a step has been taken, before the heading of the next."""


@login_required
@require_http_methods(["GET", "POST"])
def start_conversation(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Begin a conversation of one's own with its first message."""
    project = access.get_project_for(request.user, project_id)
    if not project.own_conversations_allowed:
        raise Http404("This project takes no conversations of labellers' own.")
    form = StartConversationForm(request.POST or None)
    if form.is_valid():
        try:
            assignment = services.start_conversation(
                project, request.user, form.cleaned_data["text"]
            )
        except services.ServiceError as error:
            form.add_error("text", str(error))
        else:
            return SeeOther(reverse("annotations:assignment", args=[assignment.pk]))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "form": form,
    }
    status = 422 if form.is_bound else 200
    return render(request, "annotations/start_conversation.html", context, status=status)


def submit_conversation(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    """Take the step that was sent, and answer with the page of the next."""
    form = ConversationForm(request.POST)
    number = form.number()
    standing = selectors.standing_of(assignment)
    if number == standing.number and knows_too_little(
        request, assignment.draft, assignment.draft_revision
    ):
        return show_newer_work(request, assignment)
    ends = "end" in request.POST
    is_entered = not ends and not {"again", "pick_again"} & set(request.POST)
    # What is wrong with a step that others have taken already is of no interest.
    if is_entered and number == standing.number and not form.is_valid():
        return show_work(request, assignment, form, status=422)
    try:
        if ends:
            services.submit_conversation(assignment, unsent=form.data.get("text", ""))
        else:
            _take(assignment, form, number)
    except services.ServiceError as error:
        # A choice was between other replies than those that may be shown now.
        shown = form if "text" in form.data else form_for(assignment)
        return show_work(request, assignment, shown, problem=str(error), status=409)
    if ends:
        return go_on(request, assignment, announcement=_("The conversation is saved."))
    return _show_step(request, assignment)


def _take(assignment: Assignment, form: ConversationForm, number: int | None) -> None:
    if number is None:
        raise services.ServiceError(_("This page does not say where it was. Reload it."))
    if "again" in form.data:
        services.ask_again(assignment, number)
    elif "pick_again" in form.data:
        services.pick_again(assignment, number)
    elif "text" in form.data:
        services.say(assignment, number, form.data["text"])
    elif not form.is_valid():
        raise services.ServiceError(_("You have picked here before. Go on from here."))
    else:
        services.pick(assignment, number, *form.judgement())


def _show_step(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    if not is_from_script(request):
        return SeeOther(assignment_url(assignment))
    step = selectors.standing_of(assignment).step
    return show_next(
        request, assignment, announcement=_(SAID.get(step, "")), guideline_changed=False
    )


@login_required
@require_GET
@never_cache
def replies(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    """Answer a page that waits: nothing new (204), how far the replies are, or the next step."""
    assignment = access.get_assignment_for(request.user, assignment_id)
    if assignment.item.kind != Kind.CONVERSATION:
        raise Http404("This is no conversation.")
    if assignment.state in (Assignment.State.SUBMITTED, Assignment.State.SKIPPED):
        return send_to(request, assignment_url(assignment))
    standing = selectors.standing_of(assignment)
    if standing.step != "wait":
        response = _show_step(request, assignment)
        response["HX-Retarget"] = "#work"
        response["HX-Reswap"] = "outerHTML show:#prompt-name:top"
        return response
    if request.GET.get("seen") == standing.seen:
        return HttpResponse(status=204)
    context = {"assignment": assignment, "project": assignment.item.project, "standing": standing}
    return render(request, "annotations/_waiting.html", context | {"is_update": True})
