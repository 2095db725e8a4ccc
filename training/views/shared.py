"""What several pages of training share.

A page that shows something alive holds a fragment that asks for itself again every few seconds.
The fragment carries a digest of what it shows; the server answers 204 while that is unchanged, so
that focus, selection and scroll stay where they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from training import access, lifecycle, selectors, services
from training.forms import in_labels
from training.models import Run, Stage

if TYPE_CHECKING:
    from annotations.models import Project, User

    class AuthenticatedRequest(HttpRequest):
        """A request behind `login_required`."""

        user: User


RUN_SECONDS, LIST_SECONDS = 2, 5
"""How often a page asks again what is new."""


@dataclass(frozen=True)
class Live:
    """A fragment that is alive: where it asks again, until `url` is empty."""

    html: SafeString
    digest: str
    url: str
    seconds: int


@dataclass(frozen=True)
class Drawn:
    """A small chart with its heading and how to read it."""

    title: str
    note: str
    svg: str
    names: list[str]


def show_page(
    request: AuthenticatedRequest,
    project: Project,
    template: str,
    context: dict[str, Any],
    status: int = 200,
) -> HttpResponse:
    membership = access.get_membership_for(request.user, project.pk)
    shared = {"project": project, "membership": membership}
    return render(request, template, shared | context, status=status)


def render_live(
    request: HttpRequest, template: str, context: dict[str, Any], url: str, seconds: int
) -> Live:
    """Return the rendered fragment; an empty `url` means that nothing will change any more."""
    html = render_to_string(template, context, request)
    digest = hashlib.blake2b(f"{url} {html}".encode(), digest_size=12).hexdigest()
    return Live(html=html, digest=digest, url=url, seconds=seconds)


def answer_fragment(request: HttpRequest, live: Live) -> HttpResponse:
    if request.GET.get("seen") == live.digest:
        return HttpResponse(status=204)
    response = render(request, "training/_live.html", {"live": live})
    response["Cache-Control"] = "no-store"
    return response


def attempt(request: HttpRequest, act: Callable[[], Any]) -> None:
    """Carry out an act that has no form; show its refusal on the next page."""
    try:
        act()
    except services.ServiceError as error:
        messages.error(request, in_labels(str(error)))


def run_row(run: Run) -> dict[str, Any]:
    """Return a run with its progress and its place in the queue."""
    return {"run": run, "progress": selectors.run_progress(run), "ahead": _ahead(run)}


def _ahead(run: Run) -> int:
    """Return how many runs, of any project, the same workers take before this one."""
    if run.state != Run.State.QUEUED:
        return 0
    queue = lifecycle.QUEUES[Stage(run.stage)]
    stages = [stage for stage, name in lifecycle.QUEUES.items() if name == queue]
    sooner = Q(priority__gt=run.priority) | Q(priority=run.priority, id__lt=run.pk)
    before = Q(state=Run.State.RUNNING) | Q(state=Run.State.QUEUED) & sooner
    # It may have been taken since it was read; it is never ahead of itself.
    return Run.objects.filter(before, stage__in=stages).exclude(id=run.pk).count()
