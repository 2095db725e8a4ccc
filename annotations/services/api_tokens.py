"""Making and revoking the tokens of programs."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations import access
from annotations.algorithms.text import unix_newlines
from annotations.models import ApiToken, Project, Scope, User
from annotations.models.api_tokens import digest_of
from annotations.services.rules import ServiceError, check

BEGINNING = "lsl-"
"""By which a token that got into a text is found."""
SECRET_BYTES = 32
PREFIX = 8
"""Characters of a token that are kept."""
MOST_TOKENS = 50
MOST_DAYS = 366
USE_NOTED_EVERY = timedelta(minutes=1)


@transaction.atomic
def make_api_token(
    user: User, *, name: str, projects: Sequence[Project], scopes: Collection[str], days: int
) -> tuple[ApiToken, str]:
    """Make a token. Return it with its text, which nobody can be shown again."""
    known = {membership.project_id for membership in access.get_projects_for(user)}
    if not projects or not {project.pk for project in projects} <= known:
        raise ServiceError(_("Choose projects that you are a member of."))
    if not scopes or not set(scopes) <= set(Scope.values):
        raise ServiceError(
            _("Say what the token is good for: %(scopes)s.") % {"scopes": ", ".join(Scope.values)}
        )
    if not 1 <= days <= MOST_DAYS:
        raise ServiceError(_("A token is good for 1 to %(most)s days.") % {"most": MOST_DAYS})
    name = check(unix_newlines(name).strip(), gettext_noop("The name"), 100)
    if _in_force(user).count() >= MOST_TOKENS:
        raise ServiceError(
            _("You have %(most)s tokens. Revoke one that nothing uses any more.")
            % {"most": MOST_TOKENS}
        )
    secret = BEGINNING + secrets.token_urlsafe(SECRET_BYTES)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        digest=digest_of(secret),
        prefix=secret[:PREFIX],
        scopes=[scope.value for scope in Scope if scope.value in scopes],
        expires_at=timezone.now() + timedelta(days=days),
    )
    token.projects.set(projects)
    return token, secret


def has_api_tokens(user: User) -> bool:
    """Say whether programs are let in as a person."""
    return _in_force(user).exists()


def _in_force(user: User) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(user=user, revoked_at=None, expires_at__gt=Now())


def revoke_api_token(token: ApiToken) -> bool:
    """Let a token in no more, from the next request on. Return False if it was revoked before."""
    in_force = ApiToken.objects.filter(id=token.pk, revoked_at=None)
    return in_force.update(revoked_at=Now()) == 1


def reach_also(token: ApiToken, project: Project) -> None:
    """Let a token reach the project that was made with it."""
    token.projects.add(project)


def note_use(token: ApiToken) -> None:
    """Write down that a token was used, once a minute at most."""
    if token.was_used_before(timezone.now() - USE_NOTED_EVERY):
        ApiToken.objects.filter(id=token.pk).update(last_used_at=Now())
