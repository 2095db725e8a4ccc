"""Whether a project's rounds go on by themselves."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Automation(models.Model):
    """How far a project's rounds go without a person, and who wanted it so."""

    class Mode(models.TextChoices):
        OFF = "off", "Off: a round runs when somebody says so"
        UNTIL_DECISION = "until", "On, until a person must decide"
        PROMOTING = "promoting", "On, promotion included"

    class SettingsFrom(models.TextChoices):
        """Names of presets, beside that of the runs before (`training.pipeline.presets`)."""

        LAST = "last", "The last round's runs"
        QUICK = "quick", "The preset “Quick check”"
        HAIKU = "haiku", "The preset “Haiku on a laptop”"
        CAREFUL = "careful", "The preset “Careful”"

    project = models.OneToOneField(
        "annotations.Project", on_delete=models.PROTECT, related_name="automation"
    )
    mode = models.CharField(max_length=12, choices=Mode, default=Mode.OFF)
    new_comparisons = models.PositiveIntegerField(default=200)
    """While the mode is on, a round trains once so many new judgements are in."""
    settings_from = models.CharField(max_length=12, choices=SettingsFrom, default=SettingsFrom.LAST)
    changed_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    """What a round does by itself is done in the name of who switched it on."""
    changed_at = models.DateTimeField(auto_now=True)
    acting_since = models.DateTimeField(null=True)
    """Taken by a conditional UPDATE while one dispatcher acts, and given back."""
    asks = models.TextField(blank=True)
    """What a person must decide before it goes on; empty while it goes on."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="automation_mode_known", condition=Q(mode__in=["off", "until", "promoting"])
            ),
            models.CheckConstraint(
                name="automation_asks_for_comparisons", condition=Q(new_comparisons__gte=1)
            ),
        ]

    def __str__(self) -> str:
        return f"Automation of {self.project}"
