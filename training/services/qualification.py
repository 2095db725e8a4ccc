"""What is decided by hand about who may do a kind of work, in the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.services.audit import record

if TYPE_CHECKING:
    from annotations.models import KindDecision, User


def hear_kind_decided(
    sender: object,
    *,
    decision: KindDecision,
    action: str,
    reason: str,
    decided_by: User,
    **_signal: Any,
) -> None:
    """Write down that a qualification was granted, withdrawn or left to the rules."""
    # Engineers read the log, and do not learn there who anybody is.
    facts = {"person": decision.person_id, "kind": decision.kind}
    record(decision.project, decided_by, action, decision, reason, facts)
