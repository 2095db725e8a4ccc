"""Answers that somebody found good without being asked to judge them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from training.models.chats import ChatMessage


class Praise(models.Model):
    """A thumb up for a reply in a chat, or for an answer in the arena. Taken back, it is gone.

    Its opposite is a report (`annotations.models.Ticket`), which needs a reason.
    """

    person = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    reply = models.OneToOneField(
        ChatMessage, on_delete=models.CASCADE, null=True, related_name="praise"
    )
    """Of a chat, which one person writes alone."""
    completion = models.ForeignKey(
        "annotations.Completion", on_delete=models.CASCADE, null=True, related_name="praises"
    )
    """Of a battle."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="praise_of_one_answer",
                condition=Q(reply__isnull=False, completion__isnull=True)
                | Q(reply__isnull=True, completion__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["person", "completion"],
                condition=Q(completion__isnull=False),
                name="praise_once_per_person",
            ),
        ]

    def __str__(self) -> str:
        return f"Praise {self.pk}"
