"""Some updates of a reward model, ours or TRL's; one JSON line of what they took."""

from __future__ import annotations

import json
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback

from tests.bench.subjects import answers, haiku_prompts
from tests.bench.yardstick import peak_megabytes
from training.pipeline import reward
from training.pipeline.config import LORA_TARGETS, RewardConfig
from training.pipeline.jobs import Job
from training.pipeline.loading import load_reward_base, load_tokenizer, pick_dtype
from training.pipeline.reporting import Reporter


def main(settings: dict[str, Any]) -> None:
    pairs = settings["rankings"] * len(list(combinations(range(settings["completions"]), 2)))
    ended, losses = {"ours": train_ours, "trl": train_trl}[settings["trainer"]](settings)
    steps = len(ended) - 1
    found = {
        "pairs_per_second": steps * pairs / (ended[-1] - ended[0]),
        "peak_mb": peak_megabytes(),
        "losses": losses,
        "type": str(pick_dtype()).removeprefix("torch."),
        "trl": trl.__version__,
    }
    print(json.dumps(found))


def rankings(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pairs of as many rankings as all updates take, as a snapshot holds them."""
    prompts = haiku_prompts()[: (settings["steps"] + 1) * settings["rankings"]]
    return [
        {
            "split": "train",
            "prompt_id": number,
            "prompt": [{"role": "user", "content": text}],
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
            "margin": 1 / 3,
            "strength": "slightly",
        }
        for number, text in enumerate(prompts)
        for chosen, rejected in combinations(answers(number, settings["completions"]), 2)
    ]


def train_ours(settings: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Train as a run does, up to the first evaluation; return when updates ended and losses."""
    place, rows = Path(settings["place"]), rankings(settings)
    # Held out: one ranking more, else a fifth of the pairs would be.
    last = [{**row, "split": "validation", "prompt_id": -1} for row in rows[:6]]
    path = place / "preferences.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *last]), encoding="utf-8")
    config = RewardConfig(batch_size=settings["rankings"], epochs=1.0, min_pairs=1)
    job = Job(
        config=config,
        base_path=settings["model"],
        work_dir=str(place / "work"),
        output_dir=str(place / "out"),
        data_path=str(path),
    )
    Path(job.work_dir).mkdir()
    ended: list[float] = []
    losses: list[float] = []

    def report(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["step"] > 0:
            ended.append(time.monotonic())
        if event["event"] == "metrics" and "loss" in event["values"]:
            losses.append(event["values"]["loss"])

    reward.train(job, config, Reporter(report, lambda: False))
    return ended, losses


class Clock(TrainerCallback):
    """Remembers when each update ended and what it lost."""

    def __init__(self) -> None:
        self.ended: list[float] = []
        self.losses: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ended.append(time.monotonic())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


def train_trl(settings: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Train on the same pairs as TRL's documentation does; return when updates ended and losses."""
    tokenizer = load_tokenizer(settings["model"])
    clock = Clock()
    rows = rankings(settings)
    columns = {name: [row[name] for row in rows] for name in ("prompt", "chosen", "rejected")}
    trainer = trl.RewardTrainer(
        model=load_reward_base(settings["model"], tokenizer),
        args=trl.RewardConfig(
            output_dir=str(Path(settings["place"]) / "trl"),
            per_device_train_batch_size=len(rows) // (settings["steps"] + 1),
            num_train_epochs=1,
            learning_rate=4e-4,
            max_length=256,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        callbacks=[clock],
        peft_config=LoraConfig(
            r=16,
            lora_alpha=32,
            target_modules=list(LORA_TARGETS),
            modules_to_save=["score"],
            task_type="SEQ_CLS",
        ),
    )
    trainer.train()
    return clock.ended, clock.losses


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
