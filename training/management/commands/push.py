"""`manage.py push`: copy a checkpoint or a snapshot elsewhere, without a worker."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.http import Http404

from training import access, pushes, services
from training.models import Push


class Command(BaseCommand):
    """Copy it in this process, and say where it lies."""

    help = "Copy a checkpoint or a snapshot to a folder below PUSH_TARGETS, or to hf://owner/name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["checkpoint", "snapshot"])
        parser.add_argument("number", type=int, help="as in its URL")
        parser.add_argument("url", help="a folder that is not there yet, or hf://owner/name")
        parser.add_argument("--as", dest="username", required=True, help="who pushes it")

    def handle(self, *_: Any, **options: Any) -> None:
        push = self.queued(options)
        pushes.carry_out(push.pk)
        push.refresh_from_db()
        if push.state != Push.State.SUCCEEDED:
            raise CommandError(push.error or f"Nothing was copied: it is {push.state}.")
        self.stdout.write(f"{push.what} lies at {push.result['address']}.")
        for name, sha256 in push.result["files"].items():
            self.stdout.write(f"{sha256}  {name}")

    def queued(self, options: dict[str, Any]) -> Push:
        """Return the push that was asked for, unless somebody may not ask for it."""
        user = get_user_model().objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is nobody called {options['username']}.")
        number, url = options["number"], options["url"]
        try:
            if options["what"] == "checkpoint":
                checkpoint = access.get_checkpoint_for(user, number)
                return services.push_checkpoint(checkpoint, url, started_by=user)
            snapshot = access.get_snapshot_for(user, number)
            return services.push_snapshot(snapshot, url, started_by=user)
        except Http404:
            raise CommandError(f"{user} sees no {options['what']} {number}.") from None
        except services.ServiceError as error:
            raise CommandError(str(error)) from None
