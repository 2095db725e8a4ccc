"""What engineers say to checkpoints, and what comes back."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q

from training.models.checkpoints import Checkpoint


class Chat(models.Model):
    """What one person says to one checkpoint, or the same to two side by side.

    The checkpoints and the sampling are those of the next message; each reply keeps its own.
    """

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="chats"
    )
    person = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="chats")
    title = models.CharField(max_length=100)
    """How the first message begins."""
    left = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+")
    right = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, null=True, related_name="+")
    temperature = models.FloatField()
    top_p = models.FloatField()
    max_new_tokens = models.PositiveIntegerField()
    seed = models.BigIntegerField(null=True)
    """None draws another one for each reply."""
    created_at = models.DateTimeField(auto_now_add=True)
    said_at = models.DateTimeField(auto_now_add=True)
    """When the person last wrote."""

    class Meta:
        ordering = ["-said_at", "-id"]
        indexes = [models.Index(fields=["project", "person", "-said_at"], name="chat_history")]
        constraints = [
            models.CheckConstraint(
                name="chat_side_by_side_differs",
                condition=Q(right__isnull=True) | ~Q(right=F("left")),
            ),
        ]

    def __str__(self) -> str:
        return self.title


class ChatMessage(models.Model):
    """A message of a person, or the reply of one checkpoint to it.

    Nothing is deleted: what was edited or asked for again stays, and is current no more.
    """

    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"

    class Side(models.TextChoices):
        LEFT = "left"
        RIGHT = "right"

    class State(models.TextChoices):
        WAITING = "waiting"
        """Nobody reads it. Who does begins it, or goes on with its `generation`."""
        WRITING = "writing"
        """One reader writes it down as it comes, and stamps `seen_at`."""
        DONE = "done"
        STOPPED = "stopped"
        """Somebody stopped it, or nobody read it to its end. What was written is kept."""
        FAILED = "failed"

    OPEN = (State.WAITING, State.WRITING)

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="messages")
    turn = models.PositiveIntegerField()
    """From 0; a message and its replies have the same."""
    role = models.CharField(max_length=9, choices=Role)
    side = models.CharField(max_length=5, choices=Side, blank=True)
    checkpoint = models.ForeignKey(
        Checkpoint, on_delete=models.PROTECT, null=True, related_name="chat_replies"
    )
    text = models.TextField(blank=True)
    is_current = models.BooleanField(default=True)
    state = models.CharField(max_length=8, choices=State, default=State.DONE)
    error = models.TextField(blank=True)
    """Why a reply failed, and what to do."""
    stop_asked = models.BooleanField(default=False)
    generation = models.CharField(max_length=64, blank=True)
    """What `training.streaming` calls it."""
    sampling: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """Of a reply: temperature, top_p, max_new_tokens."""
    seed = models.BigIntegerField(null=True)
    tokens = models.PositiveIntegerField(null=True)
    finish_reason = models.CharField(max_length=20, blank=True)
    seconds = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True)
    """The last sign of life of who writes it down; none of what was not begun."""

    class Meta:
        ordering = ["turn", "id"]
        constraints = [
            models.CheckConstraint(
                name="chat_message_reply_has_checkpoint",
                condition=Q(role="user", side="", checkpoint__isnull=True)
                | Q(role="assistant", side__in=["left", "right"], checkpoint__isnull=False),
            ),
            models.CheckConstraint(
                name="chat_message_state_known",
                condition=Q(state__in=["waiting", "writing", "done", "stopped", "failed"]),
            ),
            models.CheckConstraint(
                name="chat_message_failed_has_error", condition=~Q(state="failed") | ~Q(error="")
            ),
            models.UniqueConstraint(
                fields=["chat", "turn", "side"],
                condition=Q(is_current=True),
                name="chat_message_current_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.pk} of chat {self.chat_id}"

    @property
    def is_open(self) -> bool:
        """Return whether the reply is still to come, or on its way."""
        return self.state in self.OPEN

    @property
    def is_praised(self) -> bool:
        """Return whether the person found the reply good."""
        return hasattr(self, "praise")
