"""What work is paid, and what each person has earned: rows that are written once.

The database itself refuses to change or delete a rate or an entry (triggers in the migration): what
was wrong is put right by another entry, so that a statement can be shown again for ever.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotations.models.annotations import Annotation
from annotations.models.projects import Kind, Project


class PayRate(models.Model):
    """What one kind of work earns from a moment on, until a later rate begins."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="pay_rates")
    kind = models.CharField(max_length=16, choices=Kind, blank=True)
    """Empty: every kind that has no rate of its own."""
    per_item_micros = models.BigIntegerField(default=0)
    per_hour_micros = models.BigIntegerField(default=0)
    """For an hour of active time. Whichever of the two comes to more is paid."""
    currency = models.CharField(max_length=3)
    starts_at = models.DateTimeField()
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["project", "kind", "-starts_at", "-id"], name="pay_rate_in_force")
        ]
        constraints = [
            models.CheckConstraint(
                name="pay_rate_not_negative",
                condition=Q(per_item_micros__gte=0, per_hour_micros__gte=0),
            ),
        ]

    def __str__(self) -> str:
        return f"Rate {self.pk} of {self.project_id} from {self.starts_at:%Y-%m-%d}"


class PayEntry(models.Model):
    """One line of the ledger. A person's earnings are the sum of theirs."""

    class Source(models.TextChoices):
        WORK = "work", "Work"
        """An answer was handed in."""
        REVERSAL = "reversal", "Reversal"
        """An earlier entry, taken back: the answer was taken back or corrected."""
        ADJUSTMENT = "adjustment", "Adjustment"
        """An owner added or took something, and says why."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="pay_entries")
    person = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="pay_entries"
    )
    source = models.CharField(max_length=12, choices=Source)
    annotation = models.ForeignKey(
        Annotation, on_delete=models.PROTECT, null=True, related_name="pay_entries"
    )
    rate = models.ForeignKey(PayRate, on_delete=models.PROTECT, null=True, related_name="entries")
    reverses = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="reversed_by"
    )
    active_ms = models.IntegerField(default=0)
    """Of the answer; below zero in a reversal, so that sums are what stands."""
    amount_micros = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=300, blank=True)
    made_by = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, null=True, related_name="+"
    )
    """Who adjusted."""
    key = models.UUIDField(null=True, unique=True)
    """Of the form that asked for an adjustment: sent twice, it is written once."""
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "pay entries"
        indexes = [
            models.Index(fields=["project", "created_at"], name="pay_entry_period"),
            models.Index(fields=["person", "project", "created_at"], name="pay_entry_statement"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["annotation"],
                condition=Q(source="work"),
                name="pay_entry_once_per_annotation",
            ),
            models.CheckConstraint(
                name="pay_entry_says_what_for",
                condition=(
                    Q(source="work", annotation__isnull=False, reverses__isnull=True)
                    | Q(source="reversal", annotation__isnull=False, reverses__isnull=False)
                    | Q(source="adjustment", annotation__isnull=True, made_by__isnull=False)
                    & ~Q(reason="")
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_source_display()} {self.pk} of {self.person_id}"
