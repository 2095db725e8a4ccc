"""Recalling annotations: what would be marked, what is, and making a clean line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotations import exports
from training import access, selectors, services
from training.forms.recalls import ConfirmRecallForm, ReasonForm, RecallForm
from training.views.shared import attempt, show_page

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def recalls(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """List the recalls; with a choice in the address show what it would take out, on POST do it."""
    if request.method == "POST":
        return _make(request, access.get_own_project_for(request.user, project_id))
    project = access.get_project_for(request.user, project_id)
    if not _owns(request, project):
        return _page(request, project, None)
    form = RecallForm(project, request.GET if request.GET else None)
    if not form.is_bound or not form.is_valid():
        return _page(request, project, form, status=422 if form.is_bound else 200)
    return _preview(request, project, form, ConfirmRecallForm(initial={"pause": True}))


def _make(request: AuthenticatedRequest, project: Project) -> HttpResponse:
    form, confirmed = RecallForm(project, request.GET), ConfirmRecallForm(request.POST)
    if not form.is_valid():
        reason = confirmed["reason"].value() or ""
        return _page(request, project, form, status=422, reason=reason)
    if confirmed.is_valid():
        try:
            made = services.recall_annotations(
                form.scope(),
                recalled_by=request.user,
                reason=confirmed.cleaned_data["reason"],
                pause=confirmed.cleaned_data["pause"],
            )
        except services.ServiceError as error:
            confirmed.add_error(None, str(error))
        else:
            messages.success(request, "Recalled. What descends from it is marked from now on.")
            return redirect("training:recall", made.pk)
    return _preview(request, project, form, confirmed, status=422)


def _page(
    request: AuthenticatedRequest,
    project: Project,
    form: RecallForm | None,
    status: int = 200,
    reason: str = "",
) -> HttpResponse:
    owns = _owns(request, project)
    found = [
        (one, exports.describe(one, with_name=owns)) for one in exports.recalls(project.pk)[:100]
    ]
    context = {"recalls": found, "form": form, "reason": reason}
    return show_page(request, project, "training/recalls.html", context, status)


def _preview(
    request: AuthenticatedRequest,
    project: Project,
    form: RecallForm,
    confirm: ConfirmRecallForm,
    status: int = 200,
) -> HttpResponse:
    scope = form.scope()
    if scope.annotator is None:
        del confirm.fields["pause"]
    context = {
        "words": exports.describe(scope, with_name=True),
        "rests": selectors.descendants(project, [scope]),
        "confirm": confirm,
        "recall": None,
    }
    return show_page(request, project, "training/recall.html", context, status)


@login_required
@require_safe
def recall(request: AuthenticatedRequest, recall_id: int) -> HttpResponse:
    """Show what a recall takes out and everything that descends from it."""
    found = access.get_recall_for(request.user, recall_id)
    return _recall_page(request, found, ReasonForm())


@login_required
@require_POST
def lift(request: AuthenticatedRequest, recall_id: int) -> HttpResponse:
    found = access.get_own_recall_for(request.user, recall_id)
    form = ReasonForm(request.POST)
    if form.is_valid():
        try:
            services.lift_recall(found, lifted_by=request.user, reason=form.cleaned_data["reason"])
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Lifted. What it took out counts again.")
            return redirect("training:recall", found.pk)
    return _recall_page(request, found, form, status=422)


def _recall_page(
    request: AuthenticatedRequest, found: exports.Recall, form: ReasonForm, status: int = 200
) -> HttpResponse:
    project = found.project
    rests = selectors.descendants(project, [found])
    context: dict[str, Any] = {
        "recall": found,
        "words": exports.describe(found, with_name=_owns(request, project)),
        "rests": rests,
        "lift_form": form,
    }
    return show_page(request, project, "training/recall.html", context, status)


@login_required
@require_POST
def retrain(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    """Freeze clean and start what of the clean line can start."""
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)

    def act() -> None:
        started = services.retrain_clean(checkpoint, started_by=request.user)
        names = ", ".join(f"{run} on {run.snapshot}" for run in started)
        messages.success(request, f"Started without what was recalled: {names}.")

    attempt(request, act)
    return redirect("training:checkpoint", checkpoint_id)


@login_required
@require_POST
def freeze_clean(request: AuthenticatedRequest, snapshot_id: int) -> HttpResponse:
    """Freeze by the recipe of a snapshot what counts now, and show it."""
    snapshot = access.get_snapshot_for(request.user, snapshot_id)
    found = [snapshot]

    def act() -> None:
        found.append(services.freeze_clean(snapshot, created_by=request.user))

    attempt(request, act)
    return redirect("training:snapshot", found[-1].pk)


def _owns(request: AuthenticatedRequest, project: Project) -> bool:
    return access.get_membership_for(request.user, project.pk).role == "owner"
