"""Projects, their members and their guidelines."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from annotations import markdown, queue
from annotations.algorithms.text import TextError, unix_newlines
from annotations.models import GuidelineVersion, Kind, Membership, Project, Role, User
from annotations.services.rules import MAX_OVERLAP, ServiceError, check, lock

MAX_LEASE_MINUTES = 24 * 60


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
def update_project(
    project: Project, *, name: str, description: str, comparison_overlap: int, lease_minutes: int
) -> Project:
    """Change the settings of a project. A new overlap holds for items that are made from now on."""
    name, description = _project_texts(name, description)
    if Project.objects.filter(name=name).exclude(id=project.pk).exists():
        raise ServiceError(f"There is already a project called “{name}”. Choose another name.")
    if not 1 <= comparison_overlap <= MAX_OVERLAP:
        raise ServiceError(f"Choose an overlap from 1 to {MAX_OVERLAP}.")
    if not 1 <= lease_minutes <= MAX_LEASE_MINUTES:
        raise ServiceError(f"Choose a lease from 1 to {MAX_LEASE_MINUTES:,} minutes.")
    project.name, project.description = name, description
    project.comparison_overlap, project.lease_minutes = comparison_overlap, lease_minutes
    project.save(update_fields=["name", "description", "comparison_overlap", "lease_minutes"])
    return project


@transaction.atomic
def add_member(project: Project, user: User, role: str) -> Membership:
    """Make a person a member of a project."""
    role = _role(role)
    lock(project)
    if Membership.objects.filter(project=project, user=user).exists():
        raise ServiceError(f"{user} is already a member. Change their role instead.")
    return Membership.objects.create(project=project, user=user, role=role)


@transaction.atomic
def set_role(membership: Membership, role: str) -> Membership:
    """Give a member another role. The last active owner stays one."""
    role = _role(role)
    if role != Role.OWNER:
        _keep_an_owner(membership)
    membership.role = role
    membership.save(update_fields=["role"])
    return membership


@transaction.atomic
def pause_member(membership: Membership) -> Membership:
    """Give a member no more work, and no more pages but the one they have open."""
    _keep_an_owner(membership)
    membership.state = Membership.State.PAUSED
    membership.save(update_fields=["state"])
    return membership


@transaction.atomic
def resume_member(membership: Membership) -> Membership:
    """Let a paused member work again."""
    membership.state = Membership.State.ACTIVE
    membership.save(update_fields=["state"])
    return membership


@transaction.atomic
def remove_member(membership: Membership) -> None:
    """End a membership. What the person annotated stays; what they hold goes to others."""
    _keep_an_owner(membership)
    queue.release_leases_of(membership.user, membership.project)
    membership.delete()


@transaction.atomic
def save_guideline_draft(project: Project, kind: str, text: str, user: User) -> GuidelineVersion:
    """Keep a text as the one draft of the guidelines for a kind of work."""
    text, html = _rendered(text)
    lock(project)
    drafts = project.guideline_versions.filter(kind=_kind(kind), published_at__isnull=True)
    if draft := drafts.first():
        draft.text, draft.html, draft.created_by = text, html, user
        draft.save(update_fields=["text", "html", "created_by"])
        return draft
    return GuidelineVersion.objects.create(
        project=project,
        kind=kind,
        version=_next_version(project, kind),
        text=text,
        html=html,
        created_by=user,
    )


@transaction.atomic
def publish_guideline(project: Project, kind: str, text: str, user: User) -> GuidelineVersion:
    """Put a text in force as a new version. Versions never change again; the draft becomes it."""
    if not text.strip():
        raise ServiceError("The guidelines are empty. Write what people should look for.")
    draft = save_guideline_draft(project, kind, text, user)
    draft.published_at = timezone.now()
    draft.save(update_fields=["published_at"])
    return draft


def _project_texts(name: str, description: str) -> tuple[str, str]:
    name = check(name.strip(), "The name", 100)
    if not name:
        raise ServiceError("The project has no name. Give it one.")
    return name, check(unix_newlines(description.strip()), "The description", 300)


def _rendered(text: str) -> tuple[str, str]:
    text = unix_newlines(text)
    try:
        return text, markdown.render(text)
    except TextError as error:
        raise ServiceError(str(error)) from None


def _role(role: str) -> str:
    if role not in Role.values:
        raise ServiceError(f"Choose a role: {', '.join(Role.values)}.")
    return role


def _kind(kind: str) -> str:
    if kind not in Kind.values:
        raise ServiceError(f"Choose a kind of work: {', '.join(Kind.values)}.")
    return kind


def _next_version(project: Project, kind: str) -> int:
    of_kind = project.guideline_versions.filter(kind=kind)
    return (of_kind.aggregate(Max("version"))["version__max"] or 0) + 1


def _keep_an_owner(membership: Membership) -> None:
    lock(membership.project)
    owners = Membership.objects.filter(
        project_id=membership.project_id, role=Role.OWNER, state=Membership.State.ACTIVE
    )
    if set(owners.values_list("id", flat=True)) == {membership.pk}:
        raise ServiceError(
            "This is the last owner of the project. Make somebody else an owner first."
        )
