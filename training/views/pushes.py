"""Copying checkpoints and snapshots elsewhere, with how far each copy is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from training import access, services
from training.forms.pushes import PushForm
from training.models import Checkpoint, DatasetSnapshot, Push
from training.views.shared import RUN_SECONDS, Live, answer_fragment, render_live, show_page

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest

SHOWN = 20
Subject = Checkpoint | DatasetSnapshot


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def push_checkpoint(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)

    def start(url: str) -> Push:
        return services.push_checkpoint(checkpoint, url, started_by=request.user)

    return _push(request, checkpoint, start)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def push_snapshot(request: AuthenticatedRequest, snapshot_id: int) -> HttpResponse:
    snapshot = access.get_snapshot_for(request.user, snapshot_id)

    def start(url: str) -> Push:
        return services.push_snapshot(snapshot, url, started_by=request.user)

    return _push(request, snapshot, start)


@login_required
@require_safe
def checkpoint_pushes_status(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    return answer_fragment(
        request, _live(request, access.get_checkpoint_for(request.user, checkpoint_id))
    )


@login_required
@require_safe
def snapshot_pushes_status(request: AuthenticatedRequest, snapshot_id: int) -> HttpResponse:
    return answer_fragment(
        request, _live(request, access.get_snapshot_for(request.user, snapshot_id))
    )


@login_required
@require_POST
def cancel(request: AuthenticatedRequest, push_id: int) -> HttpResponse:
    push = access.get_push_for(request.user, push_id)
    services.cancel_push(push, cancelled_by=request.user)
    return redirect(_address(push.what))


def _push(
    request: AuthenticatedRequest, subject: Subject, start: Callable[[str], Push]
) -> HttpResponse:
    form = PushForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            start(form.cleaned_data["url"])
        except services.ServiceError as error:
            form.add_error("url", str(error))
        else:
            return redirect(_address(subject))
    context = {
        "subject": subject,
        "subject_url": reverse(f"training:{_noun(subject)}", args=[subject.pk]),
        "form": form,
        "targets": services.push_targets(),
        "live": _live(request, subject),
    }
    status = 422 if request.method == "POST" else 200
    return show_page(request, subject.project, "training/push.html", context, status)


def _live(request: AuthenticatedRequest, subject: Subject) -> Live:
    pushes = list(subject.pushes.select_related("started_by")[:SHOWN])
    is_alive = any(push.is_alive for push in pushes)
    url = reverse(f"training:{_noun(subject)}_pushes_status", args=[subject.pk])
    return render_live(
        request, "training/_pushes.html", {"pushes": pushes}, url if is_alive else "", RUN_SECONDS
    )


def _address(subject: Subject) -> str:
    return reverse(f"training:push_{_noun(subject)}", args=[subject.pk])


def _noun(subject: Subject) -> str:
    return "checkpoint" if isinstance(subject, Checkpoint) else "snapshot"
