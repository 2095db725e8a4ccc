"""What programs show instead of signing in."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import models
from django.utils import timezone


class ApiToken(models.Model):
    """A person's token with which a program talks with the models of some of their projects.

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

    def was_used_before(self, moment: datetime) -> bool:
        """Return whether its last use lies before a moment, or never was."""
        return self.last_used_at is None or self.last_used_at < moment


def digest_of(secret: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
