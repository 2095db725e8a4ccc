"""Links into a project: made, revoked, followed."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotations.models import Assignment, Invitation, Membership, Project, User
from annotations.models.invitations import digest_of
from annotations.services.imported_people import IMPORTED
from annotations.services.projects import add_member
from annotations.services.rules import ServiceError

SECRET_BYTES = 32
MOST_USES = 1000
MOST_DAYS = 365
OVER = gettext_lazy("This invitation lets nobody in any more. Ask the one who sent it for another.")


def invite(
    project: Project, *, role: str, uses: int, days: int, made_by: User
) -> tuple[Invitation, str]:
    """Make a link into a project. Return it with its secret, which nobody can be shown again."""
    if role not in Invitation.InvitedRole.values:
        raise ServiceError(_("Choose a role that a link may give: anything but owner."))
    if not (1 <= uses <= MOST_USES and 1 <= days <= MOST_DAYS):
        raise ServiceError(
            _("Choose 1 to %(most_uses)s people and 1 to %(most_days)s days.")
            % {"most_uses": f"{MOST_USES:,}", "most_days": MOST_DAYS}
        )
    secret = secrets.token_urlsafe(SECRET_BYTES)
    invitation = Invitation.objects.create(
        project=project,
        role=role,
        digest=digest_of(secret),
        uses=uses,
        expires_at=timezone.now() + timedelta(days=days),
        made_by=made_by,
    )
    return invitation, secret


def revoke_invitation(invitation: Invitation) -> None:
    """Let nobody in by a link any more. Who came in by it stays. Twice is once."""
    Invitation.objects.filter(id=invitation.pk, revoked_at=None).update(revoked_at=timezone.now())


@transaction.atomic
def accept_invitation(invitation: Invitation, user: User) -> Membership:
    """Make a person a member by a link. Who is one already stays what they are.

    Who has worked there since the link was made, and was removed or has left, needs a new one.
    """
    if member := Membership.objects.filter(project=invitation.project, user=user).first():
        return member
    if _has_worked_since(invitation, user):
        raise ServiceError(str(OVER))
    open_still = Invitation.objects.filter(
        id=invitation.pk, revoked_at=None, expires_at__gt=timezone.now(), used__lt=F("uses")
    )
    if not open_still.update(used=F("used") + 1):
        raise ServiceError(str(OVER))
    return add_member(invitation.project, user, invitation.role, made_by=invitation.made_by)


@transaction.atomic
def sign_up(invitation: Invitation, *, username: str, name: str, password: str) -> User:
    """Make an account for somebody with a link, and them a member; both or neither."""
    taken = _("Somebody has this name already. Choose another.")
    if username.casefold().startswith(IMPORTED):
        raise ServiceError(taken)
    try:
        with transaction.atomic():
            user = User.objects.create_user(username, password=password, first_name=name)
    except IntegrityError:
        raise ServiceError(taken) from None
    accept_invitation(invitation, user)
    return user


def _has_worked_since(invitation: Invitation, user: User) -> bool:
    return Assignment.objects.filter(
        annotator=user, item__project=invitation.project, leased_at__gte=invitation.created_at
    ).exists()
