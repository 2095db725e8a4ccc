"""`manage.py reset_two_factor`: for who lost their phone and their recovery codes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotations import services
from annotations.models import User


class Command(BaseCommand):
    """Lets a person in by their password alone, until they set up a code again."""

    help = "Ask a person for no code any more. Make sure first that it is they who ask."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", help="the name to sign in with")

    def handle(self, *_: Any, **options: Any) -> None:
        person = User.objects.filter(username=options["username"]).first()
        if person is None:
            raise CommandError(f"Nobody has the name {options['username']}. Write it exactly.")
        services.end_two_factor(person)
        self.stdout.write(f"{person} signs in with their password alone.")
