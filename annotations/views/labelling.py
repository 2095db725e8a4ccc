"""The page that an assignment is worked on, and the way from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse

from annotations import access, queue, selectors
from annotations.forms import ComparisonForm, DemonstrationForm, RankingForm, letter
from annotations.models import Assignment, Kind, Project
from annotations.views.request import AuthenticatedRequest, SeeOther, is_from_script

HEADINGS = {
    Kind.DEMONSTRATION: "Write an answer to this prompt",
    Kind.COMPARISON: "Which answer to this prompt is better?",
    Kind.RANKING: "Rank the answers to this prompt",
}


WorkForm = DemonstrationForm | ComparisonForm | RankingForm


@dataclass(frozen=True)
class ShownCompletion:
    """A completion as an annotator may know it: a letter and a text, nothing else."""

    letter: str
    text: str


def form_for(assignment: Assignment, data: QueryDict | None = None) -> WorkForm:
    """Return the form of this kind of work, empty or with what was sent."""
    match Kind(assignment.item.kind):
        case Kind.DEMONSTRATION:
            return DemonstrationForm(data)
        case Kind.COMPARISON:
            return ComparisonForm(data)
        case Kind.RANKING:
            return RankingForm(
                data, shown_order=assignment.shown_order, texts=shown_texts(assignment)
            )


def shown_texts(assignment: Assignment) -> list[str]:
    """Return the texts of the completions, as this annotator sees them."""
    return [completion.text for completion in selectors.shown_completions(assignment)]


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
    template = context["work_template"] if is_from_script(request) else "annotations/work.html"
    return render(request, template, context, status=status)


def go_on(request: AuthenticatedRequest, done: Assignment, *, announcement: str) -> HttpResponse:
    """Lease the next item, of the same kind while there are any, and answer with it."""
    project = done.item.project
    assignment = queue.lease_next(request.user, project, done.item.kind) or queue.lease_next(
        request.user, project
    )
    if assignment is None:
        return _send_to(request, _resting_place(request, project))
    url = reverse("annotations:assignment", args=[assignment.id])
    if not is_from_script(request):
        return SeeOther(url)
    context = _context(request, assignment, form_for(assignment))
    context["announcement"] = f"{announcement} {context['heading']}"
    context["guideline_changed"] = assignment.guideline_version_id != done.guideline_version_id
    response = render(request, "annotations/_next.html", context)
    response["HX-Push-Url"] = url
    return response


def _resting_place(request: AuthenticatedRequest, project: Project) -> str:
    """Return where to go when nothing is left; those paused meanwhile may only go home."""
    if access.get_projects_for(request.user).filter(project=project).exists():
        return reverse("annotations:done", args=[project.pk])
    return reverse("annotations:home")


def _send_to(request: AuthenticatedRequest, url: str) -> HttpResponse:
    if is_from_script(request):
        return HttpResponse(headers={"HX-Redirect": url})
    return SeeOther(url)


def _context(
    request: AuthenticatedRequest, assignment: Assignment, form: WorkForm
) -> dict[str, Any]:
    project: Project = assignment.item.project
    messages = assignment.item.prompt.messages
    kind = Kind(assignment.item.kind)
    return {
        "assignment": assignment,
        "project": project,
        "heading": HEADINGS[kind],
        "work_template": f"annotations/_{kind.value}.html",
        "form": form,
        "earlier_turns": messages[:-1],
        "prompt_text": messages[-1]["content"],
        "completions": [
            ShownCompletion(letter(position), text)
            for position, text in enumerate(shown_texts(assignment), start=1)
        ],
        "guideline": assignment.guideline_version,
        "guidelines_open": request.COOKIES.get("guidelines") != "closed",
        "progress": selectors.progress_for(request.user, project),
        "skip_reasons": Assignment.SkipReason.choices,
    }
