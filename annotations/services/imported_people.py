"""The users that stand for whoever said something elsewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable

from annotations.models import HeldOut, Membership, Project, Role, User
from annotations.services.rules import chunks


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
        self.users: dict[str, User] = {}
        self.created = 0
        for chunk in chunks(self.usernames.values()):
            known = User.objects.filter(username__in=chunk)
            self.users.update((user.username, user) for user in known)
        for name, username in self.usernames.items():
            if username not in self.users:
                self.users[username] = _create_imported_user(project, username, name)
                self.created += 1
        for name in models:
            HeldOut.objects.get_or_create(
                project=project,
                user=self.of(name),
                ended_at=None,
                defaults={"made_by": imported_by},
            )

    def of(self, name: str) -> User:
        return self.users[self.usernames[name]]


def _imported_username(project: Project, name: str) -> str:
    """Return the username of an imported person; names that cannot be one are hashed."""
    if not re.fullmatch(r"[A-Za-z0-9.@+-]{1,100}", name):
        name = "_" + hashlib.sha256(name.encode("utf-8")).hexdigest()[:32]
    return f"imported-{project.pk}-{name}"


def _create_imported_user(project: Project, username: str, name: str) -> User:
    user = User(username=username, first_name=f"Imported {name}"[:150], is_active=False)
    user.set_unusable_password()
    user.save()
    Membership.objects.create(
        project=project, user=user, role=Role.ANNOTATOR, state=Membership.State.PAUSED
    )
    return user
