"""Who tried to sign in, kept so that passwords cannot be guessed by trying."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class SignInAttempt(models.Model):
    """One try to sign in. Neither the name nor the address is kept, only a keyed hash of each.

    An attempt counts as failed until it has succeeded; the last that did of each name at each
    address stays, so that others who try this name elsewhere do not keep its owner out.
    """

    name_digest = models.CharField(max_length=64)
    address_digest = models.CharField(max_length=64)
    succeeded = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["name_digest", "created_at"], name="sign_in_by_name"),
            models.Index(fields=["address_digest", "created_at"], name="sign_in_by_address"),
            models.Index(fields=["created_at"], name="sign_in_by_age"),
        ]

    def __str__(self) -> str:
        return f"Attempt {self.pk}"
