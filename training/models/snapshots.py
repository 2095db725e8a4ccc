"""What was frozen to learn from."""

from __future__ import annotations

from typing import Any

from django.db import models


class DatasetSnapshot(models.Model):
    """Rows frozen from a project's annotations. Immutable; its hash is its content."""

    class Content(models.TextChoices):
        DEMONSTRATIONS = "demonstrations", "Demonstrations (for sft)"
        PREFERENCES = "preferences", "Preferences (for reward, dpo)"
        JUDGEMENTS = "judgements", "Good and bad completions (for kto)"
        PROMPTS = "prompts", "Prompts (for ppo, grpo, rloo, rejection)"

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="snapshots"
    )
    content = models.CharField(max_length=16, choices=Content)
    filters: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=0)
    counts: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    """Rows and prompts per split, annotations, annotators, ties, what was left out and why."""
    annotation_ids: models.JSONField[list[int], list[int]] = models.JSONField()
    sha256 = models.CharField(max_length=64)
    replaces = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, related_name="replacements"
    )
    """The snapshot of the same recipe from which annotations were recalled."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Snapshot {self.pk}"


class SnapshotAnnotation(models.Model):
    """An annotation is behind the rows of a snapshot.

    The list `annotation_ids` says the same, but no index can look into a list on both databases.
    """

    snapshot = models.ForeignKey(
        DatasetSnapshot, on_delete=models.CASCADE, related_name="links", db_index=False
    )
    annotation = models.ForeignKey(
        "annotations.Annotation", on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["snapshot", "annotation"], name="annotation_once_per_snapshot"
            ),
        ]

    def __str__(self) -> str:
        return f"annotation {self.annotation_id} in snapshot {self.snapshot_id}"
