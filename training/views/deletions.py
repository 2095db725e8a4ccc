"""Deleting a checkpoint or a snapshot, and making a checkpoint again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from training import access, selectors, services
from training.forms import MAX_REASON_CHARS, PlainForm
from training.models import Checkpoint, DatasetSnapshot
from training.views.shared import attempt, show_page

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest


class DeletionForm(PlainForm):
    """Why something is deleted."""

    reason = forms.CharField(
        max_length=MAX_REASON_CHARS,
        widget=forms.Textarea(attrs={"rows": 3}),
        label="Reason",
        help_text="Kept for good in the project's audit log, with the hashes.",
        error_messages={"required": "Say why it is deleted."},
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_checkpoint(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)

    def delete(reason: str) -> None:
        services.delete_checkpoint(checkpoint, deleted_by=request.user, reason=reason)

    return _page(request, checkpoint, delete, "training:checkpoints")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_snapshot(request: AuthenticatedRequest, snapshot_id: int) -> HttpResponse:
    snapshot = access.get_snapshot_for(request.user, snapshot_id)

    def delete(reason: str) -> None:
        services.delete_snapshot(snapshot, deleted_by=request.user, reason=reason)

    return _page(request, snapshot, delete, "training:snapshots")


@login_required
@require_POST
def rebuild(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    """Queue the run of a checkpoint again; say on its page where that is refused."""
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    attempt(request, lambda: services.rebuild(checkpoint, started_by=request.user))
    return redirect("training:checkpoint", checkpoint_id)


def _page(
    request: AuthenticatedRequest,
    subject: Checkpoint | DatasetSnapshot,
    delete: Callable[[str], None],
    back_to: str,
) -> HttpResponse:
    """Show what stands in the way and the form, or delete and go back to the list."""
    project, name = subject.project, str(subject)
    form = DeletionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            delete(form.cleaned_data["reason"])
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{name} is deleted.")
            return redirect(back_to, project.pk)
    context = {
        "subject": subject,
        "is_checkpoint": isinstance(subject, Checkpoint),
        "dependents": selectors.dependents(subject),
        "form": form,
    }
    status = 422 if request.method == "POST" else 200
    return show_page(request, project, "training/delete.html", context, status)
