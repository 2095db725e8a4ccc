"""How training pages write numbers, states and charts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from training import examples, figures
from training.charts import Interval, interval_chart, short
from training.figures import Figure
from training.forms import in_labels, label_of, total_rows
from training.models import DatasetSnapshot, Run
from training.selectors import AnytimeInterval, NextAction, WinRate

register = template.Library()

BADGES = {
    "queued": "neutral",
    "running": "info",
    "succeeded": "ok",
    "failed": "bad",
    "cancelled": "warn",
    "done": "ok",
    "current": "info",
    "waiting": "neutral",
}

register.filter("duration", figures.duration)
register.filter("percent", figures.percent)
register.filter("tally", examples.tally)
register.filter("total_rows", total_rows)
register.filter("in_labels", in_labels)
register.filter("label", label_of)


@register.filter
def badge(state: str) -> str:
    """Return the badge class of a state."""
    return f"badge badge--{BADGES.get(state, 'neutral')}"


@register.filter
def number(value: Any) -> str:
    """Return a number in few characters; anything else as text."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, int | float):
        return "–" if value is None else str(value) or "none"
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else short(value)


@register.filter
def words(name: str) -> str:
    """Return a name from the code as words: `left_out` is `left out`."""
    return name.replace("_", " ")


@register.filter
def result_figures(run: Run) -> list[Figure]:
    """Return what the run reported, the figure that matters first."""
    return figures.result_figures(run.stage, run.results)


@register.filter
def key_figure(run: Run | None) -> Figure | None:
    """Return the one figure of a run that a list has room for."""
    found = figures.result_figures(run.stage, run.results) if run else []
    return found[0] if found else None


@register.filter
def win_interval(result: WinRate | AnytimeInterval) -> str:
    """Return the interval and n of a win rate in words."""
    return figures.interval(result.low, result.high, result.n)


@register.filter
def wins_interval(result: dict[str, Any]) -> str:
    """Return the interval and n of a win rate that a run reported."""
    return figures.interval(result["low"], result["high"], result["n"])


@register.filter
def bounds(result: AnytimeInterval) -> str:
    """Return the ends of an interval in words."""
    return figures.bounds(result.low, result.high)


@register.filter
def gate_is_open(result: WinRate | AnytimeInterval | None) -> bool:
    """Return whether the interval of the win rate lies above one half."""
    return result is not None and result.n > 0 and result.low is not None and result.low > 0.5


@register.filter
def split_counts(snapshot: DatasetSnapshot) -> list[tuple[str, int, int]]:
    """Return (split, rows, prompts) for each split and for all of them."""
    rows, prompts = snapshot.counts.get("rows", {}), snapshot.counts.get("prompts", {})
    if not isinstance(rows, dict) or not isinstance(prompts, dict):
        return []
    names = [name for name in ("train", "validation", "test") if name in rows]
    found = [(name, int(rows[name]), int(prompts.get(name, 0))) for name in names]
    return [*found, ("all", sum(row[1] for row in found), sum(row[2] for row in found))]


@register.filter
def other_counts(snapshot: DatasetSnapshot) -> list[tuple[str, int]]:
    """Return what the rows come from: annotations and annotators. Bare prompts have neither.

    Of judged completions also how many were judged good.
    """
    found = [(name, snapshot.counts.get(name, 0)) for name in ("annotations", "annotators")]
    found.append(("judged good", sum(snapshot.counts.get("good", {}).values())))
    return [(name, n) for name, n in found if n]


@register.filter
def left_out(snapshot: DatasetSnapshot) -> list[str]:
    """Return what is not in the rows and why, in words."""
    counts = snapshot.counts
    reasons = [
        f"{reason.replace('_', ' ')}: {_of(n, 'row')}"
        for reason, n in counts.get("left_out", {}).items()
        if n
    ]
    if kept := counts.get("tie_rows"):
        reasons.append(f"{_of(kept, 'tie')}: kept as rows of their own, for reward models alone")
    elif ties := counts.get("ties"):
        reasons.append(f"{_of(ties, 'tie')}: neither is better, so there is nothing to learn from")
    if bad := counts.get("both_bad"):
        reasons.append(f"{_of(bad, 'judgement')} that both are bad: no pair to learn from")
    return reasons


def _of(count: int, what: str) -> str:
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


@register.filter
def prompt_text(prompt: Any) -> str:
    """Return a prompt's last turn, whether it came as text or as messages."""
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], dict):
        return str(prompt[-1].get("content", ""))
    return str(prompt or "")


@register.simple_tag
def svg(drawing: str) -> SafeString:
    """Put a chart into the page; `training.charts` escapes every text in it."""
    return mark_safe(drawing)  # noqa: S308  # drawn by training.charts alone, which escapes


@register.simple_tag
def win_chart(result: WinRate) -> SafeString:
    """Draw the interval of a win rate beside one half."""
    if not result.n or result.rate is None or result.low is None or result.high is None:
        return mark_safe("")
    row = Interval("child", result.rate, result.low, result.high, result.n)
    return mark_safe(interval_chart("Win rate of the child", [row]))  # noqa: S308  # no text but ours


@register.simple_tag
def action_url(action: NextAction) -> str:
    """Return the address of the next action with its query."""
    url = reverse(action.url_name, args=action.args)
    return f"{url}?{urlencode(action.query)}" if action.query else url
