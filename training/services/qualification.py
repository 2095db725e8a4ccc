"""Deciding by hand who may do a kind of work, with a line in the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from annotations import services as collecting
from training.services.audit import record
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import KindDecision, Project, User


@transaction.atomic
def decide_kind(
    project: Project, person: User, kind: str, decision: str, *, reason: str, decided_by: User
) -> KindDecision:
    """Grant or withdraw somebody's qualification for a kind of work, or leave it to the rules."""
    try:
        made = collecting.decide_kind(
            project, person, kind, decision, reason=reason, decided_by=decided_by
        )
    except collecting.ServiceError as error:
        raise ServiceError(str(error)) from None
    # Engineers read the log, and do not learn there who anybody is.
    record(project, decided_by, decision, made, reason, {"person": person.pk, "kind": kind})
    return made
