"""Votes from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from annotations import access, importers, selectors, services
from annotations.forms import UploadForm
from annotations.importers import LineError
from annotations.models import Comparison, Project, Role
from annotations.selectors import AgreementReport
from annotations.views.request import AuthenticatedRequest, SeeOther

MOST_ERRORS_SHOWN = 200


@login_required
@require_http_methods(["GET", "POST"])
def import_preferences(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER, Role.ENGINEER)
    if request.method != "POST":
        return _import_page(request, project, UploadForm())
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _import_page(request, project, form, status=422)
    file = form.cleaned_data["file"]
    rows, errors = importers.read_preferences(file, form.format())
    if errors:
        return _import_page(request, project, form, errors=errors, status=422)
    imported = services.import_preferences(project, rows, request.user, batch=_batch(file))
    messages.success(
        request,
        f"{imported.votes} votes on {imported.pairs} pairs by {imported.annotators} people, "
        f"{imported.ties} of them ties; {imported.duplicates} were already there.",
    )
    return SeeOther(reverse("annotations:import", args=[project.id]))


def _import_page(
    request: AuthenticatedRequest,
    project: Project,
    form: UploadForm,
    *,
    errors: Sequence[LineError] = (),
    status: int = 200,
) -> HttpResponse:
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.id),
        "form": form,
        "errors": errors[:MOST_ERRORS_SHOWN],
        "error_count": len(errors),
        **_agreement(selectors.agreement_report(project)),
    }
    return render(request, "annotations/import.html", context, status=status)


def _batch(file: Any) -> str:
    """Name the batch by the file's content, so that the same file is the same batch."""
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return f"import-{digest.hexdigest()[:12]}"


def _agreement(report: AgreementReport) -> dict[str, object]:
    total = report.comparisons
    return {
        "report": report,
        "outcomes": [
            {
                "label": outcome.label,
                "count": report.outcomes[outcome.value],
                "percent": 100 * report.outcomes[outcome.value] / total if total else 0,
            }
            for outcome in Comparison.Outcome
        ],
    }
