"""PPO against TRL 1.12's PPOTrainer: episodes per second, peak memory, reward after as many steps.

At two sizes of micro-batch: the whole minibatch, and a quarter of it for those short of memory.

Both start from the demo model with a new LoRA of rank 16 on all linear layers, answer the same
prompts and are scored by the same reward model (a drawn one: what it likes does not matter here).
TRL runs as its users must run it with LoRA: no reference model, full reward and value models, the
value model trained in full. Both in the number type that the pipeline picks on this machine; in
bfloat16, where that is another one, it is a part of its own, since a processor without instructions
for it takes minutes for each step. The first step warms up and does not count.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

from tests.bench.yardstick import environment, measured, var_dir
from training.tests.tiny import build_tiny_model

STEPS = 3
"""Measured steps."""
SETTINGS = {
    "episodes": 16,
    "response_length": 32,
    "epochs": 4,
    "rank": 16,
    "micro_batch": 16,
    "learning_rate": 1e-4,
    "seed": 0,
}
MICRO_BATCHES = (16, 4)
SPREAD = 0.02
"""Of the reward model's drawn weights: the adapter changes what is read, and stays small."""
LEARNING = {**SETTINGS, "response_length": 16, "learning_rate": 1e-3, "dtype": "float32"}
LEARNING_STEPS = 60
LEARNING_SPREAD = 0.2
"""The same for a model so small that hundreds of episodes take seconds: its weights are larger."""
SEEDS = range(14)  # with five, a difference of a tenth could be chance
LAST = 10
"""Steps whose mean is the reward that was reached."""


def measure(dtype: str | None = None, steps: int = STEPS) -> list[dict[str, Any]]:
    """Return a row for each trainer; ratios stand in ours. None: the type the pipeline picks."""
    model = str(var_dir() / "models" / "smollm2-135m-instruct")
    theirs = str(environment())
    with tempfile.TemporaryDirectory() as place:
        drawn = {"model": model, "place": place, "spread": SPREAD}
        made = measured("tests.bench.ppo_models", drawn)
        of_type = {"dtype": dtype or made["picked"], "steps": steps}
        settings = {**SETTINGS, **made, "model": model, "place": place, **of_type}
        rows = []
        for micro_batch in MICRO_BATCHES:
            settings["micro_batch"] = micro_batch
            trl = measured("tests.yardstick.run_ppo", settings, python=theirs)
            rows += _rows(settings, measured("tests.bench.ppo_ours", settings), trl)
    return rows


def measure_bfloat16() -> list[dict[str, Any]]:
    """Return the same in bfloat16, one step each."""
    return measure("bfloat16", steps=1)


def measure_learning() -> list[dict[str, Any]]:
    """Return, for each seed, the reward that both reach after as many episodes.

    Same model, reward model, prompts and settings; each trainer draws its own answers.
    """
    theirs = str(environment())
    with tempfile.TemporaryDirectory() as place:
        model = str(build_tiny_model(Path(place) / "model", hidden_size=64))
        of_model = {"model": model, "place": place, "steps": LEARNING_STEPS}
        made = measured("tests.bench.ppo_models", {**of_model, "spread": LEARNING_SPREAD})
        rows = []
        for seed in SEEDS:
            settings = {**LEARNING, **made, **of_model, "seed": seed}
            trl = measured("tests.yardstick.run_ppo", settings, python=theirs)
            ours = measured("tests.bench.ppo_ours", settings)
            rows.append(_learned(seed, ours["scores"], trl["scores"]))
    return rows


def _learned(seed: int, ours: list[float], trl: list[float]) -> dict[str, Any]:
    row: dict[str, Any] = {"seed": seed, "episodes": len(ours) * LEARNING["episodes"]}
    for name, scores in (("ours", ours), ("trl", trl)):
        row[f"{name}_first"] = round(scores[0], 3)
        row[f"{name}_last_{LAST}"] = round(fmean(scores[-LAST:]), 3)
    return row


def _rows(
    settings: dict[str, Any], ours: dict[str, Any], trl: dict[str, Any]
) -> list[dict[str, Any]]:
    rows = []
    for name, found in (("ours", ours), ("TRL 1.12", trl)):
        row: dict[str, Any] = {"trainer": name, "type": settings["dtype"]}
        row["micro_batch"] = settings["micro_batch"]
        row["episodes_per_second"] = round(found["episodes_per_second"], 3)
        row["times_trl"] = round(found["episodes_per_second"] / trl["episodes_per_second"], 2)
        row["peak_mb"] = found["peak_mb"]
        row["memory_of_trl"] = round(found["peak_mb"] / trl["peak_mb"], 2)
        row["score_first"] = round(found["scores"][0], 3)
        row["score_last"] = round(found["scores"][-1], 3)
        for part in ("rollout", "scoring", "optimisation"):
            seconds = found["seconds"].get(part)
            row[f"{part}_s"] = "–" if seconds is None else round(seconds, 2)
        rows.append(row)
    return rows
