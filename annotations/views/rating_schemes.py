"""The questions that people answer about each completion, as an owner writes them."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from annotations import access, services
from annotations.forms import QuestionForm, rows_changed, rows_of, rows_sent
from annotations.models import Project, RatingScheme, Role
from annotations.views.request import AuthenticatedRequest, SeeOther


@login_required
@require_http_methods(["GET", "POST"])
def questions(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    if request.method != "POST":
        scheme = services.scheme_draft(project) or services.scheme_in_force(project)
        written = scheme.questions if scheme else services.DEFAULT_QUESTIONS
        before = scheme.before_ranking if scheme else False
        return _page(request, project, rows_of(written), before_ranking=before)
    if "add" in request.POST or "remove" in request.POST:
        return _page(request, project, rows_changed(request.POST))
    return _save(request, project)


def _save(request: AuthenticatedRequest, project: Project) -> HttpResponse:
    rows = rows_sent(request.POST)
    written = [row for row in rows if not row.is_blank()]
    if not all(row.is_valid() for row in written):
        problem = "Nothing is saved yet: see the messages below."
        return _page(request, project, rows, problem=problem, status=422)
    save = services.publish_scheme if "publish" in request.POST else services.save_scheme_draft
    try:
        scheme = save(
            project,
            [row.cleaned_data for row in written],
            request.user,
            before_ranking="before_ranking" in request.POST,
        )
    except services.ServiceError as error:
        return _page(request, project, rows, problem=str(error), status=422)
    messages.success(request, _what_happened(scheme))
    return SeeOther(reverse("annotations:questions", args=[project.pk]))


def _what_happened(scheme: RatingScheme) -> str:
    if scheme.published_at is None:
        return "Draft saved. Labellers still answer the questions in force."
    return f"Version {scheme.version} is published. Items made from now on ask these questions."


def _page(
    request: AuthenticatedRequest,
    project: Project,
    rows: Sequence[QuestionForm],
    *,
    before_ranking: bool | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    if before_ranking is None:
        before_ranking = "before_ranking" in request.POST
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "rows": rows,
        "before_ranking": before_ranking,
        "draft": services.scheme_draft(project),
        "in_force": services.scheme_in_force(project),
        "versions": project.rating_schemes.filter(published_at__isnull=False)
        .select_related("created_by")
        .order_by("-version"),
        "problem": problem,
    }
    return render(request, "annotations/rating_scheme.html", context, status=status)
