"""Ways into a project for those who have its link."""

from __future__ import annotations

import hashlib

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from annotations.models.projects import Project, Role


class Invitation(models.Model):
    """A link that makes a few people members, in one role, until a day. Its secret is not kept."""

    class InvitedRole(models.TextChoices):
        """Owners are made by owners, and not by whoever has a link."""

        ENGINEER = Role.ENGINEER.value, Role.ENGINEER.label
        REVIEWER = Role.REVIEWER.value, Role.REVIEWER.label
        ANNOTATOR = Role.ANNOTATOR.value, Role.ANNOTATOR.label

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=12, choices=InvitedRole)
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the secret in the link."""
    uses = models.PositiveSmallIntegerField()
    """How many people it lets in."""
    used = models.PositiveSmallIntegerField(default=0)
    """Raised by a conditional UPDATE, so that two at once never are one too many."""
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    made_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="invitation_used_within_uses",
                condition=Q(used__lte=F("uses"), uses__gte=1),
            ),
            models.CheckConstraint(
                name="invitation_makes_no_owner",
                condition=Q(role__in=["engineer", "reviewer", "annotator"]),
            ),
        ]

    def __str__(self) -> str:
        return f"Invitation {self.pk} to {self.project_id}"

    @property
    def state(self) -> str:
        """Say in a word whether it still lets anybody in."""
        if self.revoked_at is not None:
            return "revoked"
        if self.used >= self.uses:
            return "used up"
        return "expired" if self.expires_at <= timezone.now() else "open"


def digest_of(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
