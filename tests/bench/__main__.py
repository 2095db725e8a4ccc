"""`python -m tests.bench [part …]`: run the benchmarks and print their tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")

from tests.bench import (
    asking,
    label_studio,
    leaderboard,
    pages,
    ppo,
    queue,
    reward,
    sampling,
    serving,
    transfer,
)

PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "queue": queue.measure,
    "queue_training": queue.measure_beside_training,
    "pages": pages.measure,
    "transfer": transfer.measure,
    "label_studio": label_studio.measure,
    "leaderboard": leaderboard.measure,
    "asking": asking.measure,
    "ppo": ppo.measure,
    "ppo_bfloat16": ppo.measure_bfloat16,
    "ppo_learning": ppo.measure_learning,
    "reward": reward.measure,
    "sampling": sampling.measure,
    "serving": serving.measure,
}


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows of the same keys as text in columns."""
    names = list(rows[0])
    lines = [names, *([_shown(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def conditions() -> dict[str, Any]:
    """Return what the figures depend on beside the code."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip() or "unknown",
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them by default")
    chosen = parser.parse_args().parts or list(PARTS)
    target = Path(os.environ.get("VAR_DIR", "var")) / "bench.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"conditions": conditions()}
    for part in chosen:
        results[part] = PARTS[part]()
        if results[part]:
            print(f"\n{part}\n{table(results[part])}", flush=True)
    target.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"\nWritten to {target}.")


if __name__ == "__main__":
    main()
