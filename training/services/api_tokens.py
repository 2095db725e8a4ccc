"""Making and revoking the tokens of programs."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from training import access, lifecycle
from training.models import ApiToken
from training.models.api_tokens import digest_of
from training.services.audit import record
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import Project, User

BEGINNING = "lsl-"
"""By which a token that got into a text is found."""
SECRET_BYTES = 32
PREFIX = 8
"""Characters of a token that are kept."""
MOST_TOKENS = 50
USE_NOTED_EVERY = timedelta(minutes=1)


@transaction.atomic
def create_api_token(
    user: User, *, name: str, projects: Sequence[Project], days: int
) -> tuple[ApiToken, str]:
    """Make a token. Return it with its text, which nobody can be shown again."""
    allowed = {project.pk for project in access.get_served_projects_for(user)}
    if not projects or not {project.pk for project in projects} <= allowed:
        raise ServiceError("Choose projects that you own, engineer or review.")
    in_force = ApiToken.objects.filter(user=user, revoked_at=None, expires_at__gt=Now())
    if in_force.count() >= MOST_TOKENS:
        raise ServiceError(f"You have {MOST_TOKENS} tokens. Revoke one that nothing uses any more.")
    secret = BEGINNING + secrets.token_urlsafe(SECRET_BYTES)
    token = ApiToken.objects.create(
        user=user,
        name=lifecycle.clean(name),
        digest=digest_of(secret),
        prefix=secret[:PREFIX],
        expires_at=timezone.now() + timedelta(days=days),
    )
    token.projects.set(projects)
    for project in projects:
        reason = f"With it a program talks with this project's models, for {days} days."
        record(project, user, "made", token, reason)
    return token, secret


@transaction.atomic
def revoke_api_token(token: ApiToken) -> None:
    """Let a token in no more, from the next request on. Revoking it again changes nothing."""
    if ApiToken.objects.filter(id=token.pk, revoked_at=None).update(revoked_at=Now()):
        for project in token.projects.all():
            record(project, token.user, "revoked", token, "It lets no program in any more.")


def note_use(token: ApiToken) -> None:
    """Write down that a token was used, once a minute at most."""
    if token.was_used_before(timezone.now() - USE_NOTED_EVERY):
        ApiToken.objects.filter(id=token.pk).update(last_used_at=Now())
