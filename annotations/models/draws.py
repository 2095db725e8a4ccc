"""Which items were asked because an answer is worth much, and which at random."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from annotations.models.items import Arm, Assignment
from annotations.models.projects import Kind, Project


class Draw(models.Model):
    """How an assignment came about that was chosen or drawn at random. Never changed.

    Assignments without one came in the order of the queue.
    """

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="draw")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="draws")
    arm = models.CharField(max_length=8, choices=Arm)
    expected: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """What the item's was at that moment."""

    class Meta:
        indexes = [models.Index(fields=["project", "arm", "-id"], name="draw_arm")]
        constraints = [
            models.CheckConstraint(name="draw_arm_known", condition=Q(arm__in=Arm.values)),
        ]

    def __str__(self) -> str:
        return f"{self.assignment_id} {self.arm}"


class Weighing(models.Model):
    """One time that the worth of open items was reckoned. Never changed."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="weighings")
    kind = models.CharField(max_length=16, choices=Kind)
    model = models.ForeignKey(
        "training.Checkpoint", on_delete=models.SET_NULL, null=True, related_name="+"
    )
    """The reward model that it is worth something for; null where only a leaderboard gains."""
    weighed = models.PositiveIntegerField()
    """Items that got a place among those chosen."""
    at_random = models.PositiveIntegerField()
    """Items that are kept aside for the arm at random."""
    left_out = models.PositiveIntegerField()
    """Items that have no score: too long for the model, or its score was not a number."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["project", "kind", "-id"], name="weighing_newest")]

    def __str__(self) -> str:
        return f"{self.weighed} of {self.kind} weighed"
