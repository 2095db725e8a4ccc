"""Who is told elsewhere of what happens in a project, and what was sent to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from annotations.api.operations import Answer, Body, Call, Operations, Scope
from annotations.api.pages import Page, Paged, page_of
from training import access, selectors, services
from training.models import Webhook, WebhookMessage
from training.services.webhooks import LONGEST_URL

operations = Operations("Webhooks", refusals=(services.ServiceError,))

Address = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]
Kinds = Annotated[list[Webhook.Kind], Field(min_length=1, max_length=len(Webhook.Kind))]


class WebhookOut(Answer):
    """An address that is told of what happens in a project, by signed messages."""

    id: int
    url: str
    kinds: list[str] = Field(description="What it is told of: the `type` of its messages.")
    is_active: bool
    stopped_because: str = Field(description="Why it was stopped by itself; empty otherwise.")
    failures: int = Field(description="Attempts in a row that failed.")
    created_at: datetime


class NewSecret(Answer):
    """A webhook's secret. It is answered this once and can't be read again."""

    webhook: WebhookOut
    secret: str = Field(description="What its messages are signed with, as Standard Webhooks says.")


class NewWebhook(Body):
    """An address, and what it is to be told of."""

    url: Address
    kinds: Kinds


class ChangedWebhook(Body):
    """What is to change; what is left out stays as it is."""

    url: Address | None = None
    kinds: Kinds | None = None
    is_active: bool | None = Field(None, description="False: send nothing, and keep what waits.")


class MessageFilters(Paged):
    state: WebhookMessage.State | None = None


class WebhookMessageOut(Answer):
    """One thing that happened, for one webhook, and how the last attempt to tell it ended."""

    id: int
    uid: str = Field(description="Its `webhook-id`, the same at every attempt.")
    kind: str
    state: WebhookMessage.State
    attempts: int
    body: str
    last_status: int | None = Field(description="What the server answered; null where it did not.")
    last_error: str = Field(description="Why the last attempt was no delivery; empty if it was.")
    created_at: datetime
    ended_at: datetime | None


@operations.get("projects/<int:project_id>/webhooks")
def list_webhooks(call: Call, project_id: int, query: Paged) -> Page[WebhookOut]:
    """List the webhooks of a project. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    return page_of(project.webhooks.all(), query, webhook_out)


@operations.post("projects/<int:project_id>/webhooks", Scope.TRAIN, 201, answers_secret=True)
def add_webhook(call: Call, project_id: int, body: NewWebhook) -> NewSecret:
    """Tell an address of what happens from now on. Its secret is answered this once.

    Only owners may have flags told.
    """
    project = access.get_project_for(call.user, project_id)
    added, secret = services.add_webhook(project, body.url, body.kinds, created_by=call.user)
    return NewSecret(webhook=webhook_out(added), secret=secret)


@operations.get("webhooks/<int:webhook_id>")
def get_webhook(call: Call, webhook_id: int) -> WebhookOut:
    """Show a webhook. Owners and engineers of its project can."""
    return webhook_out(access.get_webhook_for(call.user, webhook_id))


@operations.patch("webhooks/<int:webhook_id>", Scope.TRAIN)
def change_webhook(call: Call, webhook_id: int, body: ChangedWebhook) -> WebhookOut:
    """Change where a webhook leads or what it is told of; stop it, or start it again."""
    webhook = access.get_webhook_for(call.user, webhook_id)
    if body.url is not None or body.kinds is not None:
        url, kinds = body.url or webhook.url, body.kinds or webhook.kinds
        services.change_webhook(webhook, url, kinds, changed_by=call.user)
    if body.is_active is True:
        services.start_webhook(webhook, started_by=call.user)
    elif body.is_active is False:
        services.stop_webhook(webhook, stopped_by=call.user)
    webhook.refresh_from_db()
    return webhook_out(webhook)


@operations.delete("webhooks/<int:webhook_id>", Scope.TRAIN)
def delete_webhook(call: Call, webhook_id: int) -> None:
    """Remove a webhook and its log; what waits for it is never sent."""
    webhook = access.get_webhook_for(call.user, webhook_id)
    services.delete_webhook(webhook, deleted_by=call.user)


@operations.post("webhooks/<int:webhook_id>/secret", Scope.TRAIN, answers_secret=True)
def rotate_secret(call: Call, webhook_id: int) -> NewSecret:
    """Give a webhook another secret, answered this once; those before sign beside it for a day."""
    webhook = access.get_webhook_for(call.user, webhook_id)
    secret = services.rotate_secret(webhook, rotated_by=call.user)
    return NewSecret(webhook=webhook_out(webhook), secret=secret)


@operations.post("webhooks/<int:webhook_id>/test", Scope.TRAIN, status=201)
def try_webhook(call: Call, webhook_id: int) -> WebhookMessageOut:
    """Send a webhook a message that says nothing but that it arrived."""
    tried = services.try_webhook(access.get_webhook_for(call.user, webhook_id))
    return _read_again(tried)


@operations.get("webhooks/<int:webhook_id>/messages")
def list_webhook_messages(
    call: Call, webhook_id: int, query: MessageFilters
) -> Page[WebhookMessageOut]:
    """List what was sent to a webhook in the last month, and what waits for it."""
    webhook = access.get_webhook_for(call.user, webhook_id)
    found = selectors.log_of(webhook)
    if query.state is not None:
        found = found.filter(state=query.state)
    return page_of(found, query, message_out)


@operations.get("webhook-messages/<int:message_id>")
def get_webhook_message(call: Call, message_id: int) -> WebhookMessageOut:
    """Show what was sent, or waits to be, and how the last attempt ended."""
    return _read_again(access.get_webhook_message_for(call.user, message_id))


@operations.post("webhook-messages/<int:message_id>/send", Scope.TRAIN)
def send_webhook_message_again(call: Call, message_id: int) -> WebhookMessageOut:
    """Send a message again, under the same `webhook-id`."""
    message = access.get_webhook_message_for(call.user, message_id)
    services.send_again(message)
    return _read_again(message)


def webhook_out(webhook: Webhook) -> WebhookOut:
    """Return a webhook as it is answered."""
    return WebhookOut(
        id=webhook.pk,
        url=webhook.url,
        kinds=webhook.kinds,
        is_active=webhook.is_active,
        stopped_because=webhook.stopped_because,
        failures=webhook.failures,
        created_at=webhook.created_at,
    )


def _read_again(message: WebhookMessage) -> WebhookMessageOut:
    return message_out(selectors.log_of(message.webhook).get(pk=message.pk))


def message_out(message: WebhookMessage) -> WebhookMessageOut:
    """Return a message of `selectors.log_of` as it is answered."""
    return WebhookMessageOut(
        id=message.pk,
        uid=message.uid,
        kind=message.kind,
        state=WebhookMessage.State(message.state),
        attempts=message.attempts,
        body=message.body,
        last_status=getattr(message, "last_status", None),
        last_error=getattr(message, "last_error", None) or "",
        created_at=message.created_at,
        ended_at=message.ended_at,
    )
