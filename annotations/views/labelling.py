"""The page that an assignment is worked on, and the way from one to the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations import access, queue, selectors
from annotations.algorithms.counting import Counts, counts
from annotations.algorithms.text import MAX_COMPLETION_CHARS, letter_of, unix_newlines
from annotations.forms.lifecycle import State, entered_in, initial_of
from annotations.forms.work_forms import WorkForm, form_for, shown_texts
from annotations.keys import bindings_for
from annotations.models import Annotation, Assignment, GuidelineVersion, Kind, Project
from annotations.selectors.turns import MAX_TURNS
from annotations.services import annotation_in_force
from annotations.views.request import AuthenticatedRequest, SeeOther, is_from_script

HEADINGS = {
    Kind.DEMONSTRATION: gettext_noop("Write an answer to this prompt"),
    Kind.COMPARISON: gettext_noop("Which answer to this prompt is better?"),
    Kind.RANKING: gettext_noop("Rank the answers to this prompt"),
    Kind.RATING: gettext_noop("Rate each answer to this prompt"),
    Kind.REWRITE: gettext_noop("Make the answer to this prompt better"),
    Kind.ASSEMBLY: gettext_noop("Put together the best answer to this prompt"),
    Kind.REVIEW: gettext_noop("Review this answer to the prompt"),
    Kind.CONVERSATION: gettext_noop("Converse with the model"),
}
STEPS = {
    "wait": gettext_noop("Two replies are on their way"),
    "pick": gettext_noop("Which reply is better?"),
    "say": gettext_noop("What do you say next?"),
    "failed": gettext_noop("No replies came"),
    "full": gettext_noop("This conversation is complete"),
}
"""The headings of a conversation, by what its labeller does next."""


@dataclass(frozen=True)
class ShownCompletion:
    """A completion as an annotator may know it: a letter and a text, nothing else."""

    letter: str
    text: str


def correcting_of(request: AuthenticatedRequest) -> int | None:
    """Return the id of the annotation that a page corrects, or None where it answers anew."""
    return State(request.POST).number("correcting")


def show_assignment(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    """Answer with the page of an assignment, filled in with what was entered before."""
    return show_work(request, assignment, _form_with_draft(assignment))


def show_work(
    request: AuthenticatedRequest,
    assignment: Assignment,
    form: WorkForm,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    """Answer with the page of an assignment, or with its part that changes."""
    context = _context(request, assignment, form) | {"problem": problem}
    if correcting_of(request) is not None and (current := annotation_in_force(assignment)):
        context |= _correction_context(current, selectors.correction_of(current))
    template = context["work_template"] if is_from_script(request) else "annotations/work.html"
    return render(request, template, context, status=status)


def show_correction(
    request: AuthenticatedRequest, assignment: Assignment, current: Annotation
) -> HttpResponse:
    """Answer with the page on which an answer is corrected, filled in as far as that has come."""
    correction = selectors.correction_of(current)
    form = form_for(assignment, initial=initial_of(correction.fields))
    context = _context(request, assignment, form) | _correction_context(current, correction)
    context["is_begun"] = correction.is_begun
    return render(request, "annotations/work.html", context)


def _correction_context(current: Annotation, correction: selectors.Correction) -> dict[str, Any]:
    return {"correcting": current.pk, "draft_revision": correction.revision}


def show_newer_work(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    """Answer a page that knew less than what is stored: show both, change nothing.

    What the page sent is in its form, and goes over what is stored if it is sent again.
    """
    context = _context(request, assignment, form_for(assignment, request.POST))
    name, stored = "assignment", assignment.draft or {}
    if correcting_of(request) is not None and (current := annotation_in_force(assignment)):
        correction = selectors.correction_of(current)
        name, stored = "correct", correction.fields
        context |= _correction_context(current, correction)
    context |= {
        "sent_work": list(selectors.in_words(entered_in(request.POST))),
        "newer_work": list(selectors.in_words(stored)),
        "newer_work_url": reverse(f"annotations:{name}", args=[assignment.pk]),
    }
    template = context["work_template"] if is_from_script(request) else "annotations/work.html"
    return render(request, template, context, status=409)


def go_on(
    request: AuthenticatedRequest, done: Assignment, *, announcement: str = ""
) -> HttpResponse:
    """Lease the next item, of the same kind while there are any, and answer with it.

    After a correction the way leads back to the history that it was opened from.
    """
    project = done.item.project
    if correcting_of(request) is not None:
        messages.success(
            request, _("Your correction is saved. The earlier answer stays on record.")
        )
        return send_to(request, reverse("annotations:history", args=[project.pk]))
    assignment = queue.lease_next(request.user, project, done.item.kind) or queue.lease_next(
        request.user, project
    )
    if assignment is None:
        return send_to(request, _resting_place(request, project))
    changed = assignment.guideline_version_id != done.guideline_version_id
    if changed and known_guideline_of(assignment):
        return send_to(request, acknowledge_url(assignment))
    if not is_from_script(request):
        return SeeOther(assignment_url(assignment))
    return show_next(
        request,
        assignment,
        announcement=announcement or _("Saved."),
        guideline_changed=changed,
        closed=done,
    )


def show_next(
    request: AuthenticatedRequest,
    assignment: Assignment,
    *,
    announcement: str,
    guideline_changed: bool,
    closed: Assignment | None = None,
) -> HttpResponse:
    """Answer a script with the parts of an assignment's page that take the place of another's."""
    context = _context(request, assignment, _form_with_draft(assignment), closed)
    note = context["previous"].note if context["previous"] else ""
    version = assignment.guideline_version
    by = (
        f"By the guidelines for “{version.get_kind_display()}”."
        if guideline_changed and version and version.is_for_evaluation
        else ""
    )
    context["announcement"] = " ".join(filter(None, [announcement, note, context["heading"], by]))
    context["guideline_changed"] = guideline_changed
    response = render(request, "annotations/_next.html", context)
    response["HX-Push-Url"] = assignment_url(assignment)
    # The form that asked scrolls to where its own kind goes on.
    response["HX-Reswap"] = f"outerHTML show:{_opens_at(context)}:top"
    return response


def _opens_at(context: Mapping[str, Any]) -> str:
    """Return what a page scrolls to: its beginning, or what was said last in a conversation."""
    return "#prompt-name" if "standing" in context and context["earlier_turns"] else "window"


def assignment_url(assignment: Assignment) -> str:
    return reverse("annotations:assignment", args=[assignment.pk])


def acknowledge_url(assignment: Assignment) -> str:
    """Return the page that shows what changed in the guidelines, and then this assignment."""
    url = reverse("annotations:acknowledge", args=[assignment.guideline_version_id])
    return f"{url}?assignment={assignment.pk}"


def known_guideline_of(assignment: Assignment) -> GuidelineVersion | None:
    """Return the version that a person knows where an assignment is under a newer one."""
    version = assignment.guideline_version
    return version and selectors.known_guideline(assignment.annotator, version)


def send_to(request: AuthenticatedRequest, url: str) -> HttpResponse:
    """Send the browser to another page, whether a page or its script has asked."""
    if is_from_script(request):
        return HttpResponse(headers={"HX-Redirect": url})
    return SeeOther(url)


def knows_too_little(
    request: AuthenticatedRequest, stored: Mapping[str, list[str]] | None, stored_revision: int
) -> bool:
    """Say whether newer work is stored than the page knew, and other than what it sends."""
    revision = State(request.POST).number("draft_revision")
    if revision is None or revision >= stored_revision:
        return False
    entered = {
        name: [unix_newlines(value) for value in values]
        for name, values in entered_in(request.POST).items()
    }
    return entered != stored


def counted_in(project: Project, text: str) -> Counts | None:
    """Return what the project counts in a text, if anything."""
    if not (project.counters or project.line_syllables):
        return None
    return counts(text[:MAX_COMPLETION_CHARS], project.counters, project.line_syllables)


def _counted_in_form(project: Project, form: WorkForm) -> str:
    """Return what only the server can count in the text that the page opens with, as JSON."""
    if "text" not in form.fields or not ("syllables" in project.counters or project.line_syllables):
        return ""
    return json.dumps(counted_in(project, form["text"].value() or ""))


def _form_with_draft(assignment: Assignment) -> WorkForm:
    return form_for(assignment, initial=initial_of(assignment.draft or {}))


def _resting_place(request: AuthenticatedRequest, project: Project) -> str:
    """Return where to go when nothing is left; those paused meanwhile may only go home."""
    if access.get_projects_for(request.user).filter(project=project).exists():
        return reverse("annotations:done", args=[project.pk])
    return reverse("annotations:home")


def _context(
    request: AuthenticatedRequest,
    assignment: Assignment,
    form: WorkForm,
    closed: Assignment | None = None,
) -> dict[str, Any]:
    project: Project = assignment.item.project
    turns = assignment.item.prompt.messages
    kind = Kind(assignment.item.kind)
    context: dict[str, Any] = {
        "assignment": assignment,
        "project": project,
        "heading": _(HEADINGS[kind]),
        "work_template": f"annotations/_{kind.value}.html",
        "form": form,
        "earlier_turns": turns[:-1],
        "prompt_text": turns[-1]["content"],
        "completions": [
            ShownCompletion(letter_of(position), text)
            for position, text in enumerate(shown_texts(assignment), start=1)
        ],
        "guideline": assignment.guideline_version,
        "guidelines_open": request.COOKIES.get("guidelines") != "closed",
        "progress": selectors.progress_at_work(request.user, project, kind),
        "skip_reasons": Assignment.SkipReason.choices,
        "draft_revision": assignment.draft_revision,
        "active_ms": assignment.active_ms,
        "correcting": "",
        "keys": bindings_for(request.user),
        "previous": selectors.previous_of(request.user, project, besides=assignment, closed=closed),
        "counts": {
            "counters": project.counters,
            "line_syllables": project.line_syllables,
            "counted": _counted_in_form(project, form),
        },
    }
    if kind == Kind.CONVERSATION:
        context |= _conversation_context(assignment, form)
    if kind in selectors.REPORTABLE:
        context["reportable"] = "".join(one.letter for one in context["completions"])
    return context


def _conversation_context(assignment: Assignment, form: WorkForm) -> dict[str, Any]:
    """Return what is said so far, and what the step needs that its labeller is at."""
    standing = selectors.standing_of(assignment)
    turn = standing.turn
    *earlier, message = turn.prompt.messages
    replies = [turn.first, turn.second] if standing.step == "pick" else []
    # What was entered for another turn has no place in the form of this one.
    is_draft_of_another = not form.is_bound and str(form["turn"].value()) != str(standing.number)
    return {
        "form": form_for(assignment) if is_draft_of_another else form,
        "standing": standing,
        "heading": _(STEPS[standing.step]),
        "earlier_turns": earlier,
        "prompt_text": message["content"],
        "completions": [
            ShownCompletion(letter_of(position), reply.text)
            for position, reply in enumerate(replies, start=1)
            if reply is not None
        ],
        "are_equal": len({reply.text.strip() for reply in replies if reply}) == 1,
        "most": MAX_TURNS,
    }
