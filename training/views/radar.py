"""What a run's page shows of its radar."""

from __future__ import annotations

from typing import Any

from training import selectors
from training.models import Run
from training.radar_charts import Spot, people_chart, reward_chart
from training.views.shared import Drawn


def radar_context(run: Run) -> dict[str, Any]:
    """Return the run's radar with its charts; nothing for a run without one."""
    radar = selectors.radar_of(run)
    if radar is None:
        return {"radar": None}
    judged = [point for point in radar.points if point.win_rate.n]
    rewards = [Spot(p.look.kl, p.gain.value, p.gain.low, p.gain.high) for p in radar.points]
    people = [Spot(p.look.kl, p.win_rate.rate, p.win_rate.low, p.win_rate.high) for p in judged]
    charts = [
        Drawn(
            "Reward above the start",
            "By the reward model, on the prompts that people see. 95 % intervals.",
            reward_chart(rewards),
            [],
        ),
        Drawn(
            "People’s win rate",
            "Share of prompts on which people prefer the policy to the start. Intervals hold "
            "however often one looks.",
            people_chart(people),
            [],
        ),
    ]
    return {"radar": radar, "radar_charts": charts if radar.points else []}
