"""Guidelines that are still being written."""

from __future__ import annotations

from django.db import models

from annotations.models.projects import GUIDELINE_PARTS, Project


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
