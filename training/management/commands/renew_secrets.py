"""`manage.py renew_secrets`: after SECRET_KEY was changed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training import services


class Command(BaseCommand):
    """Lets nothing that is kept encrypted depend on a key of before."""

    help = (
        "Encrypt under SECRET_KEY what was encrypted under one of SECRET_KEY_FALLBACKS: secrets of "
        "apps and of webhooks, keys of endpoints. Afterwards the key of before can go."
    )

    def handle(self, *_: Any, **__: Any) -> None:
        renewal = services.renew_secrets()
        self.stdout.write(f"{renewal.renewed} secrets are kept under the SECRET_KEY of now.")
        if renewal.lost:
            lost = "\n".join(renewal.lost)
            raise CommandError(f"Nobody can read these; put the key of before back, or:\n{lost}")
