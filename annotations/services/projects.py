"""Projects and their members."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotations import queue
from annotations.algorithms.text import unix_newlines
from annotations.models import AutomaticPause, Invitation, Membership, Project, Role, User
from annotations.services.rules import MAX_OVERLAP, ServiceError, check, lock
from annotations.signals import member_changed

MAX_LEASE_MINUTES = 24 * 60
MANY = 1_000_000
LIMITS: dict[str, tuple[int, int, str]] = {
    "comparison_overlap": (1, MAX_OVERLAP, "an overlap"),
    "lease_minutes": (1, MAX_LEASE_MINUTES, "a lease, in minutes,"),
    "max_skips": (0, MANY, "a number of skips"),
    "daily_limit": (1, MANY, "a limit for a day"),
    "total_limit": (1, MANY, "a limit for everything"),
    "gold_percent": (0, 100, "a share of gold items"),
    "review_percent": (0, 100, "a share of reviews"),
    "random_percent": (1, 100, "a share asked at random"),
    "grace_seconds": (0, 3600, "a time to undo, in seconds,"),
}
"""The numbers that a setting may be, and what it is called in a sentence."""

SETTINGS = (
    "name",
    "description",
    "is_paused",
    *LIMITS,
    "skip_policy",
    "adjudicated",
    "flag_pause",
    "review_by_risk",
    "edits_allowed",
    "own_prompts_allowed",
    "own_conversations_allowed",
    "shows_agreement",
    "learns_from_arena",
    "rendering",
    "counters",
    "line_syllables",
)
"""The fields of a project that its owners may change."""


@transaction.atomic
def create_project(*, name: str, description: str, created_by: User) -> Project:
    """Create a project that its creator owns."""
    name, description = _project_texts(name, description)
    if Project.objects.filter(name=name).exists():
        raise ServiceError(f"There is already a project called “{name}”. Choose another name.")
    project = Project.objects.create(name=name, description=description, created_by=created_by)
    Membership.objects.create(project=project, user=created_by, role=Role.OWNER)
    return project


@transaction.atomic
def update_project(project: Project, **changes: Any) -> Project:
    """Change settings of a project, by the names of its fields.

    A new overlap or review share holds for items that are made from now on.
    """
    changes = _checked_settings(project, changes)
    for name, value in changes.items():
        setattr(project, name, value)
    project.save(update_fields=list(changes))
    return project


@transaction.atomic
def add_member(
    project: Project, user: User, role: str, *, made_by: User | None = None
) -> Membership:
    """Make a person a member of a project.

    Here and below, what an owner does with a member is told with who it was: `made_by`.
    """
    role = _role(role)
    lock(project)
    if Membership.objects.filter(project=project, user=user).exists():
        raise ServiceError(f"{user} is already a member. Change their role instead.")
    membership = Membership.objects.create(project=project, user=user, role=role)
    _tell(membership, "brought in", f"As {role}.", made_by)
    return membership


@transaction.atomic
def set_role(membership: Membership, role: str, *, made_by: User | None = None) -> Membership:
    """Give a member another role. The last active owner stays one."""
    role, before = _role(role), membership.role
    if role != Role.OWNER:
        keep_an_owner(membership)
        _revoke_links_of(membership)
    membership.role = role
    membership.save(update_fields=["role"])
    if role != before:
        _tell(membership, "given another role", f"From {before} to {role}.", made_by)
    return membership


@transaction.atomic
def pause_member(membership: Membership, *, made_by: User | None = None) -> Membership:
    """Give a member no more work, and no more pages but the one they have open."""
    keep_an_owner(membership)
    was, membership.state = membership.state, Membership.State.PAUSED
    membership.save(update_fields=["state"])
    if was != membership.state:
        _tell(membership, "paused", "They get no work until they are resumed.", made_by)
    return membership


@transaction.atomic
def resume_member(membership: Membership, *, made_by: User | None = None) -> Membership:
    """Let a paused member work again."""
    AutomaticPause.objects.filter(
        project=membership.project_id, person=membership.user_id, ended_at=None
    ).update(ended_at=timezone.now())
    was, membership.state = membership.state, Membership.State.ACTIVE
    membership.save(update_fields=["state"])
    if was != membership.state:
        _tell(membership, "resumed", "They can work again.", made_by)
    return membership


@transaction.atomic
def remove_member(membership: Membership, *, made_by: User | None = None) -> None:
    """End a membership. What the person annotated stays; what they hold goes to others."""
    keep_an_owner(membership)
    queue.release_leases_of(membership.user, membership.project)
    _revoke_links_of(membership)
    _tell(membership, "removed", "What they annotated stays.", made_by)
    membership.delete()


def _tell(membership: Membership, action: str, reason: str, made_by: User | None) -> None:
    if made_by is not None:
        member_changed.send(
            sender=Membership, membership=membership, action=action, reason=reason, made_by=made_by
        )


def _revoke_links_of(membership: Membership) -> None:
    """Let nobody in any more by links that an owner made who is one no longer."""
    made = Invitation.objects.filter(project=membership.project_id, made_by=membership.user_id)
    made.filter(revoked_at=None).update(revoked_at=timezone.now())


def _checked_settings(project: Project, changes: dict[str, Any]) -> dict[str, Any]:
    if unknown := changes.keys() - set(SETTINGS):
        raise ServiceError(f"There is no such setting: {', '.join(sorted(unknown))}.")
    name, description = _project_texts(
        changes.get("name", project.name), changes.get("description", project.description)
    )
    if Project.objects.filter(name=name).exclude(id=project.pk).exists():
        raise ServiceError(f"There is already a project called “{name}”. Choose another name.")
    for setting, (low, high, words) in LIMITS.items():
        value = changes.get(setting)
        if value is not None and not low <= value <= high:
            raise ServiceError(f"Choose {words} from {low:,} to {high:,}.")
    if any(count < 1 for count in changes.get("line_syllables", [])):
        raise ServiceError("Give every line at least one syllable, or no lines at all.")
    return changes | {"name": name, "description": description}


def _project_texts(name: str, description: str) -> tuple[str, str]:
    name = check(name.strip(), "The name", 100)
    if not name:
        raise ServiceError("The project has no name. Give it one.")
    return name, check(unix_newlines(description.strip()), "The description", 300)


def _role(role: str) -> str:
    if role not in Role.values:
        raise ServiceError(f"Choose a role: {', '.join(Role.values)}.")
    return role


def keep_an_owner(membership: Membership) -> None:
    """Raise ServiceError if this is the only active owner of a project."""
    lock(membership.project)
    owners = Membership.objects.filter(
        project_id=membership.project_id, role=Role.OWNER, state=Membership.State.ACTIVE
    )
    if set(owners.values_list("id", flat=True)) == {membership.pk}:
        raise ServiceError(
            _("This is the last owner of the project. Make somebody else an owner first.")
        )
