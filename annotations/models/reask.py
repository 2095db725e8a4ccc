"""Comparisons that were asked again after the guidelines had changed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from annotations.models.annotations import Annotation
from annotations.models.items import Item
from annotations.models.projects import GuidelineVersion, Project


class Reask(models.Model):
    """One act of asking again. What it asked and at random beside it is in `items`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reasks")
    version = models.ForeignKey(GuidelineVersion, on_delete=models.PROTECT, related_name="+")
    """In force when it was asked for."""
    since = models.ForeignKey(GuidelineVersion, on_delete=models.PROTECT, related_name="+")
    """What was judged by this version, or an earlier one, could be asked again."""
    clauses: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    """The titles of the clauses that changed between the two."""
    candidates = models.PositiveIntegerField()
    seed = models.PositiveIntegerField()
    """The control was drawn with it."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Asked again {self.pk}"


class ReaskedItem(models.Model):
    """An item that asks what was judged before, of somebody else."""

    class Arm(models.TextChoices):
        CHOSEN = "chosen", "Chosen"
        CONTROL = "control", "At random"

    reask = models.ForeignKey(Reask, on_delete=models.CASCADE, related_name="items")
    item = models.OneToOneField(Item, on_delete=models.CASCADE, related_name="reasked")
    source = models.ForeignKey(Annotation, on_delete=models.PROTECT, related_name="+")
    """The earlier answer that the new one is held against."""
    arm = models.CharField(max_length=8, choices=Arm)
    score = models.FloatField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["reask", "source"], name="reasked_once"),
            models.CheckConstraint(
                name="reasked_arm_known", condition=Q(arm__in=["chosen", "control"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item} again ({self.arm})"
