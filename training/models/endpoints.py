"""Servers elsewhere that answer prompts of a project."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from training.models.checkpoints import Checkpoint


class Endpoint(models.Model):
    """An OpenAI-compatible server and the model that it is asked for.

    What it answers is filed under its checkpoint, of kind external, which has its name and no
    files. The key is kept encrypted and shown to nobody.
    """

    class Try(models.TextChoices):
        NONE = "", "never tried"
        ASKED = "asked"
        ANSWERED = "answered"
        FAILED = "failed"

    checkpoint = models.OneToOneField(Checkpoint, on_delete=models.CASCADE, related_name="endpoint")
    url = models.CharField(max_length=500)
    """Up to where `/chat/completions` follows: https://host/v1."""
    model = models.CharField(max_length=200)
    """What the server calls the model."""
    encrypted_key = models.TextField(blank=True)
    timeout_s = models.PositiveIntegerField(default=60)
    """How long one answer may take."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    try_state = models.CharField(max_length=8, choices=Try, blank=True)
    try_text = models.TextField(blank=True)
    """What came back when it was tried, or what went wrong."""
    tried_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="endpoint_timeout_sane", condition=Q(timeout_s__gte=1, timeout_s__lte=600)
            )
        ]

    def __str__(self) -> str:
        return self.checkpoint.name
