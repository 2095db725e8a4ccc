"""Some steps of our PPO as a run makes them; one JSON line of what they took."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tests.bench.yardstick import peak_megabytes
from training.pipeline import loading, ppo
from training.pipeline.config import PPOConfig
from training.pipeline.jobs import Job
from training.pipeline.reporting import Reporter

PARTS = ("rollout", "scoring", "optimisation")


def main(settings: dict[str, Any]) -> None:
    # The type is chosen by the machine; a benchmark wants to see the other one too.
    dtype = getattr(torch, settings["dtype"])
    loading.pick_dtype = lambda: dtype
    place = Path(settings["place"])
    config = PPOConfig(
        steps=settings["steps"] + 1,
        batch_size=settings["episodes"],
        minibatch_size=settings["episodes"],
        micro_batch_size=settings["micro_batch"],
        ppo_epochs=settings["epochs"],
        max_new_tokens=settings["response_length"],
        lora_rank=settings["rank"],
        learning_rate=settings["learning_rate"],
        kl_coef=0.05,
        max_kl=1000.0,
        max_length_ratio=1000.0,
        checkpoint_every=100_000,
        seed=settings["seed"],
    )
    job = Job(
        config=config,
        base_path=settings["model"],
        work_dir=str(place / f"work-{settings['dtype']}-{settings['seed']}"),
        output_dir=str(place / f"out-{settings['dtype']}-{settings['seed']}"),
        reward_path=str(place / "reward"),
        data_path=str(place / "prompts.jsonl"),
    )
    steps: list[tuple[float, dict[str, float]]] = []
    peak = 0

    def report(event: dict[str, Any]) -> None:
        nonlocal peak
        if event["event"] == "metrics":
            steps.append((time.monotonic(), event["values"]))
            peak = peak_megabytes()

    ppo.train(job, config, Reporter(report, lambda: False))
    seconds = steps[-1][0] - steps[0][0]
    counted = [values for _, values in steps[1:]]
    mean = {p: sum(v[f"seconds/{p}"] for v in counted) / len(counted) for p in PARTS}
    print(
        json.dumps(
            {
                "episodes_per_second": len(counted) * config.batch_size / seconds,
                "peak_mb": peak,
                # less the penalty, as TRL tells them
                "scores": [
                    values["objective/scores"] - config.missing_eos_penalty * (1 - values["ended"])
                    for _, values in steps
                ],
                "seconds": mean,
            }
        )
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
