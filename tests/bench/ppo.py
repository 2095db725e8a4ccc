"""PPO against TRL 1.12's PPOTrainer: episodes per second, peak memory, reward after as many steps.

Both start from the demo model with a new LoRA of rank 16 on all linear layers, answer the same
prompts and are scored by the same reward model (a drawn one: what it likes does not matter here).
TRL runs as its users must run it with LoRA: no reference model, full reward and value models, the
value model trained in full. Both in the number type that the pipeline picks on this machine, and
in bfloat16. The first step warms up and does not count.
"""

from __future__ import annotations

import tempfile
from typing import Any

from tests.bench.yardstick import environment, measured, var_dir

STEPS = 3
"""Measured steps in the type that the pipeline picks."""
STEPS_BFLOAT16 = 1
"""A processor without instructions for bfloat16 takes minutes for each."""
SETTINGS = {"episodes": 16, "response_length": 32, "epochs": 4, "rank": 16, "micro_batch": 4}


def measure() -> list[dict[str, Any]]:
    """Return a row for each trainer and number type; ratios stand in the rows of ours."""
    model = str(var_dir() / "models" / "smollm2-135m-instruct")
    theirs = str(environment())
    rows = []
    with tempfile.TemporaryDirectory() as place:
        made = measured("tests.bench.ppo_models", {"model": model, "place": place})
        settings = {**SETTINGS, **made, "model": model, "place": place}
        for dtype in dict.fromkeys((made["picked"], "bfloat16")):
            steps = STEPS if dtype == made["picked"] else STEPS_BFLOAT16
            of_type = {**settings, "dtype": dtype, "steps": steps}
            trl = measured("tests.yardstick.run_ppo", of_type, python=theirs)
            ours = measured("tests.bench.ppo_ours", of_type)
            rows += _rows(dtype, ours, trl)
    return rows


def _rows(dtype: str, ours: dict[str, Any], trl: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, found in (("ours", ours), ("TRL 1.12", trl)):
        row: dict[str, Any] = {"trainer": name, "type": dtype}
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
