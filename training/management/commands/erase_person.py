"""`manage.py erase_person`: what a person asks for who cannot sign in, or asks the operator."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from training import services


class Command(BaseCommand):
    """Makes a person a number. There is no way back."""

    help = "Erase a person: their names and log-in data go, their annotations stay under a number."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", help="the name to sign in with")

    def handle(self, *_: Any, **options: Any) -> None:
        person = get_user_model().objects.filter(username=options["username"]).first()
        if person is None:
            raise CommandError(f"Nobody has the name {options['username']}. Write it exactly.")
        try:
            erased = services.erase_person(person, by=None)
        except services.ServiceError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Erased. What they annotated is by {erased} now.")
