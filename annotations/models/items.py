"""The units of labelling work, and who was handed which."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from annotations.models.projects import GuidelineVersion, Kind, Project
from annotations.models.prompts import Completion, Prompt


class Item(models.Model):
    """One unit of labelling work, wanted from `overlap` annotators."""

    class Purpose(models.TextChoices):
        TRAINING = "training", "Training"
        EVALUATION = "evaluation", "Evaluation"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items")
    kind = models.CharField(max_length=16, choices=Kind)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="items")
    completions = models.ManyToManyField(Completion, related_name="items", blank=True)
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.TRAINING)
    overlap = models.PositiveSmallIntegerField(default=1)
    open_slots = models.PositiveSmallIntegerField(default=1)
    """How many annotators may still be handed this item. Taken by a conditional UPDATE."""
    priority = models.SmallIntegerField(default=0)
    batch = models.CharField(max_length=64, blank=True)
    """Groups the items made by one act (a sampling run, an import): `run-12`, `import-3`."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["project", "kind", "-priority", "id"],
                name="item_queue",
                condition=Q(open_slots__gt=0),
            ),
            models.Index(fields=["project", "batch"], name="item_batch"),
        ]
        constraints = [
            models.CheckConstraint(
                name="item_open_slots_within_overlap", condition=Q(open_slots__lte=F("overlap"))
            ),
            models.CheckConstraint(name="item_kind_known", condition=Q(kind__in=Kind.values)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} item {self.pk}"


class Assignment(models.Model):
    """An item handed to one annotator under a lease."""

    class State(models.TextChoices):
        LEASED = "leased"
        """Handed out; the annotator holds one of the item's slots until `lease_until`."""
        SUBMITTED = "submitted"
        """Answered. Final."""
        SKIPPED = "skipped"
        """Given back with a reason; the item goes to others."""
        EXPIRED = "expired"
        """The lease ran out and the slot went back; a late submit is still kept."""

    class SkipReason(models.TextChoices):
        UNCLEAR = "unclear", "The prompt is unclear"
        UNSURE = "unsure", "I can't judge this"
        BROKEN = "broken", "Something is broken or empty"
        HARMFUL = "harmful", "I'd rather not read this"
        OTHER = "other", "Something else"

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments")
    annotator = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="assignments"
    )
    state = models.CharField(max_length=12, choices=State, default=State.LEASED)
    shown_order: models.JSONField[list[int], list[int]] = models.JSONField(default=list)
    """Completion ids in the order in which this annotator sees them."""
    guideline_version = models.ForeignKey(
        GuidelineVersion, on_delete=models.PROTECT, null=True, related_name="+"
    )
    leased_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    skip_reason = models.CharField(max_length=12, choices=SkipReason, blank=True)
    skip_note = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["lease_until"], name="assignment_expiry", condition=Q(state="leased")
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "annotator"], name="assignment_once_per_person"
            ),
            models.CheckConstraint(
                name="assignment_skip_has_reason",
                condition=~Q(state="skipped") | ~Q(skip_reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item} for {self.annotator} ({self.state})"
