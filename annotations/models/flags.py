"""What came of signs of somebody not looking at what they judge: pauses, and decisions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from annotations.models.projects import Project


class FlagDecision(models.Model):
    """What was decided about one flag, on the evidence that there was. Never changed."""

    class Verdict(models.TextChoices):
        DISMISSED = "dismissed", "Dismissed"
        PAUSED = "paused", "Paused"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="flag_decisions")
    person = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    other = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, null=True, related_name="+"
    )
    """The second of two who may copy."""
    detector = models.CharField(max_length=16)
    n = models.PositiveIntegerField()
    """Answers behind the evidence; with twice as many a dismissed flag comes back."""
    evidence = models.TextField()
    verdict = models.CharField(max_length=12, choices=Verdict)
    reason = models.TextField()
    decided_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(name="flag_decision_says_why", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"{self.detector} of {self.person_id} {self.verdict}"


class AutomaticPause(models.Model):
    """Somebody whom a flag alone has paused, as a project may want it, until an owner decides.

    Nobody's pay changes. The same flag pauses nobody twice, unless there is twice the evidence.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="automatic_pauses")
    person = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    detector = models.CharField(max_length=16)
    p = models.FloatField()
    n = models.PositiveIntegerField()
    """Answers behind the evidence."""
    evidence = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    """When a person decided."""

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "person"],
                condition=Q(ended_at__isnull=True),
                name="automatic_pause_once_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"Pause {self.pk} by {self.detector}"
