"""Turns of the loop, and the blind comparisons that decide them."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from training.models.checkpoints import Checkpoint, Promotion
from training.models.runs import Run


class Round(models.Model):
    """One turn of the loop in a project."""

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="rounds"
    )
    number = models.PositiveIntegerField()
    policy = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+")
    """The checkpoint that was promoted when the round began; it answers the prompts."""
    sample_run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="+")
    reward_run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="+")
    policy_run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="+")
    suite_run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="+")
    """The suite that measured what the round made beside the round's policy."""
    evaluation = models.ForeignKey(
        "training.Evaluation", on_delete=models.PROTECT, null=True, related_name="+"
    )
    promotion = models.OneToOneField(
        Promotion, on_delete=models.PROTECT, null=True, related_name="round"
    )
    decision = models.TextField(blank=True)
    """Why the round ended as it did: promoted, or kept back with the reason."""
    driven_by = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, null=True, related_name="+"
    )
    """In whose name the round goes on by itself; nobody's where it is driven by hand."""
    skipped: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    """What a person chose not to wait for: `comparisons`, `reward`, `suite`."""
    halted_act = models.CharField(max_length=12, blank=True)
    """What was refused when the round tried it by itself; it is not tried again unasked."""
    halted_because = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="round_number_once"),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(ended_at__isnull=True),
                name="round_one_open_per_project",
            ),
        ]

    def __str__(self) -> str:
        return f"Round {self.number}"


class Evaluation(models.Model):
    """A blind comparison of a child with its parent on held-out prompts.

    Its figures are computed from the annotations on the items of `batch` when they are read.
    """

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="evaluations"
    )
    child = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="evaluations")
    parent = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+")
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="evaluation")
    """The sample run in which both answered the held-out prompts."""
    batch = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="evaluation_of_two_checkpoints", condition=~Q(child=F("parent"))
            )
        ]

    def __str__(self) -> str:
        return f"{self.child} against {self.parent}"
