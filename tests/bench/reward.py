"""Reward-model training against TRL's RewardTrainer: pairs per second on the same rankings of four.

Both start from the demo model with a LoRA of rank 16 on all linear layers and see four rankings,
24 pairs, an update. TRL encodes the prompt and a completion of each pair anew; ours each completion
once and the prompt once per ranking. The first update warms up and does not count.
"""

from __future__ import annotations

import tempfile
from typing import Any

from tests.bench.yardstick import measured, var_dir

STEPS = 4
RANKINGS, COMPLETIONS = 4, 4


def measure() -> list[dict[str, Any]]:
    """Return a row for each trainer; the ratio stands in both."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        settings = {
            "model": str(var_dir() / "models" / "smollm2-135m-instruct"),
            "place": place,
            "steps": STEPS,
            "rankings": RANKINGS,
            "completions": COMPLETIONS,
        }
        found = {
            trainer: measured("tests.bench.reward_trainers", {**settings, "trainer": trainer})
            for trainer in ("trl", "ours")
        }
    for trainer in ("ours", "trl"):
        speed, peak = found[trainer]["pairs_per_second"], found[trainer]["peak_mb"]
        rows.append(
            {
                "trainer": "ours" if trainer == "ours" else f"TRL {found[trainer]['trl']}",
                "type": found[trainer]["type"],
                "pairs_per_second": round(speed, 2),
                "times_trl": round(speed / found["trl"]["pairs_per_second"], 2),
                "peak_mb": peak,
                "memory_of_trl": round(peak / found["trl"]["peak_mb"], 2),
                "first_loss": round(found[trainer]["losses"][0], 3),
            }
        )
    return rows
