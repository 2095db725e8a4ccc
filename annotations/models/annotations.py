"""What people said: immutable, because every trainer reads it from here."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from annotations.models.items import Assignment, Item
from annotations.models.projects import GuidelineVersion, Kind
from annotations.models.prompts import Completion


class Annotation(models.Model):
    """What a person said about an item. Never updated, never deleted.

    The payload lies in `demonstration`, `comparison` or `ranking`, by `kind`.
    """

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="annotations")
    annotator = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="annotations"
    )
    assignment = models.OneToOneField(
        Assignment, on_delete=models.PROTECT, null=True, related_name="annotation"
    )
    """Null for imported annotations, which were never handed out here."""
    kind = models.CharField(max_length=16, choices=Kind)
    guideline_version = models.ForeignKey(
        GuidelineVersion, on_delete=models.PROTECT, null=True, related_name="annotations"
    )
    shown_order: models.JSONField[list[int], list[int]] = models.JSONField(default=list)
    reason = models.TextField(blank=True)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="superseded_by"
    )
    surplus = models.BooleanField(default=False)
    """Submitted after the lease ran out and the place was taken: kept, beyond the overlap."""
    wall_ms = models.PositiveIntegerField(null=True)
    """From hand-out to submit, in milliseconds."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "annotator"],
                condition=Q(supersedes__isnull=True),
                name="annotation_once_per_person",
            ),
            models.CheckConstraint(name="annotation_kind_known", condition=Q(kind__in=Kind.values)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} annotation {self.pk}"


class Demonstration(models.Model):
    """An ideal answer, written by a person."""

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)
    completion = models.OneToOneField(Completion, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return str(self.completion)


class Comparison(models.Model):
    """Which of two completions is better, and by how much."""

    class Outcome(models.TextChoices):
        LEFT = "left", "A is better"
        RIGHT = "right", "B is better"
        TIE = "tie", "Tie"
        BOTH_BAD = "both_bad", "Both bad"

    class Strength(models.TextChoices):
        SIGNIFICANTLY = "significantly", "Significantly better"
        BETTER = "better", "Better"
        SLIGHTLY = "slightly", "Slightly better"
        NEGLIGIBLY = "negligibly", "Negligibly better"

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)
    left = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    """The completion that this annotator saw as A."""
    right = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    """The completion that this annotator saw as B."""
    outcome = models.CharField(max_length=12, choices=Outcome)
    strength = models.CharField(max_length=16, choices=Strength, blank=True)
    """Empty for a tie, for both bad, and where an import did not say."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="comparison_of_two_completions", condition=~Q(left=F("right"))
            ),
            models.CheckConstraint(
                name="comparison_outcome_known",
                condition=Q(outcome__in=["left", "right", "tie", "both_bad"]),
            ),
            models.CheckConstraint(
                name="comparison_strength_only_with_a_side",
                condition=Q(outcome__in=["left", "right"]) | Q(strength=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.strength}".strip()


class Ranking(models.Model):
    """Several completions in tiers, best first; completions in one tier are tied."""

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)

    def __str__(self) -> str:
        return f"Ranking {self.pk}"


class RankedCompletion(models.Model):
    """The tier of one completion in one ranking. Tier 0 is the best."""

    ranking = models.ForeignKey(Ranking, on_delete=models.PROTECT, related_name="entries")
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    tier = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["tier", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "completion"], name="ranked_completion_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.completion_id} in tier {self.tier}"
