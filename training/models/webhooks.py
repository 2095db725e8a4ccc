"""Who is told elsewhere of what happens in a project, and how each message fared."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Webhook(models.Model):
    """An address that is told of what happens in a project, by signed messages."""

    class Kind(models.TextChoices):
        """What happens. Its name is the `type` of the message."""

        ANNOTATION_CREATED = "annotation.created", "An annotation was submitted or corrected"
        ANNOTATION_RETRACTED = "annotation.retracted", "An annotation was taken back"
        ITEM_FINISHED = "item.finished", "An item has all its answers"
        FLAG_RAISED = "flag.raised", "A flag was raised about somebody's answers"
        FLAG_DECIDED = "flag.decided", "A flag was dismissed, or somebody paused"
        SNAPSHOT_FROZEN = "snapshot.frozen", "A snapshot was frozen"
        RUN_STARTED = "run.started", "A run started"
        RUN_SUCCEEDED = "run.succeeded", "A run succeeded"
        RUN_FAILED = "run.failed", "A run failed"
        RUN_CANCELLED = "run.cancelled", "A run was cancelled"
        CHECKPOINT_CREATED = "checkpoint.created", "A checkpoint was made"
        CHECKPOINT_PROMOTED = "checkpoint.promoted", "A checkpoint was promoted"
        CHECKPOINT_DEMOTED = "checkpoint.demoted", "A checkpoint was demoted"
        ROUND_WAITING = "round.waiting", "A round waits for a person"

    FOR_OWNERS = (Kind.FLAG_RAISED, Kind.FLAG_DECIDED)
    """What only owners may know, and so only they may have told."""
    TEST = "webhook.test"
    """The kind of the message that a button sends."""

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="webhooks"
    )
    url = models.CharField(max_length=500)
    kinds: models.JSONField[list[str], list[str]] = models.JSONField()
    """What it is told of."""
    encrypted_secret = models.TextField()
    encrypted_old_secret = models.TextField(blank=True)
    """The secrets before, a line each, the newest first; they sign until `old_secret_until`."""
    old_secret_until = models.DateTimeField(null=True)
    is_active = models.BooleanField(default=True)
    stopped_because = models.TextField(blank=True)
    """Why the platform stopped it by itself; empty where a person did, and while it is active."""
    failures = models.PositiveIntegerField(default=0)
    """Attempts in a row that failed."""
    failing_since = models.DateTimeField(null=True)
    rest_until = models.DateTimeField(null=True)
    """After a failure nothing is sent to it for a while, whatever waits."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="webhook_active_or_stopped",
                condition=Q(is_active=False) | Q(stopped_because=""),
            ),
        ]

    def __str__(self) -> str:
        """Return its address without what may be a token in it."""
        return self.url.partition("?")[0]

    @property
    def old_secrets(self) -> list[str]:
        """Return the encrypted secrets before that still sign, the newest first."""
        until = self.old_secret_until
        is_over = until is None or until <= timezone.now()
        return [] if is_over else self.encrypted_old_secret.splitlines()


class WebhookMessage(models.Model):
    """One thing that happened, for one webhook. Written in the transaction of the change."""

    class State(models.TextChoices):
        WAITING = "waiting"
        """To be sent at `next_at`. The row is the queue; a Celery message is only a hint."""
        DELIVERED = "delivered"
        GIVEN_UP = "given up"
        """Tried for a day."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="messages")
    uid = models.CharField(max_length=40, unique=True)
    """Its `webhook-id`: the same at every attempt, so that the receiver knows it again."""
    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=100)
    """What happened, so that it is told once: run.failed:12."""
    body = models.TextField()
    """The JSON that is sent."""
    state = models.CharField(max_length=12, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    """Rises with every claim and fences the writes of earlier ones."""
    attempts_before = models.PositiveIntegerField(default=0)
    """Of them, those before a person had it sent again."""
    next_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["next_at"], name="webhook_message_due", condition=Q(state="waiting")
            ),
            models.Index(
                fields=["ended_at"], name="webhook_message_old", condition=~Q(state="waiting")
            ),
            models.Index(fields=["webhook", "-id"], name="webhook_log"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "key"], name="webhook_told_once"),
            models.CheckConstraint(
                name="webhook_message_state_known",
                condition=Q(state__in=["waiting", "delivered", "given up"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.uid}"


class WebhookAttempt(models.Model):
    """One time that a message was sent, and what came back."""

    message = models.ForeignKey(WebhookMessage, on_delete=models.CASCADE, related_name="log")
    seconds = models.FloatField()
    status = models.PositiveSmallIntegerField(null=True)
    """What the server answered; null where it did not."""
    answer = models.TextField(blank=True)
    """The beginning of what it wrote."""
    error = models.TextField(blank=True)
    """Why this was no delivery, in words."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.message_id}: {self.status or self.error}"
