"""The second thing, beside a password, that some people show when they sign in."""

from __future__ import annotations

from django.db import models


class TwoFactor(models.Model):
    """A person's app that shows a code for half a minute (RFC 6238); begun, confirmed by a code."""

    user = models.OneToOneField(
        "annotations.User", on_delete=models.CASCADE, primary_key=True, related_name="two_factor"
    )
    encrypted_secret = models.TextField()
    confirmed_at = models.DateTimeField(null=True)
    """Until then nobody is asked for a code."""
    last_step = models.BigIntegerField(default=0)
    """The half minute of the last code that was taken: none is taken twice."""

    def __str__(self) -> str:
        return f"Second factor of {self.user_id}"


class RecoveryCode(models.Model):
    """A code that lets a person in once without their app. Only its hash is kept."""

    user = models.ForeignKey(
        "annotations.User", on_delete=models.CASCADE, related_name="recovery_codes"
    )
    digest = models.CharField(max_length=64, unique=True)
    """Of 80 random bits, which can't be guessed."""

    def __str__(self) -> str:
        return f"Recovery code {self.pk} of {self.user_id}"
