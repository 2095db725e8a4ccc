"""The webhooks of a project, and what was sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery

from training.models import Webhook, WebhookAttempt, WebhookMessage

if TYPE_CHECKING:
    from annotations.models import Project

State = WebhookMessage.State


def webhooks_of(project: Project) -> QuerySet[Webhook]:
    """Return a project's webhooks, each with how many messages wait and when one last arrived."""
    delivered = Q(messages__state=State.DELIVERED)
    return (
        Webhook.objects.filter(project=project)
        .annotate(
            waiting=Count("messages", filter=Q(messages__state=State.WAITING)),
            given_up=Count("messages", filter=Q(messages__state=State.GIVEN_UP)),
            delivered_at=Max("messages__ended_at", filter=delivered),
        )
        .order_by("-id")
    )


def log_of(webhook: Webhook) -> QuerySet[WebhookMessage]:
    """Return what was sent to a webhook, newest first, each with how the last attempt ended."""
    last = WebhookAttempt.objects.filter(message=OuterRef("pk")).order_by("-id")
    return webhook.messages.annotate(
        last_status=Subquery(last.values("status")[:1]),
        last_error=Subquery(last.values("error")[:1]),
    ).order_by("-id")


def stopped_webhooks(project_id: int) -> int:
    """Return how many webhooks of a project the platform has stopped by itself."""
    return (
        Webhook.objects.filter(project=project_id, is_active=False)
        .exclude(stopped_because="")
        .count()
    )
