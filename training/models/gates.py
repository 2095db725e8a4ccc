"""What a project asks of a checkpoint before it may be promoted."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Gate(models.Model):
    """The thresholds of a project's promotion gate; a project without a row has the defaults."""

    project = models.OneToOneField(
        "annotations.Project", on_delete=models.PROTECT, related_name="gate"
    )
    least_rate = models.FloatField(default=0.5)
    """What the lower end of the win rate's interval must lie above."""
    least_votes = models.PositiveIntegerField(default=0)
    """Votes that people must have cast; what is certain without them does not count."""
    least_voters = models.PositiveSmallIntegerField(default=1)
    """People who must have voted."""
    largest_kl = models.FloatField(null=True)
    """How far the policy may have moved from its reference, in nats; none is asked about."""
    changed_by = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, null=True, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="gate_asks_for_no_less_than_half",
                condition=Q(least_rate__gte=0.5, least_rate__lt=1),
            ),
            models.CheckConstraint(
                name="gate_kl_is_positive",
                condition=Q(largest_kl__isnull=True) | Q(largest_kl__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"Gate of {self.project}"
