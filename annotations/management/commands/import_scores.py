"""Add what programs elsewhere think of completions to a project."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.http import Http404

from annotations import access, services
from annotations.models import Role, User
from annotations.score_files import read_scores


class Command(BaseCommand):
    help = (
        "Import scores from a JSONL or CSV file: completion_id (or prompt_id and model), scorer "
        "and score. A file with bad lines is not imported at all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", type=int, help="the project's number")
        parser.add_argument("file", type=Path, help="the JSONL or CSV file")
        parser.add_argument("--as", dest="username", required=True, help="who imports it")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is nobody called {options['username']}.")
        number, path = options["project"], options["file"]
        try:
            project = access.get_project_for(user, number, Role.OWNER, Role.ENGINEER)
            with path.open("rb") as file:
                rows, errors = read_scores(file, path.name)
        except Http404:
            raise CommandError(f"{user} owns and engineers no project {number}.") from None
        except OSError as error:
            raise CommandError(f"{path} can't be read: {error.strerror}.") from None
        found = [(error.line, error.message) for error in errors]
        done = None if found else services.import_scores(project, rows, user)
        for line, message in found or (done.bad if done else ()):
            self.stderr.write(f"Line {line:,}: {message}")
        if done is None or done.bad:
            raise CommandError("Nothing was imported: the bad lines are listed above.")
        self.stdout.write(
            f"{done.created:,} scores added, {done.changed:,} changed, {done.same:,} were there "
            "already."
        )
