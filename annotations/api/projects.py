"""Projects and their settings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import Http404
from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.api.operations import Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.models import Kind, Membership, Project, Role, Scope

operations = Operations("Projects")

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Description = Annotated[str, StringConstraints(max_length=300)]
Percent = Annotated[int, Field(ge=0, le=100)]
Limit = Annotated[int, Field(ge=1, le=1_000_000)]
Counter = Literal["characters", "words", "lines", "syllables"]


class ProjectOut(Answer):
    """A project, as its members see it."""

    id: int
    name: str
    description: str
    role: Role = Field(description="What the owner of the token is in it.")
    is_paused: bool
    created_at: datetime


class Settings(Answer):
    """What owners decide about a project."""

    is_paused: bool
    comparison_overlap: int
    lease_minutes: int
    skip_policy: Project.SkipPolicy
    adjudicated: Project.Adjudicated
    max_skips: int
    daily_limit: int | None
    total_limit: int | None
    gold_percent: int
    random_percent: int = Field(
        description="Of comparisons and rankings of known worth, those asked at random."
    )
    review_percent: int
    review_by_risk: bool
    flag_pause: Project.FlagPause = Field(
        description="Which flags pause a labeller until an owner decides."
    )
    grace_seconds: int
    edits_allowed: bool
    own_prompts_allowed: bool
    own_conversations_allowed: bool
    shows_agreement: bool
    learns_from_arena: bool
    rendering: Project.Rendering
    counters: list[str]
    line_syllables: list[int]


class Waiting(Answer):
    """How much of one kind of work waits for the owner of the token."""

    kind: Kind
    items: int


class ProjectWithSettings(ProjectOut):
    """A project; its settings to its owners alone."""

    settings: Settings | None = Field(description="Null to those who do not own it.")
    waiting: list[Waiting]


class NewProject(Body):
    """A project to make."""

    name: Name
    description: Description = ""


class ChangedProject(Body):
    """What is to change; what is left out stays as it is."""

    name: Name | None = None
    description: Description | None = None
    is_paused: bool | None = None
    comparison_overlap: Annotated[int, Field(ge=1, le=100)] | None = None
    lease_minutes: Annotated[int, Field(ge=1, le=1440)] | None = None
    skip_policy: Project.SkipPolicy | None = None
    adjudicated: Project.Adjudicated | None = None
    max_skips: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    daily_limit: Limit | None = Field(None, description="Null: no limit.")
    total_limit: Limit | None = Field(None, description="Null: no limit.")
    gold_percent: Percent | None = None
    random_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    review_percent: Percent | None = None
    review_by_risk: bool | None = None
    flag_pause: Project.FlagPause | None = None
    grace_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    edits_allowed: bool | None = None
    own_prompts_allowed: bool | None = None
    own_conversations_allowed: bool | None = None
    shows_agreement: bool | None = None
    learns_from_arena: bool | None = None
    rendering: Project.Rendering | None = None
    counters: list[Counter] | None = None
    line_syllables: list[Annotated[int, Field(ge=1, le=99)]] | None = Field(None, max_length=50)


CAN_BE_NULL = ("daily_limit", "total_limit")


@operations.get("projects")
def list_projects(call: Call, query: Paged) -> Page[ProjectOut]:
    """List the projects that the token reaches, the newest membership first."""
    return page_of(access.get_projects_for(call.user), query, _project)


@operations.post("projects", Scope.WRITE, status=201)
def create_project(call: Call, body: NewProject) -> ProjectOut:
    """Make a project that the owner of the token owns; the token reaches it from now on.

    Who owns a project already can, and the operator.
    """
    if not access.may_create_projects(call.user):
        raise Http404("Projects are begun by owners and the operator.")
    project = services.create_project(
        name=body.name, description=body.description, created_by=call.user
    )
    services.reach_also(call.token, project)
    call.user.reach = (call.user.reach or frozenset()) | {project.pk}
    return _project(access.get_membership_for(call.user, project.pk))


@operations.get("projects/<int:project_id>")
def get_project(call: Call, project_id: int) -> ProjectWithSettings:
    """Show a project, with what waits in it for the owner of the token."""
    return _with_settings(call, access.get_membership_for(call.user, project_id))


@operations.patch("projects/<int:project_id>", Scope.WRITE)
def change_project(call: Call, project_id: int, body: ChangedProject) -> ProjectWithSettings:
    """Change settings of a project. Its owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    changes = body.model_dump(exclude_unset=True, mode="json")
    kept = {n: v for n, v in changes.items() if v is not None or n in CAN_BE_NULL}
    if kept:
        services.update_project(project, **kept)
    return _with_settings(call, access.get_membership_for(call.user, project_id))


def _project(member: Membership) -> ProjectOut:
    return ProjectOut(**_values(member))


def _values(member: Membership) -> dict[str, Any]:
    project = member.project
    return {
        "id": project.pk,
        "name": project.name,
        "description": project.description,
        "role": Role(member.role),
        "is_paused": project.is_paused,
        "created_at": project.created_at,
    }


def _with_settings(call: Call, member: Membership) -> ProjectWithSettings:
    project = member.project
    settings = {name: getattr(project, name) for name in Settings.model_fields}
    waiting = selectors.work_waiting_for(call.user, project)
    return ProjectWithSettings(
        **_values(member),
        settings=Settings(**settings) if member.role == Role.OWNER else None,
        waiting=[Waiting(kind=Kind(kind), items=count) for kind, count in waiting.items()],
    )
