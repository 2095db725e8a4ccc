"""Who did what to a project's models and data, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from annotations.api.operations import Answer, Call, IdInAddress, Operations, Search
from annotations.api.pages import Page, Paged, page_of
from training import access, selectors, services
from training.models import AuditEntry

operations = Operations("Audit log", refusals=(services.ServiceError,))


class AuditOut(Answer):
    """One act. It is never changed and never deleted."""

    id: int
    by: str
    action: str
    subject_kind: str
    subject_id: int
    subject_name: str
    reason: str
    facts: dict[str, Any]
    created_at: datetime


class AuditFilters(Paged):
    action: Search | None = None
    subject_kind: Search | None = None
    subject_id: IdInAddress | None = None


@operations.get("projects/<int:project_id>/audit")
def list_audit(call: Call, project_id: int, query: AuditFilters) -> Page[AuditOut]:
    """List who did what to models and data, and why. Owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    wanted = {"action", "subject_kind", "subject_id"}
    same = query.model_dump(include=wanted, exclude_none=True)
    return page_of(selectors.audit_log(project).filter(**same), query, _entry)


def _entry(entry: AuditEntry) -> AuditOut:
    return AuditOut(
        id=entry.pk,
        by=str(entry.user or ""),
        action=entry.action,
        subject_kind=entry.subject_kind,
        subject_id=entry.subject_id,
        subject_name=entry.subject_name,
        reason=entry.reason,
        facts=entry.facts,
        created_at=entry.created_at,
    )
