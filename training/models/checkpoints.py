"""Models, and which of them answers for its project."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q


class Checkpoint(models.Model):
    """A base model, an adapter on one, or a model of its own, whole in the artifact store."""

    class Kind(models.TextChoices):
        BASE = "base", "Base model"
        POLICY = "policy", "Policy"
        REWARD = "reward", "Reward model"
        EXTERNAL = "external", "External endpoint"
        """A server elsewhere (`Endpoint`): a source of completions, without weights here."""

    ANSWERING = (Kind.BASE, Kind.POLICY)
    """Kinds that a model on this installation's machines can answer as."""
    STREAMING = (*ANSWERING, Kind.EXTERNAL)
    """Kinds whose answers can be read while they are written: in chats and the arena."""

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="checkpoints"
    )
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=8, choices=Kind)
    path = models.CharField(max_length=500)
    """Of a base: the model's folder. Of what a run made: its folder below ARTIFACTS_URL. Of an
    external one: nothing."""
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    run = models.OneToOneField(
        "training.Run", on_delete=models.PROTECT, null=True, related_name="checkpoint"
    )
    manifest: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """Copy of manifest.json: file hashes, snapshot hash, config, seed, code version, metrics."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="checkpoint_name_once"),
            models.CheckConstraint(
                name="checkpoint_base_has_no_parent",
                condition=Q(kind="base", parent__isnull=True) | ~Q(kind="base"),
            ),
            models.CheckConstraint(
                name="checkpoint_external_has_no_parent",
                condition=~Q(kind="external") | Q(parent__isnull=True, run__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_external(self) -> bool:
        """Return whether it is a server elsewhere, without weights here."""
        return self.kind == self.Kind.EXTERNAL

    @property
    def stands_alone(self) -> bool:
        """Return whether it has weights of its own: a base, or what full fine-tuning made."""
        return self.kind == self.Kind.BASE or self.manifest.get("weights") == "full"


class Promotion(models.Model):
    """The record of which checkpoint samples for a project, since when, by whom and why.

    The newest row of a project is in force.
    """

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="promotions"
    )
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="promotions")
    promoted_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    evidence: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """The win rate with interval and n at the moment of promotion, if there was one."""
    restores = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="restored_by"
    )
    """Of a rollback: the earlier promotion that is in force again. The row before is undone."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.checkpoint} promoted"
