"""Whom and what a command is about, by the names that a person types."""

from __future__ import annotations

from django.core.management.base import CommandError

from annotations.models import Membership, Project, Role, User


def project_of(name: str) -> Project:
    """Return a project by its name or number. Raise CommandError with those that there are."""
    project = Project.objects.filter(name=name).first()
    if project is None and name.isdecimal():
        project = Project.objects.filter(id=int(name)).first()
    if project is None:
        known = ", ".join(f"{one.pk} ({one.name})" for one in Project.objects.order_by("id")[:20])
        raise CommandError(f"There is no project {name}. There are: {known or 'none yet'}.")
    return project


def importer_of(project: Project, username: str | None) -> User:
    """Return who imports: the named user, or else the owner who has been there longest."""
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
