"""`manage.py fetch_base`: ask for a base model of a hub, as the page of checkpoints does."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training import fetches, services
from training.management.commands.train import who_and_where
from training.models import Checkpoint

LOOK_EVERY_S = 1.0


class Command(BaseCommand):
    """Ctrl-C stops watching; the fetch goes on."""

    help = "Fetch a base model from a hub for a project, and watch until it is here."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("repo", help="as owner/name")
        parser.add_argument("--project", required=True, help="its number or its name")
        parser.add_argument("--as", dest="username", required=True, help="who asks for it")
        parser.add_argument("--revision", default="", help="branch, tag or commit")
        parser.add_argument("--name", default="", help="of the checkpoint (default: the model's)")

    def handle(self, *_: Any, **options: Any) -> None:
        user, project = who_and_where(options["username"], options["project"])
        asked = {name: options[name] for name in ("revision", "name")}
        try:
            fetch = services.fetch_base(project, options["repo"], **asked, created_by=user)
        except services.ServiceError as error:
            raise CommandError(str(error)) from None
        said = ""
        while (found := dict(fetches.all_fetches())) and fetch in found:
            state = found[fetch]
            if state.error:
                raise CommandError(state.error)
            line = f"{state.percent} %" if state.total else "waits for a worker"
            if line != said:
                self.stdout.write(line)
                said = line
            time.sleep(LOOK_EVERY_S)
        made = Checkpoint.objects.filter(project=project, path=str(fetch.folder)).first()
        if made is None:
            raise CommandError("It was stopped.")
        self.stdout.write(self.style.SUCCESS(f"{fetch.repo} is checkpoint {made}."))
