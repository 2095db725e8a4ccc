"""Secrets of people and others after SECRET_KEY has changed."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from annotations.services import renew_two_factor
from training import secrecy
from training.models import Endpoint, Webhook


@dataclass(frozen=True)
class Renewal:
    """What came of encrypting everything anew."""

    renewed: int
    lost: tuple[str, ...]
    """What no key reads any more, in words that say what to do."""


@transaction.atomic
def renew_secrets() -> Renewal:
    """Encrypt under SECRET_KEY what was encrypted under one of SECRET_KEY_FALLBACKS."""
    renewed, lost_apps = renew_two_factor()
    lost = ["The apps of people: `manage.py reset_two_factor NAME`."] if lost_apps else []
    for webhook in Webhook.objects.select_for_update().order_by("pk"):
        try:
            webhook.encrypted_secret = secrecy.renew(webhook.encrypted_secret)
            old = [secrecy.renew(one) for one in webhook.old_secrets]
        except secrecy.SecretLost:
            lost.append(f"The secret of the webhook {webhook}: make a new one on its page.")
            continue
        webhook.encrypted_old_secret = "\n".join(old)
        webhook.save(update_fields=["encrypted_secret", "encrypted_old_secret"])
        renewed += 1
    for endpoint in Endpoint.objects.select_for_update().exclude(encrypted_key="").order_by("pk"):
        try:
            endpoint.encrypted_key = secrecy.renew(endpoint.encrypted_key)
        except secrecy.SecretLost:
            lost.append(f"The key of the endpoint {endpoint}: enter it again on its page.")
            continue
        endpoint.save(update_fields=["encrypted_key"])
        renewed += 1
    return Renewal(renewed, tuple(lost))
