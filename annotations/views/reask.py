"""Asking comparisons again after the guidelines have changed, and what that found."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from annotations import access, selectors, services
from annotations.forms.reask import ReaskForm
from annotations.models import GuidelineVersion, Item, Kind, Project, Role
from annotations.views.request import AuthenticatedRequest, SeeOther

MOST_SHOWN = 10
SUGGESTED = 100
"""So many are suggested at most: a first answer to whether the change turned anything round."""


@login_required
@require_http_methods(["GET", "POST"])
def ask_again(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    versions = list(selectors.guideline_history(project, Kind.COMPARISON))
    form = ReaskForm(request.POST) if request.method == "POST" else None
    if form is not None and form.is_valid():
        since = _version(versions, form.cleaned_data["since"])
        try:
            services.ask_comparisons_again(project, since, form.cleaned_data["count"], request.user)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "They are in the queue, ahead of the ordinary work.")
            return SeeOther(reverse("annotations:ask_comparisons_again", args=[project_id]))
    return _page(request, project, versions, form)


def _page(
    request: AuthenticatedRequest,
    project: Project,
    versions: list[GuidelineVersion],
    form: ReaskForm | None,
) -> HttpResponse:
    older = versions[1:]
    since = _asked_about(request, older, form)
    found = selectors.prospect(project, since, versions[0]) if since else None
    if form is None:
        count = max(1, min(SUGGESTED, found.useful if found else 1))
        form = ReaskForm(initial={"count": count, "since": since.version if since else None})
    first = found.scored[:MOST_SHOWN] if found else []
    items = Item.objects.select_related("prompt").in_bulk([one.item for one in first])
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "older": older,
        "in_force": versions[0] if versions else None,
        "since": since,
        "found": found,
        "first": [{"scored": one, "item": items[one.item]} for one in first],
        "form": form,
        "results": selectors.reask_results(project),
    }
    status = 422 if form.errors else 200
    return render(request, "annotations/ask_again.html", context, status=status)


def _asked_about(
    request: AuthenticatedRequest, older: list[GuidelineVersion], form: ReaskForm | None
) -> GuidelineVersion | None:
    number = request.GET.get("since") or (form.data.get("since") if form else None)
    if not number:
        return older[0] if older else None
    return _version(older, int(number) if str(number).isdecimal() else -1)


def _version(versions: list[GuidelineVersion], number: int) -> GuidelineVersion:
    for version in versions:
        if version.version == number:
            return version
    raise Http404("There is no such version.")
