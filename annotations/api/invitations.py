"""Links that let people into a project."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.urls import reverse
from pydantic import Field

from annotations import access, services
from annotations.api.operations import Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.models import Invitation, Role, Scope
from annotations.services.invitations import MOST_DAYS, MOST_USES

operations = Operations("Invitations")


class InvitationOut(Answer):
    """A link into a project. Nobody can be shown it again."""

    id: int
    role: Invitation.InvitedRole
    state: Literal["open", "used up", "expired", "revoked"]
    uses: int = Field(description="How many people it lets in.")
    used: int
    expires_at: datetime
    created_at: datetime


class MadeInvitation(InvitationOut):
    """A new link, which is answered once."""

    path: str = Field(description="The link, behind the address of this site. Whoever has it may.")


class NewInvitation(Body):
    """Whom a link lets in."""

    role: Invitation.InvitedRole = Invitation.InvitedRole.ANNOTATOR
    uses: Annotated[int, Field(ge=1, le=MOST_USES)] = 1
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 7


@operations.get("projects/<int:project_id>/invitations")
def list_invitations(call: Call, project_id: int, query: Paged) -> Page[InvitationOut]:
    """List the links into a project, those that are over as well. Its owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    return page_of(project.invitations.all(), query, lambda one: InvitationOut(**_values(one)))


@operations.post(
    "projects/<int:project_id>/invitations", Scope.WRITE, status=201, answers_secret=True
)
def invite(call: Call, project_id: int, body: NewInvitation) -> MadeInvitation:
    """Make a link that lets people into a project, who sign in or up there. Its owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    invitation, secret = services.invite(
        project, role=body.role, uses=body.uses, days=body.days, made_by=call.user
    )
    path = reverse("annotations:invitation", args=[secret])
    return MadeInvitation(**_values(invitation), path=path)


@operations.post("projects/<int:project_id>/invitations/<int:invitation_id>/revoke", Scope.WRITE)
def revoke_invitation(call: Call, project_id: int, invitation_id: int) -> InvitationOut:
    """Let nobody in by a link any more. Who came in by it stays. Twice is once."""
    services.revoke_invitation(access.get_invitation_for(call.user, project_id, invitation_id))
    revoked = access.get_invitation_for(call.user, project_id, invitation_id)
    return InvitationOut(**_values(revoked))


def _values(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": invitation.pk,
        "role": Invitation.InvitedRole(invitation.role),
        "state": invitation.state,
        "uses": invitation.uses,
        "used": invitation.used,
        "expires_at": invitation.expires_at,
        "created_at": invitation.created_at,
    }
