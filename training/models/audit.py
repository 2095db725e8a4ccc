"""Who did what to a model, a snapshot or a rule, and why."""

from __future__ import annotations

from typing import Any

from django.db import models


class AuditEntry(models.Model):
    """One act, written in the transaction that carried it out. Never updated, never deleted.

    What it was done to is named and not referred to, because it may be gone.
    """

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="audit_entries"
    )
    user = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, null=True, related_name="+"
    )
    """Nobody where the platform acted by itself, as the project's settings allow it to."""
    action = models.CharField(max_length=40)
    """A verb in the past: promoted, demoted, deleted."""
    subject_kind = models.CharField(max_length=40)
    """The model's name of what it was done to: checkpoint, datasetsnapshot, round."""
    subject_id = models.BigIntegerField()
    subject_name = models.CharField(max_length=200)
    reason = models.TextField()
    facts: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """What was known at that moment: the numbers that decided, the hashes of what was removed."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["project", "-id"], name="audit_of_project"),
            models.Index(fields=["subject_kind", "subject_id"], name="audit_of_subject"),
        ]
        constraints = [
            models.CheckConstraint(name="audit_says_why", condition=~models.Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"{self.subject_name} {self.action}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("An audit entry is never changed. Record another one.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("An audit entry is never deleted.")

    @staticmethod
    def kind_of(subject: models.Model) -> str:
        """Return how entries call what this is one of."""
        return type(subject).__name__.lower()
