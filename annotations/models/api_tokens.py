"""What programs show instead of signing in, and what they were answered."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_noop


class Scope(models.TextChoices):
    """What a token is good for; never more than its owner's role allows."""

    READ = "read", gettext_noop("Read what its owner sees")
    LABEL = (
        "label",
        gettext_noop(
            "Take work, save it and hand it in, take tests and decide disagreements, as its owner"
        ),
    )
    WRITE = (
        "write",
        gettext_noop(
            "Add prompts, completions and scores, import files, invite, change projects, members, "
            "guidelines and questions, decide about flags, tests and tickets"
        ),
    )
    PAY = "pay", gettext_noop("Set rates, and adjust what people have earned")
    TRAIN = (
        "train",
        gettext_noop(
            "Freeze snapshots, start and stop runs, promote, push and delete checkpoints, recall "
            "annotations, set gate, arena, rounds and endpoints, have webhooks told"
        ),
    )
    MODELS = "models", gettext_noop("Have chats and battles, and talk with the models (/v1)")


def default_scopes() -> list[str]:
    """Return what tokens were good for before there were scopes."""
    return [Scope.MODELS.value]


class ApiToken(models.Model):
    """A person's token with which a program acts for them in some of their projects.

    Only its hash is kept. Its 32 random bytes can't be guessed, so a quick hash will do.
    """

    user = models.ForeignKey(
        "annotations.User", on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=100)
    """What its owner calls the program."""
    digest = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12)
    """How it begins, so that its owner knows it again."""
    scopes: models.JSONField[list[str], list[str]] = models.JSONField(default=default_scopes)
    projects = models.ManyToManyField("annotations.Project", related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Token {self.name} ({self.prefix}…)"

    @property
    def has_expired(self) -> bool:
        """Return whether its time is over."""
        return self.expires_at <= timezone.now()

    @property
    def scope_labels(self) -> list[str]:
        """Return what it is good for, in words."""
        return [scope.label for scope in Scope if scope.value in self.scopes]

    def was_used_before(self, moment: datetime) -> bool:
        """Return whether its last use lies before a moment, or never was."""
        return self.last_used_at is None or self.last_used_at < moment


class ApiAnswer(models.Model):
    """What a program was answered to a request with an idempotency key.

    Written in the transaction of the request itself: there is an answer if and only if what was
    asked for is done.
    """

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="answers")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    """Of the address and the body: the same key with another request is a mistake."""
    status = models.PositiveSmallIntegerField()
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="api_answer_age")]
        constraints = [
            models.UniqueConstraint(fields=["token", "key"], name="api_answer_once_per_key")
        ]

    def __str__(self) -> str:
        return f"Answer {self.status} to {self.key}"


def digest_of(secret: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
