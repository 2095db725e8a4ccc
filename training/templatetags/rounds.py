"""What a round asks of a person, for pages that are not its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template

from training import selectors

if TYPE_CHECKING:
    from annotations.models import Project

register = template.Library()


@register.simple_tag
def round_asks(project: Project) -> str:
    """Return what somebody must decide before the project's round goes on, or nothing."""
    automation = selectors.automation_of(project)
    return automation.asks if automation else ""
