"""Reading what labellers go by, and what changed from version to version."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotations import access, selectors
from annotations.algorithms.paragraphs import side_by_side
from annotations.forms import VersionsForm
from annotations.models import EVALUATION, GENERAL, GUIDELINE_PARTS, GuidelineVersion
from annotations.views.request import AuthenticatedRequest


@dataclass(frozen=True)
class Part:
    """A kind of work that guidelines are for, all of them, or evaluations."""

    value: str
    label: str

    @property
    def is_general(self) -> bool:
        return self.value == GENERAL

    @property
    def is_for_evaluation(self) -> bool:
        return self.value == EVALUATION


def part_of(kind: str) -> Part:
    """Return the part of the guidelines that an address names, else raise Http404."""
    labels = dict(GUIDELINE_PARTS)
    if kind not in labels:
        raise Http404("There is no such kind of work.")
    return Part(kind, str(labels[kind]))


@login_required
@require_GET
def guidelines(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    in_force = selectors.guidelines_in_force(project)
    own_drafts = selectors.guideline_drafts_by(project, request.user)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "kinds": [
            {
                "kind": kind,
                "label": label,
                "is_general": kind == GENERAL,
                "is_for_evaluation": kind == EVALUATION,
                "in_force": in_force.get(kind),
                "draft": own_drafts.get(kind),
            }
            for kind, label in GUIDELINE_PARTS
        ],
    }
    return render(request, "annotations/guidelines.html", context)


@login_required
@require_GET
def guideline(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    part = part_of(kind)
    versions = list(selectors.guideline_history(project, kind))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "kind": part,
        "versions": versions,
        "shown": _wanted(versions, request.GET.get("version", "")),
    }
    return render(request, "annotations/guideline.html", context)


@login_required
@require_GET
def compare_guidelines(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    """Show two versions beside each other: by default the one in force and the one before."""
    project = access.get_project_for(request.user, project_id)
    part = part_of(kind)
    versions = list(selectors.guideline_history(project, kind))
    old, new = _two_of(versions, VersionsForm(request.GET) if request.GET else None)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "kind": part,
        "versions": versions,
        "old": old,
        "new": new,
        "rows": side_by_side(old.full_text, new.full_text),
    }
    return render(request, "annotations/compare_guidelines.html", context)


def _two_of(
    versions: list[GuidelineVersion], form: VersionsForm | None
) -> tuple[GuidelineVersion, GuidelineVersion]:
    if not versions or (form is not None and not form.is_valid()):
        raise Http404("There are no such versions.")
    if form is None:
        return versions[min(1, len(versions) - 1)], versions[0]
    by_number = {version.version: version for version in versions}
    try:
        return by_number[form.cleaned_data["old"]], by_number[form.cleaned_data["new"]]
    except KeyError:
        raise Http404("There are no such versions.") from None


def _wanted(versions: list[GuidelineVersion], number: str) -> GuidelineVersion | None:
    """Return the version asked for, the one in force by default, or None if there is none."""
    if not number:
        return versions[0] if versions else None
    for version in versions:
        if str(version.version) == number:
            return version
    raise Http404
