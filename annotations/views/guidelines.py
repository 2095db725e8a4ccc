"""Reading, writing and publishing what labellers go by."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from annotations import access, selectors, services
from annotations.algorithms.text import TextError
from annotations.forms import GuidelineForm
from annotations.models import GuidelineVersion, Kind, Project, Role
from annotations.views.request import AuthenticatedRequest, SeeOther


@login_required
@require_GET
def guidelines(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "kinds": [
            {
                "kind": kind.value,
                "label": kind.label,
                "in_force": selectors.guideline_in_force(project, kind),
                "draft": selectors.guideline_draft(project, kind),
            }
            for kind in Kind
        ],
    }
    return render(request, "annotations/guidelines.html", context)


@login_required
@require_GET
def guideline(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    kind = _known_kind(kind)
    versions = list(selectors.guideline_history(project, kind))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "kind": kind,
        "versions": versions,
        "shown": _wanted(versions, request.GET.get("version", "")),
    }
    return render(request, "annotations/guideline.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def edit_guideline(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    kind = _known_kind(kind)
    draft, in_force = (
        selectors.guideline_draft(project, kind),
        selectors.guideline_in_force(project, kind),
    )
    begun_from = draft or in_force
    form = GuidelineForm(
        request.POST or None, initial={"text": begun_from.text if begun_from else ""}
    )
    preview = None
    if form.is_valid():
        text = form.cleaned_data["text"]
        try:
            if "preview" not in request.POST:
                return _save(request, project, kind, text)
            preview = selectors.guideline_preview(text)
        except (services.ServiceError, TextError) as error:
            form.add_error("text", str(error))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "kind": kind,
        "form": form,
        "draft": draft,
        "in_force": in_force,
        "preview": preview,
    }
    status = 422 if form.errors else 200
    return render(request, "annotations/edit_guideline.html", context, status=status)


def _known_kind(kind: str) -> Kind:
    """Return the kind that an address names, else raise Http404."""
    if kind not in Kind.values:
        raise Http404
    return Kind(kind)


def _save(request: AuthenticatedRequest, project: Project, kind: Kind, text: str) -> HttpResponse:
    if "publish" not in request.POST:
        services.save_guideline_draft(project, kind, text, request.user)
        messages.success(request, "Draft saved. Labellers still see the version in force.")
        return SeeOther(reverse("annotations:edit_guideline", args=[project.id, kind.value]))
    version = services.publish_guideline(project, kind, text, request.user)
    messages.success(request, f"Version {version.version} is in force from the next item on.")
    return SeeOther(reverse("annotations:guideline", args=[project.id, kind.value]))


def _wanted(versions: list[GuidelineVersion], number: str) -> GuidelineVersion | None:
    """Return the version asked for, the one in force by default, or None if there is none."""
    if not number:
        return versions[0] if versions else None
    for version in versions:
        if str(version.version) == number:
            return version
    raise Http404
