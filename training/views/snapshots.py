"""Freezing annotations, and looking at what was frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST, require_safe

from training import access, artifacts, selectors, services
from training.forms import SNAPSHOT_CONTENT, FreezeForm
from training.models import DatasetSnapshot
from training.views.shared import show_page

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest


@login_required
@require_safe
def snapshots(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    wanted = request.GET.get("content") or _content_needed_next(project)
    return _snapshots_page(request, project, FreezeForm(project, initial={"content": wanted}))


@login_required
@require_POST
def freeze(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    form = FreezeForm(project, request.POST)
    if form.is_valid():
        try:
            snapshot = services.freeze_snapshot(
                project,
                form.cleaned_data["content"],
                created_by=request.user,
                seed=form.cleaned_data["seed"],
                filters=form.filters(),
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect("training:snapshot", snapshot.pk)
    return _snapshots_page(request, project, form, status=422)


@login_required
@require_safe
def snapshot(request: AuthenticatedRequest, snapshot_id: int) -> HttpResponse:
    snapshot = access.get_snapshot_for(request.user, snapshot_id)
    stages = [stage for stage, content in SNAPSHOT_CONTENT.items() if content == snapshot.content]
    marked = selectors.reach(snapshot.project)
    context = {
        "snapshot": snapshot,
        "stages": stages,
        "runs": snapshot.runs.select_related("checkpoint"),
        "annotation_count": snapshot.links.count(),
        "marked": marked,
        "recalled_count": marked.snapshots.get(snapshot.pk, 0),
    }
    return show_page(request, snapshot.project, "training/snapshot.html", context)


@login_required
@require_GET
def download(request: AuthenticatedRequest, snapshot_id: int) -> FileResponse:
    snapshot = access.get_snapshot_for(request.user, snapshot_id)
    path = artifacts.snapshot_rows(snapshot)
    if not path.is_file():
        raise Http404("The rows of this snapshot are missing in the artifact store.")
    name = f"snapshot-{snapshot.pk}-{snapshot.content}.jsonl"
    return FileResponse(
        path.open("rb"), as_attachment=True, filename=name, content_type="application/jsonl"
    )


def _snapshots_page(
    request: AuthenticatedRequest, project: Project, form: FreezeForm, status: int = 200
) -> HttpResponse:
    found = project.snapshots.select_related("created_by").annotate(run_count=Count("runs"))
    found = found.order_by("-id")  # counting drops the order of the model
    context = {"snapshots": found, "form": form, "marked": selectors.reach(project)}
    return show_page(request, project, "training/snapshots.html", context, status)


def _content_needed_next(project: Project) -> str:
    current = selectors.open_round(project)
    if current is None:
        return DatasetSnapshot.Content.DEMONSTRATIONS
    if current.reward_run is None:
        return DatasetSnapshot.Content.PREFERENCES
    return DatasetSnapshot.Content.PROMPTS
