"""Guidelines that are still being written, and the cases of those that were published."""

from __future__ import annotations

from typing import TypedDict

from django.db import models
from django.db.models import Q

from annotations.algorithms.clauses import Case
from annotations.models.annotations import Comparison
from annotations.models.projects import GUIDELINE_PARTS, GuidelineVersion, Project


class KnownAnswer(TypedDict):
    """A gold item about the texts of a case that knows another answer than the case expects."""

    item: int
    outcome: str


class GuidelineDraft(models.Model):
    """What one person writes before they publish it. Nobody else can change it.

    Two people who write at once have a draft each, and meet when the second one publishes.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="guideline_drafts")
    kind = models.CharField(max_length=16, choices=GUIDELINE_PARTS)
    author = models.ForeignKey("annotations.User", on_delete=models.CASCADE, related_name="+")
    text = models.TextField(blank=True)
    note = models.CharField(max_length=300, blank=True)
    begun_from = models.PositiveIntegerField(default=0)
    """The version that was in force when it was begun, or that it was merged with; 0: none was."""
    revision = models.PositiveIntegerField(default=1)
    """Raised by every save; a page that knows an older one may not overwrite it."""
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "author"], name="guideline_draft_once_per_author"
            ),
        ]

    def __str__(self) -> str:
        return f"Draft by {self.author}: {self.get_kind_display()}"


class GuidelineCase(models.Model):
    """A case of a published version: which of two answers its clause wants. Never changed."""

    version = models.ForeignKey(GuidelineVersion, on_delete=models.CASCADE, related_name="cases")
    clause = models.CharField(max_length=220)
    """The slug of the clause, by which it is the same clause in the next version."""
    title = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField()
    prompt = models.TextField()
    first = models.TextField()
    second = models.TextField()
    expected = models.CharField(max_length=12, choices=Comparison.Outcome)
    why = models.TextField(blank=True)
    digest = models.CharField(max_length=64)
    """Of prompt and answers, in this order: what reward models score, whatever version has it."""
    fingerprint = models.CharField(max_length=64)
    """As that of an item that asks the same."""
    conflicts: models.JSONField[list[KnownAnswer], list[KnownAnswer]] = models.JSONField(
        default=list
    )
    """The gold items that spoke against it when it was published."""

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "position"], name="guideline_case_once_per_position"
            ),
            models.CheckConstraint(
                name="guideline_case_outcome_known",
                condition=Q(expected__in=["left", "right", "tie", "both_bad"]),
            ),
        ]

    def __str__(self) -> str:
        return f"Case {self.position + 1} of {self.version}"

    @property
    def case(self) -> Case:
        """Return what it is about, without whose it is."""
        return Case(self.prompt, self.first, self.second, self.expected, self.why)
