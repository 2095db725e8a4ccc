"""Turn what a suite measured into rows that a page shows: child, parent, difference, interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.charts import short
from training.figures import percent

PROPERTIES = {
    "score": ("Reward", "mean score of the reward model", False),
    "kl": ("KL to the base", "nats per completion", False),
    "kl_token": ("KL per token", "nats", False),
    "tokens": ("Length", "tokens", False),
    "characters": ("Length", "characters", False),
    "ended": ("Ended", "came to an end by themselves", True),
    "distinct_1": ("Distinct words", "share of all words that differ", True),
    "distinct_2": ("Distinct pairs", "share of all pairs of words that differ", True),
    "distinct_3": ("Distinct triples", "share of all runs of three words that differ", True),
    "self_bleu": ("Self-BLEU-4", "1: all say the same", False),
    "refusal": ("Refusal", "answers with the language of refusal", True),
    "haiku": ("Haiku rubric", "0 is perfect, −6 the worst", False),
    "haiku_lines": ("Three lines", "", True),
    "haiku_syllables": ("5-7-5 syllables", "", True),
    "haiku_on_topic": ("On the prompt’s subject", "", True),
    "haiku_repetition": ("Repeats itself", "a line twice, or a weighty word three times", True),
}
"""Of each property its name, what it is, and whether it is a share."""
POINTS = " points"
"""Of percent."""


@dataclass(frozen=True)
class Row:
    """One property on the page of a suite."""

    label: str
    note: str
    child: str
    parent: str
    difference: str
    interval: str
    is_clear: bool
    """Whether the interval of the difference leaves out zero."""
    is_equal: bool
    """Whether the two were alike on every prompt."""


def rows(results: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a suite's table, in the order of the page.

    >>> side = {"value": 1.0, "low": 0.5, "high": 1.5}
    >>> found = rows({"table": {"tokens": {"child": side, "parent": side, "difference": side}}})
    >>> found[0].child, found[0].difference, found[0].interval, found[0].is_clear
    ('1', '+1', '+0.5 to +1.5', True)
    """
    table = results.get("table", {})
    return [_row(*PROPERTIES[name], table[name]) for name in PROPERTIES if name in table]


def _row(label: str, note: str, is_share: bool, found: Mapping[str, Any]) -> Row:
    write = percent if is_share else short
    low, high = found["difference"]["low"], found["difference"]["high"]
    known = low is not None and high is not None
    return Row(
        label=label,
        note=note,
        child=write(found["child"]["value"]),
        parent=write(found["parent"]["value"]),
        difference=_signed(found["difference"]["value"], is_share),
        interval=_interval(low, high, is_share) if known else "unknown",
        is_clear=known and (low > 0 or high < 0),
        is_equal=known and low == high == 0,
    )


def _interval(low: float, high: float, is_share: bool) -> str:
    return f"{_signed(low, is_share).removesuffix(POINTS)} to {_signed(high, is_share)}"


def _signed(value: float, is_share: bool) -> str:
    """Return a difference with its sign; of shares in points of percent."""
    text = short(abs(value) * 100 if is_share else abs(value))
    if text == "0":
        return text
    return f"{'−' if value < 0 else '+'}{text}{POINTS if is_share else ''}"
