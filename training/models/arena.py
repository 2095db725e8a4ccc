"""Who fights in a project's arena, and who may watch."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from training.models.checkpoints import Checkpoint

DAILY_LIMIT = 50


class Arena(models.Model):
    """How a project's arena is set; a project without a row has the defaults."""

    project = models.OneToOneField(
        "annotations.Project", on_delete=models.CASCADE, primary_key=True, related_name="arena"
    )
    is_open = models.BooleanField(default=False)
    """To labellers and reviewers, too."""
    daily_limit = models.PositiveIntegerField(default=DAILY_LIMIT)
    """Questions that one person may ask on one day."""
    checkpoints = models.ManyToManyField(Checkpoint, related_name="arenas", blank=True)
    """Who fights. None: the promoted one, its parent, and the newest policies."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="arena_daily_limit_at_least_one", condition=Q(daily_limit__gte=1)
            ),
        ]

    def __str__(self) -> str:
        return f"Arena of {self.project}"
