"""Servers elsewhere that answer a project's prompts: entering, changing and trying them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from training import access, services
from training.forms.endpoints import EndpointForm
from training.models import Endpoint
from training.views.shared import (
    RUN_SECONDS,
    Live,
    answer_fragment,
    attempt,
    render_live,
    show_page,
)

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest

NOBODY_AFTER = timedelta(seconds=90)
"""A try that nobody has taken for so long waits for a worker or a broker."""


@sensitive_post_parameters("key")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    if request.method != "POST":
        return _page(request, project, None, EndpointForm(None))
    form = EndpointForm(None, request.POST)
    if form.is_valid():
        try:
            added = services.add_endpoint(
                project,
                form.cleaned_data["name"],
                form.server(),
                key=form.cleaned_data["key"],
                created_by=request.user,
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect("training:endpoint", added.pk)
    return _page(request, project, None, form, status=422)


@sensitive_post_parameters("key")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def endpoint(request: AuthenticatedRequest, endpoint_id: int) -> HttpResponse:
    endpoint = access.get_endpoint_for(request.user, endpoint_id)
    project = endpoint.checkpoint.project
    if request.method != "POST":
        return _page(request, project, endpoint, EndpointForm(endpoint))
    form = EndpointForm(endpoint, request.POST)
    if form.is_valid():
        try:
            services.change_endpoint(
                endpoint,
                form.server(),
                key=form.cleaned_data["key"],
                forget_key=form.cleaned_data.get("forget_key", False),
                changed_by=request.user,
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{endpoint} is asked like this from now on.")
            return redirect("training:endpoint", endpoint_id)
    return _page(request, project, endpoint, form, status=422)


@login_required
@require_POST
def try_it(request: AuthenticatedRequest, endpoint_id: int) -> HttpResponse:
    endpoint = access.get_endpoint_for(request.user, endpoint_id)
    attempt(request, lambda: services.try_endpoint(endpoint))
    return redirect(reverse("training:endpoint", args=[endpoint_id]) + "#try")


@login_required
@require_safe
def try_status(request: AuthenticatedRequest, endpoint_id: int) -> HttpResponse:
    endpoint = access.get_endpoint_for(request.user, endpoint_id)
    return answer_fragment(request, _try_live(request, endpoint))


def _try_live(request: AuthenticatedRequest, endpoint: Endpoint) -> Live:
    is_waiting = endpoint.try_state == Endpoint.Try.ASKED
    waited = timezone.now() - endpoint.tried_at if endpoint.tried_at else timedelta()
    is_stuck = is_waiting and waited > NOBODY_AFTER
    context = {"endpoint": endpoint, "is_stuck": is_stuck}
    url = reverse("training:try_status", args=[endpoint.pk]) if is_waiting and not is_stuck else ""
    return render_live(request, "training/_endpoint_try.html", context, url, RUN_SECONDS)


def _page(
    request: AuthenticatedRequest,
    project: Project,
    endpoint: Endpoint | None,
    form: EndpointForm,
    status: int = 200,
) -> HttpResponse:
    live = _try_live(request, endpoint) if endpoint else None
    context = {"endpoint": endpoint, "form": form, "live": live}
    return show_page(request, project, "training/endpoint.html", context, status)
