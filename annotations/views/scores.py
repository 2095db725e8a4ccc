"""Scores of completions from elsewhere: what they say beside people, and how they come in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from annotations import access, selectors, services
from annotations.csv_files import as_csv
from annotations.forms import UploadForm
from annotations.importers import LineError
from annotations.models import Project, Role
from annotations.score_files import read_scores
from annotations.selectors.scores import COLUMNS
from annotations.views.request import AuthenticatedRequest

READERS = (Role.OWNER, Role.ENGINEER)
MOST_ERRORS_SHOWN = 100


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def scores(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show what scorers say; take in a file of scores."""
    project = access.get_project_for(request.user, project_id, *READERS)
    if request.method != "POST":
        return _page(request, project, UploadForm())
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, project, form, status=422)
    file = form.cleaned_data["file"]
    rows, errors = read_scores(file.file, file.name)
    if not errors:
        done = services.import_scores(project, rows, request.user)
        errors = [LineError(line, message) for line, message in done.bad]
    if errors:
        return _page(request, project, form, errors, status=422)
    messages.success(
        request,
        f"{done.created} scores added, {done.changed} changed, {done.same} were there already.",
    )
    return redirect("annotations:scores", project_id)


@login_required
@require_GET
def scores_file(request: AuthenticatedRequest, project_id: int) -> StreamingHttpResponse:
    """Send every score of a project as CSV, a few thousand at a time."""
    project = access.get_project_for(request.user, project_id, *READERS)
    lines = as_csv(selectors.score_rows(project), COLUMNS)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="project-{project.pk}-scores.csv"'
    return response


def _page(
    request: AuthenticatedRequest,
    project: Project,
    form: UploadForm,
    errors: list[LineError] | None = None,
    status: int = 200,
) -> HttpResponse:
    errors = errors or []
    context: dict[str, Any] = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "scorers": selectors.scorers(project),
        "form": form,
        "errors": errors[:MOST_ERRORS_SHOWN],
        "error_count": len(errors),
    }
    return render(request, "annotations/scores.html", context, status=status)
