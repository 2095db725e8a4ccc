"""What only some may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import Http404

from annotations import access

if TYPE_CHECKING:
    from annotations.models import Project, User


def is_owner(project: Project, user: User) -> bool:
    """Return whether a person owns a project, and is not paused in it."""
    try:
        return access.get_membership_for(user, project.pk).role == "owner"
    except Http404:
        return False
