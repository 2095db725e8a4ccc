"""The cases of guidelines: what speaks against them, and who chooses otherwise."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from annotations import access, selectors, services
from annotations.models import Role
from annotations.views.guidelines import part_of
from annotations.views.request import AuthenticatedRequest, SeeOther


@login_required
@require_GET
def guideline_cases(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, *access.DECIDING)
    part = part_of(kind)
    version = selectors.guideline_in_force(project, kind)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "kind": part,
        "version": version,
        "clauses": selectors.served_clauses(version) if version else [],
    }
    return render(request, "annotations/guideline_cases.html", context)


@login_required
@require_POST
def make_gold_of_cases(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    part = part_of(kind)
    version = selectors.guideline_in_force(project, kind)
    try:
        if version is None:
            raise services.ServiceError("Nothing is published yet. Publish the guidelines first.")
        gold = services.make_gold_of_cases(version, request.POST.get("clause", ""), request.user)
    except services.ServiceError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _in_words(gold))
    return SeeOther(reverse("annotations:guideline_cases", args=[project_id, part.value]))


def _in_words(gold: services.GoldOfCases) -> str:
    parts = [f"{gold.made} gold item{pluralize(gold.made)} made."]
    if gold.there:
        parts.append(f"{gold.there} case{pluralize(gold.there, ' is,s are')} asked already.")
    if gold.contradicted:
        parts.append(
            f"{gold.contradicted} left out, because a gold item knows another answer: decide which "
            "of them is right first."
        )
    return " ".join(parts)
