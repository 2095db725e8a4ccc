"""Who a token belongs to, and how far it reaches."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from annotations import access
from annotations.api.operations import Answer, Call, Operations
from annotations.models import Membership, Role, Scope

operations = Operations("Token")


class TokenProject(Answer):
    """A project that the token reaches, and what its owner is there."""

    id: int
    name: str
    role: Role


class TokenOut(Answer):
    """The token of this request."""

    name: str
    scopes: list[Scope]
    expires_at: datetime
    person: int = Field(description="The id by which addresses name its owner.")
    username: str
    projects: list[TokenProject]


@operations.get("me")
def get_token(call: Call) -> TokenOut:
    """Show the token of this request: its owner, what it is good for and the projects it reaches.

    A good first request: it changes nothing.
    """
    return TokenOut(
        name=call.token.name,
        scopes=[Scope(scope) for scope in call.token.scopes],
        expires_at=call.token.expires_at,
        person=call.user.pk,
        username=call.user.username,
        projects=[_project(member) for member in access.get_projects_for(call.user)],
    )


def _project(member: Membership) -> TokenProject:
    return TokenProject(id=member.project_id, name=member.project.name, role=Role(member.role))
