"""What owners do with members, in the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.services.audit import record

if TYPE_CHECKING:
    from annotations.models import Membership, User


def hear_member_changed(
    sender: object,
    *,
    membership: Membership,
    action: str,
    reason: str,
    made_by: User,
    **_signal: Any,
) -> None:
    """Write down that somebody was brought in, given another role, paused, resumed or removed.

    By number: engineers read the log and do not learn there who anybody is, and a name that is
    erased has to go.
    """
    person = membership.user_id
    facts = {"person": person, "role": membership.role}
    record(membership.project, made_by, action, membership, reason, facts, name=f"Person {person}")
