"""What a run's radar saw on its way."""

from __future__ import annotations

from typing import Any

from django.db import models

from training.models.runs import Run


class RadarLook(models.Model):
    """A run's policy at a set distance from its start, which people compare with the start.

    How they like it is computed from the annotations on the items of `batch` when it is read.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="radar_looks")
    number = models.PositiveSmallIntegerField()
    """Which of the set distances, from 0."""
    distance = models.FloatField()
    """The set distance, KL in nats."""
    kl = models.FloatField()
    """How far the rollout was that reached it."""
    step = models.PositiveIntegerField()
    """Rollout steps that the policy had learned from."""
    answers: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField()
    """`[{prompt_id, policy_score, start_score, certain}]`: what the reward model says of both, and
    the score of the policy where nobody has to judge (equal texts, an empty answer), else null."""
    batch = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["run", "number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="radar_look_once"),
        ]

    def __str__(self) -> str:
        return f"{self.run} at {self.distance:g} nats"
