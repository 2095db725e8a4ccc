"""What owners decide by hand about who may do a kind of work."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations.algorithms.text import unix_newlines
from annotations.models import Kind, KindDecision, Project, User
from annotations.services.qualification import MAX_WHY_CHARS
from annotations.services.rules import ServiceError, check, leave_to_another, lock
from annotations.signals import kind_decided

DECISIONS = ("granted", "withdrawn", "lifted")
"""May do it, may not do it, or as the rules say. Written so into the audit log."""


@transaction.atomic
def decide_kind(
    project: Project, person: User, kind: str, decision: str, *, reason: str, decided_by: User
) -> KindDecision:
    """Let a person do a kind of work or not, whatever the rules say; or leave it to them again.

    It holds from the next item that is handed out. Return the decision that was made or lifted.
    """
    lock(project)
    leave_to_another(decided_by, project, [person], _("This is about your own work."))
    if kind not in Kind.values or decision not in DECISIONS:
        raise ServiceError(_("Choose a kind of work, and what holds for it."))
    reason = check(unix_newlines(reason.strip()), gettext_noop("The reason"), MAX_WHY_CHARS)
    if not reason:
        raise ServiceError(_("Say why: the person reads it, and it stays in the audit log."))
    made = _decide(project, person, kind, decision, reason, decided_by)
    kind_decided.send(
        sender=KindDecision, decision=made, action=decision, reason=reason, decided_by=decided_by
    )
    return made


def _decide(
    project: Project, person: User, kind: str, decision: str, reason: str, decided_by: User
) -> KindDecision:
    held = KindDecision.objects.filter(project=project, person=person, kind=kind, ended_at=None)
    current = held.first()
    if decision == "lifted":
        if current is None:
            raise ServiceError(_("Nothing is decided by hand about this: the rules hold already."))
        held.update(ended_at=timezone.now())
        return current
    is_granted = decision == "granted"
    if current is not None and current.is_granted == is_granted:
        already = (
            _("This is granted already. Lift it first to give another reason.")
            if is_granted
            else _("This is withdrawn already. Lift it first to give another reason.")
        )
        raise ServiceError(already)
    held.update(ended_at=timezone.now())
    return KindDecision.objects.create(
        project=project,
        person=person,
        kind=kind,
        is_granted=is_granted,
        reason=reason,
        made_by=decided_by,
    )
