"""Streams against `generate` one after another: latency and tokens per second at 1 and 8 streams.

All streams are asked for at once. Ours are written side by side by what the resident process runs
(`training.pipeline.writing`), in this process: without the broker and HTTP, which add about a
tenth of a second to the first token. `generate` takes them as they came, each to its end.
"""

from __future__ import annotations

from typing import Any

from tests.bench.yardstick import measured, var_dir

STREAMS = (1, 8)
MAX_NEW_TOKENS = 48
TURNS_MEASURED = {1: 6, 8: 2}


def measure() -> list[dict[str, Any]]:
    """Return a row for each way and number of streams; ratios stand in the rows of ours."""
    settings = {
        "model": str(var_dir() / "models" / "smollm2-135m-instruct"),
        "max_new_tokens": MAX_NEW_TOKENS,
    }
    rows = []
    for streams in STREAMS:
        of_streams = {**settings, "streams": streams, "turns": TURNS_MEASURED[streams]}
        found = {
            way: measured("tests.bench.servers", {**of_streams, "way": way})
            for way in ("ours", "generate")
        }
        for way, took in found.items():
            speed = took["tokens_per_second"]
            rows.append(
                {
                    "way": way,
                    "streams": streams,
                    "type": took["type"],
                    "first_token_s": round(took["first_token_s"], 2),
                    "last_first_token_s": round(took["last_first_token_s"], 2),
                    "tokens_per_second": round(speed, 1),
                    "times_generate": round(speed / found["generate"]["tokens_per_second"], 2),
                    "peak_mb": took["peak_mb"],
                }
            )
    return rows
