"""Files that come in: uploaded, looked at, corrected, imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import access, selectors, services
from annotations.algorithms.text import letter_of
from annotations.forms.imports import ImportFileForm, ReadingForm
from annotations.importers import (
    CONTAINERS,
    FORMATS,
    LineError,
    Record,
)
from annotations.models import Import, Project, Role, Scope, User
from annotations.views.request import AuthenticatedRequest, SeeOther

RECORDS_SHOWN = 5
IMPORTS_ON_A_PAGE = 25
FOUND = {
    "prompts": "Prompts",
    "completions": "Completions",
    "comparisons": "Comparisons",
    "rankings": "Rankings",
    "ratings": "Ratings",
    "demonstrations": "Demonstrations",
    "rewrites": "Rewrites",
    "predictions": "By models",
    "unjudged": "Judged by nobody",
}
WRITTEN = {
    "prompts": "New prompts",
    "completions": "New completions",
    "annotations": "New annotations",
    "annotators": "New people",
    "asked": "Items to be worked on",
    "duplicates": "Were there already",
}


@dataclass(frozen=True)
class ShownRecord:
    """A record as the page shows it."""

    prompt: str
    turns: int
    candidates: Sequence[tuple[str, str]]
    """A letter and a text."""
    said: Sequence[tuple[str, str]]
    """Who, and what."""


@login_required
@require_http_methods(["GET", "POST"])
def imports(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER, Role.ENGINEER)
    if request.method != "POST":
        return _list(request, project, ImportFileForm())
    form = ImportFileForm(request.POST, request.FILES)
    if not form.is_valid():
        return _list(request, project, form, status=422)
    try:
        brought = _brought(project, form.cleaned_data["file"], request.user)
    except services.ServiceError as error:
        form.add_error("file", str(error))
        return _list(request, project, form, status=422)
    return SeeOther(reverse("annotations:import_file", args=[brought.pk]))


@never_cache
@require_GET
def may_import(request: HttpRequest, project_id: int) -> HttpResponse:
    """Answer the proxy, before it takes a large file, whether who sends it may bring it in.

    Asked for those of the page and those of the API: by a session, or by a token.
    """
    try:
        access.get_project_for(_sender(request), project_id, Role.OWNER, Role.ENGINEER)
    except (Http404, access.TokenRefusedError):
        return HttpResponse(status=403)
    return HttpResponse(status=204)


def _sender(request: HttpRequest) -> User:
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        token = access.get_token_for(authorization)
        if Scope.WRITE not in token.scopes:
            raise access.TokenRefusedError("This token is not good for bringing files.")
        return token.user
    if not isinstance(request.user, User):
        raise Http404("Nobody is signed in.")
    return request.user


def _brought(project: Project, file: UploadedFile, user: User) -> Import:
    """Bring an uploaded file in; a large one lies on the disk already and is moved from there."""
    name = str(file.name)
    if isinstance(file, TemporaryUploadedFile):
        return services.bring_arrived(project, name, Path(file.temporary_file_path()), user)
    return services.bring_file(project, name, file.chunks(), user)


def _list(
    request: AuthenticatedRequest, project: Project, form: ImportFileForm, *, status: int = 200
) -> HttpResponse:
    found = selectors.imports_of(project)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "form": form,
        "page": Paginator(found, IMPORTS_ON_A_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "annotations/imports.html", context, status=status)


@never_cache
@login_required
@require_GET
def import_file(request: AuthenticatedRequest, import_id: int) -> HttpResponse:
    brought = access.get_import_for(request.user, import_id)
    if brought.is_active or brought.state in Import.OVER:
        return _page(request, brought)
    return _preview(request, brought)


@never_cache
@login_required
@require_GET
def import_progress(request: AuthenticatedRequest, import_id: int) -> HttpResponse:
    brought = access.get_import_for(request.user, import_id)
    if not brought.is_active:
        response = HttpResponse()
        response["HX-Refresh"] = "true"
        return response
    return render(request, "annotations/_import_progress.html", _progress(brought))


@login_required
@require_POST
def change_reading(request: AuthenticatedRequest, import_id: int) -> HttpResponse:
    brought = access.get_import_for(request.user, import_id)
    if brought.is_active or brought.state in Import.OVER:
        return SeeOther(reverse("annotations:import_file", args=[brought.pk]))
    columns = services.columns_of(brought)
    form = ReadingForm(brought, columns, request.POST)
    if not form.is_valid():
        return _preview(request, brought, form=form, status=422)
    try:
        brought = services.change_reading(
            brought,
            format=form.cleaned_data["format"],
            columns=form.columns(),
            annotator=form.cleaned_data["annotator"],
            asks=form.cleaned_data["asks"],
        )
        if "start" in request.POST:
            services.start_import(brought)
    except services.ServiceError as error:
        form.add_error(None, str(error))
        return _preview(request, brought, form=form, status=422)
    return SeeOther(reverse("annotations:import_file", args=[brought.pk]))


@login_required
@require_POST
def start_import(request: AuthenticatedRequest, import_id: int) -> HttpResponse:
    brought = access.get_import_for(request.user, import_id)
    services.start_import(brought, leave_out_bad="leave_out_bad" in request.POST)
    return SeeOther(reverse("annotations:import_file", args=[brought.pk]))


@login_required
@require_POST
def stop_import(request: AuthenticatedRequest, import_id: int) -> HttpResponse:
    brought = access.get_import_for(request.user, import_id)
    services.cancel_import(brought)
    messages.success(request, "The import was stopped. What it had written until then stays.")
    return SeeOther(reverse("annotations:import", args=[brought.project_id]))


def _preview(
    request: AuthenticatedRequest,
    brought: Import,
    *,
    form: ReadingForm | None = None,
    status: int = 200,
) -> HttpResponse:
    columns = services.columns_of(brought)
    form = form or ReadingForm(brought, columns)
    records, errors = services.preview_of(brought, most=RECORDS_SHOWN)
    shown_columns = zip(form.column_fields(), columns.values(), strict=False)
    context = {
        "form": form,
        "columns": list(shown_columns),
        "records": [_shown(record) for record in records],
        "preview_errors": errors[:3],
        "errors": [LineError(**bad) for bad in brought.bad],
        "error_count": brought.bad_count,
    }
    return _page(request, brought, context, status=status)


def _page(
    request: AuthenticatedRequest,
    brought: Import,
    more: Mapping[str, object] | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    context = {
        "project": brought.project,
        "membership": access.get_membership_for(request.user, brought.project_id),
        "container": CONTAINERS.get(brought.container, brought.container),
        "format": FORMATS[brought.format].label,
        **_progress(brought),
        **(more or {}),
    }
    return render(request, "annotations/import_file.html", context, status=status)


def _progress(brought: Import) -> dict[str, object]:
    return {
        "brought": brought,
        "found": _counts(brought.found, FOUND),
        "written": _counts(brought.written, WRITTEN),
        "percent": 100 * brought.rows // brought.total if brought.total else None,
    }


def _counts(counts: Mapping[str, int], labels: Mapping[str, str]) -> list[tuple[str, int]]:
    return [(label, counts[name]) for name, label in labels.items() if counts.get(name)]


def _shown(record: Record) -> ShownRecord:
    return ShownRecord(
        prompt=record.messages[-1]["content"],
        turns=len(record.messages),
        candidates=[
            (letter_of(place), one.text) for place, one in enumerate(record.candidates, start=1)
        ],
        said=[
            (said.annotator, services.said_in_words(said)) for said in record.said[:RECORDS_SHOWN]
        ],
    )
