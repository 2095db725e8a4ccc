"""What was done and what it cost, day by day: sums, so that pages need not count a million rows.

Nothing here is a source. Every row is reckoned from annotations and the ledger of pay, and reckoned
again where these have changed (`services.daily`). Days are those of UTC.
"""

from __future__ import annotations

from django.db import models

from annotations.models.projects import Kind, Project


class DailyWork(models.Model):
    """What one person did of one kind on one day: of all prompts, or of those with one tag."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="daily_work")
    person = models.ForeignKey("annotations.User", on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    kind = models.CharField(max_length=16, choices=Kind)
    tag = models.CharField(max_length=200, blank=True)
    """Empty: all prompts, with tags or without."""
    answers = models.PositiveIntegerField()
    """That count, were handed out here, and are neither gold nor of the arena."""
    imported = models.PositiveIntegerField()
    """That count and were made elsewhere."""
    gold = models.PositiveIntegerField()
    """Answers to gold items."""
    gold_right = models.PositiveIntegerField()
    timed = models.PositiveIntegerField()
    """Answers, to gold items as well, of which the active time was measured."""
    active_ms = models.PositiveBigIntegerField()

    class Meta:
        verbose_name_plural = "daily work"
        indexes = [models.Index(fields=["project", "tag", "day"], name="daily_work_of")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "person", "day", "kind", "tag"], name="daily_work_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.person_id} on {self.day}"


class DailyCost(models.Model):
    """What the ledger says about one person on one day: by kind of work and currency."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="daily_costs")
    person = models.ForeignKey("annotations.User", on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    kind = models.CharField(max_length=16, choices=Kind, blank=True)
    """Empty: adjustments, which are for no answer."""
    currency = models.CharField(max_length=3)
    paid = models.IntegerField()
    """Answers paid, less those reversed."""
    micros = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["project", "day"], name="daily_cost_of")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "person", "day", "kind", "currency"], name="daily_cost_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.micros} {self.currency} for {self.person_id} on {self.day}"


class DailyState(models.Model):
    """What the daily figures of a project were reckoned by."""

    project = models.OneToOneField(
        Project, on_delete=models.CASCADE, primary_key=True, related_name="daily_state"
    )
    recalls: models.JSONField[list[int], list[int]] = models.JSONField(default=list)
    """Those in force."""
    gold: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(default=dict)
    """Of each gold item a digest of its known answer."""
    revision = models.PositiveIntegerField(default=0)
    """Raised with every change; who knows an older one may not write."""
    rebuilt_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Daily figures of {self.project_id}, revision {self.revision}"


class DailyNews(models.Model):
    """How far the annotations and the ledger of all projects were read: the only row."""

    revision = models.PositiveIntegerField(default=0)
    read_at = models.DateTimeField()
    seen: models.JSONField[dict[str, list[int]], dict[str, list[int]]] = models.JSONField(
        default=dict
    )
    """By table the highest id, then those below it that were not there yet; new retractions."""

    class Meta:
        verbose_name_plural = "daily news"

    def __str__(self) -> str:
        return f"Read at {self.read_at}"
