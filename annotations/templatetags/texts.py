"""Texts as a project shows them: as they are, or as Markdown that can do no harm."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.formats import localize

from annotations import markdown
from annotations.algorithms.hidden_characters import hidden_characters
from annotations.models import Project

register = template.Library()


@register.inclusion_tag("annotations/_text.html")
def shown_text(project: Project, text: str, what: str = "completion") -> dict[str, Any]:
    """Show a text that is judged. `what` is "completion", "prompt" or "turn"."""
    as_markdown = project.rendering == Project.Rendering.MARKDOWN
    return {
        "text": text,
        "html": markdown.render_answer(text) if as_markdown else None,
        "what": what,
        "is_blank": not text.strip(),
        "hidden": hidden_characters(text),
    }


@register.filter
def minus(number: Any) -> str:
    """Return a number as it is, with a minus where it has a hyphen.

    >>> minus(-3), minus("-0.03")
    ('−3', '−0.03')
    """
    return str(localize(number)).replace("-", "−", 1)


@register.filter
def between_ticks(text: str) -> list[str]:
    """Return a text cut at its backticks: every second part is code."""
    return text.split("`")
