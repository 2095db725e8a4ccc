"""What checkpoints did with the prompts of tickets."""

from __future__ import annotations

from django.db import models

from training.models.checkpoints import Checkpoint
from training.models.runs import Run


class RegressionResult(models.Model):
    """Whether a checkpoint passed a regression case. Never changed; the newest counts."""

    checkpoint = models.ForeignKey(
        Checkpoint, on_delete=models.PROTECT, related_name="regression_results"
    )
    case = models.ForeignKey(
        "annotations.RegressionCase", on_delete=models.PROTECT, related_name="results"
    )
    case_version = models.PositiveIntegerField()
    """Of the check that was carried out; where it was changed since, this counts no more."""
    passed = models.BooleanField()
    text = models.TextField()
    """Why, in a sentence."""
    answers: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, null=True, related_name="regression_results"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "checkpoint", "case"], name="regression_result_once_per_run"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.checkpoint} {'passes' if self.passed else 'fails'} {self.case}"
