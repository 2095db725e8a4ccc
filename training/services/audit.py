"""Writing down who did what, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Model

from training import lifecycle
from training.models import AuditEntry
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import Project, User

NO_REASON = "Say why; it stays in the project's audit log."


def record(
    project: Project,
    user: User | None,
    action: str,
    subject: Model,
    reason: str,
    facts: dict[str, Any] | None = None,
    *,
    name: str = "",
) -> AuditEntry:
    """Write one line of the project's audit log. Call it inside the transaction of the act.

    `user` is None where the platform acted by itself. `name` is what the subject is called there,
    if not by its own name. Refuse an act without a reason.
    """
    reason = lifecycle.clean(reason.strip())
    if not reason:
        raise ServiceError(NO_REASON)
    return AuditEntry.objects.create(
        project=project,
        user=user,
        action=action,
        subject_kind=AuditEntry.kind_of(subject),
        subject_id=subject.pk,
        subject_name=(name or str(subject))[:200],
        reason=reason,
        facts=lifecycle.clean(facts or {}),
    )
