"""What people settle for themselves: pausing, leaving, and what is stored about them."""

from __future__ import annotations

from annotations import access, selectors, services
from annotations.api.operations import Answer, Call, FileAnswer, Operations
from annotations.models import Membership, Role, Scope

operations = Operations("Oneself")

JSON = "application/json"


class OwnMembership(Answer):
    """What the owner of the token is in a project."""

    project: int
    role: Role
    state: Membership.State


@operations.download("me/data", JSON)
def get_own_data(call: Call) -> FileAnswer:
    """Download everything that is stored about the owner of the token, as JSON.

    It is about all of their projects, so the token has to reach all of them. What an account is
    protected by is not in it.
    """
    user = access.get_own_account(call.user)
    return FileAnswer(f"my-data-{user.pk}.json", JSON, selectors.own_data_as_json(user))


@operations.post("projects/<int:project_id>/rest", Scope.LABEL)
def rest(call: Call, project_id: int) -> OwnMembership:
    """Pause by oneself. What was begun is kept, and what is held goes to others."""
    return _own(services.rest(access.get_own_membership(call.user, project_id)))


@operations.post("projects/<int:project_id>/come-back", Scope.LABEL)
def come_back(call: Call, project_id: int) -> OwnMembership:
    """Work again after a pause of one's own. A pause by an owner only they end."""
    return _own(services.come_back(access.get_own_membership(call.user, project_id)))


@operations.post("projects/<int:project_id>/leave", Scope.WRITE)
def leave_project(call: Call, project_id: int) -> None:
    """End one's own membership. What one annotated stays; only an owner lets one in again."""
    services.leave(access.get_own_membership(call.user, project_id))


def _own(membership: Membership) -> OwnMembership:
    return OwnMembership(
        project=membership.project_id,
        role=Role(membership.role),
        state=Membership.State(membership.state),
    )
