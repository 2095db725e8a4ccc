"""Entering webhooks, changing them, and having messages sent again."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from annotations.algorithms.text import TextError, check_text
from training import outbox, secrecy
from training.models import Webhook, WebhookMessage
from training.pipeline.outward import OutwardError
from training.services.audit import record
from training.services.refusals import ServiceError
from training.services.roles import is_owner
from training.webhooks import SECRET_BYTES, SIGNED_BY, guard

if TYPE_CHECKING:
    from annotations.models import Project, User

LONGEST_URL = 500
MOST_WEBHOOKS = 20
"""Of a project; each costs a row for everything that it is told of."""
OVERLAP_HOURS = 24
"""How long messages bear the signatures of the secrets before, too."""
MOST_OLD_SECRETS = 5

State = WebhookMessage.State


@transaction.atomic
def add_webhook(
    project: Project, url: str, kinds: Sequence[str], *, created_by: User
) -> tuple[Webhook, str]:
    """Tell an address of what happens from now on. Return it with its secret, shown this once."""
    url, kinds = _checked_url(url), _checked_kinds(kinds, project, created_by)
    if project.webhooks.count() >= MOST_WEBHOOKS:
        raise ServiceError(f"A project has {MOST_WEBHOOKS} webhooks at most. Delete one first.")
    secret = _new_secret()
    webhook = Webhook.objects.create(
        project=project,
        url=url,
        kinds=kinds,
        encrypted_secret=secrecy.encrypt(secret),
        created_by=created_by,
    )
    record(project, created_by, "added", webhook, _told_of(kinds), {"kinds": kinds})
    return webhook, secret


@transaction.atomic
def change_webhook(webhook: Webhook, url: str, kinds: Sequence[str], *, changed_by: User) -> None:
    """Change where a webhook leads or what it is told of. What waits goes to the new address."""
    url, chosen = _checked_url(url), _checked_kinds(kinds, webhook.project, changed_by)
    if set(webhook.kinds) & set(Webhook.FOR_OWNERS) and not is_owner(webhook.project, changed_by):
        raise ServiceError("Only an owner may change a webhook that is told of flags.")
    if (url, chosen) == (webhook.url, webhook.kinds):
        return
    webhook.url, webhook.kinds = url, chosen
    webhook.save(update_fields=["url", "kinds"])
    reason = f"It is {webhook} now. {_told_of(chosen)}"
    record(webhook.project, changed_by, "changed", webhook, reason, {"kinds": chosen})


@transaction.atomic
def rotate_secret(webhook: Webhook, *, rotated_by: User) -> str:
    """Give a webhook another secret and return it; those before are used beside it for a day.

    All that were in force are: whoever presses twice, or reloads, must not silence the receiver.
    """
    row = Webhook.objects.select_for_update().get(id=webhook.pk)
    secret = _new_secret()
    before = [row.encrypted_secret, *row.old_secrets][:MOST_OLD_SECRETS]
    row.encrypted_old_secret, row.encrypted_secret = "\n".join(before), secrecy.encrypt(secret)
    row.old_secret_until = timezone.now() + timedelta(hours=OVERLAP_HOURS)
    row.save(update_fields=["encrypted_old_secret", "encrypted_secret", "old_secret_until"])
    reason = f"It has another secret. Those before sign beside it for {OVERLAP_HOURS} hours."
    record(row.project, rotated_by, "changed", row, reason)
    return secret


@transaction.atomic
def stop_webhook(webhook: Webhook, *, stopped_by: User) -> None:
    """Send a webhook nothing until it is started again. What waits for it is kept."""
    if Webhook.objects.filter(id=webhook.pk, is_active=True).update(is_active=False):
        record(webhook.project, stopped_by, "stopped", webhook, "It is told of nothing any more.")


@transaction.atomic
def start_webhook(webhook: Webhook, *, started_by: User) -> None:
    """Send a webhook what waits for it and what happens from now on."""
    started = Webhook.objects.filter(id=webhook.pk, is_active=False).update(
        is_active=True, stopped_because="", failures=0, failing_since=None, rest_until=None
    )
    if started:
        record(webhook.project, started_by, "started", webhook, _told_of(webhook.kinds))
        transaction.on_commit(outbox.hint)


@transaction.atomic
def delete_webhook(webhook: Webhook, *, deleted_by: User) -> None:
    """Remove a webhook and its log; what waits for it is never sent."""
    waiting = webhook.messages.filter(state=State.WAITING).count()
    reason = f"{waiting} messages that waited for it were not sent."
    record(webhook.project, deleted_by, "deleted", webhook, reason)
    WebhookMessage.objects.filter(webhook=webhook).delete()
    webhook.delete()


@transaction.atomic
def try_webhook(webhook: Webhook) -> WebhookMessage:
    """Send a webhook a message that says nothing but that it arrived."""
    _expect_active(webhook)
    return outbox.note_test(webhook)


@transaction.atomic
def send_again(message: WebhookMessage) -> None:
    """Send a message again, now and for another day if need be, under the same `webhook-id`."""
    _expect_active(message.webhook)
    WebhookMessage.objects.filter(id=message.pk).update(
        state=State.WAITING, attempts_before=F("attempts"), next_at=Now(), ended_at=None
    )
    Webhook.objects.filter(id=message.webhook_id).update(rest_until=None)
    transaction.on_commit(outbox.hint)


def _expect_active(webhook: Webhook) -> None:
    if not webhook.is_active:
        raise ServiceError("This webhook is stopped. Start it first.")


def _new_secret() -> str:
    return SIGNED_BY + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _told_of(kinds: Sequence[str]) -> str:
    return f"It is told of {', '.join(kinds)}."


def _checked_kinds(kinds: Sequence[str], project: Project, user: User) -> list[str]:
    chosen = [kind for kind in Webhook.Kind.values if kind in kinds]
    if not chosen:
        raise ServiceError("Choose at least one thing to be told of.")
    if set(chosen) & set(Webhook.FOR_OWNERS) and not is_owner(project, user):
        raise ServiceError("Only an owner may have flags told, since only owners see them.")
    return chosen


def _checked_url(url: str) -> str:
    url = url.strip()
    try:
        check_text(url, field="The address", max_chars=LONGEST_URL)
        parts = guard().check_url(url)
    except (TextError, OutwardError) as error:
        raise ServiceError(str(error)) from None
    if parts.scheme == "http" and not {"*", parts.hostname} & set(
        settings.ALLOWED_PRIVATE_WEBHOOKS
    ):
        raise ServiceError(
            "What happens here would cross the network readable to all. Use https://"
        )
    return url
