"""The users that stand for whoever said something elsewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping

from django.contrib.auth.hashers import make_password

from annotations.models import HeldOut, Membership, Project, Role, User
from annotations.services.rules import CHUNK, chunks

IMPORTED = "imported-"
"""How the names begin of those who stand for somebody. Nobody else may be called so: what a file
says would be theirs, in whatever project it comes to."""


class ImportedPeople:
    """The users that stand for people who voted elsewhere, and for models that did.

    Models learn nothing from what models said: those are held out from the first.
    """

    def __init__(
        self,
        project: Project,
        names: Iterable[str],
        imported_by: User,
        *,
        models: Collection[str] = (),
    ) -> None:
        self.usernames = {name: _imported_username(project, name) for name in dict.fromkeys(names)}
        self.numbers: dict[str, int] = {}
        for chunk in chunks(self.usernames.values()):
            known = User.objects.filter(username__in=chunk)
            self.numbers.update(known.values_list("username", "id"))
        new = {
            username: name
            for name, username in self.usernames.items()
            if username not in self.numbers
        }
        self.created = len(new)
        for user in _create_imported_users(project, new):
            self.numbers[user.username] = user.pk
        for name in models:
            HeldOut.objects.get_or_create(
                project=project,
                user_id=self.of(name),
                ended_at=None,
                defaults={"made_by": imported_by},
            )

    def of(self, name: str) -> int:
        """Return the number of the user who stands for somebody."""
        return self.numbers[self.usernames[name]]


def _imported_username(project: Project, name: str) -> str:
    """Return the username of an imported person; names that cannot be one are hashed."""
    if not re.fullmatch(r"[A-Za-z0-9.@+-]{1,100}", name):
        name = "_" + hashlib.sha256(name.encode("utf-8")).hexdigest()[:32]
    return f"{IMPORTED}{project.pk}-{name}"


def _create_imported_users(project: Project, names: Mapping[str, str]) -> list[User]:
    """Create users that nobody can sign in as: usernames, and how each was called."""
    users = User.objects.bulk_create(
        (
            User(
                username=username,
                first_name=f"Imported {name}"[:150],
                is_active=False,
                password=make_password(None),
            )
            for username, name in names.items()
        ),
        batch_size=CHUNK,
    )
    Membership.objects.bulk_create(
        (
            Membership(
                project=project, user=user, role=Role.ANNOTATOR, state=Membership.State.PAUSED
            )
            for user in users
        ),
        batch_size=CHUNK,
    )
    return users
