"""What reward models make of the cases of guidelines."""

from __future__ import annotations

from django.db import models

from training.models.checkpoints import Checkpoint
from training.models.runs import Run


class CaseScore(models.Model):
    """The scores that a reward model gives the two answers of a case. Never changed.

    They hold for the texts, whatever version of the guidelines has them, so that a case which
    stays as it was is scored once by each reward model.
    """

    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="case_scores")
    digest = models.CharField(max_length=64)
    """Of the prompt and both answers, as `GuidelineCase.digest`."""
    first = models.FloatField()
    second = models.FloatField()
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="case_scores")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["checkpoint", "digest"], name="case_score_once"),
        ]

    def __str__(self) -> str:
        return f"{self.first:g} against {self.second:g} by {self.checkpoint}"
