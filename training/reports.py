"""What a reward model's run found, broken down: the tables and the chart of its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training import figures
from training.charts import CalibrationBin, calibration_chart


@dataclass(frozen=True)
class Breakdown:
    """Held-out accuracy by one property of the votes."""

    title: str
    note: str
    rows: list[tuple[str, str, str, int]]
    """Value of the property, accuracy, its interval, votes."""


@dataclass(frozen=True)
class RewardReport:
    """The broken-down figures of a reward model."""

    breakdowns: list[Breakdown]
    calibration: str
    """A chart as SVG; empty where no vote was held out."""


BREAKDOWNS = (
    ("by_strength", "By strength", "What people found clear should be easy."),
    (
        "by_length",
        "By length",
        "How long what was chosen is beside what was not. Far apart: it judges by length.",
    ),
)


def reward_report(results: Mapping[str, Any]) -> RewardReport | None:
    """Return the broken-down figures of a run's results; None where there are none."""
    breakdowns = [
        Breakdown(title, note, _rows(shares))
        for name, title, note in BREAKDOWNS
        if (shares := results.get(name))
    ]
    bins = [CalibrationBin(**one) for one in results.get("calibration") or []]
    if not breakdowns and not bins:
        return None
    chart = calibration_chart("Predicted probability and share of votes", bins) if bins else ""
    return RewardReport(breakdowns, chart)


def _rows(shares: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str, int]]:
    return [
        (
            name,
            figures.percent(share["value"]),
            figures.bounds(share["low"], share["high"]),
            share["n"],
        )
        for name, share in shares.items()
    ]
