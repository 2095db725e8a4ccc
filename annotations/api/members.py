"""Who takes part in a project, in which role."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from annotations import access, services
from annotations.api.operations import Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.models import Membership, Role, Scope

operations = Operations("Members")


class MemberOut(Answer):
    """A person in a project."""

    id: int
    person: int = Field(description="The id by which addresses name the person.")
    username: str
    name: str
    role: Role
    state: Membership.State
    created_at: datetime


class MemberFilters(Paged):
    role: Role | None = None
    state: Membership.State | None = None


class NewMember(Body):
    """Somebody who has an account here, and is to be a member."""

    username: Annotated[str, StringConstraints(min_length=1, max_length=150)]
    role: Role = Role.ANNOTATOR


class ChangedMember(Body):
    """What is to change; what is left out stays as it is."""

    role: Role | None = None
    is_paused: bool | None = None


@operations.get("projects/<int:project_id>/members")
def list_members(call: Call, project_id: int, query: MemberFilters) -> Page[MemberOut]:
    """List the members of a project. Its owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    found = project.memberships.select_related("user")
    for name, value in query.model_dump(include={"role", "state"}, exclude_none=True).items():
        found = found.filter(**{name: value})
    return page_of(found, query, _member)


@operations.post("projects/<int:project_id>/members", Scope.WRITE, status=201)
def add_member(call: Call, project_id: int, body: NewMember) -> MemberOut:
    """Make somebody who has an account here a member. Owners of the project can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    person = access.get_person_named(body.username)
    return _member(services.add_member(project, person, body.role, made_by=call.user))


@operations.patch("members/<int:membership_id>", Scope.WRITE)
def change_member(call: Call, membership_id: int, body: ChangedMember) -> MemberOut:
    """Give a member another role, pause or resume them. Owners of the project can."""
    member = access.get_member_for(call.user, membership_id, Role.OWNER)
    if body.role is not None:
        member = services.set_role(member, body.role, made_by=call.user)
    if body.is_paused is not None:
        change = services.pause_member if body.is_paused else services.resume_member
        member = change(member, made_by=call.user)
    return _member(member)


@operations.delete("members/<int:membership_id>", Scope.WRITE)
def remove_member(call: Call, membership_id: int) -> None:
    """End a membership. What the person annotated stays; what they hold goes to others."""
    member = access.get_member_for(call.user, membership_id, Role.OWNER)
    services.remove_member(member, made_by=call.user)


def _member(member: Membership) -> MemberOut:
    return MemberOut(
        id=member.pk,
        person=member.user_id,
        username=member.user.username,
        name=str(member.user),
        role=Role(member.role),
        state=Membership.State(member.state),
        created_at=member.created_at,
    )
