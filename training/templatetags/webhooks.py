"""What owners and engineers are told of webhooks that the platform has stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template

from training import selectors

if TYPE_CHECKING:
    from annotations.models import Project

register = template.Library()


@register.simple_tag
def stopped_webhooks(project: Project) -> int:
    """Return how many of the project's webhooks failed for so long that they were stopped."""
    return selectors.stopped_webhooks(project.pk)
