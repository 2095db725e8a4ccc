"""Tokens of programs, with a line in the audit log of every project that they reach."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from annotations import services as collecting
from training import access
from training.services.audit import record
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import ApiToken, Project, User

MODELS = "models"
"""The scope that lets a program talk with models."""


@transaction.atomic
def create_api_token(
    user: User,
    *,
    name: str,
    projects: Sequence[Project],
    days: int,
    scopes: Collection[str] = (MODELS,),
) -> tuple[ApiToken, str]:
    """Make a token. Return it with its text, which nobody can be shown again."""
    served = {project.pk for project in access.get_served_projects_for(user)}
    if MODELS in scopes and not {project.pk for project in projects} <= served:
        raise ServiceError(
            _(
                "Programs may talk with the models of projects that you own, engineer or review. "
                "Leave the others out, or make the token without this right."
            )
        )
    try:
        token, secret = collecting.make_api_token(
            user, name=name, projects=projects, scopes=scopes, days=days
        )
    except collecting.ServiceError as error:
        raise ServiceError(str(error)) from None
    for project in projects:
        reason = f"For {days} days, good for: {', '.join(token.scopes)}."
        record(project, user, "made", token, reason)
    return token, secret


@transaction.atomic
def revoke_api_token(token: ApiToken) -> None:
    """Let a token in no more, from the next request on. Revoking it again changes nothing."""
    if collecting.revoke_api_token(token):
        for project in token.projects.all():
            record(project, token.user, "revoked", token, "It lets no program in any more.")
