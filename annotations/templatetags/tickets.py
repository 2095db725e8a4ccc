"""The panel with which an answer is reported, wherever answers are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

from annotations.models import Ticket

register = template.Library()


@register.inclusion_tag("annotations/_report.html", takes_context=True)
def report_panel(
    context: Mapping[str, Any],
    url: str,
    letters: str = "",
    key: str = "",
    name: str = "report",
    source: str = "queue",
    is_reported: bool = False,
    problem: str = "",
    is_thumb: bool = False,
    target: str = "",
    position: int = 0,
) -> dict[str, Any]:
    """Return the panel that reports an answer to an address.

    `letters` are the names of the answers to choose among, such as "AB"; with none or one there is
    nothing to choose. `name` is the panel's id: one page may have several. `source` says where the
    answer was seen: "queue", "chat" or "arena". `is_reported` says that it was, `problem`
    why it was not. `is_thumb` shows a thumb down. `target` is the id of what the answer to a report
    takes the place of, where that is more than the panel; `position` is the answer that is
    chosen already; 0 chooses none of several.
    """
    return {
        "csrf_token": context.get("csrf_token"),
        "url": url,
        "letters": list(letters) if len(letters) > 1 else [],
        "key": key,
        "name": name,
        "source": source,
        "is_reported": is_reported,
        "problem": problem,
        "is_thumb": is_thumb,
        "target": target or name,
        "position": position,
        "reasons": Ticket.Reason.choices,
    }
