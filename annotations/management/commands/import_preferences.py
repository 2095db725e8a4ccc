"""Add comparisons that people made elsewhere to a project."""

from __future__ import annotations

import hashlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotations import importers, selectors, services
from annotations.models import Membership, Project, Role, User


class Command(BaseCommand):
    help = (
        "Import comparisons from a JSONL or CSV file: prompt, left, right, annotator and winner "
        "(left, right, tie, both_bad). A file with bad lines is not imported at all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's number or name")
        parser.add_argument("file", type=Path, help="the JSONL or CSV file")
        parser.add_argument("--as-user", help="who imports (an owner of the project by default)")

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_of(options["project"])
        user = importer_of(project, options["as_user"])
        path: Path = options["file"]
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CommandError(f"{path} can't be read: {error.strerror}.") from None
        file_format = "csv" if path.suffix.lower() == ".csv" else "jsonl"
        rows, errors = importers.read_preferences(content, file_format)
        if errors:
            for bad in errors:
                self.stderr.write(str(bad))
            raise CommandError(f"Nothing was imported: {len(errors):,} bad lines, listed above.")
        batch = f"import-{hashlib.sha256(content).hexdigest()[:12]}"
        try:
            imported = services.import_preferences(project, rows, user, batch=batch)
        except services.ServiceError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"Imported {imported.votes:,} votes on {imported.pairs:,} new pairs by "
            f"{imported.annotators:,} new people; {imported.ties:,} of the votes are ties. "
            f"{imported.duplicates:,} votes were there already."
        )
        self.stdout.write(_agreement(project))


def _agreement(project: Project) -> str:
    overview = selectors.agreement_overview(project)
    if overview is None:
        return "How far people agree is reckoned in the background; see the page of agreement."
    shared = [line for line in overview.lines if line.things]
    if not shared:
        return "Agreement: nothing in this project was judged by two people."
    return "\n".join(map(_in_words, shared))


def _in_words(line: selectors.Line) -> str:
    alpha = line.alpha
    text = (
        f"Agreement, {line.name}: {line.things:,} judged by two or more of {line.people:,} people"
    )
    text += f", pairwise {line.pairwise.value:.3f}"
    if alpha.value is None or alpha.low is None:
        return f"{text}; Krippendorff's alpha is not defined here."
    return text + (
        f", Krippendorff's {line.metric} alpha {alpha.value:.3f} "
        f"(95 % interval {alpha.low:.3f} to {alpha.high:.3f})."
    )


def project_of(name: str) -> Project:
    project = Project.objects.filter(name=name).first()
    if project is None and name.isdecimal():
        project = Project.objects.filter(id=int(name)).first()
    if project is None:
        known = ", ".join(f"{one.pk} ({one.name})" for one in Project.objects.order_by("id")[:20])
        raise CommandError(f"There is no project {name}. There are: {known or 'none yet'}.")
    return project


def importer_of(project: Project, username: str | None) -> User:
    if username is not None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        return user
    owners = project.memberships.filter(role=Role.OWNER, state=Membership.State.ACTIVE)
    owner = owners.select_related("user").order_by("id").first()
    if owner is None:
        raise CommandError("The project has no owner. Say who imports with --as-user.")
    return owner.user
