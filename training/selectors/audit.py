"""What was done to a project's models and data, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Model, QuerySet

from training.models import AuditEntry

if TYPE_CHECKING:
    from annotations.models import Project


def audit_log(project: Project) -> QuerySet[AuditEntry]:
    """Return everything that was recorded in a project, newest first."""
    return AuditEntry.objects.filter(project=project).select_related("user")


def audit_of(subject: Model) -> QuerySet[AuditEntry]:
    """Return what was recorded about one object, newest first."""
    entries = AuditEntry.objects.filter(
        subject_kind=AuditEntry.kind_of(subject), subject_id=subject.pk
    )
    return entries.select_related("user")
