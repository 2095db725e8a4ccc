"""What is settled with a single person: whether models learn from them, and what they are told."""

from __future__ import annotations

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from annotations.models.projects import Project


class HeldOut(models.Model):
    """A person whose annotations no model learns from, so that models can be held against them.

    It outlives the membership. Once it has ended, what was annotated until then stays held out:
    otherwise a model could be trained on what an earlier one was measured by.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="held_out")
    user = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="held_out_in"
    )
    made_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "held out"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"],
                condition=Q(ended_at__isnull=True),
                name="held_out_once_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} held out of {self.project_id}"


def held_out(path: str = "") -> Exists:
    """Return the condition that the annotation at `path` is by somebody held out."""
    still = Q(ended_at__isnull=True) | Q(ended_at__gt=OuterRef(f"{path}created_at"))
    return Exists(
        HeldOut.objects.filter(
            still,
            project=OuterRef(f"{path}item__project"),
            user=OuterRef(f"{path}annotator"),
        )
    )


class MemberNote(models.Model):
    """What an owner tells a person about their work. The person says that they have read it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="member_notes")
    person = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="member_notes"
    )
    text = models.TextField()
    made_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["project", "person", "-id"], name="member_note_of")]

    def __str__(self) -> str:
        return self.text[:80]
