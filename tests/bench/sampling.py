"""Sampling against plain `generate`: tokens per second at batch 1 and 16, with a LoRA policy.

Both draw from the whole distribution at temperature 1. Tokens are those up to each end token;
what is computed for rows that have ended counts for nothing.
"""

from __future__ import annotations

from typing import Any

from tests.bench.yardstick import measured, var_dir

BATCHES = (1, 16)
MAX_NEW_TOKENS = 48
BATCHES_MEASURED = {1: 8, 16: 3}


def measure() -> list[dict[str, Any]]:
    """Return a row for each way and batch; ratios stand in the rows of ours."""
    settings = {
        "model": str(var_dir() / "models" / "smollm2-135m-instruct"),
        "max_new_tokens": MAX_NEW_TOKENS,
    }
    rows = []
    for batch in BATCHES:
        of_batch = {**settings, "batch": batch, "batches": BATCHES_MEASURED[batch]}
        found = {
            way: measured("tests.bench.samplers", {**of_batch, "way": way})
            for way in ("ours", "generate")
        }
        for way, took in found.items():
            speed = took["tokens_per_second"]
            rows.append(
                {
                    "way": way,
                    "batch": batch,
                    "type": took["type"],
                    "tokens_per_second": round(speed, 1),
                    "times_generate": round(speed / found["generate"]["tokens_per_second"], 2),
                    "mean_length": round(took["mean_length"], 1),
                    "peak_mb": took["peak_mb"],
                }
            )
    return rows
