"""What programs elsewhere think of completions."""

from __future__ import annotations

from django.db import models

from annotations.models.projects import Project
from annotations.models.prompts import Completion


class CompletionScore(models.Model):
    """The number that a scorer elsewhere gave a completion. Never shown to who labels.

    It is no annotation: nothing is trained on it. It stands beside what people say.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="scores")
    completion = models.ForeignKey(Completion, on_delete=models.CASCADE, related_name="scores")
    scorer = models.CharField(max_length=100)
    """Its name as an import gave it."""
    score = models.FloatField()
    """More is better. What a difference means the scorer alone knows."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["completion", "scorer"], name="score_once_per_completion"
            ),
        ]
        indexes = [models.Index(fields=["project", "scorer"], name="score_of_scorer")]

    def __str__(self) -> str:
        return f"{self.scorer}: {self.score:g}"
