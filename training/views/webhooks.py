"""Webhooks of a project: entering them, their secrets, and the log of what was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from training import access, selectors, services
from training.forms.webhooks import WebhookForm
from training.models import Webhook
from training.views.shared import attempt, show_page
from training.webhooks import KEPT_DAYS

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest

PAGE_SIZE = 50
OWNER = "owner"


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhooks(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show a project's webhooks; add one, whose secret is shown this once."""
    project = access.get_project_for(request.user, project_id)
    if request.method != "POST":
        return _list(request, project, _form(request, project))
    form = _form(request, project, None, request.POST)
    if form.is_valid():
        try:
            added, secret = services.add_webhook(
                project, **form.cleaned_data, created_by=request.user
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return _page(request, added, _form(request, project, added), secret=secret)
    return _list(request, project, form, status=422)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Show a webhook and what was sent to it; change it."""
    webhook = access.get_webhook_for(request.user, webhook_id)
    if request.method != "POST":
        return _page(request, webhook, _form(request, webhook.project, webhook))
    form = _form(request, webhook.project, webhook, request.POST)
    if form.is_valid():
        try:
            services.change_webhook(webhook, **form.cleaned_data, changed_by=request.user)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Saved.")
            return redirect("training:webhook", webhook_id)
    return _page(request, webhook, form, status=422)


@login_required
@never_cache
@require_POST
def rotate(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Give a webhook another secret, which is shown this once."""
    webhook = access.get_webhook_for(request.user, webhook_id)
    secret = services.rotate_secret(webhook, rotated_by=request.user)
    webhook = access.get_webhook_for(request.user, webhook_id)
    return _page(request, webhook, _form(request, webhook.project, webhook), secret=secret)


@login_required
@require_POST
def stop(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    act = services.stop_webhook
    return _act(request, webhook_id, lambda hook: act(hook, stopped_by=request.user))


@login_required
@require_POST
def start(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    act = services.start_webhook
    return _act(request, webhook_id, lambda hook: act(hook, started_by=request.user))


@login_required
@require_POST
def try_it(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    return _act(request, webhook_id, services.try_webhook)


@login_required
@require_POST
def delete(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    webhook = access.get_webhook_for(request.user, webhook_id)
    services.delete_webhook(webhook, deleted_by=request.user)
    messages.success(request, f"{webhook} is told of nothing any more, and its log is gone.")
    return redirect("training:webhooks", webhook.project_id)


@login_required
@require_safe
def message(request: AuthenticatedRequest, message_id: int) -> HttpResponse:
    """Show one message: what was sent, how often, and what came back."""
    message = access.get_webhook_message_for(request.user, message_id)
    context = {"message": message, "webhook": message.webhook, "log": message.log.all()}
    return show_page(request, message.webhook.project, "training/webhook_message.html", context)


@login_required
@require_POST
def send_again(request: AuthenticatedRequest, message_id: int) -> HttpResponse:
    message = access.get_webhook_message_for(request.user, message_id)
    attempt(request, lambda: services.send_again(message))
    return redirect("training:webhook_message", message_id)


def _form(
    request: AuthenticatedRequest,
    project: Project,
    webhook: Webhook | None = None,
    data: QueryDict | None = None,
) -> WebhookForm:
    membership = access.get_membership_for(request.user, project.pk)
    return WebhookForm(webhook, data, for_owner=membership.role == OWNER)


def _act(
    request: AuthenticatedRequest, webhook_id: int, act: Callable[[Webhook], Any]
) -> HttpResponse:
    webhook = access.get_webhook_for(request.user, webhook_id)
    attempt(request, lambda: act(webhook))
    return redirect("training:webhook", webhook_id)


def _list(
    request: AuthenticatedRequest, project: Project, form: WebhookForm, status: int = 200
) -> HttpResponse:
    context = {"webhooks": selectors.webhooks_of(project), "form": form}
    return show_page(request, project, "training/webhooks.html", context, status)


def _page(
    request: AuthenticatedRequest,
    webhook: Webhook,
    form: WebhookForm,
    *,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    page = Paginator(selectors.log_of(webhook), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "webhook": webhook,
        "form": form,
        "secret": secret,
        "page": page,
        "kept_days": KEPT_DAYS,
    }
    return show_page(request, webhook.project, "training/webhook.html", context, status)
