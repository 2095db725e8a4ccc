"""Checkpoints and snapshots that were copied elsewhere."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from training.models.checkpoints import Checkpoint
from training.models.snapshots import DatasetSnapshot


class Push(models.Model):
    """A copy of a checkpoint or a snapshot to a place elsewhere: whole there, or absent."""

    class State(models.TextChoices):
        QUEUED = "queued"
        """Waiting for a worker. The row is the queue; a Celery message is only a hint."""
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ALIVE = (State.QUEUED, State.RUNNING)
    MAX_TIMES_LOST = 3

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="pushes"
    )
    checkpoint = models.ForeignKey(
        Checkpoint, on_delete=models.CASCADE, null=True, related_name="pushes"
    )
    snapshot = models.ForeignKey(
        DatasetSnapshot, on_delete=models.CASCADE, null=True, related_name="pushes"
    )
    url = models.CharField(max_length=500)
    """The folder, or hf://owner/name."""
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    """Rises with every claim and fences the writes of earlier ones."""
    times_lost = models.PositiveIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    bytes_total = models.BigIntegerField(default=0)
    """Of writing and of reading what was written."""
    error = models.TextField(blank=True)
    result: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """Where it lies, and the SHA-256 of each file that was found there."""
    cancel_requested_at = models.DateTimeField(null=True)
    hinted_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "pushes"
        indexes = [
            models.Index(
                fields=["state"], name="push_alive", condition=Q(state__in=["queued", "running"])
            )
        ]
        constraints = [
            models.CheckConstraint(
                name="push_of_one_thing",
                condition=Q(checkpoint__isnull=False, snapshot__isnull=True)
                | Q(checkpoint__isnull=True, snapshot__isnull=False),
            ),
            models.CheckConstraint(
                name="push_state_known",
                condition=Q(state__in=["queued", "running", "succeeded", "failed", "cancelled"]),
            ),
            models.CheckConstraint(
                name="push_terminal_has_end",
                condition=Q(state__in=["queued", "running"]) | Q(ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="push_failed_has_error", condition=~Q(state="failed") | ~Q(error="")
            ),
        ]

    def __str__(self) -> str:
        return f"Push {self.pk} of {self.what}"

    @property
    def what(self) -> Checkpoint | DatasetSnapshot:
        """Return what is copied."""
        found = self.checkpoint or self.snapshot
        assert found is not None  # as the database makes sure
        return found

    @property
    def is_alive(self) -> bool:
        """Return whether it waits or runs."""
        return self.state in self.ALIVE

    @property
    def percent(self) -> int:
        """Return how far it is."""
        return int(100 * self.bytes_done / self.bytes_total) if self.bytes_total else 0
