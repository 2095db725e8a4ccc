"""The prompts of a project: list, paste, upload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from annotations import access, importers, selectors, services
from annotations.forms import ConversationsForm, PastePromptsForm, UploadPromptsForm
from annotations.importers import LineError, PromptRow
from annotations.models import Project, Prompt, Role, Split
from annotations.views.request import AuthenticatedRequest, SeeOther

PROMPTS_ON_A_PAGE = 50
MOST_FOUND = 1000
"""Prompts that a search finds: the newest."""
MOST_ERRORS_SHOWN = 200


class _SplitCount(TypedDict):
    value: str
    label: str
    count: int


@login_required
@require_http_methods(["GET", "POST"])
def prompts(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER, Role.ENGINEER)
    if request.method != "POST":
        return _page(request, project)
    if "number" in request.POST:
        return _converse(request, project)
    if "file" in request.FILES or "upload" in request.POST:
        return _upload(request, project)
    return _paste(request, project)


def _paste(request: AuthenticatedRequest, project: Project) -> HttpResponse:
    form = PastePromptsForm(request.POST)
    if not form.is_valid():
        return _page(request, project, paste=form, status=422)
    rows, errors = importers.read_prompts(form.cleaned_data["text"], "lines")
    if errors:
        return _page(request, project, paste=form, errors=errors, status=422)
    return _import(request, project, rows, Prompt.Origin.WRITTEN, form)


def _upload(request: AuthenticatedRequest, project: Project) -> HttpResponse:
    form = UploadPromptsForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, project, upload=form, status=422)
    rows, errors = importers.read_prompts(form.cleaned_data["file"], form.format())
    if errors:
        return _page(request, project, upload=form, errors=errors, status=422)
    return _import(request, project, rows, Prompt.Origin.IMPORTED, form)


def _converse(request: AuthenticatedRequest, project: Project) -> HttpResponse:
    form = ConversationsForm(request.POST)
    if not form.is_valid():
        return _page(request, project, conversations=form, status=422)
    found = selectors.prompts_to_converse_about(
        project, search=request.GET.get("search", ""), split=request.GET.get("split", "")
    )
    prompts = list(found[: form.cleaned_data["number"]])
    added = services.add_conversations(project, prompts, overlap=form.cleaned_data["overlap"])
    messages.success(request, f"{added} conversations are waiting to be had.")
    return SeeOther(reverse("annotations:prompts", args=[project.id]))


def _import(
    request: AuthenticatedRequest,
    project: Project,
    rows: Sequence[PromptRow],
    origin: Prompt.Origin,
    form: PastePromptsForm | UploadPromptsForm,
) -> HttpResponse:
    imported = services.import_prompts(
        project,
        rows,
        request.user,
        origin=origin,
        as_demonstrations=form.cleaned_data["as_demonstrations"],
    )
    messages.success(
        request,
        f"{imported.created} added, {imported.duplicates} already there, "
        f"{imported.items} waiting to be answered.",
    )
    return SeeOther(reverse("annotations:prompts", args=[project.id]))


def _page(
    request: AuthenticatedRequest,
    project: Project,
    *,
    paste: PastePromptsForm | None = None,
    upload: UploadPromptsForm | None = None,
    conversations: ConversationsForm | None = None,
    errors: Sequence[LineError] = (),
    status: int = 200,
) -> HttpResponse:
    search, split = request.GET.get("search", ""), request.GET.get("split", "")
    splits = _splits(project)
    page = _pages(project, search, split, splits).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.id),
        "page": page,
        "shown": selectors.with_what_hangs_on_them(list(page)),
        "is_cut": bool(search) and page.paginator.count == MOST_FOUND,
        "most_found": MOST_FOUND,
        "search": search,
        "split": split,
        "splits": splits,
        "paste": paste or PastePromptsForm(),
        "upload": upload or UploadPromptsForm(),
        "conversations": conversations or ConversationsForm(),
        # The forms are below a long table: what is wrong with them is said on top as well.
        "refusals": [
            error
            for form in (paste, upload, conversations)
            if form is not None
            for of_field in form.errors.values()
            for error in of_field
        ],
        "errors": errors[:MOST_ERRORS_SHOWN],
        "error_count": len(errors),
    }
    return render(request, "annotations/prompts.html", context, status=status)


def _pages(
    project: Project, search: str, split: str, splits: Sequence[_SplitCount]
) -> Paginator[int]:
    """Return the ids of the prompts that are asked for, in pages. Nothing is counted twice."""
    found = selectors.prompts_of(project, search=search, split=split).values_list("id", flat=True)
    if search:
        # Every text is looked at, so once only.
        return Paginator(list(found[:MOST_FOUND]), PROMPTS_ON_A_PAGE)
    pages = Paginator(found, PROMPTS_ON_A_PAGE)
    chosen = [one for one in splits if one["value"] == split] or splits
    pages.count = sum(one["count"] for one in chosen)
    return pages


def _splits(project: Project) -> list[_SplitCount]:
    counts = dict(project.prompts.values_list("split").annotate(n=Count("*")).order_by())
    return [
        {"value": split.value, "label": split.label, "count": counts.get(split.value, 0)}
        for split in Split
    ]
